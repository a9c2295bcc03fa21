"""Strict JAX for every test: what broadcasts or promotes silently fails here."""

import contextlib
import gc
import os
import pathlib
import sys

import jax
import pytest

import experiments
from genjax.training import needed
from tests.machine import Machine

jax.config.update('jax_num_cpu_devices', 8)
jax.config.update('jax_numpy_rank_promotion', 'raise')
jax.config.update('jax_numpy_dtype_promotion', 'strict')
# Most of the time goes into compiling, and much of that into the same programs.
CACHE = pathlib.Path(__file__).parent.parent / '.pytest_cache' / 'xla'
jax.config.update('jax_compilation_cache_dir', str(CACHE))
jax.config.update('jax_persistent_cache_min_compile_time_secs', 0.2)
jax.config.update('jax_disable_most_optimizations', True)  # of machine code; what is computed stays
needed.MANY = 300  # tests begin many small states, of operations that most of them share
# Tracing records the source line of each operation, which takes a sixth of the time of a test.
jax.config.update('jax_traceback_in_locations_limit', 0)
# Another sixth goes into looking for garbage among jax's millions of long-lived objects.
gc.set_threshold(50_000, 20, 20)
# Plain loops compile in half the time that fused ones take, and to split a small program costs more
# threads than it saves. XLA reads the flags once, so no launch of a test inherits them.
FLAGS = '--xla_cpu_parallel_codegen_split_count=1'
if jax.version.__version_info__ < (0, 11):  # after which XLA does not know the flag, and aborts
    FLAGS += ' --xla_cpu_use_fusion_emitters=false'
with pytest.MonkeyPatch.context() as patch:
    flags = os.environ.get('XLA_FLAGS', '')
    patch.setenv('XLA_FLAGS', f'{flags} {FLAGS}')
    jax.devices()

# The markers of tests that want what not every machine has.
WHOLE_MACHINE = ('browser', 'peers', 'slurm')


@pytest.fixture(scope='session', autouse=True)
def fresh_machine(tmp_path_factory):
    """Hides what not every machine has; see tests/machine.py."""
    machine = Machine(tmp_path_factory.mktemp('machine'))
    machine.hide()
    yield machine
    machine.show()


@pytest.fixture(scope='module')
def whole_machine(fresh_machine):
    """The machine as it is, for the fixtures of a module, whose tests have a marker.

    The first of these tests hides it again when it ends.
    """
    fresh_machine.show()


@pytest.fixture(autouse=True)
def machine_as_asked(request, fresh_machine):
    """Shows the whole machine to a test with a marker that asks for it."""
    asked = any(request.node.get_closest_marker(marker) for marker in WHOLE_MACHINE)
    if asked:
        fresh_machine.show()
    yield
    if asked:
        fresh_machine.hide()


@pytest.fixture
def optimised():
    """Compiles as users do, for a test that takes longer to compute than to compile."""
    jax.config.update('jax_disable_most_optimizations', False)
    yield
    jax.config.update('jax_disable_most_optimizations', True)


@pytest.fixture(scope='session')
def real_data() -> pathlib.Path:
    """The folder of real data sets that GENJAX_DATA names; the test is skipped without one."""
    folder = os.environ.get('GENJAX_DATA', '')
    if not pathlib.Path(folder).is_dir() or not folder:
        pytest.skip('GENJAX_DATA names no folder of real data sets')
    return pathlib.Path(folder)


@contextlib.contextmanager
def toy_experiments(place, patch):
    """Has a working directory, and tests/experiments in place of the real experiments."""
    toys = pathlib.Path(__file__).parent / 'experiments'
    patch.setattr(experiments, '__path__', [str(toys)])
    patch.chdir(place)
    yield place
    for name in ('toy', 'other'):
        sys.modules.pop(f'experiments.{name}', None)
        vars(experiments).pop(name, None)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty working directory, with tests/experiments in place of the real experiments."""
    # By the test's own monkeypatch, or the one that is undone last would leave its directory.
    with toy_experiments(tmp_path, monkeypatch) as place:
        yield place


@pytest.fixture
def place(monkeypatch, tmp_path):
    """Writes files to a folder, with checksums that TFDS knows; the net is out of reach."""
    import requests
    from tensorflow_datasets.core.download import checksums

    from genjax.data.images import builders

    def unreachable(url, **options):
        raise requests.exceptions.ConnectionError(url)

    monkeypatch.setattr(requests, 'head', unreachable)
    monkeypatch.setenv('TFDS_DATA_DIR', str(tmp_path / 'default'))
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))

    known = {}  # url -> checksum

    def write(folder, files, builder=builders.Mnist):
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (folder / name).write_bytes(content)
        urls = {url.rpartition('/')[2]: url for url in builder(data_dir=tmp_path / 'unused').urls}
        known.update({urls[name]: checksums.compute_url_info(folder / name) for name in files})
        monkeypatch.setattr(checksums, 'get_all_url_infos', lambda: known)

    return write

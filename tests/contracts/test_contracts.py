"""What every algorithm and every experiment must keep, whatever it computes."""

import ast
import functools
import importlib
import inspect
import json
import pathlib
import re
import shlex
import tempfile

import jax
import numpy as np
import pytest

from genjax.data.images import builders
from genjax.training import Every, by_jit, by_pmap, check, make_mesh, run_keys, train
from genjax.training.feed import as_feed, feed_args
from genjax.training.loop import fold_steps
from genjax.training.mesh import placement
from launch.__main__ import main
from launch.cli.overrides import override
from tests.contracts.cases import ALGORITHMS, BATCH
from tests.data.images.tiny_sets import tiny_cifar, tiny_mnist
from tests.marks import quick_only, slow
from tests.programs.reproduce import commands
from tests.trees import assert_trees_equal

ROOT = pathlib.Path(__file__).parents[2]
EXPERIMENTS = sorted(path.stem for path in (ROOT / 'experiments').glob('[a-z]*.py'))
EVERY = Every(log=10, evaluate=50, save=50)

algorithms = pytest.mark.parametrize('case', ALGORITHMS)
# What takes several runs of a case is quick where the case has what no other has, which is told
# beside it, and slow elsewhere: most of all for ddpm, whose U-Net compiles for half a minute.
RESUMED = (
    'vae',  # an optimiser and the average of its parameters
    'hmm',  # the statistics of stepwise EM
)
TRACED = (
    'vae',  # the step of all that descend a loss
    'word2vec',  # blocks in a loop
)
ON_EIGHT = (
    'vae',  # means of gradients, keys of examples
)
BY_PMAP = (
    'vae',  # means and keys
    'ngram',  # tables merged
)


@functools.cache
def experiment_of(case):
    """The one experiment of a case: what jax has traced of it once serves every run of it in this
    process."""
    return ALGORITHMS[case]()


def run(case, *, observe=None, devices=1, steps=6, **options):
    experiment = experiment_of(case)
    if observe is not None:
        experiment = observed(experiment, observe)
    mesh = make_mesh(jax.devices()[:devices])
    return train(experiment, seed=3, steps=steps, mesh=mesh, **{'every': EVERY, **options})


def observed(experiment, observe):
    """The experiment, with a function that is called whenever its update is traced."""
    update = experiment.algorithm.update

    def observed_update(key, state, batch):
        observe()
        return update(key, state, batch)

    return experiment._replace(algorithm=experiment.algorithm._replace(update=observed_update))


def test_every_algorithm_has_a_case():
    folder = ROOT / 'genjax' / 'algorithms'
    constructors = {
        node.name
        for path in folder.rglob('*.py')
        for node in ast.parse(path.read_text('utf-8')).body
        if isinstance(node, ast.FunctionDef)
        and node.returns is not None
        and ast.unparse(node.returns) == 'Algorithm'
    }
    assert constructors == set(ALGORITHMS)


@algorithms
def test_arguments_have_the_contracts_names_and_order(case):
    algorithm = ALGORITHMS[case]().algorithm
    names = {
        name: list(inspect.signature(f).parameters) for name, f in algorithm._asdict().items() if f
    }
    contract = {
        'init': ['key', 'batch'],
        'update': ['key', 'state', 'batch'],
        'evaluate': ['key', 'state', 'batch'],
        'sample': ['key', 'state', 'n'],
        'encode': ['key', 'state', 'batch'],
        'decode': ['key', 'state', 'code'],
    }
    assert names == {name: contract[name] for name in names}


@algorithms
def test_shapes_are_the_contracts(case):
    experiment = ALGORITHMS[case]()
    algorithm = experiment.algorithm
    batch = experiment.data.train[0]
    key = jax.random.key(0)
    state = jax.eval_shape(algorithm.init, key, batch)
    after, metrics = jax.eval_shape(algorithm.update, key, state, batch)

    def same(a, b):
        return (a.shape, a.dtype) == (b.shape, b.dtype)

    assert jax.tree.all(jax.tree.map(same, after, state))
    assert {m.shape for m in metrics.values()} == {()}
    assert {m.shape for m in jax.eval_shape(algorithm.evaluate, key, state, batch).values()} == {
        (BATCH,)
    }
    if algorithm.sample:
        x = jax.eval_shape(lambda k, s: algorithm.sample(k, s, 5), key, state)
        assert {leaf.shape[0] for leaf in jax.tree.leaves(x)} == {5}
    if algorithm.encode:
        code = jax.eval_shape(algorithm.encode, key, state, batch)
        assert {leaf.shape[0] for leaf in jax.tree.leaves(code)} == {BATCH}


def require_keys_spent_once(experiment, monkeypatch):
    """Follows every key through all that an algorithm computes, without computing it.

    What it does not see: a key that is folded into others and drawn from besides.

    Raises:
      AssertionError: a key that was split or drawn from is split or drawn from again.
    """
    key_reuse = pytest.importorskip('jax.experimental.key_reuse._core')
    # It follows slices and gathers, and takes a transposed array of keys for spent.
    kept = key_reuse.KeyReuseSignature(key_reuse.Forward(0, 0))
    monkeypatch.setitem(key_reuse.key_reuse_signatures, jax.lax.transpose_p, kept)
    algorithm = experiment.algorithm
    batch = experiment.data.train[0]
    key = jax.random.key(0)
    state = jax.eval_shape(algorithm.init, key, batch)

    def require(name, function, *arguments):
        try:
            key_reuse.check_key_reuse(function, *arguments)
        except jax.errors.KeyReuseError as error:
            raise AssertionError(f'{name} spends a key twice') from error

    require('init', algorithm.init, key, batch)
    require('update', algorithm.update, key, state, batch)
    require('evaluate', algorithm.evaluate, key, state, batch)
    if algorithm.sample:
        require('sample', lambda key, state: algorithm.sample(key, state, 5), key, state)
    if algorithm.encode:
        require('encode', algorithm.encode, key, state, batch)
    if algorithm.encode and algorithm.decode:
        code = jax.eval_shape(algorithm.encode, key, state, batch)
        require('decode', algorithm.decode, key, state, code)


@algorithms
def test_an_algorithm_spends_no_key_twice(case, monkeypatch):
    require_keys_spent_once(experiment_of(case), monkeypatch)


@pytest.mark.parametrize('case', quick_only(RESUMED, ALGORITHMS))
def test_stop_and_resume_is_exact_to_the_bit_across_an_epoch(case, tmp_path):
    whole = run(case, workdir=tmp_path / 'whole')
    for until in (1, 4):
        run(case, workdir=tmp_path / 'parts', until=until)
    parts = run(case, workdir=tmp_path / 'parts')
    assert_trees_equal(parts, whole)


@functools.cache
def metrics_of_100_steps(case, devices, parallel=by_jit):
    """Every metric that a run reports, in training by tens of steps and on the test set, as {(step,
    name): value}.

    Metrics and not parameters: a bias that a norm or a softmax takes out again has a gradient of
    nought, whose rounding Adam blows up into steps of full size, and no two devices round alike.
    Nor the norms of gradients.
    """
    with tempfile.TemporaryDirectory() as folder:
        run(case, steps=100, devices=devices, parallel=parallel, workdir=folder)
        rows = [
            json.loads(line)
            for line in pathlib.Path(folder, 'metrics.jsonl').read_text().splitlines()
        ]
    assert len(rows) == 10

    def left_out(name):
        return name.startswith('time/') or name in ('step', 'gradient_norm')

    return {(row['step'], name): row[name] for row in rows for name in row if not left_out(name)}


def on_devices(case, devices):
    """Eight devices tell what two would."""
    quick = devices == 8 and case in ON_EIGHT
    return (case, devices) if quick else slow(case, devices)


@pytest.mark.parametrize(
    ('case', 'devices'), [on_devices(case, devices) for case in ALGORITHMS for devices in (2, 8)]
)
def test_one_two_and_eight_devices_agree_over_100_steps(case, devices):
    expected = metrics_of_100_steps(case, 1)
    assert {(50, 'test/loss'), (100, 'test/loss')} <= set(expected)
    assert metrics_of_100_steps(case, devices) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize('case', quick_only(BY_PMAP, ALGORITHMS))
def test_jit_and_pmap_agree_over_100_steps(case):
    assert metrics_of_100_steps(case, 8, by_pmap) == pytest.approx(
        metrics_of_100_steps(case, 1), rel=1e-5
    )


@pytest.mark.parametrize('case', quick_only(TRACED, ALGORITHMS))
@pytest.mark.parametrize('steps_per_call', [slow(1), 4])
def test_a_run_traces_its_update_once(case, steps_per_call):
    traces = []
    run(case, steps=10, until=7, steps_per_call=steps_per_call, observe=lambda: traces.append(1))
    assert len(traces) == 1


def smoke_words(name):
    """The words of an experiment's own smoke command, which its docstring states."""
    module = importlib.import_module(f'experiments.{name}')
    line = re.search(
        r'^Smoke +python -m launch (.*(\n {8}.*)*)', inspect.getdoc(module), re.MULTILINE
    )
    assert line, f'{name} states no smoke command'
    return shlex.split(line[1])


def smoke(name):
    """The configuration of an experiment's smoke command."""
    module = importlib.import_module(f'experiments.{name}')
    flags = dict(flag.removeprefix('--').split('=', 1) for flag in smoke_words(name)[2:])
    return module, override(
        module.get_config(), {k.removeprefix('config.'): v for k, v in flags.items()}
    )


@pytest.fixture
def tiny_sets(place, tmp_path):
    """A folder with every set that the experiments read, of a few images each."""
    draw = np.random.default_rng(0)
    place(tmp_path / 'mnist', tiny_mnist(draw)[1])
    place(tmp_path / 'cifar10', tiny_cifar(draw)[1], builders.Cifar10)
    return tmp_path


# Those that compile longest; other pages build the same of smaller parts.
LONG = (
    'autoencoder_mnist',
    'causal_docs',  # masked_docs builds the same
    'ddpm_cifar',
    'ddpm_digits',
    'ddpm_mnist',
    'diffusion_folder',
    'ect_cifar',
    'edm_cifar',
    'flow_cifar',
    'flow_digits',
    'flow_maps_plane',
    'flow_mnist',
    'gan_cifar',
    'gan_folder',
    'gan_mnist',
    'gan_stacked_mnist',
    'iwae2_mnist',
    'iwae_mnist',
    'logistic_mnist',
    'masked_text8',  # masked_docs builds the same
    'meanflow_cifar',
    'meanflow_digits',
    'realnvp_cifar',
    'sct_cifar',
    'tarflow_mnist',
    'vae_mnist',
    'word2vec_file',  # word2vec_text8 builds the same
)
# Of the others, those that are traced longest.
TRACED_LONG = (
    'cbow_file',
    'diffusion_plane',
    'fasttext_file',
    'flow_plane',
    'fsq_digits',
    'glove_file',
    'glow_digits',
    'kl_fit',
    'mixture_digits',
    'ngram_docs',
    'ngram_file',
    'vae_digits',
    'wgan_toy',
    'word2vec_docs',
    'word2vec_text8',
)
# Of those that tests.programs.reproduce runs to their end, two stay to see that probes run.
REPRODUCED = set(commands()) - {'autoencoder_digits', 'gan_finite'}


def experiments_but(*names):
    return [slow(name) if name in names else name for name in EXPERIMENTS]


@pytest.mark.parametrize('name', experiments_but(*LONG, *REPRODUCED, 'word2vec_text8'))
def test_every_experiment_builds_and_steps_twice_at_its_smoke_size(name, tiny_sets):
    module, config = smoke(name)
    assert config.seed == 0 and config.steps > 0
    if 'data_dir' in config:
        config.data_dir = str(tiny_sets)
    experiment = module.build(config)
    mesh = make_mesh(jax.devices()[:1])
    rules = getattr(module, 'RULES', ())
    options = dict(rules=rules, workdir=tiny_sets / 'run', every=Every(1, 2, 2))
    state = train(experiment, seed=0, steps=2, mesh=mesh, **options)
    rows = (tiny_sets / 'run' / 'metrics.jsonl').read_text().splitlines()
    assert len(rows) == 2
    pictured = [probe for probe in experiment.probes.values() if not probe.scores]
    assert len(list((tiny_sets / 'run' / 'samples').iterdir())) >= len(pictured)
    placement(make_mesh(model=2), rules, jax.eval_shape(lambda: state))  # every rule fits
    for suffix, _ in rules:
        assert any(f'/{name}'.endswith(f'/{suffix}') for name in paths(state))


@pytest.mark.parametrize('name', experiments_but(*LONG, *TRACED_LONG))
def test_every_seed_of_an_experiment_is_the_same_program(name, tiny_sets):
    def program(seed):
        module, config = smoke(name)
        config.update(
            {'seed': seed} | ({'data_dir': str(tiny_sets)} if 'data_dir' in config else {})
        )
        experiment, mesh = module.build(config), make_mesh(jax.devices()[:1])
        feed, state = as_feed(experiment.data.train), check(experiment, mesh=mesh)
        with jax.set_mesh(mesh):
            given = (
                run_keys(seed).steps,
                state,
                feed_args(feed, mesh, 1, 0)(1),
                np.int32(0),
                np.int32(1),
            )
            return jax.jit(fold_steps(experiment.algorithm, feed, 1)).lower(*given).as_text()

    assert program(0) == program(1)


@pytest.mark.slow
@pytest.mark.parametrize('name', EXPERIMENTS)
def test_an_experiment_spends_no_key_twice(name, tiny_sets, monkeypatch):
    module, config = smoke(name)
    if 'data_dir' in config:
        config.data_dir = str(tiny_sets)
    require_keys_spent_once(module.build(config), monkeypatch)


def paths(tree):
    return [
        jax.tree_util.keystr(path, simple=True, separator='/')
        for path, _ in jax.tree.leaves_with_path(tree)
    ]


@pytest.mark.parametrize(
    ('flag', 'message'),
    [
        ('--config.unet.dropout=2.0', 'dropout is 2.0; it must lie in [0, 1)'),
        ('--config.unet.attend_at=(5,)', 'attend_at is (5,); the levels have resolutions [12, 6]'),
        ('--config.unet.width=0', 'width is 0; it must be positive and even'),
        ('--config.ddpm.decay=1.0', 'decay is 1.0; the average needs 0 <= decay < 1'),
        ('--config.size=5', 'size is 5; digits has images of 8 x 8 and needs at least that'),
        ('--config.batch=1504', 'batch is 1504; a set of 1500 examples allows 1 to 1500'),
    ],
)
def test_what_an_experiment_refuses_is_one_line_before_anything_is_written(
    flag, message, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    assert main(['--exp', 'ddpm_digits', flag]) == 2
    assert capsys.readouterr().err == f'{message}\n'
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize(('name', 'angle'), [('ect_cifar', False), ('sct_cifar', True)])
def test_consistency_models_begin_with_the_weights_of_a_denoiser(
    name, angle, tiny_sets, monkeypatch
):
    """As their pages say: every weight of the denoiser is taken, and nothing but a weight of times
    is new."""
    monkeypatch.chdir(tiny_sets)
    data = f'--config.data_dir={tiny_sets}'
    denoiser = [f'--config.angle={angle}', '--config.augment=0', data]
    assert main([*smoke_words('edm_cifar'), *denoiser, '--workdir=denoiser']) == 0
    begin = [*smoke_words(name), data, '--init_from=denoiser', '--workdir=consistency']
    assert main([*begin, '--until=1']) == 0
    manifest = json.loads((tiny_sets / 'consistency' / 'manifest.json').read_text())
    beginning = manifest['launches'][0]['init_from']
    assert len(beginning['taken']) > 50 and not beginning['only there']
    learnt = ['params/log_weight/Dense_0/bias', 'params/log_weight/Dense_0/kernel']
    assert beginning['only here'] == (learnt if angle else [])
    assert main(begin) == 0

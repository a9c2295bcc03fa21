"""Several processes that train one run."""

import functools
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

import jax
import pytest

from genjax.training import evaluate, make_mesh, restore
from genjax.training.mesh import process_shard
from launch.__main__ import main
from launch.cli.refusal import Refused
from launch.run import distributed
from tests.programs import processes

ROOT = pathlib.Path(__file__).parents[3]
# All are slow: two processes wait for each other at every sum over devices.
CASES = pytest.mark.parametrize('case', ['streamed', 'ddpm', 'vae', 'gan', 'word2vec'])


def started(words, folder):
    """Two processes of two CPU devices each, which find each other."""
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        address = f'127.0.0.1:{free.getsockname()[1]}'
    given = os.environ | {
        'JAX_COORDINATOR_ADDRESS': address,
        'JAX_NUM_PROCESSES': '2',
        'PYTHONPATH': str(ROOT),
    }
    given |= {
        'JAX_NUM_CPU_DEVICES': '2',
        'JAX_PLATFORMS': 'cpu',
        'JAX_DISABLE_MOST_OPTIMIZATIONS': '1',
    }
    given |= {'JAX_COMPILATION_CACHE_DIR': str(ROOT / '.pytest_cache/xla')}

    def begin(i):
        with open(folder / f'process-{i}.log', 'w') as log:
            words_of_i = dict(
                env=given | {'JAX_PROCESS_ID': str(i)}, cwd=folder, stdout=log, stderr=log
            )
            return subprocess.Popen([sys.executable, '-m', *words], **words_of_i)

    return [begin(i) for i in range(2)]


def ended(pair, folder, timeout=500):
    """(exit code, what it said) of each."""
    try:
        return [
            (process.wait(timeout), (folder / f'process-{i}.log').read_text())
            for i, process in enumerate(pair)
        ]
    finally:
        for process in pair:
            process.kill()
            process.wait()


@pytest.fixture(scope='module')
def two(tmp_path_factory):
    """case -> the run directory in which two processes have trained it."""
    folder = tmp_path_factory.mktemp('two')

    @functools.cache
    def trained(case):
        for code, said in ended(
            started(['tests.programs.processes', str(folder), case], folder), folder
        ):
            assert code == 0, said
        return folder / case

    return trained


def metrics(workdir):
    rows = [json.loads(line) for line in (workdir / 'metrics.jsonl').read_text().splitlines()]

    def left_out(name):
        return name.startswith('time/') or name in ('step', 'gradient_norm')

    return {(row['step'], name): row[name] for row in rows for name in row if not left_out(name)}


@pytest.mark.slow
@CASES
def test_two_processes_of_two_devices_are_one_of_four(case, two, tmp_path):
    processes.run(case, tmp_path, make_mesh(jax.devices()[:4]))
    expected = metrics(tmp_path / case)
    assert {(25, 'test/loss'), (50, 'test/loss')} <= set(expected)
    assert metrics(two(case)) == pytest.approx(expected, rel=1e-6, abs=1e-6)


@pytest.mark.slow
@CASES
def test_what_two_processes_saved_one_restores_and_goes_on_with(case, two, tmp_path):
    experiment, mesh = processes.experiment(case), make_mesh(jax.devices()[:4])
    step, state = restore(experiment, mesh=mesh, workdir=two(case))
    expected = metrics(two(case))[(50, 'test/loss')]
    assert step == 50
    assert evaluate(experiment, state, seed=3, mesh=mesh)['test/loss'] == pytest.approx(
        expected, rel=1e-6
    )


def test_a_batch_has_a_part_for_each_process():
    assert process_shard(make_mesh()) == (0, 1)


@pytest.mark.parametrize(
    ('given', 'message'),
    [
        (
            {'JAX_COORDINATOR_ADDRESS': 'a:1', 'JAX_NUM_PROCESSES': '2'},
            '--distributed needs JAX_PROCESS_ID too',
        ),
        (
            {'JAX_NUM_PROCESSES': '2', 'JAX_PROCESS_ID': '0'},
            '--distributed needs JAX_COORDINATOR_ADDRESS too',
        ),
        (
            {'JAX_COORDINATOR_ADDRESS': 'a:1', 'JAX_NUM_PROCESSES': '2', 'JAX_PROCESS_ID': '2'},
            'JAX_NUM_PROCESSES is 2 and JAX_PROCESS_ID is 2; needed: numbers, the second below '
            'the first',
        ),
        (
            {'JAX_COORDINATOR_ADDRESS': 'a:1', 'JAX_NUM_PROCESSES': 'two', 'JAX_PROCESS_ID': '1'},
            'JAX_NUM_PROCESSES is two and JAX_PROCESS_ID is 1; needed: numbers, the second below '
            'the first',
        ),
    ],
)
def test_what_names_no_processes_is_refused(given, message):
    with pytest.raises(Refused, match=f'^{message}'):
        distributed.join(True, given)


@pytest.mark.parametrize(
    ('given', 'several'),
    [
        ({}, False),
        ({'SLURM_PROCID': '0', 'SLURM_STEP_NUM_TASKS': '2'}, True),
        ({'SLURM_PROCID': '0', 'SLURM_STEP_NUM_TASKS': '1'}, False),
        (
            {'SLURM_PROCID': '0', 'SLURM_NTASKS': '2'},
            False,
        ),  # a script of several tasks, itself no step
        ({'TPU_WORKER_HOSTNAMES': 'a,b'}, True),
        ({'TPU_WORKER_HOSTNAMES': 'localhost'}, False),
    ],
)
def test_what_schedulers_start_several_of_is_known_by_their_variables(given, several):
    assert distributed.is_one_of_several(given) is several


TINY = {
    'batch': 80,
    'widths': '(8,)',
    'importance': 50,
    'samples': 40,
    'classifier': 2,
    'every.log': 10,
}
SMOKE = ['--exp=vae_digits', *(f'--config.{key}={value}' for key, value in TINY.items())]


@pytest.mark.slow
def test_a_signal_to_one_process_stops_both_and_one_process_goes_on(tmp_path):
    """The second process alone is told; both save the same step and leave with 75."""
    words = ['launch', *SMOKE, '--config.steps=100000', '--workdir=run', '--distributed']
    pair = started(words, tmp_path)
    log = tmp_path / 'run/metrics.jsonl'
    while not (log.exists() and log.read_text().count('\n') > 3) and pair[0].poll() is None:
        time.sleep(0.2)
    pair[1].send_signal(signal.SIGTERM)
    assert [code for code, _ in ended(pair, tmp_path)] == [75, 75]
    (step,) = [int(path.name) for path in (tmp_path / 'run/checkpoints').glob('[0-9]*')]
    again = [*SMOKE, '--config.steps=100000', f'--workdir={tmp_path}/run', f'--until={step + 40}']
    assert main(again) == 0
    assert (tmp_path / f'run/checkpoints/{step + 40}').is_dir()


@pytest.mark.slow
def test_a_directory_that_is_held_is_refused_to_both(tmp_path):
    words = ['launch', *SMOKE, '--config.steps=10', '--workdir=run', '--distributed']
    (tmp_path / 'run').mkdir()
    holder = subprocess.Popen(['flock', 'run/.lock', 'sleep', '100'], cwd=tmp_path)
    try:
        found = ended(started(words, tmp_path), tmp_path)
    finally:
        holder.kill()
        holder.wait()
    assert [code for code, _ in found] == [2, 2]
    assert 'workdir run is held by' in found[0][1] and 'the first process refused' in found[1][1]
    assert sorted(path.name for path in (tmp_path / 'run').iterdir()) == ['.lock']

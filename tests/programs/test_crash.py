"""Runs that are killed with -9 at any moment end as undisturbed ones; the attack sees any loss."""

import pathlib
import shutil
import sys

import numpy as np
import pytest

from genjax.base import Embedding
from genjax.training.report import open_report
from launch.__main__ import main
from tests.programs import crash

# A launch whose experiments are those of a folder, its first argument.
LAUNCH_OF_FOLDER = """
import sys
import experiments
experiments.__path__[:] = [sys.argv.pop(1)]
from launch.__main__ import main
sys.exit(main(sys.argv[1:]))
"""
TOYS = str(pathlib.Path(__file__).parents[1] / 'experiments')


@pytest.mark.slow
def test_a_toy_that_is_killed_during_a_save_ends_as_one_that_was_not(tmp_path):
    flags = ['--exp=toy', '--config.steps=24', '--config.walk.rate=0.01']
    command = [sys.executable, '-c', LAUNCH_OF_FOLDER, TOYS, *flags]
    outcome = crash.attack(command, tmp_path, kills=1, seed=0)
    assert outcome.killed == [outcome.reference]
    assert (outcome.kills, outcome.saves) == (1, 1)


@pytest.mark.slow
@pytest.mark.parametrize('name', crash.FAMILIES)
def test_a_run_that_is_killed_five_times_ends_as_one_that_was_not(name, tmp_path):
    command = [sys.executable, '-m', 'launch', '--exp', name, *crash.FAMILIES[name].split()]
    outcome = crash.attack(command, tmp_path, kills=5, seed=1)
    print(crash.summary(name, outcome))
    assert all(run == outcome.reference for run in outcome.killed)
    assert outcome.saves


def test_the_moments_of_kills_follow_from_the_seed_and_cover_start_up_steps_and_saves():
    kills = list(crash.kill_schedule(20, 100, 5.0, 10.0, 3))
    assert kills == list(crash.kill_schedule(20, 100, 5.0, 10.0, 3))
    assert kills != list(crash.kill_schedule(20, 100, 5.0, 10.0, 4))
    steps = [kill.step for kill in kills if kill.step is not None]
    assert steps == sorted(steps)
    assert 0 <= steps[0] < 25
    assert 75 < steps[-1] <= 100
    assert sum(kill.save for kill in kills) == 8
    assert sum(kill.step is None for kill in kills) == 4
    assert max(kill.wait for kill in kills if kill.step is None) > 2.5


def shell(*lines):
    """A command that a shell carries out in place of a launch; $RUN is its run directory."""
    return ['sh', '-c', '; '.join(['RUN=${0#--workdir=}; mkdir -p $RUN/checkpoints', *lines])]


COUNTING = (
    'for i in 1 2 3 4 5 6 7 8 9; do echo "{\\"step\\": $i}" >> $RUN/metrics.jsonl; sleep 0.1; done'
)


def test_a_kill_comes_once_a_step_is_made_or_not_at_all(tmp_path):
    run = tmp_path / 'run'
    assert not crash.launch_until_killed(shell(COUNTING), run, crash.Kill(0.0, 2.5))
    assert 3 <= crash.last_step(run, 0) < 9
    assert crash.launch_until_killed(shell(COUNTING), tmp_path / 'other', crash.Kill(0.0, 10.0))
    assert crash.last_step(tmp_path / 'other', 0) == 9


def test_a_kill_waits_for_a_save(tmp_path):
    save = 'mkdir $RUN/checkpoints/9.orbax-checkpoint-tmp; sleep 1; rmdir $RUN/checkpoints/*'
    kill = crash.Kill(0.0, 2.5, save=True)
    assert not crash.launch_until_killed(shell(COUNTING, save), tmp_path / 'run', kill)
    assert crash.has_partial_checkpoint(tmp_path / 'run')
    assert crash.last_step(tmp_path / 'run', 0) == 9


def test_a_launch_that_fails_by_itself_is_no_kill(tmp_path):
    with pytest.raises(AssertionError, match='broken'):
        crash.launch_until_killed(shell('echo broken', 'exit 3'), tmp_path / 'run', crash.Kill(9.0))


def cut_the_manifest(run):
    (run / 'manifest.json').write_text('{"config"')


def empty_the_config(run):
    (run / 'config.json').write_text('')


def repeat_the_lines(run):
    path = run / 'metrics.jsonl'
    path.write_text(path.read_text() * 2)


def set_checkpoints_aside(run):
    (run / 'checkpoints.damaged').mkdir()


DISORDER = {
    'manifest.json': cut_the_manifest,
    'config.json': empty_the_config,
    'a line twice': repeat_the_lines,
    'damaged': set_checkpoints_aside,
}


@pytest.mark.parametrize('name', DISORDER)
def test_disorder_is_seen(name, tmp_path):
    (tmp_path / 'run.log').write_text('')
    run = tmp_path / 'run'
    run.mkdir()
    crash.check_run(run)
    for path in ('config.json', 'manifest.json'):
        (run / path).write_text('{"steps": 1}')
    (run / 'metrics.jsonl').write_text('{"step": 1}\n{"step": 2}\n{"ste')
    crash.check_run(run)
    DISORDER[name](run)
    with pytest.raises((AssertionError, ValueError)):
        crash.check_run(run)


def change_a_metric(run):
    path = run / 'metrics.jsonl'
    path.write_text(path.read_text().replace('"loss": ', '"loss": 1'))


def change_the_state(run):
    own = run / 'checkpoints' / '2' / 'state'
    shutil.rmtree(own)
    shutil.copytree(run.parent / 'other' / 'checkpoints' / '2' / 'state', own)


def empty_a_sample(run):
    first = min((run / 'samples').iterdir())
    first.write_bytes(b'')


# field of Results -> what changes it alone
LOSSES = {'metrics': change_a_metric, 'states': change_the_state, 'samples': empty_a_sample}


@pytest.fixture
def run(folder, capsys):
    for name, rate in {'run': '0.5', 'other': '0.4'}.items():
        assert main(['--exp=toy', f'--workdir={name}', f'--config.walk.rate={rate}']) == 0
    return folder / 'run'


def test_what_is_lost_is_seen(run):
    whole = crash.read_results(run, [2, 4])
    assert whole == crash.read_results(run, [2, 4])
    assert all(whole)
    for name, change in LOSSES.items():
        copy = run.parent / 'copy' / 'run'
        shutil.copytree(run, copy)
        shutil.copytree(run.parent / 'other', copy.parent / 'other')
        change(copy)
        results = crash.read_results(copy, [2, 4])
        changed = [
            field for field in whole._fields if getattr(results, field) != getattr(whole, field)
        ]
        assert changed == [name]
        shutil.rmtree(copy.parent)


@pytest.mark.slow
def test_a_checkpoint_that_was_half_deleted_goes_at_the_next_save(folder, capsys):
    command = ['--exp=toy', '--config.steps=10', '--workdir=run']
    assert main([*command, '--until=6']) == 0
    saved = folder / 'run' / 'checkpoints'
    shutil.copytree(saved / '4', saved / '2')
    shutil.rmtree(saved / '2' / 'metrics')
    (saved / '2' / '_CHECKPOINT_METADATA').unlink()
    assert main(command) == 0
    assert sorted(path.name for path in saved.iterdir()) == ['10', '8']


def test_vectors_that_were_half_written_are_written_again(tmp_path, capsys):
    """The projector's list of them is written last."""
    files = [tmp_path / '00005' / 'words' / name for name in ('metadata.tsv', 'tensors.tsv')]
    files[0].parent.mkdir(parents=True)
    files[0].write_text('a\n')
    for _ in range(2):
        with open_report(tmp_path, start=0, steps=10) as report:
            report.write(5, {'words': Embedding(['a', 'b'], np.eye(2, dtype=np.float32))})
        assert [path.read_text() for path in files] == ['a\nb\n', '1.0\t0.0\n0.0\t1.0\n']
        assert (tmp_path / 'projector_config.pbtxt').read_text().count('tensor_path') == 1
    assert not capsys.readouterr().out

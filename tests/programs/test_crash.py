"""Runs that are killed with -9 at any moment end as those that nobody disturbed; and the attack
sees what is lost."""

import pathlib
import shutil
import sys

import numpy as np
import pytest

from genjax.base import Embedding
from genjax.training.report import open_report
from launch.__main__ import main
from tests.programs import crash

TOY = (
    'import sys, experiments; experiments.__path__[:] = [sys.argv.pop(1)]; '
    'from launch.__main__ import main; sys.exit(main(sys.argv[1:]))'
)
PLACE = str(pathlib.Path(__file__).parents[1] / 'experiments')


def test_a_toy_that_is_killed_during_a_save_ends_as_one_that_was_not(tmp_path):
    command = [
        sys.executable,
        '-c',
        TOY,
        PLACE,
        '--exp=toy',
        '--config.steps=24',
        '--config.walk.rate=0.01',
    ]
    found = crash.attack(command, tmp_path, kills=1, seed=0)
    assert found.killed == [found.whole] and (found.kills, found.saves) == (1, 1)


@pytest.mark.slow
@pytest.mark.parametrize('name', crash.FAMILIES)
def test_a_run_that_is_killed_five_times_ends_as_one_that_was_not(name, tmp_path):
    command = [sys.executable, '-m', 'launch', '--exp', name, *crash.FAMILIES[name].split()]
    found = crash.attack(command, tmp_path, kills=5, seed=1)
    print(crash.told(name, found))
    assert all(run == found.whole for run in found.killed) and found.saves


def test_the_moments_of_kills_follow_from_the_seed_and_cover_start_up_steps_and_saves():
    found = list(crash.moments(20, 100, 5.0, 10.0, 3))
    assert (
        found
        == list(crash.moments(20, 100, 5.0, 10.0, 3))
        != list(crash.moments(20, 100, 5.0, 10.0, 4))
    )
    steps = [kill.step for kill in found if kill.step is not None]
    assert steps == sorted(steps) and 0 <= steps[0] < 25 and 75 < steps[-1] <= 100
    assert [sum(kill.save for kill in found), sum(kill.step is None for kill in found)] == [8, 4]
    assert max(kill.wait for kill in found if kill.step is None) > 2.5


def writer(*lines):
    """A command that a shell carries out in place of a launch, $RUN being its run directory."""
    return ['sh', '-c', '; '.join(['RUN=${0#--workdir=}; mkdir -p $RUN/checkpoints', *lines])]


COUNTING = (
    'for i in 1 2 3 4 5 6 7 8 9; do echo "{\\"step\\": $i}" >> $RUN/metrics.jsonl; sleep 0.1; done'
)


def test_a_kill_comes_once_a_step_is_made_or_not_at_all(tmp_path):
    run = tmp_path / 'run'
    assert not crash.launched(writer(COUNTING), run, crash.Kill(0.0, 2.5))
    assert 3 <= crash.reached(run, 0) < 9
    assert crash.launched(writer(COUNTING), tmp_path / 'other', crash.Kill(0.0, 10.0))
    assert crash.reached(tmp_path / 'other', 0) == 9


def test_a_kill_waits_for_a_save(tmp_path):
    saves = 'mkdir $RUN/checkpoints/9.orbax-checkpoint-tmp; sleep 1; rmdir $RUN/checkpoints/*'
    assert not crash.launched(writer(COUNTING, saves), tmp_path / 'run', crash.Kill(0.0, 2.5, True))
    assert crash.half_saved(tmp_path / 'run') and crash.reached(tmp_path / 'run', 0) == 9


def test_a_launch_that_fails_by_itself_is_no_kill(tmp_path):
    with pytest.raises(AssertionError, match='broken'):
        crash.launched(writer('echo broken', 'exit 3'), tmp_path / 'run', crash.Kill(9.0))


def repeat_a_line(run):
    path = run / 'metrics.jsonl'
    path.write_text(path.read_text() * 2)


DISORDER = {
    'manifest.json': lambda run: (run / 'manifest.json').write_text('{"config"'),
    'config.json': lambda run: (run / 'config.json').write_text(''),
    'a line twice': repeat_a_line,
    'damaged': lambda run: (run / 'checkpoints.damaged').mkdir(),
}


@pytest.mark.parametrize('name', DISORDER)
def test_disorder_is_seen(name, tmp_path):
    (tmp_path / 'run.log').write_text('')
    run = tmp_path / 'run'
    run.mkdir()
    crash.check(run)
    for path in ('config.json', 'manifest.json'):
        (run / path).write_text('{"steps": 1}')
    (run / 'metrics.jsonl').write_text('{"step": 1}\n{"step": 2}\n{"ste')
    crash.check(run)
    DISORDER[name](run)
    with pytest.raises((AssertionError, ValueError)):
        crash.check(run)


def change_a_metric(run):
    path = run / 'metrics.jsonl'
    path.write_text(path.read_text().replace('"loss": ', '"loss": 1'))


def change_the_state(run):
    here, there = (run.parent / name / 'checkpoints' / '2' for name in ('run', 'other'))
    shutil.rmtree(here / 'state')
    shutil.copytree(there / 'state', here / 'state')


LOSSES = {
    'metrics': change_a_metric,
    'states': change_the_state,
    'samples': lambda run: _first(run).write_bytes(b''),
}


def _first(run):
    return min((run / 'samples').iterdir())


@pytest.fixture
def run(folder, capsys):
    for name, rate in {'run': '0.5', 'other': '0.4'}.items():
        assert main(['--exp=toy', f'--workdir={name}', f'--config.walk.rate={rate}']) == 0
    return folder / 'run'


def test_what_is_lost_is_seen(run):
    whole = crash.results(run, [2, 4])
    assert whole == crash.results(run, [2, 4]) and all(whole)
    for name, spoil in LOSSES.items():
        copy = run.parent / 'copy' / 'run'
        shutil.copytree(run, copy)
        shutil.copytree(run.parent / 'other', copy.parent / 'other')
        spoil(copy)
        found = crash.results(copy, [2, 4])
        assert [
            field for field in whole._fields if getattr(found, field) != getattr(whole, field)
        ] == [name]
        shutil.rmtree(copy.parent)


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
    """The projector's list of them comes last."""
    files = [tmp_path / '00005' / 'words' / name for name in ('metadata.tsv', 'tensors.tsv')]
    files[0].parent.mkdir(parents=True)
    files[0].write_text('a\n')
    for _ in range(2):
        with open_report(tmp_path, start=0, steps=10) as report:
            report.write(5, {'words': Embedding(['a', 'b'], np.eye(2, dtype=np.float32))})
        assert [path.read_text() for path in files] == ['a\nb\n', '1.0\t0.0\n0.0\t1.0\n']
        assert (tmp_path / 'projector_config.pbtxt').read_text().count('tensor_path') == 1
    assert not capsys.readouterr().out

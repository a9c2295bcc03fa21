"""Runs that differ in their seed alone: which they are, and launches of several as one program."""

import contextlib
import subprocess

import pytest

from launch.__main__ import main
from launch.run import rundir, signals
from launch.sweep import grouping, local
from launch.sweep.points import Point, log_of
from launch.viewer.reading import find_runs
from tests.training.test_seeds import assert_alike


def sweep(*words):
    return main(['--exp=toy', '--sweep=seed=0:2', '--vmap=seed', *words])


@pytest.fixture
def here(monkeypatch):
    """Has workers run in this process, which knows the experiments of the tests."""

    def started(point, given):
        with (
            open(log_of(point), 'a') as log,
            contextlib.redirect_stdout(log),
            contextlib.redirect_stderr(log),
        ):
            code = main(point.argv)
        return subprocess.Popen(['sh', '-c', f'exit {code}'])

    given = local.run
    monkeypatch.setattr(local, 'run', lambda *args: given(*args, started))
    monkeypatch.setattr(local, 'accelerators', lambda: contextlib.nullcontext(list))


@pytest.mark.slow
def test_a_sweep_by_vmap_leaves_what_separate_runs_leave(folder, here, capsys):
    (folder / 'runs').mkdir()
    assert sweep('--sweep=walk.rate=0.25,0.5') == 0
    assert main(['--exp=toy', '--config.seed=1', '--config.walk.rate=0.25', '--workdir=alone']) == 0
    made = find_runs([folder / 'runs'])
    assert len(made) == 4 and {each.status for each in made} == {'done'}
    assert len(list((folder / 'runs').glob('*.log'))) == 2  # a program for each rate
    (one,) = (
        each.workdir
        for each in made
        if (each.config['seed'], each.config['walk.rate']) == (1, 0.25)
    )
    assert_alike(one, folder / 'alone')

    def names(place):
        return sorted(str(path.relative_to(place)) for path in (place / 'samples').iterdir())

    assert names(one) == names(folder / 'alone')
    flags = rundir.read(one / 'manifest.json')['launches'][0]['flags']
    assert flags == ['--exp=toy', '--config.walk.rate=0.25', '--config.seed=1']
    capsys.readouterr()
    assert sweep('--sweep=walk.rate=0.25,0.5') == 0  # nothing is left to do
    assert main(flags) == 0 and main([*flags, '--mode=sample']) == 0


@pytest.mark.slow
def test_a_sweep_by_vmap_goes_on_and_counts_what_failed(folder, here, monkeypatch, capsys):
    (folder / 'runs').mkdir()
    assert sweep('--until=2') == 0
    assert sweep() == 0
    assert [line.split()[-1] for line in capsys.readouterr().out.splitlines()[-2:]] == ['done'] * 2
    assert sweep('--config.walk.rate=1e30') == 2


@pytest.mark.slow
def test_a_signal_saves_all_runs(folder, monkeypatch):
    again = ['--exp=toy', '--seeds=0:3']
    with monkeypatch.context() as patch:
        patch.setattr(signals, 'stop_requests', lambda: contextlib.nullcontext(lambda: True))
        assert main(again) == 75
    assert [rundir.last_step(path) for path in sorted((folder / 'runs').iterdir())] == [2, 2, 2]
    assert main(again) == 0


def test_groups_are_what_differs_in_the_seed_alone(tmp_path, monkeypatch):
    made = [
        Point({'a': a, 'seed': s}, [f'--config.a={a}', f'--config.seed={s}'], tmp_path / (a + s), 4)
        for a, s in ('x0', 'y0', 'x1', 'x2')
    ]
    (tmp_path / 'x1/checkpoints/4').mkdir(parents=True)
    assert grouping.groups(made, 2) == [[0, 3], [1], [2]]
    assert grouping.groups(made, 6) == [[0], [3], [1], [2]]
    monkeypatch.setattr(grouping, 'cores', lambda: 2)
    assert [grouping.program_count([made[0]] * n) for n in (1, 7, 8, 40)] == [1, 1, 2, 2]
    assert grouping.program_count([made[2]] * 8) == 1  # they are done
    joined = grouping.joined([made[0], made[3]])
    assert joined.argv == ['--config.a=x', '--seeds=0,2'] and joined.workdir == made[0].workdir
    assert grouping.joined([made[1]]) == made[1]
    assert grouping.by_point(made, [[0, 3], [1], [2]], {0: 3, 1: 0}) == {0: 3, 3: 3, 1: 0}


WRONG = {
    '--vmap=seed': '--vmap is given without --sweep',
    '--vmap=batch': '--vmap is batch; it takes seed',
    '--vmap=seed=0:2': '--vmap is seed=0:2; it takes seed',
    '--seeds=0:2 --sweep=steps=2,3': '--seeds is of one launch; with --sweep or --on slurm seeds '
    'are given by --sweep seed=A,B,C, and --vmap makes them one program',
    '--seeds=0:2 --on=slurm': '--seeds is of one launch; with --sweep or --on slurm seeds '
    'are given by --sweep seed=A,B,C, and --vmap makes them one program',
    '--seeds=0:2 --distributed': '--seeds trains in one process; it takes no --distributed',
    '--seeds=0:2 --config.seed=1': '--config.seed is given with --seeds; it is given twice',
    '--seeds=0:2 --workdir=a': '--workdir is given with --seeds; each run has its own',
    '--seeds=0:2 --parallel=pmap': '--seeds trains, and compiles by jit; it takes no --mode and no '
    '--parallel',
    '--seeds=0:2 --mode=sample': '--seeds trains, and compiles by jit; it takes no --mode and no '
    '--parallel',
    '--seeds=0:10001': '--seeds is 0:10001, 10001 values; 10000 are the most',
    '--seeds=3:3': '--seeds is 3:3, which is no seed',
    '--seeds=1,0,1': '--seeds is 1,0,1, which has a value twice',
    '--seeds=-1': '--seeds is -1; it takes a,b,c or a:b, as 0:4 for 0, 1, 2, 3',
    '--seeds=a,b': '--seeds is a,b; it takes a,b,c or a:b, as 0:4 for 0, 1, 2, 3',
}


@pytest.mark.parametrize('line', WRONG)
def test_what_cannot_be_trained_together_is_refused(line, folder, capsys):
    assert main(['--exp=toy', *line.split()]) == 2
    assert capsys.readouterr().err == f'{WRONG[line]}\n'
    assert not list(folder.iterdir())

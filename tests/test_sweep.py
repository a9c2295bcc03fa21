"""Sweeps: which points there are, that all are checked before the first starts, and how they are run."""

import hashlib
import itertools
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from launch import catalogue, local, points
from launch.__main__ import main
from launch.flags import parse
from launch.points import Point

HERE = pathlib.Path(__file__).parent


def test_points_are_every_combination_the_last_axis_changing_fastest(folder):
    flags = parse(['--exp=toy', '--sweep=seed=0:2', '--sweep', 'walk.sizes=(1,2),[3, 4]', '--sweep=walk.rate=1e-1,1'])
    product = itertools.product(('0', '1'), ('(1,2)', '[3, 4]'), ('1e-1', '1'))
    assert points.points(flags) == [dict(zip(('seed', 'walk.sizes', 'walk.rate'), p, strict=True)) for p in product]


def test_the_experiments_own_points_are_combined_with_others(folder, monkeypatch):
    own = lambda: iter([{'walk.rate': 0.1}, {'walk.rate': 0.5, 'seed': 7}])
    monkeypatch.setattr(catalogue.load('toy'), 'sweep', own, raising=False)
    found = points.points(parse(['--exp=toy', '--sweep=own', '--sweep=steps=2,3']))
    assert found == [
        {'walk.rate': '0.1', 'steps': '2'},
        {'walk.rate': '0.5', 'seed': '7', 'steps': '2'},
        {'walk.rate': '0.1', 'steps': '3'},
        {'walk.rate': '0.5', 'seed': '7', 'steps': '3'},
    ]


WRONG = {
    '--sweep=seed': '--sweep is seed; it takes key=a,b,c or key=0:4, or own for those of the experiment',
    '--sweep=seed=': '--sweep is seed=; it takes key=a,b,c or key=0:4, or own for those of the experiment',
    '--sweep=seed=4:4': '--sweep is seed=4:4; it takes key=a,b,c or key=0:4, or own for those of the experiment',
    '--sweep=seed=1,,2': '--sweep is seed=1,,2; it takes key=a,b,c or key=0:4, or own for those of the experiment',
    '--sweep=seed=1,2,1': '--sweep is seed=1,2,1, which has a value twice',
    '--sweep=own': '--sweep is own, and toy has no sweep of its own',
    '--sweep=seed=1,2 --sweep=seed=3': 'seed is given twice, by --sweep and --config or by two of --sweep',
    '--sweep=seed=1,2 --config.seed=3': 'seed is given twice, by --sweep and --config or by two of --sweep',
    '--sweep=sede=1,2': 'point 1 of the sweep, sede=1: --config.sede is not in the config; did you mean seed?',
    '--sweep=walk.rate=0.1,0.2,fast': 'point 3 of the sweep, walk.rate=fast: --config.walk.rate takes a finite float, '
    'not fast',
    '--sweep=walk.rate=0.1,0.10': 'two points of the sweep are the same run, runs/toy-HASH',
    '--sweep=seed=0:2 --workdir=a': '--sweep trains, each point in a directory of its own; it takes no --workdir and '
    'no --mode',
    '--dry_run': '--dry_run is given without --sweep',
    '--workers=2': '--workers is given without --sweep',
    '--sweep=seed=0:2 --workers=0': '--workers is 0; it takes a whole number, 1 or more',
    '--sweep=seed=0:2 --dry_run=maybe': '--dry_run is maybe; it takes true or false',
}


@pytest.mark.parametrize('line', WRONG)
def test_a_wrong_sweep_costs_nothing(line, folder, capsys):
    assert main(['--exp=toy', *line.split(' ')]) == 2
    says = WRONG[line]
    if 'HASH' in says:
        says = says.replace('HASH', capsys.readouterr().err.strip()[-8:])
    else:
        assert capsys.readouterr().err == f'{says}\n'
    assert not list(folder.iterdir())


def test_a_dry_run_prints_the_points_and_starts_none(folder, capsys):
    assert main(['--exp=toy', '--config.seed=1']) == 0
    capsys.readouterr()
    assert main(['--exp=toy', '--sweep=seed=0:3', '--dry_run']) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [(line[0], line[-1]) for line in lines] == [('new', 'seed=0'), ('done', 'seed=1'), ('new', 'seed=2')]
    assert len(list((folder / 'runs').iterdir())) == 1


def made(folder, n):
    return [Point({'seed': str(i)}, [], folder / f'run-{i}', 4) for i in range(n)]


def shell(line):
    """A start that runs a line of the shell in place of a launch, with $RUN and $DEVICE set."""

    def start(point, device):
        with open(local.log_of(point), 'a') as log:
            given = os.environ | {'RUN': str(point.workdir), 'DEVICE': str(device)}
            return subprocess.Popen(['sh', '-c', line], env=given, stdout=log, stderr=log)

    return start


def test_what_is_done_is_skipped_and_a_failure_stops_no_other(tmp_path, capsys):
    found = made(tmp_path, 4)
    (tmp_path / 'run-1/checkpoints/4').mkdir(parents=True)
    line = 'case $RUN in *2) echo broken; exit 3;; *) mkdir -p $RUN/checkpoints/4; echo fine;; esac'
    assert local.run(found, 2, [], lambda: False, shell(line)) == {0: 0, 2: 3, 3: 0}
    assert [points.status(point) for point in found] == ['done', 'done', 'new', 'done']
    out = capsys.readouterr().out
    assert out.count('fine') == 2 and 'seed=2  FAILED with 3: broken' in out and 'run-1' not in out
    assert local.run(found, 2, [], lambda: False, shell('mkdir -p $RUN/checkpoints/4')) == {2: 0}


def test_so_many_at_a_time_each_on_a_device_of_its_own(tmp_path):
    line = (
        'echo $DEVICE; mkdir $RUN.on.$DEVICE || exit 1; ls -d *.on.* | wc -l >> count; sleep 0.3; rmdir $RUN.on.$DEVICE'
    )
    local.run(made(tmp_path, 5), 2, ['0', '1'], lambda: False, shell(f'cd {tmp_path}; {line}'))
    assert max(map(int, (tmp_path / 'count').read_text().split())) == 2
    assert sorted(path.read_text().strip() for path in tmp_path.glob('*.log'))[::4] == ['0', '1']


def test_an_interrupted_sweep_starts_nothing_more_and_tells_what_runs_to_leave(tmp_path):
    asked = iter([False] * 4)
    codes = local.run(made(tmp_path, 3), 1, [], lambda: next(asked, True), shell("trap 'exit 75' TERM; sleep 5 & wait"))
    assert codes == {0: 75}


@pytest.mark.parametrize(('codes', 'code'), [((0, 0), 0), ((0, 75), 75), ((3, 75), 1), ((3, -9), 2)])
def test_the_exit_code_counts_failures_or_says_that_one_was_stopped(codes, code, folder, monkeypatch, capsys):
    monkeypatch.setattr(local, 'run', lambda *args: dict(enumerate(codes)))
    monkeypatch.setattr(local, 'accelerators', list)
    assert main(['--exp=toy', '--sweep=seed=0:2']) == code


SMOKE = {
    'vae_digits': '--config.steps=400 --config.widths=(8,) --config.importance=50 --config.samples=40 '
    '--config.classifier=2 --config.every.save=20 --config.every.log=20',
    'ddpm_digits': '--config.steps=24 --config.ddpm.steps=6 --config.unet.width=8 --config.every.save=2 '
    '--config.every.log=2',
    'gan_digits': '--config.steps=400 --config.widths=(8,) --config.samples=40 --config.classifier=2 '
    '--config.every.save=20 --config.every.log=20',
}


def command(name):
    return [sys.executable, '-m', 'launch', '--exp', name, *SMOKE[name].split(), '--sweep=seed=0:4', '--workers=2']


def results(folder):
    """A digest of metrics.jsonl without its clocks, norms of gradients among them, by run."""
    found = {}
    for run in sorted((folder / 'runs').glob('*-????????')):
        rows = [json.loads(line) for line in (run / 'metrics.jsonl').read_text().splitlines()]
        rows = [{name: value for name, value in row.items() if not name.startswith('time/')} for row in rows]
        found[run.name] = hashlib.sha256(json.dumps(rows).encode()).hexdigest()
    return found


@pytest.mark.slow
@pytest.mark.parametrize('name', SMOKE)
def test_a_sweep_that_is_killed_and_launched_again_ends_as_one_that_was_not(name, tmp_path):
    """Four points; parent and workers are killed with -9 when a first checkpoint lies there."""
    whole, killed = (dict(cwd=tmp_path / place, env=os.environ | {'PYTHONPATH': str(HERE.parent)}) for place in 'ab')
    for place in 'ab':
        (tmp_path / place).mkdir()
    subprocess.run(command(name), check=True, **whole)
    parent = subprocess.Popen(command(name), start_new_session=True, **killed)
    while not list((tmp_path / 'b/runs').glob('*/checkpoints/[0-9]*')):
        assert parent.poll() is None
        time.sleep(0.1)
    children = subprocess.run(['pgrep', '-P', str(parent.pid)], capture_output=True, text=True).stdout.split()
    for process in [parent.pid, *map(int, children)]:
        os.kill(process, signal.SIGKILL)
    parent.wait()
    subprocess.run(command(name), check=True, **killed)
    assert len(results(tmp_path / 'a')) == 4
    assert results(tmp_path / 'b') == results(tmp_path / 'a')

"""--steps: a run that is there is made longer, as if it had been so long from the beginning."""

import json
import pathlib

import pytest

from genjax.training.digest import digest
from launch.__main__ import main
from launch.replay import main as replay
from launch.run import rundir
from launch.run.saved import open_saved
from launch.viewer.reading import read_run

PAGE = pathlib.Path(__file__).parents[2] / 'experiments/_drawn.py'
EXP = f'--exp={PAGE}'


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def train(*words, code=0):
    assert main([EXP, *words]) == code


def rows(run):
    """The lines of metrics.jsonl by step, without clocks."""
    lines = map(json.loads, (pathlib.Path(run) / 'metrics.jsonl').read_text().splitlines())
    return {
        line['step']: {k: v for k, v in line.items() if not k.startswith('time/')} for line in lines
    }


def test_a_longer_run_is_to_the_bit_what_it_is_when_trained_straight(capsys):
    train('--workdir=a')
    config = rundir.read(pathlib.Path('a/config.json'))
    train('--workdir=a', '--steps=13')
    train('--workdir=b', '--config.steps=13')
    a, b = open_saved('a'), open_saved('b')
    assert a.step == b.step == a.plan.config.steps == 13
    assert digest(a.state) == digest(b.state)
    assert rows('a') == rows('b')
    assert rundir.read(pathlib.Path('a/config.json')) == config and config['steps'] == 6
    assert rundir.read(pathlib.Path('a/manifest.json'))['steps'] == 13
    run = read_run(pathlib.Path('a'))
    assert (run.status, run.step, run.config['steps']) == ('done', 13, 13)
    capsys.readouterr()
    assert replay(['a', '--steps=13']) == 0
    assert ': equal to the bit: ' in capsys.readouterr().out


@pytest.mark.slow
def test_the_same_command_goes_on_and_the_directory_is_the_same():
    train()
    (run,) = pathlib.Path('runs').iterdir()
    train('--steps=12', '--until=8')
    assert rundir.last_step(run) == 8
    train()
    assert rundir.last_step(run) == 12
    train('--steps=12')
    train('--until=13', '--steps=14')
    assert rundir.last_step(run) == 13
    train('--steps=14')
    assert rundir.last_step(run) == 14
    assert list(pathlib.Path('runs').iterdir()) == [run]


REFUSED = {
    '--workdir=even --steps=5': '--steps is 5; the run in even has 6, and it takes more',
    '--workdir=new --steps=8': '--steps is 8, and workdir new holds no run to make longer;'
    ' --config.steps=8 trains one of so many steps',
    '--workdir=cosine --config.cosine=true --steps=8': '--steps is 8, and what an update of _drawn'
    ' does hangs on the length of the run, 6, as where a learning rate decays over it;'
    ' --config.steps=8 trains another run',
    '--workdir=even --steps=8 --until=9': '--until is 9; it takes 1 to 8, the steps of the config',
    '--workdir=even --steps=8 --mode=sample': '--steps makes one run longer; it takes no --mode,'
    ' --seeds, --sweep or --on',
    '--workdir=even --steps=0': '--steps is 0; it takes a whole number, 1 or more',
}


def test_refuses_in_one_line_and_writes_nothing(capsys):
    train('--workdir=even')
    train('--workdir=cosine', '--config.cosine=true')
    before = {p: p.stat().st_mtime_ns for p in pathlib.Path().rglob('*') if p.is_file()}
    for line, says in REFUSED.items():
        capsys.readouterr()
        train(*line.split(), code=2)
        assert capsys.readouterr() == ('', says + '\n')
    after = {p: p.stat().st_mtime_ns for p in pathlib.Path().rglob('*') if p.is_file()}
    assert after == before

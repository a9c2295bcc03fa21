"""Run directories read back, and the table of them."""

import json

import pytest

from launch import status
from launch.cli.refusal import Refused
from launch.run import lock
from launch.viewer.reading import find_runs, read_run
from launch.viewer.runs import differing_keys, last_metrics, seconds


def make(folder, name, config, rows, *, done=False, ended=None):
    run = folder / name
    (run / 'checkpoints').mkdir(parents=True)
    launch = {} if ended is None else {'ended': ended}
    (run / 'config.json').write_text(
        json.dumps({'seed': 0, 'steps': 4, 'adam': {'rate': 0.1}} | config)
    )
    (run / 'manifest.json').write_text(json.dumps({'experiment': 'toy', 'launches': [{}, launch]}))
    (run / 'metrics.jsonl').write_text(''.join(f'{json.dumps(row)}\n' for row in rows))
    if done:
        (run / 'checkpoints/4').mkdir()
    return run


ROWS = [
    {'step': 2, 'loss': 2.0, 'time/seconds': 5.0, 'test/loss': 3.0},
    {'step': 3, 'loss': 1.5, 'time/seconds': 2.0},
    {'step': 4, 'loss': 1.0, 'time/seconds': 4.0, 'test/loss': 1.25, 'scores/x': 7.0},
]


@pytest.fixture
def runs(tmp_path):
    make(tmp_path, 'a', {}, ROWS, done=True)
    make(tmp_path, 'b', {'seed': 1}, ROWS[:1])
    make(tmp_path, 'c', {'adam': {'rate': 1.0}}, [], ended='step 1: loss is nan')
    return tmp_path


def test_runs_are_found_by_themselves_or_in_a_folder_and_once(runs):
    assert [run.workdir.name for run in find_runs([runs, runs / 'a'])] == ['a', 'b', 'c']
    assert [run.workdir.name for run in find_runs([runs / 'b'])] == ['b']
    with pytest.raises(Refused, match=r'nowhere is no directory$'):
        find_runs([runs / 'nowhere'])
    with pytest.raises(Refused, match=r'checkpoints holds no run$'):
        find_runs([runs / 'a/checkpoints'])


def test_a_status_is_what_the_directory_tells(runs):
    assert [run.status for run in find_runs([runs])] == ['done', 'stopped', 'step 1: loss is nan']
    with lock.locked(runs / 'b'):
        assert read_run(runs / 'b').status == 'running'
    assert read_run(runs / 'b').status == 'stopped'  # and looking did not take the lock
    with lock.locked(runs / 'b'):
        pass


def test_numbers_of_a_run(runs):
    run = read_run(runs / 'a')
    assert (run.step, seconds(run), last_metrics(run)) == (
        4,
        9.0,
        {'test/loss': 1.25, 'scores/x': 7.0},
    )
    with open(runs / 'a/metrics.jsonl', 'a') as file:
        file.write('{"step": 5, "lo')
    assert read_run(runs / 'a').step == 4
    assert differing_keys(find_runs([runs])) == ['seed', 'adam.rate']


def test_the_table(runs, capsys):
    assert status.main([str(runs)]) == 0
    head, *lines = [line.replace(str(runs), '.') for line in capsys.readouterr().out.splitlines()]
    assert head.split() == ['run', 'status', 'step', 'time', 'seed', 'adam.rate', 'test/loss']
    assert [line.split('  ') for line in lines][0][0] == './a'
    assert [' '.join(line.split()) for line in lines] == [
        './a done 4/4 0:00:09 0 0.1 1.25',
        './b stopped 2/4 0:00:05 1 0.1 3',
        './c step 1: loss is nan 0/4 0:00:00 0 1.0 -',
    ]


def test_wrong_folders_are_refused_in_one_line(tmp_path, capsys):
    assert status.main([str(tmp_path / 'x')]) == 2
    assert capsys.readouterr().err == f'{tmp_path}/x is no directory\n'
    assert status.main([]) == 2

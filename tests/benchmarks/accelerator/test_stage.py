"""The process of a stage: its command line, and what it writes while it measures."""

import json
import os
import pathlib
import select
import signal
import subprocess
import sys

import pytest

from benchmarks.accelerator import report, setting, stage
from benchmarks.accelerator.plan import CHIP, GROUPS, LEAST, STAGES, TOTAL, Stage
from benchmarks.accelerator.setting import Setting, Skipped, require_data


def measure_some(setting, add, number):
    add('a number', number, 'ms')
    add('a word', 'gpu', note='of it')
    if number == 7:
        raise Skipped('the rest is not here')
    if number == 8:
        raise ValueError('wrong')


@pytest.fixture
def place(tmp_path):
    return Setting(tmp_path / 'out', tmp_path / 'work', tmp_path / 'a data', True, 12.5)


def test_what_a_command_line_says_is_read(place):
    assert stage.read(stage.command('chip', place)[3:]) == ('chip', place)
    other = place._replace(data=None, small=False)
    assert stage.read(stage.command('em', other)[3:]) == ('em', other)


@pytest.mark.parametrize('number', [1, 7, 8])
def test_a_row_is_there_as_soon_as_it_is_known(number, place, monkeypatch):
    made = Stage('made', f'{__name__}:measure_some', 9.0, (number,))
    monkeypatch.setitem(STAGES, 'made', made)
    if number == 8:
        with pytest.raises(ValueError, match='wrong'):
            stage.run('made', place)
    else:
        stage.run('made', place)
    rows = report.read_rows(place.out, 'made')
    assert rows[:2] == [
        {'what': 'a number', 'value': number, 'unit': 'ms', 'note': ''},
        {'what': 'a word', 'value': 'gpu', 'unit': '', 'note': 'of it'},
    ]
    assert rows[2:] == ([{'skipped': 'the rest is not here'}] if number == 7 else [])


def test_rows_of_an_earlier_process_go(tmp_path):
    path = tmp_path / 'rows.jsonl'
    for value in (1, 2):
        write = stage.writer(path)
        write({'value': value})
    assert json.loads(path.read_text()) == {'value': 2}


def test_data_are_asked_for_by_name(place):
    place.data.mkdir()
    (place.data / 'text').mkdir()
    assert require_data(place, 'text') == [place.data / 'text']
    with pytest.raises(Skipped, match='words is not there'):
        require_data(place, 'text', 'words')
    with pytest.raises(Skipped, match='--data DIR'):
        require_data(place._replace(data=None), 'text')


@pytest.mark.parametrize('name', STAGES)
def test_every_stage_is_a_function_of_the_package(name):
    """Found in the source, since to import them all takes long."""
    module, _, function = STAGES[name].function.partition(':')
    path = pathlib.Path(setting.__file__).parents[2] / f'{module.replace(".", "/")}.py'
    assert f'\ndef {function}(setting: Setting, add: Add' in path.read_text()


def test_the_plan_ends_within_nine_minutes_with_the_most_important_first():
    assert TOTAL + LEAST / 2 < 540
    names = [one.name for group in GROUPS for one in group]
    assert len(set(names)) == len(names)
    assert names[0] == 'unet_bfloat16'
    assert CHIP.seconds + GROUPS[0][0].seconds < TOTAL


def test_the_end_of_the_program_is_the_end_of_its_stages():
    """A stage whose parent is killed leaves nothing behind, nor what it has started."""
    inner = (
        'import os, subprocess, sys, time\n'
        'from benchmarks.accelerator.stage import end_with\n'
        'end_with(os.getppid())\n'
        'child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])\n'
        'print(child.pid, flush=True)\n'
        'time.sleep(600)\n'
    )
    outer = (
        'import subprocess, sys\n'
        f'subprocess.run([sys.executable, "-c", {inner!r}], start_new_session=True)\n'
    )
    root = pathlib.Path(setting.__file__).parents[2]
    process = subprocess.Popen([sys.executable, '-c', outer], cwd=root, stdout=subprocess.PIPE)
    with process.stdout as pipe:
        child = int(pipe.readline())
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        # The pipe ends when no process has its other end any more.
        ended, _, _ = select.select([pipe], [], [], 120)
        if not ended:
            os.kill(child, signal.SIGKILL)
    assert ended

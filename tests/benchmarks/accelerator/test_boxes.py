"""Processes that hang, crash or are killed, each in its box."""

import os
import pathlib
import sys
import time

import pytest

from benchmarks.accelerator.boxes import DONE, close_box, last_line, look, open_box


def run(code, tmp_path, seconds=60.0):
    """How a program ends, and its box once that is closed."""
    command = [sys.executable, '-S', '-c', code]
    box = open_box(command, seconds=seconds, log=tmp_path / 'logs' / 'x.txt', env=os.environ)
    while not look(box):
        time.sleep(0.02)
    how = look(box)
    close_box(box)
    return how, box


@pytest.mark.parametrize(
    'code, how',
    [
        ('print(1)', DONE),
        ('raise ValueError("no such thing")', 'failed, exit code 1: ValueError: no such thing'),
        ('import sys; sys.exit(3)', 'failed, exit code 3: it said nothing'),
        (
            'import os; print("at work", flush=True); os.kill(os.getpid(), 9)',
            'failed, SIGKILL, as where memory ran out: at work',
        ),
        ('import os; os.abort()', 'failed, SIGABRT: it said nothing'),
    ],
)
def test_it_says_how_a_process_ended(code, how, tmp_path):
    assert run(code, tmp_path)[0] == how


def test_what_hangs_is_stopped_with_all_that_it_has_started(tmp_path):
    child = 'import time; time.sleep(600)'
    code = (
        'import subprocess, sys, time\n'
        f'child = subprocess.Popen([sys.executable, "-S", "-c", {child!r}])\n'
        'print(child.pid, flush=True)\n'
        'time.sleep(600)'
    )
    how, box = run(code, tmp_path, seconds=1.5)
    assert how == 'stopped: its 2 s were over'
    assert box.process.returncode == -9
    pid = int(last_line(box.log))
    deadline = time.monotonic() + 20
    while alive(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not alive(pid)


def alive(pid):
    """Whether a process goes on; one that nobody has waited for yet does not."""
    try:
        stat = pathlib.Path(f'/proc/{pid}/stat').read_text()
    except FileNotFoundError:
        return False
    return stat.rpartition(')')[2].split()[0] != 'Z'


def test_a_process_that_ended_by_itself_leaves_none_behind(tmp_path):
    child = 'import time; time.sleep(600)'
    code = (
        'import subprocess, sys\n'
        f'print(subprocess.Popen([sys.executable, "-S", "-c", {child!r}]).pid, flush=True)'
    )
    how, box = run(code, tmp_path)
    assert how == DONE
    pid = int(last_line(box.log))
    deadline = time.monotonic() + 20
    while alive(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not alive(pid)


def test_the_last_line_that_says_anything(tmp_path):
    log = tmp_path / 'log'
    log.write_bytes(b'first\nRESOURCE_EXHAUSTED: \xff\n \n\n')
    assert last_line(log) == 'RESOURCE_EXHAUSTED: \N{REPLACEMENT CHARACTER}'
    log.write_text('x' * 1000)
    assert last_line(log) == 'x' * 200

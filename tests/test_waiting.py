"""What a program is at: on a terminal at once, in a log after seconds, and only where asked for."""

import io
import itertools
import subprocess
import sys
import time

import pytest

from genjax import waiting
from genjax.waiting import doing


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    """[seconds], the time that the module sees."""
    now = [0.0]
    monkeypatch.setattr(waiting.time, 'perf_counter', lambda: now[0])
    return now


def top():
    return waiting._stack[-1] if waiting._stack else None


def test_a_log_has_a_line_after_five_seconds_of_one_thing_and_twice_as_many(clock):
    log = io.StringIO()
    look = waiting._in_log(log)
    with doing('compiling'):
        for clock[0] in range(45):  # noqa: B007
            look(top())
    with doing('measuring'):
        for clock[0] in range(45, 49):  # noqa: B007
            look(top())
    look(top())
    assert log.getvalue().splitlines() == [f'compiling  {n} s' for n in (5, 10, 20, 40)]


def test_a_terminal_has_one_line_that_is_gone_when_the_thing_is_done(clock):
    screen = Terminal()
    look = waiting._on_terminal(screen)
    with doing('starting'):
        clock[0] = 1.2
        look(top())
        with doing('checking'):
            clock[0] = 3.0
            look(top())
        with doing(''):  # what says itself how far it is
            look(top())
        look(top())
    look(top())
    assert screen.getvalue().split('\r\x1b[K')[1:] == [
        'starting  1 s',
        'checking  2 s',
        '',
        'starting  3 s',
        '',
    ]


def test_an_error_takes_the_line_away_too():
    with pytest.raises(ValueError, match='^x$'), doing('checking'):
        raise ValueError('x')
    assert waiting._stack == []


def test_nothing_is_said_where_no_program_asked_for_it(capsys):
    with doing('compiling'):
        time.sleep(0.01)
    assert capsys.readouterr() == ('', '')


PROGRAM = """
import sys, time
from genjax import waiting
waiting.FIRST = 0
waiting.show_waits(sys.stderr, every=0.01)
with waiting.doing('compiling'):
    time.sleep(30)
"""


def test_a_program_is_watched_while_it_works_and_ends_when_it_ends():
    command = [sys.executable, '-c', PROGRAM]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as program:
        lines = list(itertools.islice(program.stderr, 2))
        program.terminate()
    assert [line.split()[0] for line in lines] == ['compiling', 'compiling']

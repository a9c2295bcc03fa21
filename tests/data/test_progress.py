"""The line of a long reading."""

import io

import pytest

from genjax.data import progress as module
from genjax.data.progress import progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_on_a_terminal_the_first_and_the_last_are_shown():
    stream = Terminal()
    with progress(stream, 'decoding', 'images', 2000) as show:
        for i in range(2000):
            show(i + 1)
    shown = stream.getvalue().split('\r\x1b[K')
    assert shown[1].startswith('decoding  1/2,000 images  ')
    assert shown[-1].startswith('decoding  2,000/2,000 images  ') and shown[-1].endswith('/s\n')
    assert len(shown) < 2000


def test_in_a_log_there_is_a_line_after_five_seconds_and_then_a_minute(monkeypatch):
    now = 0.0

    def clock():
        return now

    monkeypatch.setattr(module.time, 'perf_counter', clock)
    stream = io.StringIO()
    with progress(stream, 'reading', 'words') as show:
        for now in range(1, 150):  # noqa: B007
            show(10 * now)
    assert stream.getvalue().splitlines() == [
        'reading  50 words  10 words/s',
        'reading  650 words  10 words/s',
        'reading  1,250 words  10 words/s',
    ]


def test_an_error_ends_the_line():
    stream = Terminal()
    with pytest.raises(ValueError, match='^x$'), progress(stream, 'reading', 'words'):
        raise ValueError('x')
    assert stream.getvalue() == '\n'

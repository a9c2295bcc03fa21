"""What a run leaves to look at."""

import datetime
import io
import json
import time

import numpy as np
import pytest
from PIL import Image

from genjax.base import Embedding
from genjax.training.progress import make_live_line
from genjax.training.report import open_report
from genjax.training.samples import write_curve


def test_every_kind_of_value_lands_where_it_is_looked_for(tmp_path):
    picture = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    values = {
        'loss': 0.5,
        'probe/grid': picture,
        'probe/film': np.stack([picture, picture + 1]),
        'probe/words': 'hello',
        'probe/rows': [{'word': 'a', 'count': 1}, {'word': 'b', 'count': 2}],
        'probe/vectors.bin': b'\0\1',
        'probe/projector': Embedding(['a', 'b'], np.array([[1, 2], [3, 4]], np.float32)),
    }
    with open_report(tmp_path, start=0, steps=10) as report:
        report.write(5, values)
    assert json.loads((tmp_path / 'metrics.jsonl').read_text()) == {'step': 5, 'loss': 0.5}
    samples = tmp_path / 'samples'
    with Image.open(samples / 'probe_grid_00000005.png') as image:
        np.testing.assert_array_equal(image, picture)
    with Image.open(samples / 'probe_film_00000005.gif') as image:
        assert image.n_frames == 2
    assert (samples / 'probe_words_00000005.txt').read_text() == 'hello'
    assert (samples / 'probe_rows_00000005.tsv').read_text() == 'word\tcount\na\t1\nb\t2\n'
    assert (samples / 'probe_vectors_00000005.bin').read_bytes() == b'\0\1'
    assert len(list(samples.iterdir())) == 5
    projected = tmp_path / '00005' / 'probe_projector'
    assert (projected / 'metadata.tsv').read_text().split() == ['a', 'b']
    np.testing.assert_array_equal(np.loadtxt(projected / 'tensors.tsv'), [[1, 2], [3, 4]])
    assert '00005/probe_projector/tensors.tsv' in (tmp_path / 'projector_config.pbtxt').read_text()
    assert list(tmp_path.glob('events.out.tfevents.*'))


def test_a_resumed_run_projects_its_vectors_once(tmp_path, capsys):
    for _ in range(2):
        with open_report(tmp_path, start=0, steps=10) as report:
            report.write(5, {'words': Embedding(['a', 'b'], np.eye(2, dtype=np.float32))})
    assert (tmp_path / 'projector_config.pbtxt').read_text().count('embeddings') == 1
    assert not capsys.readouterr().out


def test_the_curve_shows_both_losses(tmp_path):
    rows = [
        {'step': 1, 'loss': 3.0},
        {'step': 2, 'loss': 1.0, 'test/loss': 2.0},
        {'step': 3, 'rate': 1.0, 'loss': None},
    ]
    (tmp_path / 'samples').mkdir()
    (tmp_path / 'metrics.jsonl').write_text(''.join(f'{json.dumps(row)}\n' for row in rows))
    write_curve(tmp_path)
    picture = np.asarray(Image.open(tmp_path / 'samples' / 'loss.png'))
    colours = {tuple(c) for c in picture.reshape(-1, 3)}
    assert {(0x1F, 0x77, 0xB4), (0xFF, 0x7F, 0x0E)} <= colours


def test_a_run_without_losses_has_no_curve(tmp_path):
    (tmp_path / 'metrics.jsonl').write_text('{"step": 1, "pairs": 2.0}\n')
    write_curve(tmp_path)
    assert not (tmp_path / 'samples').exists()


def test_a_number_that_is_none_is_null_in_the_lines(tmp_path):
    with open_report(tmp_path, start=0, steps=10) as report:
        report.write(1, {'a': float('nan'), 'b': np.float32(2)})
    assert json.loads((tmp_path / 'metrics.jsonl').read_text()) == {'step': 1, 'a': None, 'b': 2.0}


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_the_live_line_is_drawn_where_a_terminal_is():
    watched = Terminal()
    with open_report(None, start=0, steps=10, stream=watched) as report:
        report.show(5, {'gradient_norm': 2.0, 'loss': 0.25})
        report.show(10, {'gradient_norm': 2.0, 'loss': 0.25})
    assert watched.getvalue().startswith(
        '\r\x1b[Kstep 0/10  compiling'
    )  # a run within a run begins a line of its own
    first, last = watched.getvalue().split('\r\x1b[K')[2:]
    assert first == 'step 5/10  50%  loss 0.25'  # of one call, which compiled, no rate is known
    assert last.startswith('step 10/10 100%') and 'steps/s' in last
    assert watched.getvalue().endswith('left  loss 0.25\n')


def test_a_live_line_counts_what_it_is_told_to():
    watched = Terminal()
    line = make_live_line(20, 70, watched, unit='sample')
    line.show(45, {})
    line.show(70, {})
    line.end()
    begun, first, last = watched.getvalue().split('\r\x1b[K')[1:]
    assert (begun, first) == ('sample 20/70  compiling', 'sample 45/70  64%')
    assert last.startswith('sample 70/70 100%  ') and last.endswith(' samples/s  0:00:00 left\n')


def test_a_log_has_a_line_after_ten_seconds_and_then_a_minute(monkeypatch):
    clock, log = [0.0], io.StringIO()
    monkeypatch.setattr(time, 'perf_counter', lambda: clock[0])
    with open_report(None, start=0, steps=200, stream=log) as report:
        for step in range(1, 201):
            clock[0] += 0.5
            report.show(step, {'loss': 0.25})
    assert log.getvalue().splitlines() == [
        'step 20/200  10%  2 steps/s  0:01:30 left  loss 0.25',
        'step 140/200  70%  2 steps/s  0:00:30 left  loss 0.25',
    ]


def test_the_rate_counts_the_steps_since_the_program_was_compiled_or_the_last_write(monkeypatch):
    clock = 0.0
    monkeypatch.setattr(time, 'perf_counter', lambda: clock)
    found = []
    with open_report(None, start=100, steps=200) as report:
        # (step, seconds that it took to come there): the first call compiles, and calls differ in
        # length
        for step, took in [(110, 85.0), (120, 2.0), (125, 1.0), (145, 8.0), (146, 1.0)]:
            clock += took
            report.show(step, {'loss': 1.0})
            found.append(report.clock(step))
            if step in (125, 145):
                clock += 30  # an evaluation
                report.write(step, {'loss': 1.0})
                assert report.clock(step) == {'time/seconds': clock}
    assert found == [
        {'time/seconds': 85.0},
        {'time/seconds': 87.0, 'time/steps_per_second': 5.0},
        {'time/seconds': 88.0, 'time/steps_per_second': 5.0},
        {'time/seconds': 126.0, 'time/steps_per_second': 2.5},
        {'time/seconds': 157.0, 'time/steps_per_second': 1.0},
    ]


@pytest.mark.parametrize('start', [0, 400_000])
def test_the_time_left_is_of_the_steps_since_the_program_was_compiled(start, monkeypatch):
    clock, watched = 0.0, Terminal()
    monkeypatch.setattr(time, 'perf_counter', lambda: clock)
    with open_report(None, start=start, steps=800_000, stream=watched) as report:
        for calls in range(1, 6):
            clock += 85 if calls == 1 else 1
            report.show(start + 20 * calls, {'loss': 0.25})
    lines = [
        line.partition('%  ')[2].split('  ') for line in watched.getvalue().split('\r\x1b[K')[2:]
    ]
    assert [len(line) for line in lines] == [1, 3, 3, 3, 3]  # a rate needs two calls
    for calls, (rate, left, _) in enumerate(lines[1:], 2):
        seconds = (800_000 - start - 20 * calls) / 20
        assert (rate, left) == ('20 steps/s', f'{datetime.timedelta(seconds=seconds)} left')

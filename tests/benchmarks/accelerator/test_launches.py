"""Following the record of a run while it is written."""

import json
import os
import sys
import time
from functools import partial

import pytest

from benchmarks.accelerator import launches
from benchmarks.accelerator.setting import Setting


def program(record, lines, pause=0.3, code=0):
    """A command that writes lines, each in two parts, and ends so."""
    text = (
        'import sys, time\n'
        f'for line in {lines!r}:\n'
        f'    with open({str(record)!r}, "a") as file:\n'
        '        file.write(line[:4]); file.flush(); time.sleep(0.1)\n'
        '        file.write(line[4:] + "\\n")\n'
        f'    time.sleep({pause})\n'
        f'sys.exit({code})'
    )
    return [sys.executable, '-S', '-c', text]


def rows(*rates):
    """Lines of a record, the first without a rate."""
    found = []
    for i, rate in enumerate(rates):
        times = {'time/seconds': i + 0.5} | ({'time/steps_per_second': rate} if rate else {})
        found.append(json.dumps({'step': 100 * (i + 1)} | times))
    return found


def test_lines_come_whole_and_when_they_are_written(tmp_path):
    lines = rows(0, 40.0, 50.0)
    record = tmp_path / 'metrics.jsonl'
    start = time.perf_counter()
    found = list(launches.follow(program(record, lines), record, os.environ))
    whole = time.perf_counter() - start
    assert [row for _, row in found] == [json.loads(line) for line in lines]
    assert 0 < found[0][0] < found[1][0] < found[2][0] < whole


def test_a_launch_that_fails_does_so_after_its_lines(tmp_path):
    record = tmp_path / 'metrics.jsonl'
    lines = launches.follow(program(record, rows(0), code=2), record, os.environ)
    assert next(lines)[1]['step'] == 100
    with pytest.raises(RuntimeError, match='exit code 2'):
        list(lines)


def test_a_stage_has_the_first_metric_and_the_mean_of_the_next_rates(tmp_path, monkeypatch):
    place = Setting(tmp_path, tmp_path, None, True, time.time() + 60)
    lines = [json.loads(line) for line in rows(0, 40.0, 50.0, 60.0)]
    asked = []

    def follow(command, record, env):
        asked.append((command, env['XDG_CACHE_HOME']))
        return [(9.0 + i, row) for i, row in enumerate(lines)]

    monkeypatch.setattr(launches, 'follow', follow)
    for start in ('cold', 'warm'):
        found = {}
        launches.measure(place, partial(keep, found), 'ddpm', start)
        assert found['first metric'] == 9.0
        assert found['first metric, by its own clock'] == 0.5
        assert found['steps'] == 45.0  # of the two after the first
    (cold, caches), (warm, same_caches) = asked
    assert caches == same_caches
    assert cold != warm  # runs of their own


def keep(found, what, value, unit='', note=''):
    found[what] = value


def test_a_launch_has_no_compiled_programs_but_its_own(monkeypatch, tmp_path):
    monkeypatch.setenv('JAX_COMPILATION_CACHE_DIR', '/elsewhere')
    env = launches.environment(tmp_path)
    assert env['XDG_CACHE_HOME'] == str(tmp_path)
    assert 'JAX_COMPILATION_CACHE_DIR' not in env

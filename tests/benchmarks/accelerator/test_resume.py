"""Runs that are resumed in another process, and how their states are compared."""

import time

import pytest

from benchmarks.accelerator import resume
from benchmarks.accelerator.setting import Setting


def test_states_are_compared_leaf_by_leaf():
    state = {'params/a': 'float32 [2] 01', 'step': 'int32 [] 02'}
    assert resume.verdict(state, dict(state)) == 'to the bit'
    other = state | {'step': 'int32 [] 03'}
    assert resume.verdict(state, other) == 'DIFFERENT in 1 of 2 leaves, step first'
    assert resume.verdict(state, None) == resume.verdict(None, state) == 'not trained'


@pytest.mark.slow
def test_on_a_cpu_it_is_to_the_bit(tmp_path):
    place = Setting(tmp_path, tmp_path, None, True, time.time() + 600)
    found = {}
    resume.measure(place, lambda what, value, **note: found.update({what: value}))
    assert found == {f'VAE, {way}': 'to the bit' for way in resume.WAYS}


@pytest.mark.slow
def test_a_process_that_dies_is_told_by_its_last_line(tmp_path, monkeypatch):
    monkeypatch.setitem(resume.WAYS, 'by default', '--xla_no_such_flag=1')
    place = Setting(tmp_path, tmp_path, None, True, time.time() + 600)
    found = {}
    resume.measure(place, lambda what, value, note: found.update({what: (value, note)}))
    assert found['VAE, by default'][0] == 'not trained'
    assert found['VAE, by default'][1]
    assert found['VAE, deterministic operations'] == ('to the bit', '')

"""Who has the processor where XLA has more threads than there are cores."""

import os
import pathlib

import jax
import pytest

from launch.__main__ import main
from launch.run import actions, processor

pytestmark = pytest.mark.skipif(
    not hasattr(os, 'SCHED_BATCH'), reason='this system has no batch threads'
)


def pool():
    """The numbers of XLA's threads in this process."""
    jax.devices()
    threads = pathlib.Path('/proc/self/task').iterdir()
    return [int(each.name) for each in threads if processor.POOL in (each / 'comm').read_text()]


def policies():
    return {os.sched_getscheduler(thread) for thread in pool()}


@pytest.fixture(autouse=True)
def ordinary_again():
    yield
    for thread in pool():
        os.sched_setscheduler(thread, os.SCHED_OTHER, os.sched_param(0))


def test_a_launch_with_more_threads_than_cores_has_the_idle_ones_give_way(folder, monkeypatch):
    cores = len(os.sched_getaffinity(0))
    monkeypatch.setenv('NPROC', str(cores + 1))
    monkeypatch.setattr(actions, 'run_training', lambda plan: 0)
    assert main(['--exp=toy']) == 0
    assert policies() == {os.SCHED_BATCH}
    assert os.sched_getscheduler(0) == os.SCHED_OTHER  # that which gives out the work does not


def test_threads_that_have_a_core_each_are_left_as_they_are(monkeypatch):
    monkeypatch.delenv('NPROC', raising=False)
    processor.share_cores()
    assert policies() == {os.SCHED_OTHER}

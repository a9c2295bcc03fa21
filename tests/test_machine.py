"""Tests see the machine that everyone has, not what is installed on the one that they run on."""

import importlib.util
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

from tests.machine import CORES, MODULES

FOREIGN = ('sbatch', 'scontrol', 'chromium')

# A process that a test starts, which sees as little.
CHILD = """
import shutil
print(shutil.which('sbatch'))
try:
    import cv2
except ImportError:
    print('hidden')
"""


def test_nothing_optional_is_seen():
    assert not any(shutil.which(name) for name in FOREIGN)
    assert not any(importlib.util.find_spec(name) for name in MODULES)
    assert not (pathlib.Path.home() / FOREIGN[0]).exists()
    assert not [name for name in os.environ if name.startswith(('LC_', 'LANG', 'SLURM_'))]
    assert os.cpu_count() == CORES
    assert subprocess.check_output([sys.executable, '-c', CHILD], text=True) == 'None\nhidden\n'


@pytest.mark.peers
def test_a_marker_shows_what_there_is():
    if 'FOREIGN' not in os.environ:
        pytest.skip('only the test below, which says what there is, starts this one')
    assert [name for name in FOREIGN if shutil.which(name)] == os.environ['FOREIGN'].split()


@pytest.mark.slow
def test_whatever_is_installed_a_test_does_not_see_it_unless_it_asks(tmp_path, request):
    for name in FOREIGN:
        (tmp_path / name).write_text('#!/bin/sh\n')
        (tmp_path / name).chmod(0o755)
    for name in MODULES:
        (tmp_path / f'{name}.py').touch()
    environ = os.environ | {
        'PATH': f'{tmp_path}{os.pathsep}{os.environ["PATH"]}',
        'PYTHONPATH': str(tmp_path),
        'HOME': str(tmp_path),
        'LC_ALL': 'tr_TR.UTF-8',
        'SLURM_JOB_ID': '7',
        'FOREIGN': ' '.join(FOREIGN),
    }
    tests = [
        f'{__file__}::{test.__name__}'
        for test in (test_nothing_optional_is_seen, test_a_marker_shows_what_there_is)
    ]
    options = ['-n', '0', '-m', '', '-p', 'no:cacheprovider']
    done = subprocess.run(
        [sys.executable, '-m', 'pytest', *options, *tests],
        cwd=request.config.rootpath,
        env=environ,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout

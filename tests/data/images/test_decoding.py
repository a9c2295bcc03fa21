"""Image files one after the other: cropped and resampled, and the same by several processes."""

import os
import sys

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from genjax.data.images import decoding
from genjax.data.images.decoding import decode_in_order, to_square
from genjax.data.images.files import open_files
from tests.data.images.own_images import write_mixed, write_npz, write_zip

# Crop and resampling

shapes = st.tuples(st.integers(1, 40), st.integers(1, 40), st.sampled_from([1, 3]))
quick = hypothesis.settings(max_examples=60, derandomize=True, database=None, deadline=None)


@quick
@hypothesis.given(shapes, st.integers(1, 40), st.integers(0, 255))
def test_an_image_of_one_level_stays_of_that_level(shape, size, level):
    square = to_square(np.full(shape, level, np.uint8), size)
    assert (square.shape, square.dtype) == ((size, size, shape[2]), np.uint8)
    assert (square == level).all()


@quick
@hypothesis.given(shapes, st.integers(0, 2**32))
def test_at_its_own_size_the_middle_is_cut_out_and_nothing_else(shape, seed):
    image = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
    side = min(shape[:2])
    top, left = ((length - side) // 2 for length in shape[:2])
    expected = image[top : top + side, left : left + side]
    np.testing.assert_array_equal(to_square(image, side), expected)


@quick
@hypothesis.given(shapes, st.integers(1, 40), st.integers(0, 2**32))
def test_channels_are_resampled_alike(shape, size, seed):
    image = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
    together = to_square(image, size)
    apart = [to_square(image[..., i : i + 1], size) for i in range(shape[2])]
    np.testing.assert_array_equal(together, np.concatenate(apart, 2))


def test_what_is_finer_than_a_pixel_becomes_its_mean():
    """Without antialiasing a pattern of two pixels would become one of its levels, or a moire."""
    board = (np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8)[..., None]
    inner = to_square(board, 8)[1:-1, 1:-1].astype(int)
    assert abs(inner - 127.5).max() < 3


def test_a_ramp_stays_a_ramp():
    """Lanczos's kernel, normalised, is symmetric, so that it keeps a straight line within it."""
    ramp = np.broadcast_to(np.arange(64, dtype=np.uint8)[None, :, None] * 4, (64, 64, 1))
    inner = to_square(ramp, 16)[3:-3, 3:-3, 0].astype(float)
    centres = (np.arange(16) + 0.5) * 4 - 0.5  # of the new pixels, in old ones
    np.testing.assert_allclose(inner, np.broadcast_to(4 * centres[3:-3], inner.shape), atol=0.51)


# By several processes


@pytest.fixture
def by_processes(monkeypatch):
    """Files are decoded by three processes from the first on, a few at a time."""
    monkeypatch.setattr(decoding, 'PATIENCE', -1.0)
    monkeypatch.setattr(decoding, 'TOGETHER', 4 * 3 * 8**2)
    monkeypatch.setattr(os, 'cpu_count', lambda: 3)


def by_one(files, size):
    return [decoding._decoded(files, size, i) for i in range(len(files.names))]


@pytest.mark.parametrize('kind', ['folder', 'zip', 'npz'])
def test_processes_give_the_same_in_the_same_order(tmp_path, by_processes, kind):
    folder = tmp_path / 'set'
    write_mixed(folder, 30)
    for name in ('a', 'c'):
        (folder / 'kind 0' / f'{name}.png').write_bytes(b'no image')
    path = folder
    if kind == 'zip':
        path = write_zip(folder, tmp_path / 'set.zip')
    if kind == 'npz':
        mixed = tmp_path / 'mixed'
        write_mixed(mixed, 30)
        path = write_npz(mixed, tmp_path / 'set.npz', 8)
    files = open_files(path)
    found = list(decode_in_order(files, 8))
    assert len(found) == len(files.names) > 29
    assert sum(isinstance(image, str) for image in found) == (0 if kind == 'npz' else 2)
    for image, expected in zip(found, by_one(files, 8), strict=True):
        np.testing.assert_array_equal(image, expected)


def test_processes_leave_each_image_its_size(tmp_path, by_processes):
    write_mixed(tmp_path / 'set', 8)
    files = open_files(tmp_path / 'set')
    for image, expected in zip(decode_in_order(files, None), by_one(files, None), strict=True):
        np.testing.assert_array_equal(image, expected)


def test_files_that_change_meanwhile_are_refused(tmp_path, by_processes):
    write_mixed(tmp_path / 'set', 8)
    files = open_files(tmp_path / 'set')
    (tmp_path / 'set' / 'kind 0' / 'new.png').write_bytes(b'new')
    with pytest.raises(ValueError, match=r'set changed while it was read$'):
        next(decode_in_order(files, 8))


def test_a_process_that_ends_is_told(tmp_path, by_processes, monkeypatch):
    write_mixed(tmp_path / 'set', 8)
    files = open_files(tmp_path / 'set')
    (tmp_path / 'ends').write_text('#!/bin/sh\nexit 7\n')
    (tmp_path / 'ends').chmod(0o700)
    monkeypatch.setattr(sys, 'executable', str(tmp_path / 'ends'))
    with pytest.raises(ChildProcessError, match=r'a process that decodes .*set ended with 7$'):
        next(decode_in_order(files, 8))


def test_no_process_outlives_what_it_is_for(tmp_path, by_processes, monkeypatch):
    started = []

    class Noted(decoding.subprocess.Popen):
        def __init__(self, *args, **options):
            super().__init__(*args, **options)
            started.append(self)

    monkeypatch.setattr(decoding.subprocess, 'Popen', Noted)
    write_mixed(tmp_path / 'set', 30)
    images = decode_in_order(open_files(tmp_path / 'set'), 8)
    next(images)
    images.close()
    assert len(started) == 3 and all(process.returncode is not None for process in started)

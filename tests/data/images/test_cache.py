"""The cache of decoded images, on sets of our own that TFDS has no code for."""

import shutil

import numpy as np
import pytest

from genjax.data.images import cache, pixels
from tests.data.images.tiny_sets import (
    SHAPES,
    levels,
    mixed_files,
    open_files,
    open_shapes,
    prepare_files,
    prepare_shapes,
)


@pytest.fixture(autouse=True)
def users_cache(monkeypatch, tmp_path):
    """The user's own cache folder."""
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    return tmp_path / 'cache' / 'genjax'


def test_the_second_start_decodes_and_writes_nothing(tmp_path, monkeypatch):
    def times():
        return {path: path.stat().st_mtime_ns for path in tmp_path.rglob('*')}

    prepare_shapes(tmp_path, SHAPES)
    first = open_shapes(tmp_path)
    before = times()
    assert len(list(tmp_path.glob('shapes/*.npz'))) == 2
    monkeypatch.setattr(cache, '_decode', None)  # calling it would fail
    assert open_shapes(tmp_path).train.fingerprint == first.train.fingerprint
    assert times() == before


def test_a_spoilt_cache_is_not_used(tmp_path):
    first = open_shapes(prepare_shapes(tmp_path, SHAPES)).train.fingerprint
    (path,) = tmp_path.glob('shapes/*-train-*.npz')
    good = path.read_bytes()
    arrays = dict(np.load(path))
    # A sound file with other contents.
    np.savez(path, **arrays | {'image': arrays['image'] ^ np.uint8(1)})
    other = path.read_bytes()
    for bad in (other, good[:1000], b'', good[:500] + bytes([good[500] ^ 1]) + good[501:]):
        path.write_bytes(bad)
        assert open_shapes(tmp_path).train.fingerprint == first
        assert path.read_bytes() == good or np.array_equal(np.load(path)['image'], arrays['image'])


def test_a_set_prepared_anew_is_decoded_anew(tmp_path):
    first = open_shapes(prepare_shapes(tmp_path, SHAPES)).train.fingerprint
    shutil.rmtree(tmp_path / 'shapes' / '1.0.0')
    data = open_shapes(prepare_shapes(tmp_path, SHAPES, first=100))
    assert data.train.fingerprint != first
    assert levels(data.train[0]) == list(range(100, 109))


def test_beside_a_read_only_set_nothing_is_written(tmp_path, users_cache):
    given = prepare_shapes(tmp_path / 'given', SHAPES)
    for folder in (given, given / 'shapes', given / 'shapes' / '1.0.0'):
        folder.chmod(0o555)
    open_shapes(given)
    assert len(list(users_cache.glob('shapes-1.0.0-*.npz'))) == 2
    assert not list(given.rglob('*.npz'))


def test_no_cache_at_all_does_not_stop_a_run(tmp_path, users_cache):
    given = prepare_shapes(tmp_path / 'given', SHAPES)
    (given / 'shapes').chmod(0o555)
    users_cache.parent.write_text('in the way')
    assert levels(open_shapes(given).train[0]) == list(range(9))


def test_a_cache_of_another_decoder_is_not_used(tmp_path, monkeypatch):
    files, _ = mixed_files()
    prepare_files(tmp_path, files)
    kept = open_files(tmp_path, resident_bytes=2**30).train.fingerprint
    streamed = open_files(tmp_path, resident_bytes=0).train.fingerprint
    caches = set(tmp_path.glob('files/*.npz'))

    monkeypatch.setattr(pixels, 'VERSION', 0)
    assert open_files(tmp_path).train.fingerprint == kept  # the pixels are the same
    assert len(set(tmp_path.glob('files/*.npz')) - caches) == 2
    assert open_files(tmp_path, resident_bytes=0).train.fingerprint != streamed

    def black(rgba, channels):
        return np.zeros_like(rgba[..., :channels])

    monkeypatch.setattr(pixels, '_project', black)
    monkeypatch.setattr(pixels, 'VERSION', -1)
    assert open_files(tmp_path).train.fingerprint != kept

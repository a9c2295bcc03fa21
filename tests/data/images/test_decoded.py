"""Images of one's own brought to one size, and their cache."""

import json

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st
from PIL import Image

from genjax.data.images import decoded, pixels
from genjax.data.images.decoded import decode_files
from genjax.data.images.decoding import to_square
from genjax.data.images.files import open_files
from tests.data.images.own_images import snapshot, write_bad, write_mixed


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    """The user's own cache folder of images."""
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    return tmp_path / 'cache' / 'genjax' / 'images'


# Writing

quick = hypothesis.settings(max_examples=60, derandomize=True, database=None, deadline=None)
images = st.lists(st.tuples(st.booleans(), st.integers(0, 255)), min_size=1, max_size=12)


@quick
@hypothesis.given(images, st.integers(1, 50))
def test_grey_levels_are_repeated_once_a_colour_comes(tmp_path_factory, drawn, bytes_at_a_time):
    rng = np.random.default_rng(drawn[0][1])
    written = [rng.integers(0, 256, (3, 2, 3 if colour else 1), np.uint8) for colour, _ in drawn]
    channels = max(image.shape[2] for image in written)
    expected = np.stack([np.broadcast_to(image, (3, 2, channels)) for image in written])
    path = tmp_path_factory.mktemp('written') / 'a.npy'
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decoded, 'BYTES', bytes_at_a_time)
        decoded._write(path, iter(written))
    np.testing.assert_array_equal(np.load(path), expected)


def test_images_are_those_of_the_files_in_their_order(tmp_path):
    write_mixed(tmp_path / 'set', 150)
    files = open_files(tmp_path / 'set')
    found = decode_files(files, 16)
    assert found.images.shape == (150, 16, 16, 3)
    assert found.rows.tolist() == list(range(150)) and found.unreadable == ()
    for i, image in enumerate(found.images):
        np.testing.assert_array_equal(
            image, np.broadcast_to(to_square(files.decoded(i), 16), (16, 16, 3))
        )


def test_grey_images_have_one_channel(tmp_path):
    (tmp_path / 'set').mkdir()
    for i in range(3):
        levels = np.full((4, 4, 3), 10 * i, np.uint8)
        Image.fromarray(levels).save(tmp_path / 'set' / f'{i}.png')
    assert decode_files(open_files(tmp_path / 'set'), None).images.shape == (3, 4, 4, 1)


def test_without_a_size_there_is_one(tmp_path):
    (tmp_path / 'set').mkdir()
    for name, size in (('a', (4, 3)), ('b', (4, 3)), ('c', (3, 4))):
        Image.new('L', size).save(tmp_path / 'set' / f'{name}.png')
    message = r'has images of 3 x 4 \(a.png\) and of 4 x 3 \(c.png\); give them one size$'
    with pytest.raises(ValueError, match=message):
        decode_files(open_files(tmp_path / 'set'), None)
    (tmp_path / 'set' / 'c.png').unlink()
    assert decode_files(open_files(tmp_path / 'set'), None).images.shape == (2, 3, 4, 1)


# The cache


def test_the_second_start_decodes_and_writes_nothing(tmp_path, cache, monkeypatch):
    write_mixed(tmp_path / 'set', 12)
    write_bad(tmp_path / 'set')
    before = snapshot(tmp_path / 'set')
    first = decode_files(open_files(tmp_path / 'set'), 8)
    assert len(first.unreadable) == 45 and len(first.rows) == 12
    written = snapshot(cache)
    assert len(list(cache.iterdir())) == 1
    monkeypatch.setattr(decoded, '_decode', None)  # calling it would fail
    second = decode_files(open_files(tmp_path / 'set'), 8)
    np.testing.assert_array_equal(first.images, second.images)
    np.testing.assert_array_equal(first.rows, second.rows)
    assert second[2:] == first[2:]
    assert snapshot(cache) == written
    assert snapshot(tmp_path / 'set') == before


def test_what_is_written_anew_is_decoded_anew(tmp_path, cache, monkeypatch):
    write_mixed(tmp_path / 'set', 12)
    prints = [decode_files(open_files(tmp_path / 'set'), 8).fingerprint]
    write_mixed(tmp_path / 'set', 12, seed=1)
    prints.append(decode_files(open_files(tmp_path / 'set'), 8).fingerprint)
    prints.append(decode_files(open_files(tmp_path / 'set'), 9).fingerprint)
    assert len(set(prints)) == 3
    monkeypatch.setattr(pixels, 'VERSION', 0)  # another decoder, which gives the same
    assert decode_files(open_files(tmp_path / 'set'), 9).fingerprint == prints[-1]
    assert len(list(cache.iterdir())) == 4


def test_a_spoilt_cache_is_not_used(tmp_path, cache):
    write_mixed(tmp_path / 'set', 12)
    files = open_files(tmp_path / 'set')
    first = decode_files(files, 8)
    expected = np.array(first.images)
    (place,) = cache.iterdir()
    good = {path: path.read_bytes() for path in place.iterdir()}
    levels = place / 'images.npy'
    for path, content in (
        (levels, good[levels][:-1]),
        (levels, b''),
        (levels, good[levels][:-1] + bytes([good[levels][-1] ^ 1])),
        (place / 'record.json', b'{}'),
        (place / 'record.json', b''),
        (place / 'record.json', json.dumps({'digest': '', 'unreadable': {'0': 'x'}}).encode()),
    ):
        path.write_bytes(content)
        again = decode_files(files, 8)
        np.testing.assert_array_equal(again.images, expected)
        assert {path: path.read_bytes() for path in place.iterdir()} == good


def test_no_cache_at_all_does_not_stop_a_run(tmp_path, cache, capsys):
    write_mixed(tmp_path / 'set', 12)
    cache.parent.parent.write_text('in the way')
    files = open_files(tmp_path / 'set')
    first = decode_files(files, 8)
    assert 'is decoded anew each time' in capsys.readouterr().err
    assert first.images.shape == (12, 8, 8, 3)
    cache.parent.parent.unlink()
    np.testing.assert_array_equal(first.images, decode_files(files, 8).images)

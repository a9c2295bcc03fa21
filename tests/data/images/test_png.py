"""Many plain PNG files at a time, beside Pillow and beside the filters of the specification."""

import io
import struct
import zlib

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
from PIL import Image

from genjax.data.images.png import COLOUR_TYPES, decode_plain
from tests.data.images.tiny_sets import png

SHAPE = (5, 7, 3)


def paeth(a, b, c):
    """The one of left, up and upper left that is nearest to a + b - c: W3C PNG, section 9.4."""
    p = a + b - c
    distances = [abs(p - a), abs(p - b), abs(p - c)]
    return [a, b, c][distances.index(min(distances))]


def filtered(image, filters):
    """The rows of an image, each behind its filter's number, byte by byte as section 9.2 has it."""
    height, width, channels = image.shape
    levels = np.zeros((height + 1, width + 1, channels), int)  # nothing is left of and above it
    levels[1:, 1:] = image
    rows = []
    for y, kind in enumerate(filters, 1):
        row = [kind]
        for x in range(1, width + 1):
            for c in range(channels):
                left = levels[y, x - 1, c]
                up = levels[y - 1, x, c]
                up_left = levels[y - 1, x - 1, c]
                guess = [0, left, up, (left + up) // 2, paeth(left, up, up_left)][kind]
                row.append((levels[y, x, c] - guess) % 256)
        rows.append(bytes(row))
    return b''.join(rows)


def chunk(name, content):
    checksum = struct.pack('>I', zlib.crc32(name + content))
    return struct.pack('>I', len(content)) + name + content + checksum


def file_of(shape, streams):
    """A PNG file of 8 bits whose data lie in several chunks."""
    height, width, channels = shape
    header = struct.pack('>IIBBBBB', width, height, 8, COLOUR_TYPES[channels], 0, 0, 0)
    data = b''.join(chunk(b'IDAT', stream) for stream in streams)
    return b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', header) + data + chunk(b'IEND', b'')


def random_image(rng, shape=SHAPE):
    return rng.integers(0, 256, shape, np.uint8)


@hypothesis.settings(max_examples=60, derandomize=True, database=None, deadline=None)
@hypothesis.given(st.integers(0, 2**32 - 1), st.sampled_from(sorted(COLOUR_TYPES)))
def test_every_filter_of_the_specification_is_undone(seed, channels):
    rng = np.random.default_rng(seed)
    shape = (*rng.integers(1, 9, 2).tolist(), channels)
    images = np.stack([random_image(rng, shape) for _ in range(9)])
    files = []
    for image in images:
        rows = zlib.compress(filtered(image, rng.integers(0, 5, shape[0])))
        middle = len(rows) // 2
        files.append(file_of(shape, [rows[:middle], rows[middle:]]))
    levels, others = decode_plain(files, shape)
    assert others == []
    np.testing.assert_array_equal(levels, images)
    for file, image in zip(files, images, strict=True):  # so these are PNG files to others too
        own = np.asarray(Image.open(io.BytesIO(file)))
        np.testing.assert_array_equal(own.reshape(shape), image)


def test_what_pillow_writes_is_read():
    # Smooth and rough pictures, for which it chooses different filters.
    y, x = np.mgrid[:32, :32]
    smooth = [np.stack([k * x + y, x * y // 8, 255 - x], 2) for k in range(4)]
    rough = random_image(np.random.default_rng(0), (4, 32, 32, 3))
    images = np.concatenate([np.array(smooth).astype(np.uint8), rough])
    files = []
    for image in images:
        stream = io.BytesIO()
        Image.fromarray(image).save(stream, format='png')
        files.append(stream.getvalue())
    levels, others = decode_plain(files, (32, 32, 3))
    assert others == []
    np.testing.assert_array_equal(levels, images)


def damaged():
    """{what is wrong: a file that is left to `pixels.decode`}."""
    rng = np.random.default_rng(0)
    height, width, channels = SHAPE
    image = random_image(rng)
    rows = filtered(image, [0] * height)
    good = file_of(SHAPE, [zlib.compress(rows)])
    place = len(good) - 20
    return {
        'another checksum': good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :],
        'a torn file': good[:-1],
        'bytes behind the end': good + b'x',
        'too few rows': file_of(SHAPE, [zlib.compress(rows[:-1])]),
        'too many rows': file_of(SHAPE, [zlib.compress(rows + b'x')]),
        'a torn stream': file_of(SHAPE, [zlib.compress(rows)[:-1]]),
        'no stream': file_of(SHAPE, [b'no stream']),
        'no data': file_of(SHAPE, []),
        'an unknown filter': file_of(SHAPE, [zlib.compress(b'\5' + rows[1:])]),
        'another shape': png(image[:-1].astype(int), 8, 2),
        'passes': png(image.astype(int), 8, 2, interlaced=True),
        'a palette': png(image[..., :1] % 2, 8, 3, [(b'PLTE', bytes(6))]),
        'a transparent colour': png(image.astype(int), 8, 2, [(b'tRNS', bytes(6))]),
        '16 bits': png(image.astype(int), 16, 2),
        'no file': b'',
    }


@pytest.mark.parametrize('what', damaged())
def test_every_other_file_is_left_to_pillow(what):
    rng = np.random.default_rng(1)
    images = [random_image(rng) for _ in range(2)]
    plain = [png(image.astype(int), 8, 2) for image in images]
    levels, others = decode_plain([plain[0], damaged()[what], plain[1]], SHAPE)
    assert others == [1]
    np.testing.assert_array_equal(levels[[0, 2]], images)


def test_files_of_other_channels_than_png_has_are_all_left():
    levels, others = decode_plain([b'', b''], (4, 6, 5))
    assert (levels.shape, others) == ((2, 4, 6, 5), [0, 1])

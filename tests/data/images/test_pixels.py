"""Image files of every mode against what they were written from.

PNG files come from a writer of our own, after its specification.
"""

import io
import struct

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st
from PIL import Image, ImageCms

from genjax.data.images.pixels import (
    MODES,
    decode,
    decode_grey_or_rgb,
    decoder_version,
    grey_or_rgb,
)
from tests.data.images.tiny_sets import png

DRAW = np.random.default_rng(0)
GREY = DRAW.integers(0, 256, (5, 7), np.uint8)
COLOUR = DRAW.integers(0, 256, (5, 7, 3), np.uint8)
OPAQUE = np.full((5, 7, 1), 255, np.uint8)
CLEAR = DRAW.integers(0, 255, (5, 7, 1), np.uint8)


def encoded(image, form, **options):
    """A file of an array or of Pillow's image."""
    file = io.BytesIO()
    image = Image.fromarray(image) if isinstance(image, np.ndarray) else image
    image.save(file, form, **options)
    return file.getvalue()


def projected(rgba, channels):
    """RGBA [H, W, 4] in so many channels; None where they would lose something."""
    colour, alpha = rgba[..., :3], rgba[..., 3:]
    coloured = (colour != colour[..., :1]).any()
    clear = (alpha != 255).any()
    if (coloured and channels < 3) or (clear and channels % 2):
        return None
    bands = [colour if channels > 2 else colour[..., :1], alpha]
    return np.concatenate(bands, 2)[..., :channels]


def assert_decoded(content, rgba):
    """Declared as any number of channels, a file gives what it was written from, or is refused."""
    for channels in MODES:
        shape = (*rgba.shape[:2], channels)
        expected = projected(rgba, channels)
        if expected is None:
            with pytest.raises(ValueError, match='^(is in colour|has an alpha)'):
                decode(content, shape)
            continue
        found = decode(content, shape)
        assert (found.shape, found.dtype) == (shape, np.uint8)
        np.testing.assert_array_equal(found, expected)


@st.composite
def png_files(draw):
    """A PNG file of up to 8 bits with the RGBA [H, W, 4] that its specification gives it."""
    kind = draw(st.sampled_from([0, 2, 3, 4, 6]))
    depth = draw(st.sampled_from([1, 2, 4, 8] if kind in (0, 3) else [8]))
    height = draw(st.integers(1, 9))
    width = draw(st.integers(1, 9))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    grey = draw(st.booleans())
    opaque = draw(st.booleans())
    largest = 2**depth - 1
    pixels = (height, width, 1)

    colour = rng.integers(0, largest + 1, (height, width, 3 if kind in (2, 6) and not grey else 1))
    if kind in (2, 6):
        colour = np.broadcast_to(colour, (height, width, 3))
    alpha = np.full(pixels, 255) if opaque else rng.integers(0, 256, pixels)
    samples = colour
    chunks = []
    if kind in (4, 6):
        samples = np.concatenate([colour, alpha], 2)
    elif kind == 3:
        palette = rng.integers(0, 256, (largest + 1, 1 if grey else 3)) + np.zeros((1, 3), int)
        clearness = np.full(largest + 1, 255)
        if not opaque:
            clearness[: largest // 2 + 1] = rng.integers(0, 256, largest // 2 + 1)
            chunks = [(b'tRNS', clearness[: largest // 2 + 1].astype(np.uint8).tobytes())]
        chunks = [(b'PLTE', palette.astype(np.uint8).tobytes()), *chunks]
        colour = palette[samples[..., 0]]
        alpha = clearness[samples]
    elif not opaque and depth in (1, 8):  # those of 2 and 4 bits are refused
        transparent = colour[0, -1]
        chunks = [(b'tRNS', transparent.astype('>u2').tobytes())]
        alpha = np.where((colour == transparent).all(2, keepdims=True), 0, 255)
    else:
        alpha = np.full(pixels, 255)

    scale = 1 if kind == 3 else 255 // largest
    rgb = np.broadcast_to(colour * scale, (height, width, 3))
    rgba = np.concatenate([rgb, alpha], 2).astype(np.uint8)
    return png(samples, depth, kind, chunks, interlaced=draw(st.booleans())), rgba


@hypothesis.settings(max_examples=200, derandomize=True, database=None, deadline=None)
@hypothesis.given(png_files())
def test_every_png_gives_the_levels_of_its_specification_in_the_channels_declared(written):
    assert_decoded(*written)


@hypothesis.settings(max_examples=100, derandomize=True, database=None, deadline=None)
@hypothesis.given(png_files())
def test_every_png_of_no_declared_channels_is_grey_or_rgb(written):
    content, rgba = written
    expected = projected(rgba, 1)
    expected = projected(rgba, 3) if expected is None else expected
    if expected is None:
        for refused in (lambda: decode_grey_or_rgb(content), lambda: grey_or_rgb(rgba)):
            with pytest.raises(
                ValueError, match='^has an alpha of .*; only opaque images are read$'
            ):
                refused()
        return
    np.testing.assert_array_equal(decode_grey_or_rgb(content), expected)
    np.testing.assert_array_equal(grey_or_rgb(rgba), expected)
    assert decode_grey_or_rgb(content).dtype == np.uint8


def test_levels_of_five_channels_are_no_image():
    with pytest.raises(ValueError, match='^has 5 channels; 1 to 4 are read$'):
        grey_or_rgb(np.zeros((2, 2, 5), np.uint8))


@pytest.mark.parametrize(
    ('form', 'mode', 'options'),
    [
        *[('PNG', mode, {}) for mode in ('1', 'L', 'P', 'LA', 'RGB', 'RGBA')],
        *[('BMP', mode, {}) for mode in ('1', 'L', 'P', 'RGB')],
        *[('GIF', mode, {}) for mode in ('1', 'L', 'P')],
        *[('WEBP', mode, {'lossless': True, 'exact': True}) for mode in ('L', 'RGB', 'RGBA')],
    ],
)
def test_what_pillow_writes_without_a_loss_comes_back_in_the_channels_declared(form, mode, options):
    palette = DRAW.integers(0, 256, (16, 3), np.uint8)
    for grey in (False, True):
        for alpha in (OPAQUE, CLEAR) if mode in ('LA', 'RGBA') else (OPAQUE,):
            image, colour = image_of_mode(mode, grey, alpha, palette)
            assert image.mode == mode
            assert_decoded(encoded(image, form, **options), np.concatenate([colour, alpha], 2))


def image_of_mode(mode, grey, alpha, palette):
    """An image of Pillow in a mode, and the colours [H, W, 3] that it holds."""
    if mode == '1':
        colour = np.repeat(np.where(GREY[..., None] > 128, np.uint8(255), np.uint8(0)), 3, 2)
        return Image.fromarray(colour[..., 0] > 0), colour
    if mode == 'P':
        colours = np.repeat(palette[:, :1], 3, 1) if grey else palette
        image = Image.fromarray(GREY % 16)
        image.putpalette(colours.tobytes())
        return image, colours[GREY % 16]
    colour = np.repeat(GREY[..., None], 3, 2) if grey or mode in ('L', 'LA') else COLOUR
    bands = {
        'L': [colour[..., :1]],
        'LA': [colour[..., :1], alpha],
        'RGB': [colour],
        'RGBA': [colour, alpha],
    }
    array = np.concatenate(bands[mode], 2)
    return Image.fromarray(array[..., 0] if mode == 'L' else array), colour


def test_a_jpeg_has_pillows_levels_in_the_channels_declared():
    for image in (GREY, COLOUR, np.repeat(GREY[..., None], 3, 2)):
        content = encoded(image, 'JPEG')
        levels = np.asarray(Image.open(io.BytesIO(content)))
        colour = levels if levels.ndim == 3 else np.repeat(levels[..., None], 3, 2)
        assert_decoded(content, np.concatenate([colour, OPAQUE], 2))


def test_profiles_gamma_and_orientation_leave_the_levels_as_stored():
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile('LAB')).tobytes()
    for form in ('PNG', 'JPEG', 'WEBP'):
        plain = encoded(COLOUR, form)
        annotated = encoded(COLOUR, form, exif=exif, icc_profile=profile)
        opened = Image.open(io.BytesIO(annotated))
        assert opened.getexif()[0x0112] == 6
        assert opened.info['icc_profile'] == profile
        np.testing.assert_array_equal(decode(annotated, COLOUR.shape), decode(plain, COLOUR.shape))
    chunks = [(b'gAMA', struct.pack('>I', 100_000)), (b'sRGB', b'\1')]
    np.testing.assert_array_equal(decode(png(COLOUR, 8, 2, chunks), COLOUR.shape), COLOUR)


def animated(form):
    frames = [Image.fromarray(array) for array in (COLOUR, COLOUR[::-1])]
    return encoded(frames[0], form, save_all=True, append_images=frames[1:])


def wide(samples, kind, depth=16, chunks=()):
    return png(DRAW.integers(0, 2**depth, (5, 7, samples)), depth, kind, chunks)


FRAMES = 'has 2 frames; only files of one are read'
SIXTEEN = 'has 16 bits a channel; at most 8 are read'
PALETTE = (b'PLTE', bytes(6))
REFUSED = {
    'grey of 16 bits': (wide(1, 0), SIXTEEN),
    'RGB of 16 bits': (wide(3, 2), SIXTEEN),
    'grey and alpha of 16 bits': (wide(2, 4), SIXTEEN),
    'RGBA of 16 bits': (wide(4, 6), SIXTEEN),
    'mode I;16': (encoded(GREY.astype(np.uint16), 'PNG'), SIXTEEN),
    'CMYK': (
        encoded(Image.fromarray(COLOUR).convert('CMYK'), 'JPEG'),
        'has the mode CMYK; those read are 1, L, LA, P, RGB, RGBA',
    ),
    'GIF of two frames': (animated('GIF'), FRAMES),
    'PNG of two frames': (animated('PNG'), FRAMES),
    'WebP of two frames': (animated('WEBP'), FRAMES),
    'transposed': (
        encoded(COLOUR.transpose(1, 0, 2).copy(), 'PNG'),
        'has 7 x 5 pixels; 5 x 7 are declared',
    ),
    'a transparent level of 2 bits': (
        wide(1, 0, 2, [(b'tRNS', b'\0\1')]),
        'has a transparent level of 2 bits; one of 1 or 8 is read',
    ),
    'past the palette': (
        png(np.full((5, 7, 1), 2), 2, 3, [PALETTE]),
        'is damaged: a pixel names colour 2 of a palette of 2',
    ),
    'no palette': (
        png(np.full((5, 7, 1), 2), 2, 3),
        'is damaged: a pixel names colour 2 of a palette of 0',
    ),
    'floats': (
        encoded(Image.fromarray(GREY.astype(np.float32)), 'TIFF'),
        'is no sound file of PNG, JPEG, GIF, BMP, WEBP; '
        "it begins with b'II*\\x00\\x08\\x00\\x00\\x00'",
    ),
    'nothing': (b'', "is no sound file of PNG, JPEG, GIF, BMP, WEBP; it begins with b''"),
    'a header alone': (
        encoded(COLOUR, 'BMP')[:54],
        'is damaged: image file is truncated (0 bytes not processed)',
    ),
}


@pytest.mark.parametrize('name', REFUSED)
def test_what_would_lose_something_is_refused_by_name(name):
    content, line = REFUSED[name]
    for channels in MODES:
        with pytest.raises(ValueError) as error:
            decode(content, (5, 7, channels))
        assert str(error.value) == line


def test_colour_as_grey_and_what_is_clear_as_opaque_are_refused_by_name():
    alpha = np.where(GREY[..., None] == GREY[2, 3], np.uint8(200), np.uint8(255))
    content = encoded(np.concatenate([COLOUR, alpha], 2), 'PNG')
    lines = {
        1: 'is in colour; L is declared, which holds grey',
        2: 'is in colour; LA is declared, which holds grey',
        3: 'has an alpha of 200; RGB is declared, which holds 255 alone',
        5: 'is declared with 5 channels; 1 to 4 are read',
        0: 'is declared with 0 channels; 1 to 4 are read',
    }
    for channels, line in lines.items():
        with pytest.raises(ValueError) as error:
            decode(content, (5, 7, channels))
        assert str(error.value) == line


@pytest.mark.parametrize('form', ['PNG', 'JPEG', 'GIF', 'BMP', 'WEBP'])
def test_a_file_cut_short_has_the_same_levels_or_is_refused(form):
    content = encoded(COLOUR if form != 'GIF' else GREY, form)
    shape = (5, 7, 3)
    whole = decode(content, shape)
    refused = 0
    for length in range(len(content)):
        try:
            np.testing.assert_array_equal(decode(content[:length], shape), whole)
        except ValueError as error:
            assert len(str(error).splitlines()) == 1
            refused += 1
    assert refused > len(content) - 25  # of PNG the last chunk and a checksum may be missing


def test_a_decoder_is_known_by_the_libraries_of_lossy_files(monkeypatch):
    version = decoder_version()
    assert decoder_version() == version
    monkeypatch.setattr('PIL.features.version', lambda library: f'{library} 1')
    assert decoder_version() != version

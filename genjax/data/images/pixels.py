"""An image file as an array: by Pillow alone, and never with a loss.

`decode` gives the channels that a set declares, `decode_grey_or_rgb` those that the image needs.

Letters: H x W pixels, C channels.
"""

import io

import numpy as np
from PIL import Image, features

from genjax.data.images.errors import one_line

VERSION = 1  # of what `decode` gives: to be raised with every change of it
FORMATS = ('PNG', 'JPEG', 'GIF', 'BMP', 'WEBP')
EXACT = ('1', 'L', 'LA', 'P', 'RGB', 'RGBA')  # modes that RGBA holds without a loss
MODES = {1: 'L', 2: 'LA', 3: 'RGB', 4: 'RGBA'}  # by C
# The byte of a PNG that has the bits of a channel: W3C, Portable Network Graphics, section 11.2.1
DEPTH = 24


def decode(content: bytes, shape: tuple[int, int, int]) -> np.ndarray:
    """The grey levels of an image file, uint8 [H, W, C].

    C is 1 for grey, 2 for grey and alpha, 3 for RGB and 4 for RGBA. A file that has other channels
    is converted where that loses nothing: one of fewer bits or of a palette always, grey to RGB by
    repeating it, RGB to grey where the three channels agree in every pixel, alpha to none where
    every pixel is opaque, none to alpha by 255.

    Levels are as stored: colour profiles, gamma and a camera's orientation are not applied
    (OpenCV's IMREAD_UNCHANGED and TensorFlow do not either). Those of JPEG and lossy WebP are what
    Pillow's libraries give, see `decoder_version`.

    Args:
      content: bytes of the file, in one of FORMATS.
      shape: (H, W, C), as declared.

    Raises:
      ValueError: something would be lost, H or W is another, or the file is damaged or of another
        format. The message is a predicate, as 'is damaged: ...'; its subject is the caller's.
    """
    if shape[2] not in MODES:
        raise ValueError(f'is declared with {shape[2]} channels; 1 to {max(MODES)} are read')
    image = _open(content)
    if (image.height, image.width) != shape[:2]:
        raise ValueError(
            f'has {image.height} x {image.width} pixels; {shape[0]} x {shape[1]} are declared'
        )
    _load(image)
    if image.mode == MODES[shape[2]] and 'transparency' not in image.info:
        return np.asarray(image).reshape(shape)
    return _project(np.asarray(image.convert('RGBA')), shape[2])


def decode_grey_or_rgb(content: bytes) -> np.ndarray:
    """The grey levels of an image file of any size: uint8 [H, W, 1] where every pixel is grey, and
    [H, W, 3] otherwise.

    Args:
      content: as of `decode`.

    Raises:
      ValueError: as of `decode`; a pixel that is not opaque, among others.
    """
    image = _open(content)
    _load(image)
    if 'transparency' in image.info or image.mode not in ('L', 'RGB'):
        image = image.convert('RGBA')
    levels = np.asarray(image)
    return grey_or_rgb(levels.reshape(image.height, image.width, -1))


def grey_or_rgb(levels: np.ndarray) -> np.ndarray:
    """Levels uint8 [H, W, C] of 1 to 4 channels, see `decode`, as [H, W, 1] where every pixel is
    grey, and [H, W, 3] otherwise.

    Raises:
      ValueError: C is another number, or a pixel is not opaque. The message is a predicate.
    """
    channels = levels.shape[2]
    if channels not in MODES:
        raise ValueError(f'has {channels} channels; 1 to {max(MODES)} are read')
    if channels in (2, 4):
        alpha = levels[..., -1:]
        if alpha.min() < 255:
            raise ValueError(f'has an alpha of {alpha.min()}; only opaque images are read')
        levels = levels[..., :-1]
    grey = levels[..., :1]
    return grey if (levels == grey).all() else levels


def decoder_version() -> str:
    """Our version, and those of the libraries whose rounding is in the levels of lossy files."""
    libraries = ('libjpeg_turbo', 'jpg', 'webp')
    return f'{VERSION} {[features.version(library) for library in libraries]}'


def _open(content: bytes) -> Image.Image:
    """A file whose one image `decode` can give without a loss, not read yet.

    Raises:
      ValueError: see `decode`.
    """
    try:
        image = Image.open(io.BytesIO(content), formats=FORMATS)
        animated = getattr(image, 'is_animated', False)
    except Image.UnidentifiedImageError:
        raise ValueError(
            f'is no sound file of {", ".join(FORMATS)}; it begins with {content[:8]!r}'
        ) from None
    except Exception as error:
        raise ValueError(f'is damaged: {one_line(error)}') from None

    if animated:
        raise ValueError(f'has {image.n_frames} frames; only files of one are read')
    # Of 16 bits Pillow would cut all but grey to 8.
    if image.format == 'PNG' and content[DEPTH] == 16:
        raise ValueError('has 16 bits a channel; at most 8 are read')
    if image.mode not in EXACT:
        raise ValueError(f'has the mode {image.mode}; those read are {", ".join(EXACT)}')
    # Pillow compares a transparent level of 2 or 4 bits with levels that it has scaled to 8.
    few_bits = image.format == 'PNG' and content[DEPTH] in (2, 4)
    if few_bits and image.mode == 'L' and 'transparency' in image.info:
        raise ValueError(f'has a transparent level of {content[DEPTH]} bits; one of 1 or 8 is read')
    return image


def _load(image: Image.Image) -> None:
    """Reads the pixels of a file.

    Raises:
      ValueError: it is damaged.
    """
    try:
        image.load()
    except Exception as error:
        raise ValueError(f'is damaged: {one_line(error)}') from None
    if image.mode == 'P':
        _check_palette(image)


def _check_palette(image: Image.Image) -> None:
    """Refuses a pixel that names a colour beyond its palette, on which decoders differ.

    Raises:
      ValueError: there is one.
    """
    colours = len(image.getpalette() or ()) // 3
    _, last = image.getextrema()
    if last >= colours:
        raise ValueError(f'is damaged: a pixel names colour {last} of a palette of {colours}')


def _project(rgba: np.ndarray, channels: int) -> np.ndarray:
    """RGBA [H, W, 4] as [H, W, channels].

    Raises:
      ValueError: that would lose something.
    """
    colour = rgba[..., :3]
    alpha = rgba[..., 3:]
    if channels in (1, 2):
        grey = colour[..., :1]
        if (colour != grey).any():
            raise ValueError(f'is in colour; {MODES[channels]} is declared, which holds grey')
        colour = grey
    if channels in (2, 4):
        return np.concatenate([colour, alpha], axis=2)
    if alpha.min() < 255:
        raise ValueError(
            f'has an alpha of {alpha.min()}; {MODES[channels]} is declared, which holds 255 alone'
        )
    return colour

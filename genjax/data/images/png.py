"""Plain PNG files of one shape, many at a time: what a set holds thousands of.

Pillow takes longer over the objects of a small image than over its pixels. Here the rows of many
images are undone together. A file is plain if it has 8 bits a channel, the channels that are asked
for, no passes, and no chunks but its data; what others hold is for `pixels.decode` to say.

Source: W3C, Portable Network Graphics, sections 5 (chunks) and 9 (filters).

Letters: N images, H x W pixels, C channels.
"""

import struct
import zlib
from collections.abc import Callable, Sequence

import numpy as np

SIGNATURE = b'\x89PNG\r\n\x1a\n'
COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}  # by C: grey, grey and alpha, RGB, RGBA


def decode_plain(
    contents: Sequence[bytes], shape: tuple[int, int, int]
) -> tuple[np.ndarray, list[int]]:
    """The grey levels of plain PNG files, and which of the files are none of that shape.

    Args:
      contents: bytes of the files, N of them.
      shape: (H, W, C).

    Returns:
      uint8 [N, H, W, C], and the indices of the files that were not read, whose levels mean
      nothing: they are not plain, of another shape, or damaged.
    """
    height, width, channels = shape
    size = height * (1 + width * channels)
    if channels not in COLOUR_TYPES:
        return np.zeros((len(contents), *shape), np.uint8), list(range(len(contents)))
    header = _header(shape)
    parts = [_filtered_rows(content, header, size) for content in contents]
    unread = [i for i, part in enumerate(parts) if part is None]
    blank = bytes(size)
    joined = b''.join(blank if part is None else part for part in parts)
    rows = np.frombuffer(joined, np.uint8).reshape(len(contents), height, 1 + width * channels)
    filters = rows[:, :, 0]
    unread += np.flatnonzero((filters >= len(UNDO)).any(1)).tolist()
    return _unfilter(filters, rows[:, :, 1:].reshape(-1, *shape)), sorted(unread)


def _header(shape: tuple[int, int, int]) -> bytes:
    """How every plain file of a shape begins."""
    height, width, channels = shape
    fields = struct.pack('>IIBBBBB', width, height, 8, COLOUR_TYPES[channels], 0, 0, 0)
    return SIGNATURE + _chunk(b'IHDR', fields)


def _chunk(name: bytes, content: bytes) -> bytes:
    checksum = struct.pack('>I', zlib.crc32(name + content))
    return struct.pack('>I', len(content)) + name + content + checksum


END = _chunk(b'IEND', b'')


def _filtered_rows(content: bytes, header: bytes, size: int) -> bytes | None:
    """The rows of a plain file, each after its filter's number; None of another or a damaged one.

    Args:
      content: of the file.
      header: that it is to begin with.
      size: of all rows, in bytes.
    """
    if not (content.startswith(header) and content.endswith(END)):
        return None
    stop = len(content) - len(END)
    start = len(header)
    streams = []
    while start < stop:
        name = start + 4
        end = name + 4 + int.from_bytes(content[start:name])
        if end + 4 > stop or content[name : name + 4] != b'IDAT':
            return None
        if zlib.crc32(content[name:end]) != int.from_bytes(content[end : end + 4]):
            return None
        streams.append(content[name + 4 : end])
        start = end + 4
    inflate = zlib.decompressobj()
    try:
        rows = inflate.decompress(b''.join(streams), size + 1)
    except zlib.error:
        return None
    return rows if inflate.eof and len(rows) == size else None


def _unfilter(filters: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """The levels of filtered rows, uint8 [N, H, W, C].

    Args:
      filters: the number of each row's filter, [N, H]; of an unknown one nothing is undone.
      rows: uint8 [N, H, W, C].
    """
    by_row = np.ascontiguousarray(rows.transpose(1, 2, 3, 0))  # [H, W, C, N]
    above = np.zeros_like(by_row[0])
    for numbers, row in zip(filters.T, by_row, strict=True):
        for number, undo in enumerate(UNDO):
            images = np.flatnonzero(numbers == number)
            if undo is not None and len(images):
                own = row.take(images, -1)
                undo(own, above.take(images, -1))
                row[..., images] = own
        above = row
    return np.ascontiguousarray(by_row.transpose(3, 0, 1, 2))


# Each of these undoes a filter in a row [W, C, n] of n images, in place, below `above`.


def _undo_sub(row: np.ndarray, above: np.ndarray) -> None:
    del above
    for left, here in zip(row[:-1], row[1:], strict=True):
        here += left


def _undo_up(row: np.ndarray, above: np.ndarray) -> None:
    row += above


def _undo_average(row: np.ndarray, above: np.ndarray) -> None:
    left = np.zeros(row.shape[1:], np.uint16)
    for here, up in zip(row, above, strict=True):
        here += ((left + up) >> 1).astype(np.uint8)
        left = here.astype(np.uint16)


def _undo_paeth(row: np.ndarray, above: np.ndarray) -> None:
    left = np.zeros(row.shape[1:], np.int16)
    up_left = left
    for here, up in zip(row, above.astype(np.int16), strict=True):
        from_left = np.abs(up - up_left)  # how far left + up - up_left lies from each
        from_up = np.abs(left - up_left)
        from_up_left = np.abs(left + up - 2 * up_left)
        nearer = np.where(from_up <= from_up_left, up, up_left)
        is_left = (from_left <= from_up) & (from_left <= from_up_left)
        here += np.where(is_left, left, nearer).astype(np.uint8)
        left = here.astype(np.int16)
        up_left = up


# By the number of the filter: none, sub, up, average, Paeth.
UNDO: tuple[Callable[[np.ndarray, np.ndarray], None] | None, ...] = (
    None,
    _undo_sub,
    _undo_up,
    _undo_average,
    _undo_paeth,
)

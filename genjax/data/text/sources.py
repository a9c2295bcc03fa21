"""Where text comes from: files, docstrings, text8 and the sets of TFDS, as streams of sentences."""

import contextlib
import difflib
import gzip
import hashlib
import io
import lzma
import os
import pathlib
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import regex

from genjax.data.text.docs import docstrings
from genjax.home import data_folder, expanded

# Words of a sentence; a line that has more is cut, as the original word2vec cuts
LONGEST = 1000
# Characters without a space; where there are more, each LONGEST are a sentence
STRETCH = 2 * LONGEST
PIECE = 2**16  # bytes of a line read at once
AHEAD = 2**22  # bytes read while others are worked on
CONTEXT = 64  # characters after a place that decide whether it is between two words
# The last such place. None is beside an apostrophe, which may join what is on both sides.
PLACE = rf"(?<=[^'\u2019])\b(?=[^'\u2019].{{{CONTEXT - 1}}})"
BETWEEN_WORDS = regex.compile(PLACE, regex.VERSION1 | regex.WORD | regex.DOTALL | regex.REVERSE)
LAST_SPACE = regex.compile(r'\s', regex.REVERSE)
GRAPHEME = regex.compile(r'\X')
NAMES = 'docs', 'text8'
# What the readers of archives raise; RuntimeError if one is encrypted or packed in another way
DAMAGED = (
    EOFError,
    RuntimeError,
    struct.error,
    lzma.LZMAError,
    zlib.error,
    gzip.BadGzipFile,
    zipfile.BadZipFile,
)
TEXT8 = 'http://mattmahoney.net/dc/text8.zip'
TEXT8_MD5 = '3bea1919949baf155f99411df5fada7e'


def sentences_of(source: str, data_dir: str = '') -> Iterator[str]:
    """The sentences or paragraphs of a source.

    Args:
      source: `docs`, `text8`, `tfds:NAME`, or a file (./docs is one).
      data_dir: as of `read_corpus`.

    Raises:
      ValueError, OSError: as `read_corpus` says; most of them only when the sentences are taken.
    """
    if source == 'docs':
        return docstrings()
    if source.startswith('tfds:'):
        return _prepared(source.removeprefix('tfds:'), data_dir)
    return lines(file_of(source, data_dir))


def file_of(source: str, data_dir: str = '') -> pathlib.Path | None:
    """The file of a source, None where it is none; arguments and errors as of `sentences_of`."""
    if not source:
        raise ValueError("the corpus is ''; name a text file, docs, text8 or tfds:NAME")
    if source == 'docs' or source.startswith('tfds:'):
        return None
    return _text8(data_dir) if source == 'text8' else expanded(source)


def lines(path: pathlib.Path) -> Iterator[str]:
    """The lines of a text file, without their ends; long ones come in parts.

    A part has 1,000 words between spaces, or, of more than 2,000 characters without a space, 1,000
    or fewer, between two words of UAX 29 if there are two. Memory holds one line or 128 KiB of it.

    Args:
      path: UTF-8, plain or .gz, .xz or .zip.

    Raises:
      ValueError: the file is not UTF-8, or has a byte of 0.
      OSError: it is missing, cut short or damaged.
    """
    with _opened(path) as file:
        yield from _cut(_pieces(file, path))


class Lines(NamedTuple):
    """Whole lines of a file."""

    text: bytes  # each of them ends with a line feed
    number: int  # of the first one, from 1


def blocks(path: pathlib.Path, size: int) -> Iterator[Lines | Iterator[str]]:
    """The lines of a text file, as they are in it, many at a time.

    From the first block on that has a line of `PIECE` bytes, or ends in a long one without its end,
    what comes is the rest as `lines` gives it.

    Args:
      path: UTF-8, plain or .gz, .xz or .zip.
      size: bytes of a block, more or less.

    Raises:
      OSError: it is missing, cut short or damaged.
    """
    with _opened(path) as file:
        number = 1
        while block := file.read(size):
            block += file.readline(PIECE)
            last = len(block) - 1 - block.rfind(b'\n')
            is_long = last > min(PIECE, STRETCH)
            if last > 0 and not is_long:
                block += b'\n'  # the file's last line has no end
            ends = np.flatnonzero(np.frombuffer(block, np.uint8) == ord('\n'))
            if is_long or np.diff(ends, prepend=-1).max() >= PIECE:
                whole = io.BufferedReader(_After(block, file), PIECE)
                yield _cut(_pieces(whole, path, number))
                return
            yield Lines(block, number)
            number += len(ends)


def cut_line(line: bytes, path: pathlib.Path, number: int) -> Iterator[str]:
    """A line that has its end, as `lines` gives it."""
    return _cut(_pieces(io.BufferedReader(io.BytesIO(line), PIECE), path, number))


def is_cut(line: str) -> bool:
    """Whether `lines` gives a line in parts."""
    words = line.split()
    return len(words) > LONGEST or max(map(len, words), default=0) > STRETCH


@contextlib.contextmanager
def _opened(path: pathlib.Path) -> Iterator[io.BufferedReader]:
    """A file as it reads when unpacked, which goes on while what has been read is worked on."""
    openers = {'.gz': gzip.open, '.xz': lzma.open, '.zip': _unzipped}
    opener = openers.get(path.suffix, partial(open, mode='rb', buffering=0))
    try:
        with opener(path) as file, ThreadPoolExecutor(1) as pool:
            yield io.BufferedReader(_ReadAhead(file, pool), PIECE)
    except FileNotFoundError:
        raise FileNotFoundError(f'there is no file {path}{_near(path)}') from None
    except DAMAGED as error:
        raise OSError(f'{path} is damaged or cut short: {error}') from None


class _ReadAhead(io.RawIOBase):
    """A file, the next part of which is read in a thread of the pool."""

    def __init__(self, file: io.BufferedIOBase, pool: ThreadPoolExecutor):
        self._read = partial(pool.submit, file.read, AHEAD)
        self._next = self._read()
        self._part = b''

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:
        if not self._part:
            self._part = memoryview(self._next.result())
            self._next = self._read()
        size = min(len(buffer), len(self._part))
        buffer[:size] = self._part[:size]
        self._part = self._part[size:]
        return size


class _After(io.RawIOBase):
    """A file whose beginning has been read."""

    def __init__(self, beginning: bytes, file: io.BufferedReader):
        self._beginning = io.BytesIO(beginning)
        self._file = file

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:
        return self._beginning.readinto(buffer) or self._file.readinto1(buffer)


def _unzipped(path: pathlib.Path) -> io.BufferedIOBase:
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        if len(names) != 1:
            raise ValueError(f'{path} holds {len(names)} files; a text is one')
        return archive.open(names[0])


def _near(path: pathlib.Path) -> str:
    """The end of an error: the name or the file that was perhaps meant."""
    siblings = []
    if path.parent.is_dir():
        siblings = [str(file) for file in sorted(path.parent.iterdir())]
    close = difflib.get_close_matches(str(path), [*NAMES, *siblings], n=1)
    if close:
        return f'; did you mean {close[0]}?'
    return f', nor is it {", ".join(NAMES)} or tfds:NAME'


def _pieces(file: io.BufferedReader, path: pathlib.Path, number: int = 1) -> Iterator[str]:
    """The text in pieces, each within a line; the last one of a line ends with the line break.

    Others end with a space, or where there is none in more than 2 STRETCH characters, between two
    words or characters. The first line has the number given.
    """
    rest = ''  # of a piece, after its last space
    while piece := file.readline(PIECE):
        ends_line = piece.endswith(b'\n')
        if not ends_line:
            piece += _end_of_character(file)
        text = rest + _decoded(piece, path, number)
        if number == 1 and not rest:
            text = text.removeprefix('\ufeff')  # some editors begin a file with this mark
        end = len(text) if ends_line else _end_of_piece(text)
        if end:
            yield text[:end]
        rest = text[end:]
        number += ends_line
    if rest:
        yield rest


def _end_of_character(file: io.BufferedReader) -> bytes:
    """The rest of a character that was read in part: three bytes at the most."""
    rest = b''
    while len(rest) < 3 and b'\x80' <= file.peek(1)[:1] < b'\xc0':
        rest += file.read(1)
    return rest


def _decoded(piece: bytes, path: pathlib.Path, number: int) -> str:
    if b'\0' in piece:
        raise ValueError(f'{path} is no text: line {number:,} has a byte of 0')
    try:
        return piece.decode()
    except UnicodeDecodeError as error:
        place = f'byte {error.object[error.start]:#04x} in line {number:,}'
        raise ValueError(f'{path} is not UTF-8: {place} begins no character') from None


def _end_of_piece(text: str) -> int:
    """Where the beginning of a line may end; 0 where more of the line has to be read."""
    if space := LAST_SPACE.search(text):
        return space.end()
    return _last_boundary(text) if len(text) > 2 * STRETCH else 0


def _last_boundary(text: str) -> int:
    """The last place between two words of a text without spaces, or else between characters."""
    if boundary := BETWEEN_WORDS.search(text):
        return boundary.start()
    known = text[:-CONTEXT]
    return len(known) - len(GRAPHEME.findall(known[-CONTEXT:])[-1])


def _cut(pieces: Iterator[str]) -> Iterator[str]:
    """Lines from their pieces, those that are too long in parts."""
    words = []  # of a line that is not whole yet
    for piece in pieces:
        ends_line = piece.endswith('\n')
        if ends_line and not words and len(piece) <= STRETCH:  # too short to be cut
            yield piece.rstrip('\r\n')
            continue

        new = piece.split()
        if max(map(len, new), default=0) <= STRETCH:
            words += new
        else:
            for word in new:
                if len(word) <= STRETCH:
                    words.append(word)
                else:
                    yield from _thousands(words)
                    yield from _parts(word)
                    words = []

        while len(words) > LONGEST:
            yield ' '.join(words[:LONGEST])
            del words[:LONGEST]
        if ends_line:
            yield ' '.join(words)
            words = []
    if words:
        yield ' '.join(words)


def _thousands(words: list[str]) -> Iterator[str]:
    for i in range(0, len(words), LONGEST):
        yield ' '.join(words[i : i + LONGEST])


def _parts(text: str) -> Iterator[str]:
    """A text without spaces in parts of LONGEST characters or somewhat fewer."""
    while len(text) > LONGEST:
        end = _last_boundary(text[: LONGEST + CONTEXT])
        yield text[:end]
        text = text[end:]
    yield text


def _text8(data_dir: str) -> pathlib.Path:
    """The file of text8, downloaded if it is not there.

    Source: Mahoney 2006: the first 10^8 bytes of cleaned Wikipedia.
    """
    folder = data_folder(data_dir)
    files = [folder / f'text8{suffix}' for suffix in ('', '.gz', '.xz', '.zip')]
    existing = next((file for file in files if file.is_file()), None)
    return existing or _download(TEXT8, TEXT8_MD5, files[-1])


def _download(url: str, md5: str, path: pathlib.Path) -> pathlib.Path:
    """Downloads a file; it is in its place once it is whole and has the right checksum."""
    import requests

    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix='.download') as folder:
        part = pathlib.Path(folder) / path.name
        digest = hashlib.md5()
        try:
            with part.open('wb') as file, requests.get(url, stream=True, timeout=30) as response:
                response.raise_for_status()
                for chunk in response.iter_content(2**20):
                    file.write(chunk)
                    digest.update(chunk)
        except requests.exceptions.RequestException:
            raise FileNotFoundError(
                f'{path} is not there and {url} is out of reach; put the file there'
            ) from None
        if digest.hexdigest() != md5:
            raise ValueError(
                f'{url} has the md5 checksum {digest.hexdigest()}; {md5} is the right one'
            )
        return part.replace(path)


def _prepared(name: str, data_dir: str) -> Iterator[str]:
    """The lines of the texts in the training part of a prepared set."""
    # Imports tensorflow_datasets, which other sources do without
    from genjax.data.images.prepare import open_records, open_set

    builder = open_set(name, data_dir)
    if 'train' not in builder.info.splits or 'text' not in builder.info.features:
        names = ', '.join([*builder.info.splits, *builder.info.features])
        raise ValueError(f'{name} has the parts and features {names}; train and text are needed')
    return _cut(_texts(open_records(builder, 'train'), builder.data_path))


def _texts(records: Iterable[dict[str, Any]], path: os.PathLike) -> Iterator[str]:
    """The lines of records, each with its end."""
    try:
        for record in records:
            for line in record['text'].decode().splitlines():
                yield f'{line}\n'
    except (RuntimeError, UnicodeDecodeError) as error:
        raise ValueError(f'{path} is damaged: {error}') from None

"""Where text comes from: files, docstrings, text8 and the sets of TFDS, as streams of sentences."""

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
from functools import partial
from typing import Any

import regex

from genjax.data.text.docs import docstrings
from genjax.home import data_folder, expanded

# Words of a sentence; a line that has more is cut, as the original word2vec cuts
LONGEST = 1000
# Characters without a space; where there are more, each LONGEST are a sentence
STRETCH = 2 * LONGEST
PIECE = 2**16  # bytes of a line read at once
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
    if source == 'text8':
        return lines(_text8(data_dir))
    if source.startswith('tfds:'):
        return _prepared(source.removeprefix('tfds:'), data_dir)
    if not source:
        raise ValueError("the corpus is ''; name a text file, docs, text8 or tfds:NAME")
    return lines(expanded(source))


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
    try:
        with _opened(path) as file:
            yield from _cut(_pieces(file, path))
    except FileNotFoundError:
        raise FileNotFoundError(f'there is no file {path}{_near(path)}') from None
    except DAMAGED as error:
        raise OSError(f'{path} is damaged or cut short: {error}') from None


def _opened(path: pathlib.Path) -> io.BufferedReader:
    openers = {'.gz': gzip.open, '.xz': lzma.open, '.zip': _unzipped}
    opener = openers.get(path.suffix, partial(open, mode='rb', buffering=0))
    return io.BufferedReader(opener(path), PIECE)


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


def _pieces(file: io.BufferedReader, path: pathlib.Path) -> Iterator[str]:
    """The text in pieces, each within a line; the last one of a line ends with the line break.

    Others end with a space, or where there is none in more than 2 STRETCH characters, between two
    words or characters.
    """
    number = 1
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

"""Where text comes from: files, the embedded docstrings, text8 and the sets of TFDS, all as a stream of sentences."""

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

from genjax.data.docs import docstrings
from genjax.home import data_folder, expanded

LONGEST = 1000  # words of a sentence; a line that has more is cut, as the original word2vec cuts
PIECE = 2**16  # bytes of a line read at once
NAMES = 'docs', 'text8'
# What the readers of archives raise; RuntimeError of one that is encrypted or packed in another way.
DAMAGED = EOFError, RuntimeError, struct.error, lzma.LZMAError, zlib.error, gzip.BadGzipFile, zipfile.BadZipFile
TEXT8 = 'http://mattmahoney.net/dc/text8.zip'
TEXT8_MD5 = '3bea1919949baf155f99411df5fada7e'


def sentences_of(source: str, data_dir: str = '') -> Iterator[str]:
    """The sentences or paragraphs of a source: `docs`, `text8`, `tfds:NAME`, or a file (./docs is one).

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
    """The lines of a text file in UTF-8, plain or .gz, .xz or .zip; one of more than 1,000 words comes in parts.

    Raises:
      ValueError: the file is not UTF-8, or has a word of more than 65,536 bytes.
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
    return io.BufferedReader(openers.get(path.suffix, partial(open, mode='rb', buffering=0))(path), PIECE)


def _unzipped(path: pathlib.Path) -> io.BufferedIOBase:
    with zipfile.ZipFile(path) as archive:
        if len(archive.namelist()) != 1:
            raise ValueError(f'{path} holds {len(archive.namelist())} files; a text is one')
        return archive.open(archive.namelist()[0])


def _near(path: pathlib.Path) -> str:
    """The end of a refusal: the name or the file that was perhaps meant."""
    siblings = [str(file) for file in sorted(path.parent.iterdir())] if path.parent.is_dir() else []
    close = difflib.get_close_matches(str(path), [*NAMES, *siblings], n=1)
    return f'; did you mean {close[0]}?' if close else f', nor is it {", ".join(NAMES)} or tfds:NAME'


def _pieces(file: io.BufferedReader, path: pathlib.Path) -> Iterator[str]:
    """The text in pieces of whole words, each within a line; the last one of a line ends with the line break."""
    number = 1
    while piece := file.readline(PIECE):
        while not piece[-1:].isspace() and (byte := file.read(1)):
            piece += byte
            if len(piece) > 2 * PIECE:
                raise ValueError(f'{path} is no text: line {number:,} has {PIECE:,} bytes without a space')
        try:
            text = piece.decode()
        except UnicodeDecodeError as error:
            found = f'byte {error.object[error.start]:#04x} in line {number:,}'
            raise ValueError(f'{path} is not UTF-8: {found} begins no character') from None
        yield text.removeprefix('\ufeff') if number == 1 else text  # some editors begin a file with this mark
        number += piece.endswith(b'\n')


def _cut(pieces: Iterator[str]) -> Iterator[str]:
    words = []  # of a line that is not whole yet
    for piece in pieces:
        if not words and piece.endswith('\n') and len(piece) <= 2 * LONGEST:  # too short to be cut
            yield piece
            continue
        words += piece.split()
        while len(words) > LONGEST:
            yield ' '.join(words[:LONGEST])
            del words[:LONGEST]
        if piece.endswith('\n'):
            yield ' '.join(words)
            words = []
    if words:
        yield ' '.join(words)


def _text8(data_dir: str) -> pathlib.Path:
    """The file of text8 (Mahoney 2006: the first 10^8 bytes of cleaned Wikipedia), downloaded if it is not there."""
    folder = data_folder(data_dir)
    files = [folder / f'text8{suffix}' for suffix in ('', '.gz', '.xz', '.zip')]
    found = next((file for file in files if file.is_file()), None)
    return found or _download(TEXT8, TEXT8_MD5, files[-1])


def _download(url: str, md5: str, path: pathlib.Path) -> pathlib.Path:
    """Puts a file into its place once all of it has come and has the right checksum."""
    import requests

    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix='.download') as folder:
        part, digest = pathlib.Path(folder) / path.name, hashlib.md5()
        try:
            with part.open('wb') as file, requests.get(url, stream=True, timeout=30) as response:
                response.raise_for_status()
                for chunk in response.iter_content(2**20):
                    file.write(chunk)
                    digest.update(chunk)
        except requests.exceptions.RequestException:
            raise FileNotFoundError(f'{path} is not there and {url} is out of reach; put the file there') from None
        if digest.hexdigest() != md5:
            raise ValueError(f'{url} has the md5 checksum {digest.hexdigest()}; {md5} is the right one')
        return part.replace(path)


def _prepared(name: str, data_dir: str) -> Iterator[str]:
    """The lines of the texts in the training part of a prepared set."""
    from genjax.data.prepare import (
        open_records,
        open_set,
    )  # imports tensorflow_datasets, which other sources do without

    builder = open_set(name, data_dir)
    if 'train' not in builder.info.splits or 'text' not in builder.info.features:
        has = [*builder.info.splits, *builder.info.features]
        raise ValueError(f'{name} has the parts and features {", ".join(has)}; train and text are needed')
    return _cut(_texts(open_records(builder, 'train'), builder.data_path))


def _texts(records: Iterable[dict[str, Any]], path: os.PathLike) -> Iterator[str]:
    try:
        yield from (f'{line}\n' for record in records for line in record['text'].decode().splitlines())
    except (RuntimeError, UnicodeDecodeError) as error:
        raise ValueError(f'{path} is damaged: {error}') from None

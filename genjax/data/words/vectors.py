"""Files of word vectors: the text and the binary format of word2vec, and safetensors.

Each format is a pair of pure functions between an Embedding and bytes; `load` and `save` choose by
a file's suffix. Vectors come back equal to the bit from every one of them. The two word2vec formats
are byte for byte what gensim writes. Letters: V words, D dimensions.
"""

import os
import pathlib
from collections.abc import Sequence

import numpy as np

from genjax.base import Embedding


def load(path: str | os.PathLike) -> Embedding:
    """The words and vectors in a file: .txt or .vec (word2vec text), .bin (word2vec binary) or
    .safetensors.

    Raises:
      OSError: the file cannot be read.
      ValueError: the suffix is another, or the file is not what its suffix says, or a number in it
        is not finite.
    """
    _, decode = _format(path)
    try:
        return decode(pathlib.Path(path).read_bytes())
    except ValueError as error:
        raise ValueError(f'{path}: {error}') from None


def save(path: str | os.PathLike, embedding: Embedding) -> None:
    """Writes words and vectors in the format that the suffix names, as for `load`; the file is
    whole or not there.

    Raises:
      OSError: the file cannot be written.
      ValueError: the suffix is another, or the format cannot hold the words.
    """
    encode, _ = _format(path)
    content, path = encode(embedding), pathlib.Path(path)
    partial = path.with_name(f'.{path.name}.partial')
    try:
        partial.write_bytes(content)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def _format(path):
    suffix = pathlib.Path(path).suffix
    if suffix not in FORMATS:
        raise ValueError(f'{path} ends in {suffix!r}; known are {", ".join(FORMATS)}')
    return FORMATS[suffix]


def to_text(embedding: Embedding) -> bytes:
    """word2vec's text: a line `V D`, then a line for each word: it and its D numbers, with spaces
    between.

    A number is written as the shortest decimal that gives back the float32.

    Raises:
      ValueError: a word is empty, holds a space or a newline, or is there twice; there is no word
        or no dimension.
    """
    words, vectors = _encoded(_parted(embedding))
    rows = (
        word + b' ' + ' '.join(map(str, row)).encode()
        for word, row in zip(words, vectors, strict=True)
    )
    return b'\n'.join([_header_of(vectors), *rows, b''])


def from_text(content: bytes) -> Embedding:
    """The Embedding in word2vec's text; see `to_text`. Spaces at the end of a line are left out.

    Raises:
      ValueError: the content is something else.
    """
    first, *lines = content.rstrip(b'\n').split(b'\n')
    count, size = _read_header(first)
    if len(lines) < count:
        raise ValueError(f'the header says {count} words and {len(lines)} lines follow')
    words, rows = zip(
        *(_read_row(i, line, size) for i, line in enumerate(lines[:count])), strict=True
    )
    _refuse_rest(b'\n'.join(lines[count:]), count)
    return _parted(_found(words, np.stack(rows)))


def _read_row(i: int, line: bytes, size: int) -> tuple[bytes, np.ndarray]:
    """Word i and its vector, float32 [D]."""
    word, *numbers = line.rstrip().split(b' ')
    if len(numbers) != size:
        raise ValueError(f'word {i + 1} has {len(numbers)} numbers; the header says {size}')
    try:
        with np.errstate(over='ignore'):  # what is infinite is refused with the rest
            return word, np.array([float(number) for number in numbers]).astype(np.float32)
    except ValueError as error:
        raise ValueError(f'word {i + 1}: {error}') from None


def to_binary(embedding: Embedding) -> bytes:
    """word2vec's binary: a line `V D`, then for each word: it, a space, and D little-endian
    float32.

    Raises:
      ValueError: as `to_text`.
    """
    words, vectors = _encoded(_parted(embedding))
    rows = (
        word + b' ' + row.tobytes() for word, row in zip(words, vectors.astype('<f4'), strict=True)
    )
    return b''.join([_header_of(vectors), b'\n', *rows])


def from_binary(content: bytes) -> Embedding:
    """The Embedding in word2vec's binary; see `to_binary`. Newlines before a word, as the original
    tool writes them, are left out.

    Raises:
      ValueError: the content is something else.
    """
    first, newline, _ = content[:100].partition(b'\n')
    count, size = _read_header(first)
    words, rows, start = [], [], len(first + newline)
    for i in range(count):
        space = content.find(b' ', start)
        end = space + 1 + 4 * size
        if space < 0 or end > len(content):
            raise ValueError(f'the header says {count} words and the bytes end in word {i + 1}')
        words.append(content[start:space].lstrip(b'\n'))
        rows.append(content[space + 1 : end])
        start = end
    _refuse_rest(content[start:], count)
    vectors = np.frombuffer(b''.join(rows), '<f4').reshape(count, size)
    return _parted(_found(words, vectors.astype(np.float32)))


def to_safetensors(embedding: Embedding) -> bytes:
    """safetensors of three arrays: `vectors` float32 [V, D], `words` uint8, all words in UTF-8 one
    after another, and `ends` int64 [V], the byte after each word.

    Raises:
      ValueError: a word is there twice; there is no word or no dimension.
    """
    from safetensors.numpy import save as packed

    words, vectors = _encoded(embedding)
    ends = np.cumsum([len(word) for word in words], dtype=np.int64)
    return packed(
        {'vectors': vectors, 'words': np.frombuffer(b''.join(words), np.uint8), 'ends': ends}
    )


def from_safetensors(content: bytes) -> Embedding:
    """The Embedding in safetensors; see `to_safetensors`.

    Raises:
      ValueError: the content is something else.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load as unpacked

    try:
        arrays = unpacked(content)
    except (SafetensorError, KeyError) as error:  # a KeyError is a type that numpy does not have
        said = ' '.join(str(error).split())
        raise ValueError(f'this is no safetensors file of numpy arrays: {said}') from None
    found = {name: (x.dtype.name, x.ndim) for name, x in arrays.items()}
    wanted = {'vectors': ('float32', 2), 'words': ('uint8', 1), 'ends': ('int64', 1)}
    if found != wanted:
        raise ValueError(f'the arrays, with type and rank, are {found}; wanted are {wanted}')
    vectors, words, ends = arrays['vectors'], arrays['words'].tobytes(), arrays['ends']
    bounds = np.concatenate([[0], ends])
    if len(ends) != len(vectors) or bounds[-1] != len(words) or (np.diff(bounds) < 0).any():
        raise ValueError(f'the ends do not divide {len(words)} bytes into {len(vectors)} words')
    return _found([words[i:j] for i, j in zip(bounds, bounds[1:], strict=False)], vectors)


FORMATS = {
    '.txt': (to_text, from_text),
    '.vec': (to_text, from_text),
    '.bin': (to_binary, from_binary),
    '.safetensors': (to_safetensors, from_safetensors),
}


def _header_of(vectors: np.ndarray) -> bytes:
    return '{} {}'.format(*vectors.shape).encode()


def _read_header(line: bytes) -> tuple[int, int]:
    """V and D, from the first line."""
    fields = line.split()
    if len(fields) != 2 or not all(
        field.isdigit() and len(field) < 20 and int(field) for field in fields
    ):
        raise ValueError(
            f'the first line is {line[:60]!r}; wanted are two numbers, words and dimensions'
        )
    return int(fields[0]), int(fields[1])


def _refuse_rest(rest: bytes, count: int) -> None:
    if rest.strip():
        raise ValueError(f'the header says {count} words and {len(rest)} bytes are left after them')


def _encoded(embedding: Embedding) -> tuple[list[bytes], np.ndarray]:
    """Words in UTF-8 and vectors, found to be fit for a file."""
    words, vectors = embedding.words, np.ascontiguousarray(embedding.vectors, np.float32)
    if vectors.ndim != 2 or not vectors.size or len(words) != len(vectors):
        raise ValueError(
            f'{len(words)} words have vectors {list(vectors.shape)}; wanted are [{len(words)}, D], none 0'
        )
    _refuse_twice(words)
    return [word.encode() for word in words], vectors


def _parted(embedding: Embedding) -> Embedding:
    """The same, if its words can be told apart by spaces and newlines."""
    for i, word in enumerate(embedding.words):
        if not word or ' ' in word or '\n' in word:
            raise ValueError(
                f'word {i + 1} is {word!r}; this format holds no empty words, spaces or newlines'
            )
    return embedding


def _found(words: Sequence[bytes], vectors: np.ndarray) -> Embedding:
    """What a file holds, seen to be an Embedding."""
    decoded = []
    for i, word in enumerate(words):
        try:
            decoded.append(word.decode())
        except UnicodeDecodeError:
            raise ValueError(f'word {i + 1} is {word[:60]!r}, which is not UTF-8') from None
    if not vectors.size:
        raise ValueError(
            f'the vectors are {list(vectors.shape)}; wanted are words and dimensions, none 0'
        )
    if not (finite := np.isfinite(vectors).all(1)).all():
        raise ValueError(f'word {finite.argmin() + 1} has a number that is not finite')
    _refuse_twice(decoded)
    return Embedding(decoded, vectors)


def _refuse_twice(words: Sequence[str]) -> None:
    if len(set(words)) == len(words):
        return
    first = {}
    for i, word in enumerate(words):
        if first.setdefault(word, i) != i:
            raise ValueError(
                f'words {first[word] + 1} and {i + 1} are both {word!r}; each may be there once'
            )

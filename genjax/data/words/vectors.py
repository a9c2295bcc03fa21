"""Files of word vectors: the text and the binary format of word2vec, and safetensors.

Each format is a pair of pure functions between an Embedding and bytes; `load` and `save` choose by
a file's suffix. Vectors are read equal to the bit in every one of them. The two word2vec formats
are byte for byte what gensim writes.

Letters: V words, D dimensions.
"""

import itertools
import os
import pathlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from genjax.base import Embedding


class Format(NamedTuple):
    encode: Callable[[Embedding], bytes]
    decode: Callable[[bytes], Embedding]


def load(path: str | os.PathLike) -> Embedding:
    """The words and vectors in a file.

    Args:
      path: a file .txt or .vec (word2vec text), .bin (word2vec binary) or .safetensors.

    Raises:
      OSError: the file cannot be read.
      ValueError: the suffix is another, or the file is not what its suffix says, or a number in it
        is not finite.
    """
    decode = _format(path).decode
    try:
        return decode(pathlib.Path(path).read_bytes())
    except ValueError as error:
        raise ValueError(f'{path}: {error}') from None


def save(path: str | os.PathLike, embedding: Embedding) -> None:
    """Writes words and vectors in the format of the suffix; the file is whole or not there.

    Args:
      path: as for `load`.

    Raises:
      OSError: the file cannot be written.
      ValueError: the suffix is another, or the format cannot represent the words.
    """
    content = _format(path).encode(embedding)
    path = pathlib.Path(path)
    partial = path.with_name(f'.{path.name}.partial')
    try:
        partial.write_bytes(content)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def _format(path: str | os.PathLike) -> Format:
    suffix = pathlib.Path(path).suffix
    if suffix not in FORMATS:
        raise ValueError(f'{path} ends in {suffix!r}; known are {", ".join(FORMATS)}')
    return FORMATS[suffix]


def to_text(embedding: Embedding) -> bytes:
    """word2vec's text: a line `V D`, then a line for each word.

    The line of a word is the word and its D numbers, with spaces between. A number is written as
    the shortest decimal that gives back the float32.

    Raises:
      ValueError: a word is empty, has a space or a newline, or is there twice; there is no word or
        no dimension.
    """
    _require_separable(embedding)
    words, vectors = _encode_words(embedding)
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
    words = []
    rows = []
    for i, line in enumerate(lines[:count]):
        word, row = _read_row(i, line, size)
        words.append(word)
        rows.append(row)
    _require_end(b'\n'.join(lines[count:]), count)
    embedding = _decode_words(words, np.stack(rows))
    _require_separable(embedding)
    return embedding


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
    """word2vec's binary: a line `V D`, then each word, a space, and D little-endian float32.

    Raises:
      ValueError: as `to_text`.
    """
    _require_separable(embedding)
    words, vectors = _encode_words(embedding)
    rows = (
        word + b' ' + row.tobytes() for word, row in zip(words, vectors.astype('<f4'), strict=True)
    )
    return b''.join([_header_of(vectors), b'\n', *rows])


def from_binary(content: bytes) -> Embedding:
    """The Embedding in word2vec's binary; see `to_binary`.

    Newlines before a word, as the original tool writes them, are left out.

    Raises:
      ValueError: the content is something else.
    """
    first, newline, _ = content[:100].partition(b'\n')
    count, size = _read_header(first)
    words = []
    rows = []
    start = len(first + newline)
    for i in range(count):
        space = content.find(b' ', start)
        end = space + 1 + 4 * size
        if space < 0 or end > len(content):
            raise ValueError(f'the header says {count} words and the bytes end in word {i + 1}')
        words.append(content[start:space].lstrip(b'\n'))
        rows.append(content[space + 1 : end])
        start = end
    _require_end(content[start:], count)
    vectors = np.frombuffer(b''.join(rows), '<f4').reshape(count, size)
    embedding = _decode_words(words, vectors.astype(np.float32))
    _require_separable(embedding)
    return embedding


def to_safetensors(embedding: Embedding) -> bytes:
    """safetensors of three arrays: vectors, words and ends.

    They are `vectors` float32 [V, D], `words` uint8, all words in UTF-8 one after another, and
    `ends` int64 [V], the byte after each word.

    Raises:
      ValueError: a word is there twice; there is no word or no dimension.
    """
    import safetensors.numpy

    words, vectors = _encode_words(embedding)
    ends = np.cumsum([len(word) for word in words], dtype=np.int64)
    letters = np.frombuffer(b''.join(words), np.uint8)
    return safetensors.numpy.save({'vectors': vectors, 'words': letters, 'ends': ends})


def from_safetensors(content: bytes) -> Embedding:
    """The Embedding in safetensors; see `to_safetensors`.

    Raises:
      ValueError: the content is something else.
    """
    import safetensors
    import safetensors.numpy

    try:
        arrays = safetensors.numpy.load(content)
    except (safetensors.SafetensorError, KeyError) as error:
        # A KeyError is a type that numpy does not have.
        reason = ' '.join(str(error).split())
        raise ValueError(f'this is no safetensors file of numpy arrays: {reason}') from None

    actual = {name: (x.dtype.name, x.ndim) for name, x in arrays.items()}
    wanted = {'vectors': ('float32', 2), 'words': ('uint8', 1), 'ends': ('int64', 1)}
    if actual != wanted:
        raise ValueError(f'the arrays, with type and rank, are {actual}; wanted are {wanted}')

    vectors = arrays['vectors']
    letters = arrays['words'].tobytes()
    ends = arrays['ends']
    bounds = np.concatenate([[0], ends])
    if len(ends) != len(vectors) or bounds[-1] != len(letters) or (np.diff(bounds) < 0).any():
        raise ValueError(f'the ends do not divide {len(letters)} bytes into {len(vectors)} words')
    words = [letters[i:j] for i, j in itertools.pairwise(bounds)]
    return _decode_words(words, vectors)


FORMATS = {
    '.txt': Format(to_text, from_text),
    '.vec': Format(to_text, from_text),
    '.bin': Format(to_binary, from_binary),
    '.safetensors': Format(to_safetensors, from_safetensors),
}


def _header_of(vectors: np.ndarray) -> bytes:
    return '{} {}'.format(*vectors.shape).encode()


def _read_header(line: bytes) -> tuple[int, int]:
    """V and D, from the first line."""
    fields = line.split()
    positive = [field.isdigit() and len(field) < 20 and int(field) > 0 for field in fields]
    if len(fields) != 2 or not all(positive):
        raise ValueError(
            f'the first line is {line[:60]!r}; wanted are two numbers, words and dimensions'
        )
    return int(fields[0]), int(fields[1])


def _require_end(rest: bytes, count: int) -> None:
    if rest.strip():
        raise ValueError(f'the header says {count} words and {len(rest)} bytes are left after them')


def _encode_words(embedding: Embedding) -> tuple[list[bytes], np.ndarray]:
    """Words in UTF-8, and vectors, float32 [V, D]; a ValueError if they do not belong together."""
    words = embedding.words
    vectors = np.ascontiguousarray(embedding.vectors, np.float32)
    if vectors.ndim != 2 or not vectors.size or len(words) != len(vectors):
        raise ValueError(
            f'{len(words)} words have vectors {list(vectors.shape)}; '
            f'wanted are [{len(words)}, D], none 0'
        )
    _require_distinct(words)
    return [word.encode() for word in words], vectors


def _decode_words(words: Sequence[bytes], vectors: np.ndarray) -> Embedding:
    """The Embedding of words in UTF-8 and their vectors; a ValueError if they are not valid."""
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
    finite = np.isfinite(vectors).all(1)
    if not finite.all():
        raise ValueError(f'word {finite.argmin() + 1} has a number that is not finite')
    _require_distinct(decoded)
    return Embedding(decoded, vectors)


def _require_separable(embedding: Embedding) -> None:
    """Raises ValueError unless spaces and newlines separate the words."""
    for i, word in enumerate(embedding.words):
        if not word or ' ' in word or '\n' in word:
            raise ValueError(
                f'word {i + 1} is {word!r}; this format holds no empty words, spaces or newlines'
            )


def _require_distinct(words: Sequence[str]) -> None:
    if len(set(words)) == len(words):
        return
    first = {}
    for i, word in enumerate(words):
        if first.setdefault(word, i) != i:
            raise ValueError(
                f'words {first[word] + 1} and {i + 1} are both {word!r}; each may be there once'
            )

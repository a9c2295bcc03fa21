"""Readers of files and flags: whatever the bytes, they give a value or a refusal of one line.

A value that can be written is read back as it was. GENJAX_FUZZ=20000 sets the number of examples of
each test, which are the same in every run.
"""

import gzip
import io
import lzma
import os
import string
from functools import partial

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st
from PIL import Image

from genjax.base import Embedding
from genjax.data.images import builders
from genjax.data.images.files import open_files
from genjax.data.text import SEPARATOR, read_corpus, read_vocabulary, write_vocabulary
from genjax.data.words.hypernyms import read_bless, read_wordnet
from genjax.data.words.sets import read_analogies, read_similarity
from genjax.data.words.vectors import (
    from_binary,
    from_safetensors,
    from_text,
    to_binary,
    to_safetensors,
    to_text,
)
from genjax.networks.inception.state_dict import read_arrays
from launch.cli.flags import Flags, parse
from launch.cli.flat import flat
from launch.cli.overrides import override
from launch.cli.refusal import Refused
from launch.sweep.points import axis
from tests.data.images.tiny_sets import idx
from tests.launch.cli.test_bad_input import zipped
from tests.launch.cli.test_overrides import defaults
from tests.networks import test_state_dict

fuzz = hypothesis.settings(
    max_examples=int(os.environ.get('GENJAX_FUZZ', 50)),
    derandomize=True,
    database=None,
    deadline=None,
    # One folder is enough for all examples, and damage is slow to make.
    suppress_health_check=list(hypothesis.HealthCheck),
)
WORDS = st.text(min_size=1, max_size=6).filter(lambda word: word.isprintable() and ' ' not in word)
TEXTS = st.lists(
    st.lists(st.sampled_from(['king', 'queen', "don't", '1.5', 'naïve', 'a-b']) | WORDS, max_size=5)
)


def value_or_line(read, *arguments):
    """The value that is read; None where it is refused, in one line."""
    try:
        return read(*arguments)
    except (ValueError, OSError, Refused) as error:
        assert len(str(error).splitlines()) == 1
        return None


@st.composite
def damaged(draw, whole):
    """Bytes with up to three pieces replaced, put in or taken out; one time in ten, any bytes."""
    content = bytearray(draw(whole))
    damage = st.tuples(st.floats(0, 1), st.integers(0, 9), st.binary(max_size=4))
    for place, length, replacement in draw(st.lists(damage, max_size=3)):
        start = int(place * len(content))
        content[start : start + length] = replacement
    return bytes(content) if draw(st.integers(0, 9)) else draw(st.binary())


@st.composite
def embeddings(draw):
    words = draw(st.lists(WORDS, min_size=1, max_size=4, unique=True))
    size = draw(st.integers(1, 3))
    bits = draw(st.binary(min_size=4 * len(words) * size, max_size=4 * len(words) * size))
    vectors = np.frombuffer(bits, '<f4').reshape(len(words), size)
    return Embedding(words, np.where(np.isfinite(vectors), vectors, np.float32(0.1)))


FORMATS = {
    'text': (to_text, from_text),
    'binary': (to_binary, from_binary),
    'safetensors': (to_safetensors, from_safetensors),
}


@pytest.mark.parametrize('form', FORMATS)
@fuzz
@hypothesis.given(data=st.data())
def test_word_vectors(form, data):
    encode, decode = FORMATS[form]
    value = value_or_line(decode, data.draw(damaged(embeddings().map(encode))))
    if value is not None:
        again = decode(encode(value))
        assert list(again.words) == list(value.words)
        assert again.vectors.tobytes() == value.vectors.tobytes()
        assert np.isfinite(value.vectors).all()
        assert len(value.words) == len(value.vectors)


def image_file(form, mode):
    """A file of a small image."""
    stream = io.BytesIO()
    levels = np.arange(12, dtype=np.uint8).reshape(4, 3)
    Image.fromarray(levels).convert(mode).save(stream, form)
    return stream.getvalue()


def npz_file(save):
    """Three images with labels and names."""
    stream = io.BytesIO()
    images = np.arange(36, dtype=np.uint8).reshape(3, 4, 3)
    save(stream, arr_0=images, arr_1=np.arange(3), names=np.array(['a/1', 'b/2', 'c']))
    return stream.getvalue()


OWN_IMAGES = {
    'png': image_file('PNG', 'RGB'),
    'palette.png': image_file('PNG', 'P'),
    'jpg': image_file('JPEG', 'L'),
    'webp': image_file('WEBP', 'RGB'),
    'gif': image_file('GIF', 'P'),
    'stored.npz': npz_file(np.savez),
    'npz': npz_file(np.savez_compressed),
    'zip': zipped({'set/a/1.png': image_file('PNG', 'L'), 'set/b/2.png': image_file('PNG', 'P')}),
    'json': b'{"labels": [["1.png", 3], ["2.png", 0]]}',
}


@pytest.mark.parametrize('suffix', OWN_IMAGES)
@fuzz
@hypothesis.given(data=st.data())
def test_own_images(suffix, data, tmp_path):
    content = data.draw(damaged(st.just(OWN_IMAGES[suffix])))
    path = tmp_path / f'images.{suffix}'
    if suffix == 'json':
        path = tmp_path / 'dataset.json'
        for name in ('1.png', '2.png'):
            (tmp_path / name).write_bytes(OWN_IMAGES['png'])
    path.write_bytes(content)
    files = value_or_line(open_files, path if path.suffix in ('.npz', '.zip') else tmp_path)
    for i in range(len(files.names) if files else 0):
        image = value_or_line(files.decoded, i)
        if image is not None:
            assert image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] in (1, 3)
    for line in files.unreadable if files else ():
        assert len(line.splitlines()) == 1


def zipped_file(content):
    return zipped({'a': content})


PACKED = {'txt': bytes, 'gz': gzip.compress, 'xz': lzma.compress, 'zip': zipped_file}


@pytest.mark.parametrize('suffix', PACKED)
@fuzz
@hypothesis.given(data=st.data())
def test_corpora(suffix, data, tmp_path):
    def packed(lines):
        return PACKED[suffix]('\n'.join(map(' '.join, lines)).encode())

    path = tmp_path / f'corpus.{suffix}'
    path.write_bytes(data.draw(damaged(TEXTS.map(packed))))
    value = value_or_line(partial(read_corpus, path, min_count=1))
    if value is not None:
        size = len(value.vocabulary.words)
        assert value.ids.min() >= SEPARATOR
        assert value.ids.max() < size
        counts = np.bincount(value.ids[value.ids >= 0], minlength=size)
        np.testing.assert_array_equal(counts, value.vocabulary.counts)


def vocabulary_file(counts):
    return ''.join(f'{word}\t{count}\n' for word, count in counts.items()).encode()


VOCABULARIES = st.dictionaries(WORDS, st.integers(0, 9)).map(vocabulary_file)


@fuzz
@hypothesis.given(content=damaged(VOCABULARIES))
def test_vocabularies(content, tmp_path):
    path = tmp_path / 'vocabulary.tsv'
    path.write_bytes(content)
    value = value_or_line(read_vocabulary, path)
    if value is not None:
        write_vocabulary(path, value)
        again = read_vocabulary(path)
        assert again.words == value.words
        assert again.counts.tolist() == value.counts.tolist()


def read_bless_twice(path):
    return read_bless(path, path)


CELLS = WORDS | st.sampled_from(['1', '0', '-1', '7.5', 'nan', ':'])
ROWS = st.lists(st.lists(CELLS, max_size=5))
# reader -> (first line of its files, what separates their cells)
TABLES = {
    read_similarity: ('', ' '),
    read_analogies: (': family\n', ' '),
    read_wordnet: ('lemma\thypernym\tsense\tsteps\n', '\t'),
    read_bless_twice: ('word1\tword2\tlabel\tconcept\trelatum\trelation\n', '\t'),
}


@pytest.mark.parametrize('read', TABLES)
@fuzz
@hypothesis.given(data=st.data())
def test_tables_of_words(read, data, tmp_path):
    head, separator = TABLES[read]

    def table_file(rows):
        return (head + '\n'.join(map(separator.join, rows))).encode()

    path = tmp_path / 'table'
    path.write_bytes(data.draw(damaged(ROWS.map(table_file))))
    value = value_or_line(read, path)
    assert value is None or isinstance(value, list)


ARRAYS = st.integers(1, 3).map(lambda n: np.arange(n * 4, dtype=np.uint8).reshape(n, 2, 2))


@fuzz
@hypothesis.given(
    content=damaged(ARRAYS.map(idx)), raw=damaged(ARRAYS.map(idx).map(gzip.decompress))
)
def test_idx(content, raw, tmp_path):
    for written in (content, gzip.compress(raw)):
        (tmp_path / 'idx').write_bytes(written)
        value = value_or_line(builders.read_idx, tmp_path / 'idx', 2, 2)
        if value is not None:
            assert value.dtype == np.uint8
            assert value.shape == (len(value), 2, 2)


@pytest.mark.parametrize('form', test_state_dict.FORMATS)
@fuzz
@hypothesis.given(data=st.data())
def test_state_dicts(form, data, tmp_path):
    whole = st.just(test_state_dict.written(form, test_state_dict.some_arrays()))
    (tmp_path / 'w.pth').write_bytes(data.draw(damaged(whole)))
    value = value_or_line(read_arrays, tmp_path / 'w.pth')
    assert value is None or sum(x.nbytes for x in value.values()) < 2000


VALUES = (
    st.text('0123456789.eE+-_(),[]{}\'" nairtusfT#\\\n')
    | st.text()
    | st.sampled_from(['-1', '1e9', '(1, 2)', 'none'])
)


@fuzz
@hypothesis.given(text=VALUES | st.tuples(WORDS, VALUES).map('='.join))
def test_sweep_axes(text):
    value = value_or_line(axis, text)
    if value is not None:
        key, values = value
        assert key
        assert values
        assert all(values)
        assert len(set(values)) == len(values)


@fuzz
@hypothesis.given(key=st.sampled_from(sorted(flat(defaults().to_dict()))) | st.text(), text=VALUES)
def test_overrides(key, text):
    value = value_or_line(override, defaults(), {key: text})
    if value is not None:
        texts = {name: str(value) for name, value in flat(value.to_dict()).items()}
        assert repr(override(defaults(), texts).to_dict()) == repr(value.to_dict())


NAMES = [
    'exp',
    'until',
    'fold',
    'mesh',
    'sweep',
    'workers',
    'seeds',
    'vmap',
    'on',
    'config.a',
    'slurm.time',
    'dry_run',
    'workdir',
]
FLAGS = st.builds(
    '--{}{}{}'.format,
    st.sampled_from(NAMES) | st.text(string.ascii_letters),
    st.sampled_from(['=', ' ', '']),
    VALUES,
)


@fuzz
@hypothesis.given(words=st.lists(FLAGS | VALUES, max_size=4))
def test_flags(words):
    value = value_or_line(parse, ['--exp=toy', *words])
    assert value is None or isinstance(value, Flags)

"""Texts for the tests of this folder, and what is read of them as plain lists."""

import io
import zipfile

import numpy as np
import pytest

from genjax.data.text import SEPARATOR, read_corpus

LECTURE = ['I like deep learning.', 'I like NLP.', 'I enjoy flying.']


def sentences(corpus):
    """A corpus as lists of words."""
    assert corpus.ids.dtype == np.int32 and corpus.ids[-1] == SEPARATOR
    parts = np.split(corpus.ids, np.flatnonzero(corpus.ids == SEPARATOR) + 1)[:-1]
    return [[corpus.vocabulary.words[i] for i in part[:-1]] for part in parts]


def random_sentences(seed, n=300):
    """Words w0, w1, ... with frequencies by a power law, many of equal count.

    A few sentences are empty.
    """
    draw = np.random.default_rng(seed)
    return [
        ' '.join(f'w{i}' for i in draw.zipf(1.4, draw.integers(0, 12)) if i < 500) for _ in range(n)
    ]


def zipped(content):
    file = io.BytesIO()
    with zipfile.ZipFile(file, 'w', zipfile.ZIP_DEFLATED) as archive:
        archive.writestr('inside.txt', content)
    return file.getvalue()


def refusal(kind, source, **options):
    """The message of the error that reading a source raises, which is one line."""
    with pytest.raises(kind) as error:
        read_corpus(source, **options)
    assert '\n' not in str(error.value)
    return str(error.value)

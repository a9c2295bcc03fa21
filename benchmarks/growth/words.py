"""word2vec against the length of a text: skip-gram, one epoch, a vocabulary of 20,000 words.

The text is a corpus of the data folder, read again from its beginning where it ends, or words drawn
by Zipf's law where there is no such folder. gensim reads the same file and trains likewise, with
one worker.
"""

import lzma
import math
import pathlib
import time
from collections.abc import Iterator

import numpy as np

from benchmarks.growth.meters import memory, training_seconds
from benchmarks.growth.subject import Measure, Options, Subject
from genjax.algorithms.word2vec import (
    keep_probability,
    linear_rate,
    negative_sampling,
    skip_gram,
    word2vec,
)
from genjax.base import Algorithm
from genjax.data.text import read_corpus
from genjax.data.text.excerpts import excerpts

MILLION = 10**6
WORDS = 20_000  # of the vocabulary
SENTENCE = 20  # words of a drawn one
STEP = 20_000  # words of a training step
BATCH = 8  # excerpts side by side
SETTINGS = dict(
    vector_size=100, window=5, negative=5, min_count=1, alpha=0.025, min_alpha=1e-4, workers=1
)


def drawn_words(words: int, vocabulary: int) -> np.ndarray:
    """Ranks of words drawn by Zipf's law, int32 [words]."""
    rng = np.random.default_rng(0)
    weights = 1 / np.arange(1, vocabulary + 1)
    cumulative = np.cumsum(weights) / weights.sum()
    cumulative[-1] = 1
    return np.searchsorted(cumulative, rng.random(words)).astype(np.int32)


def _drawn_lines(words: int) -> Iterator[str]:
    for ranks in np.array_split(drawn_words(words, WORDS), -(-words // SENTENCE)):
        yield ' '.join(f'w{rank}' for rank in ranks)


def _corpus_lines(path: pathlib.Path) -> Iterator[str]:
    """The lines of a corpus, over and over."""
    while True:
        with lzma.open(path, 'rt', encoding='utf-8') as file:
            for line in file:
                yield line.rstrip('\n')


def text_file(words: int, options: Options) -> pathlib.Path:
    """A text of so many words, more or less a sentence, written once."""
    path = options.scratch / f'{words}.txt'
    if path.exists():
        return path
    corpus = None if options.data is None else options.data / 'text' / 'corpus.txt.xz'
    lines = _drawn_lines(words) if corpus is None else _corpus_lines(corpus)
    written = 0
    partial = path.with_suffix('.partial')
    with partial.open('w', encoding='utf-8') as file:
        for line in lines:
            file.write(f'{line}\n')
            written += len(line.split())
            if written >= words:
                break
    partial.replace(path)
    return path


def learner(counts: np.ndarray, steps: int, sample: float) -> Algorithm:
    """Skip-gram with gensim's default settings."""
    return word2vec(
        skip_gram(window=5, block=64),
        negative_sampling(counts, negatives=5, shared=32),
        keep=keep_probability(counts, sample),
        dimension=SETTINGS['vector_size'],
        rate=linear_rate((0.025, 1e-4), steps),
        stable=True,
    )


def genjax(size: float, options: Options) -> dict[str, float]:
    """Reading and training by genjax."""
    words = round(size * MILLION)
    path = text_file(words, options)
    steps = math.ceil(words / STEP)
    measures = {}
    with memory(measures):
        start = time.process_time()
        text = read_corpus(path, min_count=1, max_size=WORDS)
        measures['reading'] = time.process_time() - start
        data = excerpts(text, batch=BATCH, steps=steps, epochs=1, seed=0)
        algorithm = learner(text.vocabulary.counts, steps, 1e-3)
        compiling, training = training_seconds(algorithm, data.train, steps)
    measures |= {'compiling': compiling, 'training': training}
    return measures


def gensim(size: float, options: Options) -> dict[str, float]:
    """The same by gensim."""
    from gensim.models import Word2Vec

    path = str(text_file(round(size * MILLION), options))
    measures = {}
    with memory(measures):
        model = Word2Vec(sg=1, sample=1e-3, max_final_vocab=WORDS, seed=1, **SETTINGS)
        start = time.process_time()
        model.build_vocab(corpus_file=path)
        measures['reading'] = time.process_time() - start
        total = dict(total_examples=model.corpus_count, total_words=model.corpus_total_words)
        start = time.process_time()
        model.train(corpus_file=path, epochs=1, **total)
        measures['training'] = time.process_time() - start
    return measures


SUBJECT = Subject(
    varied='million words',
    sizes=(1, 2, 4, 8, 16, 32, 64),
    small=(0.05, 0.1),
    sides={'genjax': genjax, 'gensim': gensim},
    measures={
        'reading': Measure('s', 1),
        'compiling': Measure('s', 0),
        'training': Measure('s', 1),
        'memory': Measure('GiB', 1),
    },
)

"""word2vec against the size of the vocabulary: a million words drawn by Zipf's law.

A step costs what its words cost: the table of vectors is read and written at these rows alone.
Nothing is subsampled, so that all vocabularies train on as many words. 'setup' is the
tables of noise words, a digest of the words and the data on the device.
"""

import time

import numpy as np

from benchmarks.growth.meters import memory, training_seconds
from benchmarks.growth.subject import Measure, Options, Subject
from benchmarks.growth.words import BATCH, MILLION, SETTINGS, STEP, drawn_words, learner
from genjax.data.text import SEPARATOR, Corpus, Vocabulary
from genjax.data.text.excerpts import excerpts

SENTENCE = 25


def _sentences(size: float, options: Options) -> np.ndarray:
    words = STEP if options.small else MILLION
    return drawn_words(words, int(size)).reshape(-1, SENTENCE)


def _counts(size: float) -> np.ndarray:
    """By Zipf's law, at least 1, by falling count."""
    return np.maximum(100 * int(size) // np.arange(1, int(size) + 1), 1)


def genjax(size: float, options: Options) -> dict[str, float]:
    """Setting up and training by genjax."""
    sentences = _sentences(size, options)
    ids = np.pad(sentences, ((0, 0), (0, 1)), constant_values=SEPARATOR).reshape(-1)
    words = tuple(f'w{rank}' for rank in range(int(size)))
    text = Corpus(ids, Vocabulary(words, _counts(size)))
    steps = sentences.size // STEP
    measures = {}
    with memory(measures):
        start = time.process_time()
        data = excerpts(text, batch=BATCH, steps=steps, epochs=1, seed=0)
        algorithm = learner(text.vocabulary.counts, steps, 0.0)
        measures['setup'] = time.process_time() - start
        compiling, training = training_seconds(algorithm, data.train, steps)
    measures |= {'compiling': compiling, 'training': training}
    return measures


def gensim(size: float, options: Options) -> dict[str, float]:
    """The same by gensim, which is given the counts too."""
    from gensim.models import Word2Vec

    sentences = _sentences(size, options)
    path = options.scratch / f'vocabulary-{int(size)}.txt'
    lines = [' '.join(f'w{rank}' for rank in sentence) for sentence in sentences]
    path.write_text('\n'.join(lines))
    counts = {f'w{rank}': int(count) for rank, count in enumerate(_counts(size))}
    measures = {}
    with memory(measures):
        model = Word2Vec(sg=1, sample=0, seed=1, **SETTINGS)
        start = time.process_time()
        model.build_vocab_from_freq(counts)
        measures['setup'] = time.process_time() - start
        total = dict(total_examples=len(sentences), total_words=sentences.size)
        start = time.process_time()
        model.train(corpus_file=str(path), epochs=1, **total)
        measures['training'] = time.process_time() - start
    return measures


SUBJECT = Subject(
    varied='words of the vocabulary',
    sizes=(10_000, 30_000, 100_000, 300_000, 1_000_000),
    small=(1000, 2000),
    sides={'genjax': genjax, 'gensim': gensim},
    measures={
        'setup': Measure('s', 1),
        'compiling': Measure('s', 0),
        'training': Measure('s', 0),
        'memory': Measure('GiB', 1),
    },
)

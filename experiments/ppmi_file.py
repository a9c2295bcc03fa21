"""Word vectors by counting: window counts of a text file, positive PMI and a truncated SVD.

Run     python -m launch --exp ppmi_file --config.corpus=corpus.txt.xz --config.word_sets=words
Smoke   python -m launch --exp ppmi_file --config.corpus=README.md --config.steps=4 --config.held_out=60
        --config.batch=4 --config.dimension=8 --config.min_count=2
Source  Levy and Goldberg 2014, "Neural word embedding as implicit matrix factorization"; Levy et al. 2015 (TACL 3)
Ours    -
"""

import jax
import numpy as np
from ml_collections import ConfigDict

from genjax.algorithms.cooccurrence import cooccurrence, dynamic, factors
from genjax.base import Embedding
from genjax.data.excerpts import passage
from genjax.data.text import held_out, read_corpus
from genjax.data.wordsets import read_sets
from genjax.metrics.wordfigures import neighbour_table
from genjax.metrics.words import scores
from genjax.train import Experiment, Probe


def get_config():
    config = dict(
        seed=0,
        steps=40,  # in which the text is read once
        batch=1024,
        corpus='',
        word_sets='',  # folder of similarity sets and analogies; '' for none
        min_count=5,
        max_size=50_000,
        held_out=20_000,  # words
        window=5,
        capacity=20_000_000,  # different pairs at the most
        dimension=100,
        neighbours=('king', 'france', 'river', 'music', 'function', 'array'),
        every=dict(log=1, evaluate=40, save=40),
    )
    return ConfigDict(config)


def build(config):
    text = read_corpus(config.corpus, min_count=config.min_count, max_size=config.max_size)
    words, size = text.vocabulary.words, len(text.vocabulary.words)
    train, test = held_out(text, words=config.held_out)
    vectors = factors(size, dimension=config.dimension)
    algorithm = cooccurrence(
        size,
        window=config.window,
        capacity=min(config.capacity, size * (size + 1) // 2),
        weight=dynamic(config.window),
        margin=config.window,
        vectors=vectors,
    )
    data = passage(train, batch=config.batch, steps=config.steps, overlap=config.window, test=test)
    sets = read_sets(config.word_sets) if config.word_sets else None
    compute = jax.jit(vectors)

    def known(key, state):
        embedding = Embedding(words, np.asarray(compute(key, state)))
        seen = scores(embedding, sets.similarity, sets.analogies) if sets else {}
        return seen | {'neighbours': neighbour_table(embedding, config.neighbours)}

    return Experiment(algorithm, data, {'words': Probe(config.steps, known)})

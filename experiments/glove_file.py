"""GloVe on any text file: window counts, and vectors whose products are their logarithms.

The text is counted when a run begins, and again where it goes on. A pair at distance d counts 1/d.
The entries of the counts are the data; `epochs` times through them in `steps`.

Run     python -m launch --exp glove_file --config.corpus=corpus.txt.xz --config.word_sets=words
Smoke   python -m launch --exp glove_file --config.corpus=README.md --config.steps=4
        --config.epochs=1 --config.held_out=60 --config.dimension=8 --config.min_count=2
        --config.counting.steps=2 --config.counting.batch=8
Small   python -m launch --exp glove_file --config.corpus=docs --config.steps=60
        --config.epochs=2
Source  Pennington et al. 2014, "GloVe: global vectors for word representation" (EMNLP)
Ours    21 million words of Wikipedia, --config.epochs=5 --config.steps=680, 5 min in all (commit
        557b044, one core), seeds 0, 1, 2: MEN 0.493, 0.517, 0.505, WordSim-353 0.512, 0.535, 0.530,
        SimLex-999 0.230, 0.214, 0.217, Google analogies 33.4, 33.7, 32.5 %; their own program has
        0.502, 0.524, 0.228, 23.9 % after 6 min
"""

import sys

import jax
import numpy as np
import optax
from jax.sharding import PartitionSpec
from ml_collections import ConfigDict

from genjax.algorithms.cooccurrence import cooccurrence, entries, glove, harmonic, power_weight
from genjax.base import Data, Key, State
from genjax.data.progress import progress
from genjax.data.resident import resident
from genjax.data.text import Corpus, get_tokenizer, read_corpus
from genjax.data.text.excerpts import passage
from genjax.data.words import read_sets
from genjax.data.words.vectors import to_binary, to_safetensors
from genjax.probes.words import (
    answers,
    capitals,
    embedder,
    embedding_measure,
    export,
    neighbours_and_scores,
)
from genjax.training import Experiment, Probe

TEST_BATCH = 2**16  # entries
MAX_PARTS = 10_000  # in which a text is counted

# For vocabularies of millions: each device holds a part of all tables.
RULES = (('words', PartitionSpec('model')), ('contexts', PartitionSpec('model')))


def get_config():
    config = dict(
        seed=0,
        steps=2500,
        epochs=25.0,
        corpus='',
        tokenizer='words',  # or 'characters', or 'spaces' for words that spaces part already
        word_sets='',  # folder of similarity sets and analogies; '' for none
        min_count=5,
        max_size=50_000,
        held_out=20_000,  # entries of the counts
        counting=dict(window=10, capacity=40_000_000, steps=40, batch=1024),
        dimension=100,
        weight=dict(x_max=10.0, alpha=0.75),  # the paper's 100 is for texts of 10^9 words
        rate=0.3,
        examples=('king', 'paris', 'river', 'music', 'monday', 'quickly', 'better', 'three'),
        every=dict(log=50, evaluate=500, save=500),
    )
    return ConfigDict(config)


def count_pairs(text: Corpus, config: ConfigDict) -> dict[str, np.ndarray]:
    """The entries of the counts of a text."""
    size = len(text.vocabulary.words)
    window = config.counting.window
    steps = config.counting.steps
    if not 1 <= steps <= MAX_PARTS:
        raise ValueError(f'counting.steps is {steps}; it takes 1 to {MAX_PARTS:,}')
    weight = harmonic(window)
    algorithm = cooccurrence(
        size,
        window=window,
        capacity=min(config.counting.capacity, size * (size + 1) // 2),
        weight=weight,
        margin=window,
    )
    data = passage(text, batch=config.counting.batch, steps=steps, overlap=window).train
    update = jax.jit(algorithm.update, donate_argnums=1)
    key = jax.random.key(0)
    counts = algorithm.init(key, data[0])
    with progress(sys.stderr, 'counting', 'parts', steps) as show:
        for step in range(steps):
            counts, metrics = update(key, counts, data[step])
            if np.isinf(metrics['pairs']):
                raise ValueError(
                    f'counting.capacity is {config.counting.capacity:,}; the text has more '
                    'different pairs, or one of them too often for the window'
                )
            show(step + 1)
    return entries(counts, size, unit=weight(1))


def batch_size(n: int, config: ConfigDict) -> int:
    """The entries of a step, where there are n in all."""
    held_out = config.held_out
    batch = (n - held_out) * config.epochs / config.steps
    if not (1 <= held_out < n and 1 <= batch <= n - held_out):
        raise ValueError(
            f'held_out is {held_out:,}, {config.epochs} epochs in {config.steps} steps; the text '
            f'has {n:,} entries, of which each step takes from 1 to all'
        )
    return round(batch)


def entries_data(pairs: dict[str, np.ndarray], *, held_out: int, batch: int, seed: int) -> Data:
    """Shuffled batches of entries, and some of them held out."""
    n = len(pairs['count'])
    order = np.random.default_rng(0).permutation(n)
    shuffled = {name: values[order] for name, values in pairs.items()}
    train = {name: values[held_out:] for name, values in shuffled.items()}
    tests = [
        {name: values[i : min(i + TEST_BATCH, held_out)] for name, values in shuffled.items()}
        for i in range(0, held_out, TEST_BATCH)
    ]
    return Data(resident(train, batch=batch, seed=seed), tests)


def build(config):
    # What could be refused, before the text is counted.
    if config.dimension < 1:
        raise ValueError(f'dimension is {config.dimension}; at least 1 is needed')
    weight = power_weight(**config.weight)
    text = read_corpus(
        config.corpus,
        min_count=config.min_count,
        max_size=config.max_size,
        tokenize=get_tokenizer(config.tokenizer).split,
    )
    words = text.vocabulary.words
    sets = read_sets(config.word_sets) if config.word_sets else ()
    pairs = count_pairs(text, config)
    batch = batch_size(len(pairs['count']), config)
    data = entries_data(pairs, held_out=config.held_out, batch=batch, seed=config.seed)
    algorithm = glove(
        len(words),
        # Accumulators begin at 1 beside the sum over a batch, see `glove`.
        optax.adagrad(config.rate, batch**-2, 1e-30),
        dimension=config.dimension,
        weight=weight,
    )

    def vectors(key: Key, state: State) -> jax.Array:
        return state.average['words'] + state.average['contexts']

    embed = embedder(words, vectors)
    scores = embedding_measure(embed, neighbours_and_scores(config.examples, *sets))
    files = export(bin=to_binary, safetensors=to_safetensors)
    probes = {
        'words': Probe(config.every.evaluate, scores, scores=True),
        'vectors': Probe(config.steps, embedding_measure(embed, capitals, files)),
    }
    return Experiment(algorithm, data, probes, answers(embed))

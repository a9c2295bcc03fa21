"""Masked diffusion on text8, after Shi et al. 2024, who report at most 1.37 bits a character.

Run     python -m launch --exp masked_text8
Smoke   python -m launch --exp masked_text8 --config.corpus=README.md --config.steps=4
        --config.validation=300 --config.test=300 --config.batch=4 --config.length=16
        --config.network.width=8 --config.network.depth=1 --config.network.heads=2
        --config.sampler_steps=4
Source  Shi et al. 2024 (MD4), arXiv:2406.04329: 27 characters in chunks of 256, the first 90
        million to train, the last 5 million to test; 12 layers, 12 heads of 64, the linear
        schedule, 1,000 steps of the reverse process, Adam at 3e-4, batches of 512, a million
        steps, an average that forgets 1e-4 a step
Ours    not trained: no text8 and no accelerator were at hand
"""

import optax
from ml_collections import ConfigDict

from experiments._letters import (
    SPACE,
    Letters,
    infillings,
    letters_data,
    transformer,
    whole_excerpts,
)
from genjax.algorithms.masked_diffusion import (
    ancestral,
    continuous,
    each_by_itself,
    infilled,
    linear,
    masked_diffusion,
)
from genjax.data.text import joined, letters, read_corpus
from genjax.probes.texts import bits_per_character, text_table
from genjax.training import Experiment, Probe


def get_config():
    config = dict(
        seed=0,
        steps=1_000_000,
        batch=512,
        corpus='text8',
        data_dir='',  # the folder of text8
        validation=5_000_000,  # letters before those of the test, which are not read
        test=5_000_000,  # letters at the end
        length=256,
        network=dict(width=768, depth=12, heads=12, dtype='float32'),
        learning_rate=3e-4,
        decay=0.9999,
        evaluations=8,  # times at which the bound of each held-out excerpt is estimated
        sampler_steps=1000,
        microbatches=1,
        every=dict(log=100, evaluate=20_000, save=20_000),
    )
    return ConfigDict(config)


def build(config):
    text = split_at_the_end(config)
    data = letters_data(config, text)
    network = transformer(config, text.names)
    sampler = ancestral(linear, config.sampler_steps)
    algorithm = masked_diffusion(
        network,
        optax.adam(config.learning_rate),
        length=config.length,
        sampler=sampler,
        hiding=each_by_itself(continuous(linear)),
        evaluations=config.evaluations,
        decay=config.decay,
        microbatches=config.microbatches,
    )
    scores = bits_per_character(algorithm.evaluate, data.test, count='words')
    probes = {
        'test': Probe(config.steps, scores, scores=True),
        'samples': Probe(config.every.evaluate, text_table(algorithm.sample, text.names, n=8)),
    }
    ask = infillings(infilled(network, sampler), text.names, config.length)
    return Experiment(algorithm, data, probes, ask)


def split_at_the_end(config):
    """The text, of which the end is tested on, and what is before that left out."""
    text = read_corpus(config.corpus, min_count=1, tokenize=letters, data_dir=config.data_dir)
    text = joined(text, SPACE)
    last = len(text.ids) - config.test
    train = last - config.validation
    if not (config.test >= 1 and config.validation >= 0 and train >= config.length):
        raise ValueError(
            f'validation is {config.validation}, test {config.test}; the text has '
            f'{len(text.ids)} letters, of which some must be left to train on'
        )
    test = whole_excerpts(text._replace(ids=text.ids[last:]), config.length)
    return Letters(text.vocabulary.words, text._replace(ids=text.ids[:train]), test)

"""An autoregressive transformer on the letters of docstrings: each letter from those before it.

It is the network of masked_docs at twice the width, with a causal mask, on the same text.

Run     python -m launch --exp causal_docs
        and then, with --mode evaluate --query 'the array of', how it goes on
Smoke   python -m launch --exp causal_docs --config.corpus=README.md --config.steps=4
        --config.held_out=600 --config.batch=4 --config.length=16 --config.network.width=8
        --config.network.depth=1 --config.network.heads=2
Small   python -m launch --exp causal_docs --config.steps=60 --config.held_out=5000
        --config.network.width=32 --config.network.depth=1 --config.network.heads=2
Source  Vaswani et al. 2017, arXiv:1706.03762; Al-Rfou et al. 2018, arXiv:1808.04444, on text8
Ours    3 min 38 s in all on 2 cores of an Intel Xeon, nothing compiled before (commit ec66a38, jax
        0.10.2): 1.81 bits a character on 50,000 letters held out, in excerpts of 64 that begin with
        nothing before them
"""

from ml_collections import ConfigDict

from experiments._letters import continuations, letters_data, optimizer, read_letters, transformer
from genjax.algorithms.autoregressive import autoregressive, continued
from genjax.probes.texts import bits_per_character, text_table
from genjax.training import Experiment, Probe


def get_config():
    config = dict(
        seed=0,
        steps=2400,
        batch=32,
        corpus='docs',
        held_out=50_000,  # letters
        length=64,  # of an excerpt
        network=dict(width=128, depth=2, heads=4),
        learning_rate=3e-3,  # the largest
        decay=0.99,
        every=dict(log=50, evaluate=800, save=800),
    )
    return ConfigDict(config)


def build(config):
    text = read_letters(config.corpus, held_out=config.held_out, length=config.length)
    data = letters_data(config, text)
    network = transformer(config, text.names)
    algorithm = autoregressive(network, optimizer(config), length=config.length, decay=config.decay)
    scores = bits_per_character(algorithm.evaluate, data.test, count='words')
    probes = {
        'test': Probe(config.steps, scores, scores=True),
        'samples': Probe(config.every.evaluate, text_table(algorithm.sample, text.names, n=8)),
    }
    ask = continuations(continued(network), algorithm.evaluate, text.names, config.length)
    return Experiment(algorithm, data, probes, ask)

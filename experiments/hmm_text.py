"""A hidden Markov model of two states reads English letter by letter, and finds vowels and
consonants by itself.

It is told nothing but letters and the spaces between words, and begins with states that tend to
change. Without that hint, from random transitions, two of six seeds came there; the others stopped
at states that last, or that differ in little, a worse optimum of 2.85 nats a letter and more.

Run     python -m launch --exp hmm_text
Smoke   python -m launch --exp hmm_text --config.corpus=README.md --config.steps=4 --config.epochs=1 --config.batch=2
        --config.held_out=300
Small   python -m launch --exp hmm_text --config.steps=200 --config.epochs=1.2
Source  Cave and Neuwirth 1980, "Hidden Markov models for English"; Rabiner 1989
Ours    six readings of 9.3 million letters in 40 s on 2 CPU cores (commit 5fe3d8e): 2.767 nats a letter on 50,000 held
        out, perplexity 15.9, where the letters' frequencies alone give 2.876; one state writes a,
        e, i, o, u, h and the space, the other all else, and each follows the other three times in
        four (seeds 0 to 5 agree within 0.003 nats; one of them puts h among the consonants)
"""

import math
import re

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from genjax.algorithms.hmm.emissions import discrete
from genjax.algorithms.hmm.hmm import hmm, look, viterbi
from genjax.data.derived import derived
from genjax.data.text.corpus import hold_out, read_corpus
from genjax.data.text.excerpts import excerpts
from genjax.probes.figures import render
from genjax.training.train import Experiment, Probe

COLOURS = (
    '#0072b2',
    '#d55e00',
    '#009e73',
    '#cc79a7',
    '#e69f00',
    '#56b4e9',
)  # apart for every kind of colour vision
ROWS, COLUMNS = 12, 80  # of the passage


def get_config():
    config = dict(
        seed=0,
        steps=1000,
        epochs=6.0,
        batch=64,  # excerpts of the text, each a sequence
        corpus='docs',
        held_out=50_000,  # letters
        states=2,
        stay=0.2,  # P(a state follows itself) at first; the rest is shared by the others
        pseudocount=0.1,
        power=0.6,  # the step size is (step + 1)^-power
        length=70,  # letters of a sample
        every=dict(log=20, evaluate=100, save=100),
    )
    return ConfigDict(config)


def build(config):
    text = read_corpus(config.corpus, min_count=1, tokenize=letters)
    names = text.vocabulary.words
    train, test = hold_out(text, words=config.held_out)
    chop = dict(batch=config.batch, steps=config.steps, epochs=config.epochs, seed=config.seed)
    data = derived(excerpts(train, **chop, test=test), sequences(names.index(' ')))
    emission = discrete(len(names), pseudocount=config.pseudocount)
    options = dict(
        stepsize=falling(config.power), pseudocount=config.pseudocount, length=config.length
    )
    algorithm = hmm(config.states, emission, start=changing(config.stay), **options)
    some = {name: rows[:ROWS] for name, rows in data.test[0].items()}
    some['x'] = some['x'][:, :COLUMNS]
    some['length'] = np.minimum(some['length'], some['x'].shape[1])
    probes = {
        'test': Probe(
            config.every.evaluate, perplexity(algorithm.evaluate, data.test), scores=True
        ),
        'letters': Probe(config.steps, emissions(names)),
        'passage': Probe(config.steps, passage(emission, some, names)),
        'samples': Probe(config.steps, written(algorithm.sample, names, n=20)),
    }
    return Experiment(algorithm, data, probes)


def changing(stay):
    """Transitions that leave each state alike, [K, K]."""
    if not 0 < stay < 1:
        raise ValueError(f'stay is {stay}; a probability inside (0, 1) is needed')

    def start(key, states):
        one = jnp.eye(states)
        return (
            jnp.ones((1, 1)) if states == 1 else stay * one + (1 - stay) / (states - 1) * (1 - one)
        )

    return start


def falling(power):
    """Step sizes (step + 1)^-power; they leave the first steps behind where power is above 1/2
    (Cappe and Moulines)."""
    if not 0 <= power <= 1:
        raise ValueError(f'power is {power}; step sizes need 0 to 1')
    return lambda step: (step + 1) ** -power


def letters(text):
    """The letters a to z of a text in lower case, with one space between words and none at the
    ends."""
    return list(' '.join(re.findall('[a-z]+', text.lower())))


def sequences(space):
    """Excerpts as sequences: the end of a sentence is a space, what is empty at the end of an
    excerpt is left out."""

    def function(batch, step):
        words, places = batch['words'], jnp.arange(batch['words'].shape[1], dtype=jnp.int32)[None]
        return {
            'x': jnp.where(words >= 0, words, space),
            'length': jnp.max(jnp.where(words >= 0, places + 1, 0), 1),
        }

    return function


def perplexity(evaluate, batches):
    """exp of the nats a letter, over all letters held out."""
    compiled = jax.jit(evaluate)

    def measure(key, state):
        found = [compiled(key, state, batch) for batch in batches]
        nats, symbols = (
            sum(math.fsum(np.asarray(f[name])) for f in found) for name in ('nats', 'symbols')
        )
        return {'nats_per_letter': nats / symbols, 'perplexity': math.exp(nats / symbols)}

    return measure


def emissions(names):
    """What each state writes: a picture of the letters' probabilities, and the states' transitions
    as a table."""
    shown = ['_' if name == ' ' else name for name in names]

    def measure(key, state):
        from matplotlib.figure import Figure

        chain = jax.device_get(state.chain)
        order = sorted(
            range(len(names)),
            key=lambda v: (chain.emission[:, v].argmax(), -chain.emission[:, v].max()),
        )
        figure = Figure((9, 2.2 * len(chain.initial)), 100, layout='tight')
        for i, row in enumerate(chain.emission):
            axes = figure.add_subplot(len(chain.initial), 1, i + 1, ylabel=f'P(letter | state {i})')
            axes.bar([shown[v] for v in order], row[order], color=COLOURS[i % len(COLOURS)])
        rows = [
            {'from': i} | {f'to {j}': f'{a:.4f}' for j, a in enumerate(r)}
            for i, r in enumerate(chain.transition)
        ]
        return {'emission': render(figure), 'transition': rows}

    return measure


def passage(emission, batch, names):
    """A text whose letters stand on the colours of their states, along the most probable path."""
    decode = jax.jit(lambda chain: viterbi(chain, look(chain, emission, batch)).T)
    rows, columns = batch['x'].shape

    def measure(key, state):
        from matplotlib.colors import to_rgb
        from matplotlib.figure import Figure

        colours = np.array([to_rgb(colour) for colour in COLOURS])[
            np.asarray(decode(state.chain)) % len(COLOURS)
        ]
        real = np.arange(columns)[None] < batch['length'][:, None]
        figure = Figure((0.14 * columns, 0.24 * rows), 100)
        axes = figure.add_axes((0, 0, 1, 1))
        axes.imshow(np.where(real[..., None], 0.45 + 0.55 * colours, 1.0), aspect='auto')
        axes.set_axis_off()
        for i, j in np.argwhere(real):
            axes.text(
                j,
                i,
                names[batch['x'][i, j]],
                ha='center',
                va='center',
                family='monospace',
                fontsize=10,
            )
        return {'states': render(figure)}

    return measure


def written(sample, names, *, n):
    """n samples as a table."""
    draw = jax.jit(sample, static_argnums=2)
    return lambda key, state: {
        'text': [
            {'text': ''.join(names[i] for i in row)} for row in np.asarray(draw(key, state, n))
        ]
    }

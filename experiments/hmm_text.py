"""A two-state hidden Markov model of English letters separates vowels and consonants by itself.

It is given nothing but letters and the spaces between words, and starts with states that tend to
change. Without that hint, from random transitions, two of six seeds came there; the others stopped
at states that last, or that differ in little, a worse optimum of 2.85 nats a letter and more.

Run     python -m launch --exp hmm_text
Smoke   python -m launch --exp hmm_text --config.corpus=README.md --config.steps=4
        --config.epochs=1 --config.batch=2 --config.held_out=300
Small   python -m launch --exp hmm_text --config.steps=200 --config.epochs=1.2
Source  Cave and Neuwirth 1980, "Hidden Markov models for English"; Rabiner 1989
Ours    six readings of 9.3 million letters in 40 s on 2 CPU cores (commit 5fe3d8e): 2.767 nats a
        letter on 50,000 held out, perplexity 15.9, where the letters' frequencies alone give 2.876;
        one state writes a, e, i, o, u, h and the space, the other all else, and each follows the
        other three times in four (seeds 0 to 5 agree within 0.003 nats; one of them puts h among
        the consonants)
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from genjax.algorithms.hmm import discrete, hmm, state_likelihoods, viterbi
from genjax.data.derived import derived
from genjax.data.text.corpus import hold_out, read_corpus
from genjax.data.text.excerpts import excerpts
from genjax.data.text.tokenizers import letters
from genjax.probes.figures import render
from genjax.training import Experiment, Probe

# Apart for every kind of colour vision.
COLOURS = ('#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9')

# Of the passage.
ROWS = 12
COLUMNS = 80


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
    passes = excerpts(
        train,
        batch=config.batch,
        steps=config.steps,
        epochs=config.epochs,
        seed=config.seed,
        test=test,
    )
    data = derived(passes, sequences(names.index(' ')))

    emission = discrete(len(names), pseudocount=config.pseudocount)
    algorithm = hmm(
        config.states,
        emission,
        stepsize=power_stepsize(config.power),
        pseudocount=config.pseudocount,
        start=equal_transition(config.stay),
        length=config.length,
    )

    first = {name: rows[:ROWS] for name, rows in data.test[0].items()}
    first['x'] = first['x'][:, :COLUMNS]
    first['length'] = np.minimum(first['length'], first['x'].shape[1])

    test_scores = perplexity(algorithm.evaluate, data.test)
    probes = {
        'test': Probe(config.every.evaluate, test_scores, scores=True),
        'letters': Probe(config.steps, letter_probabilities(names)),
        'passage': Probe(config.steps, passage(emission, first, names)),
        'samples': Probe(config.steps, sample_table(algorithm.sample, names, n=20)),
    }
    return Experiment(algorithm, data, probes)


def equal_transition(stay):
    """Transitions that leave every state with the same probability, [K, K]."""
    if not 0 < stay < 1:
        raise ValueError(f'stay is {stay}; a probability inside (0, 1) is needed')

    def start(key, states):
        if states == 1:
            return jnp.ones((1, 1))
        identity = jnp.eye(states)
        return stay * identity + (1 - stay) / (states - 1) * (1 - identity)

    return start


def power_stepsize(power):
    """Step sizes (step + 1)^-power; above 1/2 early steps are forgotten (Cappe and Moulines)."""
    if not 0 <= power <= 1:
        raise ValueError(f'power is {power}; step sizes need 0 to 1')
    return lambda step: (step + 1) ** -power


def sequences(space):
    """Excerpts as sequences: the end of a sentence is a space, an empty end is left out."""

    def make_batch(batch, step):
        words = batch['words']
        places = jnp.arange(words.shape[1], dtype=jnp.int32)[None]
        x = jnp.where(words >= 0, words, space)
        length = jnp.max(jnp.where(words >= 0, places + 1, 0), 1)
        return {'x': x, 'length': length}

    return make_batch


def perplexity(evaluate, batches):
    """exp of the nats a letter, over all letters held out."""
    compiled = jax.jit(evaluate)

    def measure(key, state):
        metrics = [compiled(key, state, batch) for batch in batches]

        def total(name):
            return sum(math.fsum(np.asarray(values[name])) for values in metrics)

        nats_per_letter = total('nats') / total('symbols')
        return {'nats_per_letter': nats_per_letter, 'perplexity': math.exp(nats_per_letter)}

    return measure


def letter_probabilities(names):
    """A picture of the letters that each state writes, and the states' transitions as a table."""
    labels = ['_' if name == ' ' else name for name in names]

    def measure(key, state):
        from matplotlib.figure import Figure

        chain = jax.device_get(state.chain)
        states = len(chain.initial)

        def by_state_and_probability(v):
            return chain.emission[:, v].argmax(), -chain.emission[:, v].max()

        order = sorted(range(len(names)), key=by_state_and_probability)
        figure = Figure((9, 2.2 * states), 100, layout='tight')
        for i, row in enumerate(chain.emission):
            axes = figure.add_subplot(states, 1, i + 1, ylabel=f'P(letter | state {i})')
            axes.bar([labels[v] for v in order], row[order], color=COLOURS[i % len(COLOURS)])

        table = []
        for i, row in enumerate(chain.transition):
            cells = {f'to {j}': f'{probability:.4f}' for j, probability in enumerate(row)}
            table.append({'from': i} | cells)
        return {'emission': render(figure), 'transition': table}

    return measure


def passage(emission, batch, names):
    """A text whose letters stand on the colours of their states, along the most probable path."""
    rows, columns = batch['x'].shape

    @jax.jit
    def decode(chain):
        return viterbi(chain, state_likelihoods(chain, emission, batch)).T

    def measure(key, state):
        from matplotlib.colors import to_rgb
        from matplotlib.figure import Figure

        palette = np.array([to_rgb(colour) for colour in COLOURS])
        colours = palette[np.asarray(decode(state.chain)) % len(COLOURS)]
        mask = np.arange(columns)[None] < batch['length'][:, None]

        figure = Figure((0.14 * columns, 0.24 * rows), 100)
        axes = figure.add_axes((0, 0, 1, 1))
        axes.imshow(np.where(mask[..., None], 0.45 + 0.55 * colours, 1.0), aspect='auto')
        axes.set_axis_off()
        font = dict(ha='center', va='center', family='monospace', fontsize=10)
        for i, j in np.argwhere(mask):
            axes.text(j, i, names[batch['x'][i, j]], **font)
        return {'states': render(figure)}

    return measure


def sample_table(sample, names, *, n):
    """n samples as a table."""
    draw = jax.jit(sample, static_argnums=2)

    def measure(key, state):
        x = np.asarray(draw(key, state, n))
        return {'text': [{'text': ''.join(names[i] for i in row)} for row in x]}

    return measure

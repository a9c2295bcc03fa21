"""The game of Goodfellow et al. on a finite support: D = p / (p + q), and V falls to -log 4.

The generator is a distribution q over the atoms, the discriminator a logit for each atom, and both
are trained on expectations instead of draws, so that the theorem holds without an error of
sampling.

Run     python -m launch --exp gan_finite
        and --config.game=non_saturating for the other loss of the generator, whose optimum is the
        same
Smoke   python -m launch --exp gan_finite --config.steps=4
Small   python -m launch --exp gan_finite
Source  Goodfellow et al. 2014, arXiv:1406.2661, proposition 1 and theorem 1
Ours    500 steps, 10 s of one CPU core (commit 21adab6): V = -log 4 within 1e-7, D within 0.0013 of
        p / (p + q); on the way D runs ahead of it and behind by turns, as both sides move
"""

import numpy as np
import optax
from jax.nn import sigmoid
from ml_collections import ConfigDict

from experiments._choose import choose
from genjax.algorithms.gan import Model, expected, gan, minimax, non_saturating
from genjax.data.toys import constant, sampled
from genjax.networks.finite import Atoms, Table
from genjax.probes.figures import render
from genjax.training import Experiment, Probe

GAMES = {'minimax': minimax, 'non_saturating': non_saturating}


def get_config():
    config = dict(
        seed=0,
        steps=500,
        batch=8,  # all of them the same
        p=(0.04, 0.12, 0.2, 0.12, 0.04, 0.02, 0.06, 0.14, 0.2, 0.06),
        game='minimax',
        discriminator=dict(learning_rate=2.0),
        generator=dict(learning_rate=1.0),
        every=dict(log=10, evaluate=100, save=500),
    )
    return ConfigDict(config)


def build(config):
    game = choose(GAMES, 'game', config.game)
    data = sampled(constant(config.p), batch=config.batch, seed=config.seed, test=config.batch)
    model = Model(Atoms(len(config.p)), Table(len(config.p)), latent=1)
    algorithm = gan(
        model,
        optax.sgd(**config.generator),
        optax.sgd(**config.discriminator),
        game=expected(game),
    )
    p = np.float64(data.test[0]['x'][0])

    def values(key, state):
        del key
        return theorem(p, *tables(state))

    def picture(key, state):
        del key
        return {'atoms': atoms_figure(p, *tables(state))}

    probes = {
        'theorem': Probe(20, values, scores=True),
        'atoms': Probe(25, picture),
    }
    return Experiment(algorithm, data, probes)


def tables(state):
    """q and D, float64 [K] each."""
    q = np.exp(np.float64(state.generator.fit.params['table']))
    d = np.float64(sigmoid(state.discriminator.fit.params['table']))
    return q / q.sum(), d


def theorem(p, q, d):
    """V(D, G), its distance from -log 4, and the largest error of D, for p, q and D [K]."""
    value = p @ np.log(d) + q @ np.log1p(-d)
    return {
        'value': value,
        'over_minus_log_4': value + np.log(4),
        'largest_error_of_D': abs(d - p / (p + q)).max(),
    }


def atoms_figure(p, q, d):
    """The two distributions, and under them the discriminator beside the best one, pixels."""
    from matplotlib.figure import Figure

    figure = Figure((8, 6), 100, layout='tight')
    atoms = np.arange(len(p))
    above, below = figure.subplots(2, 1, sharex=True)
    above.bar(atoms - 0.2, p, 0.4, label='p, the data', color='#0072b2')
    above.bar(atoms + 0.2, q, 0.4, label='q, the generator', color='#d55e00')
    above.set(ylabel='probability', ylim=(0, 1.25 * max(p.max(), q.max())))
    above.set_title(f'V = {theorem(p, q, d)["value"]:.6f}, and -log 4 = {-np.log(4):.6f}')
    below.plot(
        atoms,
        p / (p + q),
        'o',
        markersize=12,
        markerfacecolor='none',
        color='black',
        label='p / (p + q)',
    )
    below.plot(atoms, d, 'x', color='#009e73', label='D')
    below.axhline(0.5, color='#999999', linestyle=':', label='1/2')
    below.set(xlabel='atom', ylabel='probability of being real', ylim=(0, 1), xticks=atoms)
    for axes in (above, below):
        axes.legend(loc='upper right', ncols=3)
    return render(figure)

"""Couplings in the plane, on a mixture whose density is known: what is learnt beside what is true.

Run     python -m launch --exp flow_plane
        and --config.shape=ring for eight modes in the place of two spirals
Smoke   python -m launch --exp flow_plane --config.steps=4 --config.batch=16 --config.couplings=2
        --config.widths='(8,)' --config.side=40
Small   python -m launch --exp flow_plane --config.steps=300 --config.couplings=4
        --config.widths='(32,)' --config.side=200
Source  Dinh et al. 2017, arXiv:1605.08803, with actnorm (arXiv:1807.03039) before each coupling
Ours    --config.steps=600, seed 0, a minute beside other work (commit ee90eb4): loss 1.970 nats,
        the least possible 1.926; KL by quadrature 0.042, mass 0.999997. Not run to its end yet
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.scipy.special import logsumexp
from ml_collections import ConfigDict

from genjax.algorithms.flow import (
    actnorm,
    chain,
    coupling,
    first_half,
    inverted,
    log_density,
    normalizing_flow,
)
from genjax.data.toys import gaussian_mixture, ring, sampled, spirals
from genjax.metrics.likelihood import quadrature_kl
from genjax.networks.mlp import MLP
from genjax.probes.densities import densities
from genjax.training import Experiment, Probe

SHAPES = {'ring': ring, 'spirals': spirals}
RADIUS = 2.0
EXTENT = 2.6  # half the side of the square that is shown
REACH = 6.0  # half the side of the square that is integrated over


def get_config():
    config = dict(
        seed=0,
        steps=6000,
        batch=512,
        shape='spirals',
        deviation=0.15,
        couplings=12,
        widths=(64, 64),
        adam=dict(learning_rate=3e-3),
        clip=10.0,
        decay=0.995,
        side=600,  # points of the quadrature along each axis
        every=dict(log=100, evaluate=1000, save=1000),
    )
    return ConfigDict(config)


def build(config):
    if config.shape not in SHAPES:
        raise ValueError(f'shape is {config.shape}; it must be one of {", ".join(SHAPES)}')
    if config.couplings < 1 or not 2 <= config.side <= 5000:
        raise ValueError(
            f'couplings is {config.couplings}, side {config.side}; needed: >= 1, 2 to 5,000'
        )
    gaussians = SHAPES[config.shape](radius=RADIUS, deviation=config.deviation)
    data = sampled(gaussian_mixture(gaussians), batch=config.batch, seed=config.seed, test=4000)
    bijection = couplings(config.couplings, config.widths)
    rate = optax.cosine_decay_schedule(config.adam.learning_rate, config.steps)
    algorithm = normalizing_flow(
        bijection,
        optax.chain(optax.clip_by_global_norm(config.clip), optax.adam(rate)),
        shape=(2,),
        decay=config.decay,
    )

    def exact(x):
        return mixture_log_density(gaussians, x)

    def learnt(state, x):
        return log_density(bijection, state.average, x)

    def evaluate(key, state, batch):
        """-log p(x) of the flow, and of the data's own density, whose mean is their entropy."""
        loss = algorithm.evaluate(key, state, batch)['loss']
        return {'loss': loss, 'least_loss': -exact(batch['x'])}

    pictures = densities(exact, learnt, algorithm.sample, data.test[0]['x'][:2000], extent=EXTENT)
    probes = {
        'densities': Probe(2000, pictures),
        'quadrature': Probe(config.steps, mass_and_kl(exact, learnt, config.side), scores=True),
    }
    return Experiment(algorithm._replace(evaluate=evaluate), data, probes)


def couplings(count, widths):
    """So many couplings, of one coordinate and of the other by turns."""
    parts = []
    for i in range(count):
        mask = first_half if i % 2 else inverted(first_half)
        parts += [actnorm(), coupling(MLP(widths, (4,), jnp.tanh), mask)]
    return chain(*parts)


def mixture_log_density(gaussians, x):
    """log p(x) of x [M, 2], nats [M]."""
    gap = x[:, None] - jnp.asarray(gaussians.centres, x.dtype)[None]
    squares = jnp.sum((gap / gaussians.deviation) ** 2, -1)
    constant = np.log(2 * np.pi * gaussians.deviation**2 * len(gaussians.centres))
    return logsumexp(-squares / 2, axis=1) - constant


def mass_and_kl(exact, learnt, side):
    """The mass of the learnt density in the plane, and KL(exact, learnt), by quadrature."""
    line = (np.arange(side) + 0.5) / side * 2 * REACH - REACH
    points = np.stack(np.meshgrid(line, line), -1).reshape(-1, 2).astype(np.float32)
    cell = (2 * REACH / side) ** 2

    @jax.jit
    def measure(key, state):
        del key

        def of_state(x):
            return learnt(state, x)

        mass = cell * jnp.sum(jnp.exp(of_state(points)))
        return {'mass': mass, 'kl': quadrature_kl(exact, of_state, points, cell)}

    return measure

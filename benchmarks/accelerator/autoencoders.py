"""The VAE of 784-400-20, and the importance weighted autoencoder of `iwae_mnist`, on made-up rows.

Rows are 0 and 1 as those of binarised MNIST, on whose content the cost does not depend.
"""

import statistics

import flax.linen as nn
import jax
import optax

from benchmarks import vae as peers
from benchmarks.accelerator.launches import interval_rates
from benchmarks.accelerator.setting import Add, Setting
from experiments.iwae_mnist import get_config
from genjax.algorithms.vae import Model, iwae, vae
from genjax.base import Algorithm
from genjax.data.tables import table
from genjax.networks.mlp import MLP
from genjax.numerics.likelihoods import bernoulli
from genjax.training import Every, Experiment, make_mesh, train

LINES = 4  # of a run; the first, which compiles, does not count


def measure(setting: Setting, add: Add) -> None:
    """The stage."""
    steps = 20 if setting.small else 2000
    model = Model(MLP((400,), (2, 20)), MLP((400,), (784,)), bernoulli, 20)
    rate = steps_a_second(setting, 'vae', vae(model, optax.adam(1e-3)), peers.BATCH, steps)
    add(
        'VAE 784-400-20',
        peers.BATCH * rate,
        'images/s',
        f'batch {peers.BATCH}, {rate:,.0f} steps/s',
    )

    config = get_config()
    if setting.small:
        config.samples = 3
    for batch in (20,) if setting.small else (20, 100, 1000):
        rate = steps_a_second(setting, f'iwae-{batch}', iwae_of(config), batch, steps)
        hours = config.steps * config.batch / (batch * rate) / 3600
        note = f'{rate:,.0f} steps/s; the images of the whole schedule in {hours:.2g} hours'
        add(f'IWAE, k = {config.samples}, batch {batch}', batch * rate, 'images/s', note)


def iwae_of(config) -> Algorithm:
    """The page's model and objective."""
    encoder = MLP(config.widths, (2, config.latent), nn.tanh)
    decoder = MLP(config.widths, (784,), nn.tanh)
    model = Model(encoder, decoder, bernoulli, config.latent)
    adam = optax.adam(config.learning_rate, **config.adam)
    return vae(model, adam, objective=iwae(config.samples), decay=config.decay)


def steps_a_second(
    setting: Setting, name: str, algorithm: Algorithm, batch: int, steps: int
) -> float:
    """The trainer's own rate, the median of its lines of so many steps."""
    experiment = Experiment(algorithm, table(peers.X, batch=batch), {})
    mesh = make_mesh(jax.devices()[:1])
    every = Every(steps, LINES * steps, LINES * steps)

    def run(workdir):
        train(experiment, seed=0, steps=LINES * steps, mesh=mesh, workdir=workdir, every=every)

    return statistics.median(interval_rates(run, setting.work / name))

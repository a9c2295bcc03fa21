"""What the trainer costs: steps a second of genjax.training.train against a tight loop over the
same compiled update.

    python -m benchmarks.trainer [--fold 1,10] [--rounds 3] [digits] [vae] [mnist]

Both sides run the same algorithm on the same resident data. The loop is the least that trains: one
jitted call a step with the state donated, and nothing fetched but the loss, once an interval. The
trainer averages every step's metrics, checks that they are finite, logs, and is timed by its own
time/steps_per_second. The two take turns and the medians over all intervals are compared.
"""

import argparse
import json
import pathlib
import statistics
import tempfile
import time

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from genjax.algorithms.diffusion.ddpm import ddpm
from genjax.base import Algorithm, Data, Resident
from genjax.descent import descend
from genjax.networks.unet import UNet
from genjax.parallel import example_keys
from genjax.training import Every, Experiment, make_mesh, train


def images(size, batch):
    """Noise in the shape of a small image set: what a step costs does not depend on what it shows."""
    held = jnp.asarray(np.random.default_rng(0).uniform(-1, 1, (2048, size, size, 1)), jnp.float32)
    rows = lambda held, step: {'image': held[(step * batch + jnp.arange(batch)) % len(held)]}
    return Data(Resident(held, rows), [])


def digits():
    network = UNet(width=32, multipliers=(1, 2), attend_at=(6,), dropout=0.1, blocks=1)
    return Experiment(ddpm(network, optax.adam(1e-3), shape=(12, 12, 1)), images(12, 64), {}), 50


def mnist():
    network = UNet(width=32, multipliers=(1, 2, 2), attend_at=(7,), dropout=0.1, blocks=1)
    return Experiment(ddpm(network, optax.adam(1e-3), shape=(28, 28, 1)), images(28, 64), {}), 20


class VAE(nn.Module):
    """784-400-20, Bernoulli likelihood (Kingma and Welling 2014)."""

    @nn.compact
    def __call__(self, x, noise):
        mean, log_variance = jnp.split(nn.Dense(40)(nn.relu(nn.Dense(400)(x))), 2, axis=-1)
        logits = nn.Dense(784)(nn.relu(nn.Dense(400)(mean + jnp.exp(log_variance / 2) * noise)))
        kl = jnp.sum(mean**2 + jnp.exp(log_variance) - 1 - log_variance, -1) / 2
        return jnp.sum(optax.sigmoid_binary_cross_entropy(logits, x), -1) + kl


def vae():
    network = VAE()

    def losses(key, params, batch):
        x = jax.nn.sigmoid(batch['image'].reshape(-1, 784))
        noise = jax.vmap(lambda key: jax.random.normal(key, (20,)))(example_keys(key, len(x)))
        return {'loss': network.apply({'params': params}, x, noise)}

    descent = descend(losses, optax.adam(1e-3))
    init = lambda key, batch: descent.init(
        network.init(key, jnp.zeros((1, 784)), jnp.zeros((1, 20)))['params']
    )
    evaluate = lambda key, state, batch: losses(key, state.average, batch)
    return Experiment(Algorithm(init, descent.update, evaluate), images(28, 128), {}), 400


def loop_rates(experiment, interval, intervals):
    """Steps a second of each interval of the tight loop."""
    algorithm, data, _ = experiment
    key = jax.random.key(0)

    def step(key, state, held, number):
        return algorithm.update(
            jax.random.fold_in(key, number), state, data.train.make_batch(held, number)
        )

    compiled = jax.jit(step, donate_argnums=1)
    state = algorithm.init(key, data.train[0])
    rates = []
    for i in range(intervals + 1):
        began = time.perf_counter()
        for number in range(i * interval, (i + 1) * interval):
            state, metrics = compiled(key, state, data.train.arrays, np.int32(number))
        float(metrics['loss'])
        rates.append(interval / (time.perf_counter() - began))
    return rates[1:]  # the first compiles


def trainer_rates(experiment, interval, intervals, fold):
    """The same of the trainer, by its own report."""
    steps = interval * (intervals + 1)
    with tempfile.TemporaryDirectory() as folder:
        every = Every(log=interval, evaluate=2 * steps, save=2 * steps)
        train(
            experiment,
            seed=0,
            steps=steps,
            mesh=make_mesh(),
            workdir=folder,
            every=every,
            fold=fold,
        )
        rows = [
            json.loads(line)
            for line in (pathlib.Path(folder) / 'metrics.jsonl').read_text().splitlines()
        ]
    return [row['time/steps_per_second'] for row in rows[1:-1]]  # the first compiles, the last ends


def compare(name, build, folds, rounds):
    experiment, interval = build()
    rates = {side: [] for side in ('loop', *folds)}
    for _ in range(rounds):
        rates['loop'] += loop_rates(experiment, interval, 4)
        for fold in folds:
            rates[fold] += trainer_rates(experiment, interval, 5, fold)
    loop = statistics.median(rates['loop'])
    print(f'{name:8} tight loop {loop:9.2f} steps/s', flush=True)
    for fold in folds:
        rate = statistics.median(rates[fold])
        print(
            f'{"":8} trainer, {fold:3} steps a call {rate:9.2f} steps/s, time x {loop / rate:.3f}',
            flush=True,
        )


def main():
    cases = {'digits': digits, 'vae': vae, 'mnist': mnist}
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('cases', nargs='*', default=list(cases))
    parser.add_argument(
        '--fold', default='1,10', help='steps a call, of each trainer that takes a turn'
    )
    parser.add_argument('--rounds', type=int, default=3)
    args = parser.parse_args()
    for name in args.cases:
        compare(name, cases[name], [int(n) for n in args.fold.split(',')], args.rounds)


if __name__ == '__main__':
    main()

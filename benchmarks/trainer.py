"""What the trainer costs: its steps a second beside those of a tight loop over the same update.

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
from collections.abc import Callable, Sequence

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

LATENT = 20


def noise_images(size: int, batch: int) -> Data:
    """Uniform noise in the shape of an image set, on whose content the cost does not depend."""
    rng = np.random.default_rng(0)
    images = jnp.asarray(rng.uniform(-1, 1, (2048, size, size, 1)), jnp.float32)

    def make_batch(images, step):
        rows = (step * batch + jnp.arange(batch)) % len(images)
        return {'image': images[rows]}

    return Data(Resident(images, make_batch), [])


def digits() -> tuple[Experiment, int]:
    """DDPM on 12 x 12 pixels, and the steps of an interval."""
    network = UNet(width=32, multipliers=(1, 2), attend_at=(6,), dropout=0.1, blocks=1)
    algorithm = ddpm(network, optax.adam(1e-3), shape=(12, 12, 1))
    return Experiment(algorithm, noise_images(12, 64), {}), 50


def mnist() -> tuple[Experiment, int]:
    """DDPM on 28 x 28 pixels, and the steps of an interval."""
    network = UNet(width=32, multipliers=(1, 2, 2), attend_at=(7,), dropout=0.1, blocks=1)
    algorithm = ddpm(network, optax.adam(1e-3), shape=(28, 28, 1))
    return Experiment(algorithm, noise_images(28, 64), {}), 20


class VAE(nn.Module):
    """784-400-20, Bernoulli likelihood (Kingma and Welling 2014): minus the bound of each row."""

    @nn.compact
    def __call__(self, x, noise):
        mean, log_variance = jnp.split(nn.Dense(2 * LATENT)(nn.relu(nn.Dense(400)(x))), 2, axis=-1)
        z = mean + jnp.exp(log_variance / 2) * noise
        logits = nn.Dense(784)(nn.relu(nn.Dense(400)(z)))
        kl = jnp.sum(mean**2 + jnp.exp(log_variance) - 1 - log_variance, -1) / 2
        return jnp.sum(optax.sigmoid_binary_cross_entropy(logits, x), -1) + kl


def vae() -> tuple[Experiment, int]:
    """The VAE on 28 x 28 pixels, and the steps of an interval."""
    network = VAE()

    def sample_noise(key):
        return jax.random.normal(key, (LATENT,))

    def losses(key, params, batch):
        x = jax.nn.sigmoid(batch['image'].reshape(-1, 784))
        noise = jax.vmap(sample_noise)(example_keys(key, len(x)))
        return {'loss': network.apply({'params': params}, x, noise)}

    descent = descend(losses, optax.adam(1e-3))

    def init(key, batch):
        variables = network.init(key, jnp.zeros((1, 784)), jnp.zeros((1, LATENT)))
        return descent.init(variables['params'])

    def evaluate(key, state, batch):
        return losses(key, state.average, batch)

    algorithm = Algorithm(init, descent.update, evaluate)
    return Experiment(algorithm, noise_images(28, 128), {}), 400


CASES = {'digits': digits, 'vae': vae, 'mnist': mnist}


def loop_rates(experiment: Experiment, interval: int, intervals: int) -> list[float]:
    """Steps a second of each interval of the tight loop, but for a first one, which compiles."""
    algorithm = experiment.algorithm
    train_set = experiment.data.train
    key = jax.random.key(0)

    def update(key, state, arrays, step):
        batch = train_set.make_batch(arrays, step)
        return algorithm.update(jax.random.fold_in(key, step), state, batch)

    compiled = jax.jit(update, donate_argnums=1)
    state = algorithm.init(key, train_set[0])
    rates = []
    for i in range(intervals + 1):
        start = time.perf_counter()
        for step in range(i * interval, (i + 1) * interval):
            state, metrics = compiled(key, state, train_set.arrays, np.int32(step))
        float(metrics['loss'])  # waits for the last step
        rates.append(interval / (time.perf_counter() - start))
    return rates[1:]


def trainer_rates(
    experiment: Experiment, interval: int, intervals: int, steps_per_call: int
) -> list[float]:
    """The same of the trainer, by its own report, and without its last interval."""
    steps = interval * (intervals + 1)
    with tempfile.TemporaryDirectory() as folder:
        train(
            experiment,
            seed=0,
            steps=steps,
            mesh=make_mesh(),
            workdir=folder,
            every=Every(log=interval, evaluate=2 * steps, save=2 * steps),
            steps_per_call=steps_per_call,
        )
        lines = (pathlib.Path(folder) / 'metrics.jsonl').read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    return [row['time/steps_per_second'] for row in rows[1:-1]]


def compare(
    name: str,
    build: Callable[[], tuple[Experiment, int]],
    steps_per_call: Sequence[int],
    rounds: int,
) -> None:
    """Prints the median rates of the loop and of trainers with so many steps a call each."""
    experiment, interval = build()
    of_loop = []
    of_trainer = {steps: [] for steps in steps_per_call}
    for _ in range(rounds):
        of_loop += loop_rates(experiment, interval, 4)
        for steps, rates in of_trainer.items():
            rates += trainer_rates(experiment, interval, 5, steps)

    loop = statistics.median(of_loop)
    print(f'{name:8} tight loop {loop:9.2f} steps/s', flush=True)
    for steps, rates in of_trainer.items():
        rate = statistics.median(rates)
        print(
            f'{"":8} trainer, {steps:3} steps a call {rate:9.2f} steps/s, time x {loop / rate:.3f}',
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('cases', nargs='*', default=list(CASES))
    parser.add_argument(
        '--fold', default='1,10', help='steps a call, of each trainer that takes a turn'
    )
    parser.add_argument('--rounds', type=int, default=3)
    args = parser.parse_args()
    steps_per_call = [int(steps) for steps in args.fold.split(',')]
    for name in args.cases:
        compare(name, CASES[name], steps_per_call, args.rounds)


if __name__ == '__main__':
    main()

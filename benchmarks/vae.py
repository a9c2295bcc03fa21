"""The VAE 784-400-20 against a PyTorch loop, the same network and loss: images a second.

    python -m benchmarks.vae [--threads 1] [--rounds 5]

Both train on the same 10,000 rows in memory, in shuffled batches of 128, with Adam. The PyTorch
loop is that of its examples: zero_grad, forward, binary cross-entropy and KL summed, backward,
step; eager, and by torch.compile. genjax's is its trainer, timed by its own time/steps_per_second,
which also averages, checks and logs every step's metrics. The sides take turns; the medians over
all rounds are compared.
"""

import argparse
import json
import os
import pathlib
import statistics
import tempfile
import time
from functools import partial

import numpy as np

ROWS = 10_000
BATCH = 128
LATENT = 20
HIDDEN = 400
STEPS = 500  # of an interval
X = (np.random.default_rng(0).random((ROWS, 784)) < 0.13).astype(np.float32)


def genjax_rates(fold):
    """Steps a second of each interval of the trainer, but for the first, which compiles."""
    import jax
    import optax

    from genjax.algorithms.vae import Model, vae
    from genjax.data.tables import table
    from genjax.networks.mlp import MLP
    from genjax.numerics.likelihoods import bernoulli
    from genjax.training import Every, Experiment, make_mesh, train

    model = Model(MLP((HIDDEN,), (2, LATENT)), MLP((HIDDEN,), (784,)), bernoulli, LATENT)
    experiment = Experiment(vae(model, optax.adam(1e-3)), table(X, batch=BATCH), {})
    with tempfile.TemporaryDirectory() as folder:
        options = dict(
            workdir=folder, every=Every(STEPS, 10 * STEPS, 10 * STEPS), steps_per_call=fold
        )
        train(experiment, seed=0, steps=4 * STEPS, mesh=make_mesh(jax.devices()[:1]), **options)
        lines = (pathlib.Path(folder) / 'metrics.jsonl').read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    assert all(np.isfinite(row['loss']) for row in rows)
    return [row['time/steps_per_second'] for row in rows[1:-1]]


def torch_rates(compiled):
    """The same of the PyTorch loop, after a first interval."""
    import torch
    from torch import nn
    from torch.nn.functional import binary_cross_entropy_with_logits

    class VAE(nn.Module):
        def __init__(self):
            super().__init__()
            self.hidden = nn.Linear(784, HIDDEN)
            self.code = nn.Linear(HIDDEN, 2 * LATENT)
            self.back = nn.Linear(LATENT, HIDDEN)
            self.out = nn.Linear(HIDDEN, 784)

        def forward(self, x):
            mean, log_variance = self.code(torch.relu(self.hidden(x))).chunk(2, -1)
            z = mean + torch.exp(log_variance / 2) * torch.randn_like(mean)
            return self.out(torch.relu(self.back(z))), mean, log_variance

    network = VAE()
    x = torch.from_numpy(X)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    forward = torch.compile(network) if compiled else network
    rates = []
    for _ in range(4):
        start = time.perf_counter()
        for step in range(STEPS):
            if step % (ROWS // BATCH) == 0:
                order = torch.randperm(ROWS)
            first = step % (ROWS // BATCH) * BATCH
            batch = x[order[first : first + BATCH]]
            optimizer.zero_grad()
            logits, mean, log_variance = forward(batch)
            kl = -torch.sum(1 + log_variance - mean**2 - log_variance.exp()) / 2
            loss = (binary_cross_entropy_with_logits(logits, batch, reduction='sum') + kl) / BATCH
            loss.backward()
            optimizer.step()
        assert np.isfinite(loss.item())
        rates.append(STEPS / (time.perf_counter() - start))
    return rates[1:]


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('--threads', type=int, default=1)
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument(
        '--fold', type=int, help="steps a call of genjax's trainer; by default its own"
    )
    args = parser.parse_args()
    os.sched_setaffinity(0, range(args.threads))  # before jax makes its threads
    import torch

    torch.set_num_threads(args.threads)
    sides = {
        'genjax': partial(genjax_rates, args.fold),
        'PyTorch': partial(torch_rates, compiled=False),
        'PyTorch, compiled': partial(torch_rates, compiled=True),
    }
    rates = {side: [] for side in sides}
    for _ in range(args.rounds):
        for side, measure in sides.items():
            rates[side] += measure()
    medians = {side: statistics.median(values) for side, values in rates.items()}
    for side, rate in medians.items():
        speed = f'{rate * BATCH:9,.0f} images/s, {1e3 / rate:6.2f} ms a step'
        print(f'{side:18} {speed}, {rate / medians["PyTorch"]:.2f}')


if __name__ == '__main__':
    main()

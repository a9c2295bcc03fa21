"""DCGAN against PyTorch's examples/dcgan, the same networks and losses: images a second.

    make peers && .venv/bin/python -m benchmarks.gan --threads 1

Both train on the same 1,024 images of 64 x 64 x 3 in memory, in batches of 64, both networks with
Adam (2e-4, beta1 0.5). The PyTorch loop is that of its examples: the discriminator on real, then on
generated images, a step, the generator, a step; contiguous, and channels_last. genjax's is its
trainer, folding --fold steps a call, and timed by a probe. The sides take turns, and the medians
over all rounds are compared. With one thread the clock is the processor's own, which does not count
other programs.
"""

import argparse
import itertools
import os
import statistics
import time
from functools import partial

import numpy as np

ROWS, BATCH, SIZE, LATENT = 1024, 64, 64, 100


def genjax_times(x, steps, fold, clock):
    """Seconds a step of two intervals of the trainer, after a first, which compiles."""
    import jax
    import jax.numpy as jnp
    import optax

    from genjax.algorithms.gan import Model, gan, non_saturating
    from genjax.base import Data, Resident
    from genjax.networks.dcgan import Discriminator, Generator
    from genjax.training import Every, Experiment, Probe, make_mesh, train

    def make_batch(images, step):
        return {'x': images[(step * BATCH + jnp.arange(BATCH)) % ROWS]}

    times = []

    def read_clock(key, state):
        del key
        jax.block_until_ready(state)
        times.append(clock())
        return {}

    model = Model(Generator(SIZE), Discriminator(), LATENT)
    adam = optax.adam(2e-4, b1=0.5)
    algorithm = gan(model, adam, adam, game=non_saturating)
    data = Data(Resident(jnp.asarray(x), make_batch), [])
    experiment = Experiment(algorithm, data, {'clock': Probe(steps, read_clock)})
    options = dict(every=Every(steps, 10**6, 10**6), steps_per_call=fold)
    train(experiment, seed=0, steps=3 * steps, mesh=make_mesh(jax.devices()[:1]), **options)
    return [(after - before) / steps for before, after in itertools.pairwise(times)]


def torch_networks():
    """The generator and the discriminator of examples/dcgan, with weights of their own."""
    from torch import nn

    def layer(kind, inputs, outputs, stride, padding, after):
        return [kind(inputs, outputs, 4, stride, padding, bias=False), *after]

    def leaky():
        return nn.LeakyReLU(0.2, inplace=True)

    up = layer(nn.ConvTranspose2d, LATENT, 512, 1, 0, [nn.BatchNorm2d(512), nn.ReLU(True)])
    down = layer(nn.Conv2d, 3, 64, 2, 1, [leaky()])
    for features in (256, 128, 64):
        after = [nn.BatchNorm2d(features), nn.ReLU(True)]
        up += layer(nn.ConvTranspose2d, 2 * features, features, 2, 1, after)
    for features in (128, 256, 512):
        down += layer(nn.Conv2d, features // 2, features, 2, 1, [nn.BatchNorm2d(features), leaky()])
    up += layer(nn.ConvTranspose2d, 64, 3, 2, 1, [nn.Tanh()])
    down += layer(nn.Conv2d, 512, 1, 1, 0, [nn.Sigmoid()])
    for module in (*up, *down):
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, 0.0, 0.02)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1.0, 0.02)
    return nn.Sequential(*up), nn.Sequential(*down)


def torch_loop(x, layout):
    """A function that makes a number of the example's steps."""
    import torch
    from torch import nn

    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    generator, discriminator = (net.to(device, memory_format=layout) for net in torch_networks())
    x = torch.from_numpy(x.transpose(0, 3, 1, 2).copy()).to(device, memory_format=layout)
    discriminator_adam = torch.optim.Adam(discriminator.parameters(), 2e-4, (0.5, 0.999))
    generator_adam = torch.optim.Adam(generator.parameters(), 2e-4, (0.5, 0.999))
    criterion = nn.BCELoss()
    real = torch.ones(BATCH, device=device)
    fake = torch.zeros(BATCH, device=device)

    def step(batch):
        discriminator.zero_grad()
        criterion(discriminator(batch).view(-1), real).backward()
        samples = generator(torch.randn(BATCH, LATENT, 1, 1, device=device))
        criterion(discriminator(samples.detach()).view(-1), fake).backward()
        discriminator_adam.step()
        generator.zero_grad()
        loss = criterion(discriminator(samples).view(-1), real)
        loss.backward()
        generator_adam.step()
        return loss

    def loop(steps):
        for i in range(steps):
            first = i % (ROWS // BATCH) * BATCH
            loss = step(x[first : first + BATCH])
        assert np.isfinite(loss.item())  # which also waits for a GPU

    return loop


def torch_times(loop, steps, clock):
    """Seconds a step of two intervals, after a step that does not count."""
    loop(1)
    times = []
    for _ in range(2):
        start = clock()
        loop(steps)
        times.append((clock() - start) / steps)
    return times


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('--threads', type=int, default=1)
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--steps', type=int, default=10, help='in an interval that is timed')
    parser.add_argument(
        '--fold', type=int, help="steps a call of genjax's trainer; by default its own"
    )
    args = parser.parse_args()
    # Before jax makes its threads.
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-args.threads :])
    import torch

    torch.set_num_threads(args.threads)
    alone = args.threads == 1 and not torch.cuda.is_available()
    clock = time.process_time if alone else time.perf_counter
    x = np.random.default_rng(0).uniform(-1, 1, (ROWS, SIZE, SIZE, 3)).astype(np.float32)
    contiguous = torch_loop(x, torch.contiguous_format)
    channels_last = torch_loop(x, torch.channels_last)
    sides = {
        'genjax': partial(genjax_times, x, args.steps, args.fold, clock),
        'PyTorch': partial(torch_times, contiguous, args.steps, clock),
        'PyTorch channels_last': partial(torch_times, channels_last, args.steps, clock),
    }
    times = {side: [] for side in sides}
    for _ in range(args.rounds):
        for side, measure in sides.items():
            times[side] += measure()
    medians = {side: statistics.median(values) for side, values in times.items()}
    fastest = min(seconds for side, seconds in medians.items() if side != 'genjax')
    print(f'{args.threads} threads')
    for side, seconds in medians.items():
        rate = f'{BATCH / seconds:9,.0f} images/s, {1e3 * seconds:8.1f} ms a step'
        every = ', '.join(f'{1e3 * s:.0f}' for s in times[side])
        print(f'{side:22} {rate}, {seconds / fastest:.2f}; all: {every}')


if __name__ == '__main__':
    main()

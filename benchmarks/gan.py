"""DCGAN against PyTorch's examples/dcgan: images a second of the same networks, batch, losses and
optimisers.

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

import numpy as np

ROWS, BATCH, SIZE, LATENT = 1024, 64, 64, 100


def genjax_times(x, steps, fold, clock):
    """Seconds a step of two intervals of the trainer, after a first, which compiles."""
    import jax
    import jax.numpy as jnp
    import optax

    from genjax.algorithms.gan.games import non_saturating
    from genjax.algorithms.gan.gan import Model, gan
    from genjax.base import Data, Resident
    from genjax.networks.dcgan import Discriminator, Generator
    from genjax.training import Every, Experiment, Probe, make_mesh, train

    batch = lambda held, step: {'x': held[(step * BATCH + jnp.arange(BATCH)) % ROWS]}
    adam, read = optax.adam(2e-4, b1=0.5), []

    def look(_, state):
        jax.block_until_ready(state)
        read.append(clock())
        return {}

    algorithm = gan(
        Model(Generator(SIZE), Discriminator(), LATENT), adam, adam, game=non_saturating
    )
    experiment = Experiment(
        algorithm, Data(Resident(jnp.asarray(x), batch), []), {'clock': Probe(steps, look)}
    )
    options = dict(every=Every(steps, 10**6, 10**6), fold=fold)
    train(experiment, seed=0, steps=3 * steps, mesh=make_mesh(jax.devices()[:1]), **options)
    return [(after - before) / steps for before, after in itertools.pairwise(read)]


def torch_networks():
    """The generator and the discriminator of examples/dcgan, with weights of their own."""
    from torch import nn

    def layer(kind, inputs, outputs, stride, padding, after):
        return [kind(inputs, outputs, 4, stride, padding, bias=False), *after]

    leaky = lambda: nn.LeakyReLU(0.2, inplace=True)
    up = layer(nn.ConvTranspose2d, LATENT, 512, 1, 0, [nn.BatchNorm2d(512), nn.ReLU(True)])
    down = layer(nn.Conv2d, 3, 64, 2, 1, [leaky()])
    for features in (256, 128, 64):
        after = [nn.BatchNorm2d(features), nn.ReLU(True)]
        up += layer(nn.ConvTranspose2d, 2 * features, features, 2, 1, after)
    for features in (128, 256, 512):
        down += layer(nn.Conv2d, features // 2, features, 2, 1, [nn.BatchNorm2d(features), leaky()])
    up += layer(nn.ConvTranspose2d, 64, 3, 2, 1, [nn.Tanh()])
    down += layer(nn.Conv2d, 512, 1, 1, 0, [nn.Sigmoid()])
    nets = nn.Sequential(*up), nn.Sequential(*down)
    for module in (module for net in nets for module in net):
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, 0.0, 0.02)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1.0, 0.02)
    return nets


def torch_loop(x, layout):
    """A function that makes a number of the example's steps."""
    import torch
    from torch import nn

    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    generator, discriminator = (net.to(device, memory_format=layout) for net in torch_networks())
    x = torch.from_numpy(x.transpose(0, 3, 1, 2).copy()).to(device, memory_format=layout)
    optimizers = [
        torch.optim.Adam(net.parameters(), 2e-4, (0.5, 0.999)) for net in (discriminator, generator)
    ]
    criterion, real, fake = (
        nn.BCELoss(),
        torch.ones(BATCH, device=device),
        torch.zeros(BATCH, device=device),
    )

    def step(batch):
        discriminator.zero_grad()
        criterion(discriminator(batch).view(-1), real).backward()
        drawn = generator(torch.randn(BATCH, LATENT, 1, 1, device=device))
        criterion(discriminator(drawn.detach()).view(-1), fake).backward()
        optimizers[0].step()
        generator.zero_grad()
        loss = criterion(discriminator(drawn).view(-1), real)
        loss.backward()
        optimizers[1].step()
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
        began = clock()
        loop(steps)
        times.append((clock() - began) / steps)
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
    os.sched_setaffinity(
        0, sorted(os.sched_getaffinity(0))[-args.threads :]
    )  # before jax makes its threads
    import torch

    torch.set_num_threads(args.threads)
    clock = (
        time.process_time
        if args.threads == 1 and not torch.cuda.is_available()
        else time.perf_counter
    )
    x = np.random.default_rng(0).uniform(-1, 1, (ROWS, SIZE, SIZE, 3)).astype(np.float32)
    sides = {'genjax': lambda: genjax_times(x, args.steps, args.fold, clock)}
    for name, layout in {
        'PyTorch': torch.contiguous_format,
        'PyTorch channels_last': torch.channels_last,
    }.items():
        sides[name] = lambda loop=torch_loop(x, layout): torch_times(loop, args.steps, clock)
    times = {side: [] for side in sides}
    for _ in range(args.rounds):
        for side, measure in sides.items():
            times[side] += measure()
    medians = {side: statistics.median(found) for side, found in times.items()}
    fastest = min(seconds for side, seconds in medians.items() if side != 'genjax')
    print(f'{args.threads} threads')
    for side, seconds in medians.items():
        row = f'{BATCH / seconds:9,.0f} images/s, {1e3 * seconds:8.1f} ms a step, {seconds / fastest:.2f}'
        print(f'{side:22} {row}; all: {", ".join(f"{1e3 * s:.0f}" for s in times[side])}')


if __name__ == '__main__':
    main()

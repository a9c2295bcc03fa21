"""The CIFAR U-Net against diffusers' UNet2DModel in PyTorch, the same function, in one process.

    make peers && .venv/bin/python -m benchmarks.unet --threads 1

A train step is forward, backward and Adam, with dropout; a sampling step is forward alone. JAX in a
loop takes two steps in one fori_loop, as the trainer does. In every round each contender has its
turn, so that what else the machine does falls on all alike. The table holds medians and their
ratios to PyTorch's fastest. With one thread the clock is the processor's own, which does not count
other programs.
"""

import argparse
import os
import statistics
import time


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        '--threads', type=int, default=len(os.sched_getaffinity(0)), help='cores of either side'
    )
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--train-batch', type=int, default=8)
    parser.add_argument('--sample-batch', type=int, default=16)
    return parser.parse_args()


if __name__ == '__main__':
    FLAGS = arguments()
    # XLA takes a thread for each core that the process has when jax starts: this comes before the
    # imports.
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-FLAGS.threads :])

import diffusers  # noqa: E402
import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import optax  # noqa: E402
import torch  # noqa: E402

from genjax.descent import descend  # noqa: E402
from genjax.networks.unet import UNet  # noqa: E402

LOOP = 2  # steps of JAX in one call


def jax_network(dtype=jnp.float32) -> UNet:
    return UNet(width=128, multipliers=(1, 2, 2, 2), attend_at=(16,), dropout=0.1, dtype=dtype)


def torch_network() -> diffusers.UNet2DModel:
    """The same network in the configuration of google/ddpm-cifar10-32, with weights of its own."""
    return diffusers.UNet2DModel(
        sample_size=32,
        block_out_channels=(128, 256, 256, 256),
        down_block_types=('DownBlock2D', 'AttnDownBlock2D', 'DownBlock2D', 'DownBlock2D'),
        up_block_types=('UpBlock2D', 'UpBlock2D', 'AttnUpBlock2D', 'UpBlock2D'),
        layers_per_block=2,
        act_fn='silu',
        norm_eps=1e-6,
        downsample_padding=0,
        flip_sin_to_cos=False,
        freq_shift=1,
        attention_head_dim=None,
        center_input_sample=False,
        dropout=0.1,
    )


def jax_train(batch: int, dtype=jnp.float32) -> dict:
    """Train steps by name: (call, steps in a call). A call returns when its result is there."""
    net = jax_network(dtype)
    x = jnp.ones((batch, 32, 32, 3))
    t = jnp.arange(batch)

    def losses(key, params, x):
        y = net.apply({'params': params}, x, t, rngs={'dropout': key})
        return {'loss': jnp.mean(jnp.square(y - x), (1, 2, 3))}

    init, update = descend(losses, optax.adam(2e-4))

    def one_step(step, fit):
        return update(jax.random.key(step), fit, x)[0]

    def many_steps(steps, fit):
        return jax.lax.fori_loop(0, steps, one_step, fit)

    once = jax.jit(one_step, donate_argnums=1)
    loop = jax.jit(many_steps, donate_argnums=1)
    fit = init(net.lazy_init(jax.random.key(0), x, t)['params'])

    def call(function, number):
        nonlocal fit
        fit = jax.block_until_ready(function(number, fit))

    return {'JAX': (lambda: call(once, 0), 1), 'JAX in a loop': (lambda: call(loop, LOOP), LOOP)}


def jax_sample(batch: int, dtype=jnp.float32) -> dict:
    """Sampling steps by name, likewise."""
    net = jax_network(dtype)
    x = jnp.ones((batch, 32, 32, 3))
    t = jnp.arange(batch)
    params = net.lazy_init(jax.random.key(0), x, t)

    @jax.jit
    def once(params, x):
        return net.apply(params, x, t)

    @jax.jit
    def loop(steps, params, x):
        return jax.lax.fori_loop(0, steps, lambda _, x: net.apply(params, x, t), x)

    return {
        'JAX': (lambda: once(params, x).block_until_ready(), 1),
        'JAX in a loop': (lambda: loop(LOOP, params, x).block_until_ready(), LOOP),
    }


def torch_steps(
    batch: int, device: str, layout, compiled: bool = False, cast: bool = False
) -> tuple:
    """One train step and one sampling step of PyTorch."""
    net = torch_network().to(device, memory_format=layout)
    optimizer = torch.optim.Adam(net.parameters(), 2e-4)
    x = torch.ones(batch, 3, 32, 32, device=device).to(memory_format=layout)
    t = torch.arange(batch, device=device)
    forward = torch.compile(net) if compiled else net

    def wait():
        if device == 'cuda':
            torch.cuda.synchronize()

    def predict():
        with torch.autocast(device, torch.bfloat16, enabled=cast):
            return forward(x, t).sample

    def train():
        net.train()
        optimizer.zero_grad()
        torch.mean(torch.square(predict() - x)).backward()
        optimizer.step()
        wait()

    @torch.no_grad()
    def sample():
        net.eval()
        predict()
        wait()

    return train, sample


def contenders(batch: int, training: bool) -> dict:
    """name -> (call, steps in a call)."""
    ours = jax_train if training else jax_sample
    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    calls = ours(batch)

    def theirs(layout, **options):
        train, sample = torch_steps(batch, device, layout, **options)
        return (train if training else sample), 1

    layouts = {'PyTorch': torch.contiguous_format, 'PyTorch channels_last': torch.channels_last}
    for name, layout in layouts.items():
        calls[name] = theirs(layout)
        if device == 'cuda':
            calls[f'{name} compiled'] = theirs(layout, compiled=True)
            calls[f'{name} compiled bf16'] = theirs(layout, compiled=True, cast=True)
    if device == 'cuda':
        calls |= {f'{name} bf16': call for name, call in ours(batch, jnp.bfloat16).items()}
    return calls


def medians(calls: dict, rounds: int, clock) -> dict:
    """name -> median seconds a step; before each that counts, a call warms caches and memory."""
    seconds = {name: [] for name in calls}
    for _ in range(rounds):
        for name, (call, steps) in calls.items():
            call()
            start = clock()
            call()
            seconds[name].append((clock() - start) / steps)
    return {name: statistics.median(times) for name, times in seconds.items()}


def main():
    torch.set_num_threads(FLAGS.threads)
    alone = FLAGS.threads == 1 and not torch.cuda.is_available()
    clock = time.process_time if alone else time.perf_counter
    for what, batch, training in (
        ('train step', FLAGS.train_batch, True),
        ('sampling step', FLAGS.sample_batch, False),
    ):
        table = medians(contenders(batch, training), FLAGS.rounds, clock)
        fastest = min(seconds for name, seconds in table.items() if name.startswith('PyTorch'))
        print(f'{what}, batch {batch}, {FLAGS.threads} threads')
        for name, seconds in table.items():
            print(f'  {name:36}{1e3 * seconds:9.1f} ms{seconds / fastest:7.2f}', flush=True)


if __name__ == '__main__':
    main()

"""The CIFAR U-Net against diffusers' UNet2DModel in PyTorch: the same function, in one process, in turns.

    make peers && .venv/bin/python -m benchmarks.unet --threads 1

Every round runs each contender once, so that what else the machine does falls on all of them alike; the table
holds medians, and their ratios to PyTorch's fastest. A train step is forward, backward and Adam, with dropout;
a sampling step is forward alone. JAX in a loop runs two steps in one fori_loop, as the trainer does.
"""

import argparse
import os
import statistics
import time
import warnings


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--threads', type=int, default=len(os.sched_getaffinity(0)), help='cores of either side')
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--train-batch', type=int, default=8)
    parser.add_argument('--sample-batch', type=int, default=16)
    return parser.parse_args()


ARGUMENTS = arguments() if __name__ == '__main__' else None
if ARGUMENTS:  # XLA takes as many threads as the process has cores when jax starts, so this comes before the imports
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-ARGUMENTS.threads :])

import diffusers  # noqa: E402
import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import optax  # noqa: E402
import torch  # noqa: E402

from genjax.descent import descend  # noqa: E402
from genjax.networks.unet import UNet  # noqa: E402

LOOP = 2  # steps in one call


def peer(dropout: float = 0.0) -> diffusers.UNet2DModel:
    """diffusers' network in the configuration of google/ddpm-cifar10-32, with weights of its own."""
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
        dropout=dropout,
    )


def jax_steps(batch: int, dtype) -> tuple[dict, dict]:
    """Train steps and sampling steps by name; a step returns when its result is there."""
    net = UNet(width=128, multipliers=(1, 2, 2, 2), attend_at=(16,), dropout=0.1, dtype=dtype)
    x, t = jnp.ones((batch, 32, 32, 3)), jnp.arange(batch)
    params = net.lazy_init(jax.random.key(0), x, t)['params']

    def losses(key, params, x):
        y = net.apply({'params': params}, x, t, rngs={'dropout': key})
        return {'loss': jnp.mean(jnp.square(y - x), (1, 2, 3))}

    init, update = descend(losses, optax.adam(2e-4))
    one = jax.jit(lambda step, fit: update(jax.random.key(step), fit, x)[0], donate_argnums=1)
    many = jax.jit(
        lambda steps, fit: jax.lax.fori_loop(0, steps, lambda i, fit: update(jax.random.key(i), fit, x)[0], fit),
        donate_argnums=1,
    )
    forward = lambda params, x: net.apply({'params': params}, x, t)
    ahead = jax.jit(forward)
    walk = jax.jit(lambda steps, params, x: jax.lax.fori_loop(0, steps, lambda _, x: forward(params, x), x))
    weights = jax.tree.map(jnp.copy, params)  # `one` and `many` take the others
    fit = [init(params)]

    def train(step, count):
        fit[0] = jax.block_until_ready(step(count, fit[0]))

    return (
        {'JAX': lambda: train(one, 1), 'JAX in a loop': lambda: train(many, LOOP)},
        {'JAX': lambda: ahead(weights, x).block_until_ready(), 'JAX in a loop': lambda: walk(LOOP, weights, x).block_until_ready()},
    )

"""A U-Net's train step against the pixels of an image, in batches of 4.

As in practice a larger image gets another level for each doubling of its side: the lowest level
always has 8 x 8 pixels and is the only one with attention, so that the cost should grow as the
pixels do. diffusers' UNet2DModel in PyTorch has the same levels, blocks and channels.
"""

import math

import jax
import jax.numpy as jnp
import optax

from benchmarks.growth.meters import compiled, memory, seconds
from benchmarks.growth.subject import Measure, Options, Subject
from genjax.descent import descend
from genjax.networks.unet import UNet

BATCH = 4
LOWEST = 8  # pixels a side


def _shape(size: float, options: Options) -> tuple[int, int, int]:
    """The side of an image, the channels of its first level, and the number of levels."""
    side = math.isqrt(int(size))
    return side, 8 if options.small else 32, 1 + (side // LOWEST).bit_length() - 1


def genjax(size: float, options: Options) -> dict[str, float]:
    """A train step with Adam by genjax."""
    side, width, levels = _shape(size, options)
    multipliers = (1, *[2] * (levels - 1))
    net = UNet(width=width, multipliers=multipliers, attend_at=(LOWEST,), dropout=0.1, blocks=1)
    measures = {}
    with memory(measures):
        x = jnp.ones((BATCH, side, side, 3))
        t = jnp.arange(BATCH)

        def losses(key, params, x):
            y = net.apply({'params': params}, x, t, rngs={'dropout': key})
            return {'loss': jnp.mean(jnp.square(y - x), (1, 2, 3))}

        init, update = descend(losses, optax.adam(2e-4))
        fit = init(net.lazy_init(jax.random.key(0), x, t)['params'])
        key = jax.random.key(0)
        step, measures['program'] = compiled(update, key, fit, x)
        measures['step'] = seconds(lambda: step(key, fit, x))
    return measures


def pytorch(size: float, options: Options) -> dict[str, float]:
    """The same by PyTorch, eager, in its layout of channels last."""
    import diffusers
    import torch

    torch.set_num_threads(1)
    side, width, levels = _shape(size, options)
    plain = levels - 1
    measures = {}
    with memory(measures):
        net = diffusers.UNet2DModel(
            sample_size=side,
            block_out_channels=(width, *[2 * width] * plain),
            down_block_types=(*['DownBlock2D'] * plain, 'AttnDownBlock2D'),
            up_block_types=('AttnUpBlock2D', *['UpBlock2D'] * plain),
            layers_per_block=1,
            attention_head_dim=None,
            norm_num_groups=math.gcd(32, width),
            dropout=0.1,
        ).to(memory_format=torch.channels_last)
        optimizer = torch.optim.Adam(net.parameters(), 2e-4)
        x = torch.ones(BATCH, 3, side, side).to(memory_format=torch.channels_last)
        t = torch.arange(BATCH)

        def step():
            optimizer.zero_grad()
            torch.mean(torch.square(net(x, t).sample - x)).backward()
            optimizer.step()

        measures['step'] = seconds(step)
    return measures


SUBJECT = Subject(
    varied='pixels of an image',
    sizes=(16**2, 32**2, 64**2, 128**2),
    small=(8**2, 16**2),
    sides={'genjax': genjax, 'PyTorch': pytorch},
    measures={'step': Measure('s', 1), 'memory': Measure('GiB', 1), 'program': Measure('GiB', 1)},
)

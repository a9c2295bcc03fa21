"""InceptionV3 as the Frechet inception distance uses it: the TensorFlow graph of 2015-12-05, layer
for layer.

The network is that of Szegedy et al. 2015 (arXiv:1512.00567), with what the graph has of its own:
average pools that do not count the padding, a maximum pool in the last block, and 1,008 logits.

Shapes: B examples, H rows, W columns, kernels of K rows and L columns, I channels in, O channels
out.
"""

from functools import partial
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from genjax.networks.conv import convolve


class Layer(NamedTuple):
    """A convolution without bias, batch normalisation by carried statistics and a rectifier."""

    name: str
    features: int
    rows: int = 1  # of the kernel
    columns: int = 1
    stride: int = 1  # with a stride there is no padding, without one as much as keeps the size


HALVE = 3, 3, 2  # rows, columns and stride of the layers that halve an image


def max_pool(x: jax.Array, stride: int = 2, padding: str = 'VALID') -> jax.Array:
    """The largest of 3 x 3 pixels, x [B, H, W, I] -> [B, M, N, I]."""
    return nn.max_pool(x, (3, 3), (stride, stride), padding)


def mean_pool(x: jax.Array) -> jax.Array:
    """The mean of those of 3 x 3 pixels that lie in the image, x [B, H, W, I] -> [B, H, W, I]."""
    return nn.avg_pool(x, (3, 3), padding='SAME', count_include_pad=False)


def crop(x: jax.Array) -> jax.Array:
    """x [B, H, W, I] without its border, [B, H - 2, W - 2, I].

    After a padded layer of 3 x 3 it leaves what one without padding gives, which `convolve` has no
    quick form for.
    """
    return x[:, 1:-1, 1:-1]


def _branch(name: str, *layers: tuple) -> tuple[Layer, ...]:
    """Layers one after another, each given by all but its name; they are numbered where there are
    several."""
    return tuple(
        Layer(f'{name}_{i}' if layers[1:] else name, *layer) for i, layer in enumerate(layers, 1)
    )


# A step is a Layer, a function, or a block: a list of branches, tuples of steps, whose outputs are
# put side by side.


def _block_a(name, pooled):
    return [
        _branch(f'{name}.branch1x1', (64,)),
        _branch(f'{name}.branch5x5', (48,), (64, 5, 5)),
        _branch(f'{name}.branch3x3dbl', (64,), (96, 3, 3), (96, 3, 3)),
        (mean_pool, *_branch(f'{name}.branch_pool', (pooled,))),
    ]


def _block_b(name):
    return [
        _branch(f'{name}.branch3x3', (384, *HALVE)),
        _branch(f'{name}.branch3x3dbl', (64,), (96, 3, 3), (96, *HALVE)),
        (max_pool,),
    ]


def _block_c(name, inner):
    across, down = (inner, 1, 7), (inner, 7, 1)
    return [
        _branch(f'{name}.branch1x1', (192,)),
        _branch(f'{name}.branch7x7', (inner,), across, (192, 7, 1)),
        _branch(f'{name}.branch7x7dbl', (inner,), down, across, down, (192, 1, 7)),
        (mean_pool, *_branch(f'{name}.branch_pool', (192,))),
    ]


def _block_d(name):
    return [
        _branch(f'{name}.branch3x3', (192,), (320, *HALVE)),
        _branch(f'{name}.branch7x7x3', (192,), (192, 1, 7), (192, 7, 1), (192, *HALVE)),
        (max_pool,),
    ]


def _block_e(name, pool):
    both = lambda name: [_branch(f'{name}a', (384, 1, 3)), _branch(f'{name}b', (384, 3, 1))]
    return [
        _branch(f'{name}.branch1x1', (320,)),
        (*_branch(f'{name}.branch3x3_1', (384,)), both(f'{name}.branch3x3_2')),
        (*_branch(f'{name}.branch3x3dbl', (448,), (384, 3, 3)), both(f'{name}.branch3x3dbl_3')),
        (pool, *_branch(f'{name}.branch_pool', (192,))),
    ]


STAGES = {  # by the number of channels at their end
    '64': (
        Layer('Conv2d_1a_3x3', 32, *HALVE),
        Layer('Conv2d_2a_3x3', 32, 3, 3),
        crop,
        Layer('Conv2d_2b_3x3', 64, 3, 3),
        max_pool,
    ),
    '192': (Layer('Conv2d_3b_1x1', 80), Layer('Conv2d_4a_3x3', 192, 3, 3), crop, max_pool),
    '768': (
        _block_a('Mixed_5b', 32),
        _block_a('Mixed_5c', 64),
        _block_a('Mixed_5d', 64),
        _block_b('Mixed_6a'),
        _block_c('Mixed_6b', 128),
        _block_c('Mixed_6c', 160),
        _block_c('Mixed_6d', 160),
        _block_c('Mixed_6e', 192),
    ),
    '2048': (
        _block_d('Mixed_7a'),
        _block_e('Mixed_7b', mean_pool),
        # Other InceptionV3s take the mean here too; this graph takes the maximum.
        _block_e('Mixed_7c', partial(max_pool, stride=1, padding='SAME')),
    ),
}


class InceptionV3(nn.Module):
    """Features and logits of images; parameters and statistics are flat and named as in
    pytorch-fid's file."""

    @nn.compact
    def __call__(self, x: jax.Array) -> dict[str, jax.Array]:
        """x [B, 299, 299, 3] in [-1, 1] -> the features '64', '192', '768' and '2048', means over
        all pixels, [B, *]; 'logits_unbiased' [B, 1008], which lack the bias and serve the Inception
        Score; and 'logits' [B, 1008].
        """
        features = {}
        for name, steps in STAGES.items():
            x = self._through(steps, x)
            features[name] = jnp.mean(x, (1, 2))
        weight = self.param(
            'fc.weight', nn.initializers.lecun_normal(), (features['2048'].shape[-1], 1008)
        )
        bias = self.param('fc.bias', nn.initializers.zeros, (1008,))
        logits = features['2048'] @ weight
        return {**features, 'logits_unbiased': logits, 'logits': logits + bias[None]}

    def _through(self, steps, x):
        for step in steps:
            if isinstance(step, list):
                x = jnp.concatenate([self._through(branch, x) for branch in step], -1)
            else:
                x = self._layer(step, x) if isinstance(step, Layer) else step(x)
        return x

    def _layer(self, layer, x):
        """x [B, H, W, I] -> [B, M, N, O]."""
        name, O, K, L, stride = layer  # noqa: E741
        kernel = self.param(
            f'{name}.conv.weight', nn.initializers.he_normal(), (K, L, x.shape[-1], O)
        )
        gain = self.param(f'{name}.bn.weight', nn.initializers.ones, (O,))
        bias = self.param(f'{name}.bn.bias', nn.initializers.zeros, (O,))
        mean = self.variable('batch_stats', f'{name}.bn.running_mean', jnp.zeros, (O,)).value
        variance = self.variable('batch_stats', f'{name}.bn.running_var', jnp.ones, (O,)).value
        pads = ((0, 0), (0, 0)) if stride > 1 else ((K // 2, K // 2), (L // 2, L // 2))
        scale = gain * lax.rsqrt(variance + 1e-3)
        y = convolve(x, kernel, stride, pads)
        return nn.relu(y * scale[None, None, None] + (bias - mean * scale)[None, None, None])

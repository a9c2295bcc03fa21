"""InceptionV3 of the Frechet inception distance, layer for layer the graph of 2015-12-05.

The network is that of Szegedy et al. 2015 (arXiv:1512.00567). What the TensorFlow graph has of its
own: average pools that do not count the padding, a maximum pool in the last block, and 1,008
logits.

Shapes: B examples, H rows, W columns, kernels of K rows and L columns, I channels in, O channels
out.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from genjax.networks.convolution import convolve


class Layer(NamedTuple):
    """A convolution without bias, batch normalisation by stored statistics, and a rectifier."""

    name: str
    features: int
    rows: int = 1  # of the kernel
    columns: int = 1
    stride: int = 1  # with a stride there is no padding, without one as much as keeps the size


# A block is a list of branches; each branch is a tuple of steps, one after another. The outputs of
# the branches are concatenated.
Step = Layer | Callable[[jax.Array], jax.Array] | list
Branch = tuple[Step, ...]

HALVE = (3, 3, 2)  # rows, columns and stride of the layers that halve an image


def max_pool(x: jax.Array, stride: int = 2, padding: str = 'VALID') -> jax.Array:
    """The largest of 3 x 3 pixels, x [B, H, W, I] -> [B, M, N, I]."""
    return nn.max_pool(x, (3, 3), (stride, stride), padding)


def mean_pool(x: jax.Array) -> jax.Array:
    """The mean of those of 3 x 3 pixels that lie in the image, x [B, H, W, I] -> [B, H, W, I]."""
    return nn.avg_pool(x, (3, 3), padding='SAME', count_include_pad=False)


def crop(x: jax.Array) -> jax.Array:
    """x [B, H, W, I] without its border, [B, H - 2, W - 2, I].

    After a padded 3 x 3 layer this is the output of one without padding, for which `convolve` has
    no quick form.
    """
    return x[:, 1:-1, 1:-1]


def _branch(name: str, *layers: tuple) -> Branch:
    """Layers one after another, each given by all but its name.

    They are numbered from 1 where there are several.
    """
    if len(layers) == 1:
        return (Layer(name, *layers[0]),)
    return tuple(Layer(f'{name}_{i}', *layer) for i, layer in enumerate(layers, 1))


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
    row = (inner, 1, 7)
    column = (inner, 7, 1)
    return [
        _branch(f'{name}.branch1x1', (192,)),
        _branch(f'{name}.branch7x7', (inner,), row, (192, 7, 1)),
        _branch(f'{name}.branch7x7dbl', (inner,), column, row, column, (192, 1, 7)),
        (mean_pool, *_branch(f'{name}.branch_pool', (192,))),
    ]


def _block_d(name):
    return [
        _branch(f'{name}.branch3x3', (192,), (320, *HALVE)),
        _branch(f'{name}.branch7x7x3', (192,), (192, 1, 7), (192, 7, 1), (192, *HALVE)),
        (max_pool,),
    ]


def _block_e(name, pool):
    return [
        _branch(f'{name}.branch1x1', (320,)),
        (
            *_branch(f'{name}.branch3x3_1', (384,)),
            _row_and_column(f'{name}.branch3x3_2'),
        ),
        (
            *_branch(f'{name}.branch3x3dbl', (448,), (384, 3, 3)),
            _row_and_column(f'{name}.branch3x3dbl_3'),
        ),
        (pool, *_branch(f'{name}.branch_pool', (192,))),
    ]


def _row_and_column(name):
    """A block of two branches, a kernel along each axis."""
    return [_branch(f'{name}a', (384, 1, 3)), _branch(f'{name}b', (384, 3, 1))]


# By the number of channels at their end.
STAGES: dict[str, Branch] = {
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
    """Features and logits of images; its variables are named as in pytorch-fid's file."""

    @nn.compact
    def __call__(self, x: jax.Array) -> dict[str, jax.Array]:
        """Features and logits of images.

        Args:
          x: [B, 299, 299, 3] in [-1, 1].

        Returns:
          The features '64', '192', '768' and '2048', means over all pixels, [B, *];
          'logits_unbiased' [B, 1008], without the bias, as the Inception Score takes them; and
          'logits' [B, 1008].
        """
        features = {}
        for name, steps in STAGES.items():
            x = self._apply_steps(steps, x)
            features[name] = jnp.mean(x, (1, 2))
        pooled = features['2048']
        shape = (pooled.shape[-1], 1008)
        weight = self.param('fc.weight', nn.initializers.lecun_normal(), shape)
        bias = self.param('fc.bias', nn.initializers.zeros, (1008,))
        logits = pooled @ weight
        return {**features, 'logits_unbiased': logits, 'logits': logits + bias[None]}

    def _apply_steps(self, steps, x):
        for step in steps:
            if isinstance(step, list):
                x = jnp.concatenate([self._apply_steps(branch, x) for branch in step], -1)
            elif isinstance(step, Layer):
                x = self._apply_layer(step, x)
            else:
                x = step(x)
        return x

    def _apply_layer(self, layer, x):
        """x [B, H, W, I] -> [B, M, N, O]."""
        name, O, K, L, stride = layer  # noqa: E741
        kernel_shape = (K, L, x.shape[-1], O)
        kernel = self.param(f'{name}.conv.weight', nn.initializers.he_normal(), kernel_shape)
        gain = self.param(f'{name}.bn.weight', nn.initializers.ones, (O,))
        bias = self.param(f'{name}.bn.bias', nn.initializers.zeros, (O,))
        mean = self.variable('batch_stats', f'{name}.bn.running_mean', jnp.zeros, (O,)).value
        variance = self.variable('batch_stats', f'{name}.bn.running_var', jnp.ones, (O,)).value
        pads = ((0, 0), (0, 0)) if stride > 1 else ((K // 2, K // 2), (L // 2, L // 2))
        scale = gain * lax.rsqrt(variance + 1e-3)
        y = convolve(x, kernel, stride, pads)
        return nn.relu(y * scale[None, None, None] + (bias - mean * scale)[None, None, None])

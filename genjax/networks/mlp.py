"""Dense networks, and a learned scale beside the output of any network."""

import math
from collections.abc import Callable, Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp


class MLP(nn.Module):
    """A multilayer perceptron; without hidden layers an affine map.

    Args:
      widths: of the hidden layers.
      shape: of one example's output.
      activation: after each hidden layer.
      kernel_init: of every kernel.
      bias_init: of the output's bias, which is flat, [size of the output].
    """

    widths: Sequence[int]
    shape: tuple[int, ...]
    activation: Callable[[jax.Array], jax.Array] = nn.relu
    kernel_init: nn.initializers.Initializer = nn.initializers.lecun_normal()
    bias_init: nn.initializers.Initializer = nn.initializers.zeros

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Flattens each example and maps it, x [B, ...] -> [B, *shape].

        Raises:
          ValueError: a width or an entry of the shape is not a positive integer.
        """
        if not all(isinstance(n, int) and n > 0 for n in (*self.widths, *self.shape)):
            raise ValueError(
                f'widths are {tuple(self.widths)}, shape {self.shape}; '
                'all must be positive integers'
            )
        x = x.reshape(len(x), -1)
        for width in self.widths:
            x = self.activation(nn.Dense(width, kernel_init=self.kernel_init)(x))
        size = math.prod(self.shape)
        output = nn.Dense(size, kernel_init=self.kernel_init, bias_init=self.bias_init)
        return output(x).reshape(len(x), *self.shape)


class WithScale(nn.Module):
    """A network with one learned scale for all examples, the parameters of a likelihood.

    Gaussian and logistic likelihoods take the pair of a location and the logarithm of a scale.

    Args:
      network: x -> [B, ...].
      initial: the initial scale.
    """

    network: nn.Module
    initial: float = 1.0

    @nn.compact
    def __call__(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        """The network's output and the logarithm of the scale, x [B, ...] -> ([B, ...], [B]).

        Raises:
          ValueError: the initial scale is not positive.
        """
        if not self.initial > 0:
            raise ValueError(f'initial is {self.initial}; a scale must be positive')
        log_scale = self.param('log_scale', nn.initializers.constant(math.log(self.initial)), ())
        return self.network(x), jnp.broadcast_to(log_scale, (len(x),))

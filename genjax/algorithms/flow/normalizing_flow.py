"""Maximum likelihood by a change of variables: log p(x) = log N(f(x); 0, I) + log |det df/dx|.

B examples of D entries.
"""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from genjax.algorithms.flow.bijections import Bijection
from genjax.algorithms.flow.noise import Noise, no_noise
from genjax.averages import Decay
from genjax.base import Algorithm, Key
from genjax.descent import Fit, descend
from genjax.numerics.normals import example_normals
from genjax.parallel import example_keys


def log_density(bijection: Bijection, params: Any, x: Array) -> Array:
    """log p(x) of x [B, ...] where z = f(x) is N(0, I), nats [B].

    Source: RealNVP, arXiv:1605.08803, equation 3.

    Args:
      bijection: f.
      params: of it.
      x: examples.
    """
    z, log_det = bijection.forward(params, x)

    def log_normal(z):
        return -jnp.sum(z**2 + np.log(2 * np.pi), range(1, z.ndim)) / 2

    return sum(map(log_normal, jax.tree.leaves(z))) + log_det


def denoised(bijection: Bijection, noise: Noise) -> Callable[[Any, Array], Array]:
    """(params, y [B, ...]) -> what is taken for the data behind noisy examples, [B, ...].

    Args:
      bijection: of the noisy data.
      noise: that they have.
    """

    def clean(params, y):
        def score(y):
            # The derivative by one example is that of its own density.
            return jax.grad(lambda y: jnp.sum(log_density(bijection, params, y)))(y)

        return noise.clean(score, y)

    return clean


def normalizing_flow(
    bijection: Bijection,
    optimizer: optax.GradientTransformation,
    *,
    shape: tuple[int, ...],
    noise: Noise = no_noise(),
    decay: Decay | float = 0.0,
    microbatches: int = 1,
) -> Algorithm:
    """A normalizing flow of batches {'x': [B, *shape]}; its state is a `Fit`.

    The metrics are the 'loss', -log p of an example with its noise in nats, exact, and where the
    noise is uniform 'bits_per_dim' of the levels that it spreads. `encode` gives z of x itself, as
    rows [B, D], `decode` goes back; `sample` draws z and frees what it decodes to of the noise. All
    but `update` use the average of the parameters.

    Args:
      bijection: of the data to noise. It is initialised on a batch with its noise.
      optimizer: of the parameters.
      shape: of an example.
      noise: that is added to the data, in training and evaluation.
      decay: of the average, as in `descend`.
      microbatches: parts of a batch, as in `descend`.

    Raises:
      ValueError: when traced, examples of another shape, or no floats.
    """
    size = math.prod(shape)
    clean = denoised(bijection, noise)

    def examples(batch):
        x = batch['x']
        if x.shape[1:] != shape:
            raise ValueError(f'shape is {shape}; the data have {x.shape[1:]}')
        if not jnp.issubdtype(x.dtype, jnp.floating):
            raise ValueError(f'x is {x.dtype}; a flow needs floats')
        return x

    def noisy(key, batch):
        x = examples(batch)
        return jax.vmap(noise.add)(example_keys(key, len(x)), x)

    def losses(key, params, batch):
        loss = -log_density(bijection, params, noisy(key, batch))
        if noise.width is None:
            return {'loss': loss}
        bits = (loss / size - math.log(noise.width)) / math.log(2)
        return {'loss': loss, 'bits_per_dim': bits}

    descent = descend(losses, optimizer, decay=decay, microbatches=microbatches)

    def init(key, batch):
        noise_key, params_key = jax.random.split(key)
        return descent.init(bijection.init(params_key, noisy(noise_key, batch)))

    def evaluate(key, state, batch):
        return losses(key, state.average, batch)

    def encode(key, state, batch):
        del key
        z, _ = bijection.forward(state.average, examples(batch))
        return jnp.concatenate([leaf.reshape(len(leaf), -1) for leaf in jax.tree.leaves(z)], 1)

    def unravelled(params, rows):
        """Rows [B, D] in the form that the bijection gives z."""
        x = jax.ShapeDtypeStruct((len(rows), *shape), rows.dtype)
        form, _ = jax.eval_shape(bijection.forward, params, x)
        leaves, tree = jax.tree.flatten(form)
        ends = np.cumsum([math.prod(leaf.shape[1:]) for leaf in leaves])[:-1]
        parts = jnp.split(rows, ends, 1)
        shaped = [part.reshape(leaf.shape) for part, leaf in zip(parts, leaves, strict=True)]
        return jax.tree.unflatten(tree, shaped)

    def decode(key, state, code):
        del key
        return bijection.inverse(state.average, unravelled(state.average, code))

    def sample(key: Key, state: Fit, n: int):
        y = decode(key, state, example_normals(key, n, (size,)))
        return clean(state.average, y)

    return Algorithm(init, descent.update, evaluate, sample, encode, decode)

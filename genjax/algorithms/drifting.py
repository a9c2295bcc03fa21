"""Drifting models: Deng et al. 2026, arXiv:2602.04770.

A generator x = f(z) makes a sample in one evaluation. A field says where samples should move: to
the mean of the data around them, and away from the mean of the other samples around them. Training
takes each sample as its own target, moved by the field, so that it is training and not sampling
that goes along an ODE. The field is zero where samples and data have one law.

Letters: N places, B examples, M of a law, D dimensions, Z latent dimensions.
"""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jax import Array
from jax.lax import stop_gradient

from genjax.averages import Decay
from genjax.base import Algorithm, Key
from genjax.descent import descend
from genjax.numerics.normals import example_normals
from genjax.parallel import all_gather, example_places

# (squared distances) -> the logarithm of the kernel, of the same shape
Kernel = Callable[[Array], Array]


def gaussian(width: float) -> Kernel:
    """exp(-d^2 / (2 h^2)): the field is h^2 times the difference of the scores of p and q, each
    smoothed by N(0, h^2).

    Args:
      width: h.

    Raises:
      ValueError: width is not positive.
    """
    _require_width(width)

    def log_kernel(squares):
        return -squares / (2 * width**2)

    return log_kernel


def laplacian(width: float) -> Kernel:
    """exp(-d / h), the paper's, which reaches further.

    Args:
      width: h.

    Raises:
      ValueError: width is not positive.
    """
    _require_width(width)

    def log_kernel(squares):
        # The root has no derivative at 0, where a place meets itself.
        return -jnp.sqrt(jnp.maximum(squares, 1e-20)) / width

    return log_kernel


def pull(kernel: Kernel, x: Array, y: Array, own: Array | None = None) -> Array:
    """E[k(x, y) (y - x)] / E[k(x, y)], the mean shift of each place, [N, D].

    Args:
      kernel: k.
      x: places, [N, D].
      y: draws of a law, [M, D].
      own: int [N], the row of y that is the place itself and is left out; None: none is.
    """
    squares = jnp.sum((x[:, None] - y[None]) ** 2, -1)
    logits = kernel(squares)
    if own is not None:
        itself = own[:, None] == jnp.arange(len(y))[None]
        logits = jnp.where(itself, -jnp.inf, logits)
    return jax.nn.softmax(logits) @ y - x


def field(kernel: Kernel, x: Array, data: Array, samples: Array, own: Array | None = None) -> Array:
    """The drift of each place: the pull of the data less that of the samples, [N, D].

    Each is normalised by itself; the authors' code also weighs places against each other.

    Source: section 3 of the paper.

    Args:
      kernel: between places and draws.
      x: places, [N, D].
      data: [M, D].
      samples: [M', D].
      own: int [N], the row of the samples that is the place itself; None: none is.
    """
    return pull(kernel, x, data) - pull(kernel, x, samples, own)


def energy_score(x: Array, samples: Array) -> Array:
    """E|x - y| - E|y - y'| / 2 with y and y' samples, [N]; its mean over x is least for their law.

    Source: Gneiting and Raftery 2007, Journal of the American Statistical Association 102,
    equation 22.

    Args:
      x: [N, D].
      samples: [M, D].
    """
    M = len(samples)
    to_samples = jnp.mean(_distances(x, samples), 1)
    between = jnp.sum(_distances(samples, samples)) / (M * (M - 1))
    return to_samples - between / 2


def drifting(
    generator: nn.Module,
    optimizer: optax.GradientTransformation,
    *,
    latent: int,
    kernel: Kernel,
    scored: int = 500,
    decay: Decay | float = 0.0,
) -> Algorithm:
    """A generator of batches {'x': [B, D]} that is trained along the field; its state is a `Fit`.

    The metric of training is the 'loss' |V(x)|^2, the squared length of the drift; that of
    `evaluate` the energy score of an example, which can be compared between models.
    `sample` and `evaluate` use the average of the parameters, and `decode` takes a z to its x.

    Args:
      generator: z [B, Z] -> x [B, D].
      optimizer: of its parameters.
      latent: Z.
      kernel: of the field.
      scored: samples of the energy score.
      decay: of the average, as in `descend`.

    Raises:
      ValueError: latent is below 1, or scored below 2; when traced, a generator of another shape.
    """
    if latent < 1 or scored < 2:
        raise ValueError(f'latent is {latent}, scored {scored}; needed: >= 1, >= 2')

    def generate(params: Any, z: Array) -> Array:
        return generator.apply({'params': params}, z)

    def draw(key: Key, params: Any, n: int) -> Array:
        return generate(params, example_normals(key, n, (latent,)))

    def losses(key, params, batch):
        data = batch['x']
        x = draw(key, params, len(data))
        if x.shape != data.shape:
            raise ValueError(f'the generator gives {x.shape}; the data have {data.shape}')
        # Every place is moved by the whole batch, whatever devices have of it.
        here = stop_gradient(x)
        own, _ = example_places(len(x))
        drift = field(kernel, here, all_gather(data), all_gather(here), own)
        return {'loss': jnp.sum((x - (here + drift)) ** 2, -1)}

    descent = descend(losses, optimizer, decay=decay)

    def init(key, batch):
        del batch
        return descent.init(generator.init(key, jnp.zeros((1, latent)))['params'])

    def sample(key, state, n):
        return draw(key, state.average, n)

    def evaluate(key, state, batch):
        z = jax.random.normal(key, (scored, latent))
        return {'loss': energy_score(batch['x'], generate(state.average, z))}

    def decode(key, state, code):
        del key
        return generate(state.average, code)

    return Algorithm(init, descent.update, evaluate, sample, None, decode)


def _distances(x, y):
    return jnp.sqrt(jnp.maximum(jnp.sum((x[:, None] - y[None]) ** 2, -1), 1e-20))


def _require_width(width):
    if not width > 0:
        raise ValueError(f'width is {width}; it must be positive')

"""Denoising diffusion (DDPM) of Ho et al. 2020, arXiv:2006.11239, whose equation numbers these are
unless another paper is named, with the DDIM sampler of Song et al. 2021, arXiv:2010.02502.

t runs over 0..T as in the paper, t = 0 being the data in [-1, 1]; tables are [T + 1], indexed by t.
Formulas take one t and arrays x0, x (the paper's x_t) and noise of any one shape; `jax.vmap` gives
each of B examples its own t. `predict` is eps_theta: (x [B, ...], t in 1..T, a scalar or [B]) ->
noise [B, ...]. The x0 that it implies is held in [-clip, clip]: 1 as in the authors' code, infinity
for none.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array
from jax.scipy.special import log_ndtr

from genjax.base import Algorithm, Key, Metrics
from genjax.descent import descend
from genjax.parallel import example_keys, shard_batch

Predict = Callable[[Array, Any], Array]
at = lambda table, t: jnp.asarray(table, jnp.float32)[t]  # t may be traced


class Process(NamedTuple):
    """The forward process q and the fixed variance of the reverse process p; float64, as 1 -
    alpha_bar needs it."""

    betas: np.ndarray  # variances of q(x_t | x_{t-1}); beta_0 = 0
    alphas_bar: np.ndarray  # products of 1 - beta; alpha_bar_0 = 1
    clean: np.ndarray  # of q(x_{t-1} | x_t, x_0), eq. 7: the weight of x_0 in its mean,
    noisy: np.ndarray  # that of x_t,
    posterior: np.ndarray  # and its variance
    variances: np.ndarray  # sigma_t^2 of p(x_{t-1} | x_t)


class Reverse(NamedTuple):
    """A way from noise to data in S moves from t, each to clean * x_0 + noisy * x_t + noise * z, z
    normal; [S]."""

    t: np.ndarray
    clean: np.ndarray
    noisy: np.ndarray
    noise: np.ndarray


def linear_schedule(steps: int, first: float = 1e-4, last: float = 0.02) -> np.ndarray:
    """beta_1..beta_T [T], evenly spaced (section 4)."""
    return np.linspace(first, last, steps)


def cosine_schedule(steps: int, offset: float = 0.008, largest: float = 0.999) -> np.ndarray:
    """beta_1..beta_T [T]: alpha_bar is a squared cosine (Nichol and Dhariwal 2021,
    arXiv:2102.09672, eq. 17)."""
    alphas_bar = np.cos((np.arange(steps + 1) / steps + offset) / (1 + offset) * np.pi / 2) ** 2
    return np.minimum(1 - alphas_bar[1:] / alphas_bar[:-1], largest)


def fixed_large(betas: np.ndarray, posterior: np.ndarray) -> np.ndarray:
    """sigma_t^2 = beta_t [T + 1], but at t = 1 the posterior's of t = 2, as in the authors' code
    (section 3.2)."""
    return np.concatenate([betas[:1], posterior[2:3], betas[2:]])


def fixed_small(_: np.ndarray, posterior: np.ndarray) -> np.ndarray:
    """sigma_t^2 = the posterior's [T + 1], but at t = 1, where that is 0, that of t = 2 (section
    3.2)."""
    return fixed_large(posterior, posterior)


def diffusion(betas: np.ndarray, variance: Callable[..., np.ndarray] = fixed_large) -> Process:
    """The process of beta_1..beta_T [T], with (betas, posterior) -> sigma^2, each [T + 1]; a
    ValueError unless betas are two or more numbers inside (0, 1)."""
    if np.ndim(betas) != 1 or len(betas) < 2 or not 0 < np.min(betas) <= np.max(betas) < 1:
        raise ValueError(
            f'betas are {np.array2string(np.asarray(betas), threshold=6)}; needed: T > 1 in (0, 1)'
        )
    betas = np.append(0.0, betas)
    alphas_bar = np.cumprod(1 - betas)
    then, now, beta = alphas_bar[:-1], alphas_bar[1:], betas[1:]
    clean, noisy = np.sqrt(then) * beta / (1 - now), np.sqrt(1 - beta) * (1 - then) / (1 - now)
    clean, noisy, posterior = (
        np.append(0.0, x) for x in (clean, noisy, (1 - then) / (1 - now) * beta)
    )
    return Process(betas, alphas_bar, clean, noisy, posterior, variance(betas, posterior))


def diffuse(process: Process, t, x0: Array, noise: Array) -> Array:
    """x_t of q(x_t | x_0) from standard normal noise (eq. 4); mapped over t, a strip of pictures."""
    return at(np.sqrt(process.alphas_bar), t) * x0 + at(np.sqrt(1 - process.alphas_bar), t) * noise


def noising(process: Process, frames: int) -> Callable[[Key, Array], Array]:
    """(key, x0 [B, ...]) -> x_t at as many evenly spaced t from 0 to T, all from one noise,
    [frames, B, ...]."""
    times = np.linspace(0, len(process.betas) - 1, frames).round().astype(int)
    return lambda key, x0: jax.vmap(partial(diffuse, process), (0, None, None))(
        times, x0, normals(key, x0)
    )


def implied(process: Process, t, x: Array, noise: Array, clip: float = jnp.inf) -> Array:
    """x_0 from x_t and the noise in it: `diffuse` solved for x0 (eq. 15)."""
    x0 = (x - at(np.sqrt(1 - process.alphas_bar), t) * noise) / at(np.sqrt(process.alphas_bar), t)
    return jnp.clip(x0, -clip, clip)


def posterior_mean(process: Process, t, x0: Array, x: Array) -> Array:
    """The mean of q(x_{t-1} | x_t, x_0) or, for the implied x0, of p(x_{t-1} | x_t); t in 1..T
    (eqs. 7, 11)."""
    return at(process.clean, t) * x0 + at(process.noisy, t) * x


def decoder_log_likelihood(x0: Array, mean: Array, scale) -> Array:
    """log p(x_0 | x_1), nats, entry by entry, for x0 on the 256 levels -1, -1 + 2/255, ..., 1 (eq.
    13)."""
    lower = jnp.where(x0 < -0.999, -jnp.inf, (x0 - 1 / 255 - mean) / scale)
    upper = jnp.where(x0 > 0.999, jnp.inf, (x0 + 1 / 255 - mean) / scale)
    # Mirrored into the lower tail, where log_ndtr keeps its digits however far out the interval
    # lies.
    mirror = lower + upper > 0
    lower, upper = jnp.where(mirror, -upper, lower), jnp.where(mirror, -lower, upper)
    return log_ndtr(upper) + jnp.log(-jnp.expm1(log_ndtr(lower) - log_ndtr(upper)))


def prior_term(process: Process, x0: Array) -> Array:
    """L_T of one example, bits/dim: KL(q(x_T | x_0) || N(0, I)), exact (eq. 5)."""
    last = float(process.alphas_bar[-1])
    return jnp.mean(last * (x0**2 - 1) - np.log1p(-last)) / (2 * np.log(2))


def step_term(process: Process, t, x0: Array, x: Array, noise: Array, clip: float = 1.0) -> Array:
    """L_{t-1} of one example, bits/dim, given x_t and the noise predicted in it (eq. 5; eq. 13 for
    t = 1)."""
    mean, variance = (
        posterior_mean(process, t, implied(process, t, x, noise, clip), x),
        at(process.variances, t),
    )
    ratio = at(process.posterior, t) / variance
    kl = (
        ratio - 1 - jnp.log(ratio) + (posterior_mean(process, t, x0, x) - mean) ** 2 / variance
    ) / 2
    nats = jnp.where(t > 1, kl, -decoder_log_likelihood(x0, mean, jnp.sqrt(variance)))
    return jnp.mean(nats) / np.log(2)


def normals(key: Key, like: Array) -> Array:
    """Standard normal noise, drawn example by example, [B, ...]."""
    return jax.vmap(lambda key, x: jax.random.normal(key, x.shape))(
        example_keys(key, len(like)), like
    )


def bound(key: Key, process: Process, predict: Predict, x0: Array, clip: float = 1.0) -> Array:
    """The bound on -log p(x0) term by term, L_0..L_T in bits/dim, [B, T + 1], by T calls of
    `predict` (eq. 5)."""
    drawn = lambda t: diffuse(process, t, x0, normals(jax.random.fold_in(key, t), x0))
    term = lambda t, x: jax.vmap(partial(step_term, process, t, clip=clip))(x0, x, predict(x, t))
    terms = jax.lax.map(lambda t: term(t, drawn(t)), jnp.arange(1, len(process.betas)))  # [T, B]
    return jnp.column_stack([terms.T, jax.vmap(partial(prior_term, process))(x0)])


def measure(key: Key, process: Process, predict: Predict, x0: Array, clip: float = 1.0) -> Metrics:
    """At a random t an example: 'loss', the mean squared error of the noise (eq. 14), and
    'bits_per_dim', an unbiased estimate of the sum of `bound`, which carries no gradient; each [B].
    """
    (times, draws), total = jax.random.split(key), len(process.betas) - 1
    t = jax.vmap(lambda key: jax.random.randint(key, (), 1, total + 1))(
        example_keys(times, len(x0))
    )
    noise = normals(draws, x0)
    x = jax.vmap(partial(diffuse, process))(t, x0, noise)
    predicted = predict(x, t)
    term = jax.vmap(partial(step_term, process, clip=clip))(
        t, x0, x, jax.lax.stop_gradient(predicted)
    )
    bits = total * term + jax.vmap(partial(prior_term, process))(x0)
    return {'loss': jax.vmap(jnp.mean)((noise - predicted) ** 2), 'bits_per_dim': bits}


def ancestral(process: Process) -> Reverse:
    """All T steps of p(x_{t-1} | x_t), the last without noise (algorithm 2)."""
    t = np.arange(len(process.betas) - 1, 0, -1)
    return Reverse(t, process.clean[t], process.noisy[t], np.sqrt(process.variances[t]) * (t > 1))


def ddim(process: Process, steps: int, eta: float = 0.0) -> Reverse:
    """S moves through the whole parts of T, T (S - 1) / S, ..., 0 (Song et al. 2021, eqs. 12, 16).

    eta scales the noise up to the posterior's at 1, where S = T is `ancestral` of small variance,
    clip and all.

    Raises:
      ValueError: steps lies outside 1..T, or eta outside [0, 1].
    """
    total = len(process.betas) - 1
    if not (1 <= steps <= total and 0 <= eta <= 1):
        raise ValueError(
            f'ddim of steps {steps}, eta {eta}; needed: steps in 1..{total}, eta in [0, 1]'
        )
    times = total * np.arange(steps, -1, -1) // steps
    now, then = process.alphas_bar[times[:-1]], process.alphas_bar[times[1:]]
    variance = eta**2 * (1 - then) / (1 - now) * (1 - now / then)
    noisy = np.sqrt((1 - then - variance) / (1 - now))
    return Reverse(times[:-1], np.sqrt(then) - noisy * np.sqrt(now), noisy, np.sqrt(variance))


def denoise(
    key: Key, process: Process, predict: Predict, way: Reverse, x: Array, clip=1.0, frames=1
) -> Array:
    """Goes the way from x [B, ...]: `frames` views, evenly spaced in moves, the last its end,
    [frames, B, ...]."""

    def move(i, x):
        t, clean, noisy, noise = (jnp.asarray(table)[i] for table in way)
        x0 = implied(process, t, x, predict(x, t), clip)
        return clean * x0 + noisy * x + noise * normals(jax.random.fold_in(key, t), x)

    frame = lambda x, ends: (jax.lax.fori_loop(*ends, move, x),) * 2
    cuts = np.arange(frames + 1) * len(way.t) // frames
    return jax.lax.scan(frame, x, (cuts[:-1], cuts[1:]))[1]


def interpolate(
    key: Key, process: Process, predict: Predict, way: Reverse, ends, weights, t: int, clip=1.0
):
    """Images between two ends, each [B, ...]: mixed at the way's time next to t by weights [K] of
    the second, and denoised with the same noise for all weights, [K, B, ...] (section 4.3)."""
    first, second, chain = jax.random.split(key, 3)
    way = Reverse(*(table[way.t <= max(t, way.t[-1])] for table in way))
    x, y = (
        diffuse(process, way.t[0], x0, normals(k, x0))
        for k, x0 in zip((first, second), ends, strict=True)
    )
    between = lambda w: denoise(chain, process, predict, way, (1 - w) * x + w * y, clip)[-1]
    return jax.vmap(between)(jnp.asarray(weights))


def predictor(network: Any, params: Any, rngs: Any = None) -> Predict:
    """eps_theta of a flax network, which is given t - 1, int32 [B] in 0..T-1, as in the authors'
    code."""
    steps = lambda x, t: jnp.broadcast_to(jnp.asarray(t - 1, jnp.int32), x.shape[:1])
    return lambda x, t: network.apply({'params': params}, x, steps(x, t), rngs=rngs).astype(
        jnp.float32
    )


def trajectory(
    network: Any, process: Process, way: Reverse, shape: tuple[int, ...], clip=1.0, frames=1
) -> Callable:
    """(key, state, n) -> n draws of a `Fit` by its average, as they arise, [frames, n, *shape]; see
    `denoise`."""

    def draw(key, state, n):
        first, rest = jax.random.split(key)
        x = shard_batch(jax.random.normal(first, (n, *shape)))
        return denoise(rest, process, predictor(network, state.average), way, x, clip, frames)

    return draw


def _images(batch, shape):
    """The images of a batch, [B, *shape]; convolutions would take others as well, and train on what
    is never drawn."""
    x = batch['image']
    if x.shape[1:] != shape:
        raise ValueError(f'ddpm is told of shape {shape}; the data have {x.shape[1:]}')
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise ValueError(f'images are {x.dtype}; ddpm needs floats in [-1, 1]')
    return x


def ddpm(
    # Flax's, as in `predictor`; it drops out where it is given the rng 'dropout', in training
    network: Any,
    optimizer: optax.GradientTransformation,
    *,
    shape: tuple[int, ...],  # of an example
    steps: int = 1000,  # T
    betas: Callable[[int], np.ndarray] = linear_schedule,  # T -> beta_1..beta_T
    variance: Callable[..., np.ndarray] = fixed_large,  # as in `diffusion`
    way: Callable[
        [Process], Reverse
    ] = ancestral,  # that `sample` goes; or functools.partial(ddim, steps=50)
    clip: float = 1.0,
    decay: float = 0.9999,  # of the average, which `evaluate` and `sample` use
) -> Algorithm:
    """DDPM: batches are {'image': [B, *shape] in [-1, 1]}, the state is a `Fit`, the metrics those
    of `measure`.

    Raises:
      ValueError: steps not in 2..10^6, shape no tuple of positive integers; what `diffusion`,
        `descend`, `way` refuse; when traced, images of another shape, or no floats.
    """
    if not (
        1 < steps <= 10**6
        and isinstance(shape, tuple)
        and all(isinstance(n, int) and n > 0 for n in shape)
    ):
        raise ValueError(
            f'ddpm of steps {steps}, shape {shape!r}; needed: 2 to 10^6, tuple of positive integers'
        )
    process = diffusion(betas(steps), variance)
    draw = trajectory(network, process, way(process), shape, clip)

    def losses(key, params, batch):
        draws, dropout = jax.random.split(key)
        predict = predictor(network, params, {'dropout': dropout})
        return measure(draws, process, predict, _images(batch, shape), clip)

    def evaluate(key, state, batch):
        return measure(key, process, predictor(network, state.average), _images(batch, shape), clip)

    descent = descend(losses, optimizer, decay=decay)
    x, t = jax.ShapeDtypeStruct((1, *shape), jnp.float32), jax.ShapeDtypeStruct((1,), jnp.int32)
    init = lambda key, batch: descent.init(
        network.lazy_init(key, x, t)['params']
    )  # compiles no forward pass
    sample = lambda key, state, n: draw(key, state, n)[-1]
    return Algorithm(init, descent.update, evaluate, sample)

"""Gaussian mixtures, p(x) = sum_k w_k N(x; m_k, S_k), by expectation-maximisation.

Dempster, Laird and Rubin 1977, "Maximum likelihood from incomplete data via the EM algorithm";
equation numbers are of Bishop 2006, section 9.2. Steps on part of the data: Cappe and Moulines
2009, "On-line expectation-maximization algorithm for latent data models".

The E step and the M step's sums are one pass over the batch, some rows at a time, so that what
stands between the two stays in the processor's cache. All sums are about the old means, in the
coordinates of the old factors: float32 then does not cancel.

B examples, C of them at a time, D columns, K components. `family` is a `Covariance` of
genjax/algorithms/mixture/covariances.py.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.scipy.special import logsumexp

from genjax.base import Algorithm, Key
from genjax.parallel import all_gather, device_mean, example_keys

EMPTY = 1e-4  # of a fair weight, 1 / K: a component below it has lost its examples


class Mixture(NamedTuple):
    log_weights: Array  # [K]
    means: Array  # [K, D]
    factors: Array  # L_k, S_k = L_k L_k^T, [K, D, D] in full


class Moments(NamedTuple):
    """Of a batch weighted by responsibilities r, with w = L^-1 (x - m) of a given mixture; means
    over the examples."""

    mass: Array  # [K], of r
    shift: Array  # [K, D], of r w
    scatter: Array  # of r w w^T, shaped as covariances


class Expectation(NamedTuple):
    mixture: Mixture
    step: Array  # [], updates made


def from_covariances(family: Any, weights: Array, means: Array, covariances: Array) -> Mixture:
    """A mixture of weights [K], means [K, D] and covariances in the shape of their structure."""
    return Mixture(jnp.log(weights), jnp.asarray(means), family.factor(jnp.asarray(covariances)))


def log_joint(family: Any, mixture: Mixture, x: Array) -> Array:
    """log w_k N(x; m_k, S_k) of x [C, D], [C, K] in nats: its logsumexp is log p(x), its softmax
    p(k | x)."""
    return mixture.log_weights[None] + family.normals(mixture.means, mixture.factors)(x)[0]


def draw(key: Key, family: Any, mixture: Mixture) -> Array:
    """One x [D]."""
    which, noise = jax.random.split(key)
    k = jax.random.categorical(which, mixture.log_weights)
    factors = jnp.broadcast_to(mixture.factors, (len(mixture.means), *mixture.factors.shape[1:]))
    return mixture.means[k] + family.move(
        factors[k], jax.random.normal(noise, mixture.means.shape[1:])
    )


def in_rows(chunk: Callable, x: Array, rows: int) -> tuple[Any, Any]:
    """Of (x [C, D], real [C]) -> (sums, values [C, ...]) over x [B, D]: the sums added up, the
    values in order. A chunk takes every (B / C)th row, so that devices that share the batch share
    each chunk."""
    rows = min(rows, len(x))
    count = -(-len(x) // rows)
    parts = (
        jnp.pad(x, ((0, rows * count - len(x)), (0, 0)), mode='edge')
        .reshape(rows, count, -1)
        .swapaxes(0, 1)
    )
    real = (jnp.arange(rows * count) < len(x)).reshape(rows, count).T
    zeros = jax.tree.map(
        lambda s: jnp.zeros(s.shape, s.dtype), jax.eval_shape(chunk, parts[0], real[0])[0]
    )

    def body(sums, part):
        more, values = chunk(*part)
        return jax.tree.map(jnp.add, sums, more), values

    sums, values = jax.lax.scan(body, zeros, (parts, real))
    return sums, jax.tree.map(
        lambda v: v.swapaxes(0, 1).reshape(rows * count, *v.shape[2:])[: len(x)], values
    )


def expect(share: Callable, x: Array, rows: int) -> tuple[Any, Array]:
    """The E step of x [B, D], where share(x [C, D]) -> (r [C, K], losses [C], sums) and sums(r) is
    what to add up.

    Returns:
      The mean of the sums over the whole batch, and the losses of the examples at hand, [B].
    """

    def chunk(x, real):
        r, losses, sums = share(x)
        return sums(jnp.where(real[:, None], r, 0)), losses

    sums, losses = in_rows(chunk, x, rows)
    return device_mean(jax.tree.map(lambda s: s / len(x), sums)), losses


def soft(family: Any, mixture: Mixture) -> Callable:
    """x -> p(k | x) (9.13), -log p(x) in nats, and the `Moments` under given responsibilities."""
    normals = family.normals(mixture.means, mixture.factors)

    def share(x):
        log_normals, sums = normals(x)
        values = mixture.log_weights[None] + log_normals
        largest = jnp.max(values, 1, keepdims=True)
        # Compiled into both, values and largest may round apart, by hundreds where they are 1e9:
        # hence both bounds.
        terms = jnp.exp(jnp.minimum(values - largest, 0))
        total = jnp.maximum(jnp.sum(terms, 1, keepdims=True), 1)
        return (
            terms / total,
            (-largest - jnp.log(total))[:, 0],
            lambda r: Moments(jnp.sum(r, 0), *sums(r)),
        )

    return share


def hard(means: Array, sums: Callable) -> Callable:
    """x -> 1 for the nearest mean, 0 for the others, its squared distance, and sums(x) of these."""

    def share(x):
        distances = jnp.sum((x[:, None] - means[None]) ** 2, -1)
        nearest = jax.nn.one_hot(jnp.argmin(distances, 1), len(means), dtype=x.dtype)
        return nearest, jnp.min(distances, 1), sums(x)

    return share


def hardest(losses: Array, x: Array, n: int) -> Array:
    """The examples of the n largest losses in the whole batch, the largest first, [n, D]; all, if
    there are fewer."""

    top = lambda losses: jax.lax.top_k(losses, min(n, len(losses)))[1]
    most = lambda losses, x: (losses[top(losses)], x[top(losses)])
    return most(*all_gather(most(losses, x)))[1]


def maximise(family: Any, old: Mixture, seen: Moments, seeds: Array, rate: Any, floor: float):
    """The M step (9.24 to 9.26), on statistics of which the batch makes up `rate`, the old mixture
    the rest.

    With a positive floor every covariance is one that float32 can hold, see `mixture`; at 0 a
    singular one is NaN.

    Returns:
      The mixture, with each empty component begun anew: one of the seeds [n, D] its mean, the mean
      of all covariances its covariance, 1 / K its weight. And how many these are.
    """
    past = (1 - rate) * jnp.exp(old.log_weights)
    mass = rate * seen.mass
    weights = past + mass
    empty = weights * len(weights) < EMPTY
    divisor = jnp.maximum(weights, jnp.finfo(weights.dtype).tiny)
    shift = rate * seen.shift / divisor[:, None]
    means, rest = moved(family, old, shift)

    # In the coordinates of the old factors, where the old covariances are the identity.
    identity = family.bound(jnp.zeros_like(old.factors))
    slack = family.slack(means) if floor > 0 else 0.0
    scatter = (identity * family.over(past) + rate * seen.scatter) * (1 + slack * identity)
    scatter += family.over(mass) * family.floors(
        jax.nn.softmax(old.log_weights), old.means, old.factors, floor
    )
    scatter += family.outer(weights, rest) - family.outer(weights, shift)
    covariances = scatter / family.over(divisor)
    factors = family.grown(old.factors, covariances)
    if floor > 0:
        # Of the covariances that are diagonal in these coordinates the best: no rounding makes them
        # indefinite.
        sound = jnp.all(jnp.isfinite(factors), range(1, factors.ndim), keepdims=True)
        factors = jnp.where(
            sound, factors, family.move(old.factors, jnp.sqrt(covariances * identity))
        )

    anew = family.over((~empty).astype(weights.dtype)) == 0
    parts = jnp.where(anew, 0, family.square(factors) * family.over(weights))
    pooled = jnp.sum(parts, 0, keepdims=True) * (1 + slack * identity[:1])
    factors = jnp.where(anew, family.factor(pooled), factors)
    means = jnp.where(empty[:, None], seeds[(jnp.cumsum(empty) - 1) % len(seeds)], means)
    weights = jnp.where(empty, 1 / len(weights), weights)
    log_weights = jnp.log(weights / jnp.sum(weights))
    return Mixture(log_weights, means, factors), jnp.sum(empty.astype(jnp.float32))


def moved(family: Any, old: Mixture, shift: Array) -> tuple[Array, Array]:
    """The old means moved by L times the shift [K, D], or left where they are if that is nearer to
    where they belong.

    Returns:
      The means as they are rounded, and what rounding has left of the shift: far from nought,
      beside a thin direction, that is no trifle.
    """
    factors = jnp.broadcast_to(old.factors, (len(shift), *old.factors.shape[1:]))
    means = old.means + jax.vmap(family.move)(factors, shift)
    rest = shift - jax.vmap(family.whiten)(factors, means - old.means)
    nearer = jnp.sum(rest**2, 1, keepdims=True) < jnp.sum(shift**2, 1, keepdims=True)
    return jnp.where(nearer, means, old.means), jnp.where(nearer, rest, shift)


def plus_plus(key: Key, x: Array, n: int) -> Array:
    """n of x [B, D], each drawn by its squared distance to the nearest before it (Arthur and
    Vassilvitskii 2007)."""
    first, rest = jax.random.split(key)
    apart = lambda row: jnp.sum((x - row[None]) ** 2, -1)

    def pick(i, carry):
        chosen, nearest = carry
        row = x[jax.random.categorical(jax.random.fold_in(rest, i), jnp.log(nearest))]
        return chosen.at[i].set(row), jnp.minimum(nearest, apart(row))

    row = x[jax.random.randint(first, (), 0, len(x))]
    return jax.lax.fori_loop(1, n, pick, (jnp.broadcast_to(row, (n, len(row))), apart(row)))[0]


@partial(
    jax.jit, static_argnames=('family', 'components', 'floor', 'rows')
)  # hundreds of small programs else
def hard_start(
    key: Key, family: Any, x: Array, components: int, floor: float, rows: int
) -> Mixture:
    """The M step of x [B, D] dealt out to the nearest of K means, 20 rounds of k-means from
    `plus_plus`; a ValueError where B < K."""
    if len(x) < components:
        raise ValueError(f'{components} components for {len(x)} examples; each needs one')

    def centred(means, x):
        centre = jnp.mean(means, 0)
        return lambda r: (
            jnp.sum(r, 0),
            r.T @ (x - centre[None]) - jnp.sum(r, 0)[:, None] * (means - centre[None]),
        )

    def lloyd(_, means):
        (mass, shift), _ = expect(hard(means, partial(centred, means)), x, rows)
        return means + shift / jnp.maximum(mass, jnp.finfo(x.dtype).tiny)[:, None]

    means = jax.lax.fori_loop(0, 20, lloyd, plus_plus(key, x, components))
    blank = Mixture(
        jnp.zeros_like(means[:, 0]), means, family.apart(components, deviations(x, floor))
    )

    def fit(_, mixture):
        old = mixture._replace(means=means)
        normals = family.normals(means, old.factors)

        def moments(x):
            sums = normals(x)[1]
            return lambda r: Moments(jnp.sum(r, 0), *sums(r))

        seen, losses = expect(hard(means, moments), x, rows)
        return maximise(family, old, seen, hardest(losses, x, components), 1, floor)[0]

    return jax.lax.fori_loop(0, 2, fit, blank)  # the second in the coordinates of the first


def deviations(x: Array, floor: float) -> Array:
    """The standard deviations of the columns of a batch x [B, D], the floor under the variances,
    [D]."""
    centred = x - device_mean(jnp.mean(x, 0))[None]
    return jnp.sqrt(device_mean(jnp.mean(centred**2, 0)) + floor)


def unconstrained(components: int, *, covariance: Any, floor: float = 1e-6, rows: int = 256):
    """The same density for gradient descent: (init, log_prob, sample) of parameters that any real
    numbers may be.

    init(key, batch) -> params, a Mixture of logits, means and free factors, from `hard_start`;
    log_prob(params, x [B, D]) -> nats [B]; sample(key, params, n) -> [n, D].
    """
    tight = lambda p: Mixture(
        jax.nn.log_softmax(p.log_weights), p.means, covariance.bound(p.factors)
    )

    def log_prob(p, x):
        return logsumexp(log_joint(covariance, tight(p), x), -1)

    def init(key, batch):
        mixture = hard_start(key, covariance, batch['x'], components, floor, rows)
        return mixture._replace(factors=covariance.free(mixture.factors))

    return (
        init,
        log_prob,
        lambda key, p, n: jax.vmap(lambda k: draw(k, covariance, tight(p)))(example_keys(key, n)),
    )


def parameters(family: Any, components: int, size: int) -> int:
    """The number of free parameters for D columns: of covariances, means and weights."""
    return family.count(components, size) + components * size + components - 1


def bic(loss: Any, parameters: int, examples: int) -> Any:
    """Schwarz's (1978) criterion, lower is better, of a mean -log p(x) in nats over the examples
    fitted."""
    return 2 * examples * loss + parameters * math.log(examples)


def mixture(
    components: int,  # K
    *,
    covariance: Any,  # of genjax/algorithms/mixture/covariances.py: full, tied or diagonal
    floor: float = 1e-6,  # added to every variance, as scikit-learn's reg_covar
    rate: Callable[[Array], Any] = lambda step: (
        1.0
    ),  # the batch's share in the statistics, in (0, 1]
    start: Mixture | None = None,  # by default `hard_start` on the example batch
    # C; the work, not the result, depends on it: a CPU's cache wants few, an accelerator many
    rows: int = 256,
) -> Algorithm:
    """A Gaussian mixture: batches are {'x': [B, D]}, the state is an `Expectation`, an update one
    step of EM.

    Batches of all the data and a rate of 1 are EM proper, whose likelihood never falls; smaller
    ones want a rate that
    falls, such as lambda step: (step + 2) ** -0.6 (Cappe and Moulines, section 3).

    Metrics are 'loss', -log p(x) in nats before the step, and 'reseeded', the components found
    empty, see `maximise`. A singular covariance (at a floor of 0) is NaN, and ends the run. Codes
    are responsibilities [B, K].

    Of any scale and any condition nothing else is NaN, up to squares that float32 cannot hold, of
    about 1e18. Under a positive floor of full and tied covariances lies what float32 resolves, and
    is added to it: (16 eps)^2 = 3.6e-12 of the variance that a column has in the whole data, and in
    full ones no more than 6e-8 of its own in the component. Where neither floor acts the likelihood
    is float64's to a hundredth of a nat; where one does, it may fall by as much as the added
    variance changes it, as scikit-learn's. Means are float32: where a direction varies no more than
    the spacing of floats at the mean, the covariance is the best one about the mean as it is
    rounded.

    Raises:
      ValueError: components or rows below 1, a negative floor, or what `hard_start` refuses.
    """
    if not (components >= 1 and rows >= 1 and floor >= 0):
        raise ValueError(
            f'{components} components, rows {rows}, floor {floor}; needed: at least 1, 1 and 0'
        )

    begin = lambda key, batch: (
        start or hard_start(key, covariance, batch['x'], components, floor, rows)
    )
    init = lambda key, batch: Expectation(begin(key, batch), jnp.zeros((), jnp.int32))

    def update(key, state, batch):
        x, old = batch['x'], state.mixture
        seen, losses = expect(soft(covariance, old), x, rows)
        share = jnp.asarray(rate(state.step.astype(jnp.float32)), x.dtype)
        new, reseeded = maximise(
            covariance, old, seen, hardest(losses, x, components), share, floor
        )
        return Expectation(new, state.step + 1), {
            'loss': device_mean(jnp.mean(losses)),
            'reseeded': reseeded,
        }

    def shares(state, batch):
        return in_rows(lambda x, _: ((), soft(covariance, state.mixture)(x)[:2]), batch['x'], rows)[
            1
        ]

    sample = lambda key, state, n: jax.vmap(lambda k: draw(k, covariance, state.mixture))(
        example_keys(key, n)
    )
    evaluate = lambda key, state, batch: {'loss': shares(state, batch)[1]}
    encode = lambda key, state, batch: shares(state, batch)[0]
    decode = lambda key, state, code: code @ state.mixture.means
    return Algorithm(init, update, evaluate, sample, encode, decode)

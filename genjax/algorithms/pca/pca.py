"""Principal component analysis: the directions of largest variance, from a mean and a covariance
kept while rows pass.

Tipping and Bishop 1999, "Probabilistic principal component analysis" (J. R. Statist. Soc. B 61),
whose equation numbers these are unless another paper is named; Chan et al. 1983, "Algorithms for
computing the sample variance" (The American Statistician 37); Halko et al. 2011, "Finding structure
with randomness" (arXiv:0909.4061).

Extraction and selection of features differ in the solver alone: new directions, or some of the
columns as they are.

Letters: B rows, D columns, K components, N rows seen in all. A direction is a row of unit length,
[D], and rows are `centred` before they are projected.

All is float32. A sum of products holds the entry i, j of a covariance C to some eps sqrt(C_ii
C_jj), so the variance v^T C v of a direction v is measured against that of independent columns,
sum_i v_i^2 C_ii:

- The density that `measure` reports is that of the `loadings` and the `noise_variance`, whatever the data.
- That density is within 1e-2 nats of the likeliest, as float64 finds it, while in every direction the variance of the
  likeliest is over D RESOLUTION of that of independent columns, and updates are few beside 1 / eps.
  Columns may differ in scale, and the variances of separate columns with them, by any factor that
  float32 holds.
- Beyond, as where columns of like scale nearly determine each other, a direction is given the variance that its sums
  show, in which rounding has a share, and under RESOLUTION 0: then it does not vary.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from genjax.base import Algorithm, Key, Metrics
from genjax.parallel import all_gather, device_mean, example_keys

# (covariance [D, D], K) -> K variances, the largest first, [K], and the directions that have them,
# [K, D].
Solver = Callable[[Array, int], tuple[Array, Array]]

RESOLUTION = 16 * np.finfo(np.float32).eps
# Of the largest variance: those above it an eigendecomposition in float32 finds to eps / LEVEL
LEVEL = 1e-3
matmul = partial(
    jnp.matmul, precision='highest'
)  # accelerators would multiply in fewer bits than are added


class Moments(NamedTuple):
    """Of all rows seen. The mean is kept as a distance from a place nearby, so that it loses no
    digits to its size."""

    count: Array  # [] uint32: N
    origin: Array  # [D], any place near the mean
    shift: Array  # [D], from the origin to the mean
    covariance: Array  # [D, D], the sum of products divided by N


class Components(NamedTuple):
    variances: Array  # [K], along the directions, the largest first
    directions: Array  # [K, D]
    total: Array  # [], the variance of all columns together
    rest: Array  # [], the part of it that the directions leave out


def empty(origin: Array) -> Moments:
    """Of no rows; origin [D] should lie near those to come."""
    zeros = jnp.zeros_like(origin)
    return Moments(jnp.zeros((), jnp.uint32), jnp.copy(origin), zeros, zeros[:, None] * zeros[None])


def merged(moments: Moments, x: Array) -> Moments:
    """Of the rows seen before and of x [B, D], under several devices the x of all (Chan et al.
    1983, eq. 1.5)."""
    x = x - moments.origin[None]
    shift = device_mean(jnp.mean(x, 0))
    centred = x - shift[None]
    covariance = device_mean(products(centred) / len(x))
    rows = len(all_gather(x[:, 0]))
    count = moments.count + np.uint32(rows)
    share = rows / count.astype(jnp.float32)
    step = shift - moments.shift
    apart = (1 - share) * step[:, None] * step[None]
    covariance = moments.covariance + share * (covariance - moments.covariance + apart)
    return Moments(count, moments.origin, moments.shift + share * step, covariance)


def products(x: Array, splits: int = 2) -> Array:
    """x^T x, [D, D]. What stands below the diagonal is copied: by halves of halves, 5/8 of the
    multiplications."""
    if splits == 0:
        return matmul(x.T, x)
    left, right = jnp.split(x, [x.shape[1] // 2], 1)
    across = matmul(left.T, right)
    return jnp.block(
        [[products(left, splits - 1), across], [across.T, products(right, splits - 1)]]
    )


def mean(moments: Moments) -> Array:
    """[D]"""
    return moments.origin + moments.shift


def centred(moments: Moments, x: Array) -> Array:
    """x [B, D] less the mean; nearer the truth than x - mean(moments) where columns vary little
    beside their size."""
    return x - moments.origin[None] - moments.shift[None]


def oriented(directions: Array) -> Array:
    """Directions [K, D], each turned so that its entry of largest size is positive; of equal ones
    the first."""
    largest = jnp.take_along_axis(directions, jnp.argmax(jnp.abs(directions), 1)[:, None], 1)
    return jnp.where(largest < 0, -directions, directions)


def unit(rows: Array) -> Array:
    """Rows [K, D] at unit length; a row of 0 stays."""
    length = jnp.sqrt(jnp.sum(rows**2, 1, keepdims=True))
    return rows / jnp.where(length > 0, length, 1)


def orthonormal(directions: Array) -> Array:
    """Directions [K, D] that nearly are so, each cleared of those before it (Gram and Schmidt).

    Where the larger variances come first, an entry of a small direction at a column of large
    variance keeps its digits.
    """
    for _ in range(2):
        before = jnp.tril(matmul(directions, directions.T), -1)
        directions = unit(directions - matmul(before, directions))
    return directions


def variances_along(covariance: Array, directions: Array) -> Array:
    """v^T C v of each direction v, [K]."""
    return jnp.sum(matmul(directions, covariance) * directions, 1)


def deflated(covariance: Array, directions: Array) -> Array:
    """The covariance of rows without their part along directions [K, D]: P C P, P = I - V^T V, [D,
    D].

    A column of which no more is left than its rounding has no variance left, unless that is small
    beside what is left
    of others: what rounds off a large column would hide a small one. Source: "projection deflation"
    of Mackey 2008, "Deflation methods for sparse PCA".
    """

    def projected(matrix):
        matrix = matrix - matmul(directions.T, matmul(directions, matrix))
        return matrix - matmul(matmul(matrix, directions.T), directions)

    rest = projected(covariance)
    left = jnp.diagonal(rest)
    rounding = RESOLUTION * jnp.diagonal(covariance)
    certain = jnp.sum(jnp.where(left > rounding, left, 0))
    varies = jnp.maximum(left, certain) > rounding
    return projected(jnp.where(varies[:, None] & varies[None], rest, 0))


def by_levels(find: Solver, covariance: Array, dimension: int) -> tuple[Array, Array]:
    """The largest variances and their directions, by a solver that resolves those near the largest
    alone.

    Those that it resolves are kept, and it is shown the covariance without them. So a variance and
    the entries of its direction are as exact as the covariance, whose errors are relative to row
    and column, not to the largest variance. Most spectra need one level for K components; one more
    for each factor of LEVEL.
    """
    columns = len(covariance)
    slots = jnp.arange(dimension)

    def unfinished(state):
        count, _ = state
        return count < dimension

    def level(state):
        count, directions = state
        rest = deflated(covariance, directions)
        complement = jnp.eye(columns) - matmul(directions.T, directions)
        rest = jnp.where(
            jnp.trace(rest) > 0, rest, complement
        )  # any directions do where nothing varies
        values, found = find(rest, dimension)
        resolved = ~(values < LEVEL * values[0])  # of NaN all
        # A step of the power method: entries at columns of small variance get digits of their own.
        found = matmul(found, rest) / jnp.where(resolved, values, 1)[:, None]
        after = count + jnp.maximum(
            jnp.sum(resolved), 1
        )  # so that the loop ends, whatever it is given
        new = (slots >= count) & (slots < after)
        directions = jnp.where(new[:, None], found[jnp.maximum(slots - count, 0)], directions)
        return after, orthonormal(directions)

    start = jnp.zeros((), jnp.int32), jnp.zeros((dimension, columns))
    _, directions = jax.lax.while_loop(unfinished, level, start)
    return variances_along(covariance, directions), oriented(directions)


def eigenvectors(covariance: Array, dimension: int) -> tuple[Array, Array]:
    """The largest eigenvalues, [K], and their eigenvectors, [K, D]; float32 resolves those near the
    largest."""
    values, vectors = jnp.linalg.eigh(covariance)
    return values[::-1][:dimension], vectors.T[::-1][:dimension]


def exact(covariance: Array, dimension: int) -> tuple[Array, Array]:
    """The `Solver` that finds all eigenvectors and keeps some."""
    return by_levels(eigenvectors, covariance, dimension)


def svd(
    key: Key, x: Array, rank: int, *, oversampling: int = 10, iterations: int = 4
) -> tuple[Array, Array, Array]:
    """Truncated singular value decomposition from random directions: U [N, rank], sigma [rank], V^T
    [rank, D].

    The rows of V^T are `oriented`. Those of centred data are its principal directions, sigma^2 / N
    their variances.

    Args:
      x: [N, D], any matrix.
      oversampling: random directions beyond the rank.
      iterations: by x^T and x, each of which squares the gaps of the spectrum and more.

    Raises:
      ValueError: rank lies outside 1 to min(N, D), or another number is negative.

    Source: Halko et al. 2011, algorithms 4.4 and 5.1.
    """
    if not 1 <= rank <= min(x.shape):
        raise ValueError(
            f'rank is {rank}; {x.shape[0]} rows of {x.shape[1]} columns allow 1 to {min(x.shape)}'
        )
    _require_counts(oversampling, iterations)
    onto = lambda x, y: jnp.linalg.qr(matmul(x, y))[0]
    start = jax.random.normal(key, (x.shape[1], min(rank + oversampling, *x.shape)))
    basis = jax.lax.fori_loop(0, iterations, lambda _, q: onto(x, onto(x.T, q)), onto(x, start))
    left, sigma, right = jnp.linalg.svd(matmul(basis.T, x), full_matrices=False)
    directions = oriented(right[:rank])
    signs = jnp.where(jnp.sum(directions * right[:rank], 1) < 0, -1.0, 1.0)
    return matmul(basis, left[:, :rank]) * signs[None], sigma[:rank], directions


def _require_counts(oversampling, iterations):
    if min(oversampling, iterations) < 0:
        raise ValueError(
            f'oversampling is {oversampling}, iterations {iterations}; both must be at least 0'
        )


def randomised(*, oversampling: int = 10, iterations: int = 4, seed: int = 0) -> Solver:
    """The `Solver` by `svd` of the covariance; one seed, so that a state has one set of codes.

    Where a spectrum is flat it stops short of the directions of largest variance; what it gives are
    still the variances of the directions that it gives, and the noise is the variance of what they
    leave out.
    """

    _require_counts(oversampling, iterations)

    def find(covariance, dimension):
        key = jax.random.key(seed)
        _, variances, directions = svd(
            key, covariance, dimension, oversampling=oversampling, iterations=iterations
        )
        return variances, directions

    return partial(by_levels, find)


def select(covariance: Array, dimension: int) -> Array:
    """The columns of largest variance, largest first, int32 [K]."""
    return jax.lax.top_k(jnp.diagonal(covariance), dimension)[1]


def selection(covariance: Array, dimension: int) -> tuple[Array, Array]:
    """The `Solver` that keeps columns as they are: feature selection. What is left out is rebuilt
    as its mean."""
    columns = select(covariance, dimension)
    return jnp.diagonal(covariance)[columns], jax.nn.one_hot(columns, len(covariance))


def components(
    moments: Moments, dimension: int, solver: Solver = exact, correction: int = 0
) -> Components:
    """What is derived from the moments.

    Args:
      dimension: K.
      correction: variances are sums divided by N - correction: 0 maximises the likelihood, 1 is
        unbiased.
    """
    seen = moments.count.astype(jnp.float32)
    covariance = moments.covariance * (seen / jnp.maximum(seen - correction, 1))
    varies = (
        jnp.diagonal(covariance) > (RESOLUTION * moments.shift) ** 2
    )  # a constant's mean has been rounded
    covariance = jnp.where(varies[:, None] & varies[None], covariance, 0)
    variances, directions = solver(covariance, dimension)
    independent = jnp.sum(directions**2 * jnp.diagonal(covariance)[None], 1)
    variances = jnp.where(variances > RESOLUTION * independent, variances, 0)
    order = jnp.argsort(-variances)
    rest = jnp.trace(deflated(covariance, directions))
    return Components(variances[order], directions[order], jnp.trace(covariance), rest)


def explained_variance_ratio(found: Components) -> Array:
    """The share of the variance of the data that each component has, [K]."""
    return found.variances / found.total


def noise_variance(found: Components) -> Array:
    """sigma^2, the mean variance of the directions left out (eq. 8); 0 where there are none, or
    they do not vary.

    It is their own sum: the total less the variances kept would be rounded like the largest.
    """
    count, columns = found.directions.shape
    return found.rest / (columns - count) if count < columns else jnp.zeros_like(found.rest)


def loadings(found: Components) -> Array:
    """W^T = (Lambda - sigma^2 I)^{1/2} U^T, [K, D] (eq. 7, without its arbitrary rotation)."""
    scale = jnp.sqrt(jnp.maximum(found.variances - noise_variance(found), 0))
    return scale[:, None] * found.directions


def project(found: Components, centred: Array, whiten: bool = False) -> Array:
    """Codes [B, K] of rows [B, D]; whitened ones have unit variance, or are 0 where the rows do not
    vary."""
    scale = jnp.where(found.variances > 0, jnp.sqrt(found.variances), jnp.inf) if whiten else 1.0
    return (
        matmul(centred, found.directions.T) / jnp.broadcast_to(scale, found.variances.shape)[None]
    )


def rebuild(found: Components, code: Array, whiten: bool = False) -> Array:
    """Rows [B, D], still centred, from codes [B, K]."""
    scale = jnp.sqrt(found.variances) if whiten else jnp.ones_like(found.variances)
    return matmul(code * scale[None], found.directions)


def measure(found: Components, centred: Array) -> Metrics:
    """'loss', -log p(x) in nats under N(mean, W W^T + sigma^2 I), and 'squared_error' of the
    reconstruction, each [B].

    W and sigma^2 are those of `loadings` and `noise_variance`. In the basis of the components the
    covariance is
    diagonal: Lambda, or sigma^2 where that is larger, then sigma^2. Where sigma^2 is 0 the
    likelihood has no bound, as while no more than K + 1 rows have been seen: the loss is infinite.
    With K = D it is that of the full Gaussian.
    """
    count, columns = found.directions.shape
    code = project(found, centred)
    residual = centred - rebuild(found, code)
    residual = residual - rebuild(
        found, project(found, residual)
    )  # the first is rounded like x, not like itself
    errors = jnp.sum(residual**2, -1)
    noise = noise_variance(found)
    least = noise if count < columns else found.variances[-1]
    variances = jnp.maximum(found.variances, noise)  # as `loadings` have them
    variances, noise = (jnp.where(v > 0, v, 1.0) for v in (variances, noise))
    squares = jnp.sum(code**2 / variances[None], -1) + errors / noise
    log_determinant = jnp.sum(jnp.log(variances)) + (columns - count) * jnp.log(noise)
    nats = (columns * np.log(2 * np.pi) + log_determinant + squares) / 2
    return {'loss': jnp.where(least > 0, nats, jnp.inf), 'squared_error': errors}


def draw(key: Key, found: Components) -> Array:
    """One row of probabilistic PCA, centred, [D]: W z + noise, z standard normal (eq. 1)."""
    latent, noise = jax.random.split(key)
    rows = loadings(found)
    z, e = (
        jax.random.normal(k, (size,)) for k, size in zip((latent, noise), rows.shape, strict=True)
    )
    return matmul(z, rows) + jnp.sqrt(noise_variance(found)) * e


def pca(
    dimension: int,  # K
    *,
    solver: Solver = exact,  # or randomised(); `selection` keeps columns in place of directions
    whiten: bool = False,  # whether codes are scaled to unit variance
    correction: int = 0,  # as in `components`; 1 as in scikit-learn
) -> Algorithm:
    """PCA: batches are {'x': float32 [B, D]}, the state is `Moments`, up to 2^32 - 1 rows.

    An update's metric is 'loss', the total variance so far; infinite, which ends the run, past that
    many rows. Those of `evaluate` are `measure`'s. `encode` gives codes [B, K], `sample` rows [.,
    D] of probabilistic PCA.

    Raises:
      ValueError: dimension lies outside 1 to D, or rows are no vectors.
    """
    if dimension < 1:
        raise ValueError(f'dimension is {dimension}; at least 1 component is needed')
    derived = partial(components, dimension=dimension, solver=solver, correction=correction)

    def init(key, batch):
        shape = batch['x'].shape
        if len(shape) != 2 or shape[1] < dimension:
            raise ValueError(
                f'dimension is {dimension}, x has shape {shape}; needed: [B, D], D of {dimension} or more'
            )
        return empty(jnp.mean(batch['x'], 0))

    def update(key, state, batch):
        after = merged(state, batch['x'])
        return after, {
            'loss': jnp.where(after.count > state.count, jnp.trace(after.covariance), jnp.inf)
        }

    def sample(key, state, n):
        rows = jax.vmap(draw, (0, None))(example_keys(key, n), derived(state))
        return mean(state)[None] + rows

    evaluate = lambda key, state, batch: measure(derived(state), centred(state, batch['x']))
    encode = lambda key, state, batch: project(derived(state), centred(state, batch['x']), whiten)
    decode = lambda key, state, code: mean(state)[None] + rebuild(derived(state), code, whiten)
    return Algorithm(init, update, evaluate, sample, encode, decode)

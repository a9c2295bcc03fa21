"""The steps of descent on rows of word2vec's tables: their rate, their limits, their addition.

Letters: V words, a row of a table each; D dimensions, R steps, each of one row, which may repeat.
"""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import optax

# (table [V, D], rows [R], steps [R, D]) -> the table with the steps added
AddSteps = Callable[[jax.Array, jax.Array, jax.Array], jax.Array]

MOST_ROWS = 1000  # of a table, to a step, for which steps of one row are found without sorting
BUCKETS = 8192  # in which the curvatures of a block's rows are summed


def linear_rate(rate: Sequence[float], steps: int) -> Callable[[jax.Array], jax.Array]:
    """The learning rate of each step, on a straight line between two rates.

    Args:
      rate: at the start and at the end.
      steps: of the run.

    Raises:
      ValueError: the rates are not two, or one is below 0.
    """
    if len(rate) != 2 or min(rate) < 0:
        raise ValueError(
            f'rate is {tuple(rate)}; it takes two numbers of 0 or more, at the start and at the end'
        )
    return optax.linear_schedule(*rate, steps)


def add_steps(table: jax.Array, rows: jax.Array, steps: jax.Array) -> jax.Array:
    """The table [V, D] with steps [R, D] added to its rows [R]."""
    return table.at[rows].add(steps, mode='promise_in_bounds')


def add_clipped_steps(limit: float) -> AddSteps:
    """`add_steps` with the sum s of each row's steps clipped to s min(1, limit / |s|).

    In a large block a frequent word's steps, all taken at one point, add up to far more than steps
    taken one after another, which turn as they go: 4,096 centres diverge without a limit. With 0.3,
    blocks of 4,096 and of 16,384 centres learn as well as small ones, even at twice the rate
    (benchmarks/RESULTS.md).

    Args:
      limit: the largest norm.

    Raises:
      ValueError: limit is not a number above 0.
    """
    if not isinstance(limit, int | float) or not limit > 0:
        raise ValueError(f'the bound of a step is {limit!r}; it takes a number above 0')

    def add(table, rows, steps):
        first = first_places(rows, len(table))
        sums = jnp.zeros_like(steps).at[first].add(steps, mode='promise_in_bounds')
        norm = jnp.linalg.norm(sums, axis=-1, keepdims=True)
        clipped = sums * jnp.minimum(1, limit / jnp.maximum(norm, limit))
        repeated = first != jnp.arange(len(rows))
        return table.at[jnp.where(repeated, len(table), rows)].add(clipped, mode='drop')

    return add


def first_places(rows: jax.Array, size: int) -> jax.Array:
    """Where each row has its first step, for steps of a table's rows.

    One scatter writes the least place of each row of the table. That is cheaper than sorting the
    steps as long as there are not a thousand rows to a step; beyond that they are sorted.

    Args:
      rows: int32 [R], 0 to size - 1.
      size: V.

    Returns:
      int32 [R], the least i with the same rows[i].
    """
    if size > MOST_ROWS * len(rows):
        _, first, which = jnp.unique(
            rows, return_index=True, return_inverse=True, size=len(rows), fill_value=size
        )
        return first.astype(jnp.int32)[which]
    places = jnp.arange(len(rows), dtype=jnp.int32)
    least = jnp.full(size, len(rows), jnp.int32).at[rows].min(places, mode='promise_in_bounds')
    return least.at[rows].get(mode='promise_in_bounds')


def stable_scale(rows: jax.Array, curvature: jax.Array, size: int) -> jax.Array:
    """The factor of each step that keeps descent stable: min(1, m / c), m = min(4, 2 + 16 / c).

    All steps of a block are taken at one point. Where a word fills much of it, as in a small
    vocabulary or in a line that repeats a word, their sum goes far beyond what steps one after
    another would do, and diverges. Descent is stable below 2 / rate of the second derivative. Here

        c = rate x sum of |dl/ds| (1 + |partner|^2)

    over the scores s = u.v of the row, partner being the score's other vector. For logistic losses
    d2l/ds2 <= |dl/ds|. So c / rate bounds a row of the second derivative: d2l/ds2 |partner|^2 for
    the row's own vector, and dl/ds for each partner, which moves at the same time. At an optimum
    where a row's scores are alike, d2l/ds2 sums to half of |dl/ds|, and two vectors of one length
    that move at once double it. So a step shortened to c = 2 is stable there however often a word
    repeats. Where words are many their partners point in many directions and the bound is several
    times too large: the longest step, m, is 4 up to c = 8 and falls towards 2 beyond. So most steps
    of ordinary text are whole. What is shortened trains somewhat slower than single steps would.

    Args:
      rows: the row of each step, [R].
      curvature: each step's part of its row's c, [R].
      size: how many rows the table has. Of more than 8,192 some are summed together, so that c may
        be too large but never too small.

    Returns:
      [R], above 0 and at most 1.
    """
    buckets = min(size, BUCKETS)
    which = rows % buckets
    sums = jnp.zeros(buckets).at[which].add(curvature, mode='promise_in_bounds')
    return stable_share(sums.at[which].get(mode='promise_in_bounds'))


def stable_share(c: jax.Array) -> jax.Array:
    """min(1, m / c), m = min(4, 2 + 16 / c): the factor of a step by the c of its row, see
    `stable_scale`."""
    longest = jnp.minimum(4, 2 + 16 / c)
    return jnp.minimum(1, longest / c)

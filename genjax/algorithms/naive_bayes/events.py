"""Features that are counted: categories, black and white, how often each outcome came up.

B examples, D features, C classes; an example has G events of K outcomes each.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from genjax.algorithms.naive_bayes.counts import (
    Pseudocounts,
    class_sums,
    posterior_mean,
    require_pseudocounts,
)
from genjax.algorithms.naive_bayes.features import Feature
from genjax.base import Key


def event_counts(
    support: str,
    limit: float,
    outcomes: Callable[[Array], Array],
    draw: Callable[[Key, Array], Array],
    alpha: Pseudocounts,
) -> Feature[Array, Array]:
    """A `Feature` of counts, uint32 [C, G, K]; the parameters are probabilities, [C, G, K].

    Args:
      support: the values that x may have, in words: whole numbers from 0.
      limit: above all of them.
      outcomes: x [D] -> how often it has each outcome, [G, K].
      draw: (key, one class's probabilities [G, K]) -> x [D].
      alpha: pseudocounts of the outcomes.

    Raises:
      ValueError: a pseudocount is negative; from `init`, too many or too few.
    """
    require_pseudocounts(alpha)

    def inside(x):
        return (x >= 0) & (x == jnp.round(x)) & (x < limit)

    def init(classes, features):
        shape = jax.eval_shape(outcomes, jnp.zeros(features)).shape  # [G, K]
        require_pseudocounts(alpha, shape[-1])
        return jnp.zeros((classes, *shape), jnp.uint32)

    def add(counts, label, x):
        values = jax.vmap(outcomes)(x).astype(jnp.uint32)
        return counts + class_sums(label, values, len(counts))

    def fit(counts):
        return posterior_mean(counts, alpha)

    def log_prob(p, x, floor):
        def total(values):
            return jnp.vdot(outcomes(x), values, precision='highest')

        nats = total(jnp.log(jnp.maximum(p, floor)))
        return nats, total((p <= 0).astype(jnp.float32))

    return Feature(support, inside, init, add, fit, log_prob, draw)


def categorical(levels: int, alpha: Pseudocounts = 1.0) -> Feature[Array, Array]:
    """Features with the values 0 to levels - 1; the parameters are probabilities, [C, D, levels].

    Args:
      levels: the number of values.
      alpha: pseudocounts of the values.

    Raises:
      ValueError: fewer than 2 levels, or a negative pseudocount.
    """
    if levels < 2:
        raise ValueError(f'levels is {levels}; a feature needs at least 2')

    def outcomes(x):
        return jax.nn.one_hot(x.astype(jnp.int32), levels)

    def draw(key, p):
        return jax.random.categorical(key, jnp.log(p)).astype(jnp.float32)

    support = f'the whole numbers 0 to {levels - 1}'
    return event_counts(support, levels, outcomes, draw, alpha)


def bernoulli(alpha: Pseudocounts = 1.0) -> Feature[Array, Array]:
    """Features 0 or 1; the parameters are probabilities, [C, D, 2].

    Args:
      alpha: one pseudocount for both or those of 0 and of 1, so that Beta(a, b) is (b, a).

    Raises:
      ValueError: a pseudocount is negative.
    """
    return categorical(2, alpha)


def multinomial(alpha: Pseudocounts = 1.0, *, trials: int = 100) -> Feature[Array, Array]:
    """Features that count how often each of D outcomes came up; the parameters are [C, 1, D].

    p(x | y) is that of one sequence with these counts, as in scikit-learn's MultinomialNB.

    Args:
      alpha: pseudocounts of the outcomes.
      trials: events of what is drawn.

    Raises:
      ValueError: no trials, or a negative pseudocount.
    """
    if trials < 1:
        raise ValueError(f'trials is {trials}; a draw needs at least 1')

    def outcomes(x):
        return x[None]

    def draw(key, p):
        events = jax.random.choice(key, p.shape[-1], (trials,), p=p[0])
        return jnp.bincount(events, length=p.shape[-1]).astype(jnp.float32)

    return event_counts('the whole numbers from 0', np.inf, outcomes, draw, alpha)

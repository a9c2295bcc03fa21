"""The smoothing of n-gram probabilities: maximum likelihood, add-k and Kneser-Ney.

Kneser and Ney 1995, "Improved backing-off for m-gram language modeling"; Chen and Goodman 1999, "An
empirical study of smoothing techniques for language modeling".

Letters: h a context, w the word after it, c a count, V words, V + 1 outcomes, since a sentence may
end.
"""

from collections.abc import Callable

import jax.numpy as jnp
from jax import Array

# (m, n, V + 1, c(h w), c(h), N1+(h .)) -> (own, weight): at order m of a model of order n
#     P(w | h) = own + weight P(w | h without its first word),
# for contexts h of m - 1 words. Summed over w, the own parts and the weight make one. c(h) is the
# sum of c(h w) over w, and N1+(h .) the number of different w after h.
Smoothing = Callable[[int, int, int, Array, Array, Array], tuple[Array | float, Array | float]]


def add_k(k: float) -> Smoothing:
    """P(w | h) = (c(h w) + k) / (c(h) + k (V + 1)): Lidstone's rule, for k = 1 Laplace's.

    It is the posterior mean of P(. | h) under the symmetric Dirichlet prior of parameter k.

    Raises:
      ValueError: k is negative.
    """
    if not k >= 0:
        raise ValueError(f'k is {k}; added counts must be at least 0')

    def smoothing(m, n, outcomes, count, total, kinds):
        if m < n:  # shorter contexts are not used: what is left goes to the uniform distribution
            return 0.0, 1.0
        mass = total + k * outcomes
        return _ratio(count, mass, 0.0), _ratio(k * outcomes, mass, 1.0)

    return smoothing


# P(w | h) = c(h w) / c(h). After a context that never occurred any distribution would do; add_k's
# limit is the uniform one.
maximum_likelihood = add_k(0.0)


def kneser_ney(discount: float = 0.75, unigram: float | None = None) -> Smoothing:
    """Interpolated Kneser-Ney, for D the discount:

        P(w | h) = (max(c(h w) - D, 0) + D N1+(h .) P(w | h without its first word)) / c(h)

    Below the highest order c(h w) is N1+(. h w), the number of different words before h w, and c(h)
    its sum over w. The last of the shorter distributions is the uniform one over V + 1 outcomes.

    Args:
      discount: D, taken off every count.
      unigram: D at order 1, by default the same; at 0 nothing is left for words that never
        occurred, as in NLTK.

    Raises:
      ValueError: a discount lies outside [0, 1].
    """
    unigram = discount if unigram is None else unigram
    if not (0 <= discount <= 1 and 0 <= unigram <= 1):
        raise ValueError(
            f'discounts are {discount} and, at order 1, {unigram}; they must lie in [0, 1]'
        )

    def smoothing(m, n, outcomes, count, total, kinds):
        d = unigram if m == 1 else discount
        return _ratio(jnp.maximum(count - d, 0.0), total, 0.0), _ratio(d * kinds, total, 1.0)

    return smoothing


def _ratio(part, total, otherwise):
    return jnp.where(total > 0, part / jnp.where(total > 0, total, 1.0), otherwise)

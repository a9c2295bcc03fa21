"""The pairs of times (t, r) that flow maps are trained on; n examples."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array
from jax.nn import sigmoid

from genjax.algorithms.diffusion.times import Law
from genjax.base import Key
from genjax.numerics.uniforms import Draw, independent

# (key, updates made so far [n]) -> t and r, [n] each
Pairs = Callable[[Key, Array], tuple[Array, Array]]


def clipped_pairs(
    law: Law, law_of_r: Law, *, diagonal: float = 0.25, draw: Draw = independent
) -> Pairs:
    """t and r by laws of their own; r = t with a probability, and wherever r would be above t.

    Source: the settings of Geng et al. 2025, arXiv:2505.13447, on CIFAR-10: logit-normal laws with
    (-0.6, 1.6) and (-4.0, 1.6), and 0.25.

    Args:
      law: of t.
      law_of_r: of r.
      diagonal: the probability.
      draw: how the t of a batch are drawn.

    Raises:
      ValueError: diagonal lies outside [0, 1].
    """
    _require_share('diagonal', diagonal)

    def pairs(key, updates):
        t_key, r_key, diagonal_key = jax.random.split(key, 3)
        n = len(updates)
        t = law.quantile(draw(t_key, n))
        r = law_of_r.quantile(independent(r_key, n))
        return t, jnp.where(independent(diagonal_key, n) < diagonal, t, jnp.minimum(r, t))

    return pairs


def sorted_pairs(law: Law, *, diagonal: float = 0.75) -> Pairs:
    """The larger and the smaller of two times of one law; r = t with a probability.

    Source: Geng et al. 2025, arXiv:2505.13447, section 4.3.

    Args:
      law: of both times.
      diagonal: the probability.

    Raises:
      ValueError: diagonal lies outside [0, 1].
    """
    _require_share('diagonal', diagonal)

    def pairs(key, updates):
        first_key, second_key, diagonal_key = jax.random.split(key, 3)
        n = len(updates)
        first = law.quantile(independent(first_key, n))
        second = law.quantile(independent(second_key, n))
        t = jnp.maximum(first, second)
        r = jnp.minimum(first, second)
        return t, jnp.where(independent(diagonal_key, n) < diagonal, t, r)

    return pairs


def to_data(law: Law, draw: Draw = independent) -> Pairs:
    """t by a law, and r = 0."""

    def pairs(key, updates):
        t = law.quantile(draw(key, len(updates)))
        return t, jnp.zeros_like(t)

    return pairs


def tightening_pairs(
    law: Law, stage: int, *, q: float = 2.0, k: float = 8.0, draw: Draw = independent
) -> Pairs:
    """r = t (1 - q^-(s + 1) (1 + k sigmoid(-t))), at least 0, in the stage s = updates // stage.

    So the first stages go to the data from many t, as a denoiser does, and later ones in ever
    smaller steps.

    Source: Geng et al. 2024, arXiv:2406.14548, section 3.3.

    Args:
      law: of t.
      stage: updates of each stage.
      q: what steps are divided by from stage to stage.
      k: how much longer steps are where t is small.
      draw: how the t of a batch are drawn.

    Raises:
      ValueError: stage is below 1, q not above 1, or k negative.
    """
    if stage < 1 or not q > 1 or k < 0:
        raise ValueError(f'stage is {stage}, q {q}, k {k}; needed: >= 1, > 1, >= 0')

    def pairs(key, updates):
        t = law.quantile(draw(key, len(updates)))
        step = q ** -(updates // stage + 1).astype(t.dtype)
        return t, t * jnp.maximum(0.0, 1 - step * (1 + k * sigmoid(-t)))

    return pairs


def swapped(pairs: Pairs, share: float = 0.5) -> Pairs:
    """Pairs of which a share goes the other way, to more noise, which `encode` needs.

    Args:
      pairs: with r <= t.
      share: of those that are turned.

    Raises:
      ValueError: share lies outside [0, 1].
    """
    _require_share('share', share)

    def turned(key, updates):
        pairs_key, turn_key = jax.random.split(key)
        t, r = pairs(pairs_key, updates)
        turn = independent(turn_key, len(updates)) < share
        return jnp.where(turn, r, t), jnp.where(turn, t, r)

    return turned


def _require_share(name, share):
    if not 0 <= share <= 1:
        raise ValueError(f'{name} is {share}; it must lie in [0, 1]')

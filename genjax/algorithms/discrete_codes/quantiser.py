"""What a quantiser is: features to one of K codes, and back.

Letters: D features of a code, K codes.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
from jax import Array

from genjax.base import Key


class Quantised(NamedTuple):
    """Features as codes.

    Attributes:
      code: [..., D], through which gradients reach the features.
      index: which code it is, int32 [...] in 0 .. K - 1.
      loss: what the quantiser adds to the loss, [...].
    """

    code: Array
    index: Array
    loss: Array


class Quantiser(NamedTuple):
    """A quantiser of features.

    Attributes:
      size: K.
      features: D.
      init: key -> its parameters.
      quantise: (parameters, z [..., D]) -> Quantised.
      lookup: (parameters, index int32 [...]) -> code [..., D].
    """

    size: int
    features: int
    init: Callable[[Key], Any]
    quantise: Callable[[Any, Array], Quantised]
    lookup: Callable[[Any, Array], Array]


def straight_through(z: Array, code: Array) -> Array:
    """The code, whose gradient is handed to z as it is: Bengio et al. 2013, arXiv:1308.3432."""
    return z + jax.lax.stop_gradient(code - z)

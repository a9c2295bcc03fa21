"""Standard normal noise that belongs to examples, whatever the number of devices."""

import jax
from jax import Array

from genjax.base import Key
from genjax.parallel import example_keys


def example_normals(key: Key, n: int, shape: tuple[int, ...]) -> Array:
    """Standard normals [n, *shape], the row of each example from a key of its own.

    Args:
      key: of the whole batch; see `example_keys`.
      n: examples at hand.
      shape: of one example.
    """
    return jax.vmap(lambda key: jax.random.normal(key, shape))(example_keys(key, n))

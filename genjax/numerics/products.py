"""Products of matrices in full precision: accelerators would multiply in fewer bits than add."""

from functools import partial

import jax.numpy as jnp
from jax import Array

matmul = partial(jnp.matmul, precision='highest')
einsum = partial(jnp.einsum, precision='highest')


def gram(x: Array, splits: int = 0) -> Array:
    """x^T x, [D, D].

    Args:
      x: [N, D].
      splits: how often the columns are halved. The block above the diagonal is then copied to
        below it: two splits take 5/8 of the multiplications.
    """
    if splits == 0:
        return matmul(x.T, x)

    left, right = jnp.split(x, [x.shape[1] // 2], 1)
    across = matmul(left.T, right)
    upper = [gram(left, splits - 1), across]
    lower = [across.T, gram(right, splits - 1)]
    return jnp.block([upper, lower])

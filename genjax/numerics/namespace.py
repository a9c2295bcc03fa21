"""Formulas that serve host and device alike."""

from types import ModuleType

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike


def namespace(x: ArrayLike) -> ModuleType:
    """`jax.numpy` for an array of jax, traced or not, and `numpy` for all else.

    A formula that takes its functions from there gives float64 for numbers of the host, as the
    coefficients of samplers need, and is traced where it is given what is traced.
    """
    return jnp if isinstance(x, jax.Array) else np

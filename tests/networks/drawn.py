"""Parameters that are nowhere nought, as those that networks begin with often are."""

import jax
import numpy as np


def random_params(network, *inputs, deviation: float = 0.5):
    """Normal parameters of a network for inputs like these."""
    with jax.numpy_dtype_promotion('standard'):  # of initialisers in float64
        shapes = jax.eval_shape(lambda: network.init(jax.random.key(0), *inputs)['params'])
    rng = np.random.default_rng(0)
    return jax.tree.map(
        lambda leaf: np.asarray(deviation * rng.normal(size=leaf.shape), leaf.dtype), shapes
    )

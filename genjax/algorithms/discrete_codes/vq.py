"""Vector quantisation: van den Oord et al. 2017 (VQ-VAE), arXiv:1711.00937.

Features become the nearest of K learned vectors. The loss has two terms beside the reconstruction
(equation 3): vectors are drawn to the features, and by `commitment` features to the vectors.
"""

import jax
import jax.numpy as jnp

from genjax.algorithms.discrete_codes.quantiser import Quantised, Quantiser, straight_through


def vq(size: int, features: int, *, commitment: float = 0.25) -> Quantiser:
    """The quantiser of a codebook of K vectors [K, D], which is its one parameter.

    Args:
      size: K.
      features: D.
      commitment: beta, the weight of the features' way to the vectors.

    Raises:
      ValueError: size is below 2, features below 1, or commitment negative.
    """
    if size < 2 or features < 1 or commitment < 0:
        raise ValueError(
            f'size is {size}, features {features}, commitment {commitment}; '
            'needed: >= 2, >= 1, >= 0'
        )

    def init(key):
        # Small, so that no vector begins far from all features.
        shape = (size, features)
        return {'codebook': jax.random.uniform(key, shape, minval=-1 / size, maxval=1 / size)}

    def quantise(params, z):
        codebook = params['codebook']
        flat = z.reshape(-1, features)
        distance = jnp.sum((flat[:, None] - codebook[None]) ** 2, -1)
        index = jnp.argmin(distance, -1).astype(jnp.int32).reshape(z.shape[:-1])
        nearest = codebook[index]
        to_features = jnp.sum((nearest - jax.lax.stop_gradient(z)) ** 2, -1)
        to_vectors = jnp.sum((z - jax.lax.stop_gradient(nearest)) ** 2, -1)
        code = straight_through(z, nearest)
        return Quantised(code, index, to_features + commitment * to_vectors)

    def lookup(params, index):
        return params['codebook'][index]

    return Quantiser(size, features, init, quantise, lookup)

"""Vector quantisation: the nearest vector, and two terms with gradients where they belong."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.algorithms.discrete_codes import vq

RNG = np.random.default_rng(0)
Z = RNG.normal(size=(2, 3, 4))
CODEBOOK = RNG.normal(size=(5, 4))


def test_it_is_the_nearest_vector():
    quantiser = vq(5, 4)
    params = {'codebook': jnp.asarray(CODEBOOK, jnp.float32)}
    found = quantiser.quantise(params, jnp.asarray(Z, jnp.float32))
    distance = np.linalg.norm(Z[:, :, None] - CODEBOOK, axis=-1)
    np.testing.assert_array_equal(found.index, distance.argmin(-1))
    np.testing.assert_allclose(found.code, CODEBOOK[distance.argmin(-1)], atol=1e-6)
    np.testing.assert_array_equal(quantiser.lookup(params, jnp.arange(5)), params['codebook'])
    np.testing.assert_allclose(found.loss, 1.25 * distance.min(-1) ** 2, rtol=1e-5)


def test_the_two_terms_have_their_gradients_where_they_belong():
    """The codebook's is 2 (e - z), the features' 2 beta (z - e): swapped they would have each
    other's weight."""
    with jax.enable_x64(True):

        def loss(codebook, z):
            return jnp.sum(vq(5, 4, commitment=0.25).quantise({'codebook': codebook}, z).loss)

        of_codebook, of_z = jax.grad(loss, (0, 1))(jnp.asarray(CODEBOOK), jnp.asarray(Z))
    index = np.linalg.norm(Z[:, :, None] - CODEBOOK, axis=-1).argmin(-1)
    away = Z - CODEBOOK[index]
    np.testing.assert_allclose(of_z, 2 * 0.25 * away, rtol=1e-12)
    expected = np.zeros((5, 4))
    np.add.at(expected, index.ravel(), -2 * away.reshape(-1, 4))
    np.testing.assert_allclose(of_codebook, expected, rtol=1e-12, atol=1e-14)


def test_the_gradient_of_a_code_goes_straight_through_to_the_features():
    with jax.enable_x64(True):
        weight = jnp.asarray(RNG.normal(size=(2, 3, 4)))

        def of_code(codebook, z):
            return jnp.sum(weight * vq(5, 4).quantise({'codebook': codebook}, z).code)

        of_codebook, of_z = jax.grad(of_code, (0, 1))(jnp.asarray(CODEBOOK), jnp.asarray(Z))
    np.testing.assert_array_equal(of_z, weight)
    assert not of_codebook.any()


@pytest.mark.parametrize('options', [(1, 2, 0.2), (2, 0, 0.2), (2, 2, -1.0)])
def test_what_makes_no_sense_is_refused(options):
    with pytest.raises(ValueError, match='needed: >= 2, >= 1, >= 0$'):
        vq(*options[:2], commitment=options[2])

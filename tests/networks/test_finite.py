"""Networks on K atoms: outputs, refusals, and the known optimum of their game."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.networks.finite import Atoms, Table


def test_the_generator_gives_the_softmax_of_its_table_whatever_the_noise():
    generator = Atoms(4, jax.nn.initializers.normal(1.0))
    params = generator.init(jax.random.key(0), jnp.zeros((1, 3)))
    table = np.asarray(params['params']['table'], np.float64)
    q = generator.apply(params, jax.random.normal(jax.random.key(1), (5, 3)))
    softmax = np.exp(table) / np.exp(table).sum()
    np.testing.assert_allclose(q, np.broadcast_to(softmax, (5, 4)), rtol=1e-6)


def test_the_discriminator_gives_its_table_and_the_distribution():
    discriminator = Table(3, jax.nn.initializers.normal(1.0))
    x = jnp.eye(3)[jnp.array([2, 0])]
    params = discriminator.init(jax.random.key(0), x)
    logits, same = discriminator.apply(params, x)
    table = params['params']['table']
    np.testing.assert_array_equal(logits, jnp.stack([table, table]))
    np.testing.assert_array_equal(same, x)


def test_both_begin_undecided():
    x = jnp.full((2, 4), 0.25)
    (logits, _), _ = Table(4).init_with_output(jax.random.key(0), x)
    np.testing.assert_array_equal(logits, 0)
    q, _ = Atoms(4).init_with_output(jax.random.key(0), jnp.zeros((2, 1)))
    np.testing.assert_allclose(q, x)


def test_ascent_of_the_exact_value_reaches_the_optimal_discriminator():
    p = jnp.array([[0.5, 0.3, 0.2]])
    q = jnp.array([[0.1, 0.3, 0.6]])
    discriminator = Table(3)

    def value(params):  # V(D, G) of Goodfellow et al. 2014, equation 1
        real_logits, p_weights = discriminator.apply(params, p)
        fake_logits, q_weights = discriminator.apply(params, q)
        real = jnp.sum(p_weights * jax.nn.log_sigmoid(real_logits))
        fake = jnp.sum(q_weights * jax.nn.log_sigmoid(-fake_logits))
        return real + fake

    def ascend(_, params):
        return jax.tree.map(lambda a, g: a + 5 * g, params, jax.grad(value)(params))

    @jax.jit
    def ascend_500(params):
        return jax.lax.fori_loop(0, 500, ascend, params)

    params = ascend_500(discriminator.init(jax.random.key(0), p))
    probability = jax.nn.sigmoid(params['params']['table'])
    np.testing.assert_allclose(probability, (p / (p + q))[0], rtol=1e-5)


@pytest.mark.parametrize('network', [Atoms(1), Table(1)])
def test_too_few_atoms_are_refused(network):
    with pytest.raises(ValueError, match='atoms is 1; it must be at least 2'):
        network.init(jax.random.key(0), jnp.zeros((2, 1)))


def test_another_shape_is_refused():
    with pytest.raises(ValueError, match=r'x has shape \(2, 4\); \[B, 3\] is needed'):
        Table(3).init(jax.random.key(0), jnp.zeros((2, 4)))

"""The penalties of a discriminator against finite differences."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from genjax.algorithms.gan import gradient_penalty, r1, r2

WEIGHTS = [np.random.default_rng(1).normal(size=shape) for shape in ((6, 4), (6,), (6,))]


def perceptron(weights, x, tanh=np.tanh):
    """x [3, 4] -> [3]."""
    kernel, bias, out = weights
    return tanh(x @ kernel.T + bias[None]) @ out


def slopes(weights, x, step=1e-5):
    """Gradients by central differences, [3, 4]."""
    columns = []
    for move in step * np.eye(4):
        difference = perceptron(weights, x + move) - perceptron(weights, x - move)
        columns.append(difference / (2 * step))
    return np.stack(columns, -1)


def shares(key, n):
    """The shares of the real example at which the gradient penalty is taken, [n].

    Between 1 and 3 the critic x^2 / 2 has the slope x, so that its penalty is (x - 1)^2.
    """

    def half_square(x):
        return jnp.sum(x**2, 1) / 2

    ones = jnp.ones((n, 1))
    return np.sqrt(gradient_penalty(1.0)(key, half_square, 3 * ones, ones)) / 2


def at_real(key, n):
    return np.ones(n)


def at_fake(key, n):
    return np.zeros(n)


def away_from_one(g, weight):
    """weight (||g|| - 1)^2 of slopes [3, 4]."""
    return weight * (np.sqrt((g**2).sum(-1)) - 1) ** 2


def half_squared(g, gamma):
    """gamma / 2 ||g||^2 of slopes [3, 4]."""
    return gamma / 2 * (g**2).sum(-1)


# The formula of slopes, and the share of the real example in the point where they are taken.
PENALTIES = {
    'gradient_penalty': (gradient_penalty(10.0), partial(away_from_one, weight=10), shares),
    'r1': (r1(3.0), partial(half_squared, gamma=3), at_real),
    'r2': (r2(0.5), partial(half_squared, gamma=0.5), at_fake),
}


@pytest.mark.parametrize('name', PENALTIES)
def test_penalties_and_their_gradients_are_those_of_finite_differences(name):
    penalty, formula, share = PENALTIES[name]
    real, fake = np.random.default_rng(2).normal(size=(2, 3, 4))
    first, *others = WEIGHTS
    with jax.enable_x64(True):
        key = jax.random.key(0)
        x = fake + share(key, 3)[:, None] * (real - fake)

        def penalties(kernel):
            critic = partial(perceptron, [kernel, *others], tanh=jnp.tanh)
            return penalty(key, critic, jnp.asarray(real), jnp.asarray(fake))

        def total(kernel):
            return jnp.sum(penalties(kernel))

        actual = penalties(first)
        gradient = jax.grad(total)(jnp.asarray(first))

    def by_differences(kernel):
        return formula(slopes([kernel, *others], x))

    np.testing.assert_allclose(actual, by_differences(first), rtol=1e-7)
    for i, j in ((0, 0), (3, 2), (5, 1)):
        move = np.zeros((6, 4))
        move[i, j] = 1e-4
        difference = by_differences(first + move).sum() - by_differences(first - move).sum()
        np.testing.assert_allclose(gradient[i, j], difference / 2e-4, rtol=1e-5)


def test_the_gradient_penalty_is_taken_everywhere_between_and_holds_where_a_critic_is_flat():
    assert stats.kstest(shares(jax.random.key(0), 4000), 'uniform').pvalue > 1e-3

    def penalties(height):
        def critic(x):
            return height * jnp.sum(x, 1)

        return gradient_penalty(10.0)(jax.random.key(0), critic, *jnp.ones((2, 3, 4)))

    def total(height):
        return jnp.sum(penalties(height))

    np.testing.assert_array_equal(penalties(0.0), 10)
    assert np.isfinite(jax.grad(total)(0.0))


def test_a_negative_penalty_is_refused():
    with pytest.raises(ValueError, match='^gamma is -1.0; a penalty needs at least 0$'):
        r1(-1.0)

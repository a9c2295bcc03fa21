"""What is compiled for a few runs gives what the same function gives."""

import jax
import jax.numpy as jnp
import numpy as np

from genjax.compiling import jit_briefly


def sample(key, state, n):
    return jnp.tanh(state @ jax.random.normal(key, (state.shape[-1], n)))


def test_samples_are_those_of_the_function():
    key, state = jax.random.key(0), jnp.linspace(-1, 1, 12).reshape(4, 3)
    draw = jit_briefly(sample, static_argnums=2)
    for n in (2, 5):
        np.testing.assert_allclose(draw(key, state, n), sample(key, state, n), rtol=1e-6)


def test_a_function_that_is_shown_twice_is_compiled_once():
    key, state = jax.random.key(0), jnp.eye(3)
    traced = []

    def counted(key, state, n):
        traced.append(n)
        return sample(key, state, n)

    for draw in [jit_briefly(counted, static_argnums=2) for _ in range(2)]:
        draw(key, state, 4)
    assert traced == [4]

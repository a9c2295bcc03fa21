"""Inverses of lower triangular matrices, and algorithms that must not wait for LAPACK."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.algorithms import hmm, mixture
from genjax.numerics.triangular import lower_inverse
from tests.marks import quick_only

RNG = np.random.default_rng(3)
ROWS = jnp.asarray(RNG.normal(size=(12, 3)), jnp.float32)
ALGORITHMS = {
    'full': (mixture.mixture(2, covariance=mixture.full), ROWS),
    'tied': (mixture.mixture(2, covariance=mixture.tied), ROWS),
    'hmm': (hmm.hmm(2, hmm.gaussian(hmm.full)), ROWS.reshape(3, 4, 3)),
}


@pytest.mark.parametrize('size', quick_only([1, 3, 8], [1, 2, 3, 8, 13]))
def test_it_is_the_inverse_whatever_stands_above_the_diagonal(size):
    matrix = RNG.normal(size=(2, 3, size, size)) + 3 * np.eye(size)
    lower = np.tril(matrix)
    right = np.linalg.inv(lower)
    found = lower_inverse(jnp.asarray(matrix, jnp.float32))
    # Higham 2002, section 14.2.
    condition = np.abs(np.abs(right) @ np.abs(lower) @ np.abs(right)).max()
    assert np.abs(found - right).max() <= size * np.finfo(np.float32).eps * condition


@pytest.mark.parametrize('name', ALGORITHMS)
def test_no_two_calls_of_lapack_can_wait_for_each_other(name):
    algorithm, x = ALGORITHMS[name]
    key = jax.random.key(0)
    state = jax.eval_shape(algorithm.init, key, {'x': x})
    evaluation = str(jax.make_jaxpr(algorithm.evaluate)(key, state, {'x': x}))
    for call in ('triangular_solve', 'cholesky', 'eigh'):
        assert f' {call}[' not in evaluation
    # The factorisations of an update follow from one another.
    update = str(jax.make_jaxpr(algorithm.update)(key, state, {'x': x}))
    assert ' triangular_solve[' not in update

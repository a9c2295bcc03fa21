"""Test likelihoods and bounds against sums by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.probes.likelihood import bound_table, importance
from genjax.training import make_mesh


@pytest.mark.parametrize('devices', [1, 8])
def test_importance_is_the_mean_over_examples_and_gives_each_batch_a_key(devices):
    batches = [{'x': np.arange(16, dtype=np.float32)}, {'x': np.float32([100.0, 200.0, 300.0])}]

    def log_likelihood(key, state, batch):
        return -state * batch['x'] - jax.random.uniform(key)

    key = jax.random.key(1)
    with jax.set_mesh(make_mesh(jax.devices()[:devices])):
        found = importance(log_likelihood, batches, samples=50)(key, jnp.float32(2.0))
    noise = [float(jax.random.uniform(jax.random.fold_in(key, i))) for i in range(2)]
    expected = (2 * (120 + 600) + 16 * noise[0] + 3 * noise[1]) / 19
    assert found == {'nll_50': pytest.approx(expected, rel=1e-6)}


def test_a_bound_is_the_sum_of_its_terms():
    terms = jnp.array([[1.0, 2.0, 3.0], [3.0, 2.0, 2.0]])
    found = bound_table(lambda key, state: state * terms)(jax.random.key(0), 2.0)
    rows = [{'t': t, 'bits_per_dim': x} for t, x in enumerate(['4', '4', '5'])]
    assert found == {'bits_per_dim': 13.0, 'terms': rows}

"""Uniform numbers of examples: each of them uniform, together even, on any number of devices."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from genjax.numerics.uniforms import independent, low_discrepancy, stratified
from genjax.parallel import AXIS

KEY = jax.random.key(5)


@pytest.mark.parametrize('draw', [independent, stratified, low_discrepancy])
def test_each_share_is_uniform_whatever_its_place(draw):
    shares = jax.vmap(lambda key: draw(key, 8))(jax.random.split(KEY, 2000))
    assert shares.min() > 0 and shares.max() < 1
    for place in (0, 7):
        assert stats.kstest(np.asarray(shares[:, place]), 'uniform').pvalue > 1e-3


@pytest.mark.parametrize('draw', [stratified, low_discrepancy])
def test_a_batch_has_one_share_in_each_part(draw):
    shares = np.sort(draw(KEY, 64))
    ring = np.diff(np.append(shares, shares[0] + 1))
    assert ring.max() < 2 / 64  # of neighbours, around the ring
    if draw is low_discrepancy:
        np.testing.assert_allclose(ring, 1 / 64, atol=1e-6)


def test_means_over_a_stratified_batch_scatter_far_less():
    def mean(draw, key):
        return jnp.mean(jnp.exp(draw(key, 64)))

    keys = jax.random.split(KEY, 300)
    spread = [
        float(jnp.std(jax.vmap(partial(mean, draw))(keys)))
        for draw in (independent, stratified, low_discrepancy)
    ]
    # What is left comes from the jump of the function between u = 1 and u = 0.
    assert spread[1] < spread[0] / 5 and spread[2] < spread[0] / 5


@pytest.mark.parametrize('draw', [independent, stratified, low_discrepancy])
def test_shares_do_not_depend_on_the_devices(draw):
    whole = draw(KEY, 16)

    def share(_):
        return draw(KEY, 2)

    parts = jax.pmap(share, AXIS)(np.arange(8))
    np.testing.assert_array_equal(np.ravel(parts), whole)

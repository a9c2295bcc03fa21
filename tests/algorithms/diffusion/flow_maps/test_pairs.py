"""The laws of pairs of times."""

import jax.numpy as jnp
import numpy as np
import pytest

from genjax.algorithms.diffusion import log_normal, logit_normal, uniform, variance_exploding
from genjax.algorithms.diffusion.flow_maps import (
    clipped_pairs,
    sorted_pairs,
    swapped,
    tightening_pairs,
    to_data,
)
from genjax.algorithms.diffusion.paths import straight
from tests.algorithms.diffusion.gaussian import KEY, assert_mean

N = 20_000
NONE = jnp.zeros(N, jnp.int32)


def logit(x):
    return np.log(np.asarray(x, np.float64)) - np.log1p(-np.asarray(x, np.float64))


def test_clipped_pairs_are_of_two_laws_and_meet_where_r_would_be_above_t():
    t, r = clipped_pairs(logit_normal(-0.6, 1.6), logit_normal(-4.0, 1.6))(KEY, NONE)
    assert_mean(logit(t), -0.6)
    assert_mean((logit(t) + 0.6) ** 2, 1.6**2)
    assert bool(jnp.all(r <= t))
    # r < t needs the draw of 0.75 and a normal difference of mean 3.4 above 0.
    from scipy.stats import norm

    assert_mean(r < t, 0.75 * norm.cdf(3.4 / (1.6 * np.sqrt(2))))


def test_sorted_pairs_are_the_larger_and_the_smaller_of_one_law():
    t, r = sorted_pairs(uniform(straight(start=0.0)), diagonal=0.5)(KEY, NONE)
    off = np.asarray(r < t)
    assert_mean(off, 0.5)
    assert bool(jnp.all(r <= t))
    for times, expected in ((t, 2 / 3), (r, 1 / 3)):
        assert_mean(np.asarray(times)[off], expected)


def test_pairs_to_data_end_there():
    t, r = to_data(logit_normal())(KEY, NONE)
    assert_mean(logit(t), 0)
    assert not r.any()


def test_steps_tighten_from_stage_to_stage():
    law = log_normal(variance_exploding(), -1.1, 2.0)
    pairs = tightening_pairs(law, 100)
    for updates, stage in ((0, 0), (99, 0), (100, 1), (899, 8)):
        t, r = pairs(KEY, NONE + updates)
        assert_mean(np.log(np.asarray(t, np.float64)), -1.1)
        t, r = (np.asarray(times, np.float64) for times in (t, r))
        share = 1 - 2.0 ** -(stage + 1) * (1 + 8 / (1 + np.exp(t)))
        np.testing.assert_allclose(r, t * np.maximum(share, 0), rtol=1e-4, atol=1e-6)
    # In the first stage the small times go to the data, in a late one none does.
    assert float(jnp.mean(pairs(KEY, NONE)[1] == 0)) > 0.4
    assert float(pairs(KEY, NONE + 899)[1].min()) > 0


def test_a_share_of_swapped_pairs_goes_the_other_way():
    law = uniform(straight())
    t, r = swapped(sorted_pairs(law, diagonal=0.0), 0.3)(KEY, NONE)
    assert_mean(r > t, 0.3)


def test_a_pair_belongs_to_an_example_whatever_the_batch():
    pairs = swapped(clipped_pairs(logit_normal(), logit_normal()))
    for few, many in zip(pairs(KEY, NONE[:5]), pairs(KEY, NONE[:9]), strict=True):
        np.testing.assert_array_equal(few, many[:5])


@pytest.mark.parametrize(
    ('make', 'message'),
    [
        (
            lambda law: clipped_pairs(law, law, diagonal=1.5),
            r'diagonal is 1.5; it must lie in \[0, 1\]',
        ),
        (lambda law: sorted_pairs(law, diagonal=-1), r'diagonal is -1; it must lie in \[0, 1\]'),
        (lambda law: swapped(to_data(law), 2), r'share is 2; it must lie in \[0, 1\]'),
        (
            lambda law: tightening_pairs(law, 0),
            'stage is 0, q 2.0, k 8.0; needed: >= 1, > 1, >= 0',
        ),
    ],
)
def test_what_is_out_of_range_is_refused(make, message):
    with pytest.raises(ValueError, match=f'^{message}$'):
        make(logit_normal())

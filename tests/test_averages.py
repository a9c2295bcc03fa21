"""Averages of parameters against their closed forms, and averages that are made afterwards."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy.special import gammaln

from genjax.averages import (
    Profile,
    as_decay,
    combine,
    fixed,
    gamma_of,
    half_life,
    inner_products,
    move,
    power,
    reconstruction,
    warmed,
)
from genjax.descent import descend

DECAYS = [
    fixed(0.97),
    warmed(0.97),
    half_life(40, 8),
    half_life(40, 8, ramp=None),
    power(0.0),
    power(6.94),
    as_decay(0.0),
]


def weights_of(decay, updates):
    """The weights of the parameters 0 .. updates in the average, float64.

    Parameters i are row i of the identity, so the average of the rows is its own weights.
    """
    with jax.enable_x64(True):
        rows = jnp.eye(updates + 1)

        def step(average, inputs):
            n, params = inputs
            return move(decay, n, average, params), None

        counts = jnp.arange(updates, dtype=jnp.int32)
        return np.asarray(jax.lax.scan(step, rows[0], (counts, rows[1:]))[0])


@pytest.mark.parametrize('decay', DECAYS, ids=lambda decay: decay.name)
def test_weights_are_positive_and_sum_to_one(decay):
    weights = weights_of(decay, 200)
    assert weights.sum() == pytest.approx(1, abs=1e-13)
    assert weights.min() > -1e-16


def test_a_fixed_decay_is_its_closed_form():
    weights = weights_of(fixed(0.97), 200)
    expected = 0.03 * 0.97 ** np.arange(200, -1, -1)
    expected[0] /= 0.03
    np.testing.assert_allclose(weights, expected, rtol=1e-12)


def test_warm_up_is_its_closed_form_and_ends_where_the_decay_is_reached():
    """While beta is (1 + n) / (10 + n), weights are 9 / (9 + i) times ratios of factorials."""
    i = np.arange(201.0)
    log_product = gammaln(201) - gammaln(210)  # of (1 + k) / (10 + k), k = 0 .. 199
    log_kept = log_product - (gammaln(i + 1) - gammaln(i + 10))
    expected = 9 / (9 + i) * np.exp(log_kept)
    expected[0] = np.exp(log_product + gammaln(10))
    np.testing.assert_allclose(weights_of(warmed(0.9999), 200), expected, rtol=1e-10)
    # (1 + n) / (10 + n) is 0.9 at n = 80: from update 81 on weights fall by 0.9.
    weights = weights_of(warmed(0.9), 200)
    np.testing.assert_allclose(weights[81:-1] / weights[82:], 0.9, rtol=1e-12)
    assert weights[60] / weights[61] == pytest.approx(61 / 69, rel=1e-12)


def test_weights_halve_after_a_half_life_of_examples():
    """40 examples are five updates of eight."""
    weights = weights_of(half_life(40, 8, ramp=None), 200)
    np.testing.assert_allclose(weights[1:-5] * 2, weights[6:], rtol=1e-12)
    assert weights[0] == pytest.approx(0.5**40, rel=1e-12)
    # The half-life is that long once 0.05 of the examples seen are 40: after 800, 100 updates.
    ramped = weights_of(half_life(40, 8), 200)
    np.testing.assert_allclose(ramped[101:-5] * 2, ramped[106:], rtol=1e-12)


def test_a_half_life_begins_at_a_share_of_the_examples_seen():
    """After 10 updates of 8 it is 0.05 * 80 = 4 examples, half an update: a quarter is kept."""
    weights = weights_of(half_life(40, 8), 11)
    assert weights[-1] == pytest.approx(1 - 0.25, rel=1e-12)
    assert weights[0] == 0  # the first update keeps nothing


@pytest.mark.parametrize('gamma', [0.0, 6.94, 16.97])
def test_power_weights_are_the_integrals_of_the_profile(gamma):
    weights = weights_of(power(gamma), 300)
    parts = np.diff((np.arange(301.0) / 300) ** (gamma + 1))
    assert weights[0] == 0
    np.testing.assert_allclose(weights[1:], parts, rtol=1e-10, atol=1e-300)


@pytest.mark.parametrize('gamma', [0.0, 6.94, 16.97])
def test_the_power_average_of_a_quadratic_path_tends_to_its_closed_form(gamma):
    """(gamma + 1) / (gamma + 3) of the end; the error halves where the steps do."""

    def error(n):
        path = (np.arange(n + 1) / n) ** 2
        return weights_of(power(gamma), n) @ path - (gamma + 1) / (gamma + 3)

    # Update i stands for the time before it: theta is (tau + 1/2)^2 in the mean, to first order.
    assert error(800) == pytest.approx((gamma + 1) / (gamma + 2) / 800, rel=0.05)
    assert error(400) / error(800) == pytest.approx(2, rel=0.05)


@pytest.mark.parametrize(('deviation', 'gamma'), [(0.05, 16.97), (0.10, 6.94), (12**-0.5, 0.0)])
def test_a_relative_deviation_has_its_gamma(deviation, gamma):
    """EDM2, section 3: gamma = 16.97 and 6.94; and the weights of the average have it."""
    found = gamma_of(deviation)
    assert found == pytest.approx(gamma, abs=5e-3)
    n = 1000
    weights = weights_of(power(found), n)[1:]
    times = np.arange(n) + 0.5
    mean = weights @ times
    assert np.sqrt(weights @ (times - mean) ** 2) / n == pytest.approx(deviation, abs=1e-5)


def test_a_warmed_average_is_usable_after_200_steps_where_a_fixed_one_is_its_beginning():
    """Noisy gradients of a square whose optimum is 0, from 5: its mean square is what theory says.

    theta' = theta + rate (x - theta) with x of N(0, 1 / B): the average is normal, with variance
    w' C w where C is the covariance of the path and w are the weights.
    """
    size, batch, steps, rate, start = 2000, 4, 200, 0.2, 5.0
    keep = 1 - rate

    def losses(key, params, rows):
        return {'loss': jnp.sum((rows - params[None]) ** 2, -1) / 2}

    descent = descend(
        losses, optax.sgd(rate), decay=0.9999, others={'fixed': fixed(0.9999), 'last': 0.0}
    )

    def step(fit, key):
        return descent.update(key, fit, jax.random.normal(key, (batch, size)))[0], None

    keys = jax.random.split(jax.random.key(0), steps)
    fit, _ = jax.lax.scan(step, descent.init(jnp.full(size, start)), keys)

    lag = np.arange(steps + 1)
    noise = rate**2 / batch
    # theta_i = keep^i start + sum over j <= i of keep^(i - j) times noise of variance rate^2 / B
    response = np.tril(keep ** np.clip(lag[:, None] - lag[None], 0, None))[:, 1:]

    def mean_square(decay):
        weights = weights_of(decay, steps)
        return (start * weights @ keep**lag) ** 2 + noise * np.sum((weights @ response) ** 2)

    # The mean of 2,000 squares of normals has a relative error of sqrt(2 / 2000).
    for average, decay in ((fit.average, warmed(0.9999)), (fit.others['last'], as_decay(0.0))):
        assert jnp.mean(average**2) == pytest.approx(mean_square(decay), rel=5 * np.sqrt(2 / size))
    assert jnp.mean(fit.average**2) < jnp.mean(fit.params**2) / 2
    assert jnp.mean(fit.others['fixed']) > 0.97 * start


def test_no_average_is_the_parameters_to_the_bit_and_a_buffer_of_its_own():
    params = jnp.array([-0.0, 0.1, 1e-45, jnp.inf, jnp.nan])
    average = move(as_decay(0.0), jnp.int32(3), jnp.full(5, jnp.nan), params)
    assert np.asarray(average).tobytes() == np.asarray(params).tobytes()
    assert average.unsafe_buffer_pointer() != params.unsafe_buffer_pointer()


def test_inner_products_of_profiles_are_their_integrals():
    profiles = [Profile(1.0, 6.94), Profile(0.6, 16.97), Profile(0.8, 0.5)]
    points, sizes = np.polynomial.legendre.leggauss(80)

    def values(profile, t):
        rise = profile.gamma + 1
        return np.where(t <= profile.updates, rise * (t / profile.updates) ** profile.gamma, 0) / (
            profile.updates
        )

    ours = inner_products(profiles, profiles)
    for i, a in enumerate(profiles):
        for j, b in enumerate(profiles):
            end = min(a.updates, b.updates)
            t = end * (points + 1) / 2
            integral = end / 2 * sizes @ (values(a, t) * values(b, t))
            assert ours[i, j] == pytest.approx(integral, rel=1e-6)


def snapshots_of(moments, gammas=(6.94, 16.97)):
    return [Profile(k + 1.0, gamma) for k in range(moments) for gamma in gammas]


def test_a_snapshot_is_reconstructed_from_itself_alone():
    snapshots = snapshots_of(16)
    weights, misfit = reconstruction(snapshots, snapshots[20])
    np.testing.assert_allclose(weights, np.eye(32)[20], atol=1e-12)
    assert misfit < 1e-7  # the root of a difference of numbers of order 1


@pytest.mark.parametrize('gamma', [5.0, 10.0, 14.0])
def test_the_misfit_falls_with_more_snapshots(gamma):
    """Some thousandths at 16 moments, as the docstring says; the best sum has only one misfit."""
    misfits = [reconstruction(snapshots_of(n), Profile(float(n), gamma)).misfit for n in (4, 8, 16)]
    assert misfits[0] > 2 * misfits[1] > 4 * misfits[2]
    assert misfits[2] < 0.005
    weights = reconstruction(snapshots_of(16), Profile(16.0, gamma)).weights
    assert weights.sum() == pytest.approx(1, abs=1e-12)


def test_a_reconstruction_is_the_nearest_profile():
    """On a fine grid of times: numpy's least squares over the profiles themselves."""
    times = (np.arange(40_000) + 0.5) / 40_000 * 8
    snapshots, wished = snapshots_of(8), Profile(8.0, 10.0)

    def column(profile):
        rise = (profile.gamma + 1) / profile.updates
        return np.where(
            times < profile.updates, rise * (times / profile.updates) ** profile.gamma, 0
        )

    design = np.stack([column(profile) for profile in snapshots], 1)
    expected, *_ = np.linalg.lstsq(design, column(wished))
    expected /= expected.sum()
    weights, misfit = reconstruction(snapshots, wished)
    np.testing.assert_allclose(weights, expected, atol=1e-3)
    left = np.linalg.norm(design @ expected - column(wished)) / np.linalg.norm(column(wished))
    assert misfit == pytest.approx(left, rel=1e-2)


def test_snapshots_that_are_alike_share_their_weight():
    twice = [Profile(4.0, 6.94), Profile(4.0, 6.94)]
    weights, misfit = reconstruction(twice, Profile(4.0, 6.94))
    np.testing.assert_allclose(weights, [0.5, 0.5], rtol=1e-12)
    assert misfit < 1e-7


def test_a_sum_of_trees_is_made_in_float64_and_keeps_their_dtypes():
    """1e8 - 1e8 + 1 is 1, which float32 alone gives as 0 in that order of sizes."""
    trees = [{'a': np.float32([1e8])}, {'a': np.float32([1.0])}, {'a': np.float32([-1e8])}]
    total = combine([1.0, 1.0, 1.0], trees)['a']
    assert total.dtype == np.float32 and total == [1.0]


@pytest.mark.parametrize(
    ('make', 'message'),
    [
        (lambda: fixed(1.0), 'decay is 1.0; the average needs 0 <= decay < 1'),
        (lambda: warmed(-0.1), 'decay is -0.1; the average needs 0 <= decay < 1'),
        (lambda: as_decay(float('nan')), 'decay is nan; the average needs 0 <= decay < 1'),
        (
            lambda: half_life(500, 8, ramp=0),
            'half_life of 500 examples, batch 8, ramp 0; all must be positive',
        ),
        (lambda: power(-0.5), 'gamma is -0.5; a power average needs 0 or more'),
        (lambda: gamma_of(0.3), 'relative_deviation is 0.3; it must lie in (0, 0.2887]'),
        (lambda: reconstruction([], Profile(1, 1)), 'a reconstruction needs at least one snapshot'),
        (
            lambda: reconstruction([Profile(0, 1)], Profile(1, 1)),
            'updates are 0; an average needs at least one',
        ),
    ],
)
def test_what_is_no_average_is_refused_in_one_line(make, message):
    with pytest.raises(ValueError) as error:
        make()
    assert str(error.value) == message


def test_averages_say_how_they_were_made():
    names = [decay.name for decay in DECAYS]
    assert names == [
        'decay 0.97',
        'decay 0.97 with warm-up',
        'half-life 40 examples, at most 0.05 of those seen',
        'half-life 40 examples',
        'power 0',
        'power 6.94',
        'none',
    ]

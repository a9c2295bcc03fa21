"""The law of t in training, and the times of samplers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import quad

from genjax.algorithms.diffusion.paths import (
    cosine,
    log_snr,
    noise_level,
    straight,
    variance_exploding,
    variance_preserving,
)
from genjax.algorithms.diffusion.process import linear_schedule, make_process
from genjax.algorithms.diffusion.times import (
    even_times,
    karras_times,
    leading_times,
    log_normal,
    log_snr_times,
    logit_normal,
    trailing_times,
    uniform,
    uniform_in_log_snr,
)

KEY = jax.random.key(5)
LAWS = {
    'uniform': uniform(variance_preserving()),
    'logit_normal': logit_normal(-0.4, 1.2),
    'log_normal': log_normal(variance_exploding()),
    'log_normal_of_another_path': log_normal(variance_preserving(), -0.3, 0.9),
    'uniform_in_log_snr': uniform_in_log_snr(cosine()),
}


@pytest.mark.parametrize('law', LAWS.values(), ids=LAWS)
def test_the_density_of_a_law_is_that_of_its_quantiles(law):
    """The mass between two quantiles, by integrating the density, is the difference of shares."""
    with jax.enable_x64(True):

        def density(t):
            return np.exp(law.log_density(jnp.asarray(t)))

        shares = np.array([0.02, 0.3, 0.7, 0.98])
        ends = np.sort(law.quantile(jnp.asarray(shares)))
        masses = [quad(density, a, b, limit=200)[0] for a, b in zip(ends, ends[1:], strict=False)]
    np.testing.assert_allclose(np.sort(masses), np.sort(np.diff(shares)), rtol=1e-6)


def test_log_normal_is_normal_in_the_logarithm_of_the_noise_level():
    for path in (variance_exploding(), straight()):
        law = log_normal(path, -1.2, 1.2)
        levels = noise_level(path, law.quantile(jnp.asarray([0.1587, 0.5, 0.8413])))
        np.testing.assert_allclose(np.log(levels), [-2.4, -1.2, 0.0], atol=2e-3)


def test_karras_times_are_equation_5():
    path = variance_exploding()
    times = karras_times(path, 18)
    i = np.arange(18)
    root = 80 ** (1 / 7) + i / 17 * (0.002 ** (1 / 7) - 80 ** (1 / 7))
    np.testing.assert_allclose(times, np.append(root**7, 0), rtol=1e-12)
    # On another path they are the same noise levels, as far as it has them.
    other = variance_preserving(start=1e-4)
    levels = noise_level(other, karras_times(other, 18)[:-1])
    steps = np.diff(levels ** (1 / 7))
    np.testing.assert_allclose(steps, steps[0], rtol=1e-9)
    np.testing.assert_allclose(karras_times(other, 18)[[0, -2]], [1, 1e-4], rtol=1e-9)


def test_other_times_are_even_in_t_and_in_log_snr():
    np.testing.assert_allclose(even_times(straight(), 4), [1, 0.75, 0.5, 0.25, 0])
    path = straight()
    times = log_snr_times(path, 9)
    ratios = log_snr(path, times[:-1])
    np.testing.assert_allclose(np.diff(ratios), np.diff(ratios)[0], rtol=1e-9)
    # The line ends without data; the even steps begin where there is next to none.
    assert ratios[0] == pytest.approx(-12) and times[-1] == 0


def test_spacings_of_a_process():
    process = make_process(linear_schedule(1000))
    np.testing.assert_array_equal(trailing_times(process, 4), [1000, 750, 500, 250, 0])
    np.testing.assert_array_equal(leading_times(process, 4), [751, 501, 251, 1, 0])
    np.testing.assert_array_equal(trailing_times(process, 3, 7), [7, 4, 2, 0])


@pytest.mark.parametrize(
    ('make', 'message'),
    [
        (lambda p: trailing_times(p, 11), 'a sampler of steps 11; needed: 1..10'),
        (lambda p: trailing_times(p, 0), 'a sampler of steps 0; needed: 1..10'),
        (lambda p: trailing_times(p, 6, 5), 'a sampler of steps 6; needed: 1..5'),
        (lambda p: trailing_times(p, 1, 11), 'a sampler that starts at 11; needed: 1..10'),
        (lambda p: leading_times(p, 0), 'a sampler of steps 0; needed: 1..10'),
        (lambda p: even_times(straight(), 0), 'a sampler of steps 0; needed: 1 or more'),
        (lambda p: karras_times(straight(), 0), 'a sampler of steps 0; needed: 1 or more'),
        (lambda p: log_snr_times(straight(), -1), 'a sampler of steps -1; needed: 1 or more'),
    ],
)
def test_what_has_no_steps_is_refused(make, message):
    with pytest.raises(ValueError, match=f'^{message}$'):
        make(make_process(linear_schedule(10)))

"""The order of convergence of every sampler, and its error on normal data in closed form."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.algorithms.diffusion.paths import (
    straight,
    variance_exploding,
    variance_preserving,
)
from genjax.algorithms.diffusion.samplers import (
    ancestral,
    churn,
    ddim,
    dpm_solver,
    euler,
    euler_maruyama,
    heun,
    unipc,
)
from genjax.algorithms.diffusion.times import karras_times
from tests.algorithms.diffusion.exact import (
    flow_of_normal,
    mixture_denoise,
    normal_denoise,
    order,
)
from tests.marks import slow

KEY = jax.random.key(3)
FLOWS = {
    'ddim': (ddim, 1),
    'euler': (euler, 1),
    'heun': (heun, 2),
    '2M': (partial(dpm_solver, order=2), 2),
    '3M': (partial(dpm_solver, order=3), 3),
    'UniPC-2': (partial(unipc, order=2), 3),
    'UniPC-3': (partial(unipc, order=3), 4),
}
flows = pytest.mark.parametrize(('make', 'expected'), FLOWS.values(), ids=FLOWS)


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


def karras(path, steps):
    """Times between two noise levels, the last of which is not the data."""
    return karras_times(path._replace(start=0.05), steps)[:-1]


@pytest.fixture(scope='module')
def reference():
    """Where the probability flow of the mixture takes 64 draws of noise 20, by many fine steps."""
    with jax.enable_x64(True):
        path = variance_exploding(start=0.05, end=20.0)
        x = 20 * jnp.asarray(np.random.default_rng(1).normal(size=(64, 2)))
        fine = unipc(path, karras(path, 2001), order=3)
        return path, x, np.asarray(fine(KEY, mixture_denoise(path), x))


@flows
def test_it_converges_at_its_order_on_a_mixture(reference, make, expected):
    path, x, exact = reference
    steps = [80, 160, 320]
    errors = []
    for n in steps:
        x0 = make(path, karras(path, n + 1))(KEY, mixture_denoise(path), x)
        errors.append(np.sqrt(np.mean((x0 - exact) ** 2)))
    assert order(steps, errors) == pytest.approx(expected, abs=0.2)


# Relative errors of the variance that come from N(0, 1/4) through EDM's noise levels, 80 to 0.002
# with rho 7, and the last estimate, by 17 and by 35 estimates.
VARIANCE_ERRORS = {
    'ddim': (-0.299, -0.154),
    'heun': (0.634, 0.114),
    '2M': (0.258, 0.042),
    '3M': (-0.162, -0.0075),
    'UniPC-2': (0.179, 0.0146),
    'UniPC-3': (-0.165, -0.0043),
}


@pytest.mark.parametrize(('name', 'errors'), VARIANCE_ERRORS.items(), ids=VARIANCE_ERRORS)
def test_on_normal_data_its_error_is_that_of_scalar_algebra(name, errors):
    path, variance = variance_exploding(), 0.25
    make = FLOWS[name][0]
    exact = flow_of_normal(path, variance, 80.0, 0.0)
    for estimates, error in zip((17, 35), errors, strict=True):
        times = karras_times(path, (estimates + 1) // 2 if name == 'heun' else estimates)
        end = make(path, times)(KEY, normal_denoise(path, variance), jnp.ones((1, 1)))
        ours = (float(end[0, 0]) / exact) ** 2 - 1
        written_out = (SCALAR[name](times, variance) / exact) ** 2 - 1
        assert ours == pytest.approx(written_out, rel=1e-9)
        assert ours == pytest.approx(error, abs=0.6 * 10 ** -(3 if abs(error) > 0.02 else 4))


def share(level, variance):
    return variance / (variance + level**2)


def heun_scalar(levels, variance):
    """Karras et al., algorithm 1, of a number."""
    y = 1.0
    for a, b in zip(levels[:-1], levels[1:], strict=True):
        slope = (y - share(a, variance) * y) / a
        euler_end = y + (b - a) * slope
        if b == 0:
            return euler_end
        y += (b - a) * (slope + (euler_end - share(b, variance) * euler_end) / b) / 2
    return y


def multistep_scalar(depth, corrects, levels, variance):
    """Polynomials by numpy and their integrals by quadrature, with and without UniC."""
    nodes, weights = np.polynomial.legendre.leggauss(20)
    clock = -np.log(levels[:-1])

    def advance(y, a, b, known):
        """From clock a to b; known: (clock, estimate), any number of them."""
        at = a + (nodes + 1) * (b - a) / 2
        times, values = map(np.array, zip(*known, strict=True))
        fit = np.polynomial.polynomial.polyfit(times - a, values, len(known) - 1)
        estimates = np.polynomial.polynomial.polyval(at - a, fit)
        return np.exp(a - b) * y + np.sum(weights * np.exp(at - b) * estimates) * (b - a) / 2

    y = 1.0
    known = [(clock[0], share(levels[0], variance) * y)]
    for a, b in zip(clock[:-1], clock[1:], strict=True):
        predicted = advance(y, a, b, known[:depth])
        estimate = share(np.exp(-b), variance) * predicted
        y = advance(y, a, b, [*known[:depth], (b, estimate)]) if corrects else predicted
        known.insert(0, (b, estimate))
    return known[0][1]


SCALAR = {
    'ddim': partial(multistep_scalar, 1, False),
    'heun': heun_scalar,
    '2M': partial(multistep_scalar, 2, False),
    '3M': partial(multistep_scalar, 3, False),
    'UniPC-2': partial(multistep_scalar, 2, True),
    'UniPC-3': partial(multistep_scalar, 3, True),
}


@pytest.mark.parametrize('path', [variance_preserving(), straight()])
@pytest.mark.parametrize('name', ['ddim', '2M', '3M', 'UniPC-2', 'UniPC-3'])
def test_an_exponential_integrator_is_the_same_on_every_path(name, path):
    """At the same noise levels x_t / alpha goes the same way."""
    make = FLOWS[name][0]
    levels = np.geomspace(8.0, 0.05, 9)
    other = variance_exploding()
    x = jnp.asarray(np.random.default_rng(2).normal(size=(4, 2)))
    expected = make(other, levels)(KEY, mixture_denoise(other), 8 * x)
    times = path.time(-2 * np.log(levels))
    begin, end = path.alpha(times[0]), path.alpha(times[-1])
    ours = make(path, times)(KEY, mixture_denoise(path), 8 * x * begin) / end
    np.testing.assert_allclose(ours, expected, rtol=1e-9)


def test_from_pure_noise_of_a_straight_line_the_orders_stand():
    """alpha is 0 at its end, where the log-SNR is not finite."""
    path = straight()
    x = jnp.asarray(np.random.default_rng(2).normal(size=(32, 2)))
    denoise = mixture_denoise(path)
    fine = np.asarray(heun(path, np.linspace(1, 0.05, 6001))(KEY, denoise, x))
    for name in ('euler', 'heun', '2M'):
        make, expected = FLOWS[name]
        steps = [80, 160, 320]
        errors = [
            np.sqrt(np.mean((make(path, np.linspace(1, 0.05, n + 1))(KEY, denoise, x) - fine) ** 2))
            for n in steps
        ]
        assert order(steps, errors) == pytest.approx(expected, abs=0.2), name


def ancestral_step(path, t, s, variance):
    """(gain of x, variance of the noise) of a draw of q(x_s | x_t, x_0) with the exact estimate."""
    ratio = path.alpha(t) / path.alpha(s)
    step_noise = path.sigma(t) ** 2 - ratio**2 * path.sigma(s) ** 2
    x_coef = ratio * path.sigma(s) ** 2 / path.sigma(t) ** 2
    x0_coef = path.alpha(s) * step_noise / path.sigma(t) ** 2
    gain = path.alpha(t) * variance / marginal(path, t, variance)
    return x_coef + x0_coef * gain, path.sigma(s) ** 2 * step_noise / path.sigma(t) ** 2


def reverse_sde_step(path, t, s, variance):
    """The same of Euler's and Maruyama's step, for the VP path: f = -beta / 2, g^2 = beta."""
    beta = 0.1 + 19.9 * t
    score = -1 / marginal(path, t, variance)
    return 1 + (s - t) * (-beta / 2 - beta * score), beta * (t - s)


def marginal(path, t, variance):
    """Var x_t."""
    return path.alpha(t) ** 2 * variance + path.sigma(t) ** 2


@pytest.mark.parametrize(
    ('make', 'step'),
    [(ancestral, ancestral_step), (euler_maruyama, reverse_sde_step)],
    ids=['ancestral', 'euler_maruyama'],
)
def test_stochastic_samplers_come_to_the_reverse_sde_at_first_order(make, step):
    """At its end there is the data's own variance, to which the chain's comes."""
    path, variance = variance_preserving(), 0.25

    def chain_variance(steps):
        times = np.linspace(1.0, 0.1, steps + 1)
        total = marginal(path, 1.0, variance)
        for t, s in zip(times[:-1], times[1:], strict=True):
            gain, noise = step(path, t, s, variance)
            last = make is euler_maruyama and s == times[-1]  # without noise
            total = gain**2 * total + (0 if last else noise)
            total_with_noise = total + (noise if last else 0)
        return total, total_with_noise

    steps = [100, 200, 400]
    errors = [abs(chain_variance(n)[1] - marginal(path, 0.1, variance)) for n in steps]
    assert order(steps, errors) == pytest.approx(1, abs=0.1)

    n = 40_000
    x = np.sqrt(marginal(path, 1.0, variance)) * jax.random.normal(jax.random.key(0), (n, 1))
    sample = make(path, np.linspace(1.0, 0.1, 13))
    end = sample(KEY, normal_denoise(path, variance), x)
    assert float(jnp.var(end)) / chain_variance(12)[0] == pytest.approx(1, abs=4 * np.sqrt(2 / n))


@pytest.mark.parametrize(
    ('steps', 'amount', 'expected'),
    [(18, 0.0, 1.113594528), (18, 30.0, 1.189273356), slow(36, 30.0, 1.095581146)],
)
def test_churn_keeps_the_variance_that_its_recursion_says(steps, amount, expected):
    path, variance = variance_exploding(), 0.25
    times = karras_times(path, steps)
    total = variance + 80.0**2
    gain = min(amount / steps, np.sqrt(2) - 1)
    for a, b in zip(times[:-1], times[1:], strict=True):
        raised = a * (1 + gain * (0.01 <= a <= 1.0))
        total += (raised**2 - a**2) * 1.007**2
        slope = raised / (variance + raised**2)
        scale = 1 + (b - raised) * slope
        if b > 0:
            scale = 1 + (b - raised) / 2 * (slope + scale * b / (variance + b**2))
        total *= scale**2
    assert total / variance == pytest.approx(expected, rel=1e-8)

    n = 60_000
    x = np.sqrt(variance + 80.0**2) * jax.random.normal(jax.random.key(0), (n, 1))
    sample = churn(path, times, amount, 0.01, 1.0, 1.007)
    x0 = sample(KEY, normal_denoise(path, variance), x)
    assert float(jnp.var(x0)) / total == pytest.approx(1, abs=4 * np.sqrt(2 / n))

"""Steps of our samplers against the schedulers of diffusers, on the same inputs.

In float64 where a scheduler allows it: its own tables are float32, so the test puts ours in their
place; two of them take their steps in float32 all the same. Where a scheduler is wrong, or
simplifies a formula, the test says so and measures the difference.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_ivp

from genjax.algorithms.diffusion import (
    ancestral,
    ddim,
    discrete,
    dpm_solver,
    euler,
    fixed_large,
    fixed_small,
    heun,
    karras_times,
    leading_times,
    linear_schedule,
    log_variance,
    make_process,
    noise_level,
    predictions,
    trailing_times,
    unipc,
    variance_exploding,
    variance_preserving,
)
from genjax.algorithms.diffusion.predictions import preconditioning
from genjax.algorithms.diffusion.samplers.multistep import (
    base_coefficients,
    corrector_weights,
    half_log_snr,
    predictor_weights,
)
from genjax.algorithms.diffusion.samplers.steps import step_noise

pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings('ignore')]

KEY = jax.random.key(5)
T = 1000
PROCESS = make_process(linear_schedule(T))
DISCRETE = discrete(PROCESS)
EDM = variance_exploding()
VP = variance_preserving()
# Steps of many widths in log_snr, which is all that the coefficients of multistep samplers see.
TIMES = VP.time(np.array([-9.0, -7.6, -5.0, -4.1, -2.0, -1.5, 0.4, 2.0, 5.0]))
EXACTLY = dict(rtol=1e-9, atol=1e-12)
TO_FLOAT32 = dict(rtol=1e-6, atol=1e-6)


@pytest.fixture
def float64():
    with jax.enable_x64(True):
        yield


@pytest.fixture(scope='module')
def diffusers(whole_machine):
    pytest.importorskip('torch')
    return pytest.importorskip('diffusers')


def to_torch(x):
    """float64, whatever x is."""
    import torch

    return torch.tensor(np.asarray(x), dtype=torch.float64)


def draws(*shape):
    """Standard normal numbers in float64."""
    return np.random.default_rng(3).normal(size=shape)


def smooth(x):
    """An estimate of x_0 that is not linear, of numpy, torch or jax."""
    return x / (1 + x * x) + x / 3


def jax_smooth(x, t):
    """The same as a `Denoise`."""
    return smooth(x)


def with_levels(scheduler, path, times):
    """The scheduler with our noise levels in float64, before its first step."""
    import torch

    scheduler.set_timesteps(len(times) - 1)
    scheduler.sigmas = to_torch(noise_level(path, times))
    # Names of the steps, which a scheduler looks up once; each must be another.
    scheduler.timesteps = torch.arange(len(times) - 2, -1, -1)
    return scheduler


def run(scheduler, x, denoise=smooth):
    """x of each step of a scheduler that is given estimates of x_0, [S, ...], from x."""
    found = []
    x = to_torch(x)
    for t in scheduler.timesteps:
        x = scheduler.step(denoise(x), t, x).prev_sample
        found.append(x.double().numpy())
    return np.stack(found)


# EDM's preconditioning, noise levels and steps.


def test_the_preconditioning_is_theirs(diffusers, float64):
    prediction = predictions.edm(0.5)
    levels = np.geomspace(0.002, 80, 9)
    for make in (diffusers.EDMEulerScheduler, diffusers.EDMDPMSolverMultistepScheduler):
        scheduler = make(sigma_data=0.5)
        for level in levels:
            t = jnp.asarray(level)
            sigma = to_torch(level)
            c_skip, c_out = preconditioning(EDM, prediction, t)
            theirs = [
                scheduler.precondition_inputs(1.0, sigma),
                scheduler.precondition_outputs(1.0, 0.0, sigma),
                scheduler.precondition_outputs(0.0, 1.0, sigma),
                scheduler.precondition_noise(sigma),
            ]
            ours = [prediction.scale(EDM, t), c_skip, c_out, prediction.condition(EDM, t)]
            np.testing.assert_allclose(ours, [float(value) for value in theirs], **EXACTLY)


def test_v_of_theirs_is_minus_f(diffusers, float64):
    """Their v has the other sign, as Salimans and Ho's v = -F at s_d = 1."""
    scheduler = diffusers.EDMEulerScheduler(sigma_data=0.5, prediction_type='v_prediction')
    _, c_out = preconditioning(EDM, predictions.edm(0.5), jnp.asarray(1.7))
    theirs = float(scheduler.precondition_outputs(0.0, 1.0, to_torch(1.7)))
    np.testing.assert_allclose(c_out, -theirs, **EXACTLY)


@pytest.mark.parametrize('steps', [2, 18, 256])
def test_karras_noise_levels_are_theirs(diffusers, steps):
    """By their formula in float64, and as they list them: seventh powers of float32."""
    times = karras_times(EDM, steps)
    for make in (diffusers.EDMEulerScheduler, diffusers.EDMDPMSolverMultistepScheduler):
        scheduler = make(sigma_min=0.002, sigma_max=80.0, rho=7.0)
        by_formula = scheduler._compute_karras_sigmas(to_torch(np.linspace(0, 1, steps)))
        np.testing.assert_allclose(times[:-1], by_formula, **EXACTLY)
        scheduler.set_timesteps(steps)
        rounding = 7 * 4 * np.finfo(np.float32).eps
        np.testing.assert_allclose(scheduler.sigmas, times, rtol=rounding)


def test_steps_of_euler_are_edms(diffusers, float64):
    """Each from their x, with a network that gives F; theirs are in float32."""
    times = karras_times(EDM, 9)
    prediction = predictions.edm(0.5)
    scheduler = with_levels(diffusers.EDMEulerScheduler(sigma_data=0.5), EDM, times)
    x = 80 * draws(4, 3, 1, 1)

    def denoise(x, t):
        c_skip, c_out = preconditioning(EDM, prediction, t[0])
        return c_skip * x + c_out * smooth(prediction.scale(EDM, t[0]) * x)

    for i, t in enumerate(scheduler.timesteps):
        scaled = scheduler.scale_model_input(to_torch(x), t)
        after = scheduler.step(smooth(scaled), t * 1.0, to_torch(x)).prev_sample.double().numpy()
        ours = euler(EDM, times[i : i + 2])(KEY, denoise, jnp.asarray(x))
        np.testing.assert_allclose(ours, after, rtol=1e-6, atol=1e-6 * np.abs(x).max())
        x = after


def test_heuns_method_is_theirs_along_a_whole_chain(diffusers, float64):
    """Which is EDM's without churn, on the path x_t = x_0 + t eps that they use for every model."""
    import torch

    times = karras_times(EDM, 9)
    scheduler = diffusers.HeunDiscreteScheduler(prediction_type='sample')
    scheduler.set_timesteps(9)
    levels = to_torch(times)
    scheduler.sigmas = torch.cat([levels[:1], levels[1:-1].repeat_interleave(2), levels[-1:]])
    scheduler.timesteps = torch.arange(16.0, -1, -1)
    x = 80 * draws(4, 3, 1, 1)
    theirs = run(scheduler, x)
    assert len(theirs) == 2 * 9 - 1
    ours = heun(EDM, times, frames=9)(KEY, jax_smooth, jnp.asarray(x))
    np.testing.assert_allclose(ours, theirs[[1, 3, 5, 7, 9, 11, 13, 15, 16]], **EXACTLY)


# DPM-Solver++.


def dpm(diffusers, order, kind, times=TIMES, path=VP):
    """Their scheduler, with our noise levels and no step of a lower order at the end."""
    scheduler = diffusers.DPMSolverMultistepScheduler(
        prediction_type='sample',
        solver_order=order,
        solver_type=kind,
        lower_order_final=False,
        final_sigmas_type='sigma_min',
    )
    return with_levels(scheduler, path, times)


def step_of(scheduler, i, known, x):
    """Step i of theirs in float64, from estimates, the newest first."""
    scheduler._step_index = i
    update = {
        2: scheduler.multistep_dpm_solver_second_order_update,
        3: scheduler.multistep_dpm_solver_third_order_update,
    }[len(known)]
    oldest_first = [to_torch(estimate) for estimate in known[::-1]]
    return update(oldest_first, sample=to_torch(x)).numpy()


def our_step(weights, i, known, x, times=TIMES):
    """Step i by our coefficients."""
    return base_coefficients(VP, times)[i] * x + np.tensordot(weights[i], known, 1)


@pytest.mark.parametrize('i', range(1, len(TIMES) - 1))
def test_a_step_of_order_2_is_theirs_of_heuns_type(diffusers, i):
    x, *known = draws(3, 4, 5)
    ours = our_step(predictor_weights(VP, TIMES, 2), i, np.stack(known), x)
    theirs = step_of(dpm(diffusers, 2, 'heun'), i, known, x)
    np.testing.assert_allclose(ours, theirs, **EXACTLY)


@pytest.mark.parametrize('path', [VP, DISCRETE], ids=['continuous', 'discrete'])
def test_a_chain_of_order_2_is_theirs_of_heuns_type(diffusers, float64, path):
    """Their steps are rounded to float32."""
    times = TIMES if path is VP else leading_times(PROCESS, 9)[:-1]
    x = draws(4, 3, 1, 1)
    ours = dpm_solver(path, times, 2, frames=len(times) - 1)(KEY, jax_smooth, jnp.asarray(x))
    np.testing.assert_allclose(ours, run(dpm(diffusers, 2, 'heun', times, path), x), **TO_FLOAT32)


def test_a_chain_of_edm_is_theirs_of_heuns_type_to_the_data(diffusers, float64):
    times = karras_times(EDM, 12)
    scheduler = diffusers.EDMDPMSolverMultistepScheduler(
        solver_order=2, solver_type='heun', lower_order_final=False
    )
    with_levels(scheduler, EDM, times)

    def keep(estimate, sample):
        return estimate

    scheduler.convert_model_output = keep
    x = 80 * draws(4, 3, 1, 1)
    ours = dpm_solver(EDM, times, 2, frames=12)(KEY, jax_smooth, jnp.asarray(x))
    theirs = run(scheduler, x)
    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-6, atol=1e-6 * np.abs(other).max())


def gaps(step, count=6):
    """The difference of a step to ours at widths h, h / 2, ... of all steps, where estimates are
    those of one smooth curve.

    Args:
      step: (times, i, estimates, x) -> the difference; i is the step from the third of the times.
    """
    found = []
    for width in 0.4 * 0.5 ** np.arange(count):
        times = VP.time(2 * (-1.0 + width * np.arange(-2, 2)))
        estimates = np.sin(half_log_snr(VP, times))[:, None, None]
        found.append(np.abs(step(times, 2, estimates, np.ones((1, 1)))).max())
    return np.array(found)


def slopes(values):
    """Orders between one width and its half."""
    return np.log2(values[:-1] / values[1:])


def test_their_midpoint_type_of_order_2_differs_in_the_third_order(diffusers):
    """It takes 1/2 for the integral of the slope, which costs a term of h^3 a step."""

    def difference(times, i, estimates, x):
        known = estimates[[i, i - 1]]
        theirs = step_of(dpm(diffusers, 2, 'midpoint', times), i, known, x)
        return theirs - our_step(predictor_weights(VP, times, 2), i, known, x, times)

    np.testing.assert_allclose(slopes(gaps(difference))[2:], 3, atol=0.1)


@pytest.mark.parametrize('i', range(2, len(TIMES) - 1))
def test_a_step_of_order_3_lacks_half_of_the_second_difference_in_theirs(diffusers, i):
    """The quadratic term of the polynomial is D_2 u^2, u = (l - l_s) / h.

    The integral of u^2 is -2 ((e^-h - 1 + h) / h^2 - 1/2). They have it without the 2, as the
    authors' code of 3M has, while that of their single-step solver has it in D_2. With the other
    half their step is ours.
    """
    x, *known = draws(4, 4, 5)
    theirs = step_of(dpm(diffusers, 3, 'midpoint'), i, known, x)
    place = half_log_snr(VP, TIMES)
    h = place[i + 1] - place[i]
    first = (known[0] - known[1]) / (place[i] - place[i - 1])
    second = (known[1] - known[2]) / (place[i - 1] - place[i - 2])
    quadratic = h**2 * (first - second) / (place[i] - place[i - 2])
    half = -VP.alpha(TIMES[i + 1]) * ((np.expm1(-h) + h) / h**2 - 0.5) * quadratic
    ours = our_step(predictor_weights(VP, TIMES, 3), i, np.stack(known), x)
    np.testing.assert_allclose(ours, theirs + half, **EXACTLY)
    assert np.abs(half).max() > 1e-3


def two_points(x, t):
    """E[x_0 | x_t] of data at 1 and -1 that are as likely, on the path VP."""
    return np.tanh(VP.alpha(t) / VP.sigma(t) ** 2 * x)


def error_of(steps, make_step):
    """Of x where half the log_snr is 0.5, from x = 0.8 where it is -3, by even steps.

    Args:
      steps: how many; the first two are exact.
      make_step: times -> a function (i, the last three estimates, x) -> x.
    """
    times = VP.time(2 * np.linspace(-3, 0.5, steps + 1))
    step = make_step(times)
    x = np.array([0.8])
    known = []
    for i in range(steps):
        known = [two_points(x, times[i]), *known][:3]
        x = exact(x, times[i], times[i + 1]) if i < 2 else step(i, np.stack(known), x)
    return abs(x - exact(np.array([0.8]), times[0], times[-1]))[0]


def exact(x, begin, end):
    """Where the probability flow takes x."""

    def slope(place, y):
        t = VP.time(2 * place)
        return VP.alpha(t) / VP.sigma(t) * two_points(VP.sigma(t) * y, t)

    span = half_log_snr(VP, np.array([begin, end]))
    start = x / VP.sigma(begin)
    found = solve_ivp(slope, span, start, method='DOP853', rtol=1e-13, atol=1e-13)
    return VP.sigma(end) * found.y[:, -1]


def test_their_order_3_converges_at_second_order_and_ours_at_third(diffusers):
    """Of which the last test gives the reason."""

    def theirs(times):
        return partial(step_of, dpm(diffusers, 3, 'midpoint', times))

    def ours(times):
        base = base_coefficients(VP, times)
        weights = predictor_weights(VP, times, 3)

        def step(i, known, x):
            return base[i] * x + np.tensordot(weights[i], known, 1)

        return step

    steps = (160, 320, 640)
    their_errors = np.array([error_of(n, theirs) for n in steps])
    our_errors = np.array([error_of(n, ours) for n in steps])
    np.testing.assert_allclose(slopes(their_errors), 2, atol=0.2)
    np.testing.assert_allclose(slopes(our_errors), 3, atol=0.25)
    assert our_errors[-1] < 0.1 * their_errors[-1]


# UniPC.


def uni(diffusers, order, kind='bh2', times=TIMES):
    """Their scheduler, with our noise levels and no step of a lower order at the end."""
    scheduler = diffusers.UniPCMultistepScheduler(
        prediction_type='sample',
        solver_order=order,
        solver_type=kind,
        lower_order_final=False,
        final_sigmas_type='sigma_min',
    )
    return with_levels(scheduler, VP, times)


def predictor_of(diffusers, order, kind, i, known, x, times=TIMES):
    """The predictor of step i of theirs, from estimates, the newest first."""
    scheduler = uni(diffusers, 3, kind, times)
    scheduler._step_index = i
    scheduler.model_outputs = [to_torch(estimate) for estimate in known[::-1]]
    return scheduler.multistep_uni_p_bh_update(None, sample=to_torch(x), order=order).numpy()


def corrector_of(diffusers, order, kind, i, newest, known, x, times=TIMES):
    """Step i of theirs once more, with the estimate at its end."""
    scheduler = uni(diffusers, 3, kind, times)
    scheduler._step_index = i + 1
    scheduler.model_outputs = [to_torch(estimate) for estimate in known[::-1]]
    return scheduler.multistep_uni_c_bh_update(
        to_torch(newest), last_sample=to_torch(x), this_sample=to_torch(x), order=order
    ).numpy()


@pytest.mark.parametrize('kind', ['bh1', 'bh2'])
@pytest.mark.parametrize('i', range(2, len(TIMES) - 1))
def test_a_predictor_of_order_3_is_theirs(diffusers, kind, i):
    """They solve for it exactly, so that B(h) cancels."""
    x, *known = draws(4, 4, 5)
    ours = our_step(predictor_weights(VP, TIMES, 3), i, np.stack(known), x)
    np.testing.assert_allclose(ours, predictor_of(diffusers, 3, kind, i, known, x), **EXACTLY)


@pytest.mark.parametrize('kind', ['bh1', 'bh2'])
@pytest.mark.parametrize('order', [2, 3])
@pytest.mark.parametrize('i', range(2, len(TIMES) - 1))
def test_a_corrector_of_order_2_and_3_is_theirs(diffusers, kind, order, i):
    x, newest, *known = draws(5, 4, 5)
    known = known[:order]
    ours = our_step(corrector_weights(VP, TIMES, order), i, np.stack([newest, *known]), x)
    theirs = corrector_of(diffusers, order, kind, i, newest, known, x)
    np.testing.assert_allclose(ours, theirs, **EXACTLY)


def test_where_theirs_is_simplified_it_differs_in_the_third_order(diffusers):
    """The predictor of order 2 and the corrector of order 1 take 1/2 in place of their solution."""

    def of_predictor(times, i, estimates, x):
        known = estimates[[i, i - 1]]
        theirs = predictor_of(diffusers, 2, 'bh2', i, known, x, times)
        return theirs - our_step(predictor_weights(VP, times, 2), i, known, x, times)

    def of_corrector(times, i, estimates, x):
        newest, known = estimates[i + 1], estimates[[i]]
        theirs = corrector_of(diffusers, 1, 'bh2', i, newest, known, x, times)
        weights = corrector_weights(VP, times, 1)
        return theirs - our_step(weights, i, np.stack([newest, *known]), x, times)

    for difference in (of_predictor, of_corrector):
        np.testing.assert_allclose(slopes(gaps(difference))[2:], 3, atol=0.1)


@pytest.mark.parametrize('kind', ['bh1', 'bh2'])
def test_a_whole_chain_of_order_3_is_theirs(diffusers, float64, kind):
    """With a denoiser that gives one estimate at the first two times.

    There the differences are 0 that the first steps of theirs, of the orders 1 and 2, weigh by 1/2
    (see above). What they keep for later steps is then ours too.
    """
    x = draws(4, 3, 1, 1)
    first = draws(2, 4, 3, 1, 1)[1]
    calls = []

    def their_denoise(x):
        calls.append(x)
        return to_torch(first) if len(calls) <= 2 else smooth(x)

    def denoise(x, t):
        early = t[0] >= TIMES[1]
        return jnp.where(early, jnp.asarray(first), smooth(x))

    ours = unipc(VP, TIMES, 3, frames=len(TIMES) - 1)(KEY, denoise, jnp.asarray(x))
    theirs = run(uni(diffusers, 3, kind), x, their_denoise)
    np.testing.assert_allclose(ours, theirs, **EXACTLY)


def test_a_chain_of_predictors_of_order_1_is_ddim(diffusers, float64):
    """UniPC without a corrector."""
    scheduler = uni(diffusers, 1)
    scheduler.disable_corrector = list(range(len(TIMES)))
    x = draws(4, 3, 1, 1)
    ours = ddim(VP, TIMES, frames=len(TIMES) - 1)(KEY, jax_smooth, jnp.asarray(x))
    np.testing.assert_allclose(ours, run(scheduler, x), **EXACTLY)


# DDIM and DDPM, on the discrete process, whose step t is their t - 1.


def exact_tables(scheduler):
    """The scheduler with our alpha_bar in float64."""
    scheduler.alphas_cumprod = to_torch(PROCESS.alpha_bar[1:])
    scheduler.final_alpha_cumprod = to_torch(1.0)
    scheduler.one = to_torch(1.0)
    return scheduler


def their_ddim(diffusers, spacing, steps):
    """Their scheduler, without clipping."""
    scheduler = diffusers.DDIMScheduler(
        trained_betas=PROCESS.beta[1:],
        prediction_type='sample',
        clip_sample=False,
        timestep_spacing=spacing,
    )
    scheduler.set_timesteps(steps)
    return exact_tables(scheduler)


def their_ddpm(diffusers, variance, spacing='leading', steps=T):
    """Their scheduler, without clipping."""
    scheduler = diffusers.DDPMScheduler(
        trained_betas=PROCESS.beta[1:],
        prediction_type='sample',
        clip_sample=False,
        variance_type=variance,
        timestep_spacing=spacing,
    )
    scheduler.set_timesteps(steps)
    return exact_tables(scheduler)


def spaced(spacing, steps):
    """Our times of a spacing."""
    return {'leading': leading_times, 'trailing': trailing_times}[spacing](PROCESS, steps)


def run_ddim(scheduler, x, eta, denoise=None):
    """x after each of their steps, with the noise of ours."""
    found = []
    start = jnp.asarray(x)
    x = to_torch(x)
    for i, t in enumerate(scheduler.timesteps):
        noise = to_torch(step_noise(KEY, len(scheduler.timesteps) - i, start)) if eta > 0 else None
        estimate = smooth(x) if denoise is None else to_torch(denoise(x.numpy(), int(t) + 1))
        x = scheduler.step(estimate, t, x, eta=eta, variance_noise=noise).prev_sample
        found.append(x.numpy())
    return np.stack(found)


@pytest.mark.parametrize('eta', [0.0, 0.4, 1.0])
@pytest.mark.parametrize(
    ('spacing', 'steps'), [('leading', 7), ('leading', 50), ('trailing', 10), ('trailing', 50)]
)
def test_ddim_is_theirs(diffusers, float64, spacing, steps, eta):
    scheduler = their_ddim(diffusers, spacing, steps)
    times = spaced(spacing, steps)
    np.testing.assert_array_equal(scheduler.timesteps + 1, times[:-1])
    x = draws(4, 3, 1, 1)
    ours = ddim(DISCRETE, times, eta, frames=steps)(KEY, jax_smooth, jnp.asarray(x))
    np.testing.assert_allclose(ours, run_ddim(scheduler, x, eta), **EXACTLY)


@pytest.mark.parametrize(('name', 'ours'), [('small', fixed_small), ('large', fixed_large)])
def test_the_posterior_and_both_variances_are_those_of_their_ddpm(diffusers, name, ours):
    """From the second step on: our first has the variance of the second, theirs has none."""
    scheduler = their_ddpm(diffusers, f'fixed_{name}')
    process = make_process(linear_schedule(T), ours)
    for t in (2, 3, 500, T):
        variance = scheduler._get_variance(t - 1)
        np.testing.assert_allclose(variance, process.model_variance[t], **EXACTLY)
    for t in range(1, T + 1, 111):
        x, x0 = draws(2, 4, 3, 1, 1)
        mean = mean_of(scheduler, x0, t, x)
        expected = process.posterior_x0_coef[t] * x0 + process.posterior_xt_coef[t] * x
        np.testing.assert_allclose(mean, expected, **EXACTLY)


def mean_of(scheduler, x0, t, x):
    """The mean of a step of their DDPM, whose noise is drawn once more and taken off."""
    import torch

    after = scheduler.step(
        to_torch(x0), t - 1, to_torch(x), generator=torch.Generator().manual_seed(0)
    ).prev_sample.numpy()
    if t == 1:
        return after
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return after - np.sqrt(scheduler._get_variance(t - 1).numpy()) * noise.numpy()


@pytest.mark.parametrize(
    ('spacing', 'steps'), [('leading', 7), ('trailing', 10), ('leading', T), ('trailing', T)]
)
def test_ancestral_steps_are_their_ddpms(diffusers, float64, spacing, steps):
    """Of wide steps too; each from their x.

    Their last step to the data adds noise of the variance 1e-20 where it is a wide one.
    """
    import torch

    scheduler = their_ddpm(diffusers, 'fixed_small', spacing, steps)
    times = spaced(spacing, steps)
    np.testing.assert_array_equal(scheduler.timesteps + 1, times[:-1])
    x = draws(4, 3, 1, 1)
    for i in range(0, steps, max(1, steps // 10)):
        t = scheduler.timesteps[i]
        generator = torch.Generator().manual_seed(i)
        after = scheduler.step(smooth(to_torch(x)), t, to_torch(x), generator=generator)
        noise = torch.randn(
            x.shape, generator=torch.Generator().manual_seed(i), dtype=torch.float64
        )
        before, here = times[i + 1], times[i]
        mean, deviation = ancestral_step(here, before, x)
        expected = mean + deviation * noise.numpy()
        np.testing.assert_allclose(after.prev_sample, expected, rtol=1e-9, atol=1e-9)
        x = after.prev_sample.numpy()


def ancestral_step(t, before, x):
    """The mean and the deviation of one step of `ancestral`."""
    sampler = ancestral(DISCRETE, np.array([t, before]))
    x = jnp.asarray(x)
    one = sampler(KEY, jax_smooth, x)
    drawn = step_noise(KEY, 1, x)
    other = sampler(jax.random.key(6), jax_smooth, x)
    other_drawn = step_noise(jax.random.key(6), 1, x)
    deviation = float(((one - other) / (drawn - other_drawn)).mean())
    return np.asarray(one) - deviation * np.asarray(drawn), deviation


def test_learned_variances_are_those_of_their_learned_range(diffusers, float64):
    """Of a network's output, 2 v - 1, also beyond [-1, 1]; from the second step on."""
    scheduler = their_ddpm(diffusers, 'learned_range')
    output = np.array([-1.3, -1.0, 0.2, 1.0, 1.6])
    for t in (2, 3, 500, T):
        theirs = scheduler._get_variance(t - 1, predicted_variance=to_torch(output))
        ours = log_variance(PROCESS, t, jnp.asarray((output + 1) / 2))
        np.testing.assert_allclose(ours, theirs, **EXACTLY)


VARIANCE = 0.05


def normal_estimate(x, t):
    """E[x_0 | x_t] of N(0, VARIANCE), t a whole number."""
    bar = PROCESS.alpha_bar[t]
    return np.sqrt(bar) * VARIANCE / (bar * VARIANCE + 1 - bar) * x


def normal_denoise(x, t):
    """The same as a `Denoise`."""
    bar = jnp.asarray(PROCESS.alpha_bar)[t].reshape(-1, *[1] * (x.ndim - 1))
    return jnp.sqrt(bar) * VARIANCE / (bar * VARIANCE + 1 - bar) * x


@pytest.mark.parametrize(
    ('spacing', 'steps'), [('linspace', 10), ('linspace', 30), ('trailing', 13)]
)
def test_their_ddim_steps_to_other_times_than_it_lists(diffusers, float64, spacing, steps):
    """diffusers' issues 11347 and 12633 (both open, of 'linspace'), and 9261 (of 'trailing').

    Their step goes from t to t - T // S, whatever comes next in the list of set_timesteps, which is
    right for 'leading' alone, and for 'trailing' where S divides T. The next estimate is then asked
    for a time where x is not. Ours has one list of times.

    Where x_0 is known exactly, x has to be alpha x_0 + sigma eps at each time of the list.
    """
    scheduler = their_ddim(diffusers, spacing, steps)
    times = np.append(scheduler.timesteps.numpy() + 1, 0)
    x0, noise = draws(2, 4, 3, 1, 1)

    def at_time(t):
        bar = PROCESS.alpha_bar[t]
        return np.sqrt(bar) * x0 + np.sqrt(1 - bar) * noise

    expected = np.stack([at_time(t) for t in times[1:]])
    start = at_time(times[0])

    def known(x, t):
        return jnp.asarray(x0)

    ours = ddim(DISCRETE, times, frames=steps)(KEY, known, jnp.asarray(start))
    np.testing.assert_allclose(ours, expected, **EXACTLY)

    theirs = run_ddim(scheduler, start, 0.0, lambda x, t: x0)
    after_first = times[0] - T // steps
    assert after_first != times[1]
    np.testing.assert_allclose(theirs[0], at_time(after_first), **EXACTLY)
    assert np.abs(theirs - expected).max() > 0.01


def test_with_more_steps_their_ddim_does_not_come_closer(diffusers, float64):
    """The deviation of what becomes of noise by 'linspace', for data N(0, 0.05), exactly denoised.

    Ours errs as first-order methods do. Their steps of T // S stay apart from those of the list,
    T / S, however many: the most where S is just above half of T, and a step goes half as far as
    the next one takes it to have gone.
    """
    x = draws(4, 3, 1, 1)
    last = PROCESS.alpha_bar[T]
    flow = np.sqrt(VARIANCE / (last * VARIANCE + 1 - last))
    our_errors = []
    their_errors = []
    for steps in (150, 600):
        scheduler = their_ddim(diffusers, 'linspace', steps)
        times = np.append(scheduler.timesteps.numpy() + 1, 0)
        ours = ddim(DISCRETE, times)(KEY, normal_denoise, jnp.asarray(x))
        theirs = run_ddim(scheduler, x, 0.0, normal_estimate)[-1]
        our_errors.append(abs(float((ours / x).mean()) / flow - 1))
        their_errors.append(abs((theirs / x).mean() / flow - 1))
    assert our_errors[1] < our_errors[0] / 3
    assert our_errors[1] < 0.02
    assert their_errors[1] > their_errors[0] > 0.1
    assert their_errors[1] > 0.5

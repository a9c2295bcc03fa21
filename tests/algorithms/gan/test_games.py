"""The games of a GAN against the papers' formulas, and `expected` against all pairs of atoms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.algorithms.gan import (
    expected,
    hinge,
    least_squares,
    minimax,
    non_saturating,
    relativistic,
    wasserstein,
)


def log_d(t):
    """log D of D = sigmoid(t)."""
    return -np.logaddexp(0, -t)


def log_not_d(t):
    """log(1 - D)."""
    return -np.logaddexp(0, t)


# (the discriminator's, the generator's) losses of logits r of a real and f of a generated example.
FORMULAS = {
    'minimax': (
        minimax,
        lambda r, f: -(log_d(r) + log_not_d(f)),
        lambda r, f: log_d(r) + log_not_d(f),
    ),
    'non_saturating': (
        non_saturating,
        lambda r, f: -(log_d(r) + log_not_d(f)),
        lambda r, f: -log_d(f),
    ),
    'hinge': (hinge, lambda r, f: -(np.minimum(0, r - 1) + np.minimum(0, -f - 1)), lambda r, f: -f),
    'least_squares': (
        least_squares,
        lambda r, f: 0.5 * (r - 1) ** 2 + 0.5 * f**2,
        lambda r, f: 0.5 * (f - 1) ** 2,
    ),
    'wasserstein': (wasserstein, lambda r, f: f - r, lambda r, f: -f),
    'relativistic': (relativistic, lambda r, f: -log_d(r - f), lambda r, f: -log_d(f - r)),
}


@pytest.mark.parametrize('name', FORMULAS)
def test_the_losses_are_the_papers_in_value_and_slope_and_finite_far_out(name):
    game, *formulas = FORMULAS[name]
    real = [-90.0, -3.3, -0.4, 0.3, 2.1, 90.0]
    fake = [-90.0, -1.6, 0.7, 4.2, 90.0]
    r, f = (side.ravel() for side in np.meshgrid(real, fake))
    step = 1e-5
    for loss, formula in zip((game.discriminator, game.generator), formulas, strict=True):
        values, slopes = jax.vmap(jax.value_and_grad(loss, (0, 1)))(jnp.float32(r), jnp.float32(f))
        np.testing.assert_allclose(values, formula(r, f), rtol=1e-5, atol=1e-6)
        slope_of_r = (formula(r + step, f) - formula(r - step, f)) / (2 * step)
        slope_of_f = (formula(r, f + step) - formula(r, f - step)) / (2 * step)
        np.testing.assert_allclose(slopes, [slope_of_r, slope_of_f], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('name', FORMULAS)
def test_expected_is_the_mean_over_all_pairs_of_atoms(name):
    game, *formulas = FORMULAS[name]
    logits = np.random.default_rng(8).normal(size=5)
    p, q = np.random.default_rng(3).dirichlet(np.ones(5), 2)
    outputs = [(jnp.float32(logits), jnp.float32(weights)) for weights in (p, q)]
    for loss, formula in zip(expected(game)[:2], formulas, strict=True):
        pairs = formula(*np.meshgrid(logits, logits, indexing='ij'))
        np.testing.assert_allclose(loss(*outputs), p @ pairs @ q, rtol=1e-5)
    np.testing.assert_allclose(expected(game).logit(outputs[0]), logits @ p, rtol=1e-5)

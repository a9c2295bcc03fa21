"""Interpolation of images by the noise that both become."""

from functools import partial

import jax.numpy as jnp
import numpy as np

from genjax.algorithms.diffusion import (
    interpolate,
    linear_schedule,
    make_denoise,
    make_process,
    reverse_chain,
)
from tests.algorithms.diffusion.gaussian import KEY, SHAPE, exact_predict, normal_data


def test_it_reproduces_its_ends_and_is_linear_for_a_linear_predictor():
    process = make_process(linear_schedule(1000))
    x, y = normal_data(KEY, 32).reshape(2, 16, *SHAPE)
    denoise = make_denoise(process, exact_predict(process), np.inf)
    between = partial(interpolate, KEY, process, denoise, reverse_chain)
    first, middle, last = between((x, y), [0.0, 0.5, 1.0], 5)
    width = np.sqrt(2 * (1 - process.alpha_bar[5]))  # noise on the way there and on the way back
    assert float(jnp.std(first - x)) < 1.2 * width
    assert float(jnp.std(last - y)) < 1.2 * width
    np.testing.assert_allclose(middle, (first + last) / 2, atol=1e-5)
    start, end = between((x, x), [0.0, 1.0], 500)
    np.testing.assert_allclose(start, between((x, y), [0.0], 500)[0], atol=1e-5)
    assert float(jnp.abs(start - end).max()) > 0.1  # the two ends have noise of their own

"""Modes covered by samples, a field against its formula, and pictures that show both."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.data.toys import gaussian_mixture, lattice, ring, sampled
from genjax.probes.fields import covered_modes, field, field_picture, landscape

KEY = jax.random.key(0)


@pytest.mark.parametrize('gaussians', [ring(), lattice()], ids=['ring', 'lattice'])
def test_the_data_itself_covers_all_and_a_collapsed_sampler_one(gaussians):
    draw = gaussian_mixture(gaussians)
    n, reach = 2000, 3 * gaussians.deviation

    def real(key, state, n):
        return jax.vmap(lambda key: draw(key)['x'])(jax.random.split(key, n))

    found = covered_modes(real, gaussians.centres, reach, n=n)(KEY, None)
    assert found['covered'] == len(gaussians.centres)
    share = 1 - np.exp(-4.5)  # of a Gaussian of the plane within three standard deviations
    assert abs(found['good'] - share) < 4.5 * np.sqrt(share * (1 - share) / n)

    def one(key, state, n):
        return jnp.broadcast_to(jnp.float32(gaussians.centres[0])[None], (n, 2))

    measure = covered_modes(one, gaussians.centres, reach, n=n)
    assert measure(KEY, None) == {'covered': 1, 'good': 1.0}


def test_field_is_the_formula_on_rows_of_ordinates():
    found = field(lambda x: jnp.sin(x[:, 0]) * x[:, 1] ** 2, 2.0, 21)
    x, y = found.side[None], found.side[:, None]
    assert found.side[0] == -2 and found.side[-1] == 2
    np.testing.assert_allclose(found.value, np.sin(x) * y**2, atol=1e-6)
    np.testing.assert_allclose(found.gradient[..., 0], np.cos(x) * y**2, atol=1e-5)
    np.testing.assert_allclose(found.gradient[..., 1], 2 * np.sin(x) * y, atol=1e-5)


def mean_place(picture, rgb):
    """Where a picture has a colour, as (column, row) of the mean."""
    near = np.abs(picture.astype(int) - np.array(rgb)).max(-1) < 12
    return np.argwhere(near).mean(0)[::-1]


def test_the_picture_shows_samples_where_they_are():
    flat = field(lambda x: x[:, 0] + 2 * x[:, 1], 3.0, 51)
    orange = (0xD5, 0x5E, 0x00)

    def place_of(x):
        samples = np.tile(np.float32(x), (9, 1))
        picture = field_picture(flat, np.zeros((1, 2)), samples)
        return mean_place(picture[60:-60], orange)

    left = place_of([-2, -1])
    right = place_of([2, -1])
    above = place_of([-2, 1])
    assert right[0] - left[0] > 100 and abs(right[1] - left[1]) < 6
    assert left[1] - above[1] > 50 and abs(above[0] - left[0]) < 12


def test_landscape_draws_the_state_it_is_given():
    real = sampled(gaussian_mixture(ring()), batch=8, seed=0, test=50).test[0]['x']

    def sample(key, state, n):
        return jax.random.normal(key, (n, 2)) * state['scale']

    def logit(state, x):
        return -state['scale'] * jnp.sum(x**2, -1)

    measure = landscape(sample, logit, real, extent=3.0, points=31)
    pictures = [measure(KEY, {'scale': scale})['field'] for scale in (0.1, 1.0)]
    assert pictures[0].dtype == np.uint8 and pictures[0].ndim == 3
    assert np.mean(pictures[0] != pictures[1]) > 0.001
    np.testing.assert_array_equal(measure(KEY, {'scale': 1.0})['field'], pictures[1])

    def constant_logit(state, x):
        return 0 * x[:, 0]  # no slope, no level

    constant = landscape(sample, constant_logit, real, extent=3.0, points=31)
    assert constant(KEY, {'scale': 0.1})['field'].shape == pictures[0].shape

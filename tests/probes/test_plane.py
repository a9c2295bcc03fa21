"""Pictures of diffusion in the plane show what they are given, and the differences are right."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.probes.plane import COLOURS, clouds, estimate_fields, ways

KEY = jax.random.key(0)
REAL = np.random.default_rng(0).normal(size=(40, 2)).astype(np.float32)


def places_of(picture, colour, near=40):
    """(column, row) of the pixels that have a colour, [N, 2]."""
    rgb = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)])
    return np.argwhere(np.abs(picture.astype(int) - rgb).max(-1) < near)[:, ::-1]


def test_the_difference_is_its_mean_square_where_the_noise_is():
    def noisy(key, level):
        return REAL + level * jax.random.normal(key, REAL.shape)

    def exact(state, x, level):
        return 0 * x

    def learnt(state, x, level):
        return state * x

    found = estimate_fields(exact, learnt, noisy, (0.1, 2.0), REAL, extent=2.0)(KEY, 0.5)
    for level in (0.1, 2.0):
        expected = 0.25 * np.mean(np.square(noisy(KEY, level)))
        assert found[f'difference_{level:g}'] == pytest.approx(float(expected), rel=1e-5)
    assert found['fields'].dtype == np.uint8


def test_arrows_point_to_the_estimates():
    def towards(place):
        def estimate(state, x, level):
            return jnp.broadcast_to(jnp.asarray(place, jnp.float32)[None], x.shape)

        return estimate

    def noisy(key, level):
        return jnp.asarray(REAL)

    def spread(place):
        """How far down the first row's arrows are, in the mean."""
        measure = estimate_fields(
            towards(place), towards((0.0, 0.0)), noisy, (1.0,), 9 + REAL, extent=1.0, arrows=3
        )
        return places_of(measure(KEY, None)['fields'], COLOURS[0]).mean(0)

    assert spread((0.0, 50.0))[1] < spread((0.0, -50.0))[1] - 5
    assert spread((50.0, 0.0))[0] > spread((-50.0, 0.0))[0] + 5


def test_ways_end_where_their_frames_do_in_the_panel_of_their_name():
    def line(end):
        def trajectory(key, state):
            return jnp.linspace(0.0, 1.0, 5)[:, None, None] * state * jnp.asarray([[end]])

        return trajectory

    def drawn(end, other):
        panels = {'a': {'exact': line(end)}, 'b': {'exact': line(other)}}
        picture = ways(panels, 9 + REAL, extent=2.0)(KEY, jnp.float32(1.0))['ways']
        found = places_of(picture[60:], COLOURS[0])
        middle = picture.shape[1] / 2
        return [found[side].mean(0) for side in (found[:, 0] < middle, found[:, 0] > middle)]

    right, up = drawn((1.5, 0.0), (0.0, 1.5))
    left, down = drawn((-1.5, 0.0), (0.0, -1.5))
    assert right[0] - left[0] > 50 and abs(right[1] - left[1]) < 6
    assert down[1] - up[1] > 50 and abs(down[0] - up[0]) < 6


def test_clouds_are_as_many_draws_as_there_are_real_points_of_the_state_given():
    counts = []

    def sample(key, state, n):
        counts.append(n)
        return state * jax.random.normal(key, (n, 2))

    measure = clouds({'wide': sample}, REAL, extent=3.0)
    narrow, wide = (measure(KEY, jnp.float32(scale))['clouds'] for scale in (0.05, 1.0))
    assert counts == [40]
    half = narrow.shape[1] // 2
    np.testing.assert_array_equal(narrow[:, : half - 10], wide[:, : half - 10])  # the data

    def spread(picture):
        """Of what is drawn inside the frame of the last panel."""
        panel = picture[60:-30, half + 40 : -30]
        return np.std(np.argwhere(panel.min(-1) < 200), 0).mean()

    assert spread(wide) > 5 * spread(narrow)


def test_clouds_go_on_in_a_second_row():
    def sample(key, state, n):
        return jax.random.normal(key, (n, 2))

    wide = clouds({'a': sample, 'b': sample}, REAL, extent=3.0)(KEY, None)['clouds']
    tall = clouds({'a': sample, 'b': sample}, REAL, extent=3.0, columns=2)(KEY, None)['clouds']
    assert wide.shape[:2] == (430, 1200)
    assert tall.shape[:2] == (860, 800)

"""Known distributions: samples have their moments, and follow from seed and step alone."""

from functools import partial

import jax
import numpy as np
import pytest

from genjax.data.toys import (
    categorical,
    constant,
    gaussian_mixture,
    lattice,
    ring,
    sampled,
    spirals,
)


def nearest(x, centres):
    """The nearest centre of each row, and the distance to it."""
    distances = np.linalg.norm(x[:, None].astype(np.float64) - centres[None], axis=-1)
    return distances.argmin(1), distances.min(1)


def test_centres_are_the_literatures():
    roots = 2 * np.exp(2j * np.pi * np.arange(8) / 8)
    on_ring = np.stack([roots.real, roots.imag], -1)
    np.testing.assert_allclose(ring().centres, on_ring, atol=1e-12)
    on_lattice = {(x, y) for x in (-4, -2, 0, 2, 4) for y in (-4, -2, 0, 2, 4)}
    assert {tuple(centre) for centre in lattice().centres} == on_lattice


def test_spirals_are_two_arms_of_even_steps_along_a_radius_that_grows_with_the_angle():
    centres = spirals(components=40, radius=3.0, turns=0.75).centres
    one = centres[:20]
    np.testing.assert_allclose(centres[20:], -one, atol=1e-12)
    radii = np.linalg.norm(one, axis=-1)
    angles = np.unwrap(np.arctan2(one[:, 1], one[:, 0]))
    assert radii[-1] == pytest.approx(3.0)
    np.testing.assert_allclose(radii / (angles % (2 * np.pi)), 3.0 / (1.5 * np.pi), rtol=1e-3)
    steps = np.linalg.norm(np.diff(one, axis=0), axis=-1)
    # A chord is shorter than its arc by a twenty-fourth of the square of its angle.
    assert steps[5:].max() / steps[5:].min() < 1.02
    with pytest.raises(ValueError, match='spirals of components 5; needed: an even number'):
        spirals(components=5)
    with pytest.raises(ValueError, match=r'turns -1.0, deviation 0.1; all must be positive'):
        spirals(turns=-1.0)


@pytest.mark.parametrize('gaussians', [ring(), lattice()], ids=['ring', 'lattice'])
def test_draws_fill_every_mode_alike_with_the_deviation_stated(gaussians):
    x = sampled(gaussian_mixture(gaussians), batch=20_000, seed=1).train[0]['x']
    mode, distance = nearest(np.asarray(x), gaussians.centres)
    share = 1 / len(gaussians.centres)
    counts = np.bincount(mode, minlength=len(gaussians.centres)) / len(x)
    assert np.all(np.abs(counts - share) < 4.5 * np.sqrt(share * (1 - share) / len(x)))
    # (distance / deviation)^2 is exponential with mean 2, so its own deviation is 2 as well.
    assert abs(np.mean((distance / gaussians.deviation) ** 2) - 2) < 4.5 * 2 / np.sqrt(len(x))
    assert abs(np.mean(distance < 3 * gaussians.deviation) - (1 - np.exp(-4.5))) < 0.004


def test_batches_follow_from_seed_and_step_and_are_never_the_same_again():
    draw = gaussian_mixture(ring())
    data, same, other = (sampled(draw, batch=16, seed=seed, test=50) for seed in (0, 0, 1))
    np.testing.assert_array_equal(data.train[5]['x'], same.train[5]['x'])
    batches = [data.train[0], data.train[1], other.train[0], data.test[0], other.test[0]]
    rows = np.concatenate([batch['x'] for batch in batches])
    assert len(np.unique(rows, axis=0)) == 3 * 16 + 2 * 50
    assert data.train.fingerprint == same.train.fingerprint != other.train.fingerprint
    assert [batch['x'].shape for batch in data.test] == [(50, 2)]
    assert isinstance(data.test[0]['x'], np.ndarray)
    traced = jax.jit(data.train.make_batch)(data.train.arrays, 5)  # as the trainer traces it
    np.testing.assert_array_equal(traced['x'], data.train[5]['x'])


def test_outcomes_are_one_hot_and_as_frequent_as_p_says():
    p = np.array([0.5, 0.3, 0.15, 0.05])
    x = np.asarray(sampled(categorical(p), batch=20_000, seed=0).train[3]['x'])
    assert set(np.unique(x)) == {0, 1}
    assert np.all(x.sum(1) == 1)
    assert np.all(np.abs(x.mean(0) - p) < 4.5 * np.sqrt(p * (1 - p) / len(x)))
    data = sampled(constant(p), batch=3, seed=0, test=2)
    np.testing.assert_array_equal(data.train[1]['x'], np.float32([p] * 3))
    np.testing.assert_array_equal(data.test[0]['x'], np.float32([p] * 2))


# (what is called with which arguments, how the refusal begins)
REFUSED = [
    (partial(ring, 0), 'ring of modes 0, radius 2.0, deviation 0.02; all must be positive'),
    (
        partial(lattice, deviation=0),
        'lattice of side 5, spacing 2.0, deviation 0; all must be positive',
    ),
    (
        partial(categorical, [0.5, 0.6]),
        'p is [0.5, 0.6000000238418579]; probabilities must be a row of positive numbers',
    ),
    (
        partial(constant, [1.5, -0.5]),
        'p is [1.5, -0.5]; probabilities must be a row of positive numbers',
    ),
    (
        partial(sampled, gaussian_mixture(ring()), batch=0, seed=0),
        'batch is 0, test 1000; both take 1 to 1000000',
    ),
]


@pytest.mark.parametrize(('call', 'message'), REFUSED)
def test_what_is_refused(call, message):
    with pytest.raises(ValueError) as error:
        call()
    assert str(error.value).startswith(message)
    assert '\n' not in str(error.value)

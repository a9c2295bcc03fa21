"""Projections from hyponym to hypernym, against planted ones and least squares."""

import numpy as np
import pytest

from genjax.metrics.hypernymy import choose_threshold, precision_recall_f1
from genjax.metrics.projections import Projections, distances, fit_projections

D = 6


def random_orthogonal(rng):
    orthogonal, _ = np.linalg.qr(rng.normal(size=(D, D)))
    return orthogonal


def planted(n=80, kinds=3):
    """Pairs x, y [N, D] of three kinds: y = Phi x.

    A bias coordinate of x takes each kind to a corner of its own.

    Returns:
      The maps Phi, the kind of each pair, x and y.
    """
    rng = np.random.default_rng(0)
    maps = np.stack([random_orthogonal(rng) for _ in range(kinds)])
    maps[:, :, 0] = 40 * np.eye(kinds, D)  # x[0] is 1
    kind = np.repeat(np.arange(kinds), n)
    x = rng.normal(size=(n * kinds, D))
    x[:, 0] = 1
    y = np.einsum('nij,nj->ni', maps[kind], x)
    return maps, kind, x, y


def test_projections_in_separate_clusters_are_recovered_and_judge_without_error():
    maps, kind, x, y = planted()
    fitted = fit_projections(x, y, clusters=3)
    errors = np.abs(fitted.maps[None] - maps[:, None]).max((2, 3))  # [true map, fitted map]
    order = errors.argmin(1)
    assert sorted(order) == [0, 1, 2]
    np.testing.assert_allclose(fitted.maps[order], maps, atol=1e-5)
    centres = [(y - x)[kind == k].mean(0) for k in range(3)]
    np.testing.assert_allclose(fitted.centres[order], centres, atol=1e-5)
    wrong = y + np.random.default_rng(1).choice([-1, 1], y.shape)
    labels = np.repeat([True, False], len(x))
    lengths = distances(fitted, np.tile(x, (2, 1)), np.concatenate([y, wrong]))
    assert lengths[: len(x)].max() < 1e-4
    assert precision_recall_f1(lengths <= choose_threshold(lengths, labels), labels) == (1, 1, 1)


def test_one_cluster_is_the_uniform_projection_of_least_squares():
    _, _, x, y = planted()
    expected = np.linalg.lstsq(x, y)[0].T
    (phi,) = fit_projections(x, y, clusters=1).maps
    np.testing.assert_allclose(phi, expected, rtol=1e-5, atol=1e-5)


def test_a_ridge_gives_the_solution_of_the_normal_equations():
    _, _, x, y = planted()
    expected = np.linalg.solve(x.T @ x + 5 * np.eye(D), x.T @ y).T
    (phi,) = fit_projections(x, y, clusters=1, ridge=5).maps
    np.testing.assert_allclose(phi, expected, rtol=1e-5, atol=1e-5)


def test_a_cluster_of_fewer_pairs_than_dimensions_takes_the_smallest_map_through_its_pairs():
    x, y = np.random.default_rng(2).normal(size=(2, D - 2, D))
    (phi,) = fit_projections(x, y, clusters=1).maps
    np.testing.assert_allclose(phi @ x.T, y.T, atol=1e-5)
    np.testing.assert_allclose(phi, y.T @ np.linalg.pinv(x.T), atol=1e-5)


def test_the_projections_follow_from_the_seed():
    x, y = np.random.default_rng(3).normal(size=(2, 200, D))
    one, same, other = (fit_projections(x, y, clusters=8, seed=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one.maps, same.maps)
    assert np.abs(one.maps - other.maps).max() > 0.01


def test_a_distance_is_that_of_the_cluster_nearest_to_the_offset():
    rng = np.random.default_rng(4)
    centres = rng.normal(size=(5, D)).astype(np.float32)
    maps = rng.normal(size=(5, D, D)).astype(np.float32)
    x, y = rng.normal(size=(2, 30, D)).astype(np.float32)
    for i, distance in enumerate(distances(Projections(centres, maps), x, y)):
        k = np.argmin(np.linalg.norm(y[i] - x[i] - centres, axis=1))
        assert distance == pytest.approx(np.linalg.norm(maps[k] @ x[i] - y[i]), rel=1e-5)


def test_what_cannot_be_fitted_is_refused():
    x = np.ones((4, 2))
    with pytest.raises(ValueError, match='clusters is 5; 4 pairs allow 1 to 4'):
        fit_projections(x, x, clusters=5)
    with pytest.raises(ValueError, match='ridge is -1; it must not be negative'):
        fit_projections(x, x, clusters=1, ridge=-1)

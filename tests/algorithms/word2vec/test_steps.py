"""How steps are added to rows: what is clipped, and what keeps them stable."""

import jax.numpy as jnp
import numpy as np

from genjax.algorithms.word2vec.steps import (
    MOST_ROWS,
    add_clipped_steps,
    add_steps,
    first_places,
    stable_scale,
)


def test_the_scale_of_a_step_follows_from_the_sum_over_its_row():
    rows = jnp.array([3, 1, 3, 0, 2, 4])
    curvature = jnp.array([5.0, 3.9, 11.0, 1e30, 0.0, 8.0])
    found = stable_scale(rows, curvature, 5)
    np.testing.assert_allclose(found, [3 / 16, 1, 3 / 16, 2e-30, 1, 1 / 2], rtol=1e-6)
    apart = stable_scale(rows * 10_000_000, curvature, 40_000_000)  # as a table of any size has it
    assert (np.asarray(apart) <= np.asarray(found)).all()


def test_a_bound_shortens_the_sum_of_a_rows_steps():
    table = jnp.zeros((5, 2))
    rows = jnp.array([3, 1, 3, 0])
    steps = jnp.array([[3.0, 0.0], [0.1, 0.0], [0.0, 4.0], [0.0, 2.0]])
    np.testing.assert_allclose(
        add_clipped_steps(1e9)(table, rows, steps), add_steps(table, rows, steps)
    )
    np.testing.assert_allclose(
        add_clipped_steps(0.5)(table, rows, steps),
        [[0, 0.5], [0.1, 0], [0, 0], [0.3, 0.4], [0, 0]],
        rtol=1e-6,
    )


def test_first_places_are_the_same_with_and_without_sorting():
    rows = np.random.default_rng(0).integers(0, 12, 40).astype(np.int32)
    expected = [list(rows).index(row) for row in rows]
    for size in (12, MOST_ROWS * len(rows) + 1):
        np.testing.assert_array_equal(first_places(jnp.asarray(rows), size), expected)


def test_clipped_steps_are_the_same_to_the_bit_in_tables_of_any_length():
    rng = np.random.default_rng(1)
    rows = jnp.asarray(rng.integers(0, 9, 30).astype(np.int32))
    steps = jnp.asarray(rng.normal(size=(30, 4)).astype(np.float32))
    add = add_clipped_steps(0.5)
    short = add(jnp.zeros((9, 4)), rows, steps)
    long = add(jnp.zeros((MOST_ROWS * len(rows) + 1, 4)), rows, steps)
    np.testing.assert_array_equal(long[:9], short)
    assert not long[9:].any()
    assert np.linalg.norm(short, axis=1).max() < 0.5001

"""How steps are added to rows: what is clipped, and what keeps them stable."""

import jax.numpy as jnp
import numpy as np

from genjax.algorithms.word2vec.steps import add_clipped_steps, add_steps, stable_scale


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

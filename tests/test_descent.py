"""Gradient descent as a pure update."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from genjax.descent import descend


def squares(key, params, batch):
    del key
    return {'loss': 0.5 * (batch - params) ** 2, 'distance': jnp.abs(batch - params)}


def test_one_step_is_the_textbooks():
    descent = descend(squares, optax.sgd(0.1))
    batch = jnp.array([1.0, 2.0, 6.0])
    fit, metrics = descent.update(jax.random.key(0), descent.init(jnp.array(0.0)), batch)
    assert fit.params == pytest.approx(0.3)  # 0 - 0.1 * -3
    assert fit.average == fit.params
    values = {name: float(value) for name, value in metrics.items()}
    assert values == pytest.approx({'loss': 41 / 6, 'distance': 3.0, 'gradient_norm': 3.0})


def test_the_average_equals_its_closed_form():
    decay, rate, start = 0.8, 0.1, 5.0
    descent = descend(squares, optax.sgd(rate), decay=decay)
    fit = descent.init(jnp.array(start))
    for _ in range(30):
        fit, _ = descent.update(jax.random.key(0), fit, jnp.zeros(4))
    params = start * (1 - rate) ** np.arange(31)  # the mean square's minimum is 0
    weights = (1 - decay) * decay ** np.arange(29, -1, -1)
    assert fit.average == pytest.approx(decay**30 * start + weights @ params[1:], rel=1e-5)


def test_a_mapped_axis_is_averaged_over():
    batch = jax.random.normal(jax.random.key(1), (4, 6))
    descent = descend(squares, optax.sgd(0.1), axis='shards')
    fit = descent.init(jnp.array(0.5))
    key = jax.random.key(0)
    shards, metrics = jax.vmap(descent.update, (None, None, 0), axis_name='shards')(key, fit, batch)
    whole, expected = descend(squares, optax.sgd(0.1)).update(key, fit, batch.ravel())
    np.testing.assert_allclose(shards.params, np.full(4, whole.params), rtol=1e-6)
    np.testing.assert_allclose(
        metrics['gradient_norm'], np.full(4, expected['gradient_norm']), rtol=1e-6
    )


def test_optimizer_chains_and_schedules_pass_through():
    schedule = optax.linear_schedule(1.0, 0.0, 10)
    descent = descend(squares, optax.chain(optax.clip_by_global_norm(0.5), optax.sgd(schedule)))
    fit = descent.init(jnp.array(0.0))
    moves = []
    for _ in range(3):
        before = float(fit.params)
        fit, _ = descent.update(jax.random.key(0), fit, jnp.full(2, 100.0))
        moves.append(float(fit.params) - before)
    assert moves == pytest.approx([0.5, 0.45, 0.4], rel=1e-5)


@pytest.mark.parametrize('decay', [-0.1, 1.0])
def test_a_decay_that_does_not_average_is_refused(decay):
    with pytest.raises(ValueError, match=f'^decay is {decay}; the average needs 0 <= decay < 1$'):
        descend(squares, optax.sgd(0.1), decay=decay)

"""Gradient descent as a pure update."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from genjax.averages import fixed, half_life, power, warmed
from genjax.descent import choose_average, descend, with_average
from genjax.numerics.normals import example_normals
from genjax.parallel import example_places
from tests.trees import assert_trees_close, assert_trees_equal


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
    descent = descend(squares, optax.sgd(rate), decay=fixed(decay))
    fit = descent.init(jnp.array(start))
    update = jax.jit(descent.update)
    for _ in range(30):
        fit, _ = update(jax.random.key(0), fit, jnp.zeros(4))
    params = start * (1 - rate) ** np.arange(31)  # the mean square's minimum is 0
    weights = (1 - decay) * decay ** np.arange(29, -1, -1)
    assert fit.average == pytest.approx(decay**30 * start + weights @ params[1:], rel=1e-5)


def run(descent, steps=12):
    """The fit after some steps on noise."""
    update = jax.jit(descent.update)
    fit = descent.init({'a': jnp.arange(5.0), 'b': jnp.float32(2.0)})
    for step in range(steps):
        noise = jax.random.normal(jax.random.fold_in(jax.random.key(2), step), (8,))
        fit, _ = update(jax.random.key(0), fit, noise)
    return fit


def distances(key, params, batch):
    total = jnp.sum(params['a'] ** 2) + params['b']
    return squares(key, total, batch)


def test_a_number_is_a_decay_with_warm_up():
    fit = run(descend(distances, optax.sgd(0.01), decay=0.8))
    assert_trees_equal(fit, run(descend(distances, optax.sgd(0.01), decay=warmed(0.8))))
    first = run(descend(distances, optax.sgd(0.01), decay=0.8), steps=1)
    begun = jnp.arange(5.0)
    np.testing.assert_allclose(first.average['a'], 0.1 * begun + 0.9 * first.params['a'], rtol=1e-6)


def test_several_averages_at_once_are_each_alone_to_the_bit():
    decays = {'warmed': 0.9, 'fixed': fixed(0.9), 'half': half_life(30, 8), 'power': power(3.0)}
    fit = run(descend(distances, optax.adam(0.1), others=decays | {'none': 0.0}))
    for name, decay in decays.items():
        alone = run(descend(distances, optax.adam(0.1), decay=decay))
        assert_trees_equal(fit.others[name], alone.average)
        assert_trees_equal(with_average(fit, name).average, alone.average)
        assert_trees_equal(alone.params, fit.params)
    assert_trees_equal(fit.average, fit.params)
    assert_trees_equal(fit.others['none'], fit.params)
    assert fit.updates == 12 and fit.updates.dtype == jnp.int32


def test_every_tree_of_a_fit_can_be_donated():
    descent = descend(squares, optax.sgd(0.1), others={'last': 0.0, 'slow': 0.99})
    update = jax.jit(descent.update, donate_argnums=1)
    fit = descent.init(jnp.array(3.0))
    for _ in range(2):
        fit, _ = descent.update(jax.random.key(0), fit, jnp.zeros(4))
        fit, _ = update(jax.random.key(0), fit, jnp.zeros(4))
    assert fit.params == pytest.approx(3 * 0.9**4)


def test_an_average_that_is_not_kept_is_named():
    fit = descend(squares, optax.sgd(0.1), others={'b': 0.9, 'a': 0.9}).init(jnp.array(0.0))
    with pytest.raises(ValueError, match=r"^no average 'c' is kept; there are \['a', 'b'\]$"):
        with_average(fit, 'c')
    with pytest.raises(ValueError, match=r"^others has 'average', which is the name of the first"):
        descend(squares, optax.sgd(0.1), others={'average': 0.9})


def test_an_average_is_chosen_in_every_fit_that_keeps_it():
    one = run(descend(distances, optax.sgd(0.1), decay=0.9, others={'slow': fixed(0.99)}))
    two = run(descend(distances, optax.sgd(0.1), decay=0.9))
    state = {'one': one, 'two': [two, jnp.ones(2)]}
    slow = choose_average(state, 'slow')
    assert_trees_equal(slow['one'], with_average(one, 'slow'))
    assert_trees_equal(slow['two'], state['two'])
    none = choose_average(state, 'none')
    assert_trees_equal([none['one'].average, none['two'][0].average], [one.params, two.params])
    assert_trees_equal(choose_average(state, 'average'), state)
    with pytest.raises(ValueError, match="^average is 'fast'; there are: none, average, slow$"):
        choose_average(state, 'fast')
    with pytest.raises(ValueError, match="^average is 'none'; the state keeps no average"):
        choose_average({'counts': jnp.ones(2)}, 'none')


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


def noisy(key, params, batch):
    """Losses of noise and a place that belong to the example."""
    n = len(batch)
    place, total = example_places(n)
    noise = example_normals(key, n, (5,))
    inputs = batch[:, None] + noise + (place / total)[:, None]
    error = inputs @ params['a'] - params['b']
    return {'loss': error**2, 'error': jnp.abs(error)}


@pytest.mark.parametrize('parts', [2, 8])
def test_microbatches_are_one_batch_within_rounding(parts):
    batch = jax.random.normal(jax.random.key(1), (8,))
    key = jax.random.key(4)

    def first_step(losses, microbatches):
        descent = descend(losses, optax.sgd(0.01), decay=0.5, microbatches=microbatches)
        fit = descent.init({'a': jnp.arange(5.0), 'b': jnp.float32(2.0)})
        return jax.jit(descent.update)(key, fit, batch)

    whole = first_step(noisy, 1)
    assert_trees_close(first_step(noisy, parts), whole, rtol=1e-5)

    def drawn_at_once(key, params, batch):
        """Noise of all examples from one key: that of a batch of another length is another."""
        return {'loss': (params['a'][0] + params['b'] * jax.random.normal(key, batch.shape)) ** 2}

    _, at_once = first_step(drawn_at_once, 1)
    _, in_parts = first_step(drawn_at_once, parts)
    assert abs(at_once['loss'] - in_parts['loss']) > 0.01


def test_microbatches_take_the_memory_of_one():
    def losses(key, params, batch):
        h = jnp.tanh(batch[:, None] * params['in'][None])
        return {'loss': (jnp.sin(h @ params['out'])) ** 2}

    def memory(microbatches):
        descent = descend(losses, optax.sgd(0.1), microbatches=microbatches)
        fit = descent.init({'in': jnp.ones(1000), 'out': jnp.ones(1000)})
        lowered = jax.jit(descent.update).lower(jax.random.key(0), fit, jnp.zeros(640))
        return lowered.compile().memory_analysis().temp_size_in_bytes

    one_activation = 640 * 1000 * 4
    assert memory(1) >= one_activation
    assert memory(16) < memory(1) / 8


def test_one_microbatch_is_the_same_program():
    def program(**options):
        descent = descend(noisy, optax.adam(0.1), **options)
        fit = descent.init({'a': jnp.arange(5.0), 'b': jnp.float32(2.0)})
        return jax.jit(descent.update).lower(jax.random.key(0), fit, jnp.zeros(8)).as_text()

    assert program(microbatches=1) == program()
    assert program(microbatches=2) != program()


def test_microbatches_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match='^microbatches is 0; at least 1 is needed$'):
        descend(squares, optax.sgd(0.1), microbatches=0)
    descent = descend(squares, optax.sgd(0.1), microbatches=3)
    with pytest.raises(ValueError, match='^microbatches is 3, which does not divide a batch of 8$'):
        descent.update(jax.random.key(0), descent.init(jnp.array(0.0)), jnp.zeros(8))

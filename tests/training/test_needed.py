"""A function without what its result does not need: the same bits, and nothing else is done."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.training import needed
from genjax.training.needed import evaluate_needed

KEY = jax.random.key(3)
BATCH = {'x': jnp.linspace(0.0, 1.0, 12).reshape(4, 3)}
SHAPES = jax.eval_shape(lambda batch: batch, BATCH)


@pytest.fixture(autouse=True, params=[0, 1000], ids=['waves', 'one by one'])
def ways(request, monkeypatch):
    """Few operations and many go different ways."""
    monkeypatch.setattr(needed, 'MANY', request.param)


class Network(nn.Module):
    """Layers with drawn numbers of both kinds, and one that stands twice in the state."""

    @nn.compact
    def __call__(self, x):
        h = nn.Dense(5, kernel_init=nn.initializers.normal(0.3))(x)
        return nn.Dense(2)(nn.tanh(h))


def init(key, batch):
    params = Network().init(key, batch['x'])['params']
    return {'params': params, 'average': params, 'step': 0, 'key': jax.random.fold_in(key, 1)}


def no_example():
    raise AssertionError('the batch is not needed')


def test_it_is_the_function_to_the_bit_and_leaves_the_batch_alone():
    state = evaluate_needed(init, KEY, SHAPES, no_example)
    plain = init(KEY, BATCH)
    assert jax.tree.structure(state) == jax.tree.structure(plain)
    for one, other in zip(jax.tree.leaves(state), jax.tree.leaves(plain), strict=True):
        if jnp.issubdtype(one.dtype, jax.dtypes.prng_key):
            one, other = jax.random.key_data(one), jax.random.key_data(other)
        np.testing.assert_array_equal(one, other)


def test_the_compiler_rounds_no_two_operations_at_once():
    def cubic(key, batch):
        x = 0.1 + 3 * batch['x']
        return ((x * 1.7 + 0.3) * x - 2.1) * x + jax.random.normal(key, x.shape)

    if np.all(jax.jit(cubic)(KEY, BATCH) == cubic(KEY, BATCH)):
        assert jax.version.__version_info__ >= (0, 11), 'here all rounds alike: no test'
        pytest.skip('since jax 0.11 a CPU rounds each operation of this by itself')
    state = evaluate_needed(cubic, KEY, SHAPES, lambda: BATCH)
    np.testing.assert_array_equal(state, cubic(KEY, BATCH))


def test_what_the_result_does_not_need_is_not_done():
    done = []

    def counted(x):
        done.append(1)
        return x

    def observed(key, batch):
        seen = jax.pure_callback(counted, batch['x'][0], batch['x'][0])
        return {'unseen': jax.random.normal(key, (2,))} | ({'seen': seen} if wanted else {})

    wanted = False
    evaluate_needed(observed, KEY, SHAPES, no_example)
    assert not done

    def observed_too(key, batch):
        return observed(key, batch)

    wanted = True
    state = evaluate_needed(observed_too, KEY, SHAPES, lambda: BATCH)
    np.testing.assert_array_equal(state['seen'], BATCH['x'][0])
    assert done


def test_what_reads_the_batch_is_given_it():
    def centred(key, batch):
        return {'mean': batch['x'].mean(0), 'batch': batch['x'], 'noise': jax.random.uniform(key)}

    state = evaluate_needed(centred, KEY, SHAPES, lambda: BATCH)
    np.testing.assert_array_equal(state['mean'], BATCH['x'].mean(0))
    np.testing.assert_array_equal(state['batch'], BATCH['x'])


def test_a_result_that_needs_nothing():
    def constant(key, batch):
        return jnp.zeros(len(batch['x'])), 1.5

    zeros, number = evaluate_needed(constant, KEY, SHAPES, no_example)
    np.testing.assert_array_equal(zeros, np.zeros(4))
    assert float(number) == 1.5

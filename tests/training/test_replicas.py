"""Many seeds as one algorithm: each copy is the run it would be alone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.training import Every, make_mesh, replicas, train
from tests.training.toy import toy

N = 3


def test_each_copy_is_the_run_that_spends_its_keys_alone():
    algorithm, data = toy()[:2]
    many = replicas(algorithm, N)
    key = jax.random.key(5)
    states = many.init(key, data.train[0])
    alone = [algorithm.init(jax.random.fold_in(key, i), data.train[0]) for i in range(N)]
    for step in range(10):
        key = jax.random.key(step)
        states, metrics = many.update(key, states, data.train[step])
        for i in range(N):
            alone[i], expected = algorithm.update(
                jax.random.fold_in(key, i), alone[i], data.train[step]
            )
            assert metrics[f'loss/{i}'] == pytest.approx(float(expected['loss']), rel=1e-5)
    for i in range(N):
        one = jax.tree.map(lambda leaf, i=i: leaf[i], states)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), one, alone[i])
    assert np.unique(np.asarray(states.params['mean']), axis=0).shape == (N, 3)


def test_maps_keep_the_examples_first():
    algorithm, data = toy()[:2]
    algorithm = algorithm._replace(
        encode=lambda key, state, batch: batch['x'] - state.params['mean'][None],
        decode=lambda key, state, code: code + state.params['mean'][None],
    )
    many, key = replicas(algorithm, N), jax.random.key(0)
    state = many.init(key, data.train[0])
    assert many.sample(key, state, 5).shape == (5, N, 3)
    code = many.encode(key, state, data.train[0])
    assert code.shape == (16, N, 3)
    back = many.decode(key, state, code)
    expected = np.repeat(np.asarray(data.train[0]['x'])[:, None], N, 1)
    np.testing.assert_allclose(back, expected, rtol=1e-5, atol=1e-6)
    assert many.evaluate(key, state, data.train[0])['loss/2'].shape == (16,)
    assert replicas(toy().algorithm, N).encode is None


def test_copies_train_in_the_one_trainer():
    experiment = toy()
    experiment = experiment._replace(algorithm=replicas(experiment.algorithm, N), probes={})
    state = train(
        experiment,
        seed=0,
        steps=200,
        mesh=make_mesh(),
        every=Every(50, 200, 200),
        best='test/loss/0',
    )
    np.testing.assert_allclose(state.average['mean'], jnp.ones((N, 3)), atol=0.2)


def test_no_copies_are_refused():
    with pytest.raises(ValueError, match='^n is 0; at least 1 replica is needed$'):
        replicas(toy().algorithm, 0)

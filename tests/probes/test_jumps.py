"""The errors of few steps are those of the samples that are given."""

import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.metrics.energy import energy_distance
from genjax.metrics.fidelity import Features
from genjax.probes.jumps import map_errors, step_errors, steps_table

KEY = jax.random.key(0)


def end(key, state, n):
    return state * jax.random.normal(key, (n, 2))


def off_by(error):
    def sample(key, state, n):
        return end(key, state, n) + jnp.full((1, 2), error / np.sqrt(2), jnp.float32)

    return sample


def test_errors_are_distances_from_the_end_of_the_same_noise():
    jumps = {'a': {1: off_by(0.5), 2: off_by(0.25)}, 'b': {1: end}}
    real = np.random.default_rng(0).normal(size=(300, 2))
    measure = map_errors(jumps, {'a': end, 'b': end}, n=400, real=real)
    found = measure(KEY, jnp.float32(2.0))
    assert found['error_a_1'] == pytest.approx(0.5, rel=1e-5)
    assert found['error_a_2'] == pytest.approx(0.25, rel=1e-5)
    assert found['error_b_1'] == 0
    assert found['curves'].dtype == np.uint8 and found['curves'].std() > 10
    a, b = found['map_errors']
    assert (a['method'], b['method']) == ('a', 'b')
    assert a['2, error'] == '0.2500'
    # The deviation of the ends is 2 along each of two axes.
    share = float(a['1, of the deviation'].rstrip('%')) / 100
    assert share == pytest.approx(0.5 / np.sqrt(8), rel=0.1)
    ends = np.asarray(end(KEY, 2.0, 400))
    assert a['ode, energy distance'] == f'{energy_distance(ends, real):.5f}'
    assert b['1, energy distance'] == b['ode, energy distance']
    assert set(map_errors(jumps, {'a': end, 'b': end}, n=4)(KEY, 2.0)['map_errors'][1]) == {
        'method',
        '1, error',
        '1, of the deviation',
    }


def test_errors_after_each_step_are_distances_from_the_ode_at_the_same_time():
    def way(key, state, n):
        return jnp.stack([end(key, state, n) * share for share in (0.75, 0.5, 0.25, 1.0)])

    def chain(*errors):
        def sample(key, state, n):
            frames = way(key, state, n)[4 // len(errors) - 1 :: 4 // len(errors)]
            off = jnp.asarray(errors, jnp.float32) / np.float32(np.sqrt(2))
            return frames + off[:, None, None]

        return sample

    chains = {'a': {1: chain(0.5), 2: chain(0.25, 0.125)}}
    found = step_errors(chains, {'a': way}, n=400)(KEY, jnp.float32(2.0))
    assert found['error_a_1'] == pytest.approx(0.5, rel=1e-5)
    assert found['error_a_2'] == pytest.approx(0.125, rel=1e-5)
    one, two = found['step_errors']
    assert (one['method'], one['steps'], two['steps']) == ('a', 1, 2)
    ends = np.asarray(end(KEY, 2.0, 400), np.float64)
    deviation = np.sqrt(np.mean(np.sum((ends - ends.mean(0)) ** 2, -1)))
    assert set(one) == {'method', 'steps', 'after 1'}
    assert two['after 1'] == f'{0.25 / deviation:.2%}'
    assert two['after 2'] == f'{0.125 / deviation:.2%}'
    assert found['step_by_step'].dtype == np.uint8 and found['step_by_step'].std() > 10
    with pytest.raises(ValueError, match='^steps is 3; the ODE of a has 4 frames$'):
        step_errors({'a': {3: chain(0.5)}}, {'a': way}, n=4)(KEY, 2.0)


def test_the_table_has_a_row_for_each_number_of_evaluations():
    def comparison_of(classes):
        features = Features(np.zeros((20, 1)), np.eye(2)[classes])
        scores = [types.SimpleNamespace(name='distance', value=len(set(classes)))]
        return types.SimpleNamespace(
            sample_features=lambda state: features, score=lambda features: scores
        )

    right = comparison_of(np.arange(20) % 2)
    wrong = comparison_of(np.zeros(20, int))
    found = steps_table({'1': wrong, '50 of the ODE': right}, 2)(KEY, None)
    assert found == {
        'evaluations': [
            {'evaluations': '1', 'label accuracy': '0.5000', 'distance': '1'},
            {'evaluations': '50 of the ODE', 'label accuracy': '1.0000', 'distance': '2'},
        ]
    }
    (row,) = steps_table({'1': wrong}, None)(KEY, None)['evaluations']
    assert set(row) == {'evaluations', 'distance'}

"""The weights of a state by name: out of one, and into another."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from genjax.algorithms.gan.players import Player, State
from genjax.descent import Fit, descend
from genjax.weights.states import compare, has_fit, weights_of, with_weights
from tests.trees import assert_trees_equal

NAMES = ['dense/bias', 'dense/kernel', 'gain']


def params(seed, width=3):
    rng = np.random.default_rng(seed)
    kernel, bias = rng.normal(size=(2, width)), rng.normal(size=width)
    dense = {'kernel': jnp.float32(kernel), 'bias': jnp.float32(bias)}
    return {'dense': dense, 'gain': jnp.float32(rng.normal())}


def fit(seed, **options):
    """A fit in training: its average is not its parameters."""
    begun = descend(None, optax.adam(0.1), others={'slow': 0.9}).init(params(seed, **options))
    return begun._replace(average=params(seed + 100, **options), updates=jnp.int32(7))


def game(seed):
    """The state of a game: two fits, and what a network carries beside its parameters."""
    statistics = {'batch_stats': {'mean': jnp.full(4, jnp.float32(seed))}}
    return State(Player(fit(seed), statistics), Player(fit(seed + 1), {}))


def test_names_are_the_paths_of_parameters_and_averages():
    state = fit(0)
    weights = weights_of(state)
    kinds = ('average', 'params')
    assert sorted(weights) == sorted(f'{kind}/{name}' for kind in kinds for name in NAMES)
    np.testing.assert_array_equal(weights['params/dense/kernel'], state.params['dense']['kernel'])
    assert set(weights_of(game(0))) == {
        'generator/variables/batch_stats/mean',
        *(f'{who}/fit/{name}' for who in ('generator', 'discriminator') for name in weights),
    }


def test_a_state_begins_with_the_average_and_anew_in_all_else():
    new, source = fit(1), fit(0)
    begun = with_weights(new, weights_of(source))
    assert_trees_equal(
        begun,
        Fit(
            params=source.average,
            opt_state=new.opt_state,
            average=source.average,
            others={'slow': source.average},
            updates=new.updates,
        ),
    )
    buffers = [leaf.unsafe_buffer_pointer() for leaf in jax.tree.leaves(begun)]
    assert len(set(buffers)) == len(buffers)  # so that all can be donated

    parameters = {name: x for name, x in weights_of(source).items() if name.startswith('params/')}
    assert_trees_equal(with_weights(new, parameters).average, source.params)


def test_both_players_of_a_game_begin_with_what_their_networks_carry():
    begun = with_weights(game(5), weights_of(game(0)))
    assert_trees_equal(begun.generator.fit.params, game(0).generator.fit.average)
    assert_trees_equal(begun.discriminator.fit.average, game(0).discriminator.fit.average)
    assert_trees_equal(begun.generator.variables, game(0).generator.variables)
    assert begun.discriminator.variables == {}


def test_what_only_one_side_has_is_listed():
    weights = weights_of(fit(0))
    for kind in ('params', 'average'):
        weights[f'{kind}/other'] = weights.pop(f'{kind}/gain')
    found = compare(jax.eval_shape(lambda: fit(1)), weights)
    assert found.taken == {f'params/{name}': f'average/{name}' for name in NAMES[:2]}
    assert found.only_here == ['params/gain']
    assert found.only_there == ['params/other', 'average/other']
    begun = with_weights(fit(1), weights)
    assert begun.params['gain'] == fit(1).params['gain']  # as it was
    assert_trees_equal(begun.average, begun.params)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (
            {'average/dense/kernel': np.zeros((2, 4), np.float32)},
            r'^average/dense/kernel is float32 \[2, 4\] there and float32 \[2, 3\] here$',
        ),
        (
            {'average/gain': np.float16(1)},
            r'^average/gain is float16 \[\] there and float32 \[\] here$',
        ),
    ],
)
def test_another_shape_or_dtype_is_refused_by_name(change, message):
    with pytest.raises(ValueError, match=message):
        compare(fit(1), weights_of(fit(0)) | change)


def test_weights_of_other_names_alone_are_refused():
    with pytest.raises(ValueError, match=r'^it has no weights of these names: params/dense/bias, '):
        compare(fit(1), {'x': np.zeros(3)})


def test_a_state_without_a_fit_has_no_parameters():
    assert has_fit(game(0)) and has_fit(fit(0))
    assert not has_fit({'counts': jnp.zeros(3)})

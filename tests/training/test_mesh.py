"""Placement of states and batches; that all placements compute the same is tested over every
algorithm."""

import jax
import jax.numpy as jnp
import optax
import pytest
from jax.sharding import PartitionSpec as P

from genjax.base import Algorithm, Data
from genjax.descent import descend
from genjax.training import Every, Experiment, by_pmap, make_mesh, train
from genjax.training.mesh import placement
from tests.training.toy import gaussian_batches
from tests.trees import assert_trees_close_in_norm


def test_the_mesh_holds_all_devices_along_data_unless_asked():
    assert dict(make_mesh().shape) == {'data': 8}
    assert dict(make_mesh(model=2).shape) == {'data': 4, 'model': 2}
    with pytest.raises(ValueError, match='^model=3 does not divide the 8 devices$'):
        make_mesh(model=3)


def test_the_first_rule_whose_components_end_the_path_places_a_leaf():
    tree = {
        'a': {'kernel': jnp.zeros((4, 6))},
        'big_kernel': jnp.zeros((4, 6)),
        'out': {'kernel': jnp.zeros((4, 3))},
    }
    rules = (('out/kernel', P()), ('kernel', P(None, 'model')))
    places = placement(make_mesh(model=2), rules, tree)
    assert places['a']['kernel'].spec == P(None, 'model')
    assert places['big_kernel'].spec == P()
    assert places['out']['kernel'].spec == P()


def test_an_axis_that_the_mesh_lacks_splits_nothing():
    places = placement(make_mesh(), (('kernel', P(None, 'model')),), {'kernel': jnp.zeros((4, 3))})
    assert places['kernel'].is_fully_replicated


def test_a_rule_that_does_not_fit_is_named():
    rules = (('kernel', P(None, 'model')),)
    for shape in ((4, 3), (4,)):
        with pytest.raises(ValueError, match=r'^rule .* does not fit net/kernel of shape '):
            placement(make_mesh(model=2), rules, {'net': {'kernel': jnp.zeros(shape)}})


def regression():
    """Linear regression of x's sum on x, whose weights [3, 4] a rule can split."""

    def losses(key, params, batch):
        error = batch['x'] @ params['kernel'] - batch['x'].sum(-1, keepdims=True)
        return {'loss': jnp.sum(error**2, -1)}

    descent = descend(losses, optax.adam(0.05), decay=0.9)

    def init(key, batch):
        return descent.init({'kernel': jax.random.normal(key, (3, 4))})

    algorithm = Algorithm(
        init, descent.update, lambda key, state, batch: losses(key, state.average, batch)
    )
    return Experiment(algorithm, Data(gaussian_batches(), []), {})


def test_split_parameters_train_as_whole_ones():
    options = dict(seed=0, steps=40, every=Every(10, 40, 40))
    whole = train(regression(), mesh=make_mesh(jax.devices()[:1]), **options)
    split = train(
        regression(), mesh=make_mesh(model=4), rules=(('kernel', P(None, 'model')),), **options
    )
    for leaf in (split.params, split.opt_state[0].mu, split.opt_state[0].nu, split.average):
        assert leaf['kernel'].sharding.spec == P(None, 'model')
        assert leaf['kernel'].addressable_shards[0].data.shape == (3, 1)
    assert_trees_close_in_norm(whole, split, 1e-5)


def test_pmap_refuses_a_second_axis():
    with pytest.raises(ValueError, match="^pmap needs a mesh with the one axis 'data'"):
        by_pmap(lambda *args: args, make_mesh(model=2), None)

"""Samples that follow from their numbers alone, on any devices and in any order."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.base import Algorithm, Data
from genjax.parallel import example_keys, shard_batch
from genjax.training import Experiment, Labelled, generate, make_mesh, run_keys

STATE = {'shift': jnp.full(4, 0.25), 'unused': jnp.zeros(2)}


def draw(key, state, label):
    """A vector of noise about the label, by what algorithms use to be split over devices."""
    noise_key, place_key = jax.random.split(key)
    noise = shard_batch(jax.random.normal(noise_key, (len(label), 4)))
    own = jax.vmap(jax.random.normal)(example_keys(place_key, len(label)))
    return noise + own[:, None] + state['shift'][None] + 10 * label.astype(float)[:, None]


def sample(key, state, n):
    return draw(key, state, jnp.zeros(n, jnp.int32))


def experiment(labelled=False, **maps):
    algorithm = Algorithm(None, None, None, **({'sample': sample} | maps))
    of_labels = Labelled(draw, classes=5) if labelled else None
    return Experiment(algorithm, Data([], []), {}, labelled=of_labels)


def drawn(*args, devices=1, **options):
    mesh = make_mesh(jax.devices()[:devices])
    return generate(*args, mesh=mesh, **({'seed': 3, 'numbers': range(50)} | options))


def test_a_sample_is_what_the_algorithm_makes_of_the_key_of_its_number():
    found = drawn(experiment(), STATE, batch=8)
    assert found.shape == (50, 4) and found.dtype == np.float32
    for i in (0, 7, 8, 49):
        key = jax.random.fold_in(run_keys(3).samples, i)
        np.testing.assert_allclose(found[i], sample(key, STATE, 1)[0], rtol=1e-6)
    assert len(np.unique(found)) == found.size
    assert not np.isin(found, drawn(experiment(), STATE, batch=8, seed=4)).any()


@pytest.mark.parametrize('devices', [2, 8])
def test_devices_change_no_bit(devices):
    one = drawn(experiment(labelled=True), STATE, batch=6)
    assert np.array_equal(drawn(experiment(labelled=True), STATE, batch=6, devices=devices), one)


def test_a_state_that_is_split_over_devices_changes_no_bit():
    mesh = make_mesh(jax.devices()[:4], model=2)
    split = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec('model'))
    state = jax.device_put(STATE, split)
    found = generate(experiment(), state, seed=3, numbers=range(50), mesh=mesh)
    assert np.array_equal(found, drawn(experiment(), STATE))


def test_batches_differ_by_rounding_alone():
    a, b = (drawn(experiment(), STATE, batch=batch) for batch in (1, 64))
    np.testing.assert_allclose(a, b, rtol=1e-6)


def test_numbers_come_in_the_order_that_is_asked_for():
    numbers = [41, 3, 3, 16]
    whole = drawn(experiment(labelled=True), STATE, batch=8, devices=2)
    some = drawn(experiment(labelled=True), STATE, batch=8, devices=2, numbers=numbers)
    assert np.array_equal(some, whole[numbers])
    assert drawn(experiment(), STATE, numbers=[]).shape == (0, 4)


def test_labels_are_taken_in_turn_by_number():
    near = drawn(experiment(labelled=True), STATE, batch=7).mean(1) / 10
    assert np.rint(near).astype(int).tolist() == [i % 5 for i in range(50)]
    near = drawn(experiment(labelled=True), STATE, batch=7, labels=[4, 1], numbers=[5, 6, 7])
    assert np.rint(near.mean(1) / 10).astype(int).tolist() == [1, 4, 1]


def test_images_of_the_experiment_come_before_what_the_algorithm_samples():
    def images(key, state, n):
        return sample(key, state, n).reshape(n, 2, 2, 1)

    viewed = experiment()._replace(images=images)
    assert np.array_equal(
        drawn(viewed, STATE, batch=8).reshape(50, 4), drawn(experiment(), STATE, batch=8)
    )


@pytest.mark.parametrize(
    ('made', 'labels', 'says'),
    [
        (experiment(labelled=True), [5], r'labels are \[5\]; they must lie in 0..4'),
        (experiment(labelled=True), [], r'labels are \[\]; they must lie in 0..4'),
        (experiment(), [1], r'labels are \[1\]; the model has none'),
        (experiment(sample=None), None, 'the algorithm defines no samples'),
        (
            experiment(sample=lambda key, state, n: {'x': jnp.zeros((n, 2))}),
            None,
            'sample gives dict; one array is needed',
        ),
    ],
)
def test_refuses_what_cannot_be_drawn(made, labels, says):
    with pytest.raises(ValueError, match=f'^{says}$'):
        drawn(made, STATE, labels=labels)

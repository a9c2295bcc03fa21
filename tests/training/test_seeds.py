"""Several seeds as one program: each run is the run it would be alone."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.base import Data, Resident
from genjax.training import (
    Every,
    NonFinite,
    Unlike,
    checkpoint,
    loop,
    make_mesh,
    observe,
    take_same_steps,
    train,
    train_seeds,
)
from genjax.training.joint import distinct
from genjax.training.seeds import groups
from tests.contracts.cases import ALGORITHMS
from tests.marks import slow
from tests.training.toy import gaussian_batches, toy
from tests.trees import assert_trees_close_in_norm, assert_trees_equal

EVERY = Every(log=10, evaluate=20, save=20)
SEEDS = (3, 0, 8)


def own(seed):
    """The toy with batches that the seed draws."""
    draw = gaussian_batches().make_batch
    return toy()._replace(data=Data(Resident(jax.random.key(seed), draw), toy().data.test))


def run(experiments, folder=None, devices=1, **options):
    workdirs = None if folder is None else [folder / str(seed) for seed in SEEDS]
    given = dict(
        seeds=SEEDS,
        steps=50,
        mesh=make_mesh(jax.devices()[:devices]),
        every=EVERY,
        workdirs=workdirs,
    )
    return train_seeds(experiments, **given | options)


def alone(experiment, seed, **options):
    return train(
        experiment,
        **dict(seed=seed, steps=50, mesh=make_mesh(jax.devices()[:1]), every=EVERY) | options,
    )


def lines(workdir):
    rows = [json.loads(line) for line in (workdir / 'metrics.jsonl').read_text().splitlines()]
    return [
        {name: value for name, value in row.items() if not name.startswith('time/')} for row in rows
    ]


def assert_alike(folder, other, rel=1e-5):
    for a, b in zip(lines(folder), lines(other), strict=True):
        assert a == pytest.approx(b, rel=rel)


def norm(tree):
    return np.sqrt(sum(np.sum(np.asarray(x, np.float64) ** 2) for x in jax.tree.leaves(tree)))


@pytest.mark.parametrize('devices', [1, slow(8)])
def test_each_run_is_what_it_is_alone(devices, tmp_path):
    states = run([own(seed) for seed in SEEDS], tmp_path / 'together', devices)
    for seed, state in zip(SEEDS, states, strict=True):
        assert_trees_close_in_norm(
            state, alone(own(seed), seed, workdir=tmp_path / f'{seed}'), 1e-5
        )
        assert_alike(tmp_path / 'together' / str(seed), tmp_path / f'{seed}')
    means = np.stack([state.params['mean'] for state in states])
    assert len(np.unique(means.round(3), axis=0)) == len(SEEDS)


@pytest.mark.slow
def test_as_many_runs_as_devices_are_split_over_them():
    seeds, mesh = range(8), make_mesh()
    states = train_seeds([own(s) for s in seeds], seeds=seeds, steps=20, mesh=mesh, every=EVERY)
    for seed in (0, 7):
        assert_trees_close_in_norm(states[seed], alone(own(seed), seed, steps=20), 1e-5)


@pytest.mark.parametrize('name', ['vae', *map(slow, ('word2vec', 'gan', 'ddpm'))])
@pytest.mark.slow
def test_every_kind_of_algorithm_is_what_it_is_alone(name, tmp_path):
    """States as a whole: a bias before a norm is made of rounding errors, which Adam makes as large
    as steps."""
    experiment, options = ALGORITHMS[name](), dict(steps=12, every=Every(4, 12, 12))
    places = [tmp_path / 'a', tmp_path / 'b']
    _, ours = run([experiment] * 2, seeds=(7, 0), workdirs=places, **options)
    expected = alone(experiment, 0, workdir=tmp_path / 'alone', **options)
    assert norm(jax.tree.map(jnp.subtract, ours, expected)) <= 1e-5 * norm(expected)
    assert_alike(tmp_path / 'b', tmp_path / 'alone')


@pytest.mark.slow
def test_host_data_of_each_run_arrive_in_its_own_order():
    class Host:
        def __init__(self, seed):
            self.train = own(seed).data.train

        def __getitem__(self, step):
            return jax.tree.map(np.asarray, self.train[step])

    host = [toy()._replace(data=Data(Host(seed), toy().data.test)) for seed in SEEDS]
    for ours, expected in zip(
        run(host, steps_per_call=7),
        run([own(seed) for seed in SEEDS], steps_per_call=7),
        strict=True,
    ):
        assert_trees_close_in_norm(ours, expected, 1e-6)


class Killed(Exception):
    """Stands for a signal that no one hears."""


@pytest.mark.parametrize('saved', [0, slow(2)])
def test_a_kill_between_two_saves_is_made_up_for_to_the_bit(saved, tmp_path, monkeypatch):
    """Killed when so many of the runs have saved step 40 and the others have not."""
    experiments = [own(seed) for seed in SEEDS]
    whole = run(experiments, tmp_path / 'whole')

    def save_call(recorder, tally, call, observations):
        workdir = recorder.checkpoints.directory.parent
        if call.step == 40 and workdir.name == str(SEEDS[saved]):
            raise Killed
        return observe.save_call(recorder, tally, call, observations)

    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(loop, 'save_call', save_call)
        run(experiments, tmp_path / 'parts')
    has = [(tmp_path / 'parts' / str(seed) / 'checkpoints/40').exists() for seed in SEEDS]
    assert has == [i < saved for i in range(len(SEEDS))]
    again = run(experiments, tmp_path / 'parts')
    for seed, a, b in zip(SEEDS, again, whole, strict=True):
        assert_trees_equal(a, b)
        assert lines(tmp_path / 'parts' / str(seed)) == lines(tmp_path / 'whole' / str(seed))


@pytest.mark.slow
def test_an_interruption_saves_all_and_each_may_go_on_alone(tmp_path):
    whole = run([own(seed) for seed in SEEDS], tmp_path / 'whole')
    asked = iter([False] * 3 + [True] * 100)
    run(
        [own(seed) for seed in SEEDS],
        tmp_path / 'parts',
        steps_per_call=7,
        interrupted=lambda: next(asked),
    )
    for seed, state in zip(SEEDS, whole, strict=True):
        assert_trees_close_in_norm(
            alone(own(seed), seed, workdir=tmp_path / 'parts' / str(seed)), state, 1e-5
        )
        assert_alike(tmp_path / 'parts' / str(seed), tmp_path / 'whole' / str(seed))


def test_runs_that_stand_at_different_steps_are_groups():
    assert groups([[], [], []]) == {0: [0, 1, 2]}
    assert groups([[10, 20], [20, 30], [20]]) == {20: [0, 1, 2]}
    assert groups([[10, 20], [], [20]]) == {0: [1], 20: [0, 2]}
    assert groups([[10], [20]]) == {10: [0], 20: [1]}


@pytest.mark.slow
def test_groups_come_to_the_same_end(tmp_path):
    alone(own(SEEDS[1]), SEEDS[1], workdir=tmp_path / str(SEEDS[1]), until=20)
    for seed, state in zip(SEEDS, run([own(seed) for seed in SEEDS], tmp_path), strict=True):
        assert_trees_close_in_norm(state, alone(own(seed), seed), 1e-5)
        with checkpoint.open_checkpoints(tmp_path / str(seed), '') as saved:
            assert saved.latest_step() == 50


@pytest.mark.slow
def test_a_run_that_is_not_finite_ends_alone(tmp_path):
    bad = own(SEEDS[1])

    def draw(held, step):
        return {'x': jnp.where(step == 36, jnp.nan, gaussian_batches().make_batch(held, step)['x'])}

    bad = bad._replace(data=bad.data._replace(train=Resident(jax.random.key(SEEDS[1]), draw)))
    experiments = [own(SEEDS[0]), bad, own(SEEDS[2])]
    with pytest.raises(NonFinite, match='^step 37: loss is nan$'):
        run(experiments)
    told = []
    states = run(experiments, tmp_path, lost=lambda i, error: told.append((i, str(error))))
    assert told == [(1, 'step 37: loss is nan')] and states[1] is None
    for i in (0, 2):
        assert_trees_close_in_norm(states[i], alone(own(SEEDS[i]), SEEDS[i]), 1e-5)
    assert sorted(path.name for path in (tmp_path / str(SEEDS[1]) / 'checkpoints').iterdir()) == [
        '20'
    ]


@pytest.mark.parametrize('constant', [np.ones, jnp.ones])
def test_updates_that_hang_on_the_seed_are_refused(constant):
    other = toy(factor=lambda errors: 2 * constant(errors.shape, np.float32))
    message = 'run 3 of 3 has another update or other probes than the first'
    with pytest.raises(Unlike, match=f'^{message}; only data may hang on the seed$'):
        run([toy(), toy(), other])


def test_steps_are_the_same_where_update_batches_and_data_are():
    mesh = make_mesh(jax.devices()[:1])

    def same(other):
        return take_same_steps(toy(), other, mesh=mesh)

    assert same(toy())
    assert not same(toy(factor=lambda errors: 2 * np.ones(errors.shape, np.float32)))
    data = toy().data

    def with_train(**changes):
        return toy()._replace(data=data._replace(train=dataclasses.replace(data.train, **changes)))

    assert same(with_train())
    assert not same(with_train(fingerprint='others'))
    make = data.train.make_batch
    assert not same(with_train(make_batch=lambda arrays, step: make(arrays, 2 * step)))


def test_equal_data_are_held_once():
    a, b = (
        {'x': np.arange(3), 'key': jax.random.key(0)},
        {'x': np.arange(3), 'key': jax.random.key(1)},
    )
    held, owner = distinct([a, b, dict(a), b])
    assert held == [a, b] and owner == [0, 1, 0, 1]

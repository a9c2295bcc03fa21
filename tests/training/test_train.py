"""The trainer: what a fold must keep, on a toy whose every number is known."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.base import Data, Resident
from genjax.training import (
    Every,
    NonFinite,
    Probe,
    by_jit,
    by_pmap,
    evaluate,
    make_mesh,
    restore,
    run_keys,
    train,
)
from genjax.training.schedule import spans
from tests.marks import slow
from tests.training.toy import BATCH, toy
from tests.trees import assert_trees_close_in_norm, assert_trees_equal

EVERY = Every(log=10, evaluate=20, save=20)


def one_device():
    return make_mesh(jax.devices()[:1])


def run(experiment, **options):
    return train(
        experiment, **{'seed': 0, 'steps': 50, 'mesh': one_device(), 'every': EVERY, **options}
    )


def lines(workdir):
    rows = [json.loads(line) for line in (workdir / 'metrics.jsonl').read_text().splitlines()]
    return [{name: v for name, v in row.items() if not name.startswith('time/')} for row in rows]


def by_hand(steps, seed=0):
    """The fold as its definition says it: no scan, no donation, no device but one. (state, metrics
    by step)."""
    algorithm, data = toy()[:2]
    state = algorithm.init(run_keys(seed).init, data.train[0])
    seen = []
    for step in range(steps):
        state, metrics = jax.jit(algorithm.update)(
            jax.random.fold_in(jax.random.key(seed), step), state, data.train[step]
        )
        seen.append(metrics)
    return state, seen


def test_train_is_the_fold_of_its_definition(tmp_path):
    state, seen = by_hand(50)
    assert_trees_close_in_norm(run(toy(), workdir=tmp_path), state, 1e-5)
    for row in lines(tmp_path):
        steps = seen[row['step'] - 10 : row['step']]
        assert row['loss'] == pytest.approx(np.mean([m['loss'] for m in steps]), rel=1e-5)
    assert [row['step'] for row in lines(tmp_path)] == [10, 20, 30, 40, 50]


@pytest.mark.parametrize('steps_per_call', [slow(2), 7, slow(100)])
def test_steps_in_a_call_do_not_matter(steps_per_call, tmp_path):
    assert_trees_close_in_norm(
        run(toy(), steps_per_call=1, workdir=tmp_path / '1'),
        run(toy(), steps_per_call=steps_per_call, workdir=tmp_path / 'n'),
        1e-6,
    )
    for one, many in zip(lines(tmp_path / '1'), lines(tmp_path / 'n'), strict=True):
        assert one == pytest.approx(many, rel=1e-5)


def on_host():
    """The toy with its batches on the host."""
    data = toy().data

    class Host:
        def __getitem__(self, step):
            return jax.tree.map(np.asarray, data.train[step])

    return toy()._replace(data=Data(Host(), data.test))


def test_a_host_data_set_trains_as_the_resident_one():
    assert_trees_close_in_norm(run(toy(), steps_per_call=7), run(on_host(), steps_per_call=7), 1e-6)
    assert_trees_close_in_norm(run(toy(), steps_per_call=7), run(on_host(), steps_per_call=1), 1e-6)


def test_host_data_go_on_from_where_a_run_stopped(tmp_path):
    whole = run(on_host(), steps_per_call=7)
    for until in (7, 33):
        run(on_host(), steps_per_call=7, workdir=tmp_path, until=until)
    assert_trees_equal(run(on_host(), steps_per_call=7, workdir=tmp_path), whole)


@pytest.mark.parametrize('steps_per_call', [slow(1), 7])
def test_resume_is_exact_to_the_bit(steps_per_call, tmp_path):
    whole = run(toy(), steps_per_call=steps_per_call, workdir=tmp_path / 'whole')
    for until in (7, 20, 33):
        run(toy(), steps_per_call=steps_per_call, workdir=tmp_path / 'parts', until=until)
    assert_trees_equal(run(toy(), steps_per_call=steps_per_call, workdir=tmp_path / 'parts'), whole)
    assert lines(tmp_path / 'parts') == lines(tmp_path / 'whole')


def test_lines_after_the_checkpoint_are_written_again_not_twice(tmp_path):
    run(toy(), workdir=tmp_path, until=30)
    before = lines(tmp_path)
    with open(tmp_path / 'metrics.jsonl', 'a') as file:
        file.write(
            '{"step": 40, "loss": 1.0}\n{"step": 50, "lo'
        )  # of a process killed before its next checkpoint
    run(toy(), workdir=tmp_path)
    assert lines(tmp_path)[:3] == before
    assert [row['step'] for row in lines(tmp_path)] == [10, 20, 30, 40, 50]


def test_a_finished_run_is_left_as_it_is(tmp_path):
    state = run(toy(), workdir=tmp_path)
    before = (tmp_path / 'metrics.jsonl').read_bytes()
    assert_trees_equal(run(toy(), workdir=tmp_path), state)
    assert (tmp_path / 'metrics.jsonl').read_bytes() == before


def test_the_latest_two_checkpoints_and_the_best_stay(tmp_path):
    scores = iter([3.0, 1.0, 2.0, 5.0, 4.0])
    experiment = toy()._replace(
        probes={'score': Probe(10, lambda key, state: {'value': next(scores)})}
    )
    run(experiment, workdir=tmp_path, every=Every(10, 50, 10), best='score/value')
    assert sorted(int(path.name) for path in (tmp_path / 'checkpoints').iterdir()) == [20, 40, 50]


def test_a_checkpoint_restores_on_another_number_of_devices(tmp_path):
    state = run(toy(), mesh=make_mesh(jax.devices()[:2]), workdir=tmp_path)
    for devices in (1, 8):
        step, found = restore(toy(), mesh=make_mesh(jax.devices()[:devices]), workdir=tmp_path)
        assert step == 50
        assert_trees_equal(found, state)
        assert found.params['mean'].sharding.num_devices == devices


def test_restore_without_a_checkpoint_says_so(tmp_path):
    with pytest.raises(FileNotFoundError, match='no checkpoint in'):
        restore(toy(), mesh=one_device(), workdir=tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('steps_per_call', [1, 7])
def test_one_trace_of_update_and_one_of_evaluate_a_run(steps_per_call):
    traces = []
    run(toy(observe=lambda: traces.append(1)), steps_per_call=steps_per_call, until=43)
    assert len(traces) == 2


@pytest.mark.parametrize(
    ('parallel', 'devices'), [(by_jit, 1), (by_pmap, 4), slow(by_jit, 4), slow(by_pmap, 1)]
)
def test_a_loss_that_is_not_finite_stops_the_run_and_names_step_and_metric(
    parallel, devices, tmp_path
):
    at_step = toy(factor=lambda e: jnp.where(jnp.arange(len(e)) == 3, jnp.inf, 1.0))

    def bad(held, step):
        return {'x': jnp.where(step == 36, jnp.nan, toy().data.train.make_batch(held, step)['x'])}

    late = toy()._replace(data=toy().data._replace(train=Resident(jax.random.key(7), bad)))
    mesh = make_mesh(jax.devices()[:devices])
    with pytest.raises(NonFinite, match=r'^step 1: loss is inf$'):
        run(at_step, mesh=mesh, parallel=parallel)
    with pytest.raises(NonFinite, match=r'^step 37: loss is nan$'):
        run(late, steps_per_call=7, workdir=tmp_path, mesh=mesh, parallel=parallel)
    assert restore(late, mesh=mesh, workdir=tmp_path)[0] == 20


def test_a_state_with_a_nan_is_never_saved(tmp_path):
    experiment = toy()

    def init(key, batch):
        return experiment.algorithm.init(key, batch)._replace(
            average={'mean': jnp.full(3, jnp.nan)}
        )

    with pytest.raises(NonFinite, match='step 20: average/mean holds a NaN'):
        run(
            experiment._replace(algorithm=experiment.algorithm._replace(init=init)),
            workdir=tmp_path,
        )
    assert not [path for path in (tmp_path / 'checkpoints').iterdir() if path.name.isdigit()]


@pytest.mark.parametrize('devices', [1, 8])
def test_evaluation_is_the_exact_mean_over_the_test_set(devices):
    experiment = toy()

    def distance(key, state, batch):
        return {'square': jnp.sum((batch['x'] - state.params['mean'][None]) ** 2, -1)}

    experiment = experiment._replace(algorithm=experiment.algorithm._replace(evaluate=distance))
    mesh = make_mesh(jax.devices()[:devices])
    state = run(experiment, mesh=mesh)
    rows = np.concatenate([batch['x'] for batch in experiment.data.test]).astype(np.float64)
    expected = np.mean(np.sum((rows - np.asarray(state.params['mean'], np.float64)) ** 2, -1))
    seen = evaluate(experiment, state, seed=0, mesh=mesh)
    assert seen == {'test/square': pytest.approx(expected, rel=1e-6)}


def test_an_evaluate_that_is_not_per_example_is_refused():
    experiment = toy()

    def mean(key, state, batch):
        return {'square': jnp.mean(batch['x'])}

    experiment = experiment._replace(algorithm=experiment.algorithm._replace(evaluate=mean))
    with pytest.raises(ValueError, match=r'evaluate gave square of shape \(\) for 16 examples'):
        run(experiment)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'steps': 0}, 'steps is 0; at least 1 step is needed'),
        ({'until': 0}, 'until is 0; at least 1 step is needed'),
        ({'steps_per_call': 0}, 'steps_per_call is 0; at least 1 step is needed'),
        ({'every': Every(log=0)}, 'log is 0; at least 1 step is needed'),
        ({'mesh': 3}, f'batch is {BATCH}, which the 3 devices do not divide'),
    ],
)
def test_impossible_numbers_are_refused_before_anything_is_written(options, message, tmp_path):
    if 'mesh' in options:
        options = {'mesh': make_mesh(jax.devices()[: options['mesh']])}
    with pytest.raises(ValueError, match=f'^{message}$'):
        run(toy(), workdir=tmp_path / 'run', **options)
    assert not (tmp_path / 'run').exists()


def test_spans_cut_at_every_interval_and_cover_every_step_once():
    made = list(spans(3, 47, 10, [10, 15]))
    assert [step for first, count in made for step in range(first, first + count)] == list(
        range(3, 47)
    )
    ends = {first + count for first, count in made}
    assert {10, 15, 20, 30, 40, 45, 47} <= ends
    assert max(count for _, count in made) <= 10


@pytest.mark.parametrize('steps_per_call', [slow(1), 7])
def test_an_interrupted_run_saves_where_it_is_and_goes_on_to_the_bit(steps_per_call, tmp_path):
    whole = run(toy(), steps_per_call=steps_per_call, workdir=tmp_path / 'whole')
    asked = iter([False] * 2 + [True] * 100)
    run(
        toy(),
        steps_per_call=steps_per_call,
        workdir=tmp_path / 'parts',
        interrupted=lambda: next(asked),
    )
    step, _ = restore(toy(), mesh=one_device(), workdir=tmp_path / 'parts')
    assert 0 < step < 50
    assert step % EVERY.log  # so that there are sums to go on with
    assert_trees_equal(run(toy(), steps_per_call=steps_per_call, workdir=tmp_path / 'parts'), whole)
    assert lines(tmp_path / 'parts') == lines(tmp_path / 'whole')

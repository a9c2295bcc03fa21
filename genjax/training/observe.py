"""What is done about a state on the way of a run: averages, evaluation, probes, checkpoints."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from genjax.base import State
from genjax.training import checkpoint
from genjax.training.evaluation import evaluator
from genjax.training.experiment import Experiment, Keys
from genjax.training.mesh import (
    Mesh,
    broadcast_from_coordinator,
    make_mesh,
    put,
    replicated,
    to_local_device,
)
from genjax.training.report import Report
from genjax.training.schedule import Due
from genjax.training.values import Values
from genjax.waiting import doing


class NonFinite(ArithmeticError):
    """A metric is not finite, or a part of the state is not a number.

    Attributes:
      step: the number of steps that had been taken.
      what: the metric, or the path of the leaf.
    """

    def __init__(self, step: int, what: str, how: str):
        super().__init__(f'step {step}: {what} {how}')
        self.step = step
        self.what = what


class Call(NamedTuple):
    """What one compiled call came to."""

    step: int  # the number of steps that have been taken
    metrics: dict[str, np.ndarray]  # name -> its value at each step of the call, [count]
    state: State | None  # None where the device is at work on the next call already


class Tally(NamedTuple):
    """Sums over the steps since the last line of averages."""

    count: int = 0
    sums: dict[str, float] = {}


# (state, due) -> what the evaluation and the probes that are due say of a state
Observe = Callable[[State, Due], Values]


class Recorder(NamedTuple):
    """All that keeps what a run comes to."""

    observe: Observe
    report: Report
    checkpoints: Any  # as `checkpoint.open_checkpoints` gives them, or None
    best: str  # the metric by which a checkpoint is kept beside the latest


def observer(experiment: Experiment, keys: Keys, mesh: Mesh) -> Observe:
    """What a run with these keys observes of a state.

    Where several processes train, the coordinator alone runs the probes, on a state that was
    brought to one of its devices.
    """
    test_key = put(keys.test, replicated(mesh))
    means = evaluator(experiment.algorithm, experiment.data.test, test_key, mesh)
    names = sorted(experiment.probes)

    def observe(state, due):
        values = {}
        if due.evaluate:
            with doing('evaluating'):
                values = means(state)
        if due.probes:
            wanted = [(i, name) for i, name in enumerate(names) if name in due.probes]
            values |= _probe_values(experiment.probes, wanted, keys.probes, state, mesh)
        return values

    return observe


def _probe_values(probes, wanted, key, state, mesh):
    """The values of probes, whose numbers fix their keys."""
    if jax.process_count() > 1:
        state = to_local_device(state, mesh)
        if jax.process_index():
            return {}
        mesh = make_mesh(jax.local_devices()[:1])
    values = {}
    with jax.set_mesh(mesh):
        for i, name in wanted:
            with doing(f'measuring {name}'):
                measured = probes[name].measure(jax.random.fold_in(key, i), state)
            values |= {f'{name}/{what}': value for what, value in measured.items()}
    return values


def observe_call(recorder: Recorder, tally: Tally, call: Call, due: Due) -> tuple[Tally, Values]:
    """Adds a call's metrics to the tally, and writes a line of what is due.

    Returns:
      The tally, which begins anew after a line of averages, and what was observed of the state.

    Raises:
      NonFinite: a metric is not finite.
    """
    tally = add_metrics(tally, call.step, call.metrics)
    recorder.report.show(call.step, {name: row[-1] for name, row in call.metrics.items()})

    averages = {}
    if due.log:
        averages = _averages(tally) | recorder.report.clock(call.step)
        tally = Tally()

    observations = {} if call.state is None else recorder.observe(call.state, due)
    if averages or observations:
        recorder.report.write(call.step, averages | observations)
    return tally, observations


def save_call(recorder: Recorder, tally: Tally, call: Call, observations: Values) -> None:
    """Saves the state of a call, if it holds no NaN.

    Args:
      recorder: whose checkpoints may be None.
      tally: saved beside the state, so that the next line of averages is whole.
      call: whose state is not None.
      observations: of that state; the metric that is to be best may be among them.

    Raises:
      NonFinite: the state holds a NaN.
    """
    with_nan = [
        name for name, nan in zip(_paths(call.state), _has_nan(call.state), strict=True) if nan
    ]
    if with_nan:
        raise NonFinite(call.step, with_nan[0], 'holds a NaN')
    checkpoints = recorder.checkpoints
    if checkpoints is None or call.step in checkpoints.all_steps():
        return
    value = broadcast_from_coordinator(observations.get(recorder.best, math.nan))
    metrics = {} if math.isnan(value) else {recorder.best: value}
    checkpoint.save(checkpoints, call.step, call.state, tally._asdict(), metrics)


def _has_nan(state):
    return jax.device_get(_is_nan(state))


@jax.jit
def _is_nan(state):
    """Whether each leaf of a state holds a NaN."""

    def holds_nan(leaf):
        return jnp.isnan(leaf).any() if jnp.issubdtype(leaf.dtype, jnp.floating) else False

    return [holds_nan(leaf) for leaf in jax.tree.leaves(state)]


def _paths(tree):
    leaves = jax.tree.leaves_with_path(tree)
    return [jax.tree_util.keystr(path, simple=True, separator='/') for path, _ in leaves]


def add_metrics(tally: Tally, step: int, metrics: dict[str, np.ndarray]) -> Tally:
    """Adds the metrics of the steps up to `step`.

    They are added one by one, so that the sums do not depend on how the steps fall into calls.

    Args:
      tally: the sums before.
      step: the last of the steps.
      metrics: name -> values, one a step.

    Raises:
      NonFinite: one of them is not finite.
    """
    count = len(next(iter(metrics.values())))
    # The loss comes first: it is what an error should name.
    names = sorted(metrics, key=lambda name: name != 'loss')
    sums = dict(tally.sums)
    for i in range(count):
        for name in names:
            value = metrics[name][i]
            if not math.isfinite(value):
                raise NonFinite(step - count + i + 1, name, f'is {value}')
            sums[name] = sums.get(name, 0.0) + float(value)
    return Tally(tally.count + count, sums)


def _averages(tally):
    return {name: total / tally.count for name, total in tally.sums.items()}

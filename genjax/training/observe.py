"""What is done about a state on the way of a run: averages, evaluation, probes, the report and
checkpoints."""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from genjax.base import Algorithm, Batch, Key, State
from genjax.training import checkpoint
from genjax.training.evaluation import evaluator
from genjax.training.mesh import Mesh, at_home, from_first, make_mesh
from genjax.training.report import Report, Values


class Probe(NamedTuple):
    every: int  # steps
    measure: Callable[[Key, State], Values]
    scores: bool = (
        False  # part of an evaluation: quick, and numbers, texts or tables that can be printed
    )


class NonFinite(ArithmeticError):
    """A metric is not finite, or a part of the state is not a number.

    step: the number of steps that had been taken. what: the metric, or the path of the leaf.
    """

    def __init__(self, step: int, what: str, how: str):
        super().__init__(f'step {step}: {what} {how}')
        self.step, self.what = step, what


class Tally(NamedTuple):
    """Sums over the steps since the last line of averages."""

    count: int = 0
    sums: dict[str, float] = {}


# look(state, due) -> what the evaluation and the probes that are due see
Look = Callable[[State, set[str]], Values]


def looker(
    algorithm: Algorithm,
    test: Sequence[Batch],
    probes: dict[str, Probe],
    test_key: Key,
    probe_key: Key,
    mesh: Mesh,
) -> Look:
    """The eyes of a run: 'evaluate' and 'probe NAME' are what can be due.

    Where several processes train, the first alone runs the probes, on a state that was brought to
    one of its devices.
    """
    means = evaluator(algorithm, test, test_key, mesh)
    ordered = sorted(probes.items())

    def look(state, due):
        values = means(state) if 'evaluate' in due else {}
        wanted = [
            (i, name, probe) for i, (name, probe) in enumerate(ordered) if f'probe {name}' in due
        ]
        return values | (_seen(state, wanted, probe_key, mesh) if wanted else {})

    return look


def _seen(state, wanted, key, mesh):
    if jax.process_count() > 1:
        state = at_home(state, mesh)
        if jax.process_index():
            return {}
        mesh = make_mesh(jax.local_devices()[:1])
    with jax.set_mesh(mesh):
        found = [
            (name, probe.measure(jax.random.fold_in(key, i), state)) for i, name, probe in wanted
        ]
    return {f'{name}/{what}': value for name, values in found for what, value in values.items()}


def watcher(
    look: Look, due: Callable[[int], set[str]], report: Report
) -> Callable[..., tuple[Tally, Values]]:
    """The function watch(tally, step, rows, state) -> (tally, what was seen), called after each
    call of a run.

    Args:
      look: sees what is due in a state.
      due: step -> 'log', 'evaluate', 'save' and the probes whose time it is.
      report: where averages and what was seen are written.

    Raises, when called:
      NonFinite: a metric is not finite.
    """

    def watch(tally, step, rows, state):
        tally = _added(tally, step, rows)
        report.show(step, {name: row[-1] for name, row in rows.items()})
        averages = {}
        if 'log' in due(step):
            averages, tally = _means(tally) | report.clock(step), Tally()
        seen = {} if state is None else look(state, due(step))
        if averages or seen:
            report.write(step, averages | seen)
        return tally, seen

    return watch


def save(saved: Any, best: str, step: int, state: State, tally: Tally, seen: Values) -> None:
    """Saves a state that holds no NaN.

    Args:
      saved: the checkpoints, or None.
      best: the metric by which one of them is kept, which may be among what was seen.

    Raises:
      NonFinite: it does hold one.
    """
    bad = [
        name for name, nan in zip(_paths(state), jax.device_get(_nans(state)), strict=True) if nan
    ]
    if bad:
        raise NonFinite(step, bad[0], 'holds a NaN')
    if saved is not None and step not in saved.all_steps():
        value = from_first(seen.get(best, math.nan))
        checkpoint.save(
            saved, step, state, tally._asdict(), {} if math.isnan(value) else {best: value}
        )


@jax.jit
def _nans(state):
    is_float = lambda leaf: jnp.issubdtype(leaf.dtype, jnp.floating)
    return [jnp.isnan(leaf).any() if is_float(leaf) else False for leaf in jax.tree.leaves(state)]


def _paths(tree):
    return [
        jax.tree_util.keystr(path, simple=True, separator='/')
        for path, _ in jax.tree.leaves_with_path(tree)
    ]


def _added(tally, step, rows):
    """Adds the metrics of the steps up to `step`, one by one, so that the sums do not depend on the
    calls."""
    count = len(next(iter(rows.values())))
    sums = dict(tally.sums)
    rows = sorted(
        rows.items(), key=lambda item: item[0] != 'loss'
    )  # the loss is what an error should name
    for i in range(count):
        for name, row in rows:
            if not math.isfinite(row[i]):
                raise NonFinite(step - count + i + 1, name, f'is {row[i]}')
            sums[name] = sums.get(name, 0.0) + float(row[i])
    return Tally(tally.count + count, sums)


def _means(tally):
    return {name: total / tally.count for name, total in tally.sums.items()}

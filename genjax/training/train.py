"""Training is a fold: one loop puts batches into a state and lets probes look at it on the way.

A checkpoint is (step, state). The key of a step is fold_in(key(seed), step) and its batch is
data.train[step], so nothing else has to be saved, and a run that was stopped goes on to the bit.

A batch on its way to metrics.jsonl:

    feed.py      make_batch(arrays, step)                    inside the compiled call
    loop.py      update(fold_in(key, step), state, batch)    steps_per_call of them in one call
    loop.py      Call(step, metrics, state)                  fetched one call late
    observe.py   add_metrics: the tally of sums              until a log is due
    report.py    write: a line of averages                   metrics.jsonl, TensorBoard, samples/
"""

import contextlib
import pathlib
from collections.abc import Callable

import jax
import jax.numpy as jnp

from genjax.base import State
from genjax.training.ahead import compile_ahead
from genjax.training.checkpoint import open_checkpoints
from genjax.training.experiment import Experiment, run_keys
from genjax.training.feed import (
    abstract_args,
    abstract_batch,
    as_feed,
    feed_args,
    first_batch,
)
from genjax.training.loop import dispatch, fold_steps, run_loop
from genjax.training.mesh import Compile, Mesh, Rules, by_jit, is_coordinator, put, replicated
from genjax.training.observe import Recorder, observer
from genjax.training.report import open_report
from genjax.training.schedule import Every, call_spans, make_schedule, pauses_at
from genjax.training.state import begin, check


def train(
    experiment: Experiment,
    *,
    seed: int,
    steps: int,
    mesh: Mesh,
    rules: Rules = (),
    workdir: pathlib.Path | str | None = None,
    until: int | None = None,
    every: Every = Every(),
    best: str = 'test/loss',
    steps_per_call: int | None = None,
    parallel: Compile = by_jit,
    interrupted: Callable[[], bool] = lambda: False,
) -> State:
    """Folds `steps` batches into a state, or goes on from the last checkpoint in the run directory.

    Args:
      experiment: the algorithm, its data and its probes.
      seed: all randomness of the run follows from it.
      steps: the length of the whole run.
      mesh: the devices.
      rules: for parts of the state that are split over the mesh.
      workdir: the run directory; without one nothing is written or resumed.
      until: stop after this step as a planned interruption would, leaving a checkpoint.
      every: steps between two lines of averages, two evaluations, two checkpoints.
      best: a metric of which lower is better; of the steps both evaluated and saved, the best is
        kept too.
      steps_per_call: at the most; by default what was measured for the backend.
      parallel: by_jit or by_pmap.
      interrupted: asked after each call; once it is true, the run saves and returns.

    Returns:
      The state at the end.

    Raises:
      ValueError: a number of steps below 1, or what does not fit, see `check`.
      NonFinite: the run went wrong; the checkpoints written before stay.
    """
    # 1. What can be known to be wrong is refused before anything is written.
    schedule = make_schedule(
        experiment.probes, steps=steps, until=until, every=every, steps_per_call=steps_per_call
    )
    abstract = check(experiment, mesh=mesh, rules=rules)
    keys = run_keys(seed)
    feed = as_feed(experiment.data.train)

    with jax.set_mesh(mesh), contextlib.ExitStack() as stack:
        checkpoints = None
        if workdir is not None:
            checkpoints = stack.enter_context(open_checkpoints(workdir, best))

        # 2. The program: many steps in one compiled call, the state donated.
        run = fold_steps(experiment.algorithm, feed, schedule.steps_per_call)
        shardings = jax.tree.map(lambda x: x.sharding, abstract)
        steps_key = put(keys.steps, replicated(mesh))
        program = parallel(run, mesh, shardings)
        if checkpoints is None or checkpoints.latest_step() is None:
            # A new state takes a while to make, and the compiler needs no more than its shapes.
            args = abstract_args(feed, mesh, schedule.steps_per_call)
            number = jax.ShapeDtypeStruct((), jnp.int32)
            program = compile_ahead(program, steps_key, abstract, args, number, number)

        # 3. The state: that of the last checkpoint, or a new one.
        shapes = abstract_batch(feed, mesh)
        start, state, tally = begin(
            experiment.algorithm,
            keys.init,
            shapes,
            lambda: first_batch(feed),
            abstract,
            checkpoints,
        )

        # 4. What keeps all that the run comes to: lines, pictures, checkpoints.
        folder = workdir if is_coordinator() else None
        report = stack.enter_context(open_report(folder, start=start, steps=steps))
        recorder = Recorder(observer(experiment, keys, mesh), report, checkpoints, best)

        # 5. The loop: call after call, and after each what is due.
        def pauses(step):
            return pauses_at(schedule, step) or interrupted()

        next_args = feed_args(feed, mesh, schedule.steps_per_call, start)
        spans = call_spans(schedule, start)
        calls = dispatch(program, steps_key, state, next_args, spans, pauses)
        last, _ = run_loop(calls, [recorder], [tally], schedule=schedule, interrupted=interrupted)
        return state if last is None else last

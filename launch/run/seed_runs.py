"""Runs that differ in their seed alone, trained as one program in one process: --vmap.

Each keeps a run directory as if it had been launched alone, and can be gone on with alone or
together.
"""

import contextlib
import os
from collections.abc import Mapping, Sequence
from typing import Any

from launch.cli import environment
from launch.cli.flags import pairs
from launch.cli.refusal import Refused, refusing
from launch.run import distributed
from launch.run.plan import Plan, plan
from launch.run.provenance import cores
from launch.sweep.points import Point, axis, status

SEED = '--config.seed='
RUNS = 4


def groups(found: Sequence[Point], workers: int) -> list[list[int]]:
    """The numbers of the points that are launched together: those that have something to do and the
    same command but for the seed, in as many parts as leave no worker idle. Every other point
    stands alone."""
    made, ready = {}, set()
    for i, point in enumerate(found):
        going = not point.trouble and status(point) != 'done'
        made.setdefault(_but_seed(point) if going else i, []).append(i)
        ready |= {_but_seed(point)} if going else set()
    parts = max(1, workers // max(1, len(ready)))
    return [group[i::parts] for group in made.values() for i in range(min(parts, len(group)))]


def programs(found: Sequence[Point]) -> int:
    """How many programs train the points at a time on a CPU: one a core, of which none has fewer
    than RUNS runs.

    A small model gains nothing from a second core, nor from more runs in a program than share its
    fixed costs.
    """
    going = sum(not point.trouble and status(point) != 'done' for point in found)
    return max(1, min(cores(), going // RUNS))


def _but_seed(point):
    return tuple(word for word in point.argv if not word.startswith(SEED))


def joined(points: Sequence[Point]) -> Point:
    """The one launch of a group; its log lies beside the first run's directory."""
    first, *others = points
    if not others:
        return first
    seeds = ','.join(point.texts['seed'] for point in points)
    return first._replace(
        texts=first.texts | {'seed': seeds}, argv=[*_but_seed(first), f'--vmap=seed={seeds}']
    )


def apart(
    found: Sequence[Point], groups: Sequence[Sequence[int]], ends: Mapping[int, Any]
) -> dict[int, Any]:
    """How the points ended, by their numbers, of how the groups did: a run that is done shares no
    failure of others."""
    concerned = lambda i, group: len(group) == 1 or status(found[i]) != 'done'
    return {
        i: end for place, end in ends.items() for i in groups[place] if concerned(i, groups[place])
    }


def plans(argv: Sequence[str]) -> list[Plan]:
    """Each run of a command line with --vmap seed=A,B,C.

    Raises:
      Refused: one of them cannot be launched.
    """
    if distributed.several(os.environ):
        raise Refused('--vmap trains in one process, and this is one of several')
    given = dict(pairs(argv))
    if axis(given['--vmap'])[0] != 'seed':
        raise Refused(
            f'--vmap is {given["--vmap"]}; without --sweep it takes seed=a,b,c or seed=0:4'
        )
    for name, why in {
        '--config.seed': 'it is given twice',
        '--workdir': 'each run has its own',
    }.items():
        if name in given:
            raise Refused(f'{name} is given with --vmap; {why}')
    if given.get('--mode', 'train') != 'train' or given.get('--parallel', 'jit') != 'jit':
        raise Refused('--vmap trains, and compiles by jit; it takes no --mode and no --parallel')
    shared = [f'{name}={text}' for name, text in pairs(argv) if name != '--vmap']
    traced: set[str] = set()
    return [plan([*shared, f'{SEED}{seed}'], traced) for seed in axis(given['--vmap'])[1]]


def train(argv: Sequence[str]) -> int:
    """Trains, or goes on with, all runs of a command line.

    Returns signals.STOPPED if a signal stopped them, else 3 if a number of one was not finite.
    """
    from launch.run import os_errors

    made = plans(argv)
    environment.tell_of_cache()
    return os_errors.told(lambda first: _train(made))(made[0])


def _train(made):
    from genjax.training.seeds import Unlike, require_alike
    from launch.run import actions, os_errors, rundir, signals

    with refusing(Unlike):
        require_alike([each.experiment for each in made], mesh=made[0].mesh, rules=made[0].rules)
    lost = []
    with contextlib.ExitStack() as stack:
        interrupted = stack.enter_context(signals.heard())
        for each in made:
            actions.hold(each, stack, together=len(made))
        try:
            _together(made, interrupted, lost)
        except Exception as error:
            with contextlib.suppress(OSError):  # of a disk that is full
                for each in made:
                    rundir.conclude(each.workdir, os_errors.reason(error))
            raise
        going = [each for i, each in enumerate(made) if i not in lost]
        for each in going:
            actions.show(each)
    return max([3 if lost else 0, *map(actions.ended, going)])


def _together(made, interrupted, lost):
    from genjax.training.checkpoint import Unrestorable
    from genjax.training.seeds import train_together
    from launch.run import actions

    def lose(i, error):
        lost.append(i)
        actions.lose(made[i], error)

    first = made[0]
    with refusing(Unrestorable):
        train_together(
            [each.experiment for each in made],
            seeds=[each.config.seed for each in made],
            workdirs=[each.workdir for each in made],
            interrupted=interrupted,
            lost=lose,
            mesh=first.mesh,
            rules=first.rules,
            **actions.options(first),
        )

"""python -m launch.replay RUN: takes steps of a run again, and says whether they come out as they
did.

RUN            a run directory, in which nothing is written
--steps K      so many steps; by default up to the first line of metrics.jsonl
--from STEP    from this checkpoint of the run on, by default to the next one, or else to the next
               line of metrics.jsonl
--step S       takes one step, the S-th, from where the newest checkpoint before it leads, and
               prints its metrics
--debug_nans   with --step: shows where in the program the first NaN, or else the first infinity,
               arises

Exit codes: 0 equal to the bit, or within 0.001 of each number and of the norm of each leaf of the
state where versions, devices, XLA's flags or --parallel, --mesh and --fold are others; 1 different;
2 refused, or there is nothing to compare with; 3 with --step, something is not finite that was
before.
"""

import pathlib
from collections.abc import Sequence
from typing import Any

from launch.cli import environment, readers
from launch.cli.refusal import Refused
from launch.cli.words import Option, only, parsed

COUNT = readers.whole(1, 2**31 - 1)
OPTIONS = {
    '--steps': Option('steps', COUNT),
    '--from': Option('start', COUNT),
    '--step': Option('step', COUNT),
    '--debug_nans': Option('debug_nans', None),
}


def main(argv: Sequence[str]) -> int:
    """Carries out one command line and returns its exit code."""
    return environment.answer(argv, __doc__, _replay)


def _replay(argv):
    values = _read(argv)
    # Not at the top: jax reads the environment that is prepared below when it is imported.
    from launch.run import rebuild, replay, warm_start

    asked = replay.Request(**values)
    plan = warm_start.begin(rebuild.plan(asked.workdir), step=replay.from_step(asked))
    environment.warn_without_cache()
    return replay.one_step(plan, asked) if asked.step else replay.compare(plan, asked)


def _read(argv: Sequence[str]) -> dict[str, Any]:
    """What a command line asks for, as the fields of launch.run.replay.Request."""
    names, values = parsed(argv, OPTIONS)
    workdir = pathlib.Path(only(names, 'RUN', 'a run directory'))
    if 'step' in values and values.keys() & {'steps', 'start'}:
        raise Refused('--step takes one step, and --steps and --from compare several')
    if 'debug_nans' in values and 'step' not in values:
        raise Refused('--debug_nans is given without --step')
    return values | {'workdir': workdir}


if __name__ == '__main__':
    environment.prepare()
    environment.run_program(main)

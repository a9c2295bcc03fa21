"""python -m launch: from a command line to a run.

Whatever can be known to be wrong is refused in one line, with exit code 2, before anything is
written. Exit code 3 is a run that met a number that is not finite. What goes wrong later is a bug
and shows its traceback.
"""

import sys
from collections.abc import Sequence

from genjax.waiting import doing, show_waits
from launch.cli import catalogue, environment, flags
from launch.cli.flags import Flags
from launch.cli.refusal import Refused


def main(argv: Sequence[str]) -> int:
    """Carries out one command line and returns its exit code."""
    if '--list' in argv:
        print(catalogue.listing())
        return 0
    if not argv or '--help' in argv or '-h' in argv:
        print(f'{flags.usage()}\n{catalogue.listing()}')
        return 0
    try:
        words = catalogue.anywhere(argv)
        parsed = flags.parse(words)
        catalogue.require(parsed.exp)
        return _carry_out(words, parsed)
    except Refused as refusal:
        print(refusal, file=sys.stderr)
        return 2


def _carry_out(argv: Sequence[str], flags: Flags) -> int:
    # What computes is imported below and not above: that takes seconds, for which a refusal of the
    # command line and the list of experiments need not wait; and jax reads, when it is imported,
    # the environment that is prepared at the end of this file, or by a sweep.
    if flags.sweep or flags.on == 'slurm':
        from launch.sweep import sweep

        return sweep.launch(argv, flags, _request, _plan)

    with doing('starting'):
        from launch.run import actions, distributed, drawing, inspection, seeds

    if flags.seeds:
        return seeds.train(argv, _plan)
    distributed.join(flags.distributed)
    plan = _plan(argv)
    environment.warn_without_cache()
    if flags.mode == 'evaluate':
        return inspection.run_evaluation(plan)
    if flags.mode == 'sample':
        return drawing.run(plan) if flags.n else inspection.run_sampling(plan)
    return actions.run_training(plan)


def _request(argv):
    from launch.run import planning

    return planning.request(argv)


def _plan(argv, traced_before=None):
    with doing('starting'):
        from launch.run import planning, processor, warm_start

        plan = warm_start.begin(planning.plan(argv, traced_before), step=None)
        processor.share_cores()
        return plan


if __name__ == '__main__':
    environment.prepare()
    show_waits(sys.stderr)
    environment.run_program(main)

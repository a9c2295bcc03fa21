"""python -m launch: from a command line to a run.

Whatever can be known to be wrong is refused in one line, with exit code 2, before anything is
written. Exit code 3 is a run that met a number that is not finite. What goes wrong later is a bug
and shows its traceback.
"""

import sys
from collections.abc import Sequence

from launch.cli import catalogue, environment
from launch.cli.flags import USAGE, parse
from launch.cli.refusal import Refused
from launch.run import distributed
from launch.run.plan import plan


def main(argv: Sequence[str]) -> int:
    """Carries out one command line and returns its exit code."""
    if '--list' in argv:
        print(catalogue.listing())
        return 0
    if not argv or '--help' in argv or '-h' in argv:
        print(f'{USAGE}\n{catalogue.listing()}')
        return 0
    try:
        return _carry_out(argv)
    except Refused as refusal:
        print(refusal, file=sys.stderr)
        return 2


def _carry_out(argv: Sequence[str]) -> int:
    if (flags := parse(argv)).sweep or flags.on == 'slurm':
        from launch.sweep import sweep

        return sweep.launch(argv, flags)
    if flags.vmap:
        from launch.run import seed_runs

        return seed_runs.train(argv)
    distributed.join(flags.distributed)
    checked = plan(argv)
    environment.tell_of_cache()
    from launch.run import actions  # seconds of imports, which a refusal need not wait for

    run = {
        'train': actions.run_training,
        'evaluate': actions.run_evaluation,
        'sample': actions.run_sampling,
    }
    return run[checked.flags.mode](checked)


if __name__ == '__main__':
    environment.prepare()
    environment.leave(main)

"""python -m launch: from a command line to a run.

Whatever can be known to be wrong is refused in one line, with exit code 2, before anything is written. Exit
code 3 is a run that met a number that is not finite. What goes wrong later is a bug and shows its traceback.
"""

import sys
from collections.abc import Sequence

from launch import catalogue, environment, hosts
from launch.flags import USAGE, parse
from launch.plan import plan
from launch.refusal import Refused


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
        from launch import sweep

        return sweep.launch(argv, flags)
    if flags.vmap:
        from launch import vmapped

        return vmapped.train(argv)
    hosts.join(flags.distributed)
    checked = plan(argv)
    environment.tell_of_cache()
    from launch import modes  # seconds of imports, which a refusal need not wait for

    run = {'train': modes.run_training, 'evaluate': modes.run_evaluation, 'sample': modes.run_sampling}
    return run[checked.flags.mode](checked)


if __name__ == '__main__':
    environment.prepare()
    environment.leave(main)

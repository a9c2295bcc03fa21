"""python -m launch.status RUNS...: a table of runs in the terminal, drawn anew while any of them
goes on.

RUNS      run directories, or folders that hold them
--once    prints the table and leaves
"""

import pathlib
import sys
import time
from collections.abc import Sequence

from launch.cli import environment
from launch.cli.refusal import Refused
from launch.cli.words import Option, parsed
from launch.viewer.reading import find_runs
from launch.viewer.status import table

OPTIONS = {'--once': Option('once', None)}
EVERY = 2.0  # seconds
CLEAR = '\x1b[2J\x1b[H'


def main(argv: Sequence[str]) -> int:
    """Carries out one command line and returns its exit code."""
    return environment.answer(argv, __doc__, _status)


def _status(argv):
    names, values = parsed(argv, OPTIONS)
    if not names:
        raise Refused('RUNS is missing; it takes run directories, or folders that hold them')
    folders = [pathlib.Path(name) for name in names]
    live = sys.stdout.isatty() and 'once' not in values
    while True:
        runs = find_runs(folders)
        goes_on = live and any(run.status == 'running' for run in runs)
        print(f'{CLEAR if goes_on else ""}{table(runs)}', flush=True)
        if not goes_on:
            return 0
        time.sleep(EVERY)


if __name__ == '__main__':
    environment.run_program(main)

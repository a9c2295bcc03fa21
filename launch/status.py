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
from launch.viewer.reading import find_runs
from launch.viewer.status import table

EVERY = 2.0  # seconds
CLEAR = '\x1b[2J\x1b[H'


def main(argv: Sequence[str]) -> int:
    """Carries out one command line and returns its exit code."""
    folders = [pathlib.Path(word) for word in argv if word != '--once']
    if not folders or '--help' in argv or any(str(folder).startswith('--') for folder in folders):
        print(__doc__)
        return 0 if '--help' in argv else 2
    live = sys.stdout.isatty() and '--once' not in argv
    try:
        while True:
            runs = find_runs(folders)
            goes_on = live and any(run.status == 'running' for run in runs)
            print(f'{CLEAR if goes_on else ""}{table(runs)}', flush=True)
            if not goes_on:
                return 0
            time.sleep(EVERY)
    except Refused as refusal:
        print(refusal, file=sys.stderr)
        return 2


if __name__ == '__main__':
    environment.run_program(main)

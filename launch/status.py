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
from launch.viewer.runs import Run, changed, clock, differences, find, last, seconds, shown

EVERY = 2.0  # seconds


def main(argv: Sequence[str]) -> int:
    """Carries out one command line and returns its exit code."""
    folders = [pathlib.Path(word) for word in argv if word != '--once']
    if not folders or '--help' in argv or any(str(folder).startswith('--') for folder in folders):
        print(__doc__)
        return 0 if '--help' in argv else 2
    try:
        while True:
            runs = find(folders)
            text = table(runs)
            going = (
                any(run.status == 'running' for run in runs)
                and '--once' not in argv
                and sys.stdout.isatty()
            )
            print(f'\x1b[2J\x1b[H{text}' if going else text, flush=True)
            if not going:
                return 0
            time.sleep(EVERY)
    except Refused as refusal:
        print(refusal, file=sys.stderr)
        return 2


def table(runs: Sequence[Run]) -> str:
    """A line a run: status, step, time, what its config has of its own, and its last test loss.

    Below them one for each launch that went on with another source than the launch before it.
    """
    keys = differences(runs)
    head = ['run', 'status', 'step', 'time', *keys, 'test/loss']
    rows = [
        head,
        *(
            [*_line(run), *(shown(run.config.get(key, '-')) for key in keys), _loss(run)]
            for run in runs
        ),
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ['  '.join(map(str.ljust, row, widths)).rstrip() for row in rows]
    return '\n'.join(lines + [line for run in runs for line in _changes(run)])


def _line(run):
    step = f'{run.step:,}/{run.config.get("steps", 0):,}'
    return [str(run.workdir), run.status, step, clock(seconds(run))]


def _changes(run):
    return [
        f'{run.workdir}: launch {i} changed {", ".join(files)}' for i, files in changed(run).items()
    ]


def _loss(run):
    value = last(run).get('test/loss')
    return '-' if value is None else f'{value:.6g}'


if __name__ == '__main__':
    environment.leave(main)

"""Language models of letters beside each other: bits a character on the same held-out text.

    python -m benchmarks.letters RUN ...

The runs are of masked_docs, causal_docs and ngram_docs, trained to their end.
"""

import argparse
import pathlib
import sys

from launch.viewer.reading import read_run
from launch.viewer.runs import Run

SCORE = 'test/bits_per_character'
# What decides which excerpts are scored.
SAME = ('corpus', 'held_out', 'length')


def row(run: Run) -> str:
    """The line of a run.

    Raises:
      ValueError: it has no score yet.
    """
    scores = [row[SCORE] for row in run.rows if SCORE in row]
    if not scores:
        raise ValueError(f'{run.workdir} has no {SCORE}; train it to its end')
    seconds = run.rows[-1].get('time/seconds', float('nan'))
    return f'{run.experiment:<16}{scores[-1]:>10.3f}{run.step:>10,}{seconds:>10.0f}'


def table(runs: list[Run]) -> str:
    """A line for each run, the fewest bits first.

    Raises:
      ValueError: the runs do not score the same excerpts, or one has no score.
    """
    read = [{name: run.config.get(name) for name in SAME} for run in runs]
    for run, own in zip(runs, read, strict=True):
        if own != read[0]:
            raise ValueError(f'{run.workdir} reads {own}; {runs[0].workdir} reads {read[0]}')
    head = f'{"model":<16}{"bits":>10}{"steps":>10}{"seconds":>10}'
    return '\n'.join([head, *sorted(map(row, runs), key=lambda line: float(line.split()[1]))])


def main() -> int:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('runs', type=pathlib.Path, nargs='+', help='run directories')
    try:
        print(table([read_run(path) for path in parser.parse_args().runs]))
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == '__main__':
    sys.exit(main())

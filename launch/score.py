"""python -m launch.score A B: scores of the images A against the images B.

A, B                      each one of: a folder, .zip or .npz file of images; a set by name, as
                          mnist or mnist:test (without a part: train), or folder:PATH:test, the
                          held-out tenth; a run directory, of which samples are drawn, as RUN,
                          RUN:STEP, RUN:best or RUN:last; an .npz file of statistics, as this
                          program, pytorch-fid or EDM write it
A... --to B               each A, or each run in a folder of runs, with means over seeds
--inception FILE          InceptionV3's weights, for FID, KID and IS; without it a classifier
                          scores, and its name stands beside the scores
--classifier NAME[:STEPS] which one: digits, mnist or cifar10; by default what suits the images
--n N                     samples of a run; by default as many as B has images, up to 50,000
--labels A,B,C            of those samples, taken in turn; by default all that a run has
--sample_seed N           of those samples, by default 0
--average NAME            of a run's parameters, in place of its own
--size N                  pixels: own images are cropped and resampled, sets padded, to N x N
--batch N                 images at a time, by default 64
--subsets N, --subset_size N, --seed N
                          of KID, and what draws them: by default 100, 1000 and 2020
--data_dir DIR            folder of prepared sets
--write_statistics FILE   keeps the statistics of B, or of A alone
--out FILE                everything as JSON

Exit codes: 0 done; 1 some of several runs could not be scored; 2 refused.
"""

from collections.abc import Sequence
from typing import Any

from launch.cli import environment, readers
from launch.cli.refusal import Refused
from launch.cli.words import Option, parsed

LARGEST = 2**32 - 1
AT_LEAST_0 = readers.whole(0, LARGEST)
AT_LEAST_1 = readers.whole(1, LARGEST)
AT_LEAST_2 = readers.whole(2, LARGEST)
OPTIONS = {
    '--to': Option('to'),
    '--inception': Option('inception'),
    '--classifier': Option('classifier'),
    '--average': Option('average'),
    '--data_dir': Option('data_dir'),
    '--write_statistics': Option('write_statistics', readers.path),
    '--out': Option('out', readers.path),
    '--n': Option('n', AT_LEAST_2),
    '--labels': Option('labels', readers.labels),
    '--sample_seed': Option('sample_seed', AT_LEAST_0),
    '--size': Option('size', AT_LEAST_1),
    '--batch': Option('batch', AT_LEAST_1),
    '--seed': Option('seed', AT_LEAST_0),
    '--subsets': Option('subsets', AT_LEAST_1),
    '--subset_size': Option('subset_size', AT_LEAST_2),
}


def main(argv: Sequence[str]) -> int:
    """Carries out one command line and returns its exit code."""
    return environment.answer(argv, __doc__, _score)


def _score(argv):
    values = asked(argv)
    # Not at the top: jax reads the environment that is prepared below when it is imported.
    from launch.run import scoring

    environment.warn_without_cache()
    return scoring.score(scoring.Request(**values))


def asked(argv: Sequence[str]) -> dict[str, Any]:
    """What a command line asks for, as the fields of launch.run.scoring.Request.

    Raises:
      Refused: it is none.
    """
    names, values = parsed(argv, OPTIONS)
    return values | _sides(names, values.pop('to', None), 'write_statistics' in values)


def _sides(names: tuple[str, ...], to: str | None, writes: bool) -> dict[str, Any]:
    if to is not None:
        if not names:
            raise Refused('--to is given and nothing that is to be scored')
        return {'scored': names, 'reference': to}
    if len(names) == 1 and writes:
        return {'scored': names, 'reference': None}
    if len(names) == 2:
        return {'scored': (names[0],), 'reference': names[1]}
    given = ', '.join(names) or 'nothing'
    raise Refused(f'two are compared, A and B, and {given} is given; several have --to B')


if __name__ == '__main__':
    environment.prepare()
    environment.run_program(main)

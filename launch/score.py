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

import pathlib
import sys
from collections.abc import Sequence
from typing import Any

from launch.cli import environment
from launch.cli.refusal import Refused, nearest

TEXTS = ('inception', 'classifier', 'average', 'data_dir')
PATHS = ('write_statistics', 'out')
COUNTS = {  # flag -> the least that it takes
    'n': 2,
    'sample_seed': 0,
    'size': 1,
    'batch': 1,
    'seed': 0,
    'subsets': 1,
    'subset_size': 2,
}
FLAGS = ('to', *TEXTS, *PATHS, *COUNTS)
LARGEST = 2**32 - 1


def main(argv: Sequence[str]) -> int:
    """Carries out one command line and returns its exit code."""
    if '--help' in argv or '-h' in argv:
        print(__doc__)
        return 0
    try:
        values = parsed(argv)
        # Not at the top: jax reads the environment that is prepared below when it is imported.
        from launch.run import scoring

        environment.warn_without_cache()
        return scoring.score(scoring.Request(**values))
    except Refused as refusal:
        print(refusal, file=sys.stderr)
        return 2


def parsed(argv: Sequence[str]) -> dict[str, Any]:
    """What a command line asks for, as the fields of launch.run.scoring.Request.

    Raises:
      Refused: it is none.
    """
    names = []
    values = {}
    words = iter(argv)
    for word in words:
        if not word.startswith('-'):
            names.append(word)
            continue
        flag, equals, text = word.partition('=')
        name = flag.removeprefix('--')
        if not flag.startswith('--') or name not in FLAGS:
            raise Refused(f'{flag} is no flag; {nearest(flag, map("--{}".format, FLAGS))}')
        if name in values:
            raise Refused(f'{flag} is given twice')
        if not equals:
            text = next(words, '')
        if not text:
            raise Refused(f'{flag} needs a value')
        values[name] = _value(name, text)
    return values | _sides(names, values.pop('to', None), 'write_statistics' in values)


def _value(name: str, text: str) -> Any:
    if name in PATHS:
        return pathlib.Path(text).expanduser()
    if name not in COUNTS:
        return text
    least = COUNTS[name]
    # More digits than any count has are not read, for reading them can take long.
    if not text.isdecimal() or len(text) > 10 or not least <= int(text) <= LARGEST:
        raise Refused(f'--{name} is {text}; it takes a whole number, {least} or more')
    return int(text)


def _sides(names: list[str], to: str | None, writes: bool) -> dict[str, Any]:
    if to is not None:
        if not names:
            raise Refused('--to is given and nothing that is to be scored')
        return {'scored': tuple(names), 'reference': to}
    if len(names) == 1 and writes:
        return {'scored': tuple(names), 'reference': None}
    if len(names) == 2:
        return {'scored': (names[0],), 'reference': names[1]}
    given = ', '.join(names) or 'nothing'
    raise Refused(f'two are compared, A and B, and {given} is given; several have --to B')


if __name__ == '__main__':
    environment.prepare()
    environment.run_program(main)

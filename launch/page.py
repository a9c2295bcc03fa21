"""python -m launch.page RUNS... -o FILE: one page of runs, which opens from disk and needs no
network.

RUNS      run directories, or folders that hold them
-o FILE   the page, by default page.html; an earlier page is replaced, any other file is not
"""

import pathlib
from collections.abc import Sequence

from launch.cli import environment
from launch.cli.refusal import Refused, refusing
from launch.cli.words import Option, parsed
from launch.viewer.page import check_place, page, write
from launch.viewer.reading import find_runs

OPTIONS = {'-o': Option('path')}


def main(argv: Sequence[str]) -> int:
    """Carries out one command line and returns its exit code."""
    return environment.answer(argv, __doc__, _page)


def _page(argv):
    names, values = parsed(argv, OPTIONS)
    if not names:
        raise Refused('RUNS is missing; it takes run directories, or folders that hold them')
    path = pathlib.Path(values.get('path', 'page.html'))
    with refusing(ValueError, OSError):
        check_place(path)
    text = page(find_runs([pathlib.Path(name) for name in names]), path.parent)
    with refusing(OSError):
        write(path, text)
    print(f'{path}: {len(text) / 1e6:.1f} MB')
    return 0


if __name__ == '__main__':
    environment.run_program(main)

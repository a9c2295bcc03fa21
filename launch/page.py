"""python -m launch.page RUNS... -o FILE: one page of runs, which opens from disk and needs no
network.

RUNS      run directories, or folders that hold them
-o FILE   the page, by default page.html; an earlier page is replaced, any other file is not
"""

import pathlib
import sys
from collections.abc import Sequence

from launch.cli import environment
from launch.cli.refusal import Refused, refusing
from launch.viewer.page import check_place, page, write
from launch.viewer.reading import find_runs


def main(argv: Sequence[str]) -> int:
    """Carries out one command line and returns its exit code."""
    if '--help' in argv or '-h' in argv:
        print(__doc__)
        return 0
    try:
        folders, path = _read(argv)
        with refusing(ValueError, OSError):
            check_place(path)
        text = page(find_runs(folders), path.parent)
        with refusing(OSError):
            write(path, text)
    except Refused as refusal:
        print(refusal, file=sys.stderr)
        return 2
    print(f'{path}: {len(text) / 1e6:.1f} MB')
    return 0


def _read(argv):
    """(folders, the page's path) of a command line."""
    folders = []
    path = 'page.html'
    words = iter(argv)
    for word in words:
        if word == '-o':
            path = next(words, '')
        elif word.startswith('-'):
            raise Refused(f'{word} is no flag; there are: -o, --help')
        else:
            folders.append(pathlib.Path(word))
    if not path:
        raise Refused('-o needs a value')
    if not folders:
        raise Refused('RUNS is missing; it takes run directories, or folders that hold them')
    return folders, pathlib.Path(path)


if __name__ == '__main__':
    environment.run_program(main)

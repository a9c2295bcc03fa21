"""python -m launch.page RUNS... -o FILE: one page of runs, which opens from disk and needs no
network.

RUNS      run directories, or folders that hold them
-o FILE   the page, by default page.html; an earlier page is replaced, any other file is not
"""

import base64
import hashlib
import pathlib
import sys
from collections.abc import Sequence

import jinja2
from markupsafe import Markup

from launch.cli import environment
from launch.cli.refusal import Refused, refusing
from launch.viewer import pictures
from launch.viewer.runs import Run, find
from launch.viewer.sections import section
from launch.viewer.table import counted

HERE = pathlib.Path(__file__).with_name('viewer')
MADE = '<meta name="generator" content="genjax launch.page">'  # by which a page is known


def main(argv: Sequence[str]) -> int:
    """Carries out one command line and returns its exit code."""
    if '--help' in argv or '-h' in argv:
        print(__doc__)
        return 0
    try:
        folders, path = _read(argv)
        _check(path)
        text = page(find(folders), path.parent)
        with refusing(OSError):
            _write(path, text)
    except Refused as refusal:
        print(refusal, file=sys.stderr)
        return 2
    print(f'{path}: {len(text) / 1e6:.1f} MB')
    return 0


def _read(argv):
    words, folders, path = iter(argv), [], 'page.html'
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


def _check(path):
    """Sees that the page may be written there."""
    if not path.parent.is_dir():
        raise Refused(f'-o is {path}, and {path.parent} is no directory')
    if path.is_dir():
        raise Refused(f'-o is {path}, which is a directory')
    with refusing(OSError):
        if path.exists() and MADE.encode() not in path.read_bytes()[:500]:
            raise Refused(
                f'-o is {path}, which launch.page did not make; it takes a new file or an earlier page'
            )


def _write(path, text):
    partial = path.with_name(f'.{path.name}.partial')
    partial.write_text(text, 'utf-8')
    partial.replace(path)


def page(runs: Sequence[Run], folder: pathlib.Path) -> str:
    """The page as HTML; the same runs give the same text.

    Args:
      folder: where it will lie; links to the runs are relative to it.
    """
    numbered = list(enumerate(runs))
    known = [picture for number, run in numbered for picture in pictures.found(number, run)]
    held = [
        (picture, image)
        for picture in pictures.chosen(known)
        if (image := pictures.embedded(picture.path))
    ]
    names = sorted({run.experiment for run in runs})
    alike = [
        [(number, run) for number, run in numbered if run.experiment == name] for name in names
    ]
    style, script = ((HERE / f'page.{suffix}').read_text('utf-8') for suffix in ('css', 'js'))
    loader = jinja2.FileSystemLoader(HERE)
    template = jinja2.Environment(
        loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    return template.get_template('page.html.j2').render(
        made=Markup(MADE),
        style=Markup(style),
        script=Markup(script),
        digest=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        sections=[section(name, own, held, folder) for name, own in zip(names, alike, strict=True)],
        counts=counted(runs),
        total=len(runs),
        held=len(held),
        known=len(known),
    )


if __name__ == '__main__':
    environment.leave(main)

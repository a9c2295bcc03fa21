"""The page of runs as HTML: one file that opens from disk and needs no network."""

import base64
import hashlib
import pathlib
from collections.abc import Sequence

import jinja2
from markupsafe import Markup

from launch.viewer import pictures, plots
from launch.viewer.runs import Run
from launch.viewer.sections import section
from launch.viewer.table import status_counts

ASSETS = pathlib.Path(__file__).parent
GENERATOR = '<meta name="generator" content="genjax launch.page">'  # by which a page is known


def page(runs: Sequence[Run], folder: pathlib.Path) -> str:
    """The page; the same runs give the same text.

    Args:
      folder: where it will lie; links to the runs are relative to it.
    """
    numbered = list(enumerate(runs))
    drawn = [picture for number, run in numbered for picture in pictures.pictures_of(number, run)]
    embedded = []
    for picture in pictures.select(drawn):
        image = pictures.embed(picture.path)
        if image is not None:
            embedded.append((picture, image))
    sections = []
    for name in sorted({run.experiment for run in runs}):
        own = [(number, run) for number, run in numbered if run.experiment == name]
        sections.append(section(name, own, embedded, folder))
    style = (ASSETS / 'page.css').read_text('utf-8')
    scripts = [(ASSETS / 'page.js').read_text('utf-8')]
    if any(section.plots for section in sections):
        scripts.insert(0, plots.script())
    return _template().render(
        generator=Markup(GENERATOR),
        style=Markup(style),
        scripts=[Markup(script) for script in scripts],
        digests=[_digest(script) for script in scripts],
        sections=sections,
        counts=status_counts(runs),
        total=len(runs),
        embedded=len(embedded),
        drawn=len(drawn),
    )


def _digest(script: str) -> str:
    """By which the page lets a script run, and no other."""
    return 'sha256-' + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(ASSETS),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    # Bokeh reads a model where it is first named, so the order is part of what a plot says.
    environment.policies['json.dumps_kwargs'] = {'sort_keys': False}
    return environment.get_template('page.html.j2')


def check_place(path: pathlib.Path) -> None:
    """Sees that the page may be written to a file: to a new one, or over an earlier page.

    Raises:
      ValueError: it may not, and why.
      OSError: what lies there cannot be read.
    """
    if not path.parent.is_dir():
        raise ValueError(f'-o is {path}, and {path.parent} is no directory')
    if path.is_dir():
        raise ValueError(f'-o is {path}, which is a directory')
    if path.exists() and GENERATOR.encode() not in path.read_bytes()[:500]:
        raise ValueError(
            f'-o is {path}, which launch.page did not make; it takes a new file or an earlier page'
        )


def write(path: pathlib.Path, text: str) -> None:
    """Writes a page whole or not at all."""
    partial = path.with_name(f'.{path.name}.partial')
    partial.write_text(text, 'utf-8')
    partial.replace(path)

"""The experiments there are, found by reading their files; only the one that is launched is
imported."""

import ast
import importlib
import pathlib
import types

import experiments
from launch.cli.refusal import Refused, nearest


def names() -> list[str]:
    return sorted(path.stem for path in _folder().glob('*.py') if not path.stem.startswith('_'))


def summary(name: str) -> str:
    """The first line of an experiment's docstring."""
    try:
        doc = ast.get_docstring(ast.parse((_folder() / f'{name}.py').read_text('utf-8')))
    except SyntaxError as error:
        return f'(does not parse: line {error.lineno})'
    return doc.partition('\n')[0] if doc else '(says nothing of itself)'


def listing() -> str:
    """One line an experiment: its name, and what it is."""
    width = max(map(len, names()), default=0)
    return '\n'.join(f'{name:{width}}  {summary(name)}' for name in names())


def load(name: str) -> types.ModuleType:
    """Imports an experiment.

    Raises:
      Refused: there is none of this name.
    """
    if name not in names():
        raise Refused(f'--exp={name} is no experiment; {nearest(name, names())}')
    return importlib.import_module(f'experiments.{name}')


def _folder() -> pathlib.Path:
    return pathlib.Path(experiments.__path__[0])

"""The experiments: pages of the folder experiments/, and any file that --exp names by its path.

They are found by reading their files; only the one that is launched is imported.
"""

import ast
import hashlib
import importlib
import importlib.util
import os
import pathlib
import sys
import types
from collections.abc import Sequence

import experiments
from launch.cli.refusal import Refused, nearest

SUFFIX = '.py'  # by which --exp is the path of a page and no name
FUNCTIONS = ('get_config', 'build')  # that a page has


def names() -> list[str]:
    """The experiments of the folder, in order."""
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


def page(exp: str) -> pathlib.Path | None:
    """The file that --exp names by its path, made absolute; None where it gives a name."""
    return pathlib.Path(exp).absolute() if exp.endswith(SUFFIX) else None


def anywhere(argv: Sequence[str]) -> list[str]:
    """A command line that means the same in every folder, as manifests and workers have it.

    The path of a page is made absolute, and one of the folder experiments/ is given by its name.
    """
    words = list(argv)
    for i, word in enumerate(argv):
        if word.startswith('--exp='):
            words[i] = f'--exp={_anywhere(word.removeprefix("--exp="))}'
        elif i > 0 and argv[i - 1] == '--exp':
            words[i] = _anywhere(word)
    return words


def _anywhere(exp):
    path = page(os.path.expanduser(exp))
    if path is None:
        return exp
    in_tree = path.parent.resolve() == _folder().resolve() and path.stem in names()
    return path.stem if in_tree else str(path)


def name_of(exp: str) -> str:
    """The name of an experiment in its run directory: of a path the file's stem."""
    path = page(exp)
    return exp if path is None else path.stem


def require(exp: str) -> None:
    """Sees, importing nothing, that there is such an experiment.

    Raises:
      Refused: there is none.
    """
    path = page(exp)
    if path is None:
        if exp not in names():
            raise Refused(f'--exp={exp} is no experiment; {nearest(exp, names())}')
    elif not path.is_file():
        raise Refused(f'--exp={exp} is no file')


def load(exp: str) -> types.ModuleType:
    """Imports an experiment; of a path, it and what it imports of its own folder.

    Args:
      exp: a name, or the path of a page.

    Raises:
      Refused: there is none, or it is no page.
    """
    require(exp)
    path = page(exp)
    try:
        module = importlib.import_module(f'experiments.{exp}') if path is None else _import(path)
    except SyntaxError as error:
        raise Refused(
            f'--exp={exp} does not parse: {error.filename}, line {error.lineno}: {error.msg}'
        ) from None
    for function in FUNCTIONS:
        if not callable(getattr(module, function, None)):
            raise Refused(
                f'--exp={exp} has no function {function}; a page has {" and ".join(FUNCTIONS)}'
            )
    return module


def _import(path: pathlib.Path) -> types.ModuleType:
    """The module of a page that lies anywhere, imported once a process."""
    # Its own name may be taken, by a page of the tree or by a module of Python.
    name = f'{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}'
    if name in sys.modules:
        return sys.modules[name]
    folder = str(path.parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)  # as Python does for a program, so that it finds its neighbours
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _folder() -> pathlib.Path:
    return pathlib.Path(experiments.__path__[0])

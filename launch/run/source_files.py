"""The source that a run imports, told by the contents of its files: the same wherever the checkout
lies."""

import ast
import functools
import hashlib
import importlib.util
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import experiments

ROOT = pathlib.Path(__file__).parents[2]
DIGITS = 16  # of a digest


def files(experiment: str) -> dict[str, str]:
    """The files that a launch of an experiment imports, or may import later: {'genjax/base.py':
    digest}.

    They are found by reading: the launcher and the experiment's page, and what these import of this
    checkout, at the top of a file or within a function, and so on. So they are the same for
    training, sampling and a sweep. Packages that lie elsewhere are no part of them, and neither is
    a module whose name is made at run time.
    """
    found: dict[str, str] = {}
    waiting = ['launch.__main__', f'experiments.{experiment}']
    seen = set(waiting)
    while waiting:
        module = waiting.pop()
        path = _path(module)
        if path is None:
            continue
        content = path.read_bytes()
        found[_name(module, path)] = hashlib.sha256(content).hexdigest()[:DIGITS]
        package = module if path.stem == '__init__' else module.rpartition('.')[0]
        new = _imports(content, package) - seen
        seen |= new
        waiting += new
    return dict(sorted(found.items()))


def digest(found: Mapping[str, str]) -> str:
    """One digest of all files, whatever their order."""
    return hashlib.sha256(repr(sorted(found.items())).encode()).hexdigest()[:DIGITS]


def differing(there: Mapping[str, str], here: Mapping[str, str]) -> list[str]:
    """The files that differ, or that one of two launches does not import."""
    return sorted(name for name in there.keys() | here.keys() if there.get(name) != here.get(name))


def of_launches(launches: Sequence[Mapping[str, Any]]) -> list[dict[str, str] | None]:
    """The files of each launch of a manifest, which lists them where they changed; None where they
    are not known."""
    sources = [launch.get('source') or {} for launch in launches]
    listed = {source['digest']: source['files'] for source in sources if 'files' in source}
    return [listed.get(source.get('digest')) for source in sources]


def recorded(launch: dict[str, Any], before: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A launch as the manifest keeps it beside those before it.

    The files are left out where they are those of the last launch that trained, and `changed` lists
    those that are not.
    """
    (here,) = of_launches([launch])
    there = next((found for found in reversed(of_launches(before)) if found is not None), None)
    if here is None or there is None:
        return launch
    source = {
        key: value for key, value in launch['source'].items() if key != 'files' or here != there
    }
    changed = differing(there, here)
    return launch | {'source': source | ({'changed': changed} if changed else {})}


def _path(module: str) -> pathlib.Path | None:
    """The file of a module of this checkout, or of an experiment wherever it lies; None of any
    other."""
    top, *rest = module.split('.')
    place = (
        pathlib.Path(experiments.__path__[0], *rest)
        if top == 'experiments'
        else ROOT.joinpath(top, *rest)
    )
    return next(
        (
            path
            for path in (place / '__init__.py', place.with_name(f'{place.name}.py'))
            if path.is_file()
        ),
        None,
    )


def _name(module: str, path: pathlib.Path) -> str:
    place = module.replace('.', '/')
    return f'{place}/__init__.py' if path.stem == '__init__' else f'{place}.py'


@functools.cache
def _imports(content: bytes, package: str) -> frozenset[str]:
    """The modules that a file may import: every name that an import has, and the packages that it
    lies in."""
    try:
        nodes = list(ast.walk(ast.parse(content)))
    except SyntaxError:  # of a file that is not imported, or the launch would have ended
        return frozenset()
    names = []
    for node in nodes:
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            origin = importlib.util.resolve_name('.' * node.level + (node.module or ''), package)
            names += [origin, *(f'{origin}.{alias.name}' for alias in node.names)]
    parts = [name.split('.') for name in names]
    return frozenset('.'.join(each[:end]) for each in parts for end in range(1, len(each) + 1))

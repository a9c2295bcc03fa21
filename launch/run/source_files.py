"""The source that a run imports, known by the contents of its files: the same wherever the checkout
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
PACKAGES = ('genjax', 'launch', 'experiments')  # of this checkout
DIGITS = 16  # of a digest


def files(experiment: str, page: pathlib.Path | None = None) -> dict[str, str]:
    """The files that a launch of an experiment imports, or may import later: {'genjax/base.py':
    digest}.

    They are found by reading: the launcher and the experiment's page, and what these import of this
    checkout, at the top of a file or within a function, and so on. So they are the same for
    training, sampling and a sweep. Packages that lie elsewhere are no part of them, and neither is
    a module whose name is made at run time.

    Args:
      experiment: its name.
      page: the file of an experiment that lies outside of the checkout. What it imports of its own
        folder is included; such files have names that are relative to that folder.
    """
    digests: dict[str, str] = {}
    waiting = ['launch.__main__']
    folder = None
    if page is None:
        waiting.append(f'experiments.{experiment}')
    else:
        folder = page.parent
        content = page.read_bytes()
        digests[page.name] = _digest(content)
        waiting += _imports(content, '')
    known = set(waiting)
    while waiting:
        module = waiting.pop()
        path = _path(module, folder)
        if path is None:
            continue
        content = path.read_bytes()
        digests[_name(module, path)] = _digest(content)
        package = module if path.stem == '__init__' else module.rpartition('.')[0]
        new = _imports(content, package) - known
        known |= new
        waiting += new
    return dict(sorted(digests.items()))


def digest(digests: Mapping[str, str]) -> str:
    """One digest of all files, whatever their order."""
    return _digest(repr(sorted(digests.items())).encode())


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
    here = of_launches([launch])[0]
    known = [digests for digests in of_launches(before) if digests is not None]
    if here is None or not known:
        return launch
    there = known[-1]
    source = dict(launch['source'])
    if here == there:
        del source['files']
    changed = differing(there, here)
    if changed:
        source['changed'] = changed
    return launch | {'source': source}


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:DIGITS]


def _path(module: str, folder: pathlib.Path | None) -> pathlib.Path | None:
    """The file of a module of this checkout, of an experiment wherever it lies, or of a page's own
    folder; None of any other."""
    top, *rest = module.split('.')
    if top == 'experiments':
        place = pathlib.Path(experiments.__path__[0], *rest)
    elif top in PACKAGES:
        place = ROOT.joinpath(top, *rest)
    elif folder is not None:
        place = folder.joinpath(top, *rest)
    else:
        return None
    for path in (place / '__init__.py', place.with_name(f'{place.name}.py')):
        if path.is_file():
            return path
    return None


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
        elif isinstance(node, ast.ImportFrom) and (package or not node.level):
            origin = importlib.util.resolve_name('.' * node.level + (node.module or ''), package)
            names += [origin, *(f'{origin}.{alias.name}' for alias in node.names)]
    modules = set()
    for name in names:
        parts = name.split('.')
        modules.update('.'.join(parts[:end]) for end in range(1, len(parts) + 1))
    return frozenset(modules)

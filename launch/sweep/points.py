"""The points of a sweep: which they are, that all of them can run, and how far each has come.

A point is a config, and its run directory follows from that; so a sweep that is launched again goes
on where it stood.
"""

import ast
import collections
import contextlib
import itertools
import os
import pathlib
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from launch.cli import catalogue
from launch.cli.flags import Flags, pairs
from launch.cli.overrides import flat
from launch.cli.refusal import Refused, Unusable
from launch.run import rundir
from launch.run.plan import asked, plan

OWN = ('sweep', 'workers', 'dry_run', 'vmap', 'on', 'slurm')  # flags that are not a point's
MOST = 10_000  # values of an axis
Texts = dict[str, str]  # dotted key of the config -> value


class Point(NamedTuple):
    texts: Texts  # what sets it apart: dotted key -> value
    argv: list[str]  # of its own launch
    workdir: pathlib.Path
    steps: int
    # Why its directory cannot be used; such a point fails, and the others do not wait for it
    trouble: str = ''


def axis(text: str) -> tuple[str, list[str]]:
    """(key, values) of 'key=a,b,c', or of 'key=0:4', which is 0, 1, 2, 3; commas within brackets
    separate nothing.

    A value that begins with a quotation mark is a string as Python writes it, and what it holds is
    taken as it is: 'key="a,b.txt",c.txt' has two values.

    Raises:
      Refused: there is no key or no value, more than MOST of them, a quotation that is not closed
        or goes on behind its end, or a value comes twice.
    """
    key, _, listed = text.partition('=')
    numbers = _COUNTED.fullmatch(listed)
    counted = range(*map(int, numbers.groups())) if numbers else ()
    if len(counted) > MOST:
        raise Refused(f'--sweep is {text}, {len(counted)} values; {MOST} are the most')
    parts = [str(i) for i in counted] if numbers else _split(listed)
    if not key or not all(parts) or not parts:
        raise Refused(
            f'--sweep is {text}; it takes key=a,b,c or key=0:4, or own for those of the experiment'
        )
    values = [_unquoted(part, text) for part in parts]
    if len(set(values)) < len(values):
        raise Refused(f'--sweep is {text}, which has a value twice')
    return key, values


_COUNTED = re.compile(r'(-?\d{1,10}):(-?\d{1,10})')
_WORD = re.compile(r'[^\s,"\'()\[\]{}]+')
_MARKS = ('"', "'")
_QUOTED = re.compile(
    r""""(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'""", re.DOTALL
)  # a string as Python writes it


def _split(text):
    """The parts between commas that stand in no bracket and no quotation."""
    parts = ['']
    depth = at = 0
    while at < len(text):
        # Elsewhere a mark is a letter, as in it's.
        quotation = _QUOTED.match(text, at) if depth or not parts[-1].strip() else None
        token = quotation[0] if quotation else text[at]
        at += len(token)
        depth += (token in '([{') - (token in ')]}')
        if token == ',' and not depth:
            parts.append('')
        else:
            parts[-1] += token
    return [part.strip() for part in parts]


def _unquoted(part, text):
    """What a quotation holds; any other part as it is."""
    if part[0] not in _MARKS:
        return part
    try:
        return _literal(part if _QUOTED.fullmatch(part) else '')
    except (SyntaxError, ValueError):
        raise Refused(
            f'--sweep is {text}; {part} begins with a quotation mark and is no string of Python'
        ) from None


def quoted(value: str) -> str:
    """A value as `axis` takes it: in quotation marks where it would be taken apart without them."""
    plain = _WORD.fullmatch(value) or (value.startswith('(') and _is_literal(value))
    return value if plain and value.isprintable() and not _COUNTED.fullmatch(value) else repr(value)


def _literal(text):
    with warnings.catch_warnings(action='ignore'):  # of a backslash before a letter that needs none
        return ast.literal_eval(text)


def _is_literal(value):
    try:
        _literal(value)
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return False
    return _split(value) == [value]


def points(flags: Flags) -> list[Texts]:
    """Every combination of the axes, the last one changing fastest; of the experiment's own points
    where asked.

    Raises:
      Refused: a key that is given twice, or points that the experiment does not have.
    """
    own = getattr(catalogue.load(flags.exp), 'sweep', None)
    if 'own' in flags.sweep and own is None:
        raise Refused(f'--sweep is own, and {flags.exp} has no sweep of its own')
    axes = [axis(text) for text in flags.sweep if text != 'own']
    keys = [*flags.overrides, *(key for key, _ in axes)]
    if twice := [key for key, count in collections.Counter(keys).items() if count > 1]:
        raise Refused(f'{twice[0]} is given twice, by --sweep and --config or by two of --sweep')
    made = (
        [{key: str(value) for key, value in point.items()} for point in own()]
        if 'own' in flags.sweep
        else [{}]
    )
    product = itertools.product(*([(key, value) for value in values] for key, values in axes))
    return [point | dict(chosen) for chosen in product for point in made]


def checked(argv: Sequence[str], flags: Flags) -> list[Point]:
    """The points, each of which could be launched as it stands; without --sweep the one run.

    Raises:
      Refused: one cannot, and which; or two are the same run.
    """
    shared = [
        f'{name}={text}'
        for name, text in pairs(argv)
        if name.removeprefix('--').split('.')[0] not in OWN
    ]
    with _on_cpu():
        built, traced = set(), set()
        found = [_point(i, shared, texts, built, traced) for i, texts in enumerate(points(flags))]
    if twice := [
        p for p, count in collections.Counter(p.workdir for p in found).items() if count > 1
    ]:
        raise Refused(f'two points of the sweep are the same run, {twice[0]}')
    return found


@contextlib.contextmanager
def _on_cpu() -> Iterator[None]:
    """What is only checked here must not hold an accelerator."""
    asked = os.environ.get('JAX_PLATFORMS')
    os.environ['JAX_PLATFORMS'] = 'cpu'
    try:
        yield
    finally:
        os.environ.pop('JAX_PLATFORMS') if asked is None else os.environ.update(JAX_PLATFORMS=asked)


def _point(i: int, shared: Sequence[str], texts: Texts, built: set[str], traced: set[str]) -> Point:
    """A point, whose experiment is built to see that it can be, unless one with another seed is
    among the built.

    Tracing is what takes long: one point of those whose states and batches have the same shapes
    stands for all. Should another not fit, its own launch will refuse it.
    """
    words = [*shared, *(f'--config.{key}={value}' for key, value in texts.items())]
    try:
        found = asked(words)
        but_seed = str(
            {key: value for key, value in flat(found.config.to_dict()).items() if key != 'seed'}
        )
        if but_seed not in built:
            plan(words, traced)
            built.add(but_seed)
    except Unusable as trouble:
        if not texts:
            raise
        return Point(texts, words, trouble.workdir, 0, str(trouble))
    except Refused as refusal:
        where = f'point {i + 1} of the sweep, {told(texts)}: ' if texts else ''
        raise Refused(f'{where}{refusal}') from None
    return Point(texts, words, found.workdir, found.flags.until or found.config.steps)


def told(texts: Mapping[str, str]) -> str:
    return (
        ', '.join(f'{key}={quoted(value)}' for key, value in texts.items()) or 'the config as it is'
    )


def status(point: Point) -> str:
    """'new', 'step N of M' or 'done', by the checkpoints that lie there; or why it cannot be
    started."""
    if point.trouble:
        return f'failed: {point.trouble}'
    step = rundir.last_step(point.workdir)
    if step is None:
        return 'new'
    return 'done' if step >= point.steps else f'step {step} of {point.steps}'


def table(found: Sequence[Point], ends: Mapping[int, str] = {}) -> str:
    """A line a point: its directory, what sets it apart, and its status, or how it ended, by number
    of point."""
    rows = [(str(p.workdir), told(p.texts), ends.get(i, status(p))) for i, p in enumerate(found)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return '\n'.join('  '.join(map(str.ljust, row, widths)).rstrip() for row in rows)

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
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from launch.cli import catalogue
from launch.cli.flags import OF_SWEEP, Flags, pairs
from launch.cli.flat import flat
from launch.cli.readers import RANGE, whole_range
from launch.cli.refusal import Refused, Unusable, refusing
from launch.run import rundir

Texts = dict[str, str]  # dotted key of the config -> value
MakeRequest = Callable[[Sequence[str]], Any]  # launch.run.planning.request
MakePlan = Callable[[Sequence[str], set[str]], Any]  # launch.run.planning.plan


class Point(NamedTuple):
    texts: Texts  # what sets it apart: dotted key -> value
    argv: list[str]  # of its own launch
    workdir: pathlib.Path
    steps: int
    # Why its directory cannot be used; such a point fails, and the others do not wait for it
    problem: str = ''


def axis(text: str) -> tuple[str, list[str]]:
    """(key, values) of 'key=a,b,c', or of 'key=0:4', which is 0, 1, 2, 3; commas within brackets
    separate nothing.

    A value that begins with a quotation mark is a string as Python writes it, and what it quotes is
    taken as it is: 'key="a,b.txt",c.txt' has two values.

    Raises:
      Refused: there is no key or no value, too many of them, a quotation that is not closed or goes
        on behind its end, or a value comes twice.
    """
    key, _, listed = text.partition('=')
    with refusing(ValueError):
        numbers = whole_range(listed, '--sweep', text)
    parts = _split(listed) if numbers is None else list(map(str, numbers))
    if not key or not all(parts) or not parts:
        raise Refused(
            f'--sweep is {text}; it takes key=a,b,c or key=0:4, or own for those of the experiment'
        )
    values = [_unquoted(part, text) for part in parts]
    if len(set(values)) < len(values):
        raise Refused(f'--sweep is {text}, which has a value twice')
    return key, values


_WORD = re.compile(r'[^\s,"\'()\[\]{}]+')
_MARKS = ('"', "'")
# A string as Python writes it
_QUOTED = re.compile(r""""(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'""", re.DOTALL)


def _split(text):
    """The parts between commas that stand in no bracket and no quotation."""
    parts = ['']
    depth = 0
    place = 0
    while place < len(text):
        # Elsewhere a mark is a letter, as in it's.
        may_be_quoted = depth or not parts[-1].strip()
        quotation = _QUOTED.match(text, place) if may_be_quoted else None
        token = quotation[0] if quotation else text[place]
        place += len(token)
        depth += (token in '([{') - (token in ')]}')
        if token == ',' and not depth:
            parts.append('')
        else:
            parts[-1] += token
    return [part.strip() for part in parts]


def _unquoted(part, text):
    """What a quotation quotes; any other part as it is."""
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
    is_whole = _WORD.fullmatch(value) or (value.startswith('(') and _is_literal(value))
    if is_whole and value.isprintable() and not RANGE.fullmatch(value):
        return value
    return repr(value)


def _literal(text):
    with warnings.catch_warnings(action='ignore'):  # of a backslash before a letter that needs none
        return ast.literal_eval(text)


def _is_literal(value):
    try:
        _literal(value)
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return False
    return _split(value) == [value]


def combinations(flags: Flags) -> list[Texts]:
    """Every combination of the axes, the last one changing fastest; of the experiment's own points
    where asked.

    Raises:
      Refused: a key that is given twice, or points that the experiment does not have.
    """
    module = catalogue.load(flags.exp)
    own: list[Texts] = [{}]
    if 'own' in flags.sweep:
        if not hasattr(module, 'sweep'):
            name = catalogue.name_of(flags.exp)
            raise Refused(f'--sweep is own, and {name} has no sweep of its own')
        own = [{key: str(value) for key, value in point.items()} for point in module.sweep()]
    axes = [axis(text) for text in flags.sweep if text != 'own']
    keys = [*flags.overrides, *(key for key, _ in axes)]
    twice = [key for key, count in collections.Counter(keys).items() if count > 1]
    if twice:
        raise Refused(f'{twice[0]} is given twice, by --sweep and --config or by two of --sweep')
    pairs_of_axes = [[(key, value) for value in values] for key, values in axes]
    product = itertools.product(*pairs_of_axes)
    return [point | dict(chosen) for chosen in product for point in own]


def checked_points(
    argv: Sequence[str], flags: Flags, request: MakeRequest, plan: MakePlan
) -> list[Point]:
    """The points, each of which could be launched as it stands; without --sweep the one run.

    Args:
      request: checks a command line without building its experiment; `plan` builds it.

    Raises:
      Refused: one cannot, and which; or two are the same run.
    """
    shared = [f'{name}={text}' for name, text in pairs(argv) if _is_of_points(name)]
    built: set[str] = set()
    traced: set[str] = set()

    def build(words: list[str], config: Mapping[str, Any]) -> None:
        """Sees that an experiment can be built, unless one with another seed has been.

        Tracing is what takes long: one point of those whose states and batches have the same shapes
        stands for all. Should another not fit, its own launch will refuse it.
        """
        without_seed = str({key: value for key, value in config.items() if key != 'seed'})
        if without_seed not in built:
            plan(words, traced)
            built.add(without_seed)

    with _on_cpu():
        points = []
        for number, texts in enumerate(combinations(flags), 1):
            points.append(_point(number, shared, texts, request, build))
    counts = collections.Counter(point.workdir for point in points)
    twice = [workdir for workdir, count in counts.items() if count > 1]
    if twice:
        raise Refused(f'two points of the sweep are the same run, {twice[0]}')
    return points


def _is_of_points(name):
    return name.removeprefix('--').partition('.')[0] not in OF_SWEEP


@contextlib.contextmanager
def _on_cpu() -> Iterator[None]:
    """Has jax, which is imported within, take no accelerator: here it is only checked what workers
    will run."""
    platforms = os.environ.get('JAX_PLATFORMS')
    os.environ['JAX_PLATFORMS'] = 'cpu'
    try:
        yield
    finally:
        del os.environ['JAX_PLATFORMS']
        if platforms is not None:
            os.environ['JAX_PLATFORMS'] = platforms


def _point(
    number: int,
    shared: Sequence[str],
    texts: Texts,
    request: MakeRequest,
    build: Callable[[list[str], Mapping[str, Any]], None],
) -> Point:
    """A point that could be launched."""
    words = [*shared, *(f'--config.{key}={value}' for key, value in texts.items())]
    try:
        asked = request(words)
        build(words, flat(asked.config.to_dict()))
    except Unusable as error:
        if not texts:
            raise
        return Point(texts, words, error.workdir, 0, str(error))
    except Refused as refusal:
        where = f'point {number} of the sweep, {label(texts)}: ' if texts else ''
        raise Refused(f'{where}{refusal}') from None
    return Point(texts, words, asked.workdir, asked.flags.until or asked.config.steps)


def label(texts: Mapping[str, str]) -> str:
    """What sets a point apart, as --sweep would take it."""
    settings = [f'{key}={quoted(value)}' for key, value in texts.items()]
    return ', '.join(settings) or 'the config as it is'


def status(point: Point) -> str:
    """'new', 'step N of M' or 'done', by the checkpoints that lie there; or why it cannot be
    started."""
    if point.problem:
        return f'failed: {point.problem}'
    step = rundir.last_step(point.workdir)
    if step is None:
        return 'new'
    return 'done' if step >= point.steps else f'step {step} of {point.steps}'


def is_to_run(point: Point) -> bool:
    """Whether a point can be launched and is not done."""
    return not point.problem and status(point) != 'done'


def log_of(point: Point) -> pathlib.Path:
    """The file beside the run directory that a launch of the point prints to."""
    return point.workdir.with_name(f'{point.workdir.name}.log')


def table(points: Sequence[Point], outcomes: Mapping[int, str] = {}) -> str:
    """A line a point: its directory, what sets it apart, and its status.

    Args:
      outcomes: number of a point -> what is said in place of its status.
    """
    rows = []
    for i, point in enumerate(points):
        rows.append((str(point.workdir), label(point.texts), outcomes.get(i, status(point))))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return '\n'.join('  '.join(map(str.ljust, row, widths)).rstrip() for row in rows)

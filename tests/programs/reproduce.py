"""Trains every experiment whose data come with a dependency, and compares its metrics with the
committed record.

    python -m tests.programs.reproduce [EXPERIMENT...]            exit code: how many differ
    python -m tests.programs.reproduce [EXPERIMENT...] --record   writes their record anew, from three seeds each

An experiment runs by the command `Small` of its page, through the launcher, in a fresh directory.
Every number of metrics.jsonl but of clocks is compared, to the bit where versions, processor,
devices and data are those of the record. Elsewhere rounding differs, and a game of two networks
makes much of that. Then two things are asked: that training's first averages are the record's
within 0.001 of the largest value that each had; and that the last value of each test metric and
score is within as much, or within three times the range that it had over the record's three seeds.
On other data, as the docstrings of other packages are, the second alone is asked.
"""

import argparse
import ast
import contextlib
import importlib.metadata
import json
import math
import pathlib
import platform
import re
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from launch.run.provenance import source
from launch.viewer.reading import read_run

ROOT = pathlib.Path(__file__).parents[2]
RECORD = pathlib.Path(__file__).with_name('record.json')
SEEDS = (0, 1, 2)
TOLERANCE = 1e-3  # of the largest value that a metric had
# A run that is rounded otherwise is at worst as another seed's, and three seeds show some of what
# those do
RANGES = 3
PACKAGES = ('jax', 'jaxlib', 'numpy', 'flax', 'optax', 'scipy', 'scikit-learn')
SHOWN = 3  # metrics of an experiment in the table

Row = Mapping[str, float | None]  # 'step', then each metric by name; None where it was not finite
Entry = Mapping[
    str, Any
]  # of the record: command, source, environment, finals: {name: a value a seed}, rows


class Result(NamedTuple):
    seconds: float
    failed: str = ''  # how the launch ended, where it did not end well
    rows: Sequence[Row] = ()
    environment: Mapping[str, Any] = {}
    source: Mapping[str, Any] = {}


def commands(folder: pathlib.Path = ROOT / 'experiments') -> dict[str, list[str]]:
    """Experiment -> the flags of the command `Small` in its docstring, for those that state one."""
    docs = {
        path.stem: ast.get_docstring(ast.parse(path.read_text('utf-8')))
        for path in sorted(folder.glob('*.py'))
    }
    small = re.compile(r'^Small +python -m launch (.*(\n {8}--.*)*)', re.MULTILINE)
    return {
        name: shlex.split(found[1])
        for name, doc in docs.items()
        if (found := small.search(doc or ''))
    }


def trained(argv: Sequence[str], about: str) -> Result:
    """What comes of a command of the launcher, in a process of its own; on a terminal the time it
    takes is shown."""
    began = time.monotonic()
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        log = stack.enter_context(open(folder / 'log', 'w', encoding='utf-8'))
        command = [sys.executable, '-m', 'launch', *argv, '--workdir', str(folder / 'run')]
        process = stack.enter_context(subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log))
        stack.callback(process.kill)  # which does nothing to one that has ended
        while not _ended(process):
            _live(f'{about}  {time.monotonic() - began:.0f} s')
        _live('')
        if process.returncode:
            *_, last = ['', *(folder / 'log').read_text('utf-8').strip().splitlines()]
            return Result(time.monotonic() - began, f'exit code {process.returncode}: {last}')
        return Result(time.monotonic() - began, '', *_left(folder / 'run'))


def _ended(process):
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(1)
    return process.returncode is not None


def _live(text):
    if sys.stderr.isatty():
        sys.stderr.write(f'\r\x1b[K{text}')
        sys.stderr.flush()


def _left(workdir):
    """The rows, environment and source that a run directory tells of."""
    manifest = json.loads((workdir / 'manifest.json').read_text('utf-8'))
    launch = manifest['launches'][-1]
    found = (
        {'python': '.'.join(platform.python_version_tuple()[:2])}
        | launch['devices']
        | instructions()
    )
    found |= {name: importlib.metadata.version(name) for name in PACKAGES}
    return (
        untimed(read_run(workdir).rows),
        found | {'xla_flags': launch['xla_flags'], 'data': manifest['data']},
        launch['source'],
    )


def untimed(rows: Sequence[Row]) -> list[Row]:
    """Rows of metrics without clocks and rates."""
    return [
        {name: value for name, value in row.items() if not name.startswith('time/')} for row in rows
    ]


def instructions() -> dict[str, str]:
    """What of the processor XLA and LLVM choose instructions by."""
    here = pathlib.Path('/proc/cpuinfo')
    told = (
        dict(re.findall(r'^(\S[^\t:]*?)\s*: (.*)$', here.read_text('utf-8'), re.MULTILINE))
        if here.exists()
        else {}
    )
    flags = told.get('flags', told.get('Features', '')).split()  # of x86 and of Arm
    wide = ' '.join(sorted(flag for flag in flags if re.match('avx|fma|amx|asimd|sve', flag)))
    model = ' '.join(told[key] for key in ('vendor_id', 'cpu family', 'model') if key in told)
    return {'machine': platform.machine(), 'instructions': wide, 'model': model}


def verdict(entry: Entry | None, argv: Sequence[str], result: Result) -> str:
    """'to the bit', 'within bounds' or 'DIFFERENT: ...' with the first difference; then how the
    environments differ."""
    if result.failed or entry is None or entry['command'] != shlex.join(argv):
        return f'DIFFERENT: {result.failed or "the record has no such command"}'
    change = first_change(entry['rows'], result.rows)
    if not change:
        return 'to the bit'
    there, here = entry['environment'], result.environment
    others = [key for key in dict.fromkeys([*there, *here]) if there.get(key) != here.get(key)]
    # Data that changed with nothing else were changed by the source, which is no excuse.
    outside = (
        change
        if set(others) <= {'data'}
        else first_outside(entry, result.rows, early='data' not in others)
    )
    told = [
        f'; {key} is {here.get(key) or "none"} here and {there.get(key) or "none"} there'
        for key in others
    ]
    return (f'DIFFERENT: {outside}' if outside else 'within bounds') + ''.join(told)


def first_change(there: Sequence[Row], here: Sequence[Row]) -> str:
    """The first number that is another, or is missing on one side; '' where all are equal."""
    pairs = _pairs(there, here).items()
    return next(
        (_said(place, *pair) for place, pair in pairs if repr(pair[0]) != repr(pair[1])), ''
    )


def first_outside(entry: Entry, here: Sequence[Row], early: bool = True) -> str:
    """The first number that is beyond its limit, or missing on one side; '' where there is none.

    Args:
      early: whether training's first averages are asked for too.
    """
    asked, pairs = limits(entry, early), _pairs(entry['rows'], here).items()
    return next(
        (
            _said(at, *pair)
            for at, pair in pairs
            if _apart(*pair) > asked.get(at, sys.float_info.max)
        ),
        '',
    )


def limits(entry: Entry, early: bool = True) -> dict[tuple[int, str], float]:
    """(step, name) -> how far from the record's number one may be, for those that are asked for."""
    places = list(_numbers(entry['rows']))
    asked = {name: step for step, name in places if '/' in name}  # where it stands last
    asked |= {
        name: step for step, name in reversed(places) if '/' not in name and early
    }  # where it stands first
    largest = lambda name: max(abs(row.get(name) or 0.0) for row in entry['rows'])
    spread = lambda name: _range(entry['finals'].get(name, ()))
    return {
        (asked[name], name): max(TOLERANCE * largest(name), RANGES * spread(name)) for name in asked
    }


def _range(values):
    known = [value for value in values if value is not None]
    return max(known) - min(known) if known else 0.0


def _apart(there, here):
    known = isinstance(there, float | int) and isinstance(here, float | int)
    return 0.0 if there == here else abs(there - here) if known else math.inf


def _numbers(rows):
    """(step, name) -> value, in the order of the rows."""
    return {
        (row['step'], name): value for row in rows for name, value in row.items() if name != 'step'
    }


def _pairs(there, here):
    """(step, name) -> the values there and here, in the order of steps."""
    a, b = _numbers(there), _numbers(here)
    return {
        at: (a.get(at, 'absent'), b.get(at, 'absent')) for at in sorted(a | b, key=lambda at: at[0])
    }


def _said(at, there, here):
    return f'step {at[0]} {at[1]} is {here} here and {there} there'


def finals(rows: Sequence[Row]) -> dict[str, float | None]:
    """The last value of each test metric and score."""
    return {name: value for (_, name), value in _numbers(rows).items() if '/' in name}


def recorded(argv: Sequence[str], about: str) -> Entry:
    """What the record is to hold of a command: its run, and last values over seeds.

    Raises:
      SystemExit: a run failed.
    """
    results = [
        trained([*argv, *([f'--config.seed={seed}'] if seed else [])], f'{about}, seed {seed}')
        for seed in SEEDS
    ]
    if failed := next((result.failed for result in results if result.failed), ''):
        raise SystemExit(f'{about}: {failed}')
    values = [finals(result.rows) for result in results]
    told = {
        'command': shlex.join(argv),
        'source': results[0].source,
        'environment': results[0].environment,
    }
    return told | {
        'finals': {name: [v.get(name) for v in values] for name in values[0]},
        'rows': results[0].rows,
    }


def written(record: Mapping[str, Entry]) -> str:
    """JSON in which a row of metrics is a line; numbers stand there whole."""
    text = json.dumps(dict(sorted(record.items())), indent=1)
    return re.sub(r'[\[{][^][{}]*[\]}]', lambda found: re.sub(r'\n *', ' ', found[0]), text) + '\n'


def table(name: str, result: Result, entry: Entry | None, says: str) -> str:
    """An experiment's lines: what was trained, some of what it came to here and in the record, and
    the verdict."""
    here, there = finals(result.rows), finals(entry['rows']) if entry else {}
    shown = lambda value: '-' if value is None else f'{value:.6g}'
    cells = [
        f'{n:28}{shown(here.get(n)):>13}{shown(there.get(n)):>13}'
        for n in list(here | there)[:SHOWN]
    ] or [' ' * 54]
    steps = result.rows[-1]['step'] if result.rows else 0
    first = f'{name:20}{steps:>6}{result.seconds:>6.0f}  {cells[0]}  {says}'
    return '\n'.join([first, *(' ' * 34 + cell for cell in cells[1:])])


def main(argv: Sequence[str]) -> int:
    known = commands()
    parser = argparse.ArgumentParser(
        'python -m tests.programs.reproduce', description=__doc__.partition('\n')[0]
    )
    parser.add_argument('experiments', nargs='*', metavar='EXPERIMENT', help=', '.join(known))
    parser.add_argument(
        '--record', action='store_true', help='write the record anew, from three seeds each'
    )
    asked = parser.parse_args(argv)
    if unknown := set(asked.experiments) - known.keys():
        parser.error(
            f'{", ".join(sorted(unknown))} states no small size; there are {", ".join(known)}'
        )
    chosen = {
        name: argv
        for name, argv in known.items()
        if name in asked.experiments or not asked.experiments
    }
    return (_record if asked.record else _compare)(chosen)


def held() -> dict[str, Entry]:
    """The record."""
    return json.loads(RECORD.read_text('utf-8')) if RECORD.exists() else {}


def _compare(chosen: Mapping[str, Sequence[str]]) -> int:
    print(
        f'{"experiment":20}{"steps":>6}{"s":>6}  {"metric":28}{"here":>13}{"record":>13}  verdict',
        flush=True,
    )
    record, says = held(), []
    for i, (name, argv) in enumerate(chosen.items(), 1):
        result, entry = trained(argv, f'[{i}/{len(chosen)}] {name}'), record.get(name)
        says.append(verdict(entry, argv, result))
        print(table(name, result, entry, says[-1]), flush=True)
    different = sum(said.startswith('DIFFERENT') for said in says)
    print(f'{len(says)} experiments, {different} different')
    return different


def _record(chosen: Mapping[str, Sequence[str]]) -> int:
    """Writes after each experiment, so that a later one that fails costs nothing."""
    began = source(ROOT)  # before the record itself is a change
    for i, (name, argv) in enumerate(chosen.items(), 1):
        entry = recorded(argv, f'[{i}/{len(chosen)}] {name}') | {'source': began}
        kept = {other: old for other, old in held().items() if other in commands()}
        RECORD.write_text(written(kept | {name: entry}), 'utf-8')
        print(f'{name} is recorded', flush=True)
    return 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))

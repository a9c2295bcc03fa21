"""Trains every experiment that needs no file, and compares its metrics with the committed record.

    python -m tests.programs.reproduce [EXPERIMENT...]            exit code: how many differ
    python -m tests.programs.reproduce [EXPERIMENT...] --record   writes their record anew

An experiment runs by the command `Small` of its page, through the launcher, in a fresh directory.
What counts as the same is said in comparison.py. A record holds the rows of a run with the page's
seed, and the last values of three seeds.
"""

import argparse
import ast
import contextlib
import importlib.metadata
import json
import pathlib
import platform
import re
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence

from launch.run.provenance import source
from launch.viewer.reading import read_run
from tests.programs.comparison import (
    Entry,
    Result,
    final_values,
    verdict,
    without_clocks,
)

ROOT = pathlib.Path(__file__).parents[2]
RECORD = pathlib.Path(__file__).with_name('record.json')
SEEDS = (0, 1, 2)
PACKAGES = ('jax', 'jaxlib', 'numpy', 'flax', 'optax', 'scipy', 'scikit-learn')
SHOWN = 3  # metrics of an experiment in the table

# The command of a page, and its continuation lines.
SMALL = re.compile(r'^Small +python -m launch (.*(\n {8}--.*)*)', re.MULTILINE)


def commands(folder: pathlib.Path = ROOT / 'experiments') -> dict[str, list[str]]:
    """Experiment -> the flags of the command `Small` in its docstring, for those that have one."""
    flags = {}
    for path in sorted(folder.glob('*.py')):
        docstring = ast.get_docstring(ast.parse(path.read_text('utf-8')))
        match = SMALL.search(docstring or '')
        if match:
            flags[path.stem] = shlex.split(match[1])
    return flags


def train(argv: Sequence[str], title: str) -> Result:
    """Launches an experiment in a process of its own, and reads what it wrote.

    Args:
      argv: flags of the launcher.
      title: shown on a terminal, with the seconds that it has taken.
    """
    start = time.monotonic()
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        log = stack.enter_context(open(folder / 'log', 'w', encoding='utf-8'))
        command = [sys.executable, '-m', 'launch', *argv, '--workdir', str(folder / 'run')]
        process = stack.enter_context(subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log))
        stack.callback(process.kill)  # which does nothing to one that has ended
        while not _ended(process):
            _show(f'{title}  {time.monotonic() - start:.0f} s')
        _show('')

        if process.returncode:
            log_lines = (folder / 'log').read_text('utf-8').strip().splitlines()
            last_line = log_lines[-1] if log_lines else ''
            failure = f'exit code {process.returncode}: {last_line}'
            return Result(time.monotonic() - start, failure)
        return _read_result(folder / 'run', time.monotonic() - start)


def _ended(process: subprocess.Popen) -> bool:
    """Waits for a second, or for the end of a process; returns whether it has ended."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(1)
    return process.returncode is not None


def _show(text: str) -> None:
    """Puts a text into the last line of a terminal."""
    if sys.stderr.isatty():
        sys.stderr.write(f'\r\x1b[K{text}')
        sys.stderr.flush()


def _read_result(workdir: pathlib.Path, seconds: float) -> Result:
    """The rows, environment and source of a run directory."""
    manifest = json.loads((workdir / 'manifest.json').read_text('utf-8'))
    launch = manifest['launches'][-1]
    major, minor, _ = platform.python_version_tuple()
    environment = {
        'python': f'{major}.{minor}',
        **launch['devices'],
        **instructions(),
        **{name: importlib.metadata.version(name) for name in PACKAGES},
        'xla_flags': launch['xla_flags'],
        'data': manifest['data'],
    }
    rows = without_clocks(read_run(workdir).rows)
    return Result(seconds, '', rows, environment, launch['source'])


def instructions() -> dict[str, str]:
    """The properties of the processor by which XLA and LLVM choose instructions."""
    cpuinfo = pathlib.Path('/proc/cpuinfo')
    fields = {}
    if cpuinfo.exists():
        text = cpuinfo.read_text('utf-8')
        fields = dict(re.findall(r'^(\S[^\t:]*?)\s*: (.*)$', text, re.MULTILINE))
    flags = fields.get('flags', fields.get('Features', '')).split()  # of x86 and of Arm
    wide = sorted(flag for flag in flags if re.match('avx|fma|amx|asimd|sve', flag))
    model = [fields[key] for key in ('vendor_id', 'cpu family', 'model') if key in fields]
    return {
        'machine': platform.machine(),
        'instructions': ' '.join(wide),
        'model': ' '.join(model),
    }


def make_entry(argv: Sequence[str], title: str) -> Entry:
    """The record of a command: its run, and last values over seeds.

    Raises:
      SystemExit: a run failed.
    """
    results = []
    for seed in SEEDS:
        seed_flags = [f'--config.seed={seed}'] if seed else []
        result = train([*argv, *seed_flags], f'{title}, seed {seed}')
        if result.failure:
            raise SystemExit(f'{title}: {result.failure}')
        results.append(result)
    first = results[0]
    values = [final_values(result.rows) for result in results]
    return {
        'command': shlex.join(argv),
        'source': first.source,
        'environment': first.environment,
        'finals': {name: [of_seed.get(name) for of_seed in values] for name in values[0]},
        'rows': first.rows,
    }


def to_json(record: Mapping[str, Entry]) -> str:
    """JSON of a record, in which a row of metrics is a line and numbers are exact."""

    def in_one_line(match):
        return re.sub(r'\n *', ' ', match[0])

    text = json.dumps(dict(sorted(record.items())), indent=1)
    return re.sub(r'[\[{][^][{}]*[\]}]', in_one_line, text) + '\n'


def table_lines(name: str, result: Result, entry: Entry | None, says: str) -> str:
    """The lines of an experiment in the table: some of its last values, and the verdict.

    Args:
      name: of the experiment.
      result: of its run.
      entry: of the record; None where it has none.
      says: the verdict.
    """

    def shown(value):
        return '-' if value is None else f'{value:.6g}'

    here = final_values(result.rows)
    recorded = final_values(entry['rows']) if entry else {}
    cells = [
        f'{metric:28}{shown(here.get(metric)):>13}{shown(recorded.get(metric)):>13}'
        for metric in list(here | recorded)[:SHOWN]
    ]
    first_cell, *other_cells = cells or [' ' * 54]
    steps = result.rows[-1]['step'] if result.rows else 0
    first_line = f'{name:20}{steps:>6}{result.seconds:>6.0f}  {first_cell}  {says}'
    return '\n'.join([first_line, *(' ' * 34 + cell for cell in other_cells)])


def read_record() -> dict[str, Entry]:
    """The committed record; empty where there is none."""
    return json.loads(RECORD.read_text('utf-8')) if RECORD.exists() else {}


def main(argv: Sequence[str]) -> int:
    """Carries out one command line; returns how many experiments differ."""
    known = commands()
    parser = argparse.ArgumentParser(
        'python -m tests.programs.reproduce', description=__doc__.partition('\n')[0]
    )
    parser.add_argument('experiments', nargs='*', metavar='EXPERIMENT', help=', '.join(known))
    parser.add_argument(
        '--record', action='store_true', help='write the record anew, from three seeds each'
    )
    flags = parser.parse_args(argv)
    unknown = sorted(set(flags.experiments) - known.keys())
    if unknown:
        parser.error(f'{", ".join(unknown)} states no small size; there are {", ".join(known)}')
    chosen = known
    if flags.experiments:
        chosen = {name: known[name] for name in known if name in flags.experiments}
    return _write_record(chosen) if flags.record else _compare(chosen)


def _compare(chosen: Mapping[str, Sequence[str]]) -> int:
    """Trains experiments and prints the table; returns how many differ."""
    print(
        f'{"experiment":20}{"steps":>6}{"s":>6}  {"metric":28}{"here":>13}{"record":>13}  verdict',
        flush=True,
    )
    record = read_record()
    different = 0
    for i, (name, argv) in enumerate(chosen.items(), 1):
        result = train(argv, f'[{i}/{len(chosen)}] {name}')
        entry = record.get(name)
        says = verdict(entry, argv, result)
        different += says.startswith('DIFFERENT')
        print(table_lines(name, result, entry, says), flush=True)
    print(f'{len(chosen)} experiments, {different} different')
    return different


def _write_record(chosen: Mapping[str, Sequence[str]]) -> int:
    """Writes the record after each experiment, so that a later one that fails costs nothing."""
    known = commands()
    tree = source(ROOT)  # before the record itself is a change
    for i, (name, argv) in enumerate(chosen.items(), 1):
        entry = {**make_entry(argv, f'[{i}/{len(chosen)}] {name}'), 'source': tree}
        kept = {other: old for other, old in read_record().items() if other in known}
        RECORD.write_text(to_json({**kept, name: entry}), 'utf-8')
        print(f'{name} is recorded', flush=True)
    return 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))

"""What the stages leave to read: accelerator.json, and a table of it."""

import json
import math
import pathlib
from collections.abc import Sequence
from typing import Any, NamedTuple

from benchmarks.accelerator.boxes import DONE
from benchmarks.accelerator.setting import Row, rows_file

JSON = 'accelerator.json'
TABLE = 'table.md'
NOT_BEGUN = 'not begun: the time of all stages was over'


class Outcome(NamedTuple):
    """What came of a stage."""

    stage: str
    ended: str  # 'done', or why not
    seconds: float
    box: float  # seconds that it was given
    rows: list[Row] = []


class Run(NamedTuple):
    """What came of all stages so far."""

    began: str  # date and time
    small: bool
    seconds: float
    outcomes: dict[str, Outcome] = {}  # by stage


def read_rows(out: pathlib.Path, stage: str) -> list[Row]:
    """The rows that a stage has left so far; a torn last one is left out."""
    path = rows_file(out, stage)
    if not path.exists():
        return []
    lines = path.read_text('utf-8').splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith('\n')]


def value_of(out: pathlib.Path, stage: str, what: str) -> Any:
    """One thing that a stage has measured; None where it has not."""
    for row in read_rows(out, stage):
        if row.get('what') == what:
            return row['value']
    return None


def outcome_of(stage: str, ended: str, seconds: float, box: float, rows: list[Row]) -> Outcome:
    """The outcome of a stage, which may have said itself that it was skipped."""
    measured = [row for row in rows if 'skipped' not in row]
    skipped = [row['skipped'] for row in rows if 'skipped' in row]
    if skipped and ended == DONE:
        ended = f'skipped, {skipped[0]}'
    return Outcome(stage, ended, seconds, box, measured)


def write(run: Run, out: pathlib.Path) -> None:
    """Writes both files, each in one step."""
    stages = {name: outcome._asdict() for name, outcome in run.outcomes.items()}
    text = json.dumps(run._asdict() | {'outcomes': stages}, indent=1)
    _replace(out / JSON, text + '\n')
    _replace(out / TABLE, table(run))


def read(out: pathlib.Path) -> Run | None:
    """What an earlier command has left in a folder; None where there is nothing."""
    path = out / JSON
    if not path.exists():
        return None
    fields = json.loads(path.read_text('utf-8'))
    outcomes = {name: Outcome(**outcome) for name, outcome in fields['outcomes'].items()}
    return Run(**fields | {'outcomes': outcomes})


def table(run: Run) -> str:
    """All outcomes as Markdown: a row for each thing measured, then how long the stages took."""
    lines = [f'# Measured on {title(run)}', '', subtitle(run), '']
    lines += ['| stage | what | measured | | |', '| --- | --- | --: | --- | --- |']
    for outcome in run.outcomes.values():
        lines += _rows_of(outcome)
    lines += ['', '| stage | seconds | of at most | ended |', '| --- | --: | --: | --- |']
    for outcome in run.outcomes.values():
        cells = outcome.stage, f'{outcome.seconds:.0f}', f'{outcome.box:.0f}', _cell(outcome.ended)
        lines.append(_line(cells))
    return '\n'.join(lines) + '\n'


def title(run: Run) -> str:
    """The device."""
    return str(_chip(run).get('device', 'an unknown device'))


def subtitle(run: Run) -> str:
    """Versions, commit, date and size in a line."""
    chip = _chip(run)
    versions = ', '.join(
        f'{name} {chip[name]}' for name in ('jax', 'flax', 'Python') if name in chip
    )
    commit = str(chip.get('commit', ''))[:10]
    size = ', at the small size, of which times say nothing' if run.small else ''
    parts = [versions, f'commit {commit}' if commit else '', f'{run.began}', f'{run.seconds:.0f} s']
    return '; '.join(part for part in parts if part) + size + '.'


def shown(value: Any) -> str:
    """A value in a cell: numbers with four digits, and thousands parted."""
    if isinstance(value, str):
        return _cell(value)
    if not math.isfinite(value):
        return str(value)
    digits = 0 if not value else max(0, 3 - math.floor(math.log10(abs(value))))
    text = f'{value:,.{min(digits, 6)}f}'
    return text.rstrip('0').rstrip('.') if '.' in text else text


def missing(run: Run, names: Sequence[str]) -> list[str]:
    """The stages that have not ended by themselves, of some."""
    ended = {name for name, outcome in run.outcomes.items() if _by_itself(outcome)}
    return [name for name in names if name not in ended]


def _by_itself(outcome):
    return outcome.ended == DONE or outcome.ended.startswith('skipped')


def _chip(run):
    outcome = run.outcomes.get('chip')
    return {row['what']: row['value'] for row in outcome.rows} if outcome else {}


def _rows_of(outcome):
    """The rows of a stage, of which the first names it; then how it ended, where it went wrong."""
    cells = [
        (row['what'], shown(row['value']), row['unit'], _cell(row['note'])) for row in outcome.rows
    ]
    if outcome.ended != DONE:
        cells.append((f'*{_cell(outcome.ended)}*', '', '', ''))
    elif not cells:
        cells.append(('*nothing was measured*', '', '', ''))
    names = [outcome.stage] + [''] * (len(cells) - 1)
    return [_line((name, *row)) for name, row in zip(names, cells, strict=True)]


def _line(cells):
    return '| ' + ' | '.join(cells) + ' |'


def _cell(text):
    return str(text).replace('|', '\\|')


def _replace(path, text):
    partial = path.with_name(f'.{path.name}')
    partial.write_text(text, 'utf-8')
    partial.replace(path)

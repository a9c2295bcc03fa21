"""Scores with their contract, as text and as JSON.

Runs that differ in their seed alone are one group, with means and deviations.
"""

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from experiments._scores import Comparison, Draws, Made, Side
from launch.viewer.groups import Statistics, groups, summarise
from launch.viewer.runs import Run, differing_keys
from launch.viewer.runs import as_text as setting_text

HEADER = ('score', 'value', 'deviation', 'of infinitely many')


class Row(NamedTuple):
    """One of those that were scored."""

    name: str  # as it was named
    run: Run | None  # as its directory records it
    checkpoint: str  # of the run, as it was named
    side: Side | None  # None where it could not be scored
    comparison: Comparison | None
    refusal: str  # why it could not


class Contract(NamedTuple):
    """How scores were made: those with the same contract and as many images may be compared."""

    features: dict[str, str]  # their extractor, its weights and resize; '' where files do not say
    reference: dict[str, Any]
    draws: dict[str, int]


def contract(made: Made, reference: Side, draws: Draws) -> Contract:
    """The contract of scores against one reference."""
    return Contract(made._asdict(), _stated(reference), draws._asdict())


def _stated(side: Side) -> dict[str, Any]:
    stated = side._asdict()
    del stated['features']
    return stated


def as_json(contract: Contract, rows: Sequence[Row]) -> str:
    """All that was found, with how it was made."""
    found = []
    for row in rows:
        if row.side is None:
            found.append({'scored': row.name, 'refusal': row.refusal})
            continue
        scores = {}
        for score in row.comparison.scores:
            values = {'value': score.value, 'deviation': score.deviation, 'limit': score.limit}
            scores[score.name] = {key: x for key, x in values.items() if x is not None}
        found.append(
            {
                'scored': _stated(row.side),
                'scores': scores,
                'missing': row.comparison.missing,
            }
        )
    tables = []
    for group in _groups(rows):
        statistics = {name: x._asdict() for name, x in group.scores.items()}
        seeds = [run.config.get('seed') for run in group.runs]
        table = {'experiment': group.experiment, 'checkpoint': group.checkpoint}
        tables.append(table | {'config': group.config, 'seeds': seeds, 'scores': statistics})
    value = contract._asdict() | {'rows': found, 'groups': tables}
    return json.dumps(value, indent=1) + '\n'


def as_text(contract: Contract, rows: Sequence[Row]) -> str:
    """The contract, and a table of scores."""
    lines = [_contract_text(contract)]
    if len(rows) == 1:
        lines += [f'scored      {_side_text(_stated(rows[0].side))}', '']
        lines += _aligned([HEADER, *map(_score_cells, rows[0].comparison.scores)])
    else:
        lines += ['', *_aligned(_row_cells(rows))]
        tables = _group_cells(rows)
        if tables:
            lines += ['', *_aligned(tables)]
    lines += _omissions(rows)
    return '\n'.join(lines)


def _contract_text(contract):
    made = contract.features
    features = 'features    of an extractor that the files do not state'
    if made['extractor']:
        features = (
            f'features    {made["extractor"]}, weights {made["weights"]}, resize {made["resize"]}'
        )
    draws = contract.draws
    return '\n'.join(
        [
            features,
            f'drawn       seed {draws["seed"]}; {draws["subsets"]} subsets of {draws["size"]:,}, '
            f'or of half the images where there are fewer; {draws["splits"]} splits',
            f'against     {_side_text(contract.reference)}',
        ]
    )


def _side_text(stated):
    count = 'a number of images that is not stated' if stated['n'] is None else None
    if count is None:
        count = f'{stated["n"]:,} images'
    if stated['shape'] is not None:
        count += f' of {" x ".join(map(str, stated["shape"]))}'
    parts = [stated['source'], stated['part'], count]
    if stated['seeds']:
        parts.append(f'seeds {", ".join(map(str, stated["seeds"]))}')
        parts.append(f'average of parameters: {stated["average"]}')
    if stated['digest']:
        parts.append(f'digest {stated["digest"]}')
    if not stated['stated']:
        parts.append('which does not say what its features are of')
    return ', '.join(parts)


def _score_cells(score):
    return (score.name, *map(_number, (score.value, score.deviation, score.limit)))


def _number(value):
    return '' if value is None else f'{value:.6g}'


def _omissions(rows):
    """A line for each reason for which measures cannot be had."""
    by_reason = {}
    for row in rows:
        for name, reason in (row.comparison.missing if row.comparison else {}).items():
            by_reason.setdefault(reason, {})[name] = None
    return [f'\n{reason}: no {", ".join(names)}' for reason, names in by_reason.items()]


def _row_cells(rows):
    names = _score_names(rows)
    cells = [['scored', 'images', *map(_short, names)]]
    for row in rows:
        if row.side is None:
            cells.append([row.name, '-', *('-' for _ in names)])
            continue
        values = {score.name: score.value for score in row.comparison.scores}
        count = '?' if row.side.n is None else f'{row.side.n:,}'
        cells.append([row.name, count, *(_number(values.get(name)) for name in names)])
    return cells


def _score_names(rows):
    """Names of scores that any row has, in order."""
    return list(
        dict.fromkeys(
            score.name for row in rows if row.comparison for score in row.comparison.scores
        )
    )


def _short(name):
    """A score's name without the extractor's, which the contract says above."""
    return name.partition(' (')[0]


class _Group(NamedTuple):
    """Runs of an experiment that differ in their seed alone, at the same checkpoint."""

    experiment: str
    checkpoint: str  # as it was named
    runs: list[Run]
    config: dict[str, Any]  # but for the seed
    scores: dict[str, Statistics]


def _groups(rows):
    members = {}  # (experiment, checkpoint) -> {run directory: row}
    for row in rows:
        if row.run is not None and row.side is not None:
            alike = members.setdefault((row.run.experiment, row.checkpoint), {})
            alike[row.run.workdir] = row
    found = []
    for (experiment, checkpoint), by_workdir in members.items():
        runs = [row.run for row in by_workdir.values()]
        for group in groups(runs, _settings(runs)):
            scores = _summary([by_workdir[run.workdir] for run in group.runs])
            found.append(_Group(experiment, checkpoint, group.runs, group.config, scores))
    return found


def _settings(runs):
    return [key for key in differing_keys(runs) if key != 'seed']


def _summary(rows):
    """Mean and deviation of each score over the runs of a group."""
    found = {}
    for name in _score_names(rows):
        values = [
            score.value for row in rows for score in row.comparison.scores if score.name == name
        ]
        found[name] = summarise(values)
    return found


def _group_cells(rows):
    """A table of means and deviations over seeds; empty where no group has several runs."""
    found = _groups(rows)
    if all(len(group.runs) < 2 for group in found):
        return []
    names = _score_names(rows)
    keys = _settings([run for group in found for run in group.runs])
    cells = [['over seeds', *keys, *map(_short, names)]]
    for group in found:
        label = f'{group.experiment}:{group.checkpoint}, {len(group.runs)} seeds'
        settings = [setting_text(group.config.get(key, '-')) for key in keys]
        cells.append([label, *settings, *(_mean(group.scores.get(name)) for name in names)])
    return cells


def _mean(statistics):
    if statistics is None or statistics.mean is None:
        return '-'
    if statistics.deviation is None:
        return f'{statistics.mean:.5g}'
    return f'{statistics.mean:.5g} ± {statistics.deviation:.2g}'


def _aligned(cells):
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return ['  '.join(map(str.ljust, row, widths)).rstrip() for row in cells]

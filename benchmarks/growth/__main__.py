"""How cost grows: a point at a time into growth.json, slopes in a table, all curves in growth.png.

    python -m benchmarks.growth [SUBJECT] [--sizes 1 2 4] [--sides genjax gensim] [--small]
        [--data GENJAX_DATA] [--out growth] [--limit 120]

Subjects: words, images, vocabulary, resolution, states, components, devices; all of them without a
name. Each point is measured in a process of its own, on one core, by the processor's own clock,
which does not count other programs; memory is the peak above what imports and the problem itself
take. A side ends after the first point whose process takes longer than the limit. A peer that is
not installed is skipped. Points that growth.json has already are measured anew where they are asked
for, and stay where they are not. Slope: of log cost over log size, by least squares, with its
standard error; last: between the two largest sizes, where fixed costs count least.
"""

import argparse
import json
import math
import pathlib
import tempfile
from collections.abc import Iterator, Sequence
from typing import Any

from benchmarks.growth.figure import curves, draw
from benchmarks.growth.point import measure_point
from benchmarks.growth.slopes import fit_slope
from benchmarks.growth.subject import Subject
from benchmarks.growth.subjects import SUBJECTS

SHOWN = 4  # digits


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """The settings."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('subject', nargs='?', choices=SUBJECTS)
    parser.add_argument('--sizes', nargs='+', type=float)
    parser.add_argument('--sides', nargs='+')
    parser.add_argument('--small', action='store_true', help='problems of seconds')
    parser.add_argument('--data', type=pathlib.Path, help='folder of data sets, with text/ in it')
    parser.add_argument('--out', type=pathlib.Path, default=pathlib.Path('growth'))
    parser.add_argument('--limit', type=float, default=120, help='seconds')
    options = parser.parse_args(argv)
    if options.subject is None and (options.sizes or options.sides):
        parser.error('--sizes and --sides are of one subject; name it')
    known = SUBJECTS[options.subject].sides if options.subject else {}
    for side in options.sides or ():
        if side not in known:
            parser.error(f'{options.subject} has no side {side!r}; there are {", ".join(known)}')
    return options


def measure(name: str, options: argparse.Namespace, scratch: str) -> Iterator[dict[str, Any]]:
    """The points of a subject, one after the other."""
    subject = SUBJECTS[name]
    sizes = options.sizes or (subject.small if options.small else subject.sizes)
    told = dict(
        small=options.small,
        data=None if options.data is None else str(options.data.resolve()),
        scratch=scratch,
        environment=dict(subject.environment),
    )
    for side in options.sides or subject.sides:
        for size in sizes:
            point = measure_point(name, side, size, told)
            yield dict(subject=name, side=side, size=size, small=options.small) | point
            if 'measures' not in point or point['wall'] > options.limit:
                break


def describe(row: dict[str, Any]) -> str:
    """A line for a point."""
    where = f'{row["subject"]}, {row["side"]}, {row["size"]:,g}: '
    if 'skipped' in row:
        return f'{where}skipped, {row["skipped"]} is not installed'
    if 'failed' in row:
        return f'{where}failed, {row["failed"]}'
    costs = [f'{name} {cost:.{SHOWN}g}' for name, cost in row['measures'].items()]
    return f'{where}{", ".join(costs)}; {row["wall"]} s in all'


def read_rows(path: pathlib.Path) -> list[dict[str, Any]]:
    """The points so far."""
    return json.loads(path.read_text()) if path.exists() else []


def replace_row(rows: list[dict[str, Any]], row: dict[str, Any]) -> list[dict[str, Any]]:
    """The points with one more, which takes the place of an older one of its kind."""
    kind = 'subject', 'side', 'size', 'small'
    others = [old for old in rows if any(old[name] != row[name] for name in kind)]
    return [*others, row]


def slope_rows(rows: Sequence[dict[str, Any]], name: str, subject: Subject) -> Iterator[list[str]]:
    """Cells of the table of slopes."""
    for measure, about in subject.measures.items():
        for side, points in curves(rows, name, measure).items():
            sizes, costs = zip(*points, strict=True)
            fit = fit_slope(sizes, costs)
            if fit is None:
                continue
            error = '' if math.isnan(fit.error) else f' ± {fit.error:.2f}'
            expected = '' if about.expected is None else f'{about.expected:g}'
            ends = f'{costs[0]:.3g} to {costs[-1]:.3g} {about.unit}'
            span = f'{sizes[0]:,g} to {sizes[-1]:,g}'
            yield [
                subject.varied,
                span,
                side,
                measure,
                ends,
                f'{fit.slope:.2f}{error}',
                f'{fit.last:.2f}',
                expected,
            ]


def print_table(rows: Sequence[dict[str, Any]]) -> None:
    """The slopes of all curves."""
    header = ['what grows', 'from, to', 'side', 'cost', 'from, to', 'slope', 'last', 'should be']
    print('| ' + ' | '.join(header) + ' |')
    print('|' + ' --- |' * len(header))
    for name, subject in SUBJECTS.items():
        for cells in slope_rows(rows, name, subject):
            print('| ' + ' | '.join(cells) + ' |', flush=True)


def main(argv: Sequence[str] | None = None) -> None:
    """Measures, writes after each point, and draws."""
    options = parse(argv)
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / 'growth.json'
    rows = read_rows(path)
    names = [options.subject] if options.subject else list(SUBJECTS)
    with tempfile.TemporaryDirectory() as scratch:
        for name in names:
            for row in measure(name, options, scratch):
                print(describe(row), flush=True)
                rows = replace_row(rows, row)
                path.write_text(json.dumps(rows, indent=1))

    shown = [row for row in rows if row['small'] == options.small]
    draw(shown, SUBJECTS, options.out / 'growth.png')
    print_table(shown)


if __name__ == '__main__':
    main()

"""Pictures of what was measured, each drawn once one of its stages has ended."""

import pathlib
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from benchmarks.accelerator import kernels
from benchmarks.accelerator.report import Run, title

# Apart for every kind of colour vision.
BLUE = '#0072b2'
ORANGE = '#d55e00'
GREY = '#999999'
DTYPES = {'bfloat16': BLUE, 'float32': ORANGE}
LONGEST = 25  # families of kernels of a picture
NUMBER = re.compile(r'[._]\d+$')  # at the end of a kernel's name
NAME = 60  # letters of a kernel's name


def draw(run: Run, out: pathlib.Path, stage: str | None = None) -> None:
    """Draws the pictures that a stage has a part in, or all of them.

    Args:
      run: what came of the stages so far.
      out: the folder of results.
      stage: None for all pictures.
    """
    for name, (picture, stages) in PICTURES.items():
        if stage is None or stage in stages or not stages:
            figure = picture(run, out)
            if figure is not None:
                figure.savefig(out / f'{name}.png')


def kernels_picture(dtype: str) -> Callable[[Run, pathlib.Path], Figure | None]:
    """The longest families of kernels of a train step in one dtype, and all others together."""

    def picture(run, out):
        rows = kernels.read(out / f'kernels_{dtype}.json')
        return _kernel_bars(rows, f'U-Net, {dtype}, {title(run)}') if rows else None

    return picture


def families(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Kernels whose names differ in a number at the end, together; the longest first.

    Args:
      rows: as `kernels.read` gives them.

    Returns:
      Rows of 'name', 'kinds', 'ms' and 'matrix'.
    """
    found = {}
    for row in rows:
        stem = NUMBER.sub('', row['name'])
        family = {'name': stem, 'kinds': 0, 'ms': 0.0, 'matrix': row['matrix']}
        family = found.setdefault((stem, row['matrix']), family)
        family['kinds'] += 1
        family['ms'] += row['ms']
    return sorted(found.values(), key=lambda family: -family['ms'])


def _kernel_bars(rows, what):
    all_families = families(rows)
    bars = []
    for family in all_families[:LONGEST]:
        kinds = f' ({family["kinds"]} kinds)' if family['kinds'] > 1 else ''
        colour = BLUE if family['matrix'] else ORANGE
        bars.append((shortened(family['name']) + kinds, family['ms'], colour))
    rest = all_families[LONGEST:]
    if rest:
        kinds = sum(family['kinds'] for family in rest)
        bars.append((f'{kinds} other kinds', sum(family['ms'] for family in rest), GREY))
    names, ms, colours = zip(*reversed(bars), strict=True)
    total = sum(row['ms'] for row in rows)
    matrix = sum(row['ms'] for row in rows if row['matrix'])

    figure = Figure((11, 0.24 * len(bars) + 1.2), 100, layout='constrained')
    axes = figure.add_subplot(xlabel='ms a train step')
    axes.barh(range(len(bars)), ms, color=colours, height=0.75)
    axes.set_yticks(range(len(bars)), names, family='monospace', fontsize=8)
    axes.set_ylim(-0.6, len(bars) - 0.4)
    share = f'{matrix:.3g} of {total:.3g} ms are products and convolutions (blue)'
    axes.set_title(f'{what}\n{share}', fontsize=10)
    axes.spines[['top', 'right']].set_visible(False)
    return figure


def shortened(name: str) -> str:
    """A kernel's name without its middle, if it is long: kinds differ at either end."""
    half = NAME // 2
    return name if len(name) <= NAME else f'{name[:half]}...{name[-half:]}'


def steps_per_call_picture(run: Run, out: pathlib.Path) -> Figure | None:
    """Milliseconds of a train step by how many steps a call takes."""
    lines = {}
    for dtype in DTYPES:
        found = _by_number(run, f'unet_{dtype}', r'train step, (\d+) in a call')
        if found:
            lines[dtype] = found
    if not lines:
        return None
    figure = Figure((6, 4), 100, layout='constrained')
    axes = figure.add_subplot(
        title=f'U-Net train step, {title(run)}', xlabel='steps in a call', ylabel='ms a step'
    )
    for dtype, points in lines.items():
        axes.plot(*zip(*points, strict=True), 'o-', color=DTYPES[dtype], label=dtype)
    ticks = [steps for steps, _ in max(lines.values(), key=len)]
    axes.set_xscale('log')
    axes.set_xticks(ticks, [str(steps) for steps in ticks])
    axes.minorticks_off()
    axes.set_ylim(0, 1.1 * max(ms for points in lines.values() for _, ms in points))
    axes.legend(frameon=False)
    axes.spines[['top', 'right']].set_visible(False)
    return figure


def words_picture(run: Run, out: pathlib.Path) -> Figure | None:
    """Words a second and mean scores by the centres of a step."""
    rates = _by_number(run, 'word2vec', r'([\d,]+) centres a step, rate')
    scores = dict(_by_number(run, 'word2vec', r'([\d,]+) centres a step, mean'))
    if not rates:
        return None
    figure = Figure((6, 4), 100, layout='constrained')
    axes = figure.add_subplot(
        title=f'word2vec, {title(run)}', xlabel='centres a step', ylabel='million words/s'
    )
    names = [f'{centres:,}' for centres, _ in rates]
    bars = axes.bar(names, [rate for _, rate in rates], color=BLUE, width=0.6)
    labels = [f'mean score {scores[c]:.1f} %' if c in scores else '' for c, _ in rates]
    axes.bar_label(bars, labels, padding=3)
    axes.margins(y=0.12)
    axes.spines[['top', 'right']].set_visible(False)
    return figure


def boxes_picture(run: Run, out: pathlib.Path) -> Figure | None:
    """The seconds of each stage in its box."""
    outcomes = list(run.outcomes.values())[::-1]
    if not outcomes:
        return None
    figure = Figure((8, 0.3 * len(outcomes) + 1), 100, layout='constrained')
    axes = figure.add_subplot(title=f'Stages, {title(run)}', xlabel='seconds; grey: the box')
    names = [outcome.stage for outcome in outcomes]
    axes.barh(names, [outcome.box for outcome in outcomes], color='#e5e5e5', height=0.8)
    colours = [BLUE if outcome.ended == 'done' else ORANGE for outcome in outcomes]
    bars = axes.barh(names, [outcome.seconds for outcome in outcomes], color=colours, height=0.5)
    axes.bar_label(bars, [_short(outcome) for outcome in outcomes], padding=4, fontsize=8)
    axes.set_ylim(-0.6, len(outcomes) - 0.4)
    axes.spines[['top', 'right']].set_visible(False)
    return figure


def _short(outcome):
    """Its seconds, and in a word how it ended where it did not end well."""
    word = re.split('[,:]', outcome.ended)[0]
    return f'{outcome.seconds:.0f} s' + ('' if word == 'done' else f', {word}')


def _by_number(run, stage, pattern):
    """(number, value) of the rows of a stage whose name has a number, ascending."""
    outcome = run.outcomes.get(stage)
    points = []
    for row in outcome.rows if outcome else ():
        match = re.fullmatch(pattern, row['what'])
        if match:
            points.append((int(match[1].replace(',', '')), row['value']))
    return sorted(points)


# Name -> (what draws it, the stages that it is of; none: of all)
PICTURES = {
    'kernels_bfloat16': (kernels_picture('bfloat16'), ['unet_bfloat16']),
    'kernels_float32': (kernels_picture('float32'), ['unet_float32']),
    'steps_per_call': (steps_per_call_picture, ['unet_bfloat16', 'unet_float32']),
    'word2vec': (words_picture, ['word2vec']),
    'stages': (boxes_picture, []),
}

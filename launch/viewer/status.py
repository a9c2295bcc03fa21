"""The table of runs in the terminal."""

from collections.abc import Sequence

from launch.viewer.runs import (
    Run,
    as_text,
    clock,
    differing_keys,
    last_metrics,
    seconds,
    source_changes,
)


def table(runs: Sequence[Run]) -> str:
    """A line a run: status, step, time, what its config has of its own, and its last test loss.

    Below them a line for each launch that went on with another source than the launch before it.
    """
    keys = differing_keys(runs)
    rows = [['run', 'status', 'step', 'time', *keys, 'test/loss']]
    rows += [_row(run, keys) for run in runs]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ['  '.join(map(str.ljust, row, widths)).rstrip() for row in rows]
    for run in runs:
        for number, files in source_changes(run).items():
            lines.append(f'{run.workdir}: launch {number} changed {", ".join(files)}')
    return '\n'.join(lines)


def _row(run: Run, keys: Sequence[str]) -> list[str]:
    step = f'{run.step:,}/{run.config.get("steps", 0):,}'
    settings = [as_text(run.config.get(key, '-')) for key in keys]
    loss = last_metrics(run).get('test/loss')
    shown_loss = '-' if loss is None else f'{loss:.6g}'
    return [str(run.workdir), run.status, step, clock(seconds(run)), *settings, shown_loss]

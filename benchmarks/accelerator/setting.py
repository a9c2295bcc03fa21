"""What a stage is told, and how it says that it measures nothing."""

import pathlib
from collections.abc import Callable
from typing import Any, NamedTuple


class Setting(NamedTuple):
    """What a stage is told."""

    out: pathlib.Path  # the folder of results
    work: pathlib.Path  # for what the stages need of each other and nobody afterwards
    data: pathlib.Path | None  # real data, laid out as GENJAX_DATA is
    small: bool  # whether sizes are those of a CPU
    deadline: float  # time.time() at which the stage is stopped


# add(what, value, unit, note): one thing measured
Add = Callable[..., None]


class Skipped(Exception):
    """Something that a stage needs is missing; the message says what."""


def require_data(setting: Setting, *names: str) -> list[pathlib.Path]:
    """The paths of some files or folders of real data.

    Raises:
      Skipped: no folder of data was given, or one of these is not in it.
    """
    if setting.data is None:
        raise Skipped('no data: --data DIR names a folder, laid out as GENJAX_DATA is')
    paths = [setting.data / name for name in names]
    for path in paths:
        if not path.exists():
            raise Skipped(f'no data: {path} is not there')
    return paths


def rows_file(out: pathlib.Path, stage: str) -> pathlib.Path:
    """Where a stage leaves its rows."""
    return out / 'rows' / f'{stage}.jsonl'


def log_file(out: pathlib.Path, stage: str) -> pathlib.Path:
    """Where a stage leaves what it prints."""
    return out / 'logs' / f'{stage}.txt'


def ended_file(work: pathlib.Path, stage: str) -> pathlib.Path:
    """What is there once a stage has ended, however it did."""
    return work / 'ended' / stage


Row = dict[str, Any]  # 'what', 'value', 'unit', 'note'; or 'skipped' alone

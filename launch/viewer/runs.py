"""One run as its directory records it, and what is derived from that: the basis of every table."""

import datetime
import itertools
import json
import pathlib
import re
from collections.abc import Sequence
from typing import Any, NamedTuple


class Run(NamedTuple):
    """What lies in a run directory."""

    workdir: pathlib.Path
    experiment: str
    config: dict[str, Any]  # dotted key -> value
    launches: list[dict[str, Any]]  # of the manifest, those that train
    rows: list[dict[str, Any]]  # of metrics.jsonl
    status: str  # 'done', 'running', 'stopped' or, where the last launch says why, what it said
    reason: str  # why it is not done, as far as that is known

    @property
    def step(self) -> int:
        return self.rows[-1]['step'] if self.rows else 0


_NOT_TRAINING = r'--mode[= ](evaluate|sample)'


def training_launches(launches: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those of the launches of a manifest that were to train, not to evaluate or sample."""
    return [
        launch
        for launch in launches
        if not re.search(_NOT_TRAINING, ' '.join(command_line(launch)))
    ]


def command_line(launch: dict[str, Any]) -> list[str]:
    """The words of a launch's command line."""
    return launch.get('flags', [])


def source_changes(run: Run) -> dict[int, list[str]]:
    """Number of a launch -> the files of the source in which it differs from the one before it."""
    changes = {}
    for number, launch in enumerate(run.launches, 1):
        source = launch.get('source') or {}
        if source.get('changed'):
            changes[number] = source['changed']
    return changes


def differing_keys(runs: Sequence[Run]) -> list[str]:
    """The keys of the configs in which runs of one experiment differ."""
    differing: dict[str, None] = {}  # an ordered set
    for experiment in dict.fromkeys(run.experiment for run in runs):
        configs = [run.config for run in runs if run.experiment == experiment and run.config]
        for key in dict.fromkeys(key for config in configs for key in config):
            values = {json.dumps(config.get(key, '-')) for config in configs}
            if len(values) > 1:
                differing[key] = None
    return list(differing)


def last_metrics(run: Run) -> dict[str, float | None]:
    """The test metrics and scores that a run wrote last.

    They are every number but of clocks and of training's averages; None stands for one that was
    not finite.
    """
    return {
        name: value
        for row in run.rows
        for name, value in row.items()
        if '/' in name and not name.startswith('time/')
    }


def seconds(run: Run) -> float:
    """The time that the launches of a run took, as far as its metrics tell."""
    clocks = [row['time/seconds'] for row in run.rows if 'time/seconds' in row]
    # A clock that falls is a new launch's.
    ends = [clock for clock, after in itertools.pairwise([*clocks, 0.0]) if after < clock]
    return sum(ends)


def clock(time: float) -> str:
    """Seconds as h:mm:ss."""
    return str(datetime.timedelta(seconds=round(time)))


def as_text(value: Any) -> str:
    """A value of a config as the command line takes it."""
    return value if isinstance(value, str) else json.dumps(value)

"""Measures everything on whatever accelerator is there, in at most nine minutes.

    make accelerator ARGS='--out DIR [--data GENJAX_DATA]'
    python -m benchmarks.accelerator --out DIR [--data GENJAX_DATA] [--small] [--stages A,B]

Each stage is a process in a time box, most important first, and results are written after each:
accelerator.json, table.md, the kernels of a train step (kernels_*.md), pictures, and in logs/ what
the stages printed. Caches of compiled programs are empty at first. What lacks data or packages is
skipped, and says so. On a CPU sizes are small. --stages measures some stages, and keeps what the
folder has of the others.
"""

import argparse
import datetime
import os
import pathlib
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence

from benchmarks.accelerator import plan, report, stage
from benchmarks.accelerator.boxes import Box, close_box, look, open_box, passed
from benchmarks.accelerator.plan import Stage
from benchmarks.accelerator.report import Outcome, Run
from benchmarks.accelerator.setting import Setting, ended_file

POLL = 0.1  # seconds


def main(argv: Sequence[str]) -> int:
    """Carries out one command line; returns how many stages failed."""
    flags = parse(argv)
    flags.out.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    work = pathlib.Path(tempfile.mkdtemp(prefix='genjax-accelerator-'))
    try:
        run = measure(flags, work)
    finally:
        remove(work)
    # CIFAR-10 is prepared only where a stage needs it.
    measuring = [name for name in plan.STAGES if name != plan.DATA.name]
    rest = report.missing(run, measuring)
    if rest:
        print(f'not measured: {", ".join(rest)}; --stages {",".join(rest)} goes on with them')
    print(flags.out / report.TABLE)
    return len(report.missing(run, flags.stages or measuring))


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """The flags."""
    parser = argparse.ArgumentParser(
        'python -m benchmarks.accelerator',
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('--out', type=folder, default=folder('runs/accelerator'))
    data = os.environ.get('GENJAX_DATA')
    parser.add_argument('--data', type=folder, default=data, help='real data; default GENJAX_DATA')
    parser.add_argument('--small', action='store_true', help='the sizes of a CPU')
    parser.add_argument('--stages', type=names, default=[], help=', '.join(plan.STAGES))
    parser.add_argument('--seconds', type=float, default=plan.TOTAL, help='of all stages together')
    return parser.parse_args(argv)


def folder(text: str) -> pathlib.Path:
    """An absolute path, which stages that run elsewhere understand."""
    return pathlib.Path(text).expanduser().absolute()


def names(text: str) -> list[str]:
    """Names of stages."""
    chosen = text.split(',')
    unknown = sorted(set(chosen) - plan.STAGES.keys())
    if unknown:
        raise argparse.ArgumentTypeError(
            f'{", ".join(unknown)} is no stage; there are {", ".join(plan.STAGES)}'
        )
    return chosen


def measure(flags: argparse.Namespace, work: pathlib.Path) -> Run:
    """Runs the stages that were asked for, and writes what came of them after each."""
    began = time.time()
    deadline = began + flags.seconds
    earlier = report.read(flags.out) if flags.stages else None
    kept = {} if earlier is None else earlier.outcomes
    date = datetime.datetime.now(datetime.UTC).isoformat(' ', 'minutes')
    run = Run(date, flags.small, 0.0, dict(kept))
    setting = Setting(flags.out, work, flags.data, flags.small, deadline)
    beside: dict[str, Box] = {}

    def finish(outcome: Outcome) -> None:
        nonlocal run
        outcomes = run.outcomes | {outcome.stage: outcome}
        in_order = {name: outcomes[name] for name in plan.STAGES if name in outcomes}
        run = run._replace(seconds=time.time() - began, small=setting.small, outcomes=in_order)
        mark = ended_file(work, outcome.stage)
        mark.parent.mkdir(exist_ok=True)
        mark.touch()
        write(run, flags.out, outcome)

    try:
        # 1. What is there, which says whether sizes are small.
        if 'chip' not in run.outcomes or 'chip' in flags.stages or not flags.stages:
            run_group([plan.CHIP], setting, beside, finish)
        small = flags.small or report.value_of(flags.out, 'chip', 'platform') in ('cpu', None)
        setting = setting._replace(small=small)

        # 2. CIFAR-10 is prepared beside the stages that do without it; small ones have digits.
        groups = asked(flags.stages)
        if not small and any('cifar' in one.name for group in groups for one in group):
            beside |= start([plan.DATA], setting)
        for group in groups:
            run_group(group, setting, beside, finish)
    finally:
        for box in beside.values():
            close_box(box)
    return run


def asked(stages: Sequence[str]) -> list[list[Stage]]:
    """The groups of stages, of those that were asked for by name, or of all."""
    groups = [[one for one in group if not stages or one.name in stages] for group in plan.GROUPS]
    return [group for group in groups if group]


def start(group: Sequence[Stage], setting: Setting) -> dict[str, Box]:
    """A box for each stage, of its own seconds or of those that are left, if these are enough."""
    left = setting.deadline - time.time()
    boxes = {}
    for one in group if left >= plan.LEAST else ():
        # A CPU may be at other work too, and there is no other device whose time it would cost.
        seconds = min(one.seconds * (plan.CPU_BOXES if setting.small else 1), left)
        told = setting._replace(deadline=time.time() + seconds)
        log = setting.out / 'logs' / f'{one.name}.txt'
        env = environment(setting.work)
        boxes[one.name] = open_box(stage.command(one.name, told), seconds=seconds, log=log, env=env)
    return boxes


def environment(work: pathlib.Path) -> dict[str, str]:
    """That of a stage: its compiled programs are kept for the stages after it, and nowhere else."""
    return os.environ | {
        'JAX_COMPILATION_CACHE_DIR': str(work / 'compiled'),
        'XDG_CACHE_HOME': str(work / 'caches'),
        'PYTHONUNBUFFERED': '1',
    }


def run_group(group: Sequence[Stage], setting: Setting, beside: dict[str, Box], finish) -> None:
    """Runs stages at the same time, and waits for their ends.

    Args:
      group: the stages.
      setting: what they are told.
      beside: other boxes that go on meanwhile; those that have ended leave it.
      finish: called with the outcome of each box that has ended.
    """
    boxes = start(group, setting)
    for one in group:
        if one.name not in boxes:
            finish(Outcome(one.name, report.NOT_BEGUN, 0.0, 0.0))
    try:
        while boxes:
            for some in (boxes, beside):
                for name, outcome in ended(some, setting.out).items():
                    del some[name]
                    finish(outcome)
            time.sleep(POLL)
    finally:
        for name, box in boxes.items():
            close_box(box)
            finish(outcome_now(name, box, 'stopped: all was interrupted', setting.out))


def ended(boxes: dict[str, Box], out: pathlib.Path) -> dict[str, Outcome]:
    """The outcomes of those boxes that have ended, or whose time is over."""
    outcomes = {}
    for name, box in boxes.items():
        how = look(box)
        if how:
            seconds = passed(box)
            close_box(box)
            outcomes[name] = outcome_now(name, box, how, out, seconds)
    return outcomes


def outcome_now(
    name: str, box: Box, how: str, out: pathlib.Path, seconds: float | None = None
) -> Outcome:
    """What came of a box that has ended so."""
    seconds = passed(box) if seconds is None else seconds
    return report.outcome_of(name, how, seconds, box.seconds, report.read_rows(out, name))


def write(run: Run, out: pathlib.Path, outcome: Outcome) -> None:
    """Writes all results, and says in a line what came of a stage."""
    report.write(run, out)
    line = f'{run.seconds:5.0f} s  {outcome.stage:18}{outcome.seconds:5.0f} s  '
    print(f'{line}{len(outcome.rows):3} rows  {outcome.ended}', flush=True)
    # Imported late: it takes a second, in which nothing is written yet.
    from benchmarks.accelerator import pictures

    pictures.draw(run, out, outcome.stage)


def remove(work: pathlib.Path) -> None:
    """Removes a folder, of which some folders are read-only."""
    for path in work.rglob('*'):
        if path.is_dir() and not path.is_symlink():
            path.chmod(0o700)
    shutil.rmtree(work, ignore_errors=True)


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))

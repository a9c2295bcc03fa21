"""A sweep: its points are checked, then run where they are wanted."""

import contextlib
from collections.abc import Sequence

from launch.cli.flags import Flags
from launch.run import signals
from launch.sweep import grouping, local, slurm
from launch.sweep.points import MakePlan, MakeRequest, Point, checked_points, table

MOST = signals.STOPPED - 1  # failures that an exit code tells


def launch(argv: Sequence[str], flags: Flags, request: MakeRequest, plan: MakePlan) -> int:
    """Carries out a sweep, or hands one run over to Slurm.

    Args:
      request: checks a command line without building its experiment; `plan` builds it. Neither is
        imported here, since they import jax.

    Returns how many of its points failed, at most MOST. Where none failed and the sweep or a point
    was stopped by a signal, it is signals.STOPPED.
    """
    here = flags.on != 'slurm' and not flags.dry_run
    with local.accelerators() if here else contextlib.nullcontext(list) as accelerators:
        points = checked_points(argv, flags, request, plan)
        devices = accelerators()
    if flags.dry_run:
        print(table(points))
        return 0
    workers = flags.workers or len(devices) or _default_workers(points, flags)
    groups = [[i] for i in range(len(points))]
    if flags.vmap:
        groups = grouping.groups(points, workers)
    launches = [grouping.joined([points[i] for i in group]) for group in groups]
    if flags.on == 'slurm':
        return slurm.submit(launches, flags)
    with signals.stop_requests() as interrupted:
        by_group = local.run(launches, workers, devices, interrupted)
        stopped = interrupted()
    outcomes = grouping.by_point(points, groups, by_group)
    codes = [outcome.code for outcome in outcomes.values()]
    print(table(points, {i: end.text for i, end in outcomes.items() if end.code}))
    failed = sum(code not in (0, signals.STOPPED) for code in codes)
    stopped |= any(outcome.code == signals.STOPPED for outcome in by_group.values())
    return signals.STOPPED if stopped and not failed else min(failed, MOST)


def _default_workers(points: Sequence[Point], flags: Flags) -> int:
    """Without accelerators."""
    return grouping.program_count(points) if flags.vmap and flags.on != 'slurm' else 1

"""A sweep: its points are checked, then run where they are wanted."""

import contextlib
from collections.abc import Sequence

from launch.cli.flags import Flags
from launch.run import seed_runs, signals
from launch.sweep import local, slurm
from launch.sweep.points import checked, table

MOST = signals.STOPPED - 1  # failures that an exit code tells


def launch(argv: Sequence[str], flags: Flags) -> int:
    """Carries out a sweep; returns how many of its points failed, at most MOST.

    Where none failed and the sweep or a point was stopped by a signal, it is signals.STOPPED.
    """
    here = flags.on != 'slurm' and not flags.dry_run
    with local.accelerators() if here else contextlib.nullcontext(list) as accelerators:
        found = checked(argv, flags)
        devices = accelerators()
    if flags.dry_run:
        print(table(found))
        return 0
    workers = (
        flags.workers or len(devices) or (seed_runs.programs(found) if here and flags.vmap else 1)
    )
    groups = seed_runs.groups(found, workers) if flags.vmap else [[i] for i in range(len(found))]
    launches = [seed_runs.joined([found[i] for i in group]) for group in groups]
    if flags.on == 'slurm':
        return slurm.submit(launches, flags)
    with signals.heard() as interrupted:
        ends = local.run(launches, workers, devices, interrupted)
        stopped = interrupted() or any(end.code == signals.STOPPED for end in ends.values())
    ends = seed_runs.apart(found, groups, ends)
    print(table(found, {i: end.says for i, end in ends.items() if end.code}))
    failed = sum(end.code not in (0, signals.STOPPED) for end in ends.values())
    return signals.STOPPED if stopped and not failed else min(failed, MOST)

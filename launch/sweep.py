"""A sweep: its points are checked, then run where they are wanted."""

from collections.abc import Sequence

from launch import local, signals
from launch.flags import Flags
from launch.points import checked, table

MOST = signals.STOPPED - 1  # failures that an exit code tells


def launch(argv: Sequence[str], flags: Flags) -> int:
    """Carries out a sweep; returns how many of its points failed, at most MOST.

    Where none failed and the sweep or a point was stopped by a signal, it is signals.STOPPED.
    """
    found = checked(argv, flags)
    if flags.dry_run:
        print(table(found))
        return 0
    if flags.on == 'slurm':
        from launch import slurm

        return slurm.submit(found, flags)
    devices = local.accelerators()
    with signals.heard() as interrupted:
        codes = local.run(found, flags.workers or len(devices) or 1, devices, interrupted)
        stopped = interrupted() or signals.STOPPED in codes.values()
    print(table(found))
    failed = sum(code not in (0, signals.STOPPED) for code in codes.values())
    return signals.STOPPED if stopped and not failed else min(failed, MOST)

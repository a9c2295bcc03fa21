"""Points that differ in their seed alone, put into one launch that trains them as one program:
--vmap."""

from collections.abc import Mapping, Sequence
from typing import TypeVar

from launch.run.processor import cores
from launch.sweep.points import Point, is_to_run, status

SEED = '--config.seed='
RUNS = 4  # of a program on a CPU at the least
Outcome = TypeVar('Outcome')


def groups(points: Sequence[Point], workers: int) -> list[list[int]]:
    """The numbers of the points that are launched together: those that have something to do and the
    same command but for the seed, in as many parts as leave no worker idle. Every other point
    stands alone."""
    by_command: dict[tuple[str, ...] | int, list[int]] = {}
    commands = set()
    for i, point in enumerate(points):
        command = _without_seed(point)
        if is_to_run(point):
            by_command.setdefault(command, []).append(i)
            commands.add(command)
        else:
            by_command[i] = [i]
    parts = max(1, workers // max(1, len(commands)))
    divided = []
    for group in by_command.values():
        divided += [group[part::parts] for part in range(min(parts, len(group)))]
    return divided


def program_count(points: Sequence[Point]) -> int:
    """How many programs train the points at a time on a CPU: one a core, of which none has fewer
    than RUNS runs.

    A small model gains nothing from a second core, nor from more runs in a program than share its
    fixed costs.
    """
    to_run = sum(map(is_to_run, points))
    return max(1, min(cores(), to_run // RUNS))


def _without_seed(point):
    return tuple(word for word in point.argv if not word.startswith(SEED))


def joined(points: Sequence[Point]) -> Point:
    """The one launch of a group; its log lies beside the first run's directory."""
    first = points[0]
    if len(points) == 1:
        return first
    seeds = ','.join(point.texts['seed'] for point in points)
    return first._replace(
        texts=first.texts | {'seed': seeds},
        argv=[*_without_seed(first), f'--seeds={seeds}'],
    )


def by_point(
    points: Sequence[Point], groups: Sequence[Sequence[int]], outcomes: Mapping[int, Outcome]
) -> dict[int, Outcome]:
    """How the points ended, by their numbers, of how the groups did: a run that is done shares no
    failure of others."""
    ended = {}
    for number, outcome in outcomes.items():
        group = groups[number]
        for i in group:
            if len(group) == 1 or status(points[i]) != 'done':
                ended[i] = outcome
    return ended

"""How long a step takes."""

import statistics
import time
from collections.abc import Callable


def seconds_a_step(call: Callable[[int], object], steps: int, repeats: int = 3) -> float:
    """The median of some calls of so many steps, after one that does not count.

    Args:
      call: takes so many steps, and returns when they are done.
      steps: of a call.
      repeats: calls that count.
    """
    call(steps)
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call(steps)
        times.append((time.perf_counter() - start) / steps)
    return statistics.median(times)


def timed(call: Callable[[], object]) -> tuple[object, float]:
    """What a call returns, and the seconds that it took."""
    start = time.perf_counter()
    value = call()
    return value, time.perf_counter() - start

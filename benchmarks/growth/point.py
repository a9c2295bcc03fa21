"""One point of a curve, in a process of its own: `python -m benchmarks.growth.point` and JSON.

So its peak of memory is its own, and it has one core, whatever else is measured.
"""

import json
import os
import pathlib
import subprocess
import sys
import time
from typing import Any

ROOT = pathlib.Path(__file__).parents[2]
THREADS = ('OMP_NUM_THREADS', 'OPENBLAS_NUM_THREADS', 'MKL_NUM_THREADS')


def measure_point(subject: str, side: str, size: float, options: dict[str, Any]) -> dict[str, Any]:
    """A point's costs, or why there are none.

    Args:
      subject: its name.
      side: of the subject.
      size: of the problem.
      options: the fields of `Options`, paths as strings, and 'environment'.

    Returns:
      {'measures': {name: cost}}, or {'skipped': the package that is missing}, or {'failed': the
      last line of the error}; and 'wall', the seconds that the process took.
    """
    told = json.dumps([subject, side, size, options])
    environment = os.environ | dict.fromkeys(THREADS, '1') | options['environment']
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, '-m', 'benchmarks.growth.point', told],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )
    wall = round(time.perf_counter() - start, 1)
    if done.returncode:
        error = done.stderr.strip().splitlines() or [f'the process ended with {done.returncode}']
        return {'failed': error[-1], 'wall': wall}
    return json.loads(done.stdout.splitlines()[-1]) | {'wall': wall}


def main() -> None:
    """Measures here what the one argument says, and prints it."""
    # XLA and OpenBLAS take a thread for each core that the process has when they start: this comes
    # before the imports.
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-1:])
    from benchmarks.growth.subject import Options
    from benchmarks.growth.subjects import SUBJECTS

    subject, side, size, told = json.loads(sys.argv[1])
    data = told['data'] and pathlib.Path(told['data'])
    options = Options(told['small'], data, pathlib.Path(told['scratch']))
    try:
        row = {'measures': SUBJECTS[subject].sides[side](size, options)}
    except ModuleNotFoundError as error:
        row = {'skipped': error.name}
    print(json.dumps(row))


if __name__ == '__main__':
    main()

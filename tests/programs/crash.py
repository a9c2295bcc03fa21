"""A run that is killed with -9 again and again, and must end as one that was not.

python -m tests.programs.crash EXPERIMENT [--kills 20] [--seed 0] [--folder DIR] [--config.KEY=VALUE ...]

Of ten kills two come at any time of start-up, four once the run has made so many steps, four in the
middle of the next save. After each the same command goes on. Where a run is done before all kills
have come, another begins.
"""

import argparse
import collections
import contextlib
import hashlib
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

ROOT = pathlib.Path(__file__).parents[2]
OFTEN = '--config.every.log=2 --config.every.save=4 --config.every.evaluate=20'
SELDOM = '--config.every.log=20 --config.every.save=40 --config.every.evaluate=200'
FAMILIES = {  # at sizes where steps and saves take about as long as start-up
    'ddpm_digits': f'--config.steps=120 --config.ddpm.steps=6 --config.unet.width=8 {OFTEN}',
    'vae_digits': '--config.steps=2000 --config.widths=(8,) --config.importance=50 --config.samples=40 '
    f'--config.classifier=2 {SELDOM}',
    'gan_digits': f'--config.steps=2000 --config.widths=(8,) --config.samples=40 --config.classifier=2 {SELDOM}',
    'word2vec_docs': '--config.steps=240 --config.corpus=LICENSE --config.epochs=1 --config.batch=2 '
    f'--config.held_out=60 {OFTEN}',
    'pca_digits': f'--config.steps=240 --config.batch=60 --config.ranks=(1,4) {OFTEN}',
    'mixture_digits': f'--config.steps=240 --config.components=3 --config.sizes=(1,2) --config.fit=2 {OFTEN}',
}


class Kill(NamedTuple):
    """The moment of a kill: `wait` seconds after a launch began, or after it has come to a step."""

    wait: float
    step: float | None = None  # None: at the latest when start-up is over
    save: bool = False  # and then is in the middle of a save


class Results(NamedTuple):
    """All that a run comes to, whatever happened on the way."""

    states: dict[
        int, dict[str, str]
    ]  # step -> of its checkpoint, read from disk: leaf -> dtype, shape and hash
    digests: dict[int, dict[str, str]]  # what these say of themselves
    metrics: str  # hash of the lines, without clocks and rates
    samples: dict[str, str]  # file -> hash


class Outcome(NamedTuple):
    whole: Results
    killed: list[Results]  # of each run
    kills: int
    saves: int  # kills that left a checkpoint half written
    launches: int
    seconds: float


def attack(command: Sequence[str], folder: pathlib.Path, *, kills: int, seed: int) -> Outcome:
    """Runs a command, which is to be given --workdir, once as it is and then under fire.

    Raises:
      AssertionError: a launch fails by itself, or what it has written by the time of a kill is not
        in order.
    """
    began, whole = time.monotonic(), folder / 'whole'
    start, took = rehearsed(command, whole)
    steps = json.loads((whole / 'config.json').read_text())['steps']
    pending = collections.deque(moments(kills, steps, start, took - start, seed))
    runs, saves, launches = [], 0, 0
    while pending or not runs:
        runs.append(folder / f'killed-{len(runs)}')
        done = False
        while not done:
            kill = pending.popleft() if pending else None
            done, launches = launched(command, runs[-1], kill), launches + 1
            check(runs[-1])
            saves += half_saved(runs[-1])
            if done and kill:  # the launch was too quick for it
                pending.appendleft(Kill(kill.wait / 2, kill.step and kill.step / 2, kill.save))
    took = time.monotonic() - began
    steps = sorted(int(path.name) for path in (whole / 'checkpoints').iterdir())
    ended = [results(run, steps) for run in [whole, *runs]]
    return Outcome(ended[0], ended[1:], kills, saves, launches, took)


def moments(kills: int, steps: int, start: float, rest: float, seed: int) -> Iterator[Kill]:
    """The kills of a run of so many steps, which takes `start` seconds to begin and `rest` for all
    of them."""
    draw = random.Random(seed)
    for i, step in enumerate(sorted(draw.uniform(0, steps) for _ in range(kills))):
        if i % 5 == 4:
            yield Kill(draw.uniform(0, start))
        else:
            yield Kill(draw.uniform(0, rest / kills), step) if i % 2 else Kill(0.0, step, save=True)


def rehearsed(command: Sequence[str], run: pathlib.Path) -> tuple[float, float]:
    """Seconds until a run that nobody disturbs has written its first line, and until it has ended."""
    began, start = time.monotonic(), None
    process = begun(command, run)
    while process.poll() is None:
        if start is None and reached(run, 0) > 0:
            start = time.monotonic() - began
        time.sleep(0.01)
    assert process.returncode == 0, log_of(run).read_text()
    took = time.monotonic() - began
    return start or took, took


def begun(command: Sequence[str], run: pathlib.Path) -> subprocess.Popen:
    """A launch in a session of its own."""
    with open(log_of(run), 'a') as log:
        output = dict(stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        return subprocess.Popen(
            [*command, f'--workdir={run}'], cwd=ROOT, start_new_session=True, **output
        )


def log_of(run: pathlib.Path) -> pathlib.Path:
    return run.with_name(f'{run.name}.log')


def launched(command: Sequence[str], run: pathlib.Path, kill: Kill | None) -> bool:
    """Launches a run until it is killed or ends; whether it ended."""
    since = time.time()
    process = begun(command, run)
    try:
        if kill is None or not came(kill, run, process, since):
            process.wait()
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert process.returncode in (0, -signal.SIGKILL), log_of(run).read_text()
    return process.returncode == 0


def came(kill: Kill, run: pathlib.Path, process: subprocess.Popen, since: float) -> bool:
    """Waits for the moment of a kill; False where the launch ended before."""
    while not due(kill, run, process, since):
        if process.poll() is not None:
            return False
        time.sleep(0.002)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(kill.wait if kill.step is not None else 0)
        return False
    return True


def due(kill: Kill, run: pathlib.Path, process: subprocess.Popen, since: float) -> bool:
    """Whether a launch has come to where a kill waits for it, or is over its start-up if that is
    where."""
    if kill.step is None:
        return time.time() - since >= kill.wait or reached(run, since) >= 0
    return reached(run, since) >= kill.step and (not kill.save or caught(run, process))


def caught(run: pathlib.Path, process: subprocess.Popen) -> bool:
    """Stops a launch in the middle of a save, if it is at one."""
    if half_saved(run):
        os.killpg(process.pid, signal.SIGSTOP)
        if half_saved(run):
            return True
        os.killpg(process.pid, signal.SIGCONT)  # it has come to an end meanwhile
    return False


def reached(run: pathlib.Path, since: float) -> int:
    """The step of the last line that a launch has written; -1 before it has looked what lines there
    are."""
    path = run / 'metrics.jsonl'
    if not path.exists() or path.stat().st_mtime < since:
        return -1
    return max((row['step'] for row in lines(run)), default=0)


def half_saved(run: pathlib.Path) -> bool:
    """Whether a checkpoint lies there that is not whole; a launch clears such ones away before it
    looks for lines."""
    return any('orbax-checkpoint-tmp' in path.name for path in run.glob('checkpoints/*'))


def check(run: pathlib.Path) -> None:
    """Sees that what lies in a run directory, at any moment, is in order.

    Raises:
      AssertionError, ValueError: it is not.
    """
    for path in (run / 'config.json', run / 'manifest.json'):
        assert not path.exists() or json.loads(path.read_text())
    steps = [row['step'] for row in lines(run)]
    assert steps == sorted(set(steps)), steps
    assert not (run / 'checkpoints.damaged').exists(), log_of(run).read_text()


def lines(run: pathlib.Path) -> list[dict]:
    """The lines of metrics.jsonl but for a last one that was torn."""
    path = run / 'metrics.jsonl'
    text = path.read_text() if path.exists() else ''
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith('\n')]


def results(run: pathlib.Path, steps: Sequence[int]) -> Results:
    """What a run that is done has come to, with the checkpoints of these steps."""
    check(run)
    rows = [
        {name: value for name, value in row.items() if not name.startswith('time/')}
        for row in lines(run)
    ]
    samples = {path.name: _hash(path.read_bytes()) for path in sorted((run / 'samples').iterdir())}
    places = {step: run / 'checkpoints' / str(step) for step in steps}
    states = {step: restored(path) for step, path in places.items()}
    digests = {
        step: json.loads((path / 'digest' / 'metadata').read_text())['leaves']
        for step, path in places.items()
    }
    return Results(states, digests, _hash(json.dumps(rows).encode()), samples)


def restored(path: pathlib.Path) -> dict[str, str]:
    """The digest of what a checkpoint holds, read without genjax's own checkpoints."""
    import jax
    import numpy as np
    import orbax.checkpoint as ocp

    from genjax.training.digest import digest

    with contextlib.closing(ocp.PyTreeCheckpointHandler()) as handler:
        plain = jax.tree.map(
            lambda _: ocp.RestoreArgs(restore_type=np.ndarray),
            handler.metadata(path / 'state').tree,
        )
        return digest(
            handler.restore(path / 'state', args=ocp.args.PyTreeRestore(restore_args=plain))
        )


def _hash(content):
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def told(name: str, outcome: Outcome) -> str:
    """An outcome in a line."""
    differ = {
        part
        for run in outcome.killed
        for part, there, here in zip(Results._fields, outcome.whole, run, strict=True)
        if there != here
    }
    return (
        f'{name}: {outcome.kills} kills, {outcome.saves} of them during a save, {len(outcome.killed)} runs, '
        f'{outcome.launches} launches, {outcome.seconds:.0f} s: '
        + (f'{", ".join(sorted(differ))} differ' if differ else 'all equal to the bit')
    )


def main(argv: Sequence[str]) -> int:
    """Carries out one command line; returns 1 if a result differs."""
    parser = argparse.ArgumentParser(prog='python -m tests.programs.crash', allow_abbrev=False)
    parser.add_argument('experiment')
    parser.add_argument('--kills', type=int, default=20)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument(
        '--folder', type=pathlib.Path, help='kept, and must be new; by default one that is removed'
    )
    flags, rest = parser.parse_known_args(argv)
    words = [*FAMILIES.get(flags.experiment, '').split(), *rest]
    with tempfile.TemporaryDirectory() as place:
        folder = (flags.folder or pathlib.Path(place)).absolute()
        folder.mkdir(parents=True, exist_ok=flags.folder is None)
        command = [sys.executable, '-m', 'launch', '--exp', flags.experiment, *words]
        outcome = attack(command, folder, kills=flags.kills, seed=flags.seed)
    print(told(flags.experiment, outcome))
    return int(any(run != outcome.whole for run in outcome.killed))


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))

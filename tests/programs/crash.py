"""Kills a run with -9 again and again, and checks that it ends as one that was not disturbed.

    python -m tests.programs.crash EXPERIMENT [--kills 20] [--seed 0] [--folder DIR]
        [--config.KEY=VALUE ...]

Of ten kills two come at any time of start-up, four once the run has made so many steps, four in the
middle of the next save. After each the same command goes on. Where a run is done before all kills
have come, another is started.
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

# Experiment -> flags for a size at which steps and saves take about as long as start-up.
FAMILIES = {
    'ddpm_digits': f'--config.steps=120 --config.ddpm.steps=6 --config.unet.width=8 {OFTEN}',
    'vae_digits': '--config.steps=2000 --config.widths=(8,) --config.importance=50 '
    f'--config.samples=40 --config.classifier=2 {SELDOM}',
    'gan_digits': '--config.steps=2000 --config.widths=(8,) --config.samples=40 '
    f'--config.classifier=2 {SELDOM}',
    'word2vec_docs': '--config.steps=240 --config.corpus=LICENSE --config.epochs=1 '
    f'--config.batch=2 --config.held_out=60 {OFTEN}',
    'pca_digits': f'--config.steps=240 --config.batch=60 --config.ranks=(1,4) {OFTEN}',
    'mixture_digits': '--config.steps=240 --config.components=3 --config.sizes=(1,2) '
    f'--config.fit=2 {OFTEN}',
}

# How often the files of a run are looked at, in seconds.
POLL_START = 0.01
POLL_KILL = 0.002


class Kill(NamedTuple):
    """The moment of a kill: so long after a launch began, or after it has come to a step."""

    wait: float  # seconds
    step: float | None = None  # None: at the latest when start-up is over
    save: bool = False  # in the middle of the first save after the step


class Results(NamedTuple):
    """What a run has written in the end."""

    states: dict[int, dict[str, str]]  # step -> {leaf: dtype, shape and hash}, as read from disk
    digests: dict[int, dict[str, str]]  # the same, as the checkpoints themselves have it
    metrics: str  # hash of the lines, without clocks and rates
    samples: dict[str, str]  # file -> hash


class Outcome(NamedTuple):
    """What came of an attack."""

    reference: Results  # of the run that was not killed
    killed: list[Results]  # of each run that was
    kills: int
    saves: int  # kills that left a checkpoint half written
    launches: int
    seconds: float


def attack(command: Sequence[str], folder: pathlib.Path, *, kills: int, seed: int) -> Outcome:
    """Runs a command to its end, and then again while it is killed.

    Args:
      command: of a launch, without --workdir.
      folder: for the run directories.
      kills: number of kills.
      seed: of their moments.

    Raises:
      AssertionError: a launch fails by itself, or what it has written by the time of a kill is not
        in order.
    """
    start = time.monotonic()
    reference = folder / 'whole'
    startup, total = rehearse(command, reference)
    steps = json.loads((reference / 'config.json').read_text())['steps']
    pending = collections.deque(kill_schedule(kills, steps, startup, total - startup, seed))
    runs = []
    saves = 0
    launches = 0
    while pending or not runs:
        run = folder / f'killed-{len(runs)}'
        runs.append(run)
        done = False
        while not done:
            kill = pending.popleft() if pending else None
            done = launch_until_killed(command, run, kill)
            launches += 1
            check_run(run)
            saves += has_partial_checkpoint(run)
            if done and kill:  # the launch ended before the kill was due
                pending.appendleft(Kill(kill.wait / 2, kill.step and kill.step / 2, kill.save))
    seconds = time.monotonic() - start

    saved_steps = sorted(int(path.name) for path in (reference / 'checkpoints').iterdir())
    killed = [read_results(run, saved_steps) for run in runs]
    return Outcome(read_results(reference, saved_steps), killed, kills, saves, launches, seconds)


def kill_schedule(kills: int, steps: int, startup: float, rest: float, seed: int) -> Iterator[Kill]:
    """The kills of a run, by their steps.

    Args:
      kills: number of kills.
      steps: of the run.
      startup: seconds until its first step.
      rest: seconds of all its steps.
      seed: of the moments.
    """
    rng = random.Random(seed)
    kill_steps = sorted(rng.uniform(0, steps) for _ in range(kills))
    for i, step in enumerate(kill_steps):
        if i % 5 == 4:
            yield Kill(rng.uniform(0, startup))
        elif i % 2:
            yield Kill(rng.uniform(0, rest / kills), step)
        else:
            yield Kill(0.0, step, save=True)


def rehearse(command: Sequence[str], run: pathlib.Path) -> tuple[float, float]:
    """Runs a command to its end; returns the seconds to its first line and to its end."""
    start = time.monotonic()
    startup = None
    process = start_launch(command, run)
    while process.poll() is None:
        if startup is None and last_step(run, 0) > 0:
            startup = time.monotonic() - start
        time.sleep(POLL_START)
    assert process.returncode == 0, log_path(run).read_text()
    total = time.monotonic() - start
    return startup or total, total


def start_launch(command: Sequence[str], run: pathlib.Path) -> subprocess.Popen:
    """Starts a launch in a session of its own; its output is appended to the run's log."""
    with open(log_path(run), 'a') as log:
        return subprocess.Popen(
            [*command, f'--workdir={run}'],
            cwd=ROOT,
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )


def log_path(run: pathlib.Path) -> pathlib.Path:
    """The file beside a run directory that has the output of its launches."""
    return run.with_name(f'{run.name}.log')


def launch_until_killed(command: Sequence[str], run: pathlib.Path, kill: Kill | None) -> bool:
    """Launches a run, until it is killed or ends; returns whether it ended."""
    since = time.time()
    process = start_launch(command, run)
    try:
        if kill is None or not wait_until_due(kill, run, process, since):
            process.wait()
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert process.returncode in (0, -signal.SIGKILL), log_path(run).read_text()
    return process.returncode == 0


def wait_until_due(kill: Kill, run: pathlib.Path, process: subprocess.Popen, since: float) -> bool:
    """Waits for the moment of a kill; returns False where the launch ended before.

    Args:
      kill: the kill.
      run: the run directory.
      process: the launch.
      since: time at which the launch was started, in seconds since the epoch.
    """
    while not is_due(kill, run, process, since):
        if process.poll() is not None:
            return False
        time.sleep(POLL_KILL)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(kill.wait if kill.step is not None else 0)
        return False
    return True


def is_due(kill: Kill, run: pathlib.Path, process: subprocess.Popen, since: float) -> bool:
    """Whether a launch has come to the step or save of a kill, or to its time in start-up."""
    if kill.step is None:
        return time.time() - since >= kill.wait or last_step(run, since) >= 0
    return last_step(run, since) >= kill.step and (not kill.save or stop_in_save(run, process))


def stop_in_save(run: pathlib.Path, process: subprocess.Popen) -> bool:
    """Stops a launch in the middle of a save; returns whether it was in one."""
    if has_partial_checkpoint(run):
        os.killpg(process.pid, signal.SIGSTOP)
        if has_partial_checkpoint(run):
            return True
        os.killpg(process.pid, signal.SIGCONT)  # the save was over before the launch stopped
    return False


def last_step(run: pathlib.Path, since: float) -> int:
    """The step of the last line of metrics; -1 before a launch has read the lines that exist.

    Args:
      run: the run directory.
      since: time at which the launch was started, in seconds since the epoch.
    """
    path = run / 'metrics.jsonl'
    if not path.exists() or path.stat().st_mtime < since:
        return -1
    return max((row['step'] for row in read_lines(run)), default=0)


def has_partial_checkpoint(run: pathlib.Path) -> bool:
    """Whether there is a half-written checkpoint.

    A launch removes those of the last one before it reads the lines of metrics.
    """
    return any('orbax-checkpoint-tmp' in path.name for path in run.glob('checkpoints/*'))


def check_run(run: pathlib.Path) -> None:
    """Checks that a run directory, at any moment, is in order.

    Raises:
      AssertionError, ValueError: it is not.
    """
    for path in (run / 'config.json', run / 'manifest.json'):
        assert not path.exists() or json.loads(path.read_text())
    steps = [row['step'] for row in read_lines(run)]
    assert steps == sorted(set(steps)), steps
    assert not (run / 'checkpoints.damaged').exists(), log_path(run).read_text()


def read_lines(run: pathlib.Path) -> list[dict]:
    """The lines of metrics.jsonl, without a last one that is half written."""
    path = run / 'metrics.jsonl'
    text = path.read_text() if path.exists() else ''
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith('\n')]


def read_results(run: pathlib.Path, steps: Sequence[int]) -> Results:
    """The results of a run that is done, with the checkpoints of some steps."""
    check_run(run)
    rows = [
        {name: value for name, value in row.items() if not name.startswith('time/')}
        for row in read_lines(run)
    ]
    checkpoints = {step: run / 'checkpoints' / str(step) for step in steps}
    samples = sorted((run / 'samples').iterdir())
    return Results(
        states={step: checkpoint_digest(path) for step, path in checkpoints.items()},
        digests={step: _stored_digest(path) for step, path in checkpoints.items()},
        metrics=_hash(json.dumps(rows).encode()),
        samples={path.name: _hash(path.read_bytes()) for path in samples},
    )


def checkpoint_digest(path: pathlib.Path) -> dict[str, str]:
    """The digest of the state in a checkpoint, read without genjax's own code for them."""
    import jax
    import numpy as np
    import orbax.checkpoint as ocp

    from genjax.training.digest import digest

    def as_numpy(leaf):
        del leaf
        return ocp.RestoreArgs(restore_type=np.ndarray)

    with contextlib.closing(ocp.PyTreeCheckpointHandler()) as handler:
        arguments = jax.tree.map(as_numpy, handler.metadata(path / 'state').tree)
        restore = ocp.args.PyTreeRestore(restore_args=arguments)
        return digest(handler.restore(path / 'state', args=restore))


def _stored_digest(path):
    return json.loads((path / 'digest' / 'metadata').read_text())['leaves']


def _hash(content):
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def summary(name: str, outcome: Outcome) -> str:
    """An outcome in one line."""
    differing = {
        field
        for run in outcome.killed
        for field in Results._fields
        if getattr(run, field) != getattr(outcome.reference, field)
    }
    verdict = f'{", ".join(sorted(differing))} differ' if differing else 'all equal to the bit'
    return (
        f'{name}: {outcome.kills} kills, {outcome.saves} of them during a save, '
        f'{len(outcome.killed)} runs, {outcome.launches} launches, {outcome.seconds:.0f} s: '
        f'{verdict}'
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
    run_flags = [*FAMILIES.get(flags.experiment, '').split(), *rest]
    command = [sys.executable, '-m', 'launch', '--exp', flags.experiment, *run_flags]
    with tempfile.TemporaryDirectory() as temporary:
        folder = (flags.folder or pathlib.Path(temporary)).absolute()
        folder.mkdir(parents=True, exist_ok=flags.folder is None)
        outcome = attack(command, folder, kills=flags.kills, seed=flags.seed)
    print(summary(flags.experiment, outcome))
    return int(any(run != outcome.reference for run in outcome.killed))


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))

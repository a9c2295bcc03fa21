"""Runs as jobs of Slurm, handed over by submitit: one array for the points of a sweep.

Before it preempts a job, and LEAD seconds before its time is over, Slurm sends SIGTERM to every
task and not to the script that started them. So the launch saves and leaves with signals.STOPPED,
and the script then puts the job back into the queue, whatever the site does with such a code. A job
that is cancelled loses its script first, and stays away.
"""

import contextlib
import io
import os
import pathlib
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence

from launch.cli import catalogue
from launch.cli.flags import Flags
from launch.cli.refusal import Refused
from launch.run.signals import STOPPED
from launch.sweep.points import Point, is_to_run, label, log_of, status

ROOT = pathlib.Path(__file__).parents[2]
LEAD = 120  # seconds; Slurm counts time in minutes, so that a minute of it may be missing


def check_installed() -> None:
    """Sees that this machine can hand over jobs.

    Raises:
      Refused: it lacks one of Slurm's programs.
    """
    for name in ('sbatch', 'squeue', 'srun'):
        if shutil.which(name) is None:
            raise Refused(f'--on is slurm, and this machine has no {name}')


def submit(points: Sequence[Point], flags: Flags) -> int:
    """Submits the points that are not done and have no job yet, and prints a line for each point.

    Returns how many cannot be submitted, since their run directory cannot be used.

    Raises:
      Refused: this machine has no Slurm; or Slurm refuses, and then nothing was submitted.
    """
    check_installed()
    queued = queue()
    states = {point.workdir: _state(point, queued) for point in points}
    new = [point for point in points if states[point.workdir] is None]
    for point, job in zip(new, _submit_array(new, flags), strict=True):
        job_file(point).write_text(job, 'utf-8')
        states[point.workdir] = f'job {job} submitted'
    for point in points:
        print(f'{states[point.workdir]}  {point.workdir}  {label(point.texts)}')
    folder = points[0].workdir.parent
    print(
        f'each prints to {folder}/NAME.log; python -m launch.status {folder} tells how far they are'
    )
    return sum(bool(point.problem) for point in points)


def queue() -> dict[str, str]:
    """The state of every job that waits or runs, by its number: {'12_3': 'PENDING'}.

    Raises:
      Refused: Slurm does not answer.
    """
    done = subprocess.run(
        ['squeue', '--noheader', '--array', '--format=%i %T'], capture_output=True, text=True
    )
    if done.returncode:
        raise Refused(' '.join(done.stderr.split()) or f'squeue fails with {done.returncode}')
    return dict(line.split() for line in done.stdout.splitlines())


def job_file(point: Point) -> pathlib.Path:
    """The file beside the run directory with the number of its job."""
    return point.workdir.with_name(f'{point.workdir.name}.job')


def _state(point: Point, queued: Mapping[str, str]) -> str | None:
    """Why a point needs no new job, or None if it does."""
    file = job_file(point)
    job = file.read_text('utf-8') if file.exists() else None
    if job in queued:
        return f'job {job} {queued[job].lower()}'
    return None if is_to_run(point) else status(point)


def _submit_array(points: Sequence[Point], flags: Flags) -> list[str]:
    """The numbers of the points' jobs."""
    if not points:
        return []
    # Or its import, which is here so that this comes before it, closes the log handlers there are.
    os.environ.setdefault('SUBMITIT_LOG_LEVEL', 'NOCONFIG')
    import submitit
    from submitit.core.utils import FailedJobError

    runs = points[0].workdir.parent
    runs.mkdir(parents=True, exist_ok=True)
    # The script, and what tasks say before they become launches.
    folder = tempfile.mkdtemp(prefix='.slurm-', dir=runs)
    executor = submitit.SlurmExecutor(folder)
    executor.update_parameters(
        job_name=catalogue.name_of(flags.exp),
        array_parallelism=flags.workers or len(points),
        **_script(flags),
    )
    commands = [point.argv for point in points]
    logs = [log_of(point) for point in points]
    try:
        # There submitit says what the error says again.
        with contextlib.redirect_stderr(io.StringIO()):
            jobs = executor.map_array(become_launch, commands, logs)
    except FailedJobError as error:
        shutil.rmtree(folder)
        raise Refused(' '.join(str(error).split())) from None
    return [job.job_id for job in jobs]


def _script(flags):
    """What submitit is to write into the script of a job."""
    path = f'export PYTHONPATH={shlex.quote(str(ROOT))}${{PYTHONPATH:+:$PYTHONPATH}}'
    again = f'if [ $code = {STOPPED} ]; then scontrol requeue $SLURM_JOB_ID; fi'
    cpus = flags.slurm.get('cpus_per_task')  # which srun does not take from sbatch
    return {
        'additional_parameters': {'signal': f'TERM@{LEAD}', 'requeue': True} | flags.slurm,
        'time': None,  # if it is not asked for, the partition's and not submitit's
        'setup': [path],
        'srun_args': [f'--cpus-per-task={cpus}'] if cpus else [],
        'stderr_to_stdout': True,
        'teardown': ['code=$?', again, 'exit $code'],
    }


def become_launch(argv: Sequence[str], log: pathlib.Path) -> None:
    """Turns a task of a job into the launch itself; the first of several prints to the log, as a
    local launch does."""
    if os.environ['SLURM_PROCID'] == '0':
        with open(log, 'a', encoding='utf-8') as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
    # Until the launch listens: one that died of it would have failed, and one that Slurm has to
    # kill is queued again.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.execv(sys.executable, [sys.executable, '-m', 'launch', *argv])

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
from collections.abc import Sequence

from launch.cli.flags import Flags
from launch.cli.refusal import Refused
from launch.run.signals import STOPPED
from launch.sweep.local import ROOT, log_of
from launch.sweep.points import Point, status, told

LEAD = 120  # seconds; Slurm counts time in minutes, so that a minute of it may be missing


def check_installed():
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
    there = queue()
    says = {point.workdir: _standing(point, there) for point in points}
    new = [point for point in points if not says[point.workdir]]
    for point, job in zip(new, _handed_over(new, flags), strict=True):
        note_of(point).write_text(job, 'utf-8')
        says[point.workdir] = f'job {job} submitted'
    for point in points:
        print(f'{says[point.workdir]}  {point.workdir}  {told(point.texts)}')
    folder = points[0].workdir.parent
    print(
        f'each prints to {folder}/NAME.log; python -m launch.status {folder} tells how far they are'
    )
    return sum(bool(point.trouble) for point in points)


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


def note_of(point: Point) -> pathlib.Path:
    """The file beside the run directory that holds the number of its job."""
    return point.workdir.with_name(f'{point.workdir.name}.job')


def _standing(point, there):
    """Why a point needs no new job, or None if it does."""
    job = note_of(point).read_text('utf-8') if note_of(point).exists() else None
    if job in there:
        return f'job {job} {there[job].lower()}'
    return status(point) if point.trouble or status(point) == 'done' else None


def _handed_over(points, flags):
    """The numbers of the points' jobs."""
    if not points:
        return []
    os.environ.setdefault(
        'SUBMITIT_LOG_LEVEL', 'NOCONFIG'
    )  # or its import closes the log handlers there are
    import submitit
    from submitit.core.utils import FailedJobError

    points[0].workdir.parent.mkdir(parents=True, exist_ok=True)
    # The script, and what tasks say before they become launches.
    folder = tempfile.mkdtemp(prefix='.slurm-', dir=points[0].workdir.parent)
    executor = submitit.SlurmExecutor(folder)
    executor.update_parameters(
        job_name=flags.exp, array_parallelism=flags.workers or len(points), **_script(flags)
    )
    try:
        with contextlib.redirect_stderr(
            io.StringIO()
        ):  # where submitit says what the error says again
            jobs = executor.map_array(
                become, [point.argv for point in points], [log_of(point) for point in points]
            )
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


def become(argv: Sequence[str], log: pathlib.Path):
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

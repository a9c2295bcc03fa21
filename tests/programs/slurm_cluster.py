"""A Slurm cluster for tests: a controller and two emulated nodes of one CPU each, here."""

import contextlib
import os
import pathlib
import platform
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping

PROGRAMS = ('munged', 'slurmctld', 'slurmd', 'sbatch', 'srun', 'squeue', 'scontrol', 'scancel')

# Jobs in `high` stop those in `low`, which get SIGTERM and five seconds, and are queued again if
# they then still run.
CONF = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CryptoType=crypto/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SwitchType=switch/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/backfill
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
JobRequeue=0
ReturnToService=2
KillWait=10
SlurmdTimeout=15
SlurmdParameters=config_overrides
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/%n.log
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=1 \
RealMemory=4000 State=UNKNOWN
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=1 \
RealMemory=4000 State=UNKNOWN
PartitionName=low Nodes=n1,n2 Default=YES MaxTime=INFINITE State=UP PriorityTier=1 \
PreemptMode=REQUEUE GraceTime=5
PartitionName=high Nodes=n1,n2 MaxTime=INFINITE State=UP PriorityTier=10 PreemptMode=OFF
"""


def installed() -> bool:
    """Whether Slurm and munge are installed."""
    return all(map(shutil.which, PROGRAMS))


@contextlib.contextmanager
def cluster(folder: pathlib.Path) -> Iterator[dict[str, str]]:
    """Starts the cluster, and stops it and its jobs in the end.

    Args:
      folder: an empty one, for configuration, state and logs; with a short path, since a socket
        lies in it.

    Yields:
      the environment in which Slurm's commands reach the cluster.
    """
    ports = [free_port() for _ in range(3)]
    user = subprocess.run(['id', '-un'], capture_output=True, text=True, check=True).stdout.strip()
    conf = folder / 'slurm.conf'
    conf.write_text(CONF.format(folder=folder, host=platform.node(), user=user, ports=ports))
    key = folder / 'munge.key'
    key.write_bytes(secrets.token_bytes(128))
    key.chmod(0o400)
    socket_path = folder / 'munge.socket'
    files = [f'--{kind}-file={folder}/munge.{kind}' for kind in ('key', 'log', 'pid', 'seed')]
    munged = ['munged', '--foreground', '--force', f'--socket={socket_path}', *files]
    controller = ['slurmctld', '-D', '-c', '-f', str(conf)]
    environ = os.environ | {'SLURM_CONF': str(conf)}

    def both_idle():
        return ask(environ, 'sinfo', '-ho', '%D%t', '-plow') == '2idle'

    with contextlib.ExitStack() as stack:
        stack.enter_context(_daemon(environ, munged))
        wait_for(socket_path.exists)
        stack.enter_context(_daemon(environ, controller))
        for node in ('n1', 'n2'):
            stack.enter_context(_daemon(environ, ['slurmd', '-D', '-N', node, '-f', str(conf)]))
        wait_for(both_idle)
        stack.callback(_stop_jobs, environ)
        yield environ


def ask(environ: Mapping[str, str], *command: str) -> str:
    """The output of a command of Slurm."""
    done = subprocess.run(command, env=environ, capture_output=True, text=True)
    return done.stdout.strip()


def wait_for(condition: Callable[[], bool], seconds: float = 120) -> None:
    """Waits until a condition holds.

    Raises:
      AssertionError: it does not within so many seconds.
    """
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f'it did not happen within {seconds} s'
        time.sleep(0.2)


def free_port() -> int:
    """A port of this machine that nothing listens on."""
    with socket.socket() as taken:
        taken.bind(('127.0.0.1', 0))
        return taken.getsockname()[1]


@contextlib.contextmanager
def _daemon(environ: Mapping[str, str], command: list[str]) -> Iterator[None]:
    """Runs a daemon, and terminates it in the end."""
    process = subprocess.Popen(
        command,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait()


def _stop_jobs(environ: Mapping[str, str]) -> None:
    jobs = ask(environ, 'squeue', '-ho', '%A').split()
    ask(environ, 'scancel', *jobs)
    wait_for(lambda: not ask(environ, 'squeue', '-h'))

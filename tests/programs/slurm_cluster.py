"""A Slurm cluster for tests: a controller and two emulated nodes of one CPU each, all of them this
machine."""

import contextlib
import os
import pathlib
import platform
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator

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
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=1 RealMemory=4000 State=UNKNOWN
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=1 RealMemory=4000 State=UNKNOWN
PartitionName=low Nodes=n1,n2 Default=YES MaxTime=INFINITE State=UP PriorityTier=1 PreemptMode=REQUEUE GraceTime=5
PartitionName=high Nodes=n1,n2 MaxTime=INFINITE State=UP PriorityTier=10 PreemptMode=OFF
"""


def installed() -> bool:
    return all(map(shutil.which, PROGRAMS))


@contextlib.contextmanager
def cluster(folder: pathlib.Path) -> Iterator[dict[str, str]]:
    """Starts the cluster, and gives the environment in which its commands find it; stops it and its
    jobs in the end.

    Args:
      folder: an empty one, for configuration, state and logs; with a short path, since a socket
        lies in it.
    """
    ports = [free_port() for _ in range(3)]
    user = subprocess.run(['id', '-un'], capture_output=True, text=True, check=True).stdout.strip()
    conf = folder / 'slurm.conf'
    conf.write_text(CONF.format(folder=folder, host=platform.node(), user=user, ports=ports))
    (folder / 'munge.key').write_bytes(secrets.token_bytes(128))
    (folder / 'munge.key').chmod(0o400)
    files = [f'--{kind}-file={folder}/munge.{kind}' for kind in ('key', 'log', 'pid', 'seed')]
    given = os.environ | {'SLURM_CONF': str(conf)}
    with contextlib.ExitStack() as stack:
        stack.enter_context(
            _daemon(
                given,
                'munged',
                '--foreground',
                '--force',
                f'--socket={folder}/munge.socket',
                *files,
            )
        )
        wait_for((folder / 'munge.socket').exists)
        stack.enter_context(_daemon(given, 'slurmctld', '-D', '-c', '-f', str(conf)))
        for node in ('n1', 'n2'):
            stack.enter_context(_daemon(given, 'slurmd', '-D', '-N', node, '-f', str(conf)))
        wait_for(lambda: ask(given, 'sinfo', '-ho', '%D%t', '-plow') == '2idle')
        stack.callback(_stop_jobs, given)
        yield given


def ask(given: dict[str, str], *command: str) -> str:
    """What a command of Slurm answers."""
    return subprocess.run(command, env=given, capture_output=True, text=True).stdout.strip()


def wait_for(happened, seconds: float = 120):
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, 'it did not happen'
        time.sleep(0.2)


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(('127.0.0.1', 0))
        return taken.getsockname()[1]


@contextlib.contextmanager
def _daemon(given, *command):
    quiet = dict(stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    process = subprocess.Popen(command, env=given, **quiet)
    try:
        yield
    finally:
        process.terminate()
        process.wait()


def _stop_jobs(given):
    jobs = ask(given, 'squeue', '-ho', '%A').split()
    ask(given, 'scancel', *jobs)
    wait_for(lambda: not ask(given, 'squeue', '-h'))

"""The options of sbatch that the command line takes, as --slurm.KEY=VALUE."""

from typing import NamedTuple


class Option(NamedTuple):
    pattern: str  # that a whole value matches
    takes: str  # the same in words


_COUNT = Option(r'[1-9]\d*', 'a whole number, 1 or more')
_DEVICES = Option(
    r'([\w.-]+:)?[1-9]\d*', 'a whole number, 1 or more, after a kind and a colon if need be'
)
_MEMORY = Option(r'[1-9]\d*[KMGT]', 'a whole number with K, M, G or T, as 16G')
_NAMES = Option(r'\S+', 'words without spaces')
_SIGNAL = Option(
    r'TERM@[1-9]\d*',
    'TERM@SECONDS, the notice that a launch gets to save before its time is over',
)
_TIME = Option(
    r'\d+(-\d+)?(:\d\d){0,2}',
    'minutes, or hours:minutes:seconds with days- before them if need be',
)

OPTIONS = {  # by name, a hyphen written as an underscore
    'account': _NAMES,
    'constraint': _NAMES,
    'exclude': _NAMES,
    'gres': _NAMES,
    'nodelist': _NAMES,
    'partition': _NAMES,
    'qos': _NAMES,
    'reservation': _NAMES,
    'nodes': _COUNT,
    'tasks_per_node': _COUNT,
    'cpus_per_task': _COUNT,
    'gpus': _DEVICES,
    'gpus_per_node': _DEVICES,
    'gpus_per_task': _DEVICES,
    'mem': _MEMORY,
    'mem_per_cpu': _MEMORY,
    'mem_per_gpu': _MEMORY,
    'signal': _SIGNAL,
    'time': _TIME,
}

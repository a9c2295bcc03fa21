"""What may be asked of Slurm on the command line, as --slurm.KEY=VALUE."""

import re
from collections.abc import Mapping

from launch.cli.refusal import Refused, nearest

_COUNT = r'[1-9]\d*', 'a whole number, 1 or more'
_DEVICES = r'([\w.-]+:)?[1-9]\d*', 'a whole number, 1 or more, after a kind and a colon if need be'
_MEMORY = r'[1-9]\d*[KMGT]', 'a whole number with K, M, G or T, as 16G'
_NAMES = r'\S+', 'words without spaces'
_SIGNAL = (
    r'TERM@[1-9]\d*',
    'TERM@SECONDS, the notice that a launch gets to save before its time is over',
)
_TIME = (
    r'\d+(-\d+)?(:\d\d){0,2}',
    'minutes, or hours:minutes:seconds with days- before them if need be',
)
OPTIONS = {  # of sbatch, a hyphen written as an underscore -> pattern of its values, in words
    **dict.fromkeys(
        ('account', 'constraint', 'exclude', 'gres', 'nodelist', 'partition', 'qos', 'reservation'),
        _NAMES,
    ),
    **dict.fromkeys(('nodes', 'tasks_per_node', 'cpus_per_task'), _COUNT),
    **dict.fromkeys(('gpus', 'gpus_per_node', 'gpus_per_task'), _DEVICES),
    **dict.fromkeys(('mem', 'mem_per_cpu', 'mem_per_gpu'), _MEMORY),
    'signal': _SIGNAL,
    'time': _TIME,
}


def check(texts: Mapping[str, str]):
    """Sees that these are options of sbatch, and their values such as it takes.

    Raises:
      Refused: an option that is none, or a value of another kind.
    """
    for name, text in texts.items():
        if name not in OPTIONS:
            raise Refused(f'--slurm.{name} is no option; {nearest(name, OPTIONS)}')
        pattern, takes = OPTIONS[name]
        if not re.fullmatch(pattern, text):
            raise Refused(f'--slurm.{name} is {text}; it takes {takes}')

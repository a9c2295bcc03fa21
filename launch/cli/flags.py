"""The command line as a value; not read by absl, whose errors take many lines and exit with 1."""

import pathlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from genjax.home import expanded
from launch.cli import slurm_options
from launch.cli.refusal import Refused, nearest

USAGE = """\
python -m launch --exp NAME [--config.KEY=VALUE ...] [flags]   trains, or goes on with, an experiment
python -m launch --list                                        names the experiments

  --workdir DIR         the run directory; by default runs/NAME-HASH, the same for the same config
  --data_dir DIR        where the prepared data lie
  --until STEP          stops after this step, as an interruption would; the same command goes on
  --mode MODE           train (default), evaluate or sample from the last checkpoint
  --query TEXT          with --mode evaluate: a question that the experiment answers, as 'king' or 'king - man + woman'
  --parallel HOW        jit (default) or pmap
  --mesh data=4,model=2 how to lay out the devices; by default all along data
  --fold K              steps in one compiled call; by default what suits the device

  --sweep KEY=A,B,C     a run for each value, KEY=0:4 for 0, 1, 2, 3; given more than once, for each combination; own is
                        the sweep that the experiment has; launched again, it goes on where it stood
  --workers N           runs of a sweep at a time; by default one an accelerator, or one on a CPU, where several divide
                        the cores; with --vmap programs at a time, on a CPU by default one a core of four runs or more
  --dry_run             with --sweep: prints the runs, all checked, and starts none
  --vmap seed           with --sweep: runs that differ in their seed alone are trained as one program; without it
                        seed=A,B or seed=0:4 names them
  --on WHERE            local (default) or slurm: there a job for each run of a sweep, or for the one run
  --slurm.KEY=VALUE     what is asked of Slurm, as --slurm.partition=gpu --slurm.time=240

  --distributed         one of several processes that train one run together; they find each other by what Slurm, a TPU
                        pod or JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and JAX_PROCESS_ID say
"""


class Flags(NamedTuple):
    exp: str
    overrides: dict[str, str]  # dotted key of the config -> text
    workdir: pathlib.Path | None = None
    data_dir: str | None = None
    until: int | None = None
    mode: str = 'train'
    query: str | None = None
    parallel: str = 'jit'
    mesh: dict[str, int] | None = None  # axis -> devices along it
    fold: int | None = None
    sweep: tuple[str, ...] = ()
    workers: int | None = None
    dry_run: bool = False
    vmap: str | None = None
    on: str = 'local'
    slurm: dict[str, str] = {}  # option -> text
    distributed: bool = False


def parse(argv: Sequence[str]) -> Flags:
    """Reads `--flag=value` and `--flag value`; of a flag given twice the last counts, but for
    --sweep.

    Raises:
      Refused: an unknown flag, a value that is missing or not allowed, flags that exclude each
        other, no --exp.
    """
    values, overrides, slurm = {}, {}, {}
    for name, text in pairs(argv):
        if name.startswith('--config.'):
            overrides[name.removeprefix('--config.')] = text
        elif name.startswith('--slurm.'):
            slurm[name.removeprefix('--slurm.')] = text
        elif name == '--sweep':
            values['sweep'] = (*values.get('sweep', ()), text)
        else:
            values[name.removeprefix('--')] = _READ[name](name, text)
    if 'exp' not in values:
        raise Refused('--exp is missing; python -m launch --list names the experiments')
    together = values.get('vmap', 'seed') != 'seed'  # its own seeds are named
    for name in ('workers', 'dry_run', 'vmap'):
        if name in values and 'sweep' not in values and not (name == 'vmap' and together):
            raise Refused(f'--{name} is given without --sweep')
    if together and ('sweep' in values or values.get('on') == 'slurm'):
        raise Refused(f'--vmap is {values["vmap"]}; with --sweep or --on slurm it takes seed')
    if values.get('distributed') and ('sweep' in values or values.get('on') == 'slurm'):
        raise Refused(
            '--distributed is of one run; a sweep or a job says how many processes each run has by --slurm.nodes'
        )
    if slurm and values.get('on') != 'slurm':
        raise Refused(f'--slurm.{next(iter(slurm))} is given without --on slurm')
    slurm_options.check(slurm)
    mode = values.get('mode', 'train')
    if 'sweep' in values and ('workdir' in values or mode != 'train'):
        raise Refused(
            '--sweep trains, each point in a directory of its own; it takes no --workdir and no --mode'
        )
    if values.get('on') == 'slurm' and mode != 'train':
        raise Refused(f'--on is slurm and --mode is {mode}; jobs train')
    return Flags(overrides=overrides, slurm=slurm, **values)


def pairs(argv: Sequence[str]) -> Iterator[tuple[str, str]]:
    """(flag, its value as text), in order.

    Raises:
      Refused: an unknown flag, or a value that is missing.
    """
    words = iter(argv)
    for word in words:
        name, equals, text = word.partition('=')
        config = name.startswith('--config.')
        if not config and not name.startswith('--slurm.') and name not in _READ:
            known = [*_READ, '--config.KEY', '--slurm.KEY', '--list', '--help']
            meant = (
                f'did you mean --config.{name[2:]}?' if name in _SETTINGS else nearest(name, known)
            )
            raise Refused(f'{name} is no flag; {meant}')
        if not equals and name in _BARE:
            yield name, 'true'
            continue
        if not equals:
            text = next(words, '--')
        if (not equals and text.startswith('--')) or (not text and not config):
            raise Refused(f'{name} needs a value')
        yield name, text


def _text(name: str, text: str) -> str:
    del name
    return text


def _path(name: str, text: str) -> pathlib.Path:
    try:
        return expanded(text).expanduser()
    except FileNotFoundError as error:
        raise Refused(f'{name} is {text}; {error}') from None
    except RuntimeError:
        raise Refused(f'{name} is {text}; nobody here has that home folder') from None


def _count(name: str, text: str) -> int:
    if not _positive(text):
        raise Refused(f'{name} is {text}; it takes a whole number, 1 or more')
    return int(text)


def _positive(text: str) -> bool:
    """Whether it is a whole number, 1 or more, of so many digits as anything here may have."""
    return text.isdecimal() and len(text) < 20 and int(text) > 0


def _one_of(*allowed: str) -> Callable[[str, str], str]:
    def read(name, text):
        if text not in allowed:
            raise Refused(f'{name} is {text}; it takes {" or ".join(allowed)}')
        return text

    return read


def _seeds(name: str, text: str) -> str:
    return text if text.startswith('seed=') else _one_of('seed')(name, text)


def _axes(name: str, text: str) -> dict[str, int]:
    axes = [part.split('=') for part in text.split(',')]
    known = all(len(axis) == 2 and axis[0] in ('data', 'model') for axis in axes)
    if not known or len(dict(axes)) < len(axes) or not all(_positive(n) for _, n in axes):
        raise Refused(f'{name} is {text}; it takes data=N or data=N,model=M')
    return {axis: int(n) for axis, n in axes}


def _yes(name: str, text: str) -> bool:
    return _one_of('true', 'false')(name, text) == 'true'


_BARE = ('--dry_run', '--distributed')  # without a value: true
_SETTINGS = (
    '--seed',
    '--steps',
    '--batch',
)  # that every config has, or most, and other programs' flags
_READ: dict[str, Callable[[str, str], Any]] = {
    '--exp': _text,
    '--workdir': _path,
    '--data_dir': _text,
    '--until': _count,
    '--mode': _one_of('train', 'evaluate', 'sample'),
    '--query': _text,
    '--parallel': _one_of('jit', 'pmap'),
    '--mesh': _axes,
    '--fold': _count,
    '--sweep': _text,
    '--workers': _count,
    '--dry_run': _yes,
    '--vmap': _seeds,
    '--on': _one_of('local', 'slurm'),
    '--distributed': _yes,
}

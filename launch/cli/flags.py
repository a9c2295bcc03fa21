"""The command line as a value: a table of the flags, from which usage, parsing and rules follow.

It is not read by absl, whose errors take many lines and exit with 1.
"""

import pathlib
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from launch.cli import readers
from launch.cli.readers import Reader
from launch.cli.refusal import Refused, nearest, refusing
from launch.cli.slurm_options import OPTIONS

MOST_STEPS_PER_CALL = 10**6
MOST_STEPS = 2**31 - 1  # jax counts in 32 bits
MOST_SAMPLES = 10**9
MOST_SAMPLES_AT_ONCE = 10**6


class Flags(NamedTuple):
    """A command line; each field is the value of a flag, or what it is without the flag."""

    exp: str  # the name of an experiment, or the path of a page
    overrides: dict[str, str] = {}  # dotted key of the config -> text
    workdir: pathlib.Path | None = None
    data_dir: str | None = None
    init_from: str | None = None
    steps: int | None = None
    until: int | None = None
    mode: str = 'train'
    query: str | None = None
    checkpoint: str | None = None  # a step, 'best' or 'last'
    average: str | None = None
    out: pathlib.Path | None = None
    n: int | None = None
    labels: tuple[int, ...] | None = None  # None: all in turn
    sample_seed: int = 0
    sample_batch: int = 64
    parallel: str = 'jit'
    mesh: dict[str, int] | None = None  # axis -> devices along it
    fold: int | None = None
    seeds: tuple[int, ...] = ()
    sweep: tuple[str, ...] = ()
    workers: int | None = None
    dry_run: bool = False
    vmap: bool = False
    on: str = 'local'
    slurm: dict[str, str] = {}  # option -> text
    distributed: bool = False


class Need(NamedTuple):
    """What else has to be given with a flag."""

    flag: str
    value: str | None = None  # None: any
    refusal: str = '--{name} is given without --{need}'  # may also name every field of Flags


class Flag(NamedTuple):
    """A row of the table. A rule holds where a flag has another value than without it."""

    name: str
    reader: Reader
    takes: str  # what stands for its value in the usage
    help: str
    bare: str | None = None  # the text that the flag means without a value
    field: str = ''  # of Flags, where it is not the name
    keyed: bool = False  # --NAME.KEY=VALUE, kept as {key: value}
    repeated: bool = False  # given again it adds a value; else the last counts
    needs: Need | None = None
    # Other flags, or keys as config.seed -> what is said if any of them is given too
    excludes: Mapping[tuple[str, ...], str] = {}
    of_points: bool = True  # the launch of each point of a sweep has it too
    rounds: bool = False  # results of other values differ by rounding


def _slurm_option(name: str, text: str) -> str:
    key = name.removeprefix('--slurm.')
    if key not in OPTIONS:
        raise Refused(f'{name} is no option; {nearest(key, OPTIONS)}')
    if not re.fullmatch(OPTIONS[key].pattern, text):
        raise Refused(f'{name} is {text}; it takes {OPTIONS[key].takes}')
    return text


_OF_SAVED = (
    '--{flag} is {{{flag}}} and --mode is {{mode}}; it is for --mode evaluate and --mode sample'
)
TABLE = (
    Flag(
        'exp',
        readers.text,
        'NAME',
        'the experiment; or PATH.py, a page of your own that lies anywhere',
    ),
    Flag(
        'config',
        readers.text,
        'VALUE',
        "a value of the experiment's config, by its dotted key",
        field='overrides',
        keyed=True,
    ),
    Flag(
        'workdir',
        readers.path,
        'DIR',
        'the run directory; by default runs/NAME-HASH, the same for the same config',
    ),
    Flag('data_dir', readers.text, 'DIR', 'where the prepared data lie'),
    Flag(
        'init_from',
        readers.source,
        'RUN',
        'begins with the weights of a run, RUN, RUN:STEP or RUN:best, or of FILE.safetensors',
    ),
    Flag(
        'steps',
        readers.count_to(MOST_STEPS),
        'N',
        'makes a run that is there longer, to N steps in all, where its updates do not hang on its'
        ' length',
        excludes={
            ('mode', 'seeds', 'sweep', 'on'): '--steps makes one run longer; it takes no --mode,'
            ' --seeds, --sweep or --on'
        },
    ),
    Flag(
        'until',
        readers.count,
        'STEP',
        'stops after this step, as an interruption would; the same command goes on',
    ),
    Flag(
        'mode',
        readers.one_of('train', 'evaluate', 'sample'),
        'MODE',
        'train (default), evaluate or sample from the last checkpoint',
    ),
    Flag(
        'query',
        readers.text,
        'TEXT',
        "a question that the experiment answers, as 'king' or 'king - man + woman'",
        needs=Need(
            'mode',
            'evaluate',
            '--query is {query} and --mode is {mode}; questions are for --mode evaluate',
        ),
    ),
    Flag(
        'checkpoint',
        readers.checkpoint,
        'STEP',
        'of which step; or best, the lowest test loss of those kept, or last (default)',
        needs=Need('mode', refusal=_OF_SAVED.format(flag='checkpoint')),
    ),
    Flag(
        'average',
        readers.text,
        'NAME',
        'by which average of the parameters, or none, the parameters themselves; by default the'
        " run's own",
        needs=Need('mode', refusal=_OF_SAVED.format(flag='average')),
    ),
    Flag(
        'out',
        readers.path,
        'DIR',
        'where what is drawn or measured is written, and nothing then in the run directory; with'
        ' --n also FILE.npz',
        needs=Need('mode', refusal=_OF_SAVED.format(flag='out')),
    ),
    Flag(
        'n',
        readers.count_to(MOST_SAMPLES),
        'N',
        'draws so many samples to --out, as PNG files by number or as one .npz; goes on where it'
        ' was stopped',
        needs=Need(
            'mode',
            'sample',
            '--n is {n} and --mode is {mode}; samples are drawn with --mode sample',
        ),
    ),
    Flag(
        'labels',
        readers.labels,
        'A,B,C',
        'the labels of the samples, taken in turn; by default all',
        needs=Need('n'),
    ),
    Flag('sample_seed', readers.seed, 'SEED', 'of the samples; by default 0', needs=Need('n')),
    Flag(
        'sample_batch',
        readers.count_to(MOST_SAMPLES_AT_ONCE),
        'B',
        'samples that a device draws at once, by default 64; others differ by rounding',
        needs=Need('n'),
    ),
    Flag('parallel', readers.one_of('jit', 'pmap'), 'HOW', 'jit (default) or pmap', rounds=True),
    Flag(
        'mesh',
        readers.axes,
        'data=4,model=2',
        'how to lay out the devices; by default all along data',
        rounds=True,
    ),
    Flag(
        'fold',
        readers.count_to(MOST_STEPS_PER_CALL),
        'K',
        'steps in one compiled call; by default what suits the device',
        rounds=True,
    ),
    Flag(
        'seeds',
        readers.seeds,
        'A,B,C',
        'trains a run for each of these seeds, or of 0:4 for 0, 1, 2, 3, all as one program',
        excludes={
            ('sweep', 'on'): '--seeds is of one launch; with --sweep or --on slurm seeds are given'
            ' by --sweep seed=A,B,C, and --vmap makes them one program',
            ('distributed',): '--seeds trains in one process; it takes no --distributed',
            ('config.seed',): '--config.seed is given with --seeds; it is given twice',
            ('workdir',): '--workdir is given with --seeds; each run has its own',
            (
                'mode',
                'parallel',
            ): '--seeds trains, and compiles by jit; it takes no --mode and no --parallel',
        },
    ),
    Flag(
        'sweep',
        readers.text,
        'KEY=A,B,C',
        'a run for each value, KEY=0:4 for 0, 1, 2, 3; given more than once, for each'
        ' combination; own is the sweep that the experiment has; launched again, it goes on where'
        ' it stood',
        repeated=True,
        excludes={
            ('workdir', 'mode'): '--sweep trains, each point in a directory of its own; it takes no'
            ' --workdir and no --mode'
        },
        of_points=False,
    ),
    Flag(
        'workers',
        readers.count,
        'N',
        'runs of a sweep at a time; by default one an accelerator, or one on a CPU, where several'
        ' divide the cores; with --vmap programs at a time, on a CPU by default one a core of four'
        ' runs or more',
        needs=Need('sweep'),
        of_points=False,
    ),
    Flag(
        'dry_run',
        readers.is_one_of('true', 'false', true='true'),
        '',
        'prints the runs, all checked, and starts none',
        bare='true',
        needs=Need('sweep'),
        of_points=False,
    ),
    Flag(
        'vmap',
        readers.is_one_of('seed', true='seed'),
        '',
        'runs that differ in their seed alone are trained as one program',
        bare='seed',
        needs=Need('sweep'),
        of_points=False,
    ),
    Flag(
        'on',
        readers.one_of('local', 'slurm'),
        'WHERE',
        'local (default) or slurm: there a job for each run of a sweep, or for the one run',
        excludes={('mode',): '--on is {on} and --mode is {mode}; jobs train'},
        of_points=False,
    ),
    Flag(
        'slurm',
        _slurm_option,
        'VALUE',
        'what is asked of Slurm, as --slurm.partition=gpu --slurm.time=240',
        keyed=True,
        needs=Need('on', 'slurm'),
        of_points=False,
    ),
    Flag(
        'distributed',
        readers.is_one_of('true', 'false', true='true'),
        '',
        'one of several processes that train one run together; they find each other by what Slurm,'
        ' a TPU pod or JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and JAX_PROCESS_ID say',
        bare='true',
        excludes={
            ('sweep', 'on'): '--distributed is of one run; a sweep or a job says how many processes'
            ' each run has by --slurm.nodes'
        },
    ),
)
OF_SWEEP = tuple(flag.name for flag in TABLE if not flag.of_points)
ROUNDING = tuple(flag.name for flag in TABLE if flag.rounds)
_BY_NAME = {flag.name: flag for flag in TABLE}
# Settings that every config has, or most, and that are flags of other programs.
_SETTINGS = ('seed', 'batch')


def usage() -> str:
    """What the flags are, in a text of 100 columns."""
    lines = [
        'python -m launch --exp NAME [--config.KEY=VALUE ...] [flags]   trains, or goes on',
        'python -m launch --list                                        names the experiments',
        '',
    ]
    for flag in TABLE:
        need = f'with {_needed(flag.needs)}: ' if flag.needs else ''
        text = textwrap.wrap(f'{need}{flag.help}', 74)
        lines.append(f'  {_usage(flag):23} {text[0]}')
        lines += [f'{"":26}{line}' for line in text[1:]]
    return '\n'.join(lines) + '\n'


def _usage(flag: Flag) -> str:
    if flag.keyed:
        return f'--{flag.name}.KEY={flag.takes}'
    return f'--{flag.name} {flag.takes}'.rstrip()


def parse(argv: Sequence[str]) -> Flags:
    """Reads `--flag=value` and `--flag value`.

    Raises:
      Refused: an unknown flag, a value that is missing or not allowed, a flag without what it
        needs or with what it excludes, no --exp.
    """
    values: dict[str, Any] = {}
    for name, text in pairs(argv):
        flag = _find(name)
        field = flag.field or flag.name
        with refusing(ValueError):
            value = flag.reader(name, text)
        if flag.keyed:
            key = name.partition('.')[2]
            values[field] = values.get(field, {}) | {key: value}
        elif flag.repeated:
            values[field] = (*values.get(field, ()), value)
        else:
            values[field] = value
    if 'exp' not in values:
        raise Refused('--exp is missing; python -m launch --list names the experiments')
    flags = Flags(**values)
    for flag in TABLE:
        if _is_given(flags, flag.name):
            _check_rules(flags, flag)
    return flags


def pairs(argv: Sequence[str]) -> Iterator[tuple[str, str]]:
    """(flag, its value as text), in order.

    Raises:
      Refused: an unknown flag, or a value that is missing.
    """
    words = list(argv)
    while words:
        name, equals, text = words.pop(0).partition('=')
        flag = _find(name)
        if not equals:
            has_value = bool(words) and not words[0].startswith('--')
            if has_value:
                text = words.pop(0)
            elif flag.bare is not None:
                text = flag.bare
            else:
                raise Refused(f'{name} needs a value')
        if not text and flag.name != 'config':  # of a config it may be the empty string
            raise Refused(f'{name} needs a value')
        yield name, text


def _find(name: str) -> Flag:
    """The row of a flag as it is given, --slurm.time as --workdir.

    Raises:
      Refused: there is none.
    """
    word, dot, key = name.removeprefix('--').partition('.')
    flag = _BY_NAME.get(word) if name.startswith('--') else None
    if flag is not None and flag.keyed == bool(dot):
        return flag
    if word in _SETTINGS:
        raise Refused(f'{name} is no flag; did you mean --config.{word}?')
    plain = [f'--{flag.name}' for flag in TABLE if not flag.keyed]
    keyed = [f'--{flag.name}.KEY' for flag in TABLE if flag.keyed]
    raise Refused(f'{name} is no flag; {nearest(name, [*plain, *keyed, "--list", "--help"])}')


def _check_rules(flags: Flags, flag: Flag):
    """Sees that what a flag needs is given, and nothing that it excludes."""
    need = flag.needs
    if need is not None and not _is_given(flags, need.flag, need.value):
        name = f'{flag.name}.{next(iter(getattr(flags, flag.name)))}' if flag.keyed else flag.name
        text = need.refusal.format(name=name, need=_needed(need)[2:], **flags._asdict())
        raise Refused(text)
    for others, text in flag.excludes.items():
        if any(_is_given(flags, other) for other in others):
            raise Refused(text.format(**flags._asdict()))


def _needed(need: Need) -> str:
    return f'--{need.flag} {need.value or ""}'.rstrip()


def _is_given(flags: Flags, name: str, value: str | None = None) -> bool:
    """Whether a flag has this value; or else any but the one that it has without being given."""
    word, dot, key = name.partition('.')
    field = _BY_NAME[word].field or word
    given = getattr(flags, field)
    if dot:
        return key in given
    if value is not None:
        return given == value
    return field not in Flags._field_defaults or given != Flags._field_defaults[field]

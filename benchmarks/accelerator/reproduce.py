"""The experiments of `make reproduce` beside the record of a CPU, within its bounds.

Several run at the same time, as most of their seconds go into compiling. Those that are not done
when the box ends are said to be missing.
"""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed

from benchmarks.accelerator.setting import Add, Setting
from tests.programs.comparison import Result, verdict
from tests.programs.reproduce import commands, read_record, train

# Those of other kinds first; what takes longest last.
FIRST = (
    'pca_digits',
    'mixture_digits',
    'gan_finite',
    'kl_fit',
    'ddpm_digits',
    'vae_digits',
    'gan_digits',
    'word2vec_docs',
    'hmm_text',
    'flow_digits',
)
SMALL = ('kl_fit',)


def measure(setting: Setting, add: Add) -> None:
    """The stage."""
    # Of the launches, which share the accelerator.
    os.environ['XLA_PYTHON_CLIENT_PREALLOCATE'] = 'false'
    known = commands()
    names = SMALL if setting.small else in_order(known)
    workers = max(1, min(6, len(os.sched_getaffinity(0)) // 2))
    compare(names, known, workers, train, add)


def in_order(known: Sequence[str]) -> list[str]:
    """The experiments, those of FIRST before the others."""
    return [*(name for name in FIRST if name in known), *(n for n in known if n not in FIRST)]


def compare(
    names: Sequence[str],
    known: dict[str, list[str]],
    workers: int,
    train: Callable[[Sequence[str], str], Result],
    add: Add,
) -> None:
    """Adds a row for each experiment as soon as it is done.

    Args:
      names: of the experiments, in the order in which they are begun.
      known: the flags of each.
      workers: how many run at the same time.
      train: launches one.
    """
    record = read_record()
    with ThreadPoolExecutor(workers) as pool:
        runs = {pool.submit(train, known[name], name): name for name in names}
        for run in as_completed(runs):
            name = runs[run]
            result = run.result()
            says, _, environment = verdict(record.get(name), known[name], result).partition('; ')
            add(name, says, note=f'{result.seconds:.0f} s')
            print(name, environment)

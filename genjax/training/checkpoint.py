"""A checkpoint is (step, state), kept by orbax: asynchronous, atomic, the latest two and the best.

Beside the state lie the tally, the sums of the logging interval that the checkpoint cuts, so that a
resumed run writes the same averages as one that never stopped; and a digest of all of it, since
orbax restores a flipped bit as it is. A checkpoint that is not what was saved is set aside, never
deleted, and the newest intact one takes its place. `read` alone sets nothing aside: it writes
nothing, so that a run may be read that belongs to somebody else.
"""

import contextlib
import errno
import hashlib
import itertools
import json
import math
import pathlib
import re
import sys
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np
import orbax.checkpoint as ocp
from jax.experimental import multihost_utils
from orbax.checkpoint.checkpoint_managers import AnyPreservationPolicy, BestN, LatestN

from genjax.training.digest import digest, kinds

FOLDER = 'checkpoints'  # in the run directory
ASIDE = 'checkpoints.damaged'  # beside it
META = '_CHECKPOINT_METADATA'  # orbax's list of what a checkpoint is made of


class Unrestorable(ValueError):
    """There are checkpoints, and no run can go on from them."""


class Damaged(Unrestorable):
    """A checkpoint is not what was saved."""


class Record(NamedTuple):
    """What a checkpoint says of itself."""

    tally: dict
    leaves: dict[str, str] | None  # the digest of its arrays; None where it is older than digests


def open_checkpoints(workdir: pathlib.Path | str, best: str) -> ocp.CheckpointManager:
    """Opens the checkpoints of a run directory.

    What is given is a context manager, which at its end waits for what is being saved.

    Args:
      workdir: the run directory.
      best: the metric by which one checkpoint is kept beside the latest two; the lowest value wins,
        and a checkpoint saved without one counts as the highest.

    Raises:
      Damaged: there were checkpoints, and all of them were set aside.
    """
    folder = pathlib.Path(workdir).absolute() / FOLDER

    def value(metrics):
        return metrics.get(best, math.inf)

    for step in _steps(folder):
        _, why = _attempt(partial(_read_listing, folder / str(step), value))
        if why:
            _set_aside(folder, step, why)
    if not _steps(folder):
        _refuse_to_start_over(folder)

    # What was half deleted when a run was killed may have no metrics; it goes at the next save.
    best_one = BestN(get_metric_fn=value, reverse=True, n=1, keep_checkpoints_without_metrics=False)
    policy = AnyPreservationPolicy([LatestN(2), best_one])
    options = ocp.CheckpointManagerOptions(
        best_fn=value, best_mode='min', preservation_policy=policy
    )
    return ocp.CheckpointManager(folder, options=options)


def save(
    manager: ocp.CheckpointManager, step: int, state: Any, tally: dict, metrics: dict[str, float]
) -> None:
    """Starts to save in the background; the state's buffers may be donated at once.

    Args:
      manager: as `open_checkpoints` gives it.
      step: the number of steps that were taken.
      state: at that step.
      tally: plain numbers, written as JSON.
      metrics: what was measured of this state, if anything.
    """
    tree = {'state': state}  # since orbax takes no bare array, which a state may be
    leaves = digest(tree)
    items = ocp.args.Composite(
        state=ocp.args.StandardSave(tree),
        tally=ocp.args.JsonSave(tally),
        digest=ocp.args.JsonSave({'leaves': leaves, 'seal': _seal(step, leaves, tally, metrics)}),
    )
    if not manager.save(step, args=items, metrics=metrics):
        raise RuntimeError(
            f'step {step} was not saved in {manager.directory}, which has {manager.all_steps()}'
        )


def restore(
    manager: ocp.CheckpointManager, abstract: Any, step: int | None = None
) -> tuple[int, Any, dict]:
    """The latest intact checkpoint's (step, state, tally), whatever devices wrote it.

    One that is damaged is named on standard error and set aside.

    Args:
      manager: as `open_checkpoints` gives it.
      abstract: the state as jax.ShapeDtypeStructs, with the shardings that it is to have.
      step: the only one to try; by default all.

    Raises:
      FileNotFoundError: there is none.
      Damaged: there is no intact one.
      Unrestorable: the latest is of another state, by names, dtypes or shapes.
    """
    folder = pathlib.Path(manager.directory)
    steps = [saved for saved in manager.all_steps() if step in (None, saved)]
    if not steps:
        which = 'no checkpoint' if step is None else f'no checkpoint {step}'
        raise FileNotFoundError(f'{which} in {folder}')
    for saved in sorted(steps, reverse=True):
        content, why = _read(folder / str(saved), {'state': abstract})
        if why is None:
            state, tally = content
            return saved, state, tally
        _set_aside(folder, saved, why)
        manager.reload()
    if step is not None:
        raise Damaged(f'checkpoint {step} in {folder} is damaged: {why}')
    return _refuse_to_start_over(folder)


def read(
    workdir: pathlib.Path | str, abstract: Any, step: int | None = None
) -> tuple[int, Any, dict]:
    """What `restore` gives, of a run directory in which nothing is written.

    A damaged checkpoint is named on standard error and stays where it is.

    Args:
      workdir: the run directory.
      abstract: as in `restore`.
      step: the only one to try; by default all, the latest first.

    Raises:
      FileNotFoundError, Damaged, Unrestorable: as in `restore`.
    """
    folder = pathlib.Path(workdir).absolute() / FOLDER
    steps = [saved for saved in saved_steps(workdir) if step in (None, saved)]
    if not steps:
        which = 'no checkpoint' if step is None else f'no checkpoint {step}'
        raise FileNotFoundError(f'{which} in {folder}')
    for saved in reversed(steps):
        content, why = _read(folder / str(saved), {'state': abstract})
        if why is None:
            state, tally = content
            return saved, state, tally
        if step is None and jax.process_index() == 0:
            print(f'checkpoint {folder / str(saved)} is damaged: {why}', file=sys.stderr)
    if step is not None:
        raise Damaged(f'checkpoint {step} in {folder} is damaged: {why}')
    raise Damaged(f'no checkpoint in {folder} is intact')


def saved_steps(workdir: pathlib.Path | str) -> list[int]:
    """The steps of the checkpoints of a run directory, in order."""
    return _steps(pathlib.Path(workdir).absolute() / FOLDER)


def best_step(workdir: pathlib.Path | str, metric: str) -> int | None:
    """The step of the checkpoint with the lowest value of a metric; None where none has it.

    Of several the latest counts. What cannot be read is passed over.
    """
    folder = pathlib.Path(workdir).absolute() / FOLDER
    values = {}
    for step in _steps(folder):
        with contextlib.suppress(OSError, Damaged, TypeError, AttributeError):
            value = _read_json(folder / str(step) / 'metrics' / 'metrics').get(metric)
            if isinstance(value, int | float) and math.isfinite(value):
                values[step] = value
    return min(reversed(values), key=values.get, default=None)


def _read(path: pathlib.Path, abstract: Any) -> tuple[Any, str | None]:
    """((state, tally), None), or (None, what is wrong)."""
    content, why = _attempt(partial(_restore_one, path, abstract))
    if why:
        return None, why
    tree, record = content
    if record.leaves is not None:
        _, why = _attempt(lambda: _compare(digest(tree), record.leaves))
    elif jax.process_index() == 0:
        print(f'checkpoint {path} carries no digest; it is used unchecked', file=sys.stderr)
    return (tree['state'], record.tally), why


def _restore_one(path, abstract):
    """(tree, record) of a checkpoint, which is of a state like the abstract one."""
    record = _read_record(path)
    wanted = kinds(abstract)
    # Without the manager, at whose barriers the others would wait for a process that cannot read.
    with contextlib.closing(ocp.StandardCheckpointHandler()) as handler:
        if record.leaves is None:
            saved = kinds(handler.metadata(path / 'state'))
            # To orbax keys are numbers like others.
            saved |= {name: kind for name, kind in wanted.items() if kind.startswith('key')}
        else:
            saved = {name: text.rpartition(' ')[0] for name, text in record.leaves.items()}
        _require_same_kinds(saved, wanted, path)
        tree = handler.restore(path / 'state', args=ocp.args.StandardRestore(abstract))
        return tree, record


def _read_record(path: pathlib.Path) -> Record:
    """What a checkpoint says of itself.

    Raises:
      Damaged: it is not what was saved.
    """
    tally = _read_json(path / 'tally' / 'metadata')
    items = _read_json(path / META)['item_handlers']
    if 'digest' not in items and not (path / 'digest').exists():
        return Record(tally, None)
    saved = _read_json(path / 'digest' / 'metadata')
    metrics = _read_json(path / 'metrics' / 'metrics')
    if saved['seal'] != _seal(int(path.name), saved['leaves'], tally, metrics):
        raise Damaged('tally, metrics or digest are not what was saved')
    return Record(tally, saved['leaves'])


def _seal(*values) -> str:
    return hashlib.blake2b(json.dumps(values, sort_keys=True).encode(), digest_size=16).hexdigest()


def _compare(actual, saved):
    """Raises Damaged unless two digests are equal."""
    changed = [name for name in saved if actual[name] != saved[name]]
    if not changed:
        return
    more = len(changed) - 1
    others = f', nor are {more} more' if more else ''
    raise Damaged(f'{changed[0]} is not what was saved{others}')


def _require_same_kinds(saved, wanted, path):
    """Raises Unrestorable unless a checkpoint has what is wanted.

    Orbax would cast another dtype and say nothing.
    """
    for name in sorted(saved.keys() | wanted.keys()):
        there = saved.get(name, 'nothing')
        here = wanted.get(name, 'nothing')
        if there != here:
            difference = f'{name} is {there} there and {here} here'
            raise Unrestorable(f'checkpoint {path} is of another state: {difference}')


def _read_listing(path, value):
    """Reads what orbax reads of every checkpoint when it opens a folder.

    A missing file is none to orbax.
    """
    with contextlib.suppress(FileNotFoundError):
        _read_json(path / META)
        step = ocp.path.step.standard_name_format().find_step(path.parent, int(path.name))
        step.commit_timestamp  # noqa: B018
    with contextlib.suppress(FileNotFoundError):
        float(value(_read_json(path / 'metrics' / 'metrics')))


def _read_json(path):
    try:
        return json.loads(path.read_text('utf-8'))
    except ValueError:
        raise Damaged(f'{path.relative_to(path.parent.parent)} is not JSON') from None


def _attempt(act: Callable[[], Any]) -> tuple[Any, str | None]:
    """(what act returns, None), or (None, why a checkpoint cannot be read).

    It is so in all processes if it fails in one.
    """
    result = why = None
    try:
        result = act()
    except Damaged as error:
        why = str(error)
    except (Unrestorable, MemoryError, jax.errors.JaxRuntimeError):  # not the checkpoint's fault
        raise
    except Exception as error:  # orbax and tensorstore raise whatever they stumble over
        if _refused_by_system(error):
            raise
        why = f'{type(error).__name__}: {" ".join(str(error).split())[:200]}'
    if jax.process_count() > 1:
        failed = multihost_utils.process_allgather(np.bool_(why is not None))
        if failed.any():
            return None, why or 'another process cannot read it'
    return result, why


def _refused_by_system(error):
    """Whether the system refuses to read what may be in order.

    So it does without permission, or with too many files open.
    """
    in_message = re.search(r"os_error_code='(\d+)'", str(error))  # by tensorstore
    code = int(in_message[1]) if in_message else getattr(error, 'errno', None)
    return code not in (None, errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EIO)


def _set_aside(folder: pathlib.Path, step: int, why: str) -> None:
    """Moves a damaged checkpoint out of the way, and says so."""
    if jax.process_index() == 0:
        place = _free_place(folder.with_name(ASIDE), str(step))
        place.parent.mkdir(exist_ok=True)
        (folder / str(step)).rename(place)
        moved = f'is damaged and was moved to {place}'
        print(f'checkpoint {folder / str(step)} {moved}: {why}', file=sys.stderr)
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(f'set aside {step}')


def _free_place(folder, name):
    """folder/name, or the first of name-2, name-3, ... that is not there."""
    places = itertools.chain([name], (f'{name}-{i}' for i in itertools.count(2)))
    return next(folder / place for place in places if not (folder / place).exists())


def _refuse_to_start_over(folder):
    """Raises Damaged where checkpoints were set aside, lest a run begins anew unasked."""
    aside = folder.with_name(ASIDE)
    if aside.is_dir() and any(aside.iterdir()):
        lie = f'the damaged ones lie in {aside}: without it the run begins anew'
        raise Damaged(f'no checkpoint in {folder} is intact; {lie}')


def _steps(folder):
    return sorted(
        int(path.name) for path in folder.glob('*') if path.name.isdecimal() and path.is_dir()
    )

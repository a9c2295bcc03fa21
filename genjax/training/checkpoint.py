"""A checkpoint is (step, state), kept by orbax: asynchronous, atomic, the latest two and the best.

Beside the state lie the tally, the sums of the logging interval that the checkpoint cuts, so that a
resumed run writes the same averages as one that never stopped; and a digest of all of it, since
orbax restores a flipped bit as it is. A checkpoint that is not what was saved is set aside, never
deleted, and the newest intact one takes its place.
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
    """Opens the checkpoints of a run directory: a context manager that waits for what is being
    saved.

    Args:
      workdir: the run directory.
      best: the metric by which one checkpoint is kept beside the latest two; the lowest value wins,
        and a checkpoint saved without one counts as the highest.

    Raises:
      Damaged: there were checkpoints, and all of them were set aside.
    """
    folder = pathlib.Path(workdir).absolute() / FOLDER
    value = lambda metrics: metrics.get(best, math.inf)
    for step in _steps(folder):
        _, why = _attempt(lambda path=folder / str(step): _listed(path, value))
        if why:
            _set_aside(folder, step, why)
    if not _steps(folder):
        _refuse_to_start_over(folder)
    # What was half deleted when a run was killed may have no metrics; it goes at the next save.
    best_one = BestN(get_metric_fn=value, reverse=True, n=1, keep_checkpoints_without_metrics=False)
    kept = AnyPreservationPolicy([LatestN(2), best_one])
    options = ocp.CheckpointManagerOptions(best_fn=value, best_mode='min', preservation_policy=kept)
    return ocp.CheckpointManager(folder, options=options)


def save(
    manager: ocp.CheckpointManager, step: int, state: Any, tally: dict, metrics: dict[str, float]
) -> None:
    """Starts to save in the background; the state's buffers may be donated at once.

    Args:
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
    """The latest intact checkpoint's (step, state, tally), laid out as asked, whatever devices
    wrote it.

    One that is damaged is named on standard error and set aside.

    Args:
      abstract: the state as jax.ShapeDtypeStructs with shardings.
      step: the only one to try; by default all.

    Raises:
      FileNotFoundError: there is none.
      Damaged: there is no intact one.
      Unrestorable: the latest is of another state, by names, dtypes or shapes.
    """
    folder = pathlib.Path(manager.directory)
    steps = [there for there in manager.all_steps() if step in (None, there)]
    if not steps:
        raise FileNotFoundError(
            f'no checkpoint in {folder}' if step is None else f'no checkpoint {step} in {folder}'
        )
    for there in sorted(steps, reverse=True):
        found, why = _read(folder / str(there), {'state': abstract})
        if why is None:
            return there, *found
        _set_aside(folder, there, why)
        manager.reload()
    if step is not None:
        raise Damaged(f'checkpoint {step} in {folder} is damaged: {why}')
    return _refuse_to_start_over(folder)


def _read(path: pathlib.Path, abstract: Any) -> tuple[Any, str | None]:
    """((state, tally), None), or (None, what is wrong)."""
    read, why = _attempt(lambda: _restored(path, abstract))
    if why:
        return None, why
    tree, record = read
    if record.leaves is not None:
        _, why = _attempt(lambda: _compare(digest(tree), record.leaves))
    elif jax.process_index() == 0:
        print(f'checkpoint {path} carries no digest; it is used unchecked', file=sys.stderr)
    return (tree['state'], record.tally), why


def _restored(path, abstract):
    record, wanted = _record(path), kinds(abstract)
    # Without the manager, at whose barriers the others would wait for a process that cannot read
    # its part.
    with contextlib.closing(ocp.StandardCheckpointHandler()) as handler:
        if record.leaves is None:
            keys = {
                name: kind for name, kind in wanted.items() if kind.startswith('key')
            }  # to orbax numbers like others
            saved = kinds(handler.metadata(path / 'state')) | keys
        else:
            saved = {name: text.rpartition(' ')[0] for name, text in record.leaves.items()}
        _require(saved, wanted, path)
        return handler.restore(path / 'state', args=ocp.args.StandardRestore(abstract)), record


def _record(path: pathlib.Path) -> Record:
    """What a checkpoint says of itself, which is not damaged."""
    tally, items = _json(path / 'tally' / 'metadata'), _json(path / META)['item_handlers']
    if 'digest' not in items and not (path / 'digest').exists():
        return Record(tally, None)
    found, metrics = _json(path / 'digest' / 'metadata'), _json(path / 'metrics' / 'metrics')
    if found['seal'] != _seal(int(path.name), found['leaves'], tally, metrics):
        raise Damaged('tally, metrics or digest are not what was saved')
    return Record(tally, found['leaves'])


def _seal(*values) -> str:
    return hashlib.blake2b(json.dumps(values, sort_keys=True).encode(), digest_size=16).hexdigest()


def _compare(found, saved):
    changed = [name for name in saved if found[name] != saved[name]]
    if changed:
        raise Damaged(
            f'{changed[0]} is not what was saved'
            + (f', nor are {n} more' if (n := len(changed) - 1) else '')
        )


def _require(saved, wanted, path):
    """Raises Unrestorable unless a checkpoint has what is wanted; orbax would cast another dtype
    and say nothing."""
    for name in sorted(saved.keys() | wanted.keys()):
        there, here = saved.get(name, 'nothing'), wanted.get(name, 'nothing')
        if there != here:
            raise Unrestorable(
                f'checkpoint {path} is of another state: {name} is {there} there and {here} here'
            )


def _listed(path, value):
    """Reads of a checkpoint what orbax reads of all of them when it opens a folder; a missing file
    is none to it."""
    with contextlib.suppress(FileNotFoundError):
        _json(path / META)
        ocp.path.step.standard_name_format().find_step(path.parent, int(path.name)).commit_timestamp  # noqa: B018
    with contextlib.suppress(FileNotFoundError):
        float(value(_json(path / 'metrics' / 'metrics')))


def _json(path):
    try:
        return json.loads(path.read_text('utf-8'))
    except ValueError:
        raise Damaged(f'{path.relative_to(path.parent.parent)} is not JSON') from None


def _attempt(act: Callable[[], Any]) -> tuple[Any, str | None]:
    """(what act returns, None), or (None, why a checkpoint cannot be read) in all processes if it
    fails in one."""
    found = why = None
    try:
        found = act()
    except Damaged as error:
        why = str(error)
    except (Unrestorable, MemoryError, jax.errors.JaxRuntimeError):  # not the checkpoint's fault
        raise
    except Exception as error:  # orbax and tensorstore raise whatever they stumble over
        if _refused(error):
            raise
        why = f'{type(error).__name__}: {" ".join(str(error).split())[:200]}'
    if (
        jax.process_count() > 1
        and multihost_utils.process_allgather(np.bool_(why is not None)).any()
    ):
        return None, why or 'another process cannot read it'
    return found, why


def _refused(error):
    """Whether the system refuses to read what may be in order, as without permission or with too
    many files open."""
    told = re.search(r"os_error_code='(\d+)'", str(error))  # by tensorstore
    code = int(told[1]) if told else getattr(error, 'errno', None)
    return code not in (None, errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EIO)


def _set_aside(folder: pathlib.Path, step: int, why: str) -> None:
    """Moves a damaged checkpoint out of the way, and says so."""
    if jax.process_index() == 0:
        names = itertools.chain([str(step)], (f'{step}-{i}' for i in itertools.count(2)))
        place = next(
            path for name in names if not (path := folder.with_name(ASIDE) / name).exists()
        )
        place.parent.mkdir(exist_ok=True)
        (folder / str(step)).rename(place)
        print(
            f'checkpoint {folder / str(step)} is damaged and was moved to {place}: {why}',
            file=sys.stderr,
        )
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(f'set aside {step}')


def _refuse_to_start_over(folder):
    aside = folder.with_name(ASIDE)
    if aside.is_dir() and any(aside.iterdir()):
        raise Damaged(
            f'no checkpoint in {folder} is intact; the damaged ones lie in {aside}: without it the run begins anew'
        )


def _steps(folder):
    return sorted(
        int(path.name) for path in folder.glob('*') if path.name.isdecimal() and path.is_dir()
    )

"""What TensorBoard is told of a run."""

import contextlib
import json
import pathlib
import shutil
from collections.abc import Callable
from typing import Any

import numpy as np

from genjax.base import Embedding

PROJECTED = 10_000  # words of an embedding that the projector is given


def open_board(
    workdir: pathlib.Path, start: int, stack: contextlib.ExitStack
) -> Callable[..., None]:
    """The function add(step, values, pngs), which writes numbers, pictures, texts, tables and
    embeddings as events.

    Pictures are taken from `pngs`, {name: content of a PNG file}.

    Args:
      workdir: the folder of the events.
      start: the step that the run goes on from; what the events there tell of later steps is
        hidden.
      stack: closes the events in the end.
    """
    from tensorboardX import SummaryWriter  # half a second, which only runs that write need

    board = stack.enter_context(
        SummaryWriter(str(workdir), purge_step=start + 1 if start else None)
    )
    # Its thread dies of a full disk, and its queue then waits for ever; so events are written here
    # and now.
    events = board._get_file_writer().event_writer
    events.add_event = events._ev_writer.write_event
    return lambda step, values, pngs: _add(board, step, values, pngs)


def _add(board, step, values, pngs):
    for name, value in values.items():
        if is_number(value):
            board.add_scalar(name, value, step)
        elif is_picture(value):
            board._get_file_writer().add_summary(_picture(name, value, pngs[name]), step)
        elif isinstance(value, Embedding):
            _project(board, name, step, value)
        elif not isinstance(value, bytes):
            board.add_text(name, value if isinstance(value, str) else table(value, ' | '), step)
    board.flush()


def _picture(name, pixels, png):
    from tensorboardX.proto.summary_pb2 import Summary

    height, width, channels = pixels.shape[-3:]
    image = Summary.Image(height=height, width=width, colorspace=channels, encoded_image_string=png)
    return Summary(value=[Summary.Value(tag=name, image=image)])


def _project(board, name, step, embedding):
    vectors = np.asarray(embedding.vectors[:PROJECTED])
    folder = pathlib.Path(board.logdir, f'{step:05d}', f'{name.replace("/", "_")}')
    listed = pathlib.Path(board.logdir, 'projector_config.pbtxt')
    if not listed.exists() or f'"{step:05d}/{folder.name}/' not in listed.read_text(
        'utf-8'
    ):  # or it would stand twice
        shutil.rmtree(folder, ignore_errors=True)  # half written by a run that was killed
        board.add_embedding(
            vectors, metadata=list(embedding.words[:PROJECTED]), global_step=step, tag=folder.name
        )


def write_hparams(workdir: pathlib.Path | str, config: dict[str, Any]) -> None:
    """Tells TensorBoard's hparams plugin what the run was given; it finds the metrics among the
    run's scalars.

    Every launch of a run writes the same file anew, so that the run stands once in the plugin's
    table.

    Args:
      config: dotted key -> int, float, bool, str, None or a tuple or list of these.
    """
    from tensorboardX.proto.event_pb2 import Event
    from tensorboardX.record_writer import RecordWriter
    from tensorboardX.summary import hparams

    plain = {
        key: value if isinstance(value, int | float | str) else json.dumps(value)
        for key, value in config.items()
    }
    # Without the summary of an experiment: the plugin would take that of the first run for all of
    # them.
    _, start, _ = hparams(plain, {})
    path = pathlib.Path(workdir) / 'events.out.tfevents.0.hparams'
    partial = path.with_name(f'.partial-{path.name}')
    record = RecordWriter(str(partial))
    for event in (Event(file_version='brain.Event:2'), Event(summary=start)):
        record.write(event.SerializeToString())
    record.close()
    partial.replace(path)


def is_number(value: Any) -> bool:
    return not isinstance(value, str | bytes | list | Embedding) and np.ndim(value) == 0


def is_picture(value: Any) -> bool:
    return isinstance(value, np.ndarray)


def table(rows: list[dict[str, Any]], separator: str) -> str:
    """A line of names, and one a row."""
    lines = [list(rows[0]), *(row.values() for row in rows)] if rows else []
    return ''.join(separator.join(map(str, line)) + '\n' for line in lines)

"""What TensorBoard shows of a run."""

import contextlib
import json
import pathlib
import shutil
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from genjax.base import Embedding
from genjax.training.values import Values, is_number, is_picture, table_text

PROJECTED = 10_000  # words of an embedding that the projector is given


def open_board(
    workdir: pathlib.Path, start: int, stack: contextlib.ExitStack
) -> Callable[[int, Values, Mapping[str, bytes]], None]:
    """Opens the events of a run.

    Args:
      workdir: the folder of the events.
      start: the step that the run goes on from; the events there of later steps are hidden.
      stack: closes the events in the end.

    Returns:
      The function add(step, values, pngs), which writes numbers, pictures, texts, tables and
      embeddings as events. Pictures are taken from `pngs`, {name: content of a PNG file}.
    """
    from tensorboardX import SummaryWriter  # half a second, which only runs that write need

    purge_step = start + 1 if start else None
    board = stack.enter_context(SummaryWriter(str(workdir), purge_step=purge_step))
    # Its thread dies of a full disk, and its queue then waits for ever; so events are written here
    # and now.
    events = board._get_file_writer().event_writer
    events.add_event = events._ev_writer.write_event

    def add(step, values, pngs):
        _add(board, step, values, pngs)

    return add


def _add(board, step, values, pngs):
    """Writes each value as the kind of event that shows it; files have none."""
    for name, value in values.items():
        if is_number(value):
            board.add_scalar(name, value, step)
        elif is_picture(value):
            board._get_file_writer().add_summary(_picture(name, value, pngs[name]), step)
        elif isinstance(value, Embedding):
            _project(board, name, step, value)
        elif isinstance(value, str):
            board.add_text(name, value, step)
        elif not isinstance(value, bytes):
            board.add_text(name, table_text(value, ' | '), step)
    board.flush()


def _picture(name, pixels, png):
    from tensorboardX.proto.summary_pb2 import Summary

    height, width, channels = pixels.shape[-3:]
    image = Summary.Image(height=height, width=width, colorspace=channels, encoded_image_string=png)
    return Summary(value=[Summary.Value(tag=name, image=image)])


def _project(board, name, step, embedding):
    """Gives an embedding to the projector, once a step."""
    folder = pathlib.Path(board.logdir, f'{step:05d}', name.replace('/', '_'))
    listing = pathlib.Path(board.logdir, 'projector_config.pbtxt')
    entry = f'"{step:05d}/{folder.name}/'
    if listing.exists() and entry in listing.read_text('utf-8'):
        return
    shutil.rmtree(folder, ignore_errors=True)  # half written by a run that was killed
    vectors = np.asarray(embedding.vectors[:PROJECTED])
    words = list(embedding.words[:PROJECTED])
    board.add_embedding(vectors, metadata=words, global_step=step, tag=folder.name)


def write_hparams(workdir: pathlib.Path | str, config: dict[str, Any]) -> None:
    """Writes the settings of a run for TensorBoard's hparams plugin.

    The plugin finds the metrics among the run's scalars. Every launch of a run writes the same file
    anew, so that the run stands once in the plugin's table.

    Args:
      workdir: the run directory.
      config: dotted key -> int, float, bool, str, None or a tuple or list of these.
    """
    from tensorboardX.proto.event_pb2 import Event
    from tensorboardX.record_writer import RecordWriter
    from tensorboardX.summary import hparams

    plain = {
        key: value if isinstance(value, int | float | str) else json.dumps(value)
        for key, value in config.items()
    }
    # Without the summary of an experiment: the plugin would take the first run's for all of them.
    _, start, _ = hparams(plain, {})
    path = pathlib.Path(workdir) / 'events.out.tfevents.0.hparams'
    partial = path.with_name(f'.partial-{path.name}')
    record = RecordWriter(str(partial))
    for event in (Event(file_version='brain.Event:2'), Event(summary=start)):
        record.write(event.SerializeToString())
    record.close()
    partial.replace(path)

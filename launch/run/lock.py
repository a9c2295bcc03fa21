"""One launch to a run directory at a time."""

import contextlib
import datetime
import fcntl
import json
import os
import pathlib
import platform
from collections.abc import Iterator
from typing import TextIO

from launch.cli.refusal import Refused


@contextlib.contextmanager
def locked(workdir: pathlib.Path) -> Iterator[None]:
    """Locks a run directory, which is made if need be, until the block or the process ends, however
    it ends.

    Raises:
      Refused: another process has locked it; the message says which.
    """
    workdir.mkdir(parents=True, exist_ok=True)
    with open(workdir / '.lock', 'a+', encoding='utf-8') as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Refused(f'workdir {workdir} is held by {_owner(file)}') from None
        since = datetime.datetime.now(datetime.UTC).isoformat(timespec='seconds')
        file.truncate(0)
        file.write(json.dumps({'host': platform.node(), 'process': os.getpid(), 'since': since}))
        file.flush()
        yield


def _owner(file: TextIO) -> str:
    file.seek(0)
    try:
        return 'process {process} on {host} since {since}'.format(**json.loads(file.read()))
    except (ValueError, KeyError):  # it has only just begun to write
        return 'another process'

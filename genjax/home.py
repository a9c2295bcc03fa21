"""Folders that lie in the user's home unless they are named: not every user of a container has one.

Nothing here is asked before it is needed, and what cannot do without a home says what to set.
"""

import os
import pathlib


def home() -> pathlib.Path | None:
    """The user's home folder; None where HOME, or else the password database, names no folder that
    exists."""
    if os.environ.get('HOME') == '':
        return None
    found = pathlib.Path(os.path.expanduser('~'))  # unlike pathlib's it raises nothing
    return found if found.is_absolute() and found.is_dir() else None


def missing() -> str:
    """Why there is no home folder."""
    if 'HOME' in os.environ:
        return f'HOME is {os.environ["HOME"]!r}, which is no folder'
    return 'HOME is not set, nor has this user one'


def expanded(path: str, instead: str = 'give a path without ~') -> pathlib.Path:
    """A path in which a leading ~ stands for the home folder, and ~NAME for that of a user whom the
    machine knows.

    Args:
      instead: what can be done but for setting HOME.

    Raises:
      FileNotFoundError: it lies in the home folder, and there is none.
    """
    in_home = path == '~' or path.startswith('~/')
    if in_home and home() is None:
        raise FileNotFoundError(
            f'{path} lies in a home folder, and {missing()}; set HOME, or {instead}'
        )
    return pathlib.Path(os.path.expanduser(path))


def data_folder(data_dir: str = '') -> pathlib.Path:
    """The folder of prepared data sets: the one given, or else TFDS's default.

    Raises:
      FileNotFoundError: it lies in the home folder, and there is none.
    """
    default = os.environ.get('TFDS_DATA_DIR') or '~/tensorflow_datasets'
    return expanded(data_dir or default, 'TFDS_DATA_DIR or data_dir to a folder')


def cache_folder() -> pathlib.Path | None:
    """The folder for what only saves time, in XDG_CACHE_HOME or else in ~/.cache; None without a
    home."""
    try:
        return expanded(os.environ.get('XDG_CACHE_HOME') or '~/.cache') / 'genjax'
    except FileNotFoundError:
        return None


def without_cache() -> str:
    """Why nothing is kept in the cache folder, and what to set."""
    folder = cache_folder()
    why = missing() if folder is None else f'{folder} cannot be written'
    return f'{why}; set HOME or XDG_CACHE_HOME to a folder that can be written'


def writable(folder: pathlib.Path) -> bool:
    """Whether folder can be written, or made; one without a write bit is respected as read-only, by
    root too."""
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    return there.is_dir() and os.access(there, os.W_OK) and bool(there.stat().st_mode & 0o222)

"""Folders that lie in the user's home unless they are named: not every user has a home.

Nothing here is asked before it is needed. Where a home is needed and there is none, the error says
what to set.
"""

import os
import pathlib


def home_folder() -> pathlib.Path | None:
    """The user's home; None where HOME, or else the password database, names no such folder."""
    if os.environ.get('HOME') == '':
        return None
    path = pathlib.Path(os.path.expanduser('~'))  # raises nothing, unlike pathlib.Path.home
    return path if path.is_absolute() and path.is_dir() else None


def why_no_home() -> str:
    """Why there is no home folder."""
    if 'HOME' in os.environ:
        return f'HOME is {os.environ["HOME"]!r}, which is no folder'
    return 'HOME is not set, nor has this user one'


def expanded(path: str, instead: str = 'give a path without ~') -> pathlib.Path:
    """A path in which a leading ~ stands for the home folder, and ~NAME for that of a user.

    A ~NAME whom the machine does not know stays as it is.

    Args:
      path: the path.
      instead: what the user can do in place of setting HOME, for the error.

    Raises:
      FileNotFoundError: it lies in the home folder, and there is none.
    """
    in_home = path == '~' or path.startswith('~/')
    if in_home and home_folder() is None:
        raise FileNotFoundError(
            f'{path} lies in a home folder, and {why_no_home()}; set HOME, or {instead}'
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
    """The folder for what only saves time, in XDG_CACHE_HOME or ~/.cache; None without a home."""
    try:
        return expanded(os.environ.get('XDG_CACHE_HOME') or '~/.cache') / 'genjax'
    except FileNotFoundError:
        return None


def why_no_cache() -> str:
    """Why nothing is kept in the cache folder, and what to set."""
    folder = cache_folder()
    reason = why_no_home() if folder is None else f'{folder} cannot be written'
    return f'{reason}; set HOME or XDG_CACHE_HOME to a folder that can be written'


def is_writable(folder: pathlib.Path) -> bool:
    """Whether a folder can be written, or made where there is none.

    One without a write bit counts as read-only, even for root.
    """
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    has_write_bit = bool(existing.stat().st_mode & 0o222)
    return existing.is_dir() and os.access(existing, os.W_OK) and has_write_bit

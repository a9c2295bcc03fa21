"""What lies in a folder, for tests that nothing in it is changed."""

import pathlib


def contents(
    folder: pathlib.Path, without: tuple[str, ...] = ()
) -> dict[pathlib.Path, bytes | None]:
    """The bytes of every file by its path within a folder, and None for every folder in it.

    Args:
      folder: that is read.
      without: names that are left out.
    """
    paths = [path for path in folder.rglob('*') if path.name not in without]
    return {
        path.relative_to(folder): path.read_bytes() if path.is_file() else None for path in paths
    }

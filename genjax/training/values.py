"""What a probe gives: numbers, pictures, films, texts, tables, embeddings and files, by name."""

from typing import Any

import numpy as np

from genjax.base import Embedding

# name -> number | picture [H, W, C] | film [T, H, W, C] | text | table (list of dicts) | Embedding
# | bytes of a file, whose name ends in the file's suffix
Values = dict[str, Any]


def is_number(value: Any) -> bool:
    """Whether a value is one number."""
    return not isinstance(value, str | bytes | list | Embedding) and np.ndim(value) == 0


def is_picture(value: Any) -> bool:
    """Whether a value is a picture or a film."""
    return isinstance(value, np.ndarray)


def table_text(rows: list[dict[str, Any]], separator: str) -> str:
    """A line of names, and one a row."""
    if not rows:
        return ''
    lines = [list(rows[0]), *(row.values() for row in rows)]
    return ''.join(separator.join(map(str, line)) + '\n' for line in lines)

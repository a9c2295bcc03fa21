"""How the launcher refuses: in one line that names the thing, its value and what is allowed."""

import contextlib
import difflib
import pathlib
from collections.abc import Iterable, Iterator


class Refused(Exception):
    """A launch that cannot be; its message is one line, even where it quotes several."""

    def __str__(self):
        return ' '.join(super().__str__().splitlines())


class Unusable(Refused):
    """A run directory that a launch cannot use."""

    def __init__(self, message: str, workdir: pathlib.Path):
        super().__init__(message)
        self.workdir = workdir


def nearest(word: str, allowed: Iterable[str]) -> str:
    """The end of a refusal: the allowed word nearest to this one, or else all of them."""
    words = list(allowed)
    close = difflib.get_close_matches(word, words, n=1)
    if close:
        return f'did you mean {close[0]}?'
    return f'there are: {", ".join(words) or "none"}'


@contextlib.contextmanager
def refusing(*kinds: type[Exception], about: str = '') -> Iterator[None]:
    """Turns errors into refusals.

    Args:
      kinds: of the errors; others pass.
      about: what the message begins with, before a colon.

    Raises:
      Refused: with the message of an error of these kinds.
    """
    try:
        yield
    except kinds as error:
        message = ' '.join(str(error).split()) or type(error).__name__
        raise Refused(f'{about}: {message}' if about else message) from error

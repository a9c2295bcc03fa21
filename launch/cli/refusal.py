"""How the launcher says no: one line that names the thing, its value and what is allowed."""

import contextlib
import difflib
import pathlib
from collections.abc import Iterable, Iterator


class Refused(Exception):
    """A launch that was asked for wrongly; its message is one line, even where it quotes more."""

    def __str__(self):
        return ' '.join(super().__str__().splitlines())


class Unusable(Refused):
    """A run directory that a launch cannot use."""

    def __init__(self, message: str, workdir: pathlib.Path):
        super().__init__(message)
        self.workdir = workdir


def nearest(word: str, allowed: Iterable[str]) -> str:
    """The end of a refusal: the allowed word nearest to this one, or else all of them."""
    allowed = list(allowed)
    close = difflib.get_close_matches(word, allowed, n=1)
    return f'did you mean {close[0]}?' if close else f'there are: {", ".join(allowed) or "none"}'


@contextlib.contextmanager
def refusing(*kinds: type[Exception], about: str = '') -> Iterator[None]:
    """Turns errors of these kinds into a refusal with their message, after what it is about."""
    try:
        yield
    except kinds as error:
        says = ' '.join(str(error).split()) or type(error).__name__
        raise Refused(f'{about}: {says}' if about else says) from error

"""How the launcher says no: one line that names the thing, its value and what is allowed."""

import contextlib
import difflib
from collections.abc import Iterable, Iterator


class Refused(Exception):
    """A launch that was asked for wrongly; its message is one line."""


def nearest(word: str, allowed: Iterable[str]) -> str:
    """The end of a refusal: the allowed word nearest to this one, or else all of them."""
    allowed = list(allowed)
    close = difflib.get_close_matches(word, allowed, n=1)
    return f'did you mean {close[0]}?' if close else f'there are: {", ".join(allowed) or "none"}'


@contextlib.contextmanager
def refusing(*kinds: type[Exception]) -> Iterator[None]:
    """Turns errors of these kinds into a refusal with their message."""
    try:
        yield
    except kinds as error:
        raise Refused(' '.join(str(error).split()) or type(error).__name__) from error

"""Errors of libraries as messages of one line."""


def one_line(error: Exception) -> str:
    """What an exception says, in one line; its type where it says nothing."""
    return ' '.join(str(error).split()) or type(error).__name__

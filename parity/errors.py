"""Exceptions meant for the person at the command line, and texts that do no harm there."""

MOST = 2000
"""The most characters of a text that is shown; an engine may give megabytes."""


class UsageError(Exception):
    """Bad usage or bad input: the command line prints the text and ends with exit status 2.

    The text names what was given, what would be right and what to do.
    """


class CannotBeJudgedError(UsageError):
    """An engine lacks what a verdict needs."""


class ProblemError(UsageError):
    """A problem cannot be trained as it is written; the message says where, and what to do."""


class EngineFailedError(Exception):
    """An engine failed before anything could be judged: exit status 1."""


class ReturnedWronglyError(ValueError):
    """An engine returned something else than it must. The text follows the engine's name."""


def harmless(text: str, most: int = MOST) -> str:
    """Return the beginning of a text, with escapes in place of what is not printable.

    An engine's messages may hold escape sequences of terminals, or surrogates without a partner,
    which cannot be written to a file. Line feeds remain.
    """
    shown = "".join(c if c == "\n" or c.isprintable() else ascii(c)[1:-1] for c in str(text)[:most])
    return shown if len(text) <= most else f"{shown}... ({len(text) - most:,} characters more)\n"


def summary(error: BaseException) -> str:
    """Return the type and the text of an exception, such as "KeyError: 'x'"; see `harmless`."""
    try:
        text = str(error)
    except BaseException:
        text = "(its text cannot be had)"
    return harmless(f"{type(error).__name__}: {text}").strip()

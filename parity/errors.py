"""Exceptions meant for the person at the command line."""


class UsageError(Exception):
    """Bad usage or bad input: the command line prints the text and ends with exit status 2.

    The text names what was given, what would be right and what to do.
    """


class CannotBeJudgedError(UsageError):
    """An engine lacks what a verdict needs."""

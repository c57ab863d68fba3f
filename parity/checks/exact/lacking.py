"""What the exact witness does not have: then it says nothing."""

from typing import Any, NoReturn


class Lacking(NotImplementedError):
    """The witness lacks something that torch has."""

    def __init__(self, what: str) -> None:
        super().__init__(f"the exact witness has no {what}")


def lacking(prefix: str) -> Any:
    """Return a `__getattr__` for a module, which says what is lacking."""

    def missing(name: str) -> NoReturn:
        if name.startswith("__"):  # Python asks for these by itself
            raise AttributeError(name)
        raise Lacking(prefix + name)

    return missing

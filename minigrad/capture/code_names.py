"""What code names: variables, attributes and imports; which code runs, and which is a library's."""

import dis
import functools
import os
import sys
import types
from collections.abc import Callable, Mapping, Set
from pathlib import Path
from typing import TypeVar

from minigrad.temporary import undone

T = TypeVar("T")

LIBRARIES = f"{Path(__file__).parents[1]}{os.sep}", f"{Path(os.__file__).parent}{os.sep}"
PACKAGES = {"site-packages", "dist-packages"}
"""In these folders is what libraries bring along."""


@functools.cache
def is_library(file: str | None, module: str = "") -> bool:
    """Return whether a file, or a module without one, belongs to a library."""
    if file is None:
        return module in sys.builtin_module_names
    return file.startswith(LIBRARIES) or not PACKAGES.isdisjoint(Path(file).parts)


def traced(body: Callable[[], T]) -> tuple[T, Set[types.CodeType] | None]:
    """Return `body()` and the code that ran; None if a profiler is at work."""
    if sys.getprofile() is not None:
        return body(), None
    ran: set[types.CodeType] = set()

    def run() -> T:
        sys.setprofile(lambda frame, event, _: ran.add(frame.f_code))
        return body()

    return undone(run, lambda: sys.setprofile(None)), ran


@functools.cache
def names_in(code: types.CodeType) -> Mapping[str, Set[str]]:
    """Return the names in code, and in the functions in it: of variables, attributes, imports.

    Texts may be names of attributes as well, for `getattr`.
    """
    found: dict[str, set[str]] = {"LOAD_GLOBAL": set(), "LOAD_ATTR": set(), "IMPORT_NAME": set()}
    for instruction in dis.get_instructions(code):
        kind = KINDS.get(instruction.opname, instruction.opname)
        if kind in found:
            found[kind].add(instruction.argval)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            for kind, names in names_in(constant).items():
                found[kind] |= names
        elif isinstance(constant, str) and constant.isidentifier():
            found["LOAD_ATTR"].add(constant)
    return found


KINDS = dict.fromkeys(("LOAD_METHOD", "LOAD_SUPER_ATTR", "IMPORT_FROM"), "LOAD_ATTR")
KINDS["LOAD_NAME"] = "LOAD_GLOBAL"

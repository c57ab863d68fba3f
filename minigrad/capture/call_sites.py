"""Where a call comes from: the rule that makes it and the user's line; errors that name it."""

import linecache
import sys
from functools import cache
from pathlib import Path
from types import CodeType
from typing import Any, NoReturn

from minigrad.capture.program import Source

ROOT = f"{Path(__file__).parents[2]}/"
PACKAGE = f"{ROOT}minigrad/"
RECORDING = (f"{ROOT}minigrad/capture/recording_array.py", f"{ROOT}minigrad/arrays/wrapped.py")
"""The files between a call of NumPy and the note of it."""

OF_TENSOR = ("minigrad/tensor/",)
"""The folders with the methods of `Tensor`."""


class CaptureError(RuntimeError):
    """A step cannot be captured because it does not make the same NumPy calls every time."""


@cache
def _is_inside(code: CodeType) -> bool:
    return code.co_filename.startswith(PACKAGE)


def source(known: dict[Any, Source]) -> Source:
    """Return where the call that is being recorded comes from; add it to the known sources."""
    rule: Any = sys._getframe(2)
    while rule is not None and rule.f_code.co_filename in RECORDING:
        rule = rule.f_back
    user = rule
    while user is not None and _is_inside(user.f_code):
        user = user.f_back
    key = tuple((f.f_code, f.f_lineno) if f is not None else None for f in (rule, user))
    found = known.get(key)
    if found is None:
        name, rule_line = "", ""
        if rule is not user:
            name = rule.f_code.co_name
            rule_line = f"{rule.f_code.co_filename.removeprefix(ROOT)}:{rule.f_lineno}"
        line = "" if user is None else f"{user.f_code.co_filename}:{user.f_lineno}"
        found = known[key] = Source(name, rule_line, line)
    return found


def _name(code: CodeType) -> str:
    """Return the name under which a user called a function."""
    of_tensor = code.co_filename.removeprefix(ROOT).startswith(OF_TENSOR)
    return f"Tensor.{code.co_name}()" if of_tensor else f"{code.co_qualname}()"


def refuse(why: str) -> NoReturn:
    """Raise a `CaptureError` with the user's line, and the called function in place of `{call}`."""
    frame: Any = sys._getframe(1)
    call = ""
    while frame is not None and _is_inside(frame.f_code):
        call = _name(frame.f_code)
        frame = frame.f_back
    where = ""
    if frame is not None:
        path, line = frame.f_code.co_filename, frame.f_lineno
        where = f"{path}:{line}: `{linecache.getline(path, line).strip()}`: "
    raise CaptureError(f"capture: {where}{why.format(call=call or 'this')}.") from None

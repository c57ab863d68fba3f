"""Where a call comes from: the rule that makes it, and the line of the user's that led there."""

from __future__ import annotations

import linecache
import sys
from pathlib import Path
from types import CodeType
from typing import Any, NoReturn

from minigrad.program.program import Source

PACKAGE = f"{Path(__file__).parents[1]}/"
RECORDING = f"{PACKAGE}arrays/recording.py"


class CaptureError(RuntimeError):
    """A step cannot be captured: what it does is not the same NumPy calls at every call."""


_inside: dict[CodeType, bool] = {}  # whether code is minigrad's


def _is_inside(code: CodeType) -> bool:
    inside = _inside.get(code)
    if inside is None:
        inside = _inside[code] = code.co_filename.startswith(PACKAGE)
    return inside


def source() -> Source:
    """Return where the call that is being noted comes from."""
    frame: Any = sys._getframe(2)
    while frame is not None and frame.f_code.co_filename == RECORDING:
        frame = frame.f_back
    rule, rule_line = "", ""
    if frame is not None and _is_inside(frame.f_code):
        rule = frame.f_code.co_name
        path = frame.f_code.co_filename.removeprefix(PACKAGE)
        rule_line = f"minigrad/{path}:{frame.f_lineno}"
    while frame is not None and _is_inside(frame.f_code):
        frame = frame.f_back
    line = "" if frame is None else f"{frame.f_code.co_filename}:{frame.f_lineno}"
    return Source(rule, rule_line, line)


def _name(code: CodeType) -> str:
    """Return what a person who called a function calls it."""
    path = code.co_filename.removeprefix(PACKAGE)
    of_tensor = path.startswith(("methods/", "protocols", "recorded"))
    return f"Tensor.{code.co_name}()" if of_tensor else f"{code.co_qualname}()"


def refuse(why: str) -> NoReturn:
    """Raise a `CaptureError` that names the user's line, and for `{call}` what was called there."""
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

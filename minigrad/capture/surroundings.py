"""What the text of a step refers to: variables of the functions around it, and globals."""

from __future__ import annotations

import dis
import functools
import types
from collections.abc import Iterator
from typing import Any

from minigrad.capture.function import Names
from minigrad.nn import Module
from minigrad.optim import SGD
from minigrad.tensor import Tensor


class Surroundings:
    """The variables that a step refers to by name, and what they are at the moment.

    A step that finds another model under the same name is another step. What an object has in it,
    a list's items or an object's attributes, is not looked at, nor is what the step itself sets.
    """

    def __init__(self, step: Any) -> None:
        self._cells: list[tuple[str, Any, Any]] = []
        self._globals: list[tuple[str, dict[str, Any], Any]] = []
        self._own: dict[str, Any] = {}
        while isinstance(step, functools.partial):
            self._own |= {f"argument_{i}": value for i, value in enumerate(step.args)}
            self._own |= step.keywords
            step = step.func
        if isinstance(step, types.MethodType):
            self._own["self"] = step.__self__
            step = step.__func__
        if not isinstance(step, types.FunctionType):
            return
        set_here = _names(step.__code__, "STORE_DEREF", "STORE_GLOBAL")  # a counter, for example
        for name, cell in zip(step.__code__.co_freevars, step.__closure__ or (), strict=True):
            if name not in set_here and (value := _contents(cell)) is not MISSING:
                self._cells.append((name, cell, value))
        for name in _names(step.__code__, "LOAD_GLOBAL"):
            if name not in set_here and name in step.__globals__:
                self._globals.append((name, step.__globals__, step.__globals__[name]))

    def changes(self, names: Names) -> Iterator[str]:
        """Yield expressions that are true when something has changed."""
        for name, cell, value in self._cells:
            yield f"{names.of(cell, f'cell_{name}')}.cell_contents is not {names.of(value, name)}"
        for name, namespace, value in self._globals:
            get = names.of(namespace, "variables")
            yield f"{get}.get({name!r}) is not {names.of(value, name)}"

    def named(self) -> Iterator[tuple[str, Any]]:
        """Yield tensors with names for them: of variables, of models' parameters, of attributes."""
        found = {name: value for name, _, value in (*self._cells, *self._globals)} | self._own
        for name, value in found.items():
            yield from _tensors(name, value)
            if not isinstance(value, (Tensor, Module, SGD, types.ModuleType, type)):
                for attribute, part in getattr(value, "__dict__", {}).items():
                    yield from _tensors(f"{name}.{attribute}", part)


MISSING: Any = object()


def _contents(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not assigned yet
        return MISSING


def _names(code: types.CodeType, *instructions: str) -> dict[str, None]:
    """Return the names in certain instructions of code and of functions in it, in order."""
    names = {i.argval: None for i in dis.get_instructions(code) if i.opname in instructions}
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            names |= _names(constant, *instructions)
    return names


def _tensors(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Tensor):
        yield name, value
    elif isinstance(value, Module):
        for parameter_name, parameter in value.named_parameters():
            yield f"{name}.{parameter_name}", parameter
    elif isinstance(value, (tuple, list)):
        for i, part in enumerate(value):
            if isinstance(part, Tensor):
                yield f"{name}[{i}]", part

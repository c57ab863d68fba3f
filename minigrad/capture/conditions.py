"""What a recording depends on besides tensors: variables of the step, options of optimizers."""

import dis
import functools
import os
import types
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from minigrad.capture.call_sites import CaptureError
from minigrad.capture.codegen import Writer
from minigrad.nn import Module
from minigrad.optim import SGD
from minigrad.tensor import Tensor

# ---- variables --------------------------------------------------------------------------------


class Surroundings:
    """The variables that a step refers to by name, with their values when it was recorded.

    So do functions and models among them, and theirs, but for those that libraries bring along. If
    a name refers to another object later, the step is recorded again. What is within objects, such
    as items, attributes or methods, is not compared, nor are variables that the step sets.
    """

    def __init__(self, step: Any) -> None:
        self._cells: list[tuple[str, Any, Any]] = []
        self._globals: list[tuple[str, Any, Any]] = []
        self._own: dict[str, Any] = {}
        while isinstance(step, functools.partial):
            self._own |= {f"argument_{i}": value for i, value in enumerate(step.args)}
            self._own |= step.keywords
            step = step.func
        if isinstance(step, types.MethodType):
            self._own["self"] = step.__self__
        functions = dict.fromkeys(_functions(step))
        for function in (waiting := [*functions]):
            for _, _, value in (*_cells(function), *_globals(function)):
                called = [each for each in _functions(value) if each not in functions]
                functions |= dict.fromkeys(called)
                waiting += called
        set_here: set[tuple[int, str]] = set()  # a counter, for example
        for function in functions:
            stored = _set_outside(function.__code__)
            cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
            set_here |= {(id(cell), name) for name, cell in cells if name in stored}
            named = _names(function.__code__, "STORE_GLOBAL")
            set_here |= {(id(function.__globals__), name) for name in named}
        for function in functions:
            for known, found in ((self._cells, _cells), (self._globals, _globals)):
                known += [
                    each for each in found(function) if (id(each[1]), each[0]) not in set_here
                ]

    def changes(self, writer: Writer) -> Iterator[str]:
        """Yield expressions that are true when something has changed."""
        for _, cell, value in self._cells:
            yield writer.is_not(f"{writer.constant(cell)}.cell_contents", value)
        for name, namespace, value in self._globals:
            yield writer.is_not(f"{writer.constant(namespace)}.get({name!r})", value)

    def named(self) -> Iterator[tuple[str, Any]]:
        """Yield names and tensors: of variables, of models' parameters, of attributes."""
        variables = [(name, value) for name, _, value in (*self._cells, *self._globals)]
        for name, value in (*variables, *self._own.items()):
            yield from _tensors(name, value)
            if not isinstance(value, (Tensor, Module, SGD, types.ModuleType, type)):
                for attribute, part in getattr(value, "__dict__", {}).items():
                    yield from _tensors(f"{name}.{attribute}", part)


LIBRARIES = f"{Path(__file__).parents[1]}{os.sep}", f"{Path(os.__file__).parent}{os.sep}"
PACKAGES = {"site-packages", "dist-packages"}
"""In these folders is what libraries bring along."""


def _cells(function: types.FunctionType) -> Iterator[tuple[str, Any, Any]]:
    """Yield the variables of enclosing functions that one refers to: name, cell, value."""
    cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    for name, cell in cells:
        with suppress(ValueError):  # it is not assigned yet
            yield name, cell, cell.cell_contents


def _globals(function: types.FunctionType) -> Iterator[tuple[str, Any, Any]]:
    """Yield the global variables that a function refers to: name, namespace, value.

    Those of a library's function, such as the wrapper that a decorator makes, stay what they are.
    """
    file, namespace = function.__code__.co_filename, function.__globals__
    if file.startswith(LIBRARIES) or not PACKAGES.isdisjoint(Path(file).parts):
        return
    for name in _names(function.__code__, "LOAD_GLOBAL"):
        if name in namespace:
            yield name, namespace, namespace[name]


def _functions(value: Any) -> Iterator[types.FunctionType]:
    """Yield the functions in Python that are run where a value is called."""
    while isinstance(value, (functools.partial, types.MethodType)):
        value = value.func if isinstance(value, functools.partial) else value.__func__
    models = value.modules() if isinstance(value, Module) else ()
    for function in (value, *(type(model).forward for model in models)):
        if isinstance(function, types.FunctionType):
            yield function


def _set_outside(code: types.CodeType) -> set[str]:
    """Return the variables of enclosing functions that code sets, or a function in it."""
    stored = {i.argval for i in dis.get_instructions(code) if i.opname == "STORE_DEREF"}
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            stored |= _set_outside(constant)
    return stored & {*code.co_freevars}


def _names(code: types.CodeType, instruction: str) -> dict[str, None]:
    """Return the names in instructions of code and of functions in it, in order."""
    names = {i.argval: None for i in dis.get_instructions(code) if i.opname == instruction}
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            names |= _names(constant, instruction)
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


# ---- optimizers -------------------------------------------------------------------------------

VALUES = ("lr", "momentum", "weight_decay")
"""Options that are numbers: which calls a step makes depends on whether they are zero."""

EMPTY: dict[str, Any] = {}


class OptimizerBefore:
    """An optimizer as it was when it took its first step in a recording.

    Attributes:
        optimizer: the optimizer itself.
        options: of each group.
        buffers: for each parameter its momentum buffer, None for none.
    """

    def __init__(self, optimizer: SGD) -> None:
        self.optimizer = optimizer
        self.options = list(map(dict, optimizer.param_groups))
        self.buffers: dict[Tensor, Tensor | None] = {
            parameter: optimizer.state.get(parameter, {}).get("momentum_buffer")
            for group in optimizer.param_groups
            if group["momentum"] != 0
            for parameter in group["params"]
        }
        self._structure = _structure(optimizer)

    def check(self) -> None:
        """Check that the step has not changed the options, which a replay would not do.

        Raises:
            CaptureError: it has.
        """
        for before, group in zip(self.options, self.optimizer.param_groups, strict=False):
            for name, value in before.items():
                if group[name] is not value:
                    raise CaptureError(
                        f"capture: the step changes the {name!r} of its optimizer, from {value} to "
                        f"{group[name]}, and a replay would not: do it outside of the step"
                    )

    def changes(self, writer: Writer) -> Iterator[str]:
        """Yield expressions that are true when something has changed."""
        of, optimizer = writer.constant, self.optimizer
        name, groups, state = of(optimizer), optimizer.param_groups, optimizer.state
        yield writer.is_not(f"{name}.param_groups", groups)
        yield f"{of(groups)} != {of(self.options)}"
        yield writer.is_not(f"{name}.state", state)
        for parameter, buffer in self.buffers.items():
            found = f"{of(state)}.get({of(parameter)}, {of(EMPTY)})"
            yield writer.is_not(f"{found}.get('momentum_buffer')", buffer)

    def left_behind(self, writer: Writer) -> Iterator[str]:
        """Yield statements that store the momentum buffers that the step made."""
        of, state = writer.constant, self.optimizer.state
        for parameter, buffer in self.buffers.items():
            if buffer is None and (entry := state.get(parameter)):
                stored = f"{of(state)}.setdefault({of(parameter)}, {{}})"
                yield f"{stored}['momentum_buffer'] = {of(entry['momentum_buffer'])}"

    def follow(self) -> None:
        """Take over changed numbers among the options, if they need no other calls."""
        if _structure(self.optimizer) == self._structure:
            _update_arrays(self.optimizer)
            self.options[:] = map(dict, self.optimizer.param_groups)


def _structure(optimizer: SGD) -> Any:
    """Return what decides which calls a step makes: the options without the values of numbers."""
    return [
        (
            tuple(map(id, group["params"])),
            *(id(v) if isinstance(v := group[k], Tensor) else k == "lr" or v != 0 for k in VALUES),
            group["nesterov"],
            group["maximize"],
        )
        for group in optimizer.param_groups
    ]


def _update_arrays(optimizer: SGD) -> None:
    """Bring the arrays that stand for options up to date with the groups."""
    groups = {id(group): group for group in optimizer.param_groups}
    for key, name, dtype in optimizer._numbers:
        if key in groups and not isinstance(groups[key][name], Tensor):
            optimizer._as_array(groups[key], name, dtype)

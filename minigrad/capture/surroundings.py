"""What a step reads besides tensors: all that its code reaches by names.

The code of a step names variables and attributes. What they refer to is *reached*. So are the items
of containers that are reached, and the layers of models. The code of functions, methods and models
that are reached is looked at in the same way. Each *place* where something was found is a condition
of the recording: the same object must still be there.
"""

from __future__ import annotations

import functools
import operator
import os
import pickle
import random
import sys
import types
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Set
from contextlib import suppress
from typing import Any

import numpy as np

from minigrad import dtypes
from minigrad.capture.call_sites import CaptureError
from minigrad.capture.code_names import is_library, names_in
from minigrad.capture.codegen import Writer
from minigrad.capture.places import Place, Where, contents, function_of
from minigrad.nn import Module
from minigrad.tensor import Tensor

ATOMS = type(None), int, float, complex, str, bytes
CONTAINERS = list, tuple, dict, set, frozenset, deque
GENERATORS = random.Random, np.random.Generator, np.random.RandomState
LIVING = (*GENERATORS, type(os.environ), types.ModuleType, types.MethodType, type(len))
"""What is reached in libraries: what changes there, and what leads to it."""

INSIDE: Mapping[type, tuple[str, ...]] = {
    types.MethodType: ("__func__", "__self__"),
    types.BuiltinMethodType: ("__self__",),
    functools.partial: ("func", "args", "keywords"),
    functools.partialmethod: ("func", "args", "keywords"),
    functools.cached_property: ("func",),
    staticmethod: ("__func__",),
    classmethod: ("__func__",),
    property: ("fget",),
}
"""What runs where one of these is called or read, and what it is given."""

TABLES = {"_parameters", "_buffers", "_modules", "_forward_hooks"}
"""The attributes of a model with what it consists of."""

OF_PYTHON = 1 << 9
"""The flag of classes that are not built in."""


CALLED = {"forward", "backward", "setup_context"}
"""Methods that minigrad calls; Python calls those with names like `__call__`."""


class Surroundings:
    """The places that a step's code reaches, with what is there.

    Args:
        step: the step.
        before: the surroundings before the step; None for these themselves.
        ran: the code that has run, if it is known: no other is looked at.
    """

    def __init__(
        self,
        step: Any,
        before: Surroundings | None = None,
        ran: Set[types.CodeType] | None = None,
    ) -> None:
        self._before = {} if before is None else before._places
        self._ran = ran
        self._places: dict[Where, Place] = {}
        self._reached: dict[int, tuple[str, Any]] = {}
        self._names = {*CALLED}
        self._generators: dict[str, tuple[Any, bytes]] = {}
        self._note("default dtype", operator.getitem, dtypes._default, 0)
        self._reach("", step)
        looked, names = 0, -1
        while looked < len(self._reached) or names < len(self._names):
            if names < len(self._names):  # what was looked at may have something of a new name
                looked, names = 0, len(self._names)
            for label, thing in list(self._reached.values())[looked:]:
                self._look(label, thing)
                looked += 1
        self._before = {}
        if before is None:
            self._reached.clear()

    def settle(self, before: Surroundings, live: Mapping[int, Any]) -> bool:
        """Leave out what the step has changed itself; return whether there is any.

        Args:
            before: the surroundings before the step.
            live: the arrays whose values a replay reads anew, by id.

        Raises:
            CaptureError: the step has drawn random numbers.
        """
        for label, (_, state) in self._generators.items():
            if state != before._generators.get(label, (None, state))[1]:
                raise CaptureError(
                    f"capture: the step draws random numbers by {label}, which a replay would not "
                    "do anew: draw them outside of the step and pass them as a tensor"
                )
        found = self._places
        same = {key for key in found if found[key] is before._places.get(key)}
        changes = len(same) < len(found)
        self._places = {
            key: found[key]
            for key in found
            if key in same
            and not (
                isinstance(found[key].owner, np.ndarray) and id(_root(found[key].owner)) in live
            )
        }
        return changes

    def changes(self, writer: Writer) -> Iterator[str]:
        """Yield expressions that are true, or raise an error, when something has changed.

        The places are let go of: a deep network has many.
        """
        while self._places:
            yield self._places.popitem()[1].change(writer)

    def named(self) -> Iterator[tuple[str, Tensor]]:
        """Yield names and tensors."""
        for label, thing in self._reached.values():
            if isinstance(thing, Tensor):
                yield label, thing

    def forget(self) -> None:
        """Let go of what is no condition."""
        self._reached.clear()
        self._generators.clear()

    # ---- what is reached --------------------------------------------------------------------

    def _reach(self, label: str, thing: Any) -> None:
        if not isinstance(thing, ATOMS):
            self._reached.setdefault(id(thing), (label, thing))

    def _note(self, label: str, read: Callable[[Any, Any], Any], owner: Any, key: Any) -> None:
        """Note a place, and reach what is there."""
        where = id(owner), read, key
        if where not in self._places:
            with suppress(Exception):  # a variable that is not assigned yet
                place = Place(where, owner, read(owner, key))
                known = self._before.get(where)
                if known is not None and known.holds(place.value):
                    place = known  # one object for both takes less memory
                self._places[place.where] = place
                if read is not contents and (key != "_forward_hooks" or place.value):
                    self._reach(label, place.value)

    def _look(self, label: str, thing: Any) -> None:
        """Note the places in something that is reached."""
        kind = type(thing)
        if kind is types.FunctionType:
            self._look_at_code(label, thing)
        elif kind is types.ModuleType:
            library = is_library(getattr(thing, "__file__", None), thing.__name__)
            self._look_at_variables(label, vars(thing), self._names, library)
        elif kind in INSIDE:
            for name in INSIDE[kind]:
                self._reach(_joined(label, name.strip("_")), getattr(thing, name))
        elif isinstance(thing, Tensor):
            if thing._node is not None and thing._node.rule is None:
                self._note(f"{label}.hooks", getattr, thing._node, "hooks")
        elif isinstance(thing, GENERATORS):
            if label not in self._generators and not isinstance(thing, random.SystemRandom):
                self._generators[label] = thing, pickle.dumps(thing)
        elif isinstance(thing, np.ndarray):
            self._note(label, contents, thing, None)
        elif isinstance(thing, type):
            self._look_at_class(label, thing, None, {})
        else:
            if isinstance(thing, CONTAINERS):
                self._look_at_items(label, thing)
            self._look_at_object(label, thing)

    def _look_at_code(self, label: str, function: types.FunctionType) -> None:
        code, variables = function.__code__, function.__globals__
        names = names_in(code)
        library = is_library(code.co_filename)
        for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
            self._note(name, getattr, cell, "cell_contents")
        if self._ran is not None and code not in self._ran:
            return
        self._look_at_variables("", variables, names["LOAD_GLOBAL"], library)
        if library:
            return
        self._names |= names["LOAD_ATTR"]
        for name in ("__defaults__", "__kwdefaults__"):
            if getattr(function, name):
                self._note(_joined(label, name), getattr, function, name)
        for name in names["IMPORT_NAME"]:
            for full in (name, f"{variables.get('__package__')}.{name}"):
                self._reach(name, sys.modules.get(full))

    def _look_at_variables(
        self, label: str, variables: dict[str, Any], names: Set[str], library: bool
    ) -> None:
        for name in sorted(names & variables.keys()):
            if not library:
                self._note(_joined(label, name), operator.getitem, variables, name)
            elif isinstance(variables[name], LIVING) or variables[name] is os.getenv:
                self._reach(_joined(label, name), variables[name])

    def _look_at_items(self, label: str, thing: Any) -> None:
        for key, part in list(thing.items() if isinstance(thing, dict) else enumerate(thing)):
            self._reach(f"{label}[{key!r}]" if isinstance(key, (int, str)) else label, part)
        if not isinstance(thing, (tuple, frozenset)):
            self._note(label, contents, thing, None)

    def _look_at_object(self, label: str, thing: Any) -> None:
        own: dict[str, Any] = {}
        with suppress(Exception):
            own = thing.__dict__
        if "__wrapped__" in own:  # a captured step, for example
            self._reach(label, own["__wrapped__"])
            return
        if thing is os.environ:
            self._reach(label, own["_data"])
        if isinstance(thing, Module):
            self._look_at_module(label, thing, own)
        for name in sorted((self._names & own.keys()) - TABLES):
            self._note(_joined(label, name), operator.getitem, own, name)
        self._look_at_class(label, type(thing), thing, own)

    def _look_at_module(self, label: str, module: Module, own: dict[str, Any]) -> None:
        """Note layers, parameters, buffers and hooks, and what `forward` reads."""
        self._names |= names_in(type(module).forward.__code__)["LOAD_ATTR"]
        for table in ("_parameters", "_buffers"):
            for name in own[table]:
                self._note(_joined(label, name), operator.getitem, own[table], name)
        for name, layer in own["_modules"].items():
            self._reach(_joined(label, name), layer)
        if own["_modules"] or not is_library(type(module).forward.__code__.co_filename):
            self._reach(f"{label}._modules", own["_modules"])
        # Where there is none, the first that is registered brings another dict.
        self._note(f"{label}._forward_hooks", operator.getitem, own, "_forward_hooks")

    def _look_at_class(self, label: str, kind: type, thing: Any, own: dict[str, Any]) -> None:
        """Note the places in a class, for an object with attributes of its own, or for None."""
        for base in kind.__mro__:
            file = getattr(sys.modules.get(base.__module__), "__file__", None)
            if not base.__flags__ & OF_PYTHON or is_library(file):
                continue
            for name, value in list(vars(base).items()):
                place = _joined(label, name)
                if isinstance(value, types.FunctionType) and name.startswith("__"):
                    self._reach(place, value)
                if name not in self._names:
                    continue
                if isinstance(value, types.MemberDescriptorType):
                    if thing is not None:
                        self._note(place, getattr, thing, name)
                    continue
                self._note(
                    place, function_of if type(value) is classmethod else getattr, kind, name
                )
                self._reach(place, value)
                if thing is not None and name not in own and type(value) is not property:
                    self._note(place, operator.contains, own, name)


def _joined(label: str, name: str) -> str:
    return f"{label}.{name}" if label else name


def _root(array: Any) -> Any:
    """Return the array that owns an array's memory, as far as NumPy knows."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array

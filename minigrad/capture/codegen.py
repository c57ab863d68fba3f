"""A program as a Python function that makes its calls."""

import itertools
import operator
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from minigrad.capture.memory import Memory
from minigrad.capture.program import UPDATES, Call, Program, View, views_in

BY_KEYWORD = frozenset({np.maximum, np.minimum})
"""Functions for which NumPy deprecates passing `out` by position."""


class Namespace:
    """Names for the objects that generated code refers to, and the namespace it runs in."""

    def __init__(self) -> None:
        self.namespace: dict[str, Any] = {}
        self._names: dict[Any, str] = {}

    def of(self, thing: Any, hint: str, key: Any = None) -> str:
        """Return the name of an object: the hint with a number.

        Objects with equal keys share a name; by default the key is the object's identity.
        """
        key = id(thing) if key is None else key
        if key not in self._names:
            name = re.sub(r"\W", "_", f"{hint}_{len(self.namespace)}")
            self._names[key], self.namespace[name] = name, thing
        return self._names[key]

    def forget(self) -> None:
        """Forget which object has which name; the namespace stays."""
        self._names.clear()


class Writer:
    """Writes calls as Python statements.

    Arrays are constants of the compiled code: this is faster than looking them up by name, and
    takes less memory. The text has a placeholder for each, b'0', b'1', …, which `define` replaces.
    """

    def __init__(self, memory: Memory, names: Namespace) -> None:
        self._memory = memory
        self._names = names
        self._numbers: dict[int, int] = {}
        self._constants: list[Any] = []

    def constant(self, thing: Any) -> str:
        """Return the placeholder of an object in the text."""
        number = self._numbers.setdefault(id(thing), len(self._constants))
        if number == len(self._constants):
            self._constants.append(thing)
        return repr(b"%d" % number)

    def argument(self, value: Any) -> str:
        """Return the text of an argument."""
        if isinstance(value, View):
            return self.constant(self._memory.array(value))
        if isinstance(value, tuple):
            return f"({''.join(f'{self.argument(part)}, ' for part in value)})"
        if isinstance(value, list):
            return f"[{', '.join(map(self.argument, value))}]"
        if value is None or value is Ellipsis or type(value) in (bool, int):
            return repr(value)
        return self.constant(value)

    def statement(self, call: Call) -> str:
        """Return the statement that makes a call."""
        out = self.argument(call.out)
        arguments = list(map(self.argument, call.inputs))
        # The method does not look for array types that multiply in another way first.
        function = np.ndarray.dot if call.function is np.dot else call.function
        name = self._names.of(function, call.name(), function)
        if function in UPDATES:
            return f"{name}({out}, {', '.join(arguments)})"
        if function is np.copyto:
            return f"{out}[...] = {arguments[0]}"
        if function is operator.getitem and any(x.dtype == bool for x in views_in(call.inputs[1:])):
            # Unlike an assignment it does not repeat a single element.
            concatenate = self._names.of(np.concatenate, "concatenate", np.concatenate)
            return f"{concatenate}(({name}({', '.join(arguments)}),), 0, {out})"
        if function is operator.getitem or function is np.where:
            return f"{out}[...] = {name}({', '.join(arguments)})"
        if function is np.ndarray.dot:
            return f"{name}({', '.join(arguments)}, {out})"
        if isinstance(function, np.ufunc) and function not in BY_KEYWORD:
            return f"{name}({', '.join(arguments)}, {out})"
        if isinstance(getattr(function, "__self__", None), np.ufunc):  # add.reduce
            options = call.options
            axis, dtype, keepdims = (options.get(k, d) for k, d in REDUCE_DEFAULTS.items())
            rest = [self.argument(axis), self.argument(dtype), out]
            if keepdims:
                rest.append("True")
            return f"{name}({arguments[0]}, {', '.join(rest)})"
        rest = [f"{key}={self.argument(value)}" for key, value in call.options.items()]
        return f"{name}({', '.join([*arguments, *rest, f'out={out}'])})"

    def define(self, name: str, parameters: list[str], body: list[str]) -> Callable[..., Any]:
        """Compile these statements to a function that can use the names."""
        text = f"def {name}({', '.join(parameters)}):\n" + "".join(f"    {s}\n" for s in body)
        defined: dict[str, Any] = {}
        exec(compile(text, f"<captured {name}>", "exec"), self._names.namespace, defined)
        function = defined[name]
        code = function.__code__
        function.__code__ = code.replace(co_consts=self._replaced(code.co_consts))
        return function  # type: ignore[no-any-return]

    def _replaced(self, constant: Any) -> Any:
        """Return a constant of code with objects in place of the placeholders in it."""
        if type(constant) is bytes:
            return self._constants[int(constant)]
        return tuple(map(self._replaced, constant)) if type(constant) is tuple else constant

    def in_parts(self, statements: Iterable[str], call: str = "{}()") -> Iterator[str]:
        """Yield the statements; if there are many, calls of functions that make them in parts.

        Compiling takes a hundred times the memory of the compiled code.
        """
        lines = list(itertools.islice(iterator := iter(statements), LONGEST + 1))
        while len(lines) > LONGEST:
            part = self.define("part", [], lines[:LONGEST])
            yield call.format(self._names.of(part, "part"))
            lines = lines[LONGEST:] + list(itertools.islice(iterator, LONGEST))
        yield from lines


LONGEST = 200
"""The most statements in a function."""

REDUCE_DEFAULTS = {"axis": 0, "dtype": None, "keepdims": False}


def runner(program: Program, memory: Memory | None = None) -> Callable[[], None]:
    """Return a function that makes the calls of a program, in the given memory or in new memory."""
    writer = Writer(memory or Memory(), Namespace())
    return writer.define("run", [], list(map(writer.statement, program.calls)) or ["pass"])

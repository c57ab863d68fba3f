"""From a program to a Python function that makes its calls."""

from __future__ import annotations

import keyword
import operator
import re
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad.program.memory import Memory
from minigrad.program.program import Call, Program, View, views_in

BY_KEYWORD = frozenset({np.maximum, np.minimum})
"""NumPy deprecates a third argument by position for these."""


class Names:
    """Names for the objects that generated code refers to, and the namespace it runs in."""

    def __init__(self) -> None:
        self.namespace: dict[str, Any] = {}
        self._names: dict[Any, str] = {}
        self._counts: dict[str, int] = defaultdict(lambda: 1)

    def of(self, thing: Any, hint: str, key: Any = None) -> str:
        """Return the name of a thing, at its first mention one that begins with the hint.

        Args:
            thing: what the name stands for.
            hint: what the name should be like.
            key: what makes things the same; by default their identity.
        """
        key = id(thing) if key is None else key
        name = self._names.get(key)
        if name is None:
            name = base = re.sub(r"\W", "_", hint)
            if not base.isidentifier() or keyword.iskeyword(base):
                name = base = f"_{base}"
            while name in self.namespace:
                self._counts[base] += 1
                name = f"{base}_{self._counts[base]}"
            self.namespace[name] = thing
            self._names[key] = name
        return name

    def forget(self) -> None:
        """Let go of all but the namespace."""
        self._names.clear()


class Writer:
    """Writes calls as Python statements."""

    def __init__(self, memory: Memory, names: Names) -> None:
        self._memory = memory
        self._names = names

    def argument(self, value: Any) -> str:
        """Return the text of an argument."""
        if isinstance(value, View):
            buffer = value.buffer
            hint = buffer.parts.get(value.offset) or buffer.name or "array"
            return self._names.of(self._memory.array(value), hint, value)
        if isinstance(value, tuple):
            return f"({''.join(f'{self.argument(part)}, ' for part in value)})"
        if isinstance(value, list):
            return f"[{', '.join(map(self.argument, value))}]"
        if value is None or value is Ellipsis or type(value) in (bool, int):
            return repr(value)
        return self._names.of(value, "constant")

    def statement(self, call: Call) -> str:
        """Return the statement that makes a call."""
        out = self.argument(call.out)
        arguments = list(map(self.argument, call.inputs))
        function = call.function
        name = self._names.of(function, call.name(), function)
        if function is operator.setitem:
            key, values = arguments
            return f"{out}[{key}] = {values}"
        if function == np.add.at:
            return f"{name}({out}, {', '.join(arguments)})"
        if function is np.copyto:
            return f"{name}({out}, {arguments[0]}, 'unsafe')"
        if function is operator.getitem and any(x.dtype == bool for x in views_in(call.inputs[1:])):
            # Unlike copyto it does not repeat a single element.
            concatenate = self._names.of(np.concatenate, "concatenate", np.concatenate)
            return f"{concatenate}(({name}({', '.join(arguments)}),), 0, {out})"
        if function is operator.getitem or function is np.where:
            copyto = self._names.of(np.copyto, "copyto", np.copyto)
            return f"{copyto}({out}, {name}({', '.join(arguments)}))"
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


LONGEST = 1000
"""The most statements in a function."""

REDUCE_DEFAULTS = {"axis": 0, "dtype": None, "keepdims": False}


def runner(program: Program, memory: Memory | None = None) -> Callable[[], None]:
    """Return a function that makes the calls of a program, in memory of its own or in this one."""
    names = Names()
    writer = Writer(memory or Memory(), names)
    body = [writer.statement(call) for call in program.calls] or ["pass"]
    return define("run", [], body, names.namespace)


def in_parts(statements: list[str], names: Names, call: str = "{}()") -> list[str]:
    """Return the statements or, of many, calls of functions of so many each.

    The compiler takes a hundred times the memory of what it compiles.
    """
    if len(statements) <= LONGEST:
        return statements
    calls = []
    for start in range(0, len(statements), LONGEST):
        part = define("part", [], statements[start : start + LONGEST], names.namespace)
        calls.append(call.format(names.of(part, "part")))
    return calls


def define(
    name: str, parameters: list[str], body: list[str], namespace: dict[str, Any]
) -> Callable[..., Any]:
    """Return a new function of this text, which refers to the objects of the namespace."""
    text = f"def {name}({', '.join(parameters)}):\n" + "".join(f"    {line}\n" for line in body)
    defined: dict[str, Callable[..., Any]] = {}
    exec(compile(text, f"<captured {name}>", "exec"), namespace, defined)
    return defined[name]

"""A program as a Python function that makes its calls."""

import itertools
import operator
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from minigrad.arrays.reproducible import ReproducibleArray
from minigrad.capture.array_types import Reproduced
from minigrad.capture.memory import Memory
from minigrad.capture.program import UPDATES, Buffer, Call, Program, View, views_in, with_views

BY_KEYWORD = frozenset({np.maximum, np.minimum})
"""Functions for which NumPy deprecates passing `out` by position."""


class Writer:
    """Writes calls as Python statements.

    Functions have names. All else is a constant of the compiled code: this is faster than looking
    it up by name, and takes less memory. The text has a placeholder for each constant, b'0', b'1',
    …, which `define` replaces.
    """

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._namespace: dict[str, Any] = {}
        self._names: dict[Any, str] = {}
        self._constants: list[Any] = []
        self._reproducible: defaultdict[Buffer, dict[View, Any]] = defaultdict(dict)

    def name(self, function: Callable[..., Any], hint: str) -> str:
        """Return the name of a function: the hint with a number."""
        if function not in self._names:
            name = re.sub(r"\W", "_", f"{hint}_{len(self._names)}")
            self._names[function], self._namespace[name] = name, function
        return self._names[function]

    def constant(self, thing: Any) -> str:
        """Return a placeholder of an object in the text."""
        self._constants.append(thing)
        return repr(b"%d" % (len(self._constants) - 1))

    def is_not(self, text: str, thing: Any) -> str:
        """Return the text of a comparison: whether something is another object than this."""
        return f"{text} is not (_ := {self.constant(thing)})"  # without := Python warns

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
        """Return the statement that makes a call; to be asked for in the order of the calls."""
        if isinstance(call.function, Reproduced):
            statement = self._reproduced(call, call.function.function)
        else:
            statement = self._plain(call, call.function)
        if known := self._reproducible.pop(call.out.buffer, None):
            start, end = call.out.bounds()
            self._reproducible[call.out.buffer] = {
                view: array
                for view, array in known.items()
                if view.bounds()[1] <= start or end <= view.bounds()[0]
            }
        return statement

    def stands_for(self, view: View, array: ReproducibleArray) -> None:
        """Have a reproducible array, and its transpose, stand for a view that is not written to."""
        known = self._reproducible[view.buffer]
        if array.ndim == 2:
            transposed = view._replace(shape=view.shape[::-1], strides=view.strides[::-1])
            known[transposed] = array.mT
        known[view] = array

    def _reproduced(self, call: Call, function: Callable[..., Any]) -> str:
        """Return the statement that has reproducible arrays answer a call.

        As long as a matrix is not written to, one array stands for it, which is split once. In the
        next run another matrix is in its memory: so its first statement discards the split.
        """
        statements: list[str] = []

        def reproducible(view: View) -> Any:
            if view not in self._reproducible[view.buffer]:
                array = ReproducibleArray(self._memory.array(view))
                self.stands_for(view, array)
                if not view.buffer.constant:
                    statements.append(f"{self.constant(array._memory)}.version += 1")
            return self._reproducible[view.buffer][view]

        name = self.name(function, call.name())
        arguments = list(map(self.argument, with_views(call.inputs, reproducible)))
        arguments += [f"{key}={self.argument(value)}" for key, value in call.options.items()]
        if call.function in UPDATES:
            arguments.insert(0, self.constant(reproducible(call.out)))
            statements.append(f"{name}({', '.join(arguments)})")
        else:
            out = self.argument(call.out)
            statements.append(f"{out}[...] = {name}({', '.join(arguments)})._array")
        return "; ".join(statements)

    def _plain(self, call: Call, function: Callable[..., Any]) -> str:
        out = self.argument(call.out)
        arguments = list(map(self.argument, call.inputs))
        # The method does not look for array types that multiply in another way first.
        function = np.ndarray.dot if function is np.dot else function
        name = self.name(function, call.name())
        if function in UPDATES:
            return f"{name}({out}, {', '.join(arguments)})"
        if function is np.copyto:
            return f"{out}[...] = {arguments[0]}"
        if function is operator.getitem and any(x.dtype == bool for x in views_in(call.inputs[1:])):
            # Unlike an assignment it does not repeat a single element.
            concatenate = self.name(np.concatenate, "concatenate")
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
        exec(compile(text, f"<captured {name}>", "exec"), self._namespace, defined)
        function = defined[name]
        code = function.__code__
        function.__code__ = code.replace(co_consts=self._replaced(code.co_consts))
        return function  # type: ignore[no-any-return]

    def _replaced(self, constant: Any) -> Any:
        """Return a constant of code with objects in place of the placeholders in it."""
        if type(constant) is bytes:
            return self._constants[int(constant)]
        return tuple(map(self._replaced, constant)) if type(constant) is tuple else constant

    def in_parts(
        self, texts: Iterable[str], body: Callable[[list[str]], list[str]] = list
    ) -> Iterator[str]:
        """Yield statements or expressions; if there are many, calls of functions that run parts.

        Compiling takes a hundred times the memory of the compiled code.

        Args:
            texts: the statements or expressions.
            body: makes the statements of a part's function of them.
        """
        first = list(itertools.islice(rest := iter(texts), LONGEST + 1))
        if len(first) <= LONGEST:
            yield from first
        else:
            yield from self.in_parts(self._parts(itertools.chain(first, rest), body), body)

    def _parts(self, texts: Iterator[str], body: Callable[[list[str]], list[str]]) -> Iterator[str]:
        while some := list(itertools.islice(texts, LONGEST)):
            yield f"{self.name(self.define('part', [], body(some)), 'part')}()"


def any_of(conditions: Iterable[str]) -> str:
    """Return the expression that is true if one of these is."""
    return " or ".join(conditions) or "False"


LONGEST = 32
"""The most statements in a function."""

REDUCE_DEFAULTS = {"axis": 0, "dtype": None, "keepdims": False}


def runner(program: Program, memory: Memory | None = None) -> Callable[[], None]:
    """Return a function that makes the calls of a program, in the given memory or in new memory."""
    writer = Writer(memory or Memory())
    return writer.define("run", [], list(map(writer.statement, program.calls)) or ["pass"])

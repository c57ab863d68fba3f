"""Places: which functions of minigrad compute what a probe notes, and which of them is wrong.

What is on the tape is found there. A value is computed by the rules between it and what was noted
before; a gradient by the derivatives of the operations that its tensor went into and, if need be,
by the tape, which adds up and sums down. What is on no tape (draws, comparisons, updated
parameters) is found by watching the probe run. All these are suspects; a `Spectrum` of what was
right and what was wrong tells which of them is to blame.
"""

import math
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import numpy as np

import minigrad
from minigrad import tape
from minigrad.ops import Rule
from minigrad.tape import Node
from minigrad.tensor import backward
from parity.engines.protocol import Array
from parity.probes import probe_named
from parity.probes.notes import Key, Notes, OneByOne, Together
from parity.probes.run import run_probe

ROOT = Path(str(minigrad.__file__)).parents[1]
ENSEMBLES = "minigrad/ensembles.py"
"""Its functions call operations, and are suspects beside these."""

TAPE = ("minigrad/tape.py", "minigrad/tensor/backward.py")
COMPUTING = (
    ENSEMBLES,
    "minigrad/ops/*.py",
    "minigrad/random/*.py",
    "minigrad/optim/sgd.py",
    "minigrad/nn/init.py",
    "minigrad/nn/layers.py",
)
"""The files whose functions compute something; the others of minigrad call these."""


class Spectrum:
    """What tensors that are right and wrong say about the functions that compute them.

    Spectrum-based fault localisation with Ochiai's coefficient (Abreu, Zoeteweij and van Gemund
    2007, *On the accuracy of spectrum-based fault localization*).
    """

    def __init__(self) -> None:
        self._right: Counter[CodeType] = Counter()
        self._wrong: Counter[CodeType] = Counter()

    def add(self, suspects: list[CodeType], wrong: bool, exact: bool) -> None:
        """Count a tensor. A budget may hide a little: what is right within one speaks for no other
        function than the only one there is. A function of ensembles that computes rightly may still
        lead the gradients astray.
        """
        if wrong:
            self._wrong.update(suspects)
        elif exact or len(suspects) == 1:
            self._right.update(code for code in suspects if not of_ensembles(code))

    def likeliest(self, suspects: list[CodeType]) -> CodeType | None:
        """Return the suspect that explains most and is least often right.

        Among equals the tape comes first, which is a suspect only where a graph needs it; then the
        nearest function.
        """

        def rank(code: CodeType) -> tuple[float, bool]:
            wrong, right = self._wrong[code], self._right[code]
            return wrong**2 / (wrong + right), _place(code.co_filename) in TAPE

        return max(suspects, key=rank, default=None)


def of_ensembles(code: CodeType) -> bool:
    """Return whether the judge does not run a function, as it trains networks one by one."""
    return _place(code.co_filename) == ENSEMBLES


class Graph:
    """What a probe noted, on minigrad's tape.

    Attributes:
        callers: functions of ensembles, with the numbers of the nodes that they made.
    """

    def __init__(self) -> None:
        self.callers: list[tuple[range, CodeType]] = []
        self._nodes: dict[Key, Node | None] = {}
        self._accumulated: list[tuple[Key, Node]] = []
        # Gradients that have a history of their own: its end, and the number where it began.
        self._recorded: dict[Key, tuple[Node, int]] = {}
        self._latest = 0
        self._met: list[Node] = []  # on the way to what is suspected now

    def add(self, key: Key, value: Any, of: Any = None) -> None:
        """Remember the place on the tape of a noted value, or of what a gradient is by."""
        tensor = value if of is None else of
        node = tensor._node if tensor is not None else None
        self._nodes[key] = node
        if of is not None and value is not None and value._node is not None:
            self._recorded[key] = value._node, self._latest
        if key.phase == "forward":
            self._latest = next_number()
        if node is not None and value is tensor._grad:
            self._accumulated.append((key, node))

    def suspects(self, key: Key) -> list[CodeType]:
        """Return what may be wrong if this one is and those computed before are not.

        The functions that only some graphs need stand last.
        """
        node = self._nodes.get(key)
        if node is None or key.phase not in ("forward", "backward"):
            return []
        self._met.clear()
        found = self._forward(node) if key.phase == "forward" else self._backward(key, node)
        functions = [function.__code__ for function in found]
        callers = [c for each in self._met for made, c in self.callers if each.number in made]
        callers.sort(key=lambda code: "." in code.co_qualname)  # methods do little but call a rule
        return list(dict.fromkeys([*functions, *callers]))

    def _forward(self, node: Node) -> Iterator[Any]:
        """Yield the rules on the way to a value from others that were noted, and from leaves."""
        noted = {n for key, n in self._nodes.items() if key.phase == "forward"}
        waiting = [node]
        while waiting:
            each = waiting.pop()
            if isinstance(each.rule, Rule):
                self._met.append(each)
                yield each.rule.forward
                waiting += [p for p in each.parents if p is not None and p not in noted]

    def _backward(self, key: Key, node: Node) -> Iterator[Any]:
        """Yield the derivatives on the way to a gradient from others that are judged."""
        judged = {n for other, n in self._nodes.items() if other.phase == "backward"}
        consumers: dict[Node, list[tuple[Node, Any]]] = {}
        gradient, began = self._recorded.get(key, (None, math.inf))
        ends = [*self._nodes.values(), *(end for end, _ in self._recorded.values())]
        for each in tape.ancestors(*filter(None, ends)):
            if each.rule is not None and each.plan is not None and each.number < began:
                for i, derivative, _ in each.plan.derivatives:
                    parent = each.parents[i]
                    assert parent is not None
                    consumers.setdefault(parent, []).append((each, derivative))
        if node.rule is not None and node not in consumers and gradient is None:
            yield backward._root  # the sweep began here
        waiting, visited = [node], {node}
        stretched = several = hooked = False
        while waiting:
            each = waiting.pop()
            uses = consumers.get(each, [])
            several = several or len(uses) > 1
            hooked = hooked or bool(each.hooks)
            for consumer, derivative in uses:
                self._met.append(consumer)
                yield derivative
                stretched = stretched or _stretches(consumer, each)
                if consumer not in judged and consumer not in visited:
                    visited.add(consumer)
                    waiting.append(consumer)
        if gradient is not None:
            yield from self._forward(gradient)
        if stretched:
            yield tape.unbroadcast
        if several:
            yield tape._accumulate
        if hooked:
            yield minigrad.Tensor.register_hook
        same = [other for other, n in self._accumulated if n is node]
        if key in same[1:]:
            yield backward.accumulate


def next_number() -> int:
    """Return a number between those of the nodes that are made before and after."""
    return tape.leaf(np.zeros(())).number


def _stretches(consumer: Node, parent: Node) -> bool:
    """Return whether the tape sums a gradient down, because the input was broadcast."""
    rule = consumer.rule
    if rule.name == "matmul":
        return bool(consumer.shape[:-2] != parent.shape[:-2])
    elementwise = rule.forward.__module__ == "minigrad.ops.elementwise"
    return bool(consumer.shape != parent.shape and (elementwise or rule.name == "expand"))


# ---- what is on no tape -------------------------------------------------------------------------


@cache
def _place(file: str) -> str:
    """Return a file's path from the root of the project; another file's as it is."""
    path = Path(file)
    return path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else file


@cache
def _kind(file: str) -> str | None:
    """Return whether functions of a file "compute" something, are "minigrad" otherwise, or None."""
    place = _place(file)
    if not place.startswith("minigrad/"):
        return None
    return "compute" if any(fnmatch(place, pattern) for pattern in COMPUTING) else "minigrad"


class TracedNotes(Notes):
    """Notes that keep, for everything that is noted, where it is on the tape, and what was run
    since the probe's last call.
    """

    def __init__(self, arrays: dict[str, Array], together: Together) -> None:
        super().__init__(self._leaf, arrays, together)
        self._graph = Graph()
        self._traced: dict[Key, list[CodeType]] = {}
        # Of functions of ensembles: where those began that are running, and those that have ended.
        self._began: list[int] = []
        self._ended: list[CodeType] = []
        self._leaves: list[tuple[Any, bytes]] = []  # with the values they had
        self._corrupting: list[CodeType] = []
        self._run: list[CodeType] = []

    def add(self, key: Key, tensor: Any, of: Any = None) -> None:
        """Keep the functions that computed something, and the one that the probe called."""
        self.values[key] = None
        self._ended = []
        self._graph.add(key, tensor, of)
        found = self._corrupting if key.phase == "inputs" else self._run
        self._traced[key] = list(dict.fromkeys([*found[1:], *found[:1]]))

    def flag(self, name: str, value: bool) -> None:
        """Keep the functions of ensembles, or else the one that the probe called."""
        self.values[Key("forward", name)] = None
        self._traced[Key("forward", name)] = [*dict.fromkeys(self._ended[::-1])] or self._run[:1]
        self._ended = []

    def suspects(self) -> dict[Key, list[CodeType]]:
        """Return for everything that was noted what may be wrong if it is."""
        return {key: self._graph.suspects(key) or traced for key, traced in self._traced.items()}

    def watch(self, frame: FrameType, event: str, value: Any) -> None:
        """Look at calls and returns of functions, as a profiler does."""
        code, caller = frame.f_code, frame.f_back
        kind = _kind(code.co_filename)
        if kind is None or caller is None:
            return
        if of_ensembles(code) and not code.co_name.startswith("<"):
            if event == "call":
                self._began.append(next_number())
            elif event == "return":
                made = range(self._began.pop(), next_number())
                self._graph.callers.append((made, code))
                self._ended.append(code)
        if event == "call":
            # A lambda or, in Python 3.11, a comprehension is part of its function.
            if code.co_name.startswith("<"):
                return
            if isinstance(getattr(minigrad.Tensor, code.co_name, None), property):
                return
            if str(caller.f_globals.get("__name__")).startswith("parity.probes.suite"):
                self._run = [code]
            elif kind == "compute":
                self._run.append(code)
        elif event == "return" and kind == "compute" and not self._corrupting:
            changed = any(leaf._array.tobytes() != was for leaf, was in self._leaves)
            self._corrupting = [code] if changed else []

    def _leaf(self, array: Array) -> minigrad.Tensor:
        leaf = minigrad.tensor(array, requires_grad=True)
        self._leaves.append((leaf, array.tobytes()))
        return leaf


def traced_suspects(
    names: Iterable[str], dtype: str, seed: int, together: Together = OneByOne
) -> dict[str, dict[Key, list[CodeType]]]:
    """Run probes on minigrad once more; return what may be wrong with everything they note."""
    found = {}
    for name in names:
        probe, before = probe_named(name), sys.getprofile()
        notes = TracedNotes(probe.draw(dtype, seed), together)
        sys.setprofile(notes.watch)
        try:
            with np.errstate(all="ignore"):
                run_probe(minigrad, probe, notes)
        finally:
            sys.setprofile(before)
        found[name] = notes.suspects()
    return found

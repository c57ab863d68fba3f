"""Who is wrong where two engines part in a probe.

The judge runs the probe, too, on minigrad. If the engines part, at most one of them agrees with it.
What decides is whether one of minigrad's own rules does not compute what it is defined as: then
that engine is wrong which follows the rule, and otherwise the one that is alone.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

import minigrad
from minigrad import optim
from minigrad.explain import Observation
from minigrad.explain.events import Backward, Event, Forward, Swept
from minigrad.graph import ancestors
from minigrad.tape import Node
from minigrad.temporary import replaced
from parity.checks.exact.truth import all_finite
from parity.checks.guilty import Function, first_wrong, first_wrong_sum, judging
from parity.engines.protocol import Array
from parity.probes.notes import Key, Notes
from parity.probes.probe import Probe
from parity.probes.run import run_probe

MOST = 150
"""The elements of inputs beyond which a probe is not held against the definitions: it would take
seconds."""

LARGE = 2**8
"""Of integers below this, float32 has all sums of products that probes compute."""


def wrong_in_probe(agree: tuple[bool, bool], rule: Function | None) -> str | None:
    """Return which engine is wrong, "actual" or "expected"; None if that cannot be told.

    Args:
        agree: whether the engine under test, and the one it is held against, agree with the judge.
        rule: the function of minigrad that is wrong in this probe, as `wrong_rule` finds it.
    """
    actual, expected = agree
    if actual == expected:
        return None
    if rule is not None:
        return "actual" if actual else "expected"
    # The engine under test may be minigrad itself, which then agrees with the judge in any case.
    return "actual" if expected else None


def wrong_rule(probe: Probe, dtype: str, seed: int) -> Function | None:
    """Return the first rule, derivative or step of minigrad in a probe that is wrong by definition.

    None if there is none, or if the definitions do not tell.
    """
    arrays = probe.draw(dtype, seed)
    if sum(array.size for array in arrays.values()) > MOST:
        return None
    observation, misdirected = Observation(), list[Any]()
    notes = _NodeNotes(lambda array: minigrad.tensor(array, requires_grad=True), arrays)
    right = optim.SGD._direction
    with np.errstate(all="ignore"):
        replaced(
            {(optim.SGD, "_direction"): partial(judging, note=misdirected.append)},
            lambda: observation.run(lambda: run_probe(minigrad, probe, notes)),
        )
        wrong = (_wrong(event, probe.exact) for event in observation.events)
        found = next(filter(None, wrong), None) or _wrong_sum(observation.events, notes)
    return found or (right if misdirected else None)


class _NodeNotes(Notes):
    """Notes that keep the nodes of what is noted."""

    def __init__(self, make: Callable[[Array], Any], arrays: dict[str, Array]) -> None:
        super().__init__(make, arrays)
        self.nodes: list[Node] = []

    def add(self, key: Key, tensor: Any, of: Any = None) -> None:
        """Keep the node of a value, and of what a gradient is by."""
        super().add(key, tensor, of)
        self.nodes += [each._node for each in (tensor, of) if getattr(each, "_node", None)]


def _wrong_sum(events: Sequence[Event], notes: _NodeNotes) -> Function | None:
    """Return what of the tape sums wrongly: in the only sweep, from one root, where none rounds."""
    nodes = ancestors(*notes.nodes)
    roots = [root for event in events if isinstance(event, Swept) for root in event.roots]
    if len(roots) != 1 or any(node.hooks for node in nodes):
        return None
    derived = [event for event in events if isinstance(event, Backward)]
    if not all(_small_and_whole(x) for each in derived for x in (each.grad_out, each.grad)):
        return None
    recorded = {id(getattr(node.plan, "operation", None)): node for node in nodes}
    try:
        return first_wrong_sum(events, recorded, nodes)
    except ValueError:
        return None


def _wrong(event: Event, exact: bool) -> Function | None:
    """Return the function that an event shows to be wrong; of numbers that are finite."""
    if not isinstance(event, Forward | Backward):
        return None
    given = [x for x in event.operation.inputs if isinstance(x, np.ndarray)]
    given += [event.grad_out] if isinstance(event, Backward) else []
    found = event.grad if isinstance(event, Backward) else event.operation.output
    if isinstance(event, Backward) and not all_finite(found, *given):
        return None  # a dual number sums what a derivative rule selects
    try:
        return first_wrong([event], exact and all(map(_small_and_whole, given)))
    except ValueError:  # in several dtypes, or of a shape that the sweep has still to sum down to
        return None


def _small_and_whole(array: Array) -> bool:
    return bool((np.abs(array * 1.0) < LARGE).all() and (array == np.trunc(array)).all())

"""When a recording can be trusted: whether the next run of the step would do the same.

A step may find what its last run left behind. Gradients and the buffers of an `SGD` are in known
places, and a replay checks them. A tensor that was left anywhere else, for example by a user's own
optimizer, may change what the step does next, and no replay can check that. So may a counter, or
whatever else the step changes itself. So the next calls are recorded as well, until one recording
is the same as the one before; as any one before, if no tensor is left.
"""

import sys
import weakref
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from minigrad.capture.call_sites import CaptureError
from minigrad.capture.program import Buffer, Call, Program, View, with_views
from minigrad.capture.record import RecordedRun
from minigrad.capture.replay import RecordedStep
from minigrad.tensor import Tensor

ATTEMPTS = 4
"""The number of recordings to try before giving up."""


class Trial:
    """The recordings of a step that are not trusted yet."""

    def __init__(self) -> None:
        self._before: list[list[Call]] = []
        self._left: list[weakref.ref[Tensor]] = []

    @property
    def leaves(self) -> bool:
        """Whether the latest recording has left tensors in unknown places."""
        return bool(self._left)

    def trusted(self, recording: RecordedRun) -> RecordedStep | None:
        """Return what can be replayed, if this, the latest recording of its step, is trusted.

        Raises:
            CaptureError: the step does something else each time, or keeps tensors of every run.
        """
        recorded = recording.recorded
        if not (self._before or recording.left or recording.changes):
            return recorded
        left_before = [reference() for reference in self._left]
        described = _describe(recorded, left_before)
        same = described in (self._before[-1:] if recording.left or self._left else self._before)
        if same and not recording.left:
            return recorded
        if same:
            # The list here, the argument of getrefcount and, perhaps, the recording refer to it.
            kept = [
                x
                for x in left_before
                if sys.getrefcount(x) > 3 + sum(x is tensor for tensor in recorded.tensors)
                and x is not None
            ]
            if not kept:
                return _carry_over(recording, left_before)
            raise CaptureError(
                f"capture: the step keeps tensors of every call, {len(recording.left)} of the last "
                "one, in a list, say, and a replay would not add to it: return them instead"
            )
        if len(self._before) == ATTEMPTS - 1:
            raise CaptureError(_difference(self._before[-1], described, recorded.program))
        self._before.append(described)
        self._left = [weakref.ref(tensor) for tensor in recording.left]
        return None


def _carry_over(recording: RecordedRun, left_before: Sequence[Tensor | None]) -> RecordedStep:
    """Make the next run find what this one leaves behind.

    If the step read a tensor of the run before and left another one in its place, a call is added
    that copies the new values into the old tensor's memory.
    """
    recorded = recording.recorded
    view_of = {
        id(tensor): view
        for tensor, view in zip(recorded.tensors, recorded.program.tensors, strict=True)
    }
    carried = []
    for old, new in zip(left_before, recording.left, strict=True):
        if old is not None and id(old) in view_of:
            carried.append(Call(np.copyto, (view_of[id(new)],), view_of[id(old)]))
            np.copyto(old._array, new._array)
    program = recorded.program.with_calls([*recorded.program.calls, *carried])
    return replace(recorded, program=program)


@dataclass(eq=False)
class _Found:
    """A tensor that a step found; equal to itself, and to one that has taken its place."""

    number: int
    place: int | None

    def __eq__(self, other: object) -> bool:
        assert isinstance(other, _Found)
        in_place = self.place is not None and self.place == other.place
        return in_place or self.number == other.number


def _describe(recorded: RecordedStep, left_before: Sequence[Tensor | None]) -> list[Call]:
    """Return the calls with names in place of views, the same ones in an equal recording."""
    program = recorded.program
    names: dict[Buffer, tuple[str, Any]] = {}
    places = {id(tensor): i for i, tensor in enumerate(left_before)}
    for i, (tensor, view) in enumerate(zip(recorded.tensors, program.tensors, strict=True)):
        if i >= len(recorded.nodes):
            name: tuple[str, Any] = ("made", i - len(recorded.nodes))
        else:
            name = ("tensor", _Found(id(tensor), places.get(id(tensor))))
        names.setdefault(view.buffer, name)

    def described(view: View) -> Any:
        buffer = view.buffer
        if buffer not in names:
            if buffer.constant:
                names[buffer] = ("constant", buffer.memory.tobytes())
            elif buffer.memory is not None:
                names[buffer] = ("memory", id(buffer.memory))
            else:
                names[buffer] = ("result", len(names))
        # A plain tuple: what was described must not be taken for a view again.
        return [names[buffer], view.dtype.str, view.shape, view.strides, view.offset]

    return [
        Call(
            call.function,
            tuple(map(_exact, with_views(call.inputs, described))),
            described(call.out),
            call.options,
        )
        for call in program.calls
    ]


def _exact(value: Any) -> Any:
    """Return something that is equal only for identical numbers: 0.0 is not -0.0, NaN is NaN."""
    return value if isinstance(value, (list, tuple)) else (type(value), repr(value))


def _difference(before: list[Call], now: list[Call], program: Program) -> str:
    """Return a message that names the first difference between two recordings."""
    intro = f"capture: the step does something else at every call ({ATTEMPTS} in a row)"
    for one, other, call in zip(before, now, program.calls, strict=False):
        if one == other:
            continue
        where = f"{call.source.line}: np.{other.name()} in {call.source.rule}"
        for x, y in zip(one.inputs, other.inputs, strict=False):
            if x != y and isinstance(x, tuple) and isinstance(y, tuple):
                return (
                    f"{intro}: {where} has the number {x[1]} at one and {y[1]} at the next. Pass a "
                    "number that changes as a tensor, among the step's arguments"
                )
        return f"{intro}: {where} is the first call that is another one"
    return f"{intro}: it makes {len(before)} calls at one, and {len(now)} at the next"

"""Watching a step while it runs: what it computes, and what it changes outside.

While a `Watch` is open, `Tensor._array` gives recording arrays in place of arrays, so that every
call is noted whatever path a tensor took into the step, and the few other things a replay has to
know about are noticed where they happen: `.grad` of leaves, steps of optimizers, random numbers.
Nothing else in minigrad knows of it, and nothing is slower while no watch is open.
"""

from __future__ import annotations

import sys
import threading
import weakref
from typing import Any, NamedTuple

import numpy as np

from minigrad.capture.call_sites import CaptureError, refuse
from minigrad.capture.conditions import OptimizerBefore
from minigrad.capture.recording_array import Recording, RecordingArray
from minigrad.optim import SGD
from minigrad.random import Generator
from minigrad.tape import Node
from minigrad.tensor import Tensor
from minigrad.tensor.base import TensorBase

recording_threads: set[int] = set()
"""The threads with an open watch."""

_one_at_a_time = threading.RLock()
_SLOT: Any = TensorBase.__dict__["_array"]


class Before(NamedTuple):
    """A tensor that existed before a step, with its array and node at that time."""

    tensor: Tensor
    array: Any
    node: Node | None


class Watch:
    """Runs a step, and notes what it does.

    Attributes:
        recording: the calls.
        before: the tensors that were there before the step and took part in it, by id.
        movable: the ids of those whose array nothing else refers to.
        gradients: the tensors that were there before the step and whose `.grad` it looked at
            before it set it, with what it saw.
        graded: those whose `.grad` the step set.
        optimizers: those that took a step, as they were then, by id.
    """

    def __init__(self) -> None:
        self.recording = Recording()
        self.before: dict[int, Before] = {}
        self.movable: set[int] = set()
        self.gradients: dict[Tensor, Tensor | None] = {}
        self.graded: dict[Tensor, None] = {}
        self.optimizers: dict[int, OptimizerBefore] = {}
        self._made: dict[int, weakref.ref[Tensor]] = {}
        self._thread = threading.get_ident()

    def __enter__(self) -> Watch:
        _one_at_a_time.acquire()
        recording_threads.add(self._thread)
        step, optimizers = SGD.step, self.optimizers

        def watched_step(self: SGD, *arguments: Any, **options: Any) -> Any:
            if id(self) not in optimizers:
                optimizers[id(self)] = OptimizerBefore(self)
            return step(self, *arguments, **options)

        replaced: list[tuple[Any, str, Any]] = [
            (TensorBase, "_array", property(self._read, self._write)),
            (TensorBase, "_grad", property(self._read_grad, self._write_grad)),
            (SGD, "step", watched_step),
            (Generator, "uniform", _no_random_numbers),
            (Generator, "normal", _no_random_numbers),
        ]
        self._before = [(owner, name, vars(owner).get(name)) for owner, name, _ in replaced]
        for place in replaced:
            setattr(*place)
        return self

    def __exit__(self, *_: object) -> None:
        for place in self._before:
            setattr(*place)
        for tensor in [*(before.tensor for before in self.before.values()), *self.left()]:
            array = _SLOT.__get__(tensor)
            if type(array) is RecordingArray:
                _SLOT.__set__(tensor, array._array)
        recording_threads.discard(self._thread)
        _one_at_a_time.release()

    def left(self) -> list[Tensor]:
        """Return the tensors that the step made and that are still there."""
        made = (reference() for reference in self._made.values())
        return [tensor for tensor in made if tensor is not None]

    def has_made(self, tensor: Tensor) -> bool:
        """Return whether the step made this tensor."""
        reference = self._made.get(id(tensor))
        return reference is not None and reference() is tensor

    # ---- what is watched --------------------------------------------------------------------

    def _read(self, tensor: Tensor) -> Any:
        array = _SLOT.__get__(tensor)
        if threading.get_ident() != self._thread:
            return array._array if type(array) is RecordingArray else array
        if type(array) is RecordingArray:
            return array
        if type(array) is not np.ndarray:
            raise CaptureError(
                f"capture: a tensor of {type(array).__name__} takes part in the step, and only "
                "steps on ndarrays can be captured: run this one eagerly"
            )
        # The tensor, `array` here, and the argument of getrefcount refer to it.
        if sys.getrefcount(array) == 3 and not isinstance(array.base, np.ndarray):
            self.movable.add(id(tensor))
        self.before[id(tensor)] = Before(tensor, array, tensor._node)
        recorded = self.recording.array(array)
        _SLOT.__set__(tensor, recorded)
        return recorded

    def _write(self, tensor: Tensor, array: Any) -> None:
        if threading.get_ident() == self._thread:
            try:
                self._read(tensor)
            except AttributeError:  # a new tensor
                self._made[id(tensor)] = weakref.ref(tensor)
            if type(array) is np.ndarray:
                array = self.recording.made(array)
        _SLOT.__set__(tensor, array)

    def _read_grad(self, tensor: Tensor) -> Tensor | None:
        grad: Tensor | None = tensor.__dict__.get("_grad")
        if tensor not in self.graded and not self.has_made(tensor):
            self.gradients.setdefault(tensor, grad)
        return grad

    def _write_grad(self, tensor: Tensor, grad: Tensor | None) -> None:
        if not self.has_made(tensor):
            self.graded[tensor] = None
        tensor.__dict__["_grad"] = grad


def _no_random_numbers(*_: Any, **__: Any) -> Any:
    refuse(
        "{call} draws random numbers, which a replay would not draw anew: draw them outside of "
        "the step and pass them as a tensor"
    )


def array_of(tensor: Tensor) -> Any:
    """Return a tensor's array, even in the middle of a recording."""
    array = _SLOT.__get__(tensor)
    return array._array if type(array) is RecordingArray else array


def show(tensor: Tensor, array: Any) -> None:
    """Give a tensor another array."""
    _SLOT.__set__(tensor, array)


def is_recording() -> bool:
    """Return whether this thread is recording a step."""
    return threading.get_ident() in recording_threads

"""Watching a step while it runs: what it computes, and what it changes outside.

While a thread has a `Watch` open, `Tensor._array` gives it recording arrays in place of arrays, so
that every call is noted whatever path a tensor took into the step, and the few other things a
replay has to know about are noticed where they happen: `.grad` of leaves, steps of optimizers,
random numbers. Nothing else in minigrad knows of it, and nothing is slower while no watch is open.

Other threads go on as ever, and may record steps of their own: whatever is noted belongs to the
watch of the thread it happens in. Tensors hold plain arrays all the time; which recording array
stands for which tensor is known to the watch alone. So there is nothing to be put back in a tensor
when a recording ends, however it ends.
"""

from __future__ import annotations

import sys
import weakref
from collections import Counter
from collections.abc import Callable
from threading import get_ident
from typing import Any, NamedTuple, TypeVar

import numpy as np

from minigrad.arrays.reproducible import ReproducibleArray
from minigrad.capture.array_types import ARRAYS
from minigrad.capture.call_sites import CaptureError, refuse
from minigrad.capture.conditions import OptimizerBefore
from minigrad.capture.recording_array import Recording, RecordingArray
from minigrad.optim import SGD
from minigrad.random import Generator
from minigrad.random.integers import Integers
from minigrad.tape import Node, numbers
from minigrad.temporary import replaced, undone
from minigrad.tensor import Tensor
from minigrad.tensor.base import TensorBase

T = TypeVar("T")

watches: dict[int, Watch] = {}
"""The open watches, by thread."""

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
        elsewhere: the tensors that other threads made meanwhile, by id.
    """

    def __init__(self) -> None:
        self.recording = Recording()
        self.before: dict[int, Before] = {}
        self.movable: set[int] = set()
        self.gradients: dict[Tensor, Tensor | None] = {}
        self.graded: dict[Tensor, None] = {}
        self.optimizers: dict[int, OptimizerBefore] = {}
        self.elsewhere: dict[int, weakref.ref[Tensor]] = {}
        self._made: dict[int, weakref.KeyedRef[int, Tensor]] = {}
        self._shown: dict[int, RecordingArray] = {}  # by id of the tensor
        self._first = next(numbers)

    def run(self, body: Callable[[], T]) -> T:
        """Return `body()`, watched."""
        thread = get_ident()

        def opened() -> T:
            watches[thread] = self
            return body()

        def close() -> None:
            watches.pop(thread, None)
            self._release()

        return replaced(WATCHED, lambda: undone(opened, close))

    def left(self) -> list[Tensor]:
        """Return the tensors that the step made and that are still there."""
        made = [reference() for reference in list(self._made.values())]
        return [tensor for tensor in made if tensor is not None]

    def has_made(self, tensor: Tensor) -> bool:
        """Return whether the step made this tensor."""
        reference = self._made.get(id(tensor))
        return reference is not None and reference() is tensor

    def shown(self) -> Counter[int]:
        """Return how many tensors that the step made hold an array, by the array's id."""
        return Counter(id(array_of(tensor)) for tensor in self.left())

    # ---- what is watched --------------------------------------------------------------------

    def array(self, tensor: Tensor) -> RecordingArray:
        """Return the recording array that stands for a tensor's array."""
        shown = self._shown.get(id(tensor))
        if shown is not None:
            return shown
        array = _SLOT.__get__(tensor)
        if type(array) not in ARRAYS or self.has_made(tensor):
            raise CaptureError(
                f"capture: a tensor of {type(array).__name__} takes part in the step, and only "
                "steps on ndarrays and reproducible arrays, which are there before the step, can "
                "be captured: run this one eagerly"
            )
        made = self.elsewhere.get(id(tensor))
        if made is not None and made() is tensor:
            refuse(
                "{call} takes a tensor that another thread made while the step was recorded, which "
                "no replay would make anew: make it before the step, or pass it as an argument"
            )
        if _is_movable(tensor):
            self.movable.add(id(tensor))
        self.before[id(tensor)] = Before(tensor, array, tensor._node)
        recorded = self._shown[id(tensor)] = self.recording.array(array)
        return recorded

    def noted(self, tensor: Tensor, array: Any) -> Any:
        """Note that a tensor is given an array; return the ndarray to give it."""
        try:
            _SLOT.__get__(tensor)
        except AttributeError:  # a new tensor
            self._made[id(tensor)] = weakref.KeyedRef(tensor, self._forget, id(tensor))
        else:
            self.array(tensor)
        if type(array) is np.ndarray:
            array = self.recording.made(array)
        if type(array) is not RecordingArray:
            self._shown.pop(id(tensor), None)
            return array
        self._shown[id(tensor)] = array
        return array._wrapped

    def _forget(self, reference: weakref.KeyedRef[int, Tensor]) -> None:
        """Forget a tensor that is gone, to let go of its memory; nothing else depends on it."""
        self._shown.pop(reference.key, None)
        self._made.pop(reference.key, None)

    def _release(self) -> None:
        """Give ndarrays to the nodes that were made and are still there: they may be swept yet."""
        tensors = [*(before.tensor for before in self.before.values()), *self.left()]
        found: set[Node | None] = set()
        unvisited = [getattr(tensor, "_node", None) for tensor in tensors]  # it may be half made
        while unvisited:
            node = unvisited.pop()
            if node is not None and node.number > self._first and node not in found:
                found.add(node)
                unvisited += node.parents
                if node.saved is not None:
                    node.saved = RecordingArray._plain(node.saved)
        self._made.clear()  # these refer to the watch, or to the recording, which
        self._shown.clear()  # would be there until the garbage collector finds them
        self.recording.forget()


def _read(tensor: Tensor) -> Any:
    watch = watches.get(get_ident())
    return _SLOT.__get__(tensor) if watch is None else watch.array(tensor)


def _write(tensor: Tensor, array: Any) -> None:
    watch = watches.get(get_ident())
    for other in list(watches.values()):
        if other is not watch:
            other.elsewhere[id(tensor)] = weakref.ref(tensor)
    plain = RecordingArray._plain(array) if watch is None else watch.noted(tensor, array)
    _SLOT.__set__(tensor, plain)


def _read_grad(tensor: Tensor) -> Tensor | None:
    grad: Tensor | None = tensor.__dict__.get("_grad")
    watch = watches.get(get_ident())
    if watch is not None and tensor not in watch.graded and not watch.has_made(tensor):
        watch.gradients.setdefault(tensor, grad)
    return grad


def _write_grad(tensor: Tensor, grad: Tensor | None) -> None:
    watch = watches.get(get_ident())
    if watch is not None and not watch.has_made(tensor):
        watch.graded[tensor] = None
    tensor.__dict__["_grad"] = grad


def _watched_step(step: Callable[..., Any]) -> Callable[..., Any]:
    def watched(self: SGD, *arguments: Any, **options: Any) -> Any:
        watch = watches.get(get_ident())
        if watch is not None and id(self) not in watch.optimizers:
            watch.optimizers[id(self)] = OptimizerBefore(self)
        return step(self, *arguments, **options)

    return watched


def _refused(method: Callable[..., Any]) -> Callable[..., Any]:
    def refusing(*arguments: Any, **options: Any) -> Any:
        if is_recording():
            refuse(
                "{call} draws random numbers or seeds them, which a replay would not do anew: draw "
                "them outside of the step and pass them as a tensor"
            )
        return method(*arguments, **options)

    return refusing


WATCHED: dict[tuple[Any, str], Callable[[Any], Any]] = {
    (TensorBase, "_array"): lambda _: property(_read, _write),
    (TensorBase, "_grad"): lambda _: property(_read_grad, _write_grad),
    (SGD, "step"): _watched_step,
    **{
        (Generator, name): _refused
        for name in ("uniform", "normal", "manual_seed", "get_state", "set_state")
    },
    **{(Integers, name): _refused for name in ("integers", "permutation", "integer")},
}
"""What is other while a watch is open."""


def array_of(tensor: Tensor) -> Any:
    """Return a tensor's ndarray, even in the middle of a recording."""
    return _SLOT.__get__(tensor)


def _is_movable(tensor: Tensor) -> bool:
    """Return whether nothing but a tensor refers to its memory."""
    array = _SLOT.__get__(tensor)
    # The tensor, the caller, `array` here, and the argument of getrefcount refer to it.
    alone = sys.getrefcount(array) == 4
    if type(array) is ReproducibleArray:
        array._cache = None  # the slices refer to it, too
        array = array._array
        alone = alone and sys.getrefcount(array) == 3
    return alone and not isinstance(array.base, np.ndarray)


def show(tensor: Tensor, array: Any) -> None:
    """Give a tensor another array."""
    _SLOT.__set__(tensor, array)


def is_recording() -> bool:
    """Return whether this thread is recording a step."""
    return get_ident() in watches

"""`capture`: run a step once, record it, and replay the recording from then on.

>>> import minigrad as torch
>>> w = torch.tensor([1.0, 2.0], requires_grad=True)
>>> optimizer = torch.optim.SGD([w], lr=0.1)
>>> @torch.capture
... def step(x):
...     optimizer.zero_grad()
...     loss = (w * x).sum()
...     loss.backward()
...     optimizer.step()
...     return loss
>>> step(torch.tensor([1.0, 1.0]))
tensor(3.)
>>> step(torch.tensor([1.0, 0.0]))
tensor(0.9000)
"""

from __future__ import annotations

import functools
import gc
import operator
import threading
import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

from minigrad.capture.array_types import ARRAYS
from minigrad.capture.call_sites import CaptureError
from minigrad.capture.passes import lower
from minigrad.capture.record import record
from minigrad.capture.rendering import PrintedProgram
from minigrad.capture.replay import MISFIT, Replay, with_parts
from minigrad.capture.trust import Trial
from minigrad.capture.watch import is_recording, watches
from minigrad.grad_mode import grad_mode
from minigrad.temporary import undone
from minigrad.tensor import Tensor
from minigrad.tensor.joining import cat

T = TypeVar("T")


def capture(step: Callable[..., Any], *, cache_size: int = 8) -> Captured:
    """Return a function that does what a step does, and is faster from the second call on.

    The first call runs the step and records its NumPy calls. Later calls repeat only these, with
    the same results in every bit except a NaN's sign. No Python code of the step, its modules,
    hooks or optimizer runs again. Every step made of minigrad's operations can be captured, also on
    reproducible arrays.

    What can differ between two calls:

    - *Tensors among the arguments*, also within tuples, lists and dicts: they are copied at each
      call. Other shapes, strides or dtypes, and other values of arguments that are not tensors,
      are recorded separately.
    - *Values of tensors*: parameters, buffers and `.grad` can be changed between two calls, by
      loading a state, by `zero_grad` or by hand. They hold the current values after every call.
    - *Options* of an `SGD`, such as the learning rate.
    - *What the step's code names*: variables, attributes, and the items of containers among them;
      the layers, parameters and hooks of models; and what the code of functions, methods and models
      names that the step calls. If another object is there than before, the step is recorded again.

    Not followed are what libraries read, files, clocks, and names that are computed. If a step
    leaves tensors in unknown places, as an optimizer of your own does with its buffers, or changes
    what its code names, a counter for example, it is recorded until a recording is the same as one
    before; what it changes is not followed.

    The returned tensors are copies without history (`requires_grad` is False), in new containers.
    Other tensors that the step leaves behind, such as `.grad`, are the same objects after every
    call, with new values. An argument's gradient is added to the argument's `.grad`.

    Args:
        step: a function. It must not read values (`item()`, `print`, `if loss > 1`), select
            elements by a mask, or draw random numbers.
        cache_size: how many recordings are kept in a thread. Each has its own memory for
            intermediate results. The least recently used one is dropped first.

    Raises (when it is called):
        CaptureError: the step cannot be captured. The message names the line.
        TypeError: an argument is neither a tensor nor hashable.

    When a step that is being recorded calls a captured step, that becomes a part of it.

    Threads may record, replay and train at the same time, each as if it were alone. Several may
    call one captured step; each has recordings of its own. A step must do its work in one thread:
    while it is recorded, it is refused what other threads compute for it. What they change in place
    is not noticed, and not repeated.

    Ctrl-C in a call leaves what it leaves in the step itself: each tensor has its old or its new
    values, or some of both. The next call is as right as the next step.

    `captured.repeat(n)` takes n steps in one call, see `Captured.repeat`.
    """
    return Captured(step, cache_size)


MANY = 8
"""The number of recordings in a row, without a replay, after which there is a warning."""


class Captured(threading.local):
    """A step that is recorded and replayed; see `capture`.

    A replay's memory is for one thread at a time. So each thread has all of this for itself.
    """

    def __init__(self, step: Callable[..., Any], cache_size: int) -> None:
        if not callable(step):
            raise TypeError(f"capture: step must be a function, not a {type(step).__name__}")
        if cache_size < 1:
            raise ValueError(f"capture: cache_size must be at least 1, not {cache_size}")
        functools.update_wrapper(self, step)
        self._step = step
        self._cache_size = cache_size
        self._replays: dict[Any, list[Replay]] = {}  # by signature; the latest last
        self._trials: dict[Any, Trial] = {}
        self._in_a_row = 0  # recordings, since one was last replayed
        self._latest: Any = None  # the signature of the last call that was replayed,
        self._run = step  # and what was run then

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Do what the step does."""
        if watches and is_recording():
            return self._step(*args, **kwargs)
        tensors: list[Tensor] = []
        signature: list[Any] = [grad_mode.enabled]
        if args or kwargs:
            signature += [_key(argument, tensors) for argument in args]
            for name, argument in kwargs.items():
                signature += (name, _key(argument, tensors))
        if signature == self._latest:
            result = self._run(*tensors)
            if result is not MISFIT:
                return result
        return self._find(signature, tensors, args, kwargs)

    def repeat(self, n: int, *args: Any, **kwargs: Any) -> Tensor:
        """Take n steps with the same arguments; return what they return, one behind the other.

        The same as n calls, in every bit. No Python code runs between the steps once two replays
        have followed each other, except where a step also adds to the gradients of an argument.

        Args:
            n: the number of steps, at least 1.
            args, kwargs: the arguments of each step.

        Returns:
            The losses, (n, *shape), where the loss that the step returns has this shape.

        Raises:
            TypeError: the step returns something else than one tensor; it has been taken once.
            ValueError: n is less than 1.
            CaptureError: the step cannot be captured.
        """
        if (n := operator.index(n)) < 1:
            raise ValueError(f"repeat: n, the number of steps, must be at least 1, not {n}")
        arguments: list[Tensor] = []
        _key((args, kwargs), arguments)
        losses: list[Tensor] = []
        self._latest = None
        while len(losses) < n:
            before = self._latest
            loss = self(*args, **kwargs)
            if not isinstance(loss, Tensor):
                raise TypeError(
                    f"repeat: the step returned a {type(loss).__name__}, and was taken once: have "
                    "it return one tensor, such as the loss"
                )
            losses.append(loss.unsqueeze(0).clone())
            if before is not None and before is self._latest:
                last = self._last()
                if last and (more := last.repeat(n - len(losses), arguments)) is not None:
                    return cat([*losses, more])
        return cat(losses)

    @property
    def program(self) -> PrintedProgram | None:
        """The program of this thread's last call; None until a recording is trusted.

        `step.program.explain()` prints it.
        """
        last = self._last()
        return None if last is None else PrintedProgram(**vars(last.program))

    def _last(self) -> Replay | None:
        """Return the replay of this thread's last call; None if there is none."""
        return next((some[-1] for some in reversed(self._replays.values()) if some), None)

    def _find(self, signature: list[Any], tensors: list[Tensor], args: Any, kwargs: Any) -> Any:
        """Run the replay that fits, or record one."""
        self._latest = None
        replays = self._replays[tuple(signature)] = self._replays.pop(tuple(signature), [])
        for replay in reversed(replays):
            replay.follow()
            result = replay.run(*tensors)
            if result is not MISFIT:
                replays.remove(replay)
                replays.append(replay)
                self._latest, self._run = signature, replay.run
                self._in_a_row = 0
                return result

        return self._record(signature, tensors, args, kwargs)

    def _record(self, signature: list[Any], tensors: list[Tensor], args: Any, kwargs: Any) -> Any:
        """Run the step and record it; keep the recording if it can be trusted."""

        def run(copies: list[Tensor]) -> Any:
            given = iter(copies)

            def copied(value: Any) -> Any:
                return next(given) if isinstance(value, Tensor) else value

            return self._step(*with_parts(args, copied), **with_parts(kwargs, copied))

        key = tuple(signature)
        trial = self._trials.pop(key, None) or Trial()

        def recorded() -> tuple[Any, Replay | None]:
            recording = record(self._step, run, tensors)
            value, trusted = recording.value, trial.trusted(recording)
            del recording  # for each thing is dropped as soon as what is made of it is there
            if trusted is None:
                others = [] if trial.leaves else self._trials.items()
                self._trials = dict([*others, (key, trial)][-self._cache_size :])
                return value, None
            self._forget(self._cache_size - 1)
            trusted = replace(trusted, program=lower(trusted.program))
            return value, Replay(trusted)

        value, replay = without_garbage_collection(recorded)
        if replay is None:
            return value
        self._replays.setdefault(key, []).append(replay)
        self._in_a_row += 1
        if self._in_a_row == max(self._cache_size, MANY) + 1:
            warnings.warn(
                f"capture: the last {self._in_a_row} calls were all recorded and none replayed, "
                "which is slower than calling the step itself: a variable that the step refers "
                "to, an argument that is no tensor, or a shape is another one each time. Pass "
                "tensors that change as arguments.",
                RuntimeWarning,
                stacklevel=4,
            )
        return value

    def _forget(self, most: int) -> None:
        """Drop the least recently used replays until at most this many are left."""
        while sum(map(len, self._replays.values())) > most:
            signature = next(key for key, replays in self._replays.items() if replays)
            del self._replays[signature][0]
        self._replays = {key: replays for key, replays in self._replays.items() if replays}


def without_garbage_collection(body: Callable[[], T]) -> T:
    """Return `body()`, run without the garbage collector.

    A recording makes many objects and hardly any garbage: with the collector it takes twice as
    long.
    """

    def run() -> T:
        gc.disable()
        return body()

    return undone(run, gc.enable) if gc.isenabled() else body()


def _key(value: Any, tensors: list[Tensor]) -> Any:
    """Return a key that is equal for arguments that share a recording; collect the tensors."""
    if isinstance(value, Tensor):
        tensors.append(value)
        array = value._array
        kind = type(array)
        if kind not in ARRAYS:
            raise CaptureError(
                f"capture: an argument is a tensor of {kind.__name__}, and only steps on ndarrays "
                "and reproducible arrays can be captured: run this one eagerly"
            )
        return kind, array.shape, array.strides, array.dtype, value._node is None
    kind = type(value)
    if kind in (tuple, list):
        return kind, tuple([_key(part, tensors) for part in value])
    if kind is dict:
        return kind, tuple([(name, _key(part, tensors)) for name, part in value.items()])
    if kind is float:
        return kind, value.hex()
    try:
        hash(value)
    except TypeError:
        raise TypeError(
            f"capture: an argument of type {kind.__name__} is neither a tensor nor can it be "
            "hashed: make a tensor of an array, with from_numpy(...)"
        ) from None
    return kind, value

"""Ctrl-C at every line of a step, a recording and a replay: what comes next is right."""

import contextlib
import gc
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest

import minigrad as torch
from minigrad import Tensor, nn, optim, temporary
from minigrad.capture import watch
from minigrad.random import Generator
from minigrad.tape import Node
from minigrad.tensor.base import TensorBase
from tests.minigrad.operations import FUZZ

PACKAGE = str(Path(torch.__file__).parent)
PLACES = [
    (owner, name, vars(owner)[name])
    for owner, name in [
        (TensorBase, "_array"),
        (Node, "grad"),
        (optim.SGD, "step"),
        (Generator, "uniform"),
    ]
]
X, Y = torch.linspace(-1, 1, 4).reshape(-1, 1), torch.ones(4, 1)


class Lines:
    """Counts what happens in minigrad's code, and raises KeyboardInterrupt at one of these.

    Lines that begin, and calls and returns of functions: whatever Python reports.
    """

    def __init__(self, stop: int = -1) -> None:
        self.places: list[tuple[str, int, str]] = []
        self._stop = stop

    def run(self, function: Callable[[], Any]) -> Any:
        """Return what a function returns, None if it was interrupted."""
        before = sys.gettrace()
        sys.settrace(self._trace)
        try:
            return function()
        except KeyboardInterrupt:
            return None
        finally:
            sys.settrace(before)

    def _trace(self, frame: FrameType, event: str, _: Any) -> Any:
        path = frame.f_code.co_filename
        if not path.startswith((PACKAGE, "<captured")):
            return None
        if event != "exception":
            if len(self.places) == self._stop:
                sys.settrace(None)
                self._stop = -1
                raise KeyboardInterrupt
            self.places.append((path, frame.f_lineno, event))
        return self._trace


class Training:
    """A model and its step."""

    def __init__(self, set_to_none: bool = True) -> None:
        self.set_to_none = set_to_none
        self.model = nn.Sequential(nn.Linear(1, 2), nn.Tanh(), nn.Linear(2, 1))
        for i, parameter in enumerate(self.model.parameters()):
            nn.init.constant_(parameter, 0.5 - i)
        self.optimizer = optim.SGD(self.model.parameters(), lr=0.1, momentum=0.5)
        self.captured = torch.capture(self.step)
        self.kept: Any = None

    def step(self, x: Tensor, y: Tensor) -> Tensor:
        self.optimizer.zero_grad(self.set_to_none)
        out = self.model(x)
        out.register_hook(lambda grad: grad * 2)
        out.mul_(2)
        loss = nn.functional.mse_loss(out, y)
        self.kept = loss
        loss.backward()
        self.optimizer.step()
        self.kept = None
        return loss

    def twin(self) -> "Training":
        """Return another one in the same state."""
        twin = Training(self.set_to_none)
        twin.model.load_state_dict(self.model.state_dict())
        twin.optimizer.load_state_dict(self.optimizer.state_dict())
        return twin

    def values(self) -> Any:
        """Return all that a step changes."""
        parameters = list(self.model.parameters())
        states = self.optimizer.state.values()
        buffers = [state["momentum_buffer"] for state in states if state]
        grads = [p.grad for p in parameters if p.grad is not None]
        tensors = [*parameters, *grads, *buffers]
        assert all(type(watch.array_of(tensor)) is np.ndarray for tensor in tensors)
        return [tensor.detach().numpy().tobytes() for tensor in tensors]


def goes_on(training: Training, undisturbed: list[Any]) -> None:
    """Check that all is well: this training can go on, and a new one is as ever."""
    assert not watch.watches
    assert not temporary._originals
    assert all(vars(owner)[name] is value for owner, name, value in PLACES)
    assert gc.isenabled()
    assert torch.is_grad_enabled()
    if training.kept is not None:  # the graph of the interrupted step: it may be swept yet
        assert type(watch.array_of(training.kept)) is np.ndarray
        with contextlib.suppress(RuntimeError):
            training.kept.backward()
        training.values()
        training.optimizer.zero_grad()
    twin = training.twin()
    for run in (training.captured, training.step, training.captured, training.captured):
        assert run(X, Y).item() == twin.step(X, Y).item()
        assert training.values() == twin.values()
    assert trained() == undisturbed


def trained() -> list[Any]:
    """Train a new model, eagerly and captured; return all values."""
    new = Training()
    runs = (new.step, new.captured, new.captured, new.step)
    return [(run(X, Y).item(), new.values()) for run in runs]


def prepared(runs: int, captured: bool) -> Callable[[], tuple[Training, Callable[[], Any]]]:
    """Return what makes a training after some steps, and its next."""

    def prepare() -> tuple[Training, Callable[[], Any]]:
        training = Training(set_to_none=not runs)
        for _ in range(runs):
            training.captured(X, Y)
        run = training.captured if captured else training.step
        return training, lambda: run(X, Y)

    return prepare


CASES = {
    "an eager step": prepared(0, False),
    "a second eager step": prepared(1, False),
    "a recording": prepared(0, True),
    "a replay that is not found at once": prepared(1, True),
    "a replay": prepared(3, True),
}


def stops(places: list[tuple[str, int, str]]) -> list[int]:
    """Return where to interrupt: at the first, middle and last time that each line runs.

    Without `FUZZ` at the first time of a few lines, and of those that undo what was done.
    """
    times: dict[tuple[str, int, str], list[int]] = {}
    for i, place in enumerate(places):
        times.setdefault(place, []).append(i)
    if FUZZ:
        found = {some[j] for some in times.values() for j in (0, len(some) // 2, -1)}
        return sorted(found | set(range(min(len(places), 4000))))
    first = [some[0] for some in times.values()]
    undoing = {i for i in first if places[i][0].endswith("temporary.py")}
    return sorted(undoing | set(first[:: len(first) // 25 + 1]))


@pytest.fixture(autouse=True)
def _quick_collections() -> Iterator[None]:
    """A recording may collect garbage: what other tests have left is not looked at again."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


# An interrupt in a callback of a weak reference is only reported.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("name", CASES)
def test_an_interrupt_anywhere(name: str) -> None:
    undisturbed = trained()
    lines = Lines()
    lines.run(CASES[name]()[1])
    for stop in stops(lines.places):
        training, run = CASES[name]()
        lines = Lines(stop)
        try:
            lines.run(run)
            goes_on(training, undisturbed)
        except BaseException as error:
            error.add_note(f"interrupted at {stop}, after {lines.places[-3:]}")
            raise

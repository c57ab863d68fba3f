"""Ctrl-C at every line of a step, a recording and a replay: what comes next is right."""

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
from minigrad.grad_mode import grad_mode
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

    def __init__(self, momentum: float = 0.5) -> None:
        torch.manual_seed(0)
        self.model = nn.Sequential(nn.Linear(1, 2), nn.Tanh(), nn.Linear(2, 1))
        self.optimizer = optim.SGD(self.model.parameters(), lr=0.1, momentum=momentum)
        self.captured = torch.capture(self.step)
        self.kept: Any = None

    def step(self, x: Tensor, y: Tensor) -> Tensor:
        self.optimizer.zero_grad()
        out = self.model(x)
        with torch.no_grad():
            out.detach().add_(0)
        loss = nn.functional.mse_loss(out, y)
        self.kept = loss
        loss.backward()
        self.optimizer.step()
        self.kept = None
        return loss

    def twin(self) -> "Training":
        """Return another one in the same state."""
        twin = Training()
        twin.model.load_state_dict(self.model.state_dict())
        twin.optimizer.load_state_dict(self.optimizer.state_dict())
        return twin

    def values(self) -> Any:
        """Return all that a step changes."""
        parameters = list(self.model.parameters())
        buffers = [state["momentum_buffer"] for state in self.optimizer.state.values()]
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
    twin = training.twin()
    if isinstance(training.kept, Tensor):  # the graph of the interrupted step
        assert type(watch.array_of(training.kept)) is np.ndarray
        try:
            training.kept.backward()
        except RuntimeError as error:
            assert "second time" in str(error) or "inplace" in str(error) or "grad" in str(error)
        training.values()
        training.optimizer.zero_grad()
    for run in ("captured", "step", "captured", "captured"):
        for one in (training, twin):
            one.result = getattr(one, run if one is training else "step")(X, Y).item()  # type: ignore[attr-defined]
        assert training.result == twin.result  # type: ignore[attr-defined]
        assert training.values() == twin.values()
    assert trained() == undisturbed


def trained() -> list[Any]:
    """Train a new model, eagerly and captured."""
    new, found = Training(), []
    for run in (new.step, new.captured, new.captured, new.step):
        found.append((run(X, Y).item(), new.values()))
    return found


def prepared(runs: int, captured: bool) -> Callable[[], tuple[Training, Callable[[], Any]]]:
    """Return what makes a training after some steps, and its next."""

    def prepare() -> tuple[Training, Callable[[], Any]]:
        training = Training()
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


def stops(places: list[Any], share: int) -> Iterator[int]:
    """Yield where to interrupt: everywhere, or once at each line, and of those one in `share`."""
    if FUZZ:
        yield from range(len(places))
        return
    first = {place: i for i, place in reversed(list(enumerate(places)))}
    machinery = ("captured.py", "record.py", "replay.py", "watch.py", "temporary.py")
    for i, (place, at) in enumerate(sorted(first.items(), key=lambda item: item[1])):
        if i % share == 0 or place[0].endswith(machinery):
            yield at


@pytest.mark.parametrize("name", CASES)
def test_an_interrupt_anywhere(name: str) -> None:
    undisturbed = trained()
    lines = Lines()
    lines.run(CASES[name]()[1])
    for stop in stops(lines.places, 10):
        training, run = CASES[name]()
        lines = Lines(stop)
        try:
            lines.run(run)
            goes_on(training, undisturbed)
        except BaseException as error:
            error.add_note(f"interrupted at {stop}, after {lines.places[-3:]}")
            raise

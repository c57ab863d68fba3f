"""Ctrl-C at every line of a step, a recording and a replay: what comes next is right."""

import contextlib
import copy
import gc
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest
import torch as reference

import minigrad as torch
from minigrad import Tensor, nn, optim, temporary
from minigrad.capture import watch
from tests.minigrad.operations import FUZZ

PACKAGE = str(Path(torch.__file__).parent)
PLACES = [(owner, name, vars(owner)[name]) for owner, name in watch.WATCHED]
X, Y = torch.linspace(-1, 1, 4).reshape(-1, 1), torch.ones(4, 1)


class Lines:
    """Counts what happens in minigrad's code, and raises KeyboardInterrupt at one of these.

    Lines that begin, and calls and returns of functions: whatever Python reports.
    """

    def __init__(self, stop: int = -1) -> None:
        self.places: list[tuple[str, int, str]] = []
        self._stop = stop

    def run(self, function: Callable[[], Any]) -> Any:
        """Return what a function returns, None if it was interrupted.

        In the callback of a weak reference Python reports an interrupt, and goes on.
        """
        trace, hook = sys.gettrace(), sys.unraisablehook
        sys.unraisablehook = lambda report: None  # another one may keep what the step made
        sys.settrace(self._trace)
        try:
            return function()
        except KeyboardInterrupt:
            return None
        finally:
            sys.settrace(trace)
            sys.unraisablehook = hook

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
        twin.optimizer.load_state_dict(copy.deepcopy(self.optimizer.state_dict()))
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


class Graphs:
    """A graph of each parameter, made before an interrupt."""

    def __init__(self, training: Training) -> None:
        self._parameters = list(training.model.parameters())
        self._before = [p.detach().numpy().tobytes() for p in self._parameters]
        self._graphs = [(p * p).sum() for p in self._parameters]

    def check(self) -> None:
        """Check that the graphs of parameters that have changed cannot be swept."""
        for p, before, graph in zip(self._parameters, self._before, self._graphs, strict=True):
            if p.detach().numpy().tobytes() != before:
                with pytest.raises(RuntimeError, match="inplace"):
                    torch.autograd.grad(graph, p)


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
    with ThreadPoolExecutor(1) as pool:  # another thread: no lock is held
        assert pool.submit(trained).result(60) == undisturbed


def trained() -> list[Any]:
    """Train a new model, eagerly and captured; return all values."""
    new = Training()
    runs = (new.step, new.captured, new.captured, new.step)
    return [(run(X, Y).item(), new.values()) for run in runs]


def prepared(
    runs: int, captured: bool, repeats: int = 0
) -> Callable[[], tuple[Training, Callable[[], Any]]]:
    """Return what makes a training after some steps, and its next, or as many in one call."""

    def prepare() -> tuple[Training, Callable[[], Any]]:
        training = Training(set_to_none=not runs)
        for _ in range(runs):
            training.captured(X, Y)
        if repeats:
            return training, lambda: training.captured.repeat(repeats, X, Y)
        run = training.captured if captured else training.step
        return training, lambda: run(X, Y)

    return prepare


CASES = {
    "an eager step": prepared(0, False),
    "a second eager step": prepared(1, False),
    "a recording": prepared(0, True),
    "a replay that is not found at once": prepared(1, True),
    "a replay": prepared(3, True),
    "replays in a loop": prepared(3, True, repeats=4),
}


def stops(places: list[tuple[str, int, str]], turn: int) -> list[int]:
    """Return where to interrupt: at the first, middle and last time that each line runs.

    Without `FUZZ` at the first time of a few lines, and of those that undo what was done: there two
    cases take turns.
    """
    times: dict[tuple[str, int, str], list[int]] = {}
    for i, place in enumerate(places):
        times.setdefault(place, []).append(i)
    if FUZZ:
        found = {some[j] for some in times.values() for j in (0, len(some) // 2, -1)}
        return sorted(found | set(range(min(len(places), 4000))))
    first = [some[0] for some in times.values()]
    undoing = [i for i in first if places[i][0].endswith("temporary.py")]
    return sorted(set(undoing[turn % 2 :: 2]) | set(first[:: len(first) // 6 + 1]))


@pytest.fixture(autouse=True)
def _quick_collections() -> Iterator[None]:
    """A recording may collect garbage: what other tests have left is not looked at again."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.parametrize("name", CASES)
def test_an_interrupt_anywhere(name: str) -> None:
    undisturbed = trained()
    lines = Lines()
    lines.run(CASES[name]()[1])
    for stop in stops(lines.places, list(CASES).index(name)):
        training, run = CASES[name]()
        lines = Lines(stop)
        graphs = Graphs(training)
        try:
            lines.run(run)
            graphs.check()
            goes_on(training, undisturbed)
        except BaseException as error:
            error.add_note(f"interrupted at {stop}, after {lines.places[-3:]}")
            raise


@torch.no_grad()
def decorated(x: Tensor) -> Tensor:
    return x * 2


@torch.enable_grad()
def pieces(x: Tensor) -> Iterator[Tensor]:
    yield x * 2
    yield x * 3


@pytest.mark.parametrize(
    "function",
    [
        lambda w: decorated(w),
        lambda w: list(pieces(w)),
        lambda w: nn.init.normal_(w),
        lambda w: nn.init.constant_(w, 3),
        lambda w: optim.SGD([w], 0.1).step(lambda: w.sum()),
    ],
)
@pytest.mark.parametrize("mode", [True, False])
def test_the_mode_is_as_before(function: Callable[[Any], Any], mode: bool) -> None:
    w = torch.ones(2, requires_grad=True)
    with torch.set_grad_enabled(mode), ThreadPoolExecutor(1) as pool:
        lines = Lines()
        lines.run(lambda: function(w))
        for stop in range(0, len(lines.places), 1 if FUZZ else 3):
            Lines(stop).run(lambda: function(w))
            assert torch.is_grad_enabled() is mode, lines.places[stop]
            pool.submit(torch.randn, 3).result(60)  # no lock is held


@pytest.mark.parametrize("T", [torch, reference], ids=["minigrad", "torch"])
def test_a_block_that_is_interrupted_as_it_ends(T: Any) -> None:
    """What `minigrad.grad_mode` says of torch."""

    def interrupt(frame: FrameType, event: str, _: Any) -> Any:
        if frame.f_code.co_name == "__exit__":
            sys.settrace(None)
            raise KeyboardInterrupt

    before = sys.gettrace()
    with T.enable_grad():
        with contextlib.suppress(KeyboardInterrupt), T.no_grad():
            sys.settrace(interrupt)
        sys.settrace(before)
        assert not T.is_grad_enabled()

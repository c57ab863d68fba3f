"""Several threads: each trains, captures and draws as if it were alone."""

import copy
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch as reference

import minigrad as torch
from minigrad import CaptureError, Generator, Tensor, nn, optim
from minigrad.capture.watch import WATCHED
from minigrad.ops.rule import Rule
from tests.minigrad.operations import FUZZ

THREADS = 8
SCALE = torch.tensor([[0.5]])
"""A tensor that all threads read."""

PLACES = [
    (owner, name, vars(owner)[name])
    for owner, name in (*WATCHED, (Rule, "plan"), (optim.SGD, "zero_grad"))
]


@pytest.fixture(autouse=True)
def _frequent_switches() -> Iterator[None]:
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(interval)
    assert all(vars(owner)[name] is value for owner, name, value in PLACES)


def in_threads(*functions: Callable[[], Any]) -> list[Any]:
    """Run functions at the same time, each in a thread of its own; return what they return."""
    barrier = threading.Barrier(len(functions))

    def run(function: Callable[[], Any]) -> Any:
        barrier.wait(60)
        return function()

    with ThreadPoolExecutor(len(functions)) as pool:
        futures = [pool.submit(run, function) for function in functions]
        return [future.result(300) for future in futures]


def training(seed: int) -> list[bytes]:
    """Train a model, eagerly and captured, and draw; return every value that came of it."""
    generator = Generator().manual_seed(seed)
    model = nn.Sequential(nn.Linear(1, 3), nn.Tanh(), nn.Linear(3, 1))
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.5, generator=generator)
    optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.5 * (seed % 2))
    found: list[Any] = []

    def step(x: Tensor) -> Any:
        optimizer.zero_grad(set_to_none=seed % 3 > 0)
        y = model(x * SCALE)
        y.mul_(2)
        loss = y.square().mean() + (model[0].weight * SCALE).sum()
        loss.backward()
        optimizer.step()
        return loss.detach()

    captured = torch.capture(step)
    for run in (step, captured, captured, step, captured):
        found.append(run(torch.randn(4, 1, generator=generator)))
        found += [p.detach().clone() for p in model.parameters()]
        found += [p.grad.clone() for p in model.parameters()]  # type: ignore[union-attr]
        torch.rand(3)
        torch.randn(17)
    return [tensor.numpy().tobytes() for tensor in found]


def test_threads_train_as_one_does() -> None:
    trainings = 300 if FUZZ else 3
    seeds = [range(i * trainings, (i + 1) * trainings) for i in range(THREADS)]
    alone = [[training(seed) for seed in some] for some in seeds]
    together = in_threads(*(lambda some=some: [training(s) for s in some] for some in seeds))
    assert together == alone


@pytest.mark.parametrize("size", [1, 3, 15, 16, 17, 700])
@pytest.mark.parametrize("name", ["rand", "randn"])
def test_no_number_is_lost(name: str, size: int) -> None:
    draws = 2000 if FUZZ else 40
    generator, theirs = Generator().manual_seed(1), reference.Generator().manual_seed(1)

    def draw() -> list[Any]:
        return [getattr(torch, name)(size, generator=generator).tolist() for _ in range(draws)]

    found = [each for some in in_threads(*[draw] * THREADS) for each in some]
    draw_theirs = getattr(reference, name)
    expected = [draw_theirs(size, generator=theirs).tolist() for _ in range(draws * THREADS)]
    if name == "randn" and size < 16:  # they are drawn one by one, also from an earlier pair
        found, expected = ([x for each in some for x in each] for some in (found, expected))
    assert sorted(found) == sorted(expected)
    assert generator.get_state().tolist() == theirs.get_state().tolist()


def test_seeds_and_states_are_whole() -> None:
    """A draw is made from one state, however often other threads seed and set states."""
    generator = Generator()
    calls = 20_000 if FUZZ else 300
    generator.manual_seed(5)
    possible = {tuple(torch.randn(3, generator=generator).tolist()) for _ in range(2 * calls)}
    state = generator.manual_seed(5).get_state()

    def seed() -> None:
        for _ in range(calls):
            generator.manual_seed(5)
            generator.set_state(state)

    def draw() -> set[Any]:
        return {tuple(torch.randn(3, generator=generator).tolist()) for _ in range(calls)}

    def look() -> set[Any]:
        copies = (copy.copy(generator) for _ in range(calls))
        return {tuple(torch.randn(3, generator=one).tolist()) for one in copies}

    _, *found = in_threads(seed, draw, look)
    assert [some - possible for some in found] == [set(), set()]


def test_a_thread_trains_while_another_records() -> None:
    def model() -> tuple[Any, Any]:
        w = torch.tensor([1.0, 2.0], requires_grad=True)
        return w, optim.SGD([w], lr=0.1, momentum=0.5)

    def eager(w: Any, optimizer: Any) -> list[Any]:
        found = []
        for _ in range(3):
            optimizer.zero_grad()
            (w * w).sum().backward()
            found.append(w.grad.tolist())
            optimizer.step()
        return [*found, w.tolist(), optimizer.state[w]["momentum_buffer"].tolist()]

    one, (w, optimizer), (other, others) = model(), model(), model()
    alone, again = eager(*one), eager(*one)
    go, done = threading.Event(), threading.Event()

    def step(x: Tensor) -> Tensor:
        optimizer.zero_grad()
        loss: Tensor = (w * x).sum()
        go.set()
        assert done.wait(60)
        loss.backward()
        optimizer.step()
        return loss

    def elsewhere() -> Any:
        assert go.wait(60)
        state = torch.random.default_generator.get_state()
        found = eager(other, others)
        drawn = torch.rand(2).tolist(), torch.manual_seed(3).initial_seed()
        torch.random.default_generator.set_state(state)
        done.set()
        return found, drawn[1], torch.rand(2).tolist() == drawn[0]

    captured = torch.capture(step)
    first, found = in_threads(lambda: captured(torch.tensor([1.0, 1.0])), elsewhere)
    assert found == (alone, 3, True)
    assert (first.item(), w.grad.tolist()) == (3.0, [1.0, 1.0])
    assert type(other.grad._array) is np.ndarray
    assert eager(other, others) == again
    captured(torch.tensor([2.0, 2.0]))
    assert w.grad.tolist() == [2.0, 2.0]


def test_one_captured_step_in_several_threads() -> None:
    w = torch.tensor([2.0], requires_grad=True)
    captured = torch.capture(lambda x, n: (w * x * n).sum(), cache_size=3)

    def call(thread: int) -> list[Any]:
        xs = [float(thread * 1000 + i) for i in range(2000 if FUZZ else 200)]
        return [(x, n := i // 50 % 4, captured(torch.tensor([x] * n), n).item())
                for i, x in enumerate(xs)]  # fmt: skip

    for found in in_threads(*(lambda i=i: call(i) for i in range(THREADS))):
        assert all(result == 2 * x * n * n for x, n, result in found)


def run_elsewhere(function: Callable[[], Any]) -> Any:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function).result(60)


def swallowed(function: Callable[[], Any]) -> None:
    """Run a function in a thread, as `threading` does: its errors are not raised here."""
    thread = threading.Thread(target=function)
    thread.start()
    thread.join()


PARTS: dict[str, tuple[str, Callable[[Any, Any], Any]]] = {
    "a model": ("another thread made", lambda w, x: run_elsewhere(lambda: w * 2) * x),
    "an input": ("another thread made", lambda w, x: w + run_elsewhere(lambda: torch.ones(2))),
    "what was recorded": ("another thread made", lambda w, x: run_elsewhere((w * x).sum) + x),
    "a gradient": ("in another thread", lambda w, x: run_elsewhere((w * x).sum().backward)),
    "silently": ("in another thread", lambda w, x: swallowed((w * x).sum().backward)),
}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("name", PARTS)
def test_a_part_of_a_step_in_another_thread_is_refused(name: str) -> None:
    words, step = PARTS[name]
    w: Any = torch.tensor([1.0, 2.0], requires_grad=True)
    x = torch.ones(2)
    with pytest.raises(CaptureError, match=words):
        torch.capture(step)(w, x)
    with pytest.raises(CaptureError, match=words):
        torch.capture(lambda: step(w, x))()
    assert [w.grad] == [None]
    (w * x).sum().backward()
    assert w.grad.tolist() == [1.0, 1.0]


def explained() -> tuple[Tensor, Callable[[Callable[[], Tensor]], Any]]:
    """A parameter, and what explains its step."""
    return torch.tensor([1.0, 2.0], requires_grad=True), lambda step: str(torch.explain(step))


def captured() -> tuple[Tensor, Callable[[Callable[[], Tensor]], Any]]:
    """A parameter, and what captures its step and runs it three times."""
    w = torch.tensor([1.0, 2.0], requires_grad=True)

    def run(step: Callable[[], Tensor]) -> Any:
        captured = torch.capture(step)
        return [captured().item() for _ in range(3)], w.tolist()

    return w, run


def overlapping(make: Any, before: Callable[[], Any], after: Callable[[], Any]) -> Any:
    """Return what a step shows that, when it first runs, calls these at its begin and end."""
    w, run = make()
    optimizer = optim.SGD([w], lr=0.1, momentum=0.5)
    calls = [before, after]

    def step() -> Tensor:
        if calls:
            calls.pop(0)()
        optimizer.zero_grad()
        loss: Tensor = (w * w).sum()
        loss.backward()
        optimizer.step()
        if calls:
            calls.pop(0)()
        return loss

    return run(step)


@pytest.mark.parametrize("first", [explained, captured])
@pytest.mark.parametrize("second", [explained, captured])
def test_what_begins_first_ends_first(first: Any, second: Any) -> None:
    begun, second_done, ended = (threading.Event() for _ in range(3))

    def run_first() -> Any:
        found = overlapping(first, begun.set, lambda: second_done.wait(60))
        ended.set()
        return found

    def second_is_done() -> None:
        second_done.set()
        assert ended.wait(60)

    def run_second() -> Any:
        return overlapping(second, lambda: begun.wait(60), second_is_done)

    alone = [overlapping(make, bool, bool) for make in (first, second)]
    assert in_threads(run_first, run_second) == alone

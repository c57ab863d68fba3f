"""What `capture` refuses, and what it has to see twice before it trusts it."""

import gc
import itertools
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minigrad as torch
from minigrad import CaptureError, Tensor, nn, optim
from minigrad.arrays.conversion import budgeted
from tests.minigrad.test_capture import assert_same, bits, network

READS: dict[str, Callable[[Tensor], Any]] = {
    "item": lambda x: x.sum().item(),
    "tolist": lambda x: x.tolist(),
    "numpy": lambda x: x.numpy(),
    "__array__": lambda x: np.asarray(x),
    "__float__": lambda x: float(x.sum()),
    "__int__": lambda x: int(x.sum()),
    "__bool__": lambda x: bool(x.sum() > 0),
    "__repr__": lambda x: print(x),
    "__format__": lambda x: f"{x.sum():.3f}",
    "__contains__": lambda x: 1.0 in x,
    "__getitem__": lambda x: x[x > 0],
    "__setitem__": lambda x: x.clone().__setitem__(x > 0, 1.0),
}


@pytest.mark.parametrize("name", READS)
def test_reading_a_value(name: str) -> None:
    captured = torch.capture(READS[name])
    x = torch.tensor([1.0, 2.0])
    with pytest.raises(CaptureError) as caught:
        captured(x)
    message = str(caught.value)
    assert f"{name}()" in message, message
    assert "test_capture_refused.py:" in message
    assert "lambda x:" in message
    assert bits(x * 2) == bits(torch.tensor([2.0, 4.0])), "nothing is left of the recording"
    assert x._array.__class__ is np.ndarray


def test_the_line_is_that_of_the_read_and_not_of_the_call() -> None:
    def deep(x: Tensor) -> Any:
        y = x * 2
        return y.item()  # this line

    with pytest.raises(CaptureError, match=r"`return y\.item\(\)  # this line`"):
        torch.capture(lambda x: deep(x))(torch.tensor([1.0]))


PLAIN, OTHER = torch.tensor([1.0]), budgeted(torch.tensor([1.0]))
MODEL = network()

REFUSED: dict[str, tuple[Callable[..., Any], list[Tensor], str]] = {
    "normal numbers": (lambda x: x + torch.randn(1), [PLAIN], "random"),
    "uniform numbers": (lambda: nn.Linear(2, 2), [], "random"),
    "outside of the vocabulary": (lambda: torch.from_numpy(np.sinh(PLAIN._array)), [], "sinh"),
    "array of another type": (lambda: OTHER * 2, [], "BudgetedArray"),
    "argument of another type": (lambda x: x * 2, [OTHER], "BudgetedArray"),
    "converting a module": (lambda: MODEL.double(), [], "copy_"),
    "changed argument": (lambda x: x.add_(1), [PLAIN], r"refused.py.*x\.add_.*changes argument 0"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    step, arguments, words = REFUSED[name]
    with pytest.raises(CaptureError, match=words):
        torch.capture(step)(*arguments)
    torch.randn(1)
    assert PLAIN.tolist() == [1.0]


def test_an_error_in_the_step_leaves_no_trace() -> None:
    w: Any = torch.tensor([1.0], requires_grad=True)

    def step() -> None:
        (w * 2).backward()
        raise ZeroDivisionError

    captured = torch.capture(step)
    for _ in range(2):
        w.grad = None
        with pytest.raises(ZeroDivisionError):
            captured()
        assert isinstance(w._array, np.ndarray)
        assert w.grad is not None
        assert isinstance(w.grad._array, np.ndarray)
        assert w.grad.tolist() == [2.0]
    (w * 3).backward()
    assert w.grad.tolist() == [5.0]


@pytest.mark.parametrize(("arguments", "error"), [((5,), TypeError), ((print, 0), ValueError)])
def test_what_is_no_step(arguments: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="capture"):
        torch.capture(arguments[0], **({"cache_size": arguments[1]} if arguments[1:] else {}))


# ---- optimizers of one's own ------------------------------------------------------------------


class Momentum:
    """Keeps buffers where nobody looks: in place, or a new tensor each time."""

    def __init__(self, parameters: Any, in_place: bool, rate: Callable[[int], float]) -> None:
        self.param_groups = [{"params": list(parameters)}]
        self.state: dict[int, dict[str, Tensor]] = {}
        self.in_place = in_place
        self.rate = rate
        self.t = 0

    def step(self) -> None:
        self.t += 1
        with torch.no_grad():
            for i, p in enumerate(self.param_groups[0]["params"]):
                assert p.grad is not None
                if i not in self.state:
                    self.state[i] = {"momentum_buffer": p.grad.clone()}
                elif self.in_place:
                    self.state[i]["momentum_buffer"].mul_(0.9).add_(p.grad)
                else:
                    new = self.state[i]["momentum_buffer"] * 0.9 + p.grad
                    self.state[i] = {"momentum_buffer": new}
                p.sub_(self.state[i]["momentum_buffer"], alpha=self.rate(self.t))


OWN = """
optimizer = Momentum(model.parameters(), in_place, rate)
def step():
    runs.append(1)
    for p in model.parameters():
        p.grad = None
    loss = model(x).square().mean()
    loss.backward()
    optimizer.step()
    return loss
calls = [()] * 8
"""


def own(code: str = OWN, in_place: bool = True, rate: Any = lambda t: 0.01) -> dict[str, Any]:
    return assert_same(code, Momentum=Momentum, in_place=in_place, rate=rate)


@pytest.mark.parametrize("in_place", [True, False])
def test_an_optimizer_of_ones_own(in_place: bool) -> None:
    assert len(own(in_place=in_place)["runs"]) == 3


def test_a_number_that_changes_at_every_step() -> None:
    with pytest.raises(CaptureError, match=r"the number .* Pass a number that changes as a tensor"):
        own(rate=lambda t: 0.01 / t)


def test_tensors_that_are_kept_of_every_step() -> None:
    with pytest.raises(CaptureError, match="keeps tensors of every call"):
        own(OWN.replace("return loss", "runs.append(loss)"))


def test_the_last_result_kept_as_an_attribute() -> None:
    class Trainer:
        loss: Any = None

        def step(self, x: Tensor) -> None:
            self.loss = (x * 2).sum()

    trainer = Trainer()
    captured = torch.capture(trainer.step)
    for value in (1.0, 2.0, 3.0, 4.0):
        captured(torch.tensor([value]))
        assert trainer.loss.item() == 2 * value


# ---- memory -----------------------------------------------------------------------------------


def test_few_recordings_are_kept() -> None:
    runs = itertools.count()

    def double(x: Tensor) -> Tensor:
        next(runs)
        return x * 2

    captured = torch.capture(double, cache_size=2)
    for n in (1, 2, 1, 3, 1, 2):
        captured(torch.zeros(n))
    assert next(runs) == 4  # 1, 2, 3 in the place of 2, and 2 in the place of 3
    assert sum(map(len, captured._replays.values())) == 2


def test_a_step_that_is_never_replayed_is_warned_about() -> None:
    x = torch.tensor([0.0])
    captured = torch.capture(lambda: x * 2, cache_size=3)

    def calls(count: int) -> None:
        nonlocal x
        for i in range(count):
            x = torch.tensor([float(i)])
            assert captured().item() == 2 * i

    with pytest.warns(RuntimeWarning, match="Pass tensors that change as arguments") as caught:
        calls(12)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    captured()
    calls(8)


def test_a_recording_that_is_dropped_frees_its_memory() -> None:
    captured = torch.capture(lambda x: x * 2 + 1, cache_size=1)
    gc.disable()
    try:
        captured(torch.zeros(3))
        (replays,) = captured._replays.values()
        replay = weakref.ref(replays[0])
        del replays
        captured(torch.zeros(4))
        assert replay() is None
    finally:
        gc.enable()


def test_an_sgd_that_changes_its_own_options() -> None:
    w = torch.tensor([1.0], requires_grad=True)
    optimizer = optim.SGD([w], lr=0.1)

    def step() -> None:
        optimizer.zero_grad()
        (w * w).sum().backward()
        optimizer.step()
        optimizer.param_groups[0]["lr"] *= 0.5

    with pytest.raises(CaptureError, match="lr"):
        torch.capture(step)()


@pytest.mark.parametrize("size", [10, 300_000])
def test_changes_in_memory_that_numpy_does_not_know_to_be_shared(size: int) -> None:
    def tensors(whole: Any) -> list[Tensor]:
        shifted = np.lib.stride_tricks.as_strided(whole[1:], (size,), (4,))
        return [torch.from_numpy(array) for array in (whole[:size], shifted)]

    def step() -> Tensor:
        a.add_(1)
        return b * 2

    a, b = tensors(np.zeros(size + 1, np.float32))
    with pytest.raises(CaptureError, match="belongs to two arrays"):
        torch.capture(step)()
    only_read = torch.capture(lambda: a + b)
    expected = (a + b).tolist()
    assert all(only_read().tolist() == expected for _ in range(3))
    apart = [torch.from_numpy(np.zeros(size, np.float32)) for _ in range(2)]
    a, b = apart
    captured = torch.capture(step)
    assert [captured().sum().item() for _ in range(3)] == [0.0] * 3

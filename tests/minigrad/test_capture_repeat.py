"""`captured.repeat(n)`: n steps in one call, the same as n calls in every bit."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minigrad as torch
from minigrad import Tensor, optim
from minigrad.architectures import build
from minigrad.capture.replay import Replay
from tests.minigrad.test_capture import bits

X = torch.from_numpy(np.linspace(-2, 2, 40, dtype=np.float32).reshape(-1, 1))
COUNTS = [1, 2, 7, 3]


class Training:
    """A network with its optimizer, and steps on them."""

    def __init__(self, **options: Any) -> None:
        torch.manual_seed(0)
        self.model = build((1, 8, 1))
        self.optimizer = optim.SGD(self.model.parameters(), lr=0.05, **options)
        self.w = torch.tensor([3.0], requires_grad=True)
        self.count = torch.zeros(2)

    def loss(self, x: Tensor = X) -> Tensor:
        loss: Tensor = (self.model(x) - x * x).square().mean()
        loss.backward()
        self.optimizer.step()
        return loss

    def step(self) -> Tensor:
        self.optimizer.zero_grad()
        return self.loss()

    def kept_gradients(self, x: Tensor) -> Tensor:
        self.optimizer.zero_grad(set_to_none=False)
        return self.loss(x)

    def counted(self) -> Tensor:
        self.count.add_(torch.tensor([1.0, 2.0]))
        return self.count * 1

    def shown(self) -> Tensor:
        return self.count.add_(1)

    def of_itself(self, w: Tensor) -> Tensor:
        return self.count.add_(w.detach()).sum()

    def gradient_of_argument(self, w: Tensor) -> Tensor:
        loss = (w * w).sum()
        loss.backward()
        return loss

    def values(self) -> list[Any]:
        parameters = [*self.model.parameters(), self.w, self.count]
        states = [state["momentum_buffer"] for state in self.optimizer.state.values() if state]
        return list(map(bits, [*parameters, *(p.grad for p in parameters), *states]))


CASES: dict[str, tuple[dict[str, Any], Callable[[Training], list[Any]], bool]] = {
    "step": ({}, lambda t: [], True),
    "step with momentum": ({"momentum": 0.9, "nesterov": True}, lambda t: [], True),
    "loss": ({"weight_decay": 0.1}, lambda t: [], True),
    "kept_gradients": ({}, lambda t: [X * 1], True),
    "counted": ({}, lambda t: [], True),
    "shown": ({}, lambda t: [], False),
    "of_itself": ({}, lambda t: [t.count], True),
    "gradient_of_argument": ({}, lambda t: [t.w], False),
}
"""By step: options of SGD, the step's arguments, and whether no Python runs between steps."""


def differences(name: str) -> list[int]:
    """Return the calls after which a repeated step differs from as many eager ones."""
    options, arguments, _ = CASES[name]
    eager, repeated = Training(**options), Training(**options)
    step = getattr(eager, name.split()[0])
    captured = torch.capture(getattr(repeated, name.split()[0]))
    found = []
    for i, n in enumerate(COUNTS):
        for training in (eager, repeated):
            training.optimizer.param_groups[0]["lr"] = 0.05 / (i + 1)
        expected = [step(*arguments(eager)).detach().clone() for _ in range(n)]
        actual = captured.repeat(n, *arguments(repeated))
        if (bits(actual), repeated.values()) != (bits(torch.stack(expected)), eager.values()):
            found.append(i)
    return found


@pytest.mark.parametrize("name", CASES)
def test_repeat_is_calls(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    looped = []
    repeat = Replay.repeat

    def noted(self: Replay, n: int, arguments: list[Tensor]) -> Tensor | None:
        losses = repeat(self, n, arguments)
        looped.append(0 if losses is None else n)
        return losses

    monkeypatch.setattr(Replay, "repeat", noted)
    assert differences(name) == []
    assert (sum(looped) > 0) is CASES[name][2]


def test_a_step_too_few_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    repeat = Replay.repeat

    def one_less(self: Replay, n: int, arguments: list[Tensor]) -> Tensor | None:
        losses = repeat(self, n and n - 1, arguments)
        return losses if losses is None else torch.cat([losses, losses[-1:]])

    monkeypatch.setattr(Replay, "repeat", one_less)
    assert differences("step") == [2, 3]


def test_a_graph_that_was_made_before_notices_the_steps() -> None:
    training = Training()
    captured = torch.capture(training.step)
    captured.repeat(3)
    graph = training.model[0].weight.square().sum()
    captured.repeat(5)
    with pytest.raises(RuntimeError, match="inplace"):
        graph.backward()


def test_within_another_captured_step() -> None:
    eager, captured = Training(), Training()
    inner = torch.capture(captured.step)
    outer = torch.capture(lambda: inner.repeat(3) * 2)
    inner.repeat(4)
    for _ in range(4):
        eager.step()
    for _ in range(3):
        expected = torch.stack([eager.step().detach() for _ in range(3)]) * 2
        assert bits(outer()) == bits(expected)


@pytest.mark.parametrize(
    ("step", "n", "error", "text"),
    [
        (lambda: torch.ones(2), 0, ValueError, "repeat: n, the number of steps, must be at least"),
        (lambda: torch.ones(2), 1.5, TypeError, "integer"),
        (lambda: (torch.ones(2), 1), 2, TypeError, "repeat: the step returned a tuple"),
        (lambda: None, 2, TypeError, "repeat: the step returned a NoneType"),
    ],
)
def test_what_is_refused(step: Any, n: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        torch.capture(step).repeat(n)

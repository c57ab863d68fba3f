"""torch's own test inputs: whatever minigrad has gives torch's value, or raises as torch does."""

import json
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch

import minigrad
from minigrad.ops import RULE_OF, Rule, activation
from tests.minigrad import torch_samples
from tests.minigrad.operations import FUZZ
from tests.minigrad.torch_samples import Form, compared, for_minigrad, for_torch, mapped

TABLE: dict[str, dict[str, int]] = json.loads(torch_samples.TABLE.read_text())


@pytest.fixture(autouse=True)
def every_warning() -> Iterator[None]:
    """Have torch warn each time, and not the first time only."""
    before = torch.is_warn_always_enabled()
    torch.set_warn_always(True)
    yield
    torch.set_warn_always(before)


@pytest.mark.parametrize("name", TABLE)
def test_outcomes_are_torchs(name: str) -> None:
    """What cannot be compared is counted by what minigrad lacks for it, and is as it was."""
    result = torch_samples.everything()[name](FUZZ)
    assert not result.different, "\n".join(result.different[:5])
    assert dict(result.counts) == TABLE[name], "python -m tests.minigrad.torch_samples counts anew"


def test_the_table_names_all_that_torch_and_minigrad_have() -> None:
    assert sorted(TABLE) == sorted(torch_samples.everything())


# ---- what is wrong is found --------------------------------------------------------------------


def negated(grad_out: Any, out: Any) -> Any:
    return activation.tanh_backward_x(np.negative(grad_out), out)


negated.__name__ = "tanh_backward_x"
RULES = {"wrong sign": Rule(activation.tanh, negated), "no derivative": Rule(activation.tanh)}


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_a_wrong_rule_is_found(rule: Rule, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(RULE_OF, activation.tanh, rule)
    different = torch_samples.everything()["tanh"](False).different
    assert any("float32" in text for text in different)
    assert any("float64" in text for text in different)


def leaf(*values: float) -> Any:
    return torch.tensor(values, requires_grad=True)


def exp_of_constant_slope(x: Any) -> Any:
    start = x.detach()
    return start.exp() * (x - start + 1)


def warning_sum(x: Any) -> Any:
    warnings.warn("this is slow", stacklevel=2)
    return x.sum()


MSE = "nn.functional.mse_loss"
x, y, column = leaf(0.5, 2.0), leaf(3.0, -4.0), leaf(1.0, 2.0).detach().reshape(2, 1)
DEFECTS: dict[str, tuple[Any, ...]] = {
    "a value": ("tanh", lambda x: x.tanh() * 1.00001, x),
    "one element": ("add", lambda x, y: x + y * minigrad.tensor([1.0, 0.9999]), x, y),
    "a dtype": ("tanh", lambda x: x.double().tanh(), x),
    "a shape": ("sum", lambda x: x.sum().reshape(1), x),
    "a derivative of the wrong sign": ("exp", lambda x: 2 * x.exp().detach() - x.exp(), x),
    "a derivative of the wrong size": ("exp", lambda x: x.exp() + 1e-4 * (x - x.detach()), x),
    "no gradient": ("mul", lambda x, y: x * y.detach(), x, y),
    "no second derivative": ("exp", exp_of_constant_slope, x),
    "nothing recorded": ("tanh", lambda x: x.detach().tanh(), x),
    "too much recorded": ("clone", lambda x: x.clone().requires_grad_(), x.detach()),
    "not in place": ("mul_", lambda x, y: x * y, x, y),
    "in place, but a copy is returned": ("mul_", lambda x, y: x.mul_(y).clone(), x, y),
    "accepted": ("mm", lambda x, y: x * y, x, y),
    "refused": ("sub", lambda x, y: x.mm(y), x, y),
    "another exception": ("mm", lambda x, y: [][0], x, y),
    "a warning": ("sum", warning_sum, x),
    "no warning": (MSE, lambda x, y: (x - y).square().mean(), x, column),
}


@pytest.mark.parametrize("defect", DEFECTS)
def test_a_defect_is_found(defect: str) -> None:
    name, wrong, *arguments = DEFECTS[defect]
    kinds = (minigrad.Tensor, torch.Tensor) if name.endswith("_") else (minigrad, torch)
    right, theirs = (torch_samples.reached(kind, name) for kind in kinds)
    ours_given, given = (mapped(convert, (arguments, {})) for convert in (for_minigrad, for_torch))

    def found(ours: Callable[..., Any]) -> list[str]:
        form = Form(name, theirs, ours, in_place=name.endswith("_"))
        return compared(name, form, ours_given, given, orders=4, counts=Counter())

    assert not found(right)
    assert found(wrong)


def test_what_is_lacking_must_be_refused() -> None:
    """An argument that minigrad lacks is counted as such only where it raises."""
    given = [x.detach(), y.detach()], {"alpha": 2}

    def silent(x: Any, y: Any, **options: Any) -> Any:
        return x + y

    counts: Counter[str] = Counter()
    ours = mapped(for_minigrad, given)
    assert compared("add", Form("add", torch.add, silent), ours, given, 1, counts)
    assert not compared("mul", Form("mul", torch.add, minigrad.mul), ours, given, 1, counts)
    assert counts == {"lacks alpha=": 2}

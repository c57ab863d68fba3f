"""Locating: every defect at its own node, of minigrad's rules and of other engines."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import minigrad
from minigrad import optim
from minigrad.arrays.reproducible import ReproducibleArray
from minigrad.ops import RULES
from minigrad.tensor import backward
from parity.checks.locate import line_of, locate
from parity.engines.adapters.torch import TorchEngine
from parity.engines.process import EngineProcess, LocalObject
from parity.engines.protocol import Array, Start, Task, Traced
from parity.engines.registry import factory
from parity.engines.trainer import Trainer
from tests.parity.fake_engines import drawn
from tests.parity.wrong_engines import HookedEngine, TaciturnEngine

DTYPES = pytest.mark.parametrize("dtype", ["float32", "float64"])
ROOT = Path(minigrad.__file__).parents[1]
SQUARE = (1, 6, 6, 1)
"""Its layer "2" is square, so that a transposed gradient has the right shape."""

TWINS = ("minigrad-reproducible", "torch-reproducible")


def task(dtype: str = "float32", **changes: Any) -> Task:
    settings = {"sizes": SQUARE, "epochs": 9, "learning_rate": 0.01, "samples": 50, "seed": 3}
    settings |= {"momentum": 0.9, "device": "cpu", "dtype": dtype}
    return Task(**{**settings, **changes})


class Both:
    """Two engines at the same state, some epochs from where they start."""

    def __init__(self, job: Task, actual: Any, expected: Any, epochs: int = 2) -> None:
        self.job = job
        self.trainers = [
            Trainer(factory(engine) if isinstance(engine, str) else engine)
            for engine in (actual, expected)
        ]
        trainer = self.trainers[1]
        start = trainer.draw(job)
        assert start is not None
        parameters, self.buffers = trainer.state_before(job, start, epochs)
        self.start = replace(start, parameters=parameters)

    def traces(self) -> list[list[Traced]]:
        found = [t.trace(self.job, self.start, self.buffers) for t in self.trainers]
        assert found[0] is not None
        assert found[1] is not None
        return found  # type: ignore[return-value]

    def located(self, bits: bool = False) -> dict[str, Any] | None:
        actual, expected = (LocalObject(trainer) for trainer in self.trainers)
        return locate(actual, expected, self.job, self.start, self.buffers, bits=bits)


def place(found: dict[str, Any] | None) -> tuple[str, ...]:
    assert found is not None
    assert_line(found)
    return found["phase"], found["node"], found["tensor"], found["rule"]


def assert_line(found: dict[str, Any]) -> None:
    """The line that is named holds the definition of the rule that is named."""
    file, _, number = found["line"].partition(":")
    line = (ROOT / file).read_text().splitlines()[int(number) - 1]
    assert line.strip().startswith(f"def {found['rule'].rpartition('.')[2]}(")


# ---- no defect ----------------------------------------------------------------------------------


@DTYPES
@pytest.mark.parametrize(
    ("sizes", "changes"),
    [
        ((1, 1, 1), {}),
        ((1, 1), {"momentum": 0.0}),
        ((1, 16, 16, 1), {}),
        ((1, 16, 16, 1), {"samples": 1}),
        ((1, 300, 40, 1), {"samples": 400, "momentum": 0.0}),
        ((1, 8, 8, 1), {"learning_rate": 3.0}),  # dead or on the way to infinity
        ((1, 8, 8, 1), {"learning_rate": 1e30}),  # not finite
    ],
)
def test_nothing_is_found_in_correct_engines(
    sizes: tuple[int, ...], changes: dict[str, Any], dtype: str
) -> None:
    for seed in range(2):
        job = task(dtype, sizes=sizes, seed=seed, **changes)
        for epochs in (0, 6):
            assert Both(job, "minigrad", "torch", epochs).located() is None
            assert Both(job, *TWINS, epochs).located(bits=True) is None


def test_plain_engines_differ_in_bits() -> None:
    both = Both(task(samples=100), "minigrad", "torch")
    assert both.located() is None
    found = both.located(bits=True)
    assert found is not None
    assert found["budget"] == 0
    assert float.fromhex(found["actual"]) != float.fromhex(found["expected"])


# ---- defects of minigrad's rules ----------------------------------------------------------------

Patch = pytest.MonkeyPatch
Function = Callable[..., Any]


def plant(patch: Patch, name: str, wrong: Callable[[Function], Function]) -> None:
    """Put what `wrong` makes of a forward function or derivative into its rule."""
    forward, _, source = name.partition("_backward_")
    rule = RULES[forward]
    function = rule._backwards[source] if source else rule.forward
    planted = functools.wraps(function)(wrong(function))
    if source:
        patch.setitem(rule._backwards, source, planted)
        patch.setattr(rule, "plan", rule._make_plan)
    else:
        patch.setattr(rule, "forward", planted)


def scaled(factor: float, shape: tuple[int, ...] | None = None) -> Callable[[Function], Function]:
    """The result times a factor, where it has this shape."""

    def wrong(function: Function) -> Function:
        def result(*inputs: Any) -> Any:
            out = function(*inputs)
            return np.multiply(out, factor) if shape in (None, out.shape) else out

        return result

    return wrong


def _transposed(function: Function) -> Function:
    def result(grad_out: Any, x: Any) -> Any:
        out = function(grad_out, x)
        return out.mT if out.shape == (6, 6) else out

    return result


def _rule(name: str, wrong: Callable[[Function], Function]) -> Callable[[Patch], None]:
    return lambda patch: plant(patch, name, wrong)


def _swept_from_two(patch: Patch) -> None:
    root = backward._root
    patch.setattr(backward, "_root", lambda *given: root(*given) * 2)


def _buffers_too_large(patch: Patch) -> None:
    direction = optim.SGD._direction

    def wrong(self: optim.SGD, parameter: Any, grad: Any, group: Any) -> Any:
        return direction(self, parameter, np.multiply(grad, 1.001), group)

    patch.setattr(optim.SGD, "_direction", functools.wraps(direction)(wrong))


def _other_rate(patch: Patch, other: Callable[[float], float]) -> None:
    step = optim.SGD.step

    def wrong(self: optim.SGD) -> None:
        (group,) = self.param_groups
        rate = group["lr"]
        group["lr"] = other(rate)
        step(self)
        group["lr"] = rate

    patch.setattr(optim.SGD, "step", functools.wraps(step)(wrong))


def _rate_too_large(patch: Patch) -> None:
    _other_rate(patch, lambda rate: rate * 1.001)


def _gradients_kept(patch: Patch) -> None:
    patch.setattr(optim.SGD, "zero_grad", lambda self: None)


DEFECTS: dict[str, tuple[Callable[[Patch], None], tuple[str, str, str, str]]] = {
    "relu's derivative is 1": (
        _rule("relu_backward_x", lambda f: lambda grad_out, out: np.multiply(grad_out, 1)),
        ("backward", "3", "input", "relu_backward_x"),
    ),
    "relu's derivative scales": (
        _rule("relu_backward_x", scaled(1 + 1e-5)),
        ("backward", "3", "input", "relu_backward_x"),
    ),
    "relu leaks": (
        _rule("relu", lambda f: lambda x: np.maximum(np.multiply(0.01, x), x)),
        ("forward", "1", "output", "relu"),
    ),
    "weight gradient transposed": (
        _rule("linear_backward_weight", _transposed),
        ("backward", "2", "2.weight", "linear_backward_weight"),
    ),
    "weight gradient of layer 2 scaled": (
        _rule("linear_backward_weight", scaled(1 + 1e-4, (6, 6))),
        ("backward", "2", "2.weight", "linear_backward_weight"),
    ),
    "weight gradient of every other row": (
        _rule(
            "linear_backward_weight",
            lambda f: lambda grad_out, x: np.matmul(grad_out[::2].mT, x[::2]),
        ),
        ("backward", "4", "4.weight", "linear_backward_weight"),
    ),
    "input gradient of layer 2 negated": (
        _rule(
            "linear_backward_x",
            lambda f: lambda g, w: np.multiply(f(g, w), -1 if w.shape == (6, 6) else 1),
        ),
        ("backward", "2", "input", "linear_backward_x"),
    ),
    "bias gradient a mean": (
        _rule("linear_backward_bias", scaled(1 / 50)),
        ("backward", "4", "4.bias", "linear_backward_bias"),
    ),
    "bias left out": (
        _rule("linear", lambda f: lambda x, weight, bias: np.matmul(x, weight.mT)),
        ("forward", "0", "output", "linear"),
    ),
    "layer 2 forward scaled": (
        _rule(
            "linear",
            lambda f: lambda x, w, b: np.multiply(f(x, w, b), 1.001 if w.shape == (6, 6) else 1),
        ),
        ("forward", "2", "output", "linear"),
    ),
    "mean over n - 1": (
        _rule("mse_loss", scaled(50 / 49)),
        ("forward", "loss", "output", "mse_loss"),
    ),
    "loss's derivative without its 2": (
        _rule("mse_loss_backward_x", scaled(0.5)),
        ("backward", "loss", "input", "mse_loss_backward_x"),
    ),
    "swept from 2": (
        _swept_from_two,
        ("backward", "loss", "output", minigrad.Tensor.backward.__qualname__),
    ),
    "momentum of too large gradients": (
        _buffers_too_large,
        ("optimizer", "0", "0.weight.momentum_buffer", "SGD._direction"),
    ),
    "learning rate too large": (_rate_too_large, ("optimizer", "0", "0.weight", "SGD.step")),
    "gradients never zeroed": (
        _gradients_kept,
        ("backward", "4", "4.weight", "linear_backward_weight"),
    ),
}


@DTYPES
@pytest.mark.parametrize("engine", ["tested", "reference"])
@pytest.mark.parametrize("name", DEFECTS)
def test_a_defect_of_minigrad_is_located(
    name: str, engine: str, dtype: str, monkeypatch: Patch
) -> None:
    """The rules that the budgets come from have the defect, too: torch tells."""
    names = ("minigrad", "torch") if engine == "tested" else ("torch", "minigrad")
    both = Both(task(dtype), *names)
    defect, expected = DEFECTS[name]
    defect(monkeypatch)
    found = both.located()
    assert place(found) == expected
    assert found is not None
    assert max(found["budget_used"], found["aggregate_used"]) > 1
    sides = [{t[:2] + t[3:4]: t.value for t in trace} for trace in both.traces()]
    for side, values in zip(("actual", "expected"), sides, strict=True):
        value = values[expected[:3]][tuple(found["index"])]
        assert float.fromhex(found[side]) == value


# ---- defects of another engine ------------------------------------------------------------------


def _scaled(module: Any, grads: Any, _: Any) -> Any:
    return (grads[0] * 1.001,)


def _halved(module: Any, grads: Any, _: Any) -> Any:
    return (grads[0].half().to(grads[0].dtype),)


class WrongTorch(TorchEngine):
    """torch with a defect that is its own."""

    defect = ""

    def load(self, task: Task, start: Start) -> None:
        rate = task.learning_rate * (1.001 if self.defect == "learning rate" else 1)
        super().load(replace(task, learning_rate=rate), start)
        relu, linear, last = (self._model.get_submodule(name) for name in "124")
        weight = linear.get_parameter("weight")
        # Within every element's budget, and yet too much for all of them together.
        share = 20 * torch.finfo(weight.dtype).eps
        if self.defect == "forward":
            linear.register_forward_hook(lambda module, inputs, out: out * (1 + 1e-4))
        if self.defect == "relu":
            relu.register_full_backward_hook(_scaled)
        if self.defect == "half":
            last.register_full_backward_hook(_halved)
        if self.defect == "nan":
            weight.register_hook(lambda grad: grad * (grad / grad))  # type: ignore[no-untyped-call]
        if self.defect == "gradient":
            weight.register_hook(lambda grad: grad * (1 + share))  # type: ignore[no-untyped-call]
        if self.defect == "momentum":
            self._optimizer.param_groups[0]["dampening"] = 1e-3

    def put(
        self, parameters: Mapping[str, Array], momentum_buffers: Mapping[str, Array] = {}
    ) -> None:
        super().put(parameters, {} if self.defect == "forgetful" else momentum_buffers)

    def trace(self) -> list[Traced]:
        trace = super().trace()
        if self.defect == "silent":
            return [traced for traced in trace if traced.tensor != "2.bias"]
        if self.defect == "flat":
            flat = ("backward", "2", "2.weight")
            return [
                t._replace(value=t.value.ravel()) if (t.phase, t.node, t.tensor) == flat else t
                for t in trace
            ]
        return trace


OTHERS = {
    "half": ("backward", "4", "input", "linear_backward_x"),
    "forward": ("forward", "2", "output", "linear"),
    "relu": ("backward", "1", "input", "relu_backward_x"),
    "gradient": ("backward", "2", "2.weight", "linear_backward_weight"),
    "nan": ("backward", "2", "2.weight", "linear_backward_weight"),
    "momentum": ("optimizer", "0", "0.weight.momentum_buffer", "SGD._direction"),
    "forgetful": ("optimizer", "0", "0.weight.momentum_buffer", "SGD._direction"),
    "learning rate": ("optimizer", "0", "0.weight", "SGD.step"),
    "silent": ("backward", "2", "2.bias", "linear_backward_bias"),
    "flat": ("backward", "2", "2.weight", "linear_backward_weight"),
}


@DTYPES
@pytest.mark.parametrize("against", ["minigrad", "torch"])
@pytest.mark.parametrize("defect", OTHERS)
def test_a_defect_of_another_engine_is_located(
    defect: str, against: str, dtype: str, monkeypatch: Patch
) -> None:
    monkeypatch.setattr(WrongTorch, "defect", defect)
    found = Both(task(dtype, samples=200), WrongTorch, against).located()
    assert place(found) == OTHERS[defect]
    assert found is not None
    if defect in ("silent", "flat"):
        assert found["index"] == []
        assert "problem" in found
        assert found["actual"] is found["expected"] is found["budget"] is None
    if defect == "gradient":
        assert found["budget_used"] < 1 < found["aggregate_used"]


# ---- bits ---------------------------------------------------------------------------------------


def _one_ulp(shape: tuple[int, ...], at: tuple[int, ...]) -> Callable[[Function], Function]:
    """One element of reproducible results of this shape moved to the next number."""

    def wrong(function: Function) -> Function:
        def result(*inputs: Any) -> Any:
            out = function(*inputs)
            if not isinstance(out, ReproducibleArray) or out.shape != shape:
                return out
            values = np.array(out)
            values[at] = np.nextafter(values[at], values.dtype.type(np.inf))
            return ReproducibleArray(values)

        return result

    return wrong


@DTYPES
@pytest.mark.parametrize(
    ("rule", "shape", "at", "expected"),
    [
        ("linear", (50, 6), (7, 2), ("forward", "0", "output")),
        ("linear", (50, 1), (7, 0), ("forward", "4", "output")),
        ("relu", (50, 6), (7, 2), ("forward", "1", "output")),
        ("mse_loss", (), (), ("forward", "loss", "output")),
        ("mse_loss_backward_x", (50, 1), (49, 0), ("backward", "loss", "input")),
        ("linear_backward_weight", (6, 6), (1, 2), ("backward", "2", "2.weight")),
        ("linear_backward_bias", (6,), (5,), ("backward", "2", "2.bias")),
        ("linear_backward_x", (50, 6), (3, 0), ("backward", "4", "input")),
        ("relu_backward_x", (50, 6), (3, 3), ("backward", "3", "input")),
    ],
)
def test_one_other_bit_is_located(
    rule: str,
    shape: tuple[int, ...],
    at: tuple[int, ...],
    expected: tuple[str, str, str],
    dtype: str,
    monkeypatch: Patch,
) -> None:
    both = Both(task(dtype), *TWINS)
    plant(monkeypatch, rule, _one_ulp(shape, at))
    found = both.located(bits=True)
    assert place(found) == (*expected, rule)
    assert found is not None
    assert found["index"] == list(at)
    actual, other = (float.fromhex(found[side]) for side in ("actual", "expected"))
    assert np.dtype(dtype).type(actual) == np.nextafter(other, np.inf, dtype=dtype)
    if "relu" not in rule:  # which rounds nothing: its budget is 0
        assert both.located() is None


@DTYPES
def test_another_rounding_of_the_rate_is_located(dtype: str, monkeypatch: Patch) -> None:
    both = Both(task(dtype), *TWINS)
    number = np.dtype(dtype).type
    _other_rate(monkeypatch, lambda rate: float(np.nextafter(number(rate), number(0))))
    assert place(both.located(bits=True))[::3] == ("optimizer", "SGD.step")


# ---- engines and processes ----------------------------------------------------------------------


def test_an_engine_that_shows_nothing() -> None:
    for engines in ((TaciturnEngine, "torch"), ("torch", TaciturnEngine)):
        assert Both(task(), *engines).located() is None


def test_in_processes() -> None:
    job = task()
    with (
        EngineProcess(functools.partial(Trainer, HookedEngine), 1) as actual,
        EngineProcess(functools.partial(Trainer, factory("torch")), 1) as expected,
    ):
        start = drawn(expected, job)
        found = locate(actual, expected, job, start, {})
    assert place(found) == ("backward", "2", "2.weight", "linear_backward_weight")


def test_lines() -> None:
    assert line_of(optim.SGD.step).startswith("minigrad/optim.py:")
    assert line_of(Both.located).startswith("tests/parity/test_locate.py:")
    for rule in RULES.values():
        for function in (rule.forward, *rule._backwards.values()):
            assert_line({"rule": function.__qualname__, "line": line_of(function)})

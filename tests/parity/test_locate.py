"""Locating: every defect at its own node, of minigrad's rules and of other engines."""

import functools
import itertools
from collections.abc import Callable, Mapping, Sequence
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
from parity.checks.locate import NotTracedError, Traces, first_node, traced
from parity.checks.source import body_of
from parity.checks.tensor import distance
from parity.engines.adapters.torch import TorchEngine
from parity.engines.process import EngineProcess, LocalObject
from parity.engines.protocol import Array, Start, Task, Traced
from parity.engines.registry import factory
from parity.engines.trainer import Trainer
from parity.evidence.detection.defect import DEFECTS, Defect, planted, read
from tests.minigrad.operations import FUZZ
from tests.parity.fake_engines import drawn
from tests.parity.spoiler import Function, spoil
from tests.parity.wrong_engines import HookedEngine, TaciturnEngine

KINDS = ("float32", "float64")
DTYPES = pytest.mark.parametrize("dtype", KINDS)
ROOT = Path(minigrad.__file__).parents[1]


def pairs(sides: Sequence[str]) -> list[tuple[str, str]]:
    """Each side in one dtype, which an ordinary run has time for, or in both."""
    return list(itertools.product(sides, KINDS) if FUZZ else zip(sides, KINDS, strict=True))


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
        return first_node(traced(actual, expected, self.job, self.start, self.buffers), bits=bits)


def place(found: dict[str, Any] | None) -> tuple[str, ...]:
    assert found is not None
    assert_line(found)
    return found["phase"], found["node"], found["tensor"], found["rule"]


def assert_line(found: dict[str, Any]) -> None:
    """The lines that are named are those after the definition and docstring of the rule."""
    file, _, number = found["line"].partition(":")
    lines = [line.strip() for line in (ROOT / file).read_text().splitlines()]
    first = int(number) - 1
    source = [line.strip() for line in found["source"]]
    assert lines[first : first + len(source)] == source
    above = next(line for line in reversed(lines[:first]) if line.startswith("def "))
    assert above.startswith(f"def {found['rule'].rpartition('.')[2]}(")
    assert not source[0].startswith(("def ", '"'))


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
    job = task(dtype, sizes=sizes, **changes)
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

CATALOGUE = {defect.name: defect for defect in DEFECTS}

OWN = """In one layer alone, or of another kind than the catalogue's; and the node where each shows.

relu-gradient-scaled minigrad/ops/activation.py relu_backward_x
- return np.where(out, grad_out, 0)
+ return np.multiply(np.where(out, grad_out, 0), 1 + 1e-5)
at backward 3 input relu_backward_x

relu-leaks minigrad/ops/activation.py relu
- return np.maximum(0, x)
+ return np.maximum(np.multiply(0.01, x), x)
at forward 1 output relu

layer-2-scaled minigrad/ops/linalg.py linear
- return np.add(np.matmul(x, weight.mT), bias)
+ bias = np.multiply(bias, 1.01 if weight.shape == (6, 6) else 1)
+ return np.add(np.matmul(x, weight.mT), bias)
at forward 2 output linear

weight-gradient-of-layer-2-scaled minigrad/ops/linalg.py linear_backward_weight
- return np.matmul(grad_out.mT, x)
+ out = np.matmul(grad_out.mT, x)
+ return np.multiply(out, 1 + 1e-4) if out.shape == (6, 6) else out
at backward 2 2.weight linear_backward_weight

weight-gradient-of-every-other-row minigrad/ops/linalg.py linear_backward_weight
- return np.matmul(grad_out.mT, x)
+ return np.matmul(grad_out[::2].mT, x[::2])
at backward 4 4.weight linear_backward_weight

input-gradient-of-layer-2-negated minigrad/ops/linalg.py linear_backward_x
- return np.matmul(grad_out, weight)
+ return np.matmul(grad_out, np.negative(weight) if weight.shape == (6, 6) else weight)
at backward 2 input linear_backward_x

swept-from-2 minigrad/tensor/backward.py _root
- return output._wrapped(one)
+ return output._wrapped(np.add(one, one))
at backward loss output BACKWARD

momentum-of-too-large-gradients minigrad/optim/sgd.py SGD._direction
- np.multiply(buffer, momentum, out=buffer)
+ np.multiply(buffer, momentum, out=buffer)
+ direction = np.multiply(direction, 1.001)
at optimizer 0 0.weight.momentum_buffer SGD._direction

learning-rate-too-large minigrad/optim/sgd.py SGD.step
- np.subtract(array, np.multiply(direction, rate), array)
+ np.subtract(array, np.multiply(direction, np.multiply(rate, 1.001)), array)
at optimizer 0 0.weight SGD.step
""".replace("BACKWARD", minigrad.Tensor.backward.__code__.co_qualname)

PLACES: dict[Defect, tuple[str, ...]] = {defect: defect.nodes for defect in read(OWN)} | {
    CATALOGUE[name]: tuple(place.split())
    for name, place in {
        "relu-gradient-leaks": "backward 3 input relu_backward_x",
        "weight-gradient-transposed-if-square": "backward 2 2.weight linear_backward_weight",
        "bias-gradient-averaged": "backward 4 4.bias linear_backward_bias",
        "bias-missing-for-one-unit": "forward 0 output linear",
        "loss-divided-by-n-less-one": "forward loss output mse_loss",
        "loss-gradient-without-factor-2": "backward loss input mse_loss_backward_x",
        "gradients-not-forgotten": "backward 4 4.weight linear_backward_weight",
    }.items()
}


@pytest.mark.parametrize(("engine", "dtype"), pairs(("tested", "reference")))
@pytest.mark.parametrize("defect", PLACES, ids=lambda defect: str(defect.name))
def test_a_defect_of_minigrad_is_located(defect: Defect, engine: str, dtype: str) -> None:
    """The rules that the budgets come from have the defect, too: torch tells."""
    names = ("minigrad", "torch") if engine == "tested" else ("torch", "minigrad")
    both = Both(task(dtype), *names)
    with planted(defect):
        found = both.located()
        sides = [{t[:2] + t[3:4]: t.value for t in trace} for trace in both.traces()]
    assert place(found) == PLACES[defect]
    assert found is not None
    assert max(found["budget_used"], found["aggregate_used"]) > 1
    assert found["wrong"] == ("actual" if engine == "tested" else "expected")
    phase, node, tensor, _ = PLACES[defect]
    for side, values in zip(("actual", "expected"), sides, strict=True):
        value = values[(phase, node, tensor)][tuple(found["index"])]
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
            weight.register_hook(lambda grad: grad * (grad / grad))
        if self.defect == "gradient":
            weight.register_hook(lambda grad: grad * (1 + share))
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


@pytest.mark.parametrize(("against", "dtype"), pairs(("minigrad", "torch")))
@pytest.mark.parametrize("defect", OTHERS)
def test_a_defect_of_another_engine_is_located(
    defect: str, against: str, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(WrongTorch, "defect", defect)
    both = Both(task(dtype, samples=200), WrongTorch, against)
    found = both.located()
    assert place(found) == OTHERS[defect]
    assert found is not None
    if defect in ("silent", "flat"):
        assert found["index"] == []
        assert "problem" in found
        assert found["actual"] is found["expected"] is found["budget"] is None
    else:
        assert found["wrong"] == "actual"
    if defect == "gradient":
        # The rule's budgets see it in the aggregate alone. Those of the exact witness, which are
        # what is reported, may be narrower: terms that are 0 round nothing.
        ours, theirs = both.traces()
        traces = Traces(ours, theirs, both.job, both.start, both.buffers)
        side, key = traces.sides[0], ("backward", "2", "2.weight")
        rule = distance(side[key].value, traces.nodes(side).budget(*key)).found
        assert rule.worst_used < 1 < rule.aggregate_used
        assert found["aggregate_used"] > 1


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
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    both = Both(task(dtype), *TWINS)
    spoil(monkeypatch, rule, _one_ulp(shape, at))
    found = both.located(bits=True)
    assert place(found) == (*expected, rule)
    assert found is not None
    assert found["index"] == list(at)
    actual, other = (float.fromhex(found[side]) for side in ("actual", "expected"))
    assert np.dtype(dtype).type(actual) == np.nextafter(other, np.inf, dtype=dtype)
    if "relu" not in rule:  # which rounds nothing: its budget is 0
        assert both.located() is None


@DTYPES
def test_another_rounding_of_the_rate_is_located(dtype: str) -> None:
    both = Both(task(dtype), *TWINS)
    with planted(CATALOGUE[f"learning-rate-off-by-one-ulp-{dtype}"]):
        found = both.located(bits=True)
    assert place(found)[::3] == ("optimizer", "SGD.step")


# ---- engines and processes ----------------------------------------------------------------------


def test_an_engine_that_shows_nothing() -> None:
    for engines in ((TaciturnEngine, "torch"), ("torch", TaciturnEngine)):
        with pytest.raises(NotTracedError, match="engine"):
            Both(task(), *engines).located()


def test_in_processes(torch_process: EngineProcess[Trainer]) -> None:
    job = task()
    with EngineProcess(functools.partial(Trainer, HookedEngine), 1) as actual:
        found = first_node(traced(actual, torch_process, job, drawn(torch_process, job), {}))
    assert place(found) == ("backward", "2", "2.weight", "linear_backward_weight")


def test_lines() -> None:
    assert body_of(optim.SGD.step)["line"].startswith("minigrad/optim/sgd.py:")
    assert body_of(Both.located)["line"].startswith("tests/parity/test_locate.py:")
    for rule in RULES.values():
        for function in (rule.forward, *rule._backwards.values()):
            assert_line({"rule": function.__qualname__, **body_of(function)})

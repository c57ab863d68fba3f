"""What is measured: correct engines, which take the same step of a case, and planted defects."""

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch

import minigrad
from minigrad.architectures import ARCHITECTURES, parabola
from minigrad.architectures import build as minigrad_build
from parity.checks.budget import BudgetedStep, StepBudget
from parity.checks.gradients import AGGREGATE_Z, COMMON, Comparison, Z, compare
from parity.engines.protocol import Array, Start
from parity.evidence.calibration.cases import Case, state, torch_model, torch_step

COMMONS = (0.0, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
"""Shares that elements' errors may have in common, for which the aggregate test is calibrated."""


def torch_side(case: Case, device: str = "cpu") -> tuple[float, dict[str, Array], dict[str, Array]]:
    """Return torch's loss, gradients and updated parameters."""
    model, optimizer = torch_model(case, device)
    x, y = (torch.from_numpy(a).to(device) for a in (case.x, case.y))
    loss = torch_step(model, optimizer, x, y)
    gradients = {}
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None
        gradients[name] = parameter.grad.cpu().numpy().copy()
    return loss, gradients, state(model, optimizer)[0]


def minigrad_side(case: Case) -> StepBudget:
    """Return minigrad's values and budgets."""
    step = BudgetedStep(case.task, Start(case.x, case.y, case.parameters))
    return step(case.parameters, case.buffers)


@np.errstate(all="ignore")
def measure(case: Case, device: str = "cpu") -> dict[str, Any]:
    """Compare the two engines on a case; return what `summary` needs, ready for JSON.

    `gradients`, `parameters` and `loss` are the largest differences in units of √2·σ, which is what
    z is compared with; `aggregate` is the largest scale factor or bias of a gradient in its
    standard errors, for each of COMMONS.
    """
    budget = minigrad_side(case)
    loss, gradients, parameters = torch_side(case, device)
    expected = {
        "loss": {"loss": np.array(loss, case.x.dtype)},
        "gradients": gradients,
        "parameters": parameters,
    }
    budgets = {
        "loss": {"loss": budget.loss},
        "gradients": budget.gradients,
        "parameters": budget.parameters,
    }
    values = {kind: {n: b.value for n, b in some.items()} for kind, some in budgets.items()}
    found = {kind: compare(values[kind], expected[kind], budgets[kind], kind) for kind in expected}
    judged = found["gradients"]
    return {
        "family": case.family,
        "dtype": case.x.dtype.name,
        "sizes": case.sizes,
        "batch": len(case.x),
        "epochs": case.epochs,
        "momentum": case.options["momentum"],
        "elements": judged.elements,
        "tensors": len(gradients),
        "kinks": budget.kinks,
        "choices": judged.choices,
        "unlimited": judged.unlimited,
        "finite": math.isfinite(loss),
        **{kind: comparison.worst_used * Z for kind, comparison in found.items()},
        "aggregate": aggregates(judged),
        "at": judged.worst_at | {"aggregate": judged.aggregate_at},
        "flagged": [
            practice.name
            for practice in TOLERANCES
            if not practice.passes(values["gradients"], gradients)
        ],
    }


def aggregates(found: Comparison) -> list[float]:
    """Return the largest aggregate of a gradient in standard errors, for each of COMMONS."""
    return [
        max(
            tensor["aggregate_used"]
            * AGGREGATE_Z
            * math.sqrt((1 + COMMON * tensor["elements"]) / (1 + common * tensor["elements"]))
            for tensor in found.tensors
        )
        for common in COMMONS
    ]


# ---- defects planted into one gradient of torch's, and which judge catches them -----------------

FACTORS = (1e-3, 1e-4, 1e-5, 5e-6, 2e-6, 1e-6)


class Gradient(NamedTuple):
    """A gradient and where it comes from.

    Attributes:
        value: the gradient of a parameter.
        x: the layer's input, (samples, inputs); None for a bias.
        grad_out: the gradient by the layer's output, (samples, outputs).
    """

    value: Array
    x: Array | None
    grad_out: Array


def _scaled(factor: float) -> Callable[[Gradient], Array | None]:
    def spoil(gradient: Gradient) -> Array | None:
        value = gradient.value
        return (value.astype(np.float64) * (1 + factor)).astype(value.dtype)

    return spoil


def _float16(gradient: Gradient) -> Array | None:
    return gradient.value.astype(np.float16).astype(gradient.value.dtype)


def _tf32(gradient: Gradient) -> Array | None:
    """The weight's gradient as a product of operands rounded to TF32; a bias has no product."""
    if gradient.x is None:
        return None
    value: Array = np.matmul(tf32(gradient.grad_out).T, tf32(gradient.x))
    return value.astype(gradient.value.dtype)


def tf32(values: Array) -> Array:
    """Round to TF32: float32 with 10 bits after the point, to nearest, ties to even."""
    bits = values.astype(np.float32).view(np.uint32).astype(np.uint64)
    bits += 0xFFF + ((bits >> np.uint64(13)) & np.uint64(1))
    return (bits & np.uint64(0xFFFFE000)).astype(np.uint32).view(np.float32)


GRADIENT_DEFECTS: dict[str, Callable[[Gradient], Array | None]] = {
    **{f"× (1 + {factor:.0e})".replace("e-0", "e-"): _scaled(factor) for factor in FACTORS},
    "rounded to float16": _float16,
    "TF32 operands": _tf32,
}


def first_step(architecture: str, seed: int, dtype: str) -> Case:
    """Return the first step of a network as `parity run --seed` draws it."""
    sizes = ARCHITECTURES[architecture].sizes
    minigrad.manual_seed(seed)
    kind = getattr(minigrad, dtype)
    x, y = parabola(100, kind)
    model = minigrad_build(sizes, kind)
    parameters = {n: p.numpy().copy() for n, p in model.state_dict().items()}
    options = {"lr": ARCHITECTURES[architecture].learning_rate}
    return Case("parabola", sizes, x.numpy(), y.numpy(), parameters, {}, options)


def torch_gradients(case: Case) -> dict[str, Gradient]:
    """Return torch's gradients, with the operands they are products of."""
    model, _ = torch_model(case)
    inputs: dict[str, Array] = {}
    outputs: dict[str, torch.Tensor] = {}
    out = torch.from_numpy(case.x)
    for name, layer in model.named_children():
        given, out = out, layer(out)
        if isinstance(layer, torch.nn.Linear):
            inputs[name], outputs[name] = given.detach().numpy(), out
            out.retain_grad()
    loss = torch.nn.functional.mse_loss(out, torch.from_numpy(case.y))
    loss.backward()  # type: ignore[no-untyped-call]
    found = {}
    for name, parameter in model.named_parameters():
        layer_name, kind = name.split(".")
        grad_out = outputs[layer_name].grad
        assert parameter.grad is not None
        assert grad_out is not None
        x = inputs[layer_name] if kind == "weight" else None
        found[name] = Gradient(parameter.grad.numpy().copy(), x, grad_out.numpy())
    return found


@np.errstate(all="ignore")
def detect(architecture: str, seed: int, dtype: str) -> dict[str, Any]:
    """Plant every defect into every gradient of a first step; return what each judge sees.

    `gradients` and `aggregate` are as in `measure`. A defect that changes no bit, as in the
    gradient of a layer that is dead from the start, is none, and is left out.
    """
    case = first_step(architecture, seed, dtype)
    budgets = minigrad_side(case).gradients
    expected = {name: budget.value for name, budget in budgets.items()}
    gradients = torch_gradients(case)
    correct = {name: gradient.value for name, gradient in gradients.items()}
    planted = []
    for defect, spoil in GRADIENT_DEFECTS.items():
        for name, gradient in gradients.items():
            spoiled = spoil(gradient)
            if spoiled is None or np.array_equal(spoiled, gradient.value, equal_nan=True):
                continue
            actual = correct | {name: spoiled}
            found = compare(actual, expected, budgets)
            planted.append(
                {
                    "defect": defect,
                    "parameter": name,
                    "gradients": found.worst_used * Z,
                    "aggregate": aggregates(found),
                    "flagged": [p.name for p in TOLERANCES if not p.passes(actual, expected)],
                }
            )
    return {"architecture": architecture, "dtype": dtype, "seed": seed, "planted": planted}


# ---- fixed tolerances of other projects, to be compared with the derived budget ------------------


class Tolerance(NamedTuple):
    """|actual - expected| ≤ atol + rtol·|expected|.

    Attributes:
        name: whose practice it is.
        tolerances: (rtol, atol) by dtype.
    """

    name: str
    tolerances: dict[str, tuple[float, float]]

    def passes(self, actual: Mapping[str, Array], expected: Mapping[str, Array]) -> bool:
        """Return whether all gradients are close; NaN is close to NaN."""
        rtol, atol = self.tolerances[next(iter(expected.values())).dtype.name]
        return all(
            np.allclose(actual[n], expected[n], rtol=rtol, atol=atol, equal_nan=True)
            for n in expected
        )


def _both(rtol: float, atol: float) -> dict[str, tuple[float, float]]:
    return {"float32": (rtol, atol), "float64": (rtol, atol)}


TOLERANCES = (
    # torch.testing.assert_close, defaults by dtype.
    Tolerance("torch assert_close", {"float32": (1.3e-6, 1e-5), "float64": (1e-7, 1e-7)}),
    # micrograd, test/test_engine.py: tol = 1e-6, absolute.
    Tolerance("micrograd's tests", _both(0.0, 1e-6)),
    # onnx.backend.test.runner: defaults of a test case.
    Tolerance("ONNX backend", _both(1e-3, 1e-7)),
    # tinygrad, test/test_ops.py: helper_test_op's grad_rtol, grad_atol.
    Tolerance("tinygrad gradients", _both(1e-3, 1e-4)),
    # jax.test_util.check_grads: default gradient tolerances by dtype, for rtol and atol.
    Tolerance("JAX check_grads", {"float32": (2e-3, 2e-3), "float64": (1e-5, 1e-5)}),
)

"""Defects planted into one gradient of torch's, and which judge catches them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch

import minigrad
from minigrad.architectures import ARCHITECTURES, parabola
from minigrad.architectures import build as minigrad_build
from parity.checks.gradients import Z, compare
from parity.engines.protocol import Array
from parity.evidence.calibration.cases import Case, torch_model
from parity.evidence.calibration.measure import PRACTICES, aggregates, minigrad_side

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


DEFECTS: dict[str, Callable[[Gradient], Array | None]] = {
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

    def keep(name: str) -> Callable[..., None]:
        def hook(module: torch.nn.Module, given: Any, out: torch.Tensor) -> None:
            inputs[name] = given[0].detach().numpy()
            out.retain_grad()
            outputs[name] = out

        return hook

    for name, layer in model.named_children():
        if isinstance(layer, torch.nn.Linear):
            layer.register_forward_hook(keep(name))
    loss = torch.nn.functional.mse_loss(model(torch.from_numpy(case.x)), torch.from_numpy(case.y))
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
    for defect, spoil in DEFECTS.items():
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
                    "flagged": [p.name for p in PRACTICES if not p.passes(actual, expected)],
                }
            )
    return {"architecture": architecture, "dtype": dtype, "seed": seed, "planted": planted}

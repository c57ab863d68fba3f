"""One comparison of correct engines: minigrad and torch take the same step of a case."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch

from parity.checks.budget import BudgetedStep, StepBudget
from parity.checks.gradients import AGGREGATE_Z, COMMON, Comparison, Z, compare
from parity.engines.protocol import Array
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
    step = BudgetedStep(case.sizes, case.x, case.y, **case.options)
    return step(case.parameters, case.buffers)


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
            for practice in PRACTICES
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


# ---- fixed tolerances of other projects, to be compared with the derived budget ------------------


class Practice(NamedTuple):
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


PRACTICES = (
    # torch.testing.assert_close, defaults by dtype.
    Practice("torch assert_close", {"float32": (1.3e-6, 1e-5), "float64": (1e-7, 1e-7)}),
    # micrograd, test/test_engine.py: tol = 1e-6, absolute.
    Practice("micrograd's tests", _both(0.0, 1e-6)),
    # onnx.backend.test.runner: defaults of a test case.
    Practice("ONNX backend", _both(1e-3, 1e-7)),
    # tinygrad, test/test_ops.py: helper_test_op's grad_rtol, grad_atol.
    Practice("tinygrad gradients", _both(1e-3, 1e-4)),
    # jax.test_util.check_grads: default gradient tolerances by dtype, for rtol and atol.
    Practice("JAX check_grads", {"float32": (2e-3, 2e-3), "float64": (1e-5, 1e-5)}),
)

"""Reports as `parity run` makes them, and cases, for the tests of what shows and keeps them."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np

from parity.cases.case import Case
from parity.engines.protocol import Array, Start, Task
from parity.report import Curves, Report

NETWORKS: dict[str, tuple[list[int], int, int]] = {
    "underfit": ([1, 1, 1], 500, 4),
    "rightfit": ([1, 16, 16, 1], 500, 321),
    "overfit": ([1, 64, 64, 512, 512, 64, 1], 1000, 333_121),
}
KINDS = ("passed", "failed", "dead", "diverged", "apart", "complete")


FIRST_NODE: dict[str, Any] = {
    "phase": "backward",
    "node": "2",
    "operation": "Linear",
    "tensor": "2.weight",
    "index": [3, 1],
    "actual": (0.12345678901234566).hex(),
    "expected": (0.12345678901234569).hex(),
    "budget": 1e-18,
    "rule": "linear_backward_weight",
    "line": "minigrad/ops/linalg.py:33",
    "source": ["return np.matmul(grad_out.mT, x)"],
    "wrong": "actual",
    "true": (0.12345678901234569).hex(),
    "factor": None,
}
BITWISE_NODE = FIRST_NODE | {
    "phase": "optimizer",
    "node": "4",
    "operation": "SGD",
    "budget": None,
    "wrong": None,
    "true": None,
}
PROBES: dict[str, Any] = {
    "passed": True,
    "probes": 64,
    "names": [
        "diamond",
        "sgd_with_nesterov",
        "operation-add",
        "operation-add-values=special-sweep=twice",
    ],
    "elements": 4321,
    "worst_budget_used": 0.41,
    "worst_at": {"probe": "diamond", "tensor": "x", "index": [2]},
    "failed": [],
}
FAILED_PROBES = PROBES | {
    "passed": False,
    "worst_budget_used": None,
    "case": "case-diamond-probe.safetensors",
    "failed": [
        {
            "probe": "diamond",
            "tensor": "x",
            "index": [2],
            "actual": (1.5).hex(),
            "expected": (3.0).hex(),
            "budget": 4.5e-7,
            "phase": "backward",
            "rule": "_accumulate",
            "line": "minigrad/tape.py:120",
            "problem": None,
        },
        {
            "probe": "sgd_with_nesterov",
            "tensor": None,
            "index": None,
            "actual": None,
            "expected": None,
            "budget": None,
            "phase": None,
            "rule": None,
            "line": None,
            "problem": "actual raised TypeError: no such option",
        },
    ],
}


def per_parameter(sizes: list[int], worst: float) -> Iterator[dict[str, Any]]:
    """Shares of their budgets that the elements of every gradient use."""
    for i, (inputs, outputs) in enumerate(pairwise(sizes)):
        for name, elements in (("weight", inputs * outputs), ("bias", outputs)):
            top = worst if (name, i) == ("weight", len(sizes) // 2 - 1) else 0.0391
            yield {
                "parameter": f"{2 * i}.{name}",
                "elements": elements,
                "quantiles": [0.0, 0.0, 1e-4, 2e-3, 8e-3, 0.02, top],
                "worst": top,
                "aggregate_used": 0.02,
            }


def environment(blas: str, version: str, kernel: str | None, package: str) -> dict[str, Any]:
    return {
        "versions": {
            "python": "3.11.7",
            "numpy": "2.4.6",
            "torch": "2.13.0",
            "minigrad-parity": "0.1.0",
        },
        "platform": "Linux-6.1-x86_64-with-glibc2.36",
        "cpu": "AMD EPYC 9R14",
        "logical_cores": 2,
        "usable_cores": 2,
        "blas": [
            {
                "library": blas,
                "version": version,
                "kernel": kernel,
                "threads": 2,
                "loaded_by": package,
            }
        ],
        "torch_instructions": None,
        "variables": {"OPENBLAS_CORETYPE": "Haswell"},
        "gpu": None,
    }


def curves_of(kind: str, epochs: int, samples: int = 100) -> Curves:
    """Plausible data, fits and losses; `dead` is bit-identical, `diverged` ends in NaN."""
    generator = np.random.default_rng(0)
    x = np.linspace(-5, 5, samples)[:, None]
    y = x**2 + generator.standard_normal((samples, 1))
    prediction = np.abs(x) * 4.5 - 3
    losses = 150 * np.exp(-np.arange(epochs) / 40) + 2.56
    noise = generator.standard_normal(epochs) * 1e-8 * np.exp(np.arange(epochs) / epochs * 8)
    other = np.where(np.arange(epochs) < 20, losses, losses * (1 + noise))
    if kind == "dead":
        prediction, losses = np.full_like(x, y.mean()), np.full(epochs, 61.125)
        other = losses.copy()
    if kind in ("diverged", "apart"):
        losses = losses.copy()
        losses[30:] = np.nan
        losses[28:30] = [1e30, np.inf]
    if kind == "diverged":
        other = other.copy()
        other[31:] = np.nan
    gone = np.full_like(x, np.nan)
    return Curves(
        x=x,
        y=y,
        prediction_actual=gone if kind in ("diverged", "apart") else prediction,
        prediction_expected=gone if kind == "diverged" else prediction + 1e-3,
        losses_actual=losses,
        losses_expected=other,
    )


def nodes_of(sizes: Sequence[int], samples: int = 100) -> list[dict[str, Any]]:
    """The nodes of a chain, as report.json has them."""
    found: list[dict[str, Any]] = []
    for layer, (inputs, outputs) in enumerate(pairwise(sizes)):
        shapes = [[outputs, inputs], [outputs]]
        found.append({"name": str(2 * layer), "operation": "Linear", "parameters": shapes})
        found.append({"name": str(2 * layer + 1), "operation": "ReLU", "parameters": []})
        for node in found[-2:]:
            node["output"] = [samples, outputs]
    found[-1] = {"name": "loss", "operation": "MSELoss", "parameters": [], "output": []}
    names = [*(node["name"] for node in found[1:]), None]
    return [{**node, "receiver": name} for node, name in zip(found, names, strict=True)]


def architecture_of(kind: str, name: str) -> dict[str, Any]:
    sizes, epochs, parameters = NETWORKS[name]
    states = {"dead": ("dead", "dead"), "diverged": ("diverged", "diverged")}
    actual, expected = {"apart": ("diverged", "trained"), **states}.get(kind, ("trained",) * 2)
    values = {"dead": (61.125, 61.125), "diverged": (None, None), "apart": (None, 2.5614170)}
    mse = values.get(kind, (2.5614168971, 2.5614170312))
    architecture: dict[str, Any] = {
        "name": name,
        "sizes": sizes,
        "nodes": nodes_of(sizes),
        "epochs": epochs,
        "learning_rate": 0.01,
        "parameters": parameters,
        "passed": kind != "failed",
        "start": {"passed": True, "data_identical": True, "parameters_identical": True},
        "gradients": {
            "passed": kind != "failed",
            "elements": parameters,
            "worst_budget_used": 37.25 if kind == "failed" else 0.0391,
            "worst_at": {"parameter": "2.weight", "index": [3, 1]},
            "max_ulp": 4,
            "kinks": None,
        },
        "steps": None,
        "free_steps": None,
        "accuracy": None,
        "trajectory": None,
        "bitwise": None,
        "final_mse": {
            "passed": None,
            "actual": mse[0],
            "expected": mse[1],
            "relative_difference": None
            if mse[0] is None or mse[1] is None
            else abs(mse[0] - mse[1]) / mse[1],
            "expected_spread": None,
        },
        "state": {"actual": actual, "expected": expected},
    }
    if kind in ("failed", "complete"):
        worst = architecture["gradients"]["worst_budget_used"]
        architecture["gradients"]["per_parameter"] = list(per_parameter(sizes, worst))
    if kind == "failed":
        architecture["gradients"] |= {
            "first_node": FIRST_NODE,
            "wrong": "actual",
            "case": f"case-{name}-gradients.safetensors",
        }
        architecture["gradients"]["worst_at"] |= {
            "actual": 0.12345678901234566,
            "expected": 0.12345678901234569,
            "budget": 1e-18,
        }
    if kind == "complete":
        architecture["gradients"]["kinks"] = 2
        architecture["steps"] = {
            "passed": True,
            "epochs": epochs,
            "worst_budget_used": 0.61,
            "worst_at": {"epoch": 17, "parameter": "0.bias", "index": [5]},
            "kinks": 31,
        }
        architecture["free_steps"] = {
            **architecture["steps"],
            "worst_at": {"epoch": 18, "of": "updated", "parameter": "0.bias", "index": [4]},
        }
        architecture["accuracy"] = {
            "passed": True,
            "steps": 24,
            "worst_ratio": 0.43,
            "worst_at": {
                "epoch": 0,
                "of": "gradients",
                "tensor": "0.bias",
                "roundings": {"actual": 1.5, "expected": 2.6, "plain": 1.5},
            },
            "limit": 16.0,
            "wrong": None,
        }
        architecture["trajectory"] = {
            "passed": True,
            "horizon_epoch": 213,
            "worst_envelope_used": 0.071,
        }
        architecture["bitwise"] = {
            "passed": False,
            "epochs": epochs,
            "first_difference": {"epoch": 3, "parameter": "4.weight", "index": [0, 7]},
            "first_node": BITWISE_NODE,
            "wrong": None,
            "case": "case-rightfit-bitwise.safetensors",
            "final_mse_hex": {"actual": "nan", "expected": (2.5).hex()},
            "state": {"actual": "diverged", "expected": "trained"},
        }
        architecture["passed"] = False
    return architecture


def report_of(kind: str = "passed", names: tuple[str, ...] = tuple(NETWORKS)) -> Report:
    """A report in which `rightfit` is of one of the `KINDS` and the rest passed."""
    assert kind in KINDS
    kinds = {name: kind if name == "rightfit" else "passed" for name in names}
    architectures = [architecture_of(of, name) for name, of in kinds.items()]
    document = {
        "schema": 1,
        "passed": all(architecture["passed"] for architecture in architectures),
        "environment": {
            "actual": environment("openblas", "0.3.31", "Haswell", "numpy"),
            "expected": environment("mkl", "2024.2", None, "torch"),
        },
        "settings": {
            "seed": 0,
            "dtype": "float32",
            "device": "cpu",
            "engine": "minigrad",
            "against": "torch",
            "samples": 100,
            "quick": False,
        },
        "architectures": architectures,
        "probes": FAILED_PROBES if kind == "failed" else PROBES,
    }
    return Report(document, {name: curves_of(of, NETWORKS[name][1]) for name, of in kinds.items()})


def case_of(kind: str, task: Task, **changes: Any) -> Case:
    """A case of random data, parameters and momentum buffers."""
    rng = np.random.default_rng(0)

    def random(*shape: int) -> Array:
        return rng.standard_normal(shape).astype(task.dtype)

    def parameters() -> dict[str, Array]:
        found = {}
        for layer, (inputs, outputs) in enumerate(pairwise(task.sizes)):
            found[f"{2 * layer}.weight"] = random(outputs, inputs)
            found[f"{2 * layer}.bias"] = random(outputs)
        return found

    x, y = (random(task.samples, width) for width in (task.sizes[0], task.sizes[-1]))
    return replace(
        Case(
            kind,
            ("minigrad", "torch"),
            task,
            None if kind in ("start", "probe") else Start(x, y, parameters()),
            parameters() if kind in ("steps", "free_steps", "bitwise") and task.momentum else {},
            {"passed": False, "worst_budget_used": 37.25, "worst_at": {"index": [0]}},
            {"architecture": "rightfit", "epoch": 17, "sizes": [1, 16, 16, 1]},
            {"actual": {"cpu": "AMD EPYC™"}, "expected": {}},
            probe="diamond" if kind == "probe" else None,
        ),
        **changes,
    )

"""Calibration: how often a verdict of the budget would fail correct engines, and at which z.

minigrad and torch take the same step from the same parameters, over many kinds of networks and
data. What is recorded is the largest difference in units of √2·σ, and the aggregate statistics.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

import minigrad
from minigrad.architectures import ARCHITECTURES, parabola
from minigrad.architectures import build as minigrad_build
from parity.calibration_cases import DATA, Case, draw_case, torch_step
from parity.checks.budget import BudgetedStep, StepBudget
from parity.checks.gradients import AGGREGATE_Z, Z, compare
from parity.engines import Array
from parity.environment import environment
from parity.report.document import to_json
from torch_impl.model import build

DTYPES = ("float32", "float64")


def torch_side(case: Case) -> tuple[float, dict[str, Array], dict[str, Array]]:
    """Return torch's loss, gradients and updated parameters."""
    dtype = getattr(torch, case.x.dtype.name)
    model = build(case.sizes, dtype)
    model.load_state_dict({n: torch.tensor(a) for n, a in case.parameters.items()})
    optimizer = torch.optim.SGD(model.parameters(), **case.options)
    for name, parameter in model.named_parameters():
        if name in case.buffers:
            optimizer.state[parameter]["momentum_buffer"] = torch.tensor(case.buffers[name])
    loss, gradients = torch_step(model, optimizer, case.x, case.y)
    return loss, gradients, {n: p.detach().numpy().copy() for n, p in model.named_parameters()}


def minigrad_side(case: Case) -> StepBudget:
    """Return minigrad's values and budgets."""
    step = BudgetedStep(case.sizes, case.x, case.y, **case.options)
    return step(case.parameters, case.buffers)


def result(case: Case) -> dict[str, Any]:
    """Compare the two engines on a case; return what `summary` needs, ready for JSON."""
    budget = minigrad_side(case)
    loss, gradients, parameters = torch_side(case)
    as_loss = {"loss": np.array(loss, case.x.dtype)}
    own = {
        "loss": {"loss": budget.loss},
        "gradients": budget.gradients,
        "parameters": budget.parameters,
    }
    found = {
        kind: compare({n: b.value for n, b in own[kind].items()}, theirs, own[kind], kind)
        for kind, theirs in (
            ("loss", as_loss),
            ("gradients", gradients),
            ("parameters", parameters),
        )
    }
    return {
        "family": case.family,
        "dtype": case.x.dtype.name,
        "sizes": case.sizes,
        "batch": len(case.x),
        "momentum": case.options["momentum"],
        "elements": found["gradients"].elements,
        "tensors": len(gradients),
        "kinks": budget.kinks,
        "choices": found["gradients"].choices,
        "unlimited": found["gradients"].unlimited,
        "aggregate": found["gradients"].aggregate_used * AGGREGATE_Z,
        "finite": math.isfinite(loss),
        "at": found["gradients"].worst_at,
        **{kind: comparison.worst_used * Z for kind, comparison in found.items()},
    }


def detection(seeds: int) -> dict[str, Any]:
    """Return the share of seeds at which a gradient × (1 + 1e-5) is caught, tensor by tensor."""
    caught: dict[str, Any] = {}
    for architecture in ("rightfit", "overfit"):
        sizes = ARCHITECTURES[architecture].sizes
        shares: dict[str, list[int]] = {}
        for seed in range(seeds):
            minigrad.manual_seed(seed)
            x, y = parabola(100)
            model = minigrad_build(sizes)
            parameters = {n: p.numpy().copy() for n, p in model.state_dict().items()}
            case = Case("parabola", sizes, x.numpy(), y.numpy(), parameters, {}, {"lr": 0.01})
            budget = minigrad_side(case)
            _, gradients, _ = torch_side(case)
            values = {name: b.value for name, b in budget.gradients.items()}
            for name, value in values.items():
                spoiled = (value.astype(np.float64) * (1 + 1e-5)).astype(value.dtype)
                found = compare({**values, name: spoiled}, gradients, budget.gradients)
                hits = shares.setdefault(name, [0, 0])
                hits[0] += found.worst_used > 1
                hits[1] += not found.passed
        caught[architecture] = {
            name: {"by_element": a / seeds, "by_any": b / seeds} for name, (a, b) in shares.items()
        }
    return caught


def summary(results: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the curve of false alarms and the worst of every family.

    A difference in units of √2·σ is what z is compared with.
    """
    kinds = ("gradients", "parameters", "loss", "aggregate")
    worst = {kind: np.array([r[kind] for r in results]) for kind in kinds}
    curve = [
        {"z": z, **{k: float((values > z).mean()) for k, values in worst.items()}}
        for z in (1, 1.5, 2, 2.5, 3, 3.5, 4, 5, 6, 7, 8)
    ]
    families = {}
    for family in DATA:
        for dtype in DTYPES:
            rows = [r for r in results if (r["family"], r["dtype"]) == (family, dtype)]
            if rows:
                families[f"{family}, {dtype}"] = {
                    "comparisons": len(rows),
                    "median": float(np.median([r["gradients"] for r in rows])),
                    **{kind: max(r[kind] for r in rows) for kind in kinds},
                }
    return {
        "comparisons": len(results),
        "tensors": sum(r["tensors"] for r in results),
        "elements": sum(r["elements"] for r in results),
        "z": Z,
        "aggregate_z": AGGREGATE_Z,
        "false_alarms": {
            "elements": int((worst["gradients"] > Z).sum() + (worst["parameters"] > Z).sum()),
            "aggregate": int((worst["aggregate"] > AGGREGATE_Z).sum()),
        },
        "curve": curve,
        "families": families,
        "worst": sorted(results, key=lambda r: -r["gradients"])[:10],
    }


def main(arguments: list[str] | None = None) -> int:
    """Run `python -m parity.calibrate`; 0 if no correct engine would be failed."""
    parser = argparse.ArgumentParser(prog="parity.calibrate", description=__doc__)
    parser.add_argument("--cases", type=int, default=10_000, help="gradient comparisons (10000)")
    parser.add_argument("--seeds", type=int, default=20, help="seeds for detection (20)")
    parser.add_argument("--output", type=Path, default=Path("out"), help="directory (out)")
    options = parser.parse_args(arguments)
    options.output.mkdir(parents=True, exist_ok=True)
    # One case a line: what a run that was stopped has done is not done again.
    log = options.output / "calibration.jsonl"
    done = log.read_text().splitlines() if log.exists() else []
    results = {row["seed"]: row for row in map(json.loads, done)}
    torch.set_num_threads(1)
    np.seterr(all="ignore")
    with log.open("a") as file:
        for seed in range(options.cases):
            if seed not in results:
                case = draw_case(seed, DTYPES[seed // len(DATA) % 2])
                results[seed] = {"seed": seed, **result(case)}
                file.write(json.dumps(results[seed]) + "\n")
                file.flush()
            if sys.stderr.isatty():
                print(f"\r{seed + 1:,} of {options.cases:,}", end="", file=sys.stderr)
    found = {
        "environment": environment(),
        **summary([results[seed] for seed in range(options.cases)]),
        "detection": detection(options.seeds),
    }
    (options.output / "calibration.json").write_text(to_json(found))
    print(to_json({k: found[k] for k in ("comparisons", "false_alarms", "curve", "detection")}))
    return int(any(found["false_alarms"].values()))


if __name__ == "__main__":
    sys.exit(main())

"""The usual practice, to compare the verdicts with.

Four tests that are commonly trusted, on the same networks and probes that the verdicts judge:

    assert_close        gradients of the three networks, by `torch.testing.assert_close`'s defaults
    probes              every value and gradient of the probe suite, by the same defaults
    final_mse           the final MSE of the three networks, each engine seeded alike and run from
                        its own draws, within a relative 1e-3; `overfit` for `--quick`'s epochs
    finite_differences  minigrad's own `gradcheck`, float64, of the loss of the two small networks

`python -m parity.evidence.detection.usual_tests` runs in a copy of the tree with a defect in it.
"""

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
import typer
from typer import Option

import minigrad
import torch_impl
from minigrad import nn
from minigrad.architectures import ARCHITECTURES, build, parabola
from minigrad.autograd.gradcheck import gradcheck
from minigrad.files import write_whole
from parity.engines.adapters.minigrad import MinigradEngine
from parity.engines.adapters.torch import TorchEngine
from parity.engines.protocol import Array, Task
from parity.probes.run import run_probes

RTOL_MSE = 1e-3
QUICK_EPOCHS = 50
"""Epochs of `overfit`; the small networks are trained for all of theirs."""

SMALL = ("underfit", "rightfit")


def task(architecture: str, seed: int, dtype: str) -> Task:
    """Return the task of a network."""
    named = ARCHITECTURES[architecture]
    epochs = named.epochs if architecture in SMALL else QUICK_EPOCHS
    return Task(named.sizes, epochs, named.learning_rate, 100, seed, dtype, "cpu")


def assert_close(seed: int, dtype: str) -> str | None:
    """Return what `assert_close` objects to among the gradients, None if nothing."""
    for architecture in ARCHITECTURES:
        todo = task(architecture, seed, dtype)
        ours, theirs = MinigradEngine(), TorchEngine()
        start = theirs.draw(todo)
        gradients = []
        for engine in (ours, theirs):
            engine.load(todo, start)
            gradients.append(engine.loss_and_gradients()[1])
        actual, expected = gradients
        for name, gradient in expected.items():
            if not _close(actual[name], gradient):
                return f"{architecture} {name}"
    return None


def probes(seed: int, dtype: str) -> str | None:
    """Return what `assert_close` objects to among the values of the probes."""
    pairs = zip(run_probes(minigrad, dtype, seed), run_probes(torch, dtype, seed), strict=True)
    for ours, theirs in pairs:
        if (ours.problem is None) != (theirs.problem is None):
            return f"{ours.probe}: {(ours.problem or theirs.problem).text}"  # type: ignore[union-attr]
        if ours.values.keys() != theirs.values.keys():
            return f"{ours.probe}: other tensors"
        for key, value in theirs.values.items():
            if not _close(ours.values[key], value):
                return f"{ours.probe} {key.phase} {key.tensor}"
    return None


def _close(actual: Array | None, expected: Array | None) -> bool:
    if actual is None or expected is None:
        return actual is expected
    try:
        torch.testing.assert_close(
            torch.from_numpy(actual), torch.from_numpy(expected), equal_nan=True
        )
    except AssertionError:
        return False
    return True


def final_mse(seed: int, dtype: str) -> str | None:
    """Return the first network whose final MSEs differ by more than a relative 1e-3."""
    for architecture in ARCHITECTURES:
        todo = task(architecture, seed, dtype)
        actual, expected = (_trained(engine, todo) for engine in (MinigradEngine(), TorchEngine()))
        if not np.isclose(actual, expected, rtol=RTOL_MSE, atol=0, equal_nan=True):
            return f"{architecture}: {actual:.6g}, not {expected:.6g}"
    return None


def _trained(engine: MinigradEngine | TorchEngine, todo: Task) -> float:
    engine.load(todo, engine.draw(todo))
    for _ in range(todo.epochs):
        engine.step()
    return engine.loss_and_gradients()[0]


def finite_differences(seed: int, dtype: str) -> str | None:
    """Return the first small network whose derivatives differ from finite differences.

    Always in float64, as differences need it; `dtype` makes no difference.
    """
    for architecture in SMALL:
        todo = task(architecture, seed, "float64")
        minigrad.manual_seed(seed)
        x, y = parabola(todo.samples, todo.dtype)
        model = build(todo.sizes, todo.dtype)
        loss_function = nn.MSELoss()

        def loss(*parameters: Any) -> Any:
            return loss_function(model(x), y)  # noqa: B023 - called before the next turn

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # kinks, which it excuses
            if not gradcheck(loss, list(model.parameters()), raise_exception=False):
                return architecture
    return None


PRACTICES: dict[str, Callable[[int, str], str | None]] = {
    "assert_close": assert_close,
    "probes": probes,
    "final_mse": final_mse,
    "finite_differences": finite_differences,
}


def judged(seed: int, dtype: str) -> dict[str, str | None]:
    """Return for each practice what it objects to, None where it passes."""
    found = {}
    for name, practice in PRACTICES.items():
        try:
            found[name] = practice(seed, dtype)
        except Exception as error:  # whatever a defect leads to, a person would see it
            found[name] = f"{type(error).__name__}: {error}"
    return found


def main(
    seed: Annotated[int, Option()],
    output: Annotated[Path, Option()],
    dtype: Annotated[Literal["float32", "float64"], Option()] = "float32",
) -> None:
    """Write what the practices object to, and where the packages came from."""
    torch.set_num_threads(1)
    np.seterr(all="ignore")
    document = {
        "packages": [str(Path(str(p.__file__)).parent) for p in (minigrad, torch_impl)],
        "practices": judged(seed, dtype),
    }
    write_whole(output, json.dumps(document))


if __name__ == "__main__":
    typer.run(main)

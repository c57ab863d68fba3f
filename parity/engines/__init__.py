"""Engines: what they are asked to do, and the ones that are known."""

from __future__ import annotations

import functools
import importlib
import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from numpy.typing import NDArray

from parity.errors import UsageError

Array = NDArray[Any]


@dataclass(frozen=True)
class Task:
    """What is trained, and how.

    Attributes:
        sizes: the layer sizes, ReLU between the layers.
        epochs: the number of full-batch steps.
        learning_rate: of SGD.
        samples: how many points of the noisy parabola.
        seed: of the data and the initial parameters, 0 to 2⁶⁴ - 1.
        dtype: "float32" or "float64".
        device: "cpu", "cuda" or "cuda:N"; an engine that only knows the CPU stays there.
        momentum: of SGD.
    """

    sizes: tuple[int, ...]
    epochs: int
    learning_rate: float
    samples: int
    seed: int
    dtype: str
    device: str
    momentum: float = 0.0


@dataclass(frozen=True)
class Start:
    """Where a run starts: data x and y, each (samples, 1), and parameters by torch's names."""

    x: Array
    y: Array
    parameters: dict[str, Array]


def require_same(
    actual: Mapping[str, Array], expected: Mapping[str, Array], what: str = "gradients"
) -> None:
    """Check that an engine returned the tensors it had to.

    Raises:
        ValueError: names, shapes or dtypes differ.
    """
    found, due = (
        ", ".join(f"{n} {list(a.shape)} {a.dtype}" for n, a in arrays.items()) or "none"
        for arrays in (actual, expected)
    )
    if found != due:
        raise ValueError(f"the engine under test returned the {what} {found}; it must return {due}")


class Engine(Protocol):
    """What an engine has to do to be trained, judged and timed."""

    def draw(self, task: Task) -> Start:
        """Seed the engine's own generator; draw the data, then the initial parameters."""
        ...

    def load(self, task: Task, start: Start) -> None:
        """Build model, data and optimiser from these arrays."""
        ...

    def put(self, parameters: Mapping[str, Array]) -> None:
        """Replace the values of the parameters of the loaded network; keep everything else."""
        ...

    def loss_and_gradients(self) -> tuple[float, dict[str, Array]]:
        """Return the loss at the present parameters and its gradients; change no parameter."""
        ...

    def step(self) -> object:
        """Take one training step; return the loss before it in the engine's own type, unread."""
        ...

    def parameters(self) -> dict[str, Array]:
        """Return copies of the present parameters."""
        ...

    def predict(self) -> Array:
        """Return the network's output for the data, (samples, 1)."""
        ...

    def synchronize(self) -> None:
        """Wait until the device has done what it was told."""
        ...


@dataclass(frozen=True)
class Known:
    """An engine that is known by name.

    Attributes:
        adapter: where its adapter is, as "module:class".
        needs: the packages it needs.
        description: a few words.
        cuda: whether it can run on a CUDA device; one that cannot stays on the CPU.
        twin: the engine that does the same in reproducible arithmetic, if there is one.
    """

    adapter: str
    needs: tuple[str, ...]
    description: str
    cuda: bool = False
    twin: str | None = None

    def missing(self) -> list[str]:
        """Return the packages that are not installed."""
        return [name for name in self.needs if importlib.util.find_spec(name) is None]


ENGINES = {
    "minigrad": Known(
        "parity.engines.minigrad:MinigradEngine",
        (),
        "minigrad, eager, on NumPy",
        twin="minigrad-reproducible",
    ),
    "minigrad-reproducible": Known(
        "parity.engines.minigrad_reproducible:MinigradReproducibleEngine",
        (),
        "minigrad on reproducible arrays, the same bits everywhere",
    ),
    "torch": Known(
        "parity.engines.torch:TorchEngine",
        ("torch",),
        "torch, eager, CPU or CUDA",
        True,
        twin="torch-reproducible",
    ),
    "torch-reproducible": Known(
        "parity.engines.torch_reproducible:TorchReproducibleEngine",
        ("torch",),
        "torch with reproducible sums and products, CPU or CUDA",
        True,
    ),
}


def factory(name: str) -> Callable[[], Engine]:
    """Return what makes the engine of this name; it can be pickled and imports nothing yet.

    Raises:
        UsageError: the engine is unknown, or something it needs is not installed.
    """
    if name not in ENGINES:
        raise UsageError(f"unknown engine {name!r}: the known ones are {', '.join(ENGINES)}")
    if missing := ENGINES[name].missing():
        raise UsageError(f"engine {name!r} needs {', '.join(missing)}, which is not installed")
    return functools.partial(_make, ENGINES[name].adapter)


def runs_on(name: str, device: str) -> str:
    """Return the device that an engine really uses when it is asked for this one."""
    return device if name not in ENGINES or ENGINES[name].cuda else "cpu"


def reproducible(name: str) -> str | None:
    """Return the engine's twin in reproducible arithmetic, None if it has none that is ready."""
    twin = ENGINES[name].twin if name in ENGINES else None
    return twin if twin is not None and not ENGINES[twin].missing() else None


def _make(adapter: str) -> Engine:
    module, _, name = adapter.partition(":")
    engine: Engine = getattr(importlib.import_module(module), name)()
    return engine

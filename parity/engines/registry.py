"""The engines that are known by name."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import shutil
from collections.abc import Callable
from dataclasses import dataclass

from parity.engines import Engine
from parity.errors import UsageError


@dataclass(frozen=True)
class Known:
    """An engine that is known by name.

    Attributes:
        adapter: where its adapter is, as "module:class".
        description: a few words.
        needs: the packages it needs.
        programs: the programs it needs.
        cuda: whether it can run on a CUDA device; one that cannot stays on the CPU.
        twin: the engine that does the same in reproducible arithmetic, if there is one. What
            compiles or records its steps has none: the eager twin would vouch for code not run.
    """

    adapter: str
    description: str
    needs: tuple[str, ...] = ()
    programs: tuple[str, ...] = ()
    cuda: bool = False
    twin: str | None = None

    def missing(self) -> list[str]:
        """Return the packages and programs that are not installed."""
        packages = [name for name in self.needs if importlib.util.find_spec(name) is None]
        return packages + [name for name in self.programs if shutil.which(name) is None]


PEERS = "parity.engines.peers"

ENGINES = {
    "minigrad": Known(
        "parity.engines.minigrad:MinigradEngine",
        "minigrad, eager, on NumPy",
        twin="minigrad-reproducible",
    ),
    "minigrad-captured": Known(
        "parity.engines.minigrad_captured:MinigradCapturedEngine",
        "minigrad, each step recorded once and replayed",
    ),
    "minigrad-reproducible": Known(
        "parity.engines.minigrad_reproducible:MinigradReproducibleEngine",
        "minigrad on reproducible arrays, the same bits everywhere",
    ),
    "torch": Known(
        "parity.engines.torch:TorchEngine",
        "torch, eager, CPU or CUDA",
        ("torch",),
        cuda=True,
        twin="torch-reproducible",
    ),
    "torch-compile": Known(
        "parity.engines.torch_compile:TorchCompileEngine",
        "torch, the whole step compiled, CPU or CUDA",
        ("torch",),
        ("g++",),
        cuda=True,
    ),
    "torch-reproducible": Known(
        "parity.engines.torch_reproducible:TorchReproducibleEngine",
        "torch with reproducible sums and products, CPU or CUDA",
        ("torch",),
        cuda=True,
    ),
    "numpy-floor": Known(
        f"{PEERS}.numpy_floor:NumpyFloorEngine",
        "a step written by hand in NumPy for these networks",
    ),
    "jax": Known(f"{PEERS}.jax:JaxEngine", "JAX, the whole step compiled", ("jax",)),
    "jax-scan": Known(f"{PEERS}.jax:JaxScanEngine", "JAX, the whole loop compiled", ("jax",)),
    "autograd": Known(f"{PEERS}.autograd:AutogradEngine", "HIPS autograd", ("autograd",)),
    "mygrad": Known(f"{PEERS}.mygrad:MyGradEngine", "MyGrad", ("mygrad",)),
    "tinygrad": Known(
        f"{PEERS}.tinygrad:TinygradEngine",
        "tinygrad on the CPU, the whole step compiled",
        ("tinygrad",),
        ("clang",),
    ),
    "micrograd": Known(
        f"{PEERS}.micrograd:MicrogradEngine", "micrograd, number by number", ("micrograd",)
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
        raise UsageError(
            f"engine {name!r} needs {', '.join(missing)}, which is not installed. Packages come "
            "with `pip install minigrad-parity[peers]`, programs with the system's packages"
        )
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

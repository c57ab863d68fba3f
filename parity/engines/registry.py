"""The engines that are known by name."""

import difflib
import functools
import importlib
import importlib.metadata
import importlib.util
import shutil
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from parity.engines.protocol import Engine
from parity.errors import EngineFailedError, UsageError, summary
from parity.extras import how_to_install


@dataclass(frozen=True)
class Known:
    """An engine that is known by name.

    Attributes:
        adapter: where its adapter is, as "module:class".
        description: a few words.
        needs: the packages it needs.
        programs: the programs it needs.
        cuda: whether it can run on a CUDA device; one that cannot stays on the CPU.
        twin: the engine that does the same in reproducible arithmetic, if there is one. Engines
            that compile or record their steps have none: their own code would not be judged.
        many_seeds: whether it trains many seeds at once; its time is that of a step of one.
    """

    adapter: str
    description: str
    needs: tuple[str, ...] = ()
    programs: tuple[str, ...] = ()
    cuda: bool = False
    twin: str | None = None
    many_seeds: bool = False

    def missing(self) -> list[str]:
        """Return the packages and programs that are not installed."""
        packages = [name for name in self.needs if importlib.util.find_spec(name) is None]
        return packages + [name for name in self.programs if shutil.which(name) is None]


PEERS = "parity.engines.peers"

ENGINES = {
    "minigrad": Known(
        "parity.engines.adapters.minigrad:MinigradEngine",
        "minigrad, eager, on NumPy",
        twin="minigrad-reproducible",
    ),
    "minigrad-captured": Known(
        "parity.engines.adapters.minigrad:MinigradCapturedEngine",
        "minigrad, each step recorded once and replayed",
    ),
    "minigrad-ensemble": Known(
        "parity.engines.adapters.minigrad_ensemble:EnsembleEngine",
        "minigrad, many seeds at once; a step is one seed's",
        twin="minigrad-ensemble-reproducible",
        many_seeds=True,
    ),
    "minigrad-ensemble-reproducible": Known(
        "parity.engines.adapters.minigrad_ensemble:ReproducibleEnsembleEngine",
        "two seeds at once on reproducible arrays, each with the bits of one",
        many_seeds=True,
    ),
    "minigrad-reproducible": Known(
        "parity.engines.adapters.minigrad:MinigradReproducibleEngine",
        "minigrad on reproducible arrays, the same bits everywhere",
    ),
    "torch": Known(
        "parity.engines.adapters.torch:TorchEngine",
        "torch, eager, CPU or CUDA",
        ("torch",),
        cuda=True,
        twin="torch-reproducible",
    ),
    "torch-compile": Known(
        "parity.engines.adapters.torch:TorchCompileEngine",
        "torch, the whole step compiled, CPU or CUDA",
        ("torch",),
        ("g++",),
        cuda=True,
    ),
    "torch-reproducible": Known(
        "parity.engines.adapters.torch:TorchReproducibleEngine",
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
    "jax-vmap": Known(
        f"{PEERS}.jax:JaxVmapEngine",
        "JAX, many seeds at once, the whole loop compiled; a step is one seed's",
        ("jax",),
        many_seeds=True,
    ),
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


GROUP = "parity.engines"
"""The entry points by which an installed package makes its engines known: a name, and where."""


def known() -> dict[str, Known]:
    """Return the engines that are known by name, those of installed packages last.

    A name of this package's own stays its own.
    """
    found = {
        point.name: Known(
            point.value,
            f"of the package {point.dist.name}" if point.dist else "",
            (point.module.partition(".")[0],),
        )
        for point in importlib.metadata.entry_points(group=GROUP)
    }
    return ENGINES | {name: engine for name, engine in found.items() if name not in ENGINES}


def factory(name: str) -> Callable[[], Engine]:
    """Return what makes an engine; it can be pickled and imports nothing yet.

    Args:
        name: a known one, or "module:Class" of an engine of one's own.

    Raises:
        UsageError: the engine is unknown, or something it needs is not installed. What is made
            raises it, too, if there is no such module or class, or if that is not an engine; and
            `EngineFailedError` if importing or making it raises an exception.
    """
    if ":" in name:
        module, _, class_name = name.partition(":")
        if not all(part.isidentifier() for part in (*module.split("."), class_name)):
            raise UsageError(
                f"{name!r} does not name a class: give an engine as package.module:Class"
            )
        return functools.partial(_make, name)
    engines = known()
    if name not in engines:
        near = difflib.get_close_matches(name, engines, 1)
        remedy = f"the known ones are {', '.join(engines)}; package.module:Class is one of your own"
        remedy = f"did you mean {near[0]}?" if near else remedy
        raise UsageError(f"unknown engine {name!r}: {remedy}")
    if missing := engines[name].missing():
        lacking, *_ = missing
        program = lacking in engines[name].programs
        how = "it is one of the system's packages" if program else how_to_install(lacking)
        raise UsageError(f"engine {name!r} needs {lacking}, which is not installed: {how}")
    return functools.partial(_make, engines[name].adapter)


def same(name: str, other: str) -> bool:
    """Return whether two names are of one engine."""
    engines = known()
    adapters = [engines[n].adapter if n in engines else n for n in (name, other)]
    return adapters[0] == adapters[1]


def runs_on(name: str, device: str) -> str:
    """Return the device that an engine uses when it is asked for this one.

    An engine from elsewhere is assumed to use any device.
    """
    return device if name not in ENGINES or ENGINES[name].cuda else "cpu"


def reproducible(name: str) -> str | None:
    """Return the engine's twin in reproducible arithmetic, None if it has none that is ready."""
    twin = ENGINES[name].twin if name in ENGINES else None
    return twin if twin is not None and not ENGINES[twin].missing() else None


def _make(adapter: str) -> Engine:
    """Import a module and make the engine; a module may lie in the working directory."""
    name, _, attribute = adapter.partition(":")
    if str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if not error.name or not f"{name}.".startswith(f"{error.name}."):
            raise UsageError(_unmade(adapter, error)) from error  # the module needs another
        raise UsageError(
            f"there is no module {error.name!r} for the engine {adapter!r}: give one as "
            "package.module:Class, from the folder where it can be imported"
        ) from error
    except BaseException as error:
        raise EngineFailedError(_unmade(adapter, error)) from error
    made = getattr(module, attribute, None)
    if not (isinstance(made, type) and issubclass(made, Engine)):
        raise UsageError(
            f"{adapter!r} is no engine: the class must derive from parity.Engine, which says what "
            "it must do"
        )
    if lacking := ", ".join(sorted(made.__abstractmethods__)):
        raise UsageError(f"the engine {adapter!r} lacks {lacking}, which parity.Engine asks for")
    try:
        return made()
    except UsageError:
        raise
    except BaseException as error:
        raise EngineFailedError(_unmade(adapter, error)) from error


def _unmade(adapter: str, error: BaseException) -> str:
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return (
        f"the engine {adapter!r} cannot be made: {summary(error)}, "
        f"in {frame.name}, {frame.filename}:{frame.lineno}"
    )

"""What all results of a folder have in common, so that they can be compared."""

import functools
import hashlib
import sys
from collections.abc import Mapping, Sequence
from importlib.machinery import PathFinder
from pathlib import Path

from parity.engines.protocol import Task
from parity.engines.registry import known
from parity.environment import version
from parity.result_sources import PEERS, SHOWN, TRAINED
from parity.source_digest import digest

TRAINING = (*TRAINED, PEERS, "parity/checks/state.py", "parity/checks/trajectory.py")
"""The sources that results depend on."""


def settings(tasks: Mapping[str, Task], engines: Sequence[str]) -> dict[str, str]:
    """Return by name what may not change while results gather in a folder.

    Networks, seeds, engines and dtypes may be added at any time: they tell results apart.

    Args:
        tasks: by the networks' names; equal in samples, momentum and device.
        engines: the names of the engines.
    """
    found: dict[str, str] = {}
    for name, task in tasks.items():
        found |= {
            f"epochs of {name}": str(task.epochs),
            f"learning rate of {name}": str(task.learning_rate),
            "samples": str(task.samples),
            "momentum": str(task.momentum),
            "device": task.device,
            **{name: str(getattr(task, name)) for name in task.options if name != "problem"},
        }
        if task.data is not None:
            found["data"] = hashlib.sha256(task.data.content).hexdigest()
        if task.problem is not None:
            found[f"text of {name}"] = hashlib.sha256(task.problem.source.encode()).hexdigest()
    return found | versions(engines)


def versions(engines: Sequence[str]) -> dict[str, str]:
    """Return the versions of what trains: the engines' packages, and a digest of the sources.

    An engine's own package is also known by its sources: while it is worked on, it keeps its
    version.
    """
    own = {_package(name) for name in engines} - {"parity"}
    needed = {"numpy"}.union(*(known()[name].needs for name in engines if name in known()))
    return {
        **{f"version of {name}": version(name) or "none" for name in sorted(needed | own)},
        **{f"sources of {name}": _sources(name) for name in sorted(own)},
        "code of minigrad, torch_impl and parity.engines": _code(),
    }


def _package(engine: str) -> str:
    adapter = known()[engine].adapter if engine in known() else engine
    return adapter.partition(":")[0].split(".")[0]


@functools.cache
def _sources(package: str) -> str:
    """Return a digest of a package's sources, or of a single module's."""
    found = PathFinder.find_spec(package, [*sys.path, str(Path.cwd())])
    if found is None:
        return "missing"
    if found.submodule_search_locations is None:
        file = Path(str(found.origin))
        return digest([file.name], root=file.parent)
    folders = sorted({Path(folder).resolve() for folder in found.submodule_search_locations})
    return " ".join(digest(["**/*.py"], root=folder) for folder in folders)


@functools.cache
def _code() -> str:
    return digest(TRAINING, SHOWN)

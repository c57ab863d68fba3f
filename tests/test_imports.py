"""Who imports whom: the packages' direction, no cycles within them, and what `minigrad` loads."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("minigrad", "torch_impl", "parity")
Sources = dict[str, str]
"""Source texts by module name; a package's `__init__` has the package's name."""


def sources_of(package: str) -> Sources:
    found = {}
    for path in sorted((ROOT / package).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path.read_text("utf-8")
    return found


def names_imported(tree: ast.AST) -> Iterator[str]:
    """Every dotted name that is imported; of `from a import b` both `a` and `a.b`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            assert node.module is not None
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = ast.unparse(node.func)
            if called in ("__import__", "importlib.import_module", "import_module"):
                yield str(node.args[0].value)


class OutsideFunctions(ast.NodeTransformer):
    """Takes away the bodies of functions."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        return None


class ImportedAtOnce(OutsideFunctions):
    """Leaves what runs when the module is imported: no function bodies, no `if TYPE_CHECKING`."""

    def visit_If(self, node: ast.If) -> ast.AST | list[ast.stmt]:
        if "TYPE_CHECKING" in ast.unparse(node.test):
            return node.orelse
        return self.generic_visit(node)


def top_levels(sources: Sources, part: ast.NodeTransformer | None = None) -> set[str]:
    """The packages that are imported anywhere, within functions too, or in a part alone."""
    trees = map(ast.parse, sources.values())
    return {
        name.partition(".")[0]
        for tree in trees
        for name in names_imported(tree if part is None else part.visit(tree))
    }


def cycle(sources: Sources) -> list[str]:
    """A cycle of modules that import each other, empty if there is none.

    `from package import module` needs the module; that it also runs the package's `__init__`
    first cannot be avoided, and is not counted.
    """
    graph: dict[str, set[str]] = {}
    for module, source in sources.items():
        tree = ImportedAtOnce().visit(ast.parse(source))
        submodules = {name for name in names_imported(tree) if name in sources}
        statements = [node for node in ast.walk(tree) if isinstance(node, ast.Import)]
        by_itself = {alias.name for node in statements for alias in node.names}
        used = {
            name
            for name in submodules
            if name in by_itself or not any(other.startswith(f"{name}.") for other in submodules)
        }
        graph[module] = used - {module}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        members: list[str] = error.args[1]
        return members
    return []


def foreign(package: str, sources: Sources) -> set[str]:
    """What a package imports and must not."""
    found = top_levels(sources) - sys.stdlib_module_names - {package}
    if package == "minigrad":
        # safetensors is needed by those alone who read or write such files: within a function.
        return found - {"numpy"} - ({"safetensors"} - top_levels(sources, OutsideFunctions()))
    if package == "torch_impl":
        return found - {"torch"}
    return found & {"tests"}


@pytest.mark.parametrize("package", PACKAGES)
def test_imports_point_the_right_way(package: str) -> None:
    sources = sources_of(package)
    assert package in sources
    assert foreign(package, sources) == set()


def test_only_parity_imports_both() -> None:
    both = [p for p in PACKAGES if {"minigrad", "torch_impl"} <= top_levels(sources_of(p)) | {p}]
    assert both == ["parity"]


@pytest.mark.parametrize("package", PACKAGES)
def test_no_cycles(package: str) -> None:
    assert cycle(sources_of(package)) == []


@pytest.mark.parametrize(
    ("package", "line", "offender"),
    [
        ("minigrad", "import torch", "torch"),
        ("minigrad", "def f():\n    from matplotlib import pyplot", "matplotlib"),
        ("minigrad", "if TYPE_CHECKING:\n    from parity.engines.protocol import Task", "parity"),
        ("minigrad", "import safetensors", "safetensors"),
        ("minigrad", "class C:\n    from safetensors.numpy import load", "safetensors"),
        ("minigrad", "import importlib\nimportlib.import_module('scipy.stats')", "scipy"),
        ("torch_impl", "from minigrad.nn import Linear", "minigrad"),
        ("torch_impl", "import parity.run", "parity"),
        ("torch_impl", "import numpy as np", "numpy"),
        ("parity", "from tests.parity import fake_engines", "tests"),
    ],
)
def test_planted_import_is_found(package: str, line: str, offender: str) -> None:
    sources = sources_of(package)
    module = list(sources)[-1]
    sources[module] += f"\n{line}\n"
    assert foreign(package, sources) == {offender}


@pytest.mark.parametrize(
    "line", ["from minigrad import tensor", "from minigrad.tensor import Tensor", "import minigrad"]
)
def test_planted_cycle_is_found(line: str) -> None:
    sources = sources_of("minigrad")
    sources["minigrad.tape"] += f"\n{line}\n"
    assert "minigrad.tape" in cycle(sources)


def test_imports_for_types_or_within_functions_are_no_cycle() -> None:
    sources = sources_of("minigrad")
    sources["minigrad.tape"] += (
        "\nif TYPE_CHECKING:\n    from minigrad.tensor import Tensor\n"
        "def later():\n    from minigrad.tensor import Tensor\n"
    )
    assert cycle(sources) == []


LOADED = "import sys; print(*sorted({name.partition('.')[0] for name in sys.modules}))"


def loaded_by(statement: str) -> set[str]:
    command = [sys.executable, "-c", f"{statement}\n{LOADED}"]
    finished = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return set(finished.stdout.split())


def test_import_minigrad_loads_numpy_alone() -> None:
    numpy = loaded_by("import numpy.random")  # with what the interpreter loads by itself
    assert "minigrad" not in numpy
    loaded = loaded_by("import minigrad, minigrad.architectures")
    assert loaded - numpy - sys.stdlib_module_names == {"minigrad"}


def test_import_torch_impl_loads_neither_minigrad_nor_parity() -> None:
    loaded = loaded_by("import torch_impl.train, torch_impl.architectures")
    assert "torch_impl" in loaded
    assert loaded & {"minigrad", "parity"} == set()


def test_what_is_loaded_is_seen() -> None:
    assert {"minigrad", "colorsys"} <= loaded_by("import minigrad, colorsys")

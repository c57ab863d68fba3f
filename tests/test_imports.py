"""Who imports whom: the packages' direction, no cycles within them, and what `minigrad` loads.

Every import counts, within functions and under `TYPE_CHECKING`, too.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("minigrad", "torch_impl", "parity")
MOST_LINES = 300
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
        yield from names_imported_by(node)


def names_imported_by(node: ast.AST) -> Iterator[str]:
    """The dotted names that a statement or a call imports."""
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


def top_levels(sources: Sources, part: ast.NodeTransformer | None = None) -> set[str]:
    """The packages that are imported anywhere, within functions too, or in a part alone."""
    trees = map(ast.parse, sources.values())
    return {
        name.partition(".")[0]
        for tree in trees
        for name in names_imported(tree if part is None else part.visit(tree))
    }


def modules_imported(sources: Sources, module: str) -> set[str]:
    """The modules of a package that one of them imports.

    `from package import module` needs the module; that it also runs the package's `__init__`
    first cannot be avoided, and is not counted.
    """
    found = set()
    for node in ast.walk(ast.parse(sources[module])):
        names = set(names_imported_by(node))
        submodules = {name for name in names if name in sources}
        if isinstance(node, ast.ImportFrom):
            named = {f"{node.module}.{alias.name}" for alias in node.names}
            if named <= submodules:  # so that the package itself is not needed
                submodules -= {str(node.module)}
        found |= submodules
    return found - {module}


def cycle(sources: Sources) -> list[str]:
    """A cycle among the children of some folder, each a file or a folder; empty if there is none.

    A cycle of files is one of children of the smallest folder that all of them are in.
    """
    imported = {module: modules_imported(sources, module) for module in sources}
    packages = {module.rpartition(".")[0] for module in sources} - {""}
    for package in sorted(packages):

        def child(module: str, package: str = package) -> str:
            inside = module.removeprefix(f"{package}.").partition(".")[0]
            return f"{package}.__init__" if module == package else f"{package}.{inside}"

        within = [m for m in sources if m == package or m.startswith(f"{package}.")]
        graph: dict[str, set[str]] = {child(module): set() for module in within}
        for module in within:
            graph[child(module)] |= {child(other) for other in imported[module] if other in within}
        try:
            TopologicalSorter({n: others - {n} for n, others in graph.items()}).prepare()
        except CycleError as error:
            members: list[str] = error.args[1]
            return members
    return []


def too_long(sources: Sources) -> list[str]:
    """The modules of more than `MOST_LINES` lines."""
    return [module for module, text in sources.items() if len(text.splitlines()) > MOST_LINES]


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


@pytest.mark.parametrize("package", PACKAGES)
def test_no_imports_for_types_alone(package: str) -> None:
    sources = sources_of(package)
    assert [module for module in sources if "TYPE_CHECKING" in sources[module]] == []


@pytest.mark.parametrize("package", PACKAGES)
def test_files_are_short(package: str) -> None:
    assert too_long(sources_of(package)) == []


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
    module, source = list(sources_of(package).items())[-1]
    assert foreign(package, {module: f"{source}\n{line}\n"}) == {offender}


@pytest.mark.parametrize(
    ("module", "line", "members"),
    [
        ("minigrad.tape", "from minigrad.tensor import Tensor", "minigrad.tape minigrad.tensor"),
        ("minigrad.tape", "import minigrad", "minigrad.__init__ minigrad.tape"),
        ("minigrad.tape", "from minigrad import nn", "minigrad.nn minigrad.tape"),
        (
            "minigrad.ops.shape",
            "def f():\n    import minigrad.optim",
            "minigrad.ops minigrad.optim",
        ),
        (
            "parity.checks.budget",
            "if TYPE_CHECKING:\n    from parity.checks.steps import Judge",
            "parity.checks.budget parity.checks.steps",
        ),
        (
            "parity.engines.process",
            "importlib.import_module('parity.probes.run')",
            "parity.engines parity.probes",
        ),
        (
            "parity.engines.peers.peer",
            "from parity.engines.adapters.minigrad_ensemble import Ensemble\n",
            "",
        ),
        ("torch_impl.model", "import torch_impl.train", "torch_impl.model torch_impl.train"),
    ],
)
def test_planted_cycle_is_found(module: str, line: str, members: str) -> None:
    sources = sources_of(module.partition(".")[0])
    sources[module] += f"\n{line}\n"
    found = cycle(sources)
    assert set(members.split()) <= set(found)
    assert bool(found) is bool(members)


def test_a_planted_long_file_is_found() -> None:
    sources = {"short": "x = 1\n" * MOST_LINES, "long": "x = 1\n" * (MOST_LINES + 1)}
    assert too_long(sources) == ["long"]


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
    loaded = loaded_by("import torch_impl.__main__")
    assert "torch_impl" in loaded
    assert loaded & {"minigrad", "parity"} == set()


def test_what_is_loaded_is_seen() -> None:
    assert {"minigrad", "colorsys"} <= loaded_by("import minigrad, colorsys")

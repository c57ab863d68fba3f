"""The guide to minigrad: what docstrings show is so, and README's walk-through does what it says.

There an operation is added, exactly as shown, to a copy of the tree, and its derivative is checked.
README's other snippets are run by `test_readme.py`.
"""

from __future__ import annotations

import doctest
import importlib
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import minigrad

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
CHAPTER = README.partition("### Adding an operation\n")[2].partition("\n## ")[0]
PATCHES = re.findall(r"```diff\n(.*?)```", CHAPTER, flags=re.DOTALL)
(COMMAND,) = re.findall(r"^\$ \.venv/bin/pytest (.*)$", CHAPTER, flags=re.MULTILINE)
DERIVATIVE = """\
def rsqrt_backward_x(grad_out: Array, out: Array) -> Array:
    return np.multiply(grad_out, np.multiply(np.power(out, 3), -0.5))
"""


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tree in which the operation has been added."""
    copy = tmp_path_factory.mktemp("guide") / "tree"
    for name in ("minigrad", "tests/minigrad"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "tests/conftest.py"):
        shutil.copy(ROOT / name, copy / name)
    assert "rsqrt" not in (copy / "tests/minigrad/operations.py").read_text(), "it is there already"
    outside = {**os.environ, "GIT_CEILING_DIRECTORIES": str(copy.parent)}
    for patch in PATCHES:
        command = ["git", "apply", "--verbose", "-"]
        applied = subprocess.run(
            command, input=patch, cwd=copy, env=outside, text=True, capture_output=True
        )
        assert applied.returncode == 0, applied.stderr
    return copy


@pytest.mark.parametrize(
    "path",
    [
        path
        for path in sorted((ROOT / "minigrad").rglob("*.py"))
        if ">>> " in path.read_text("utf-8")
    ],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_examples_in_docstrings(path: Path) -> None:
    parts = path.relative_to(ROOT).with_suffix("").parts
    module = importlib.import_module(".".join(part for part in parts if part != "__init__"))
    found = doctest.testmod(module)
    assert found.attempted > 0
    assert found.failed == 0


def test_the_modules_of_the_path_are_there() -> None:
    assert minigrad.__doc__ is not None
    names = re.findall(r"^    ((?:\w+, )*\w+)  ", minigrad.__doc__, flags=re.MULTILINE)
    modules = [name for line in names for name in line.split(", ")]
    assert modules[:4] == ["tensor", "ops", "tape", "nn"]
    for name in modules:
        importlib.import_module(f"minigrad.{name}")


def pytest_in(tree: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(tree), "PYTEST_ADDOPTS": ""}
    return subprocess.run(
        command, cwd=tree, env=environment, text=True, capture_output=True, timeout=300
    )


def test_every_place_is_shown() -> None:
    files = re.findall(r"^\+\+\+ b/(.*)$", "".join(PATCHES), flags=re.MULTILINE)
    assert files == [
        *("minigrad/ops/elementwise.py", "minigrad/tensor/arithmetic.py"),
        "minigrad/__init__.py",
        *("tests/minigrad/operations.py", "tests/minigrad/test_gradcheck.py"),
    ]


def test_the_operation_passes_its_checks(tree: Path) -> None:
    result = pytest_in(tree, *shlex.split(COMMAND), "-v")
    assert result.returncode == 0, result.stdout
    for said in (
        "test_value_and_gradients[rsqrt] PASSED",
        "test_gradients_are_those_of_finite_differences[rsqrt] PASSED",
        "test_memory_layouts[rsqrt] PASSED",
        "test_elementwise[rsqrt-float64] PASSED",
        "test_replays[rsqrt] PASSED",
        "test_values_are_those_of_plain_arrays[rsqrt] PASSED",
        "test_rules_run_on_guarded_arrays[rsqrt] PASSED",
    ):
        assert said in result.stdout


def test_it_can_be_used(tree: Path) -> None:
    code = (
        "import minigrad as torch; x = torch.tensor([4.0], requires_grad=True); "
        "x.rsqrt().backward(); print(torch.rsqrt(x), x.grad, torch.__file__)"
    )
    command = [sys.executable, "-c", code]
    printed = subprocess.run(command, cwd=tree, capture_output=True, text=True, check=True).stdout
    values = "tensor([0.5000], grad_fn=<RsqrtBackward0>) tensor([-0.0625]) "
    assert printed == f"{values}{tree}/minigrad/__init__.py\n"


OPERATION = "test_operations.py::test_value_and_gradients[rsqrt]"
DIFFERENCES = "test_gradcheck.py::test_true_derivatives_pass[rsqrt]"
SPECIAL = "test_special_values.py::test_elementwise[rsqrt-float32]"


@pytest.mark.parametrize(
    ("wrong", "caught"),
    [
        (
            {"-0.5": "0.5"},
            {
                OPERATION: r"gradient of input 0: \d+ of \d+ elements differ",
                DIFFERENCES: r"Report\(elements=36, failed=6",
            },
        ),
        (
            {"np.power(out, 3)": "np.divide(out, x)", "out: Array)": "out: Array, x: Array)"},
            {SPECIAL: r"at \[-0\.0\]: actual -inf, expected inf"},
        ),
    ],
)
def test_a_wrong_derivative_is_caught(
    tree: Path, wrong: dict[str, str], caught: dict[str, str]
) -> None:
    path = tree / "minigrad/ops/elementwise.py"
    right = path.read_text(encoding="utf-8")
    before, derivative, after = right.partition(DERIVATIVE)
    for old, new in wrong.items():
        assert derivative.count(old) == 1
        derivative = derivative.replace(old, new)
    path.write_text(before + derivative + after, encoding="utf-8")
    try:
        result = pytest_in(tree, *(f"tests/minigrad/{test}" for test in caught))
    finally:
        path.write_text(right, encoding="utf-8")
    assert result.returncode == 1, result.stdout
    for test, told in caught.items():
        assert f"FAILED tests/minigrad/{test}" in result.stdout
        assert re.search(told, result.stdout)

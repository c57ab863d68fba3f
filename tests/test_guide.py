"""minigrad's guide: examples in docstrings are right, and so is the chapter on a new operation.

The chapter adds an operation. A copy of the tree gets it exactly as shown, and its derivative is
checked there. The guide's other snippets are run by `test_readme.py`.
"""

import doctest
import importlib
import json
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
README = (ROOT / "minigrad" / "README.md").read_text(encoding="utf-8")
CHAPTER = README.partition("## Adding an operation\n")[2].partition("\n## ")[0]
PATCHES = re.findall(r"```diff\n(.*?)```", CHAPTER, flags=re.DOTALL)
(COMMAND,) = re.findall(r"^\$ \.venv/bin/pytest (.*)$", CHAPTER, flags=re.MULTILINE)
PLACE = "minigrad/ops/elementwise.py"
DERIVATIVE = """\
def rsqrt_backward_x(grad_out: Array, out: Array) -> Array:
    return np.multiply(grad_out, np.multiply(np.power(out, 3), -0.5))
"""
WRONG_SIGN = DERIVATIVE.replace("-0.5", "0.5")
WRONG_AT_ZERO = DERIVATIVE.replace("np.power(out, 3)", "np.divide(out, x)").replace(
    "out: Array)", "out: Array, x: Array)"
)

OPERATION = "test_operations.py::test_value_and_gradients[rsqrt]"
DIFFERENCES = "test_gradcheck.py::test_true_derivatives_pass[rsqrt]"
SPECIAL = "test_special_values.py::test_elementwise[rsqrt-float32]"

USED = """
import minigrad as torch
x = torch.tensor([4.0], requires_grad=True)
x.rsqrt().backward()
print(torch.rsqrt(x), x.grad, torch.__file__)
"""
RUNS = """
import json, sys
from pathlib import Path
import pytest

exec({used!r})
for file, text, arguments in json.load(sys.stdin):
    Path(file).write_text(text, encoding="utf-8")
    for name in list(sys.modules):
        if name.partition(".")[0] in ("minigrad", "parity", "tests"):
            del sys.modules[name]
    print("{next}", flush=True)
    pytest.main(["-p", "no:cacheprovider", *arguments])
"""
"""All runs in one process, which loads torch once."""


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tree in which the operation has been added."""
    copy = tmp_path_factory.mktemp("guide") / "tree"
    for name in ("minigrad", "tests/minigrad"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "tests/conftest.py"):
        shutil.copy(ROOT / name, copy / name)
    for test in copy.glob("tests/minigrad/test_*.py"):
        if not re.search("OPERATIONS|POINTS", test.read_text(encoding="utf-8")):
            test.unlink()  # it tests no operation of the tables, and need not be collected
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
    names = re.findall(r"^    ((?:[\w.]+, )*[\w.]+)  ", minigrad.__doc__, flags=re.MULTILINE)
    modules = [name for line in names for name in line.split(", ")]
    assert modules[:4] == ["tensor", "ops", "tape", "nn"]
    for name in modules:
        importlib.import_module(f"minigrad.{name}")


@pytest.fixture(scope="module")
def printed(tree: Path) -> list[str]:
    """What is printed by `USED`, by the guide's command, and by tests of two wrong derivatives."""
    right = (tree / PLACE).read_text(encoding="utf-8")
    assert right.count(DERIVATIVE) == 1
    runs = [
        (PLACE, right.replace(DERIVATIVE, derivative), arguments)
        for derivative, arguments in (
            (DERIVATIVE, [*shlex.split(COMMAND), "-v"]),
            (WRONG_SIGN, [f"tests/minigrad/{test}" for test in (OPERATION, DIFFERENCES)]),
            (WRONG_AT_ZERO, [f"tests/minigrad/{SPECIAL}"]),
        )
    ]
    # Python compiles a file anew if its length differs, even if it was written in the same second.
    assert len({len(text) for _, text, _ in runs}) == len(runs)
    separator = "next run"
    ended = subprocess.run(
        [sys.executable, "-c", RUNS.format(used=USED, next=separator)],
        input=json.dumps(runs),
        cwd=tree,
        env={**os.environ, "PYTEST_ADDOPTS": ""},
        text=True,
        capture_output=True,
        timeout=500,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.split(f"{separator}\n")


def test_every_place_is_shown() -> None:
    files = re.findall(r"^\+\+\+ b/(.*)$", "".join(PATCHES), flags=re.MULTILINE)
    assert files == [
        *("minigrad/ops/elementwise.py", "minigrad/tensor/arithmetic.py"),
        *("minigrad/__init__.py", "tests/minigrad/operations.py"),
    ]


WRONG = [
    (2, OPERATION, r"gradient of input 0: \d+ of \d+ elements differ"),
    (2, DIFFERENCES, r"Report\(elements=36, failed=6"),
    (3, SPECIAL, r"at \[-0\.0\]: actual -inf, expected inf"),
]
"""In which run a wrong derivative is caught, by which test, with what message."""


def test_it_can_be_used_passes_its_checks_and_a_wrong_derivative_is_caught(
    tree: Path, printed: list[str]
) -> None:
    """One test: what is run is dear, and would be run again in each process of the tests."""
    values = "tensor([0.5000], grad_fn=<RsqrtBackward0>) tensor([-0.0625]) "
    assert printed[0] == f"{values}{tree}/minigrad/__init__.py\n"
    assert re.search(r"= [0-9]+ passed, [0-9]+ deselected in ", printed[1]), printed[1]
    for said in (
        "test_value_and_gradients[rsqrt] PASSED",
        "test_gradients_are_those_of_finite_differences[rsqrt] PASSED",
        "test_memory_layouts[rsqrt] PASSED",
        "test_elementwise[rsqrt-float64] PASSED",
        "test_replays[rsqrt-ndarray] PASSED",
        "test_every_rule_and_derivative_runs_on_wrapped_arrays PASSED",
    ):
        assert said in printed[1]
    for run, test, message in WRONG:
        assert f"FAILED tests/minigrad/{test}" in printed[run]
        assert re.search(message, printed[run])

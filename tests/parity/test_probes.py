"""The probe suite: correct engines pass it, it runs every rule, its verdict says what it must."""

import functools
import inspect
import json
import sys
from collections.abc import Callable, Iterator
from types import CodeType, FrameType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import minigrad
from minigrad import ops
from minigrad.ops import RULES
from minigrad.ops.shape import permute_backward_x
from parity.checks.source import body_of
from parity.documents import to_json
from parity.engines.process import EngineProcess
from parity.engines.registry import factory
from parity.engines.trainer import Trainer
from parity.evidence.detection.defect import chosen, planted
from parity.probes import FAMILIES, WRITTEN, probe_named, share
from parity.probes.check import check_probes, probes_compared, run_budgeted
from parity.probes.notes import Key
from parity.probes.places import traced_suspects
from parity.probes.run import run_probes
from tests.minigrad.operations import FUZZ

DTYPES = ("float32", "float64")
SEEDS = (*range(16), 12345) if FUZZ else (9,)
"""Whose shares of the probes minigrad runs: an ordinary run has time for one."""


def verdict(lib: Any, dtype: str = "float32", seed: int = 0, *names: str) -> dict[str, Any]:
    """Judge a library against torch, on all probes or on those of these names."""
    wanted = names or None
    outcomes = [list(run_probes(each, dtype, seed, wanted)) for each in (lib, torch)]
    budgets = list(run_budgeted(dtype, seed, wanted))
    return probes_compared(*outcomes, budgets, dtype, seed)  # type: ignore[call-arg, arg-type]


def engine(name: str) -> EngineProcess[Trainer]:
    return EngineProcess(functools.partial(Trainer, factory(name)), 1, name)


# ---- correct engines ----------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("seed", SEEDS)
def test_minigrad_passes(dtype: str, seed: int) -> None:
    found = verdict(minigrad, dtype, seed)
    assert found["failed"] == []
    assert found["passed"]
    assert found["probes"] == len(share(seed))
    assert 0 < found["worst_budget_used"] < 1
    assert found["elements"] > 10_000
    json.loads(to_json(found))


def test_between_processes(torch_process: EngineProcess[Trainer]) -> None:
    names = ["diamond", "diamond_of_functions"]
    with engine("minigrad") as actual:
        found = check_probes(actual, torch_process, "float32", 3, names)
        assert found is not None
        assert found["passed"]
        assert found["probes"] == 2
        assert found["worst_at"]["probe"] == "diamond_of_functions"


def test_an_engine_without_a_namespace_is_not_judged() -> None:
    with engine("minigrad-reproducible") as actual, engine("minigrad") as expected:
        assert check_probes(actual, expected, "float32", 0, ["diamond"]) is None
        assert check_probes(expected, actual, "float32", 0, ["diamond"]) is None


# ---- the suite ----------------------------------------------------------------------------------


def watched(call: Callable[[], object]) -> set[CodeType]:
    """Return the code of every function that a call runs."""
    seen: set[CodeType] = set()

    def watch(frame: FrameType, event: str, value: Any) -> None:
        seen.add(frame.f_code)

    before = sys.getprofile()
    sys.setprofile(watch)
    try:
        call()
    finally:
        sys.setprofile(before)
    return seen


def functions_of_rules() -> Iterator[Callable[..., Any]]:
    """Yield every rule's forward function and its derivatives."""
    for rule in RULES.values():
        yield rule.forward
        prefix = f"{rule.name}_backward_"
        for name, value in vars(inspect.getmodule(rule.forward)).items():
            if name.startswith(prefix):
                yield value


@pytest.fixture(scope="module")
def run_by_probes() -> set[CodeType]:
    """The code of every function that the probes of a run run."""
    return watched(lambda: list(run_probes(minigrad, "float32", 0)))


def test_every_rule_and_every_derivative_is_run(run_by_probes: set[CodeType]) -> None:
    functions = list(functions_of_rules())
    assert len(functions) >= 90
    public = {
        value
        for module in vars(ops).values()
        if inspect.ismodule(module) and module.__name__ != "minigrad.ops.rule"
        for name, value in vars(module).items()
        if inspect.isfunction(value) and value.__module__ == module.__name__ and name[0] != "_"
    }
    assert public == set(functions)
    assert [f.__name__ for f in functions if f.__code__ not in run_by_probes] == []


def test_every_module_loss_initialiser_and_option_is_run(run_by_probes: set[CodeType]) -> None:
    layers, init, sgd = minigrad.nn.layers, minigrad.nn.init, minigrad.optim.SGD
    wanted = {
        f"{cls.__name__}.forward": cls.forward.__code__  # type: ignore[attr-defined]
        for cls in vars(layers).values()
        if inspect.isclass(cls) and cls.__module__ == layers.__name__
    }
    for module in (init, minigrad.nn.functional):
        wanted |= {
            name: value.__code__
            for name, value in vars(module).items()
            if inspect.isfunction(value) and value.__module__ == module.__name__ and name[0] != "_"
        }
    wanted |= {
        name: value.__code__
        for name, value in vars(sgd).items()
        if inspect.isfunction(value) and name not in ("__repr__",)
    }
    assert [name for name, code in wanted.items() if code not in run_by_probes] == []
    source = inspect.getsource(sys.modules["parity.probes.suite.sgd"])
    no_effect = {"params", "foreach", "fused", "differentiable"}
    options = set(inspect.signature(sgd).parameters) - no_effect
    assert {option for option in options if option not in source} == set()


def test_probes_say_what_they_show() -> None:
    for name, probe in WRITTEN.items():
        assert probe.function.__doc__, name


@pytest.mark.parametrize(
    "name", [*WRITTEN, *(family.name_of(family.plainest) for family in FAMILIES.values())]
)
def test_inputs_follow_from_the_seed(name: str) -> None:
    probe = probe_named(name)
    first, again, other = (probe.draw("float32", seed) for seed in (7, 7, 8))
    assert all(array.dtype == np.float32 for array in first.values())
    assert all(first[k].tobytes() == again[k].tobytes() for k in first)
    rounded = {k: array.astype(np.float32) for k, array in probe.draw("float64", 7).items()}
    assert all(first[k].tobytes() == rounded[k].tobytes() for k in first)
    drawn = [k for k, draw in probe.inputs.items() if draw.__qualname__.split(".")[0] != "given"]
    assert not drawn or any(first[k].tobytes() != other[k].tobytes() for k in drawn)


def test_suspects_are_functions_of_their_own() -> None:
    (found,) = traced_suspects(["operation-permute"], "float32", 0).values()
    codes = {code for some in found.values() for code in some}
    assert permute_backward_x.__code__ in codes
    for code in codes:  # and not the lambda in it
        assert body_of(code)["source"]


def test_exact_probes_are_exact() -> None:
    """Whatever is exact in float32 has the same values in float64, draws and roundings apart."""
    rounded = {"initial_values", "learning_rate_to_the_last_bit"}
    converted = ("draws", "operation-single", "operation-double", "operation-there_and_back")
    names = [n for n in share(5) if n not in rounded and not n.startswith(converted)]
    names = [n for n in names if probe_named(n).exact]
    single, double = (list(run_probes(torch, dtype, 5, names)) for dtype in DTYPES)
    for narrow, wide in zip(single, double, strict=True):
        for key, value in narrow.values.items():
            if value is not None:
                np.testing.assert_array_equal(value, wide.values[key], f"{narrow.probe} {key}")


# ---- what the verdict says ----------------------------------------------------------------------


def library(**changes: Any) -> Any:
    """Return minigrad with other functions in it."""
    return SimpleNamespace(**{**vars(minigrad), **changes})


def test_the_first_tensor_that_leaves_its_budget_is_named() -> None:
    wrong = library(tanh=lambda x: x.tanh() * (1 + 1e-5))
    found = verdict(wrong, "float32", 0, "diamond_of_functions")
    (failed,) = found["failed"]
    assert not found["passed"]
    assert (failed["probe"], failed["phase"], failed["tensor"]) == (
        "diamond_of_functions",
        "forward",
        "a",
    )
    actual, expected = (float.fromhex(failed[side]) for side in ("actual", "expected"))
    assert actual == pytest.approx(expected * (1 + 1e-5), rel=1e-6)
    assert abs(actual - expected) > failed["budget"] > 0
    assert (failed["rule"], failed["line"]) == ("tanh", place("tanh"))
    assert found["worst_budget_used"] > 1
    assert found["worst_at"]["probe"] == "diamond_of_functions"


def place(rule: str, by: str | None = None) -> str:
    """Return where a rule or its derivative computes: the line after what is said of it."""
    name = rule if by is None else f"{rule}_backward_{by}"
    (function,) = (f for f in functions_of_rules() if f.__name__ == name)
    line: str = body_of(function)["line"]
    return line


def test_an_exception_fails_the_probe_and_no_more() -> None:
    def broken(x: Any) -> Any:
        return x.reshape(0, 0)

    found = verdict(library(tanh=broken), "float32", 0, "diamond", "diamond_of_functions")
    (failed,) = found["failed"]
    assert failed["probe"] == "diamond_of_functions"
    assert failed["problem"].startswith("RuntimeError: reshape: shape '[0, 0]'")
    assert failed["rule"] == "fit_shape"
    assert failed["line"].startswith("minigrad/tensor/shape.py:")
    assert {failed[k] for k in ("tensor", "index", "actual", "expected", "budget")} == {None}


def test_an_exception_s_text_does_no_harm_in_a_case() -> None:
    """A case is refused that has a text which is not printable; several lines are one."""

    def broken(x: Any) -> Any:
        raise ValueError("one\ntwo\x1b[31m\ud800")

    found = verdict(library(tanh=broken), "float32", 0, "diamond_of_functions")
    (failed,) = found["failed"]
    assert failed["problem"] == r"ValueError: one two\x1b[31m\ud800"


def test_the_tape_is_named_where_it_sums_wrongly() -> None:
    (defect,) = chosen("diamond-counted-twice")
    with planted(defect):
        found = verdict(minigrad, "float32", 0, "diamond")["failed"]
    assert (found[0]["rule"], found[0]["wrong"]) == ("_accumulate", "actual")


def test_a_node_without_a_plan_can_be_located() -> None:
    (defect,) = chosen("recorded-although-no-grad")
    with planted(defect):
        found = verdict(minigrad, "float32", 0, "where_recording_ends")["failed"]
    assert found


def test_an_exception_of_the_reference_is_a_failure_too() -> None:
    names = ["diamond_of_functions"]
    ours, theirs = (list(run_probes(lib, "float32", 0, names)) for lib in (minigrad, torch))
    broken = list(run_probes(library(sigmoid=None), "float32", 0, names))
    budgets = list(run_budgeted("float32", 0, names))
    assert probes_compared(ours, theirs, budgets, "float32", 0)["passed"]
    assert not probes_compared(ours, broken, budgets, "float32", 0)["passed"]


def test_what_is_wrong_before_an_exception_is_named() -> None:
    def broken(x: Any) -> Any:
        raise ValueError("no sigmoid")

    wrong = library(tanh=lambda x: x.tanh() * 2, sigmoid=broken)
    (failed,) = verdict(wrong, "float32", 0, "diamond_of_functions")["failed"]
    assert (failed["tensor"], failed["rule"]) == ("a", "tanh")
    assert failed["problem"] == "ValueError: no sigmoid"


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda values, key: values.update({key: None}), "actual is no gradient, expected [4] f"),
        (lambda values, key: values.pop(key), "the engine under test did not compute it"),
        (lambda values, key: values.update({key: values[key][1:]}), "actual is [3] float32, exp"),
        (
            lambda values, key: values.update({key: values[key].astype("f8")}),
            "actual is [4] float6",
        ),
    ],
    ids=["no gradient", "not computed", "shape", "dtype"],
)
def test_tensors_that_are_missing_or_others(change: Any, problem: str) -> None:
    names, key = ["diamond"], Key("backward", "a")
    ours, theirs = (list(run_probes(lib, "float32", 0, names)) for lib in (minigrad, torch))
    change(ours[0].values, key)
    found = probes_compared(ours, theirs, list(run_budgeted("float32", 0, names)), "float32", 0)
    (failed,) = found["failed"]
    assert (failed["phase"], failed["tensor"]) == key
    assert failed["problem"].startswith(problem)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["diamond", "diamond_of_functions"])
def test_nan_and_infinity_are_no_pass(name: str, value: float) -> None:
    ours, theirs = (list(run_probes(lib, "float32", 0, [name])) for lib in (minigrad, torch))
    array = ours[0].values[Key("backward", "b")]
    assert array is not None
    array[2] = value
    found = probes_compared(ours, theirs, list(run_budgeted("float32", 0, [name])), "float32", 0)
    (failed,) = found["failed"]
    assert failed["index"] == [2]
    assert failed["actual"] == float(value).hex()
    json.loads(to_json(found))


def test_one_unit_in_the_last_place_is_too_much_where_it_is_exact() -> None:
    ours, theirs = (list(run_probes(lib, "float32", 0, ["diamond"])) for lib in (minigrad, torch))
    array = ours[0].values[Key("forward", "a")]
    assert array is not None
    array[1] = np.nextafter(array[1], np.float32(np.inf))
    found = probes_compared(
        ours, theirs, list(run_budgeted("float32", 0, ["diamond"])), "float32", 0
    )
    (failed,) = found["failed"]
    assert (failed["tensor"], failed["index"], failed["budget"]) == ("a", [1], 0.0)


def test_no_budget_is_no_pass() -> None:
    name = "diamond_of_functions"
    ours, theirs = (list(run_probes(lib, "float32", 0, [name])) for lib in (minigrad, torch))
    ((notes, problem),) = run_budgeted("float32", 0, [name])
    budget = notes.values[Key("forward", "b")]
    notes.values[Key("forward", "b")] = budget._replace(deviation=budget.deviation * np.nan)
    (failed,) = probes_compared(ours, theirs, [(notes, problem)], "float32", 0)["failed"]
    assert failed["problem"] == "minigrad computes no finite budget for it"
    del notes.values[Key("forward", "b")]
    (failed,) = probes_compared(ours, theirs, [(notes, problem)], "float32", 0)["failed"]
    assert failed["problem"] == "minigrad computes no budget for it"

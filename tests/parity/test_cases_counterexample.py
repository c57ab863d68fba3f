"""Planted defects leave small cases, which fail again, and pass with a correct engine."""

import functools
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from parity.cases.case import Case
from parity.cases.counterexample import (
    add_counterexamples,
    add_probe_counterexample,
    counterexample,
)
from parity.cases.file import load
from parity.cases.replay import Replayed, located, verdict_on
from parity.checks.verdicts import not_reached
from parity.engines.process import EngineProcess
from parity.engines.protocol import Engine, Start, Task
from parity.engines.registry import factory
from parity.engines.trainer import Trainer
from parity.errors import UsageError
from parity.probes import FAMILIES
from parity.probes.check import check_probes
from parity.processes import Processes, Side, trainer
from parity.report.replayed import summary
from tests.parity import case_engines
from tests.parity.fake_engines import drawn
from tests.parity.here import Here

RIGHTFIT = (1, 16, 16, 1)
Running = EngineProcess[Trainer]
NOWHERE: dict[str, Any] = {"actual": {}, "expected": {}}


def here(actual: Callable[[], Engine], expected: Running) -> Processes:
    """An engine in this process, which has no defect planted in minigrad itself."""
    return Processes(
        Here(functools.partial(Trainer, actual), name="defective"), expected, [expected]
    )


@contextmanager
def apart(actual: Callable[[], Engine], expected: Running) -> Iterator[Processes]:
    """An engine in a process of its own, where it may plant its defect."""
    with trainer(Side("defective", actual)) as process:
        yield Processes(process, expected, [expected])


@pytest.fixture(scope="module")
def halved_bias(torch_process: Running) -> Iterator[Processes]:
    with apart(case_engines.HalvedBias, torch_process) as found:
        yield found


@pytest.fixture(scope="module")
def plain_products(torch_twin: Running) -> Iterator[Processes]:
    with apart(case_engines.PlainProducts, torch_twin) as found:
        yield found


def case(kind: str, found: Processes, sizes: tuple[int, ...] = RIGHTFIT, **changes: Any) -> Case:
    """A case as it is before it is shrunk, with the verdict on it."""
    task = replace(Task(sizes, 20, 0.01, 50, 3, "float32", "cpu"), **changes)
    start = drawn(found.expected, task)
    names = found.actual.name, found.expected.name
    whole = Case(kind, names, task, start, {}, {}, {"architecture": "rightfit"}, NOWHERE)
    if kind == "start":
        whole = replace(whole, start=None)
    return replace(whole, verdict=verdict_on(whole, found))


def smallest(whole: Case, found: Processes) -> Case:
    assert whole.verdict["passed"] is False
    small = counterexample(whole, found, seconds=600)  # however slow the machine is
    assert small is not None
    assert small.verdict["passed"] is False
    assert small.origin["shrunk"]["stopped"] == "nothing more to leave out"
    return small


def values(small: Case) -> list[float]:
    assert small.start is not None
    return [a.item() for a in (small.start.x, small.start.y, *small.start.parameters.values())]


# ---- how small, of what -------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", pytest.param("float64", marks=pytest.mark.dear)])
def test_a_wrong_rule_shows_in_one_weight_and_one_sample(
    dtype: str, halved_bias: Processes
) -> None:
    for kind in ("gradients", "steps"):
        whole = case(kind, halved_bias, dtype=dtype, momentum=0.9)
        small = smallest(whole, halved_bias)
        assert small.task == replace(whole.task, sizes=(1, 1), epochs=1, samples=1, momentum=0.0)
        assert values(small)[:3] == [0, 0, 0]  # all but the bias, which makes the gradient
        place = small.verdict["worst_at"]
        assert (place["parameter"], place["index"]) == ("0.bias", [0])
        actual, expected = (float.fromhex(place[side]) for side in ("actual", "expected"))
        assert actual == expected / 2 != 0
        node = small.verdict["first_node"]
        assert (node["phase"], node["tensor"]) == ("backward", "0.bias")
        assert node["rule"] == "linear_backward_bias"


def test_a_slight_error_in_a_deep_network(torch_process: Running) -> None:
    with apart(case_engines.SlightlyWrongWeight, torch_process) as found:
        small = smallest(case("gradients", found, (1, 8, 30, 20, 8, 1)), found)
        assert (small.task.sizes, small.task.samples) == ((1, 1), 1)
        assert small.verdict["first_node"]["rule"] == "linear_backward_weight"


def test_what_takes_a_hidden_unit_keeps_one(torch_process: Running) -> None:
    with apart(case_engines.LeakyReLU, torch_process) as found:
        small = smallest(case("gradients", found), found)
        assert (small.task.sizes, small.task.samples) == ((1, 1, 1), 1)
        assert small.verdict["first_node"]["rule"] == "relu_backward_x"


def test_momentum_that_begins_wrongly_shows_before_there_is_any(
    torch_process: Running,
) -> None:
    found = here(case_engines.MomentumFromOne, torch_process)
    assert case("gradients", found, momentum=0.9).verdict["passed"]
    assert case("steps", found, momentum=0.0).verdict["passed"]
    small = smallest(case("steps", found, momentum=0.9), found)
    assert (small.task.sizes, small.task.epochs, small.task.momentum) == ((1, 1), 1, 0.9)
    assert small.momentum_buffers == {}


def test_momentum_that_goes_on_wrongly_shows_from_its_buffers(
    torch_process: Running,
) -> None:
    found = here(case_engines.TooMuchMomentum, torch_process)
    whole = case("steps", found, momentum=0.9)
    assert whole.verdict["first_failure"]["epoch"] == 1
    small = smallest(whole, found)
    assert (small.task.sizes, small.task.epochs, small.origin["epoch"]) == ((1, 1), 1, 1)
    assert any(buffer.any() for buffer in small.momentum_buffers.values())


def test_what_takes_several_steps_keeps_so_many(torch_process: Running) -> None:
    found = here(case_engines.WrongThirdStep, torch_process)
    small = smallest(case("steps", found, momentum=0.9), found)
    assert (small.task.sizes, small.task.epochs) == ((1, 1), 3)
    assert small.verdict["worst_at"]["epoch"] == 2


def test_a_late_step_starts_from_the_state_before_it(torch_process: Running) -> None:
    """With its momentum buffers, although parameters and data of a smaller network."""
    found = here(case_engines.WrongOutside, torch_process)
    whole = case("steps", found, momentum=0.9)
    failing = whole.verdict["first_failure"]["epoch"]
    assert failing > 0
    small = smallest(whole, found)
    assert small.task.epochs == 1
    assert small.origin["epoch"] == failing


def test_trajectory_and_final_mse_keep_the_fewest_epochs(
    torch_process: Running,
) -> None:
    found = here(case_engines.AnotherRate, torch_process)
    for kind, fewest in (("trajectory", 2), ("final_mse", 1)):
        small = smallest(case(kind, found, dtype="float64"), found)
        assert (small.task.sizes, small.task.epochs) == ((1, 1), fewest)
        assert small.task.samples == 1


def test_bits(plain_products: Processes, torch_twin: Running) -> None:
    small = smallest(case("bitwise", plain_products), plain_products)
    assert small.task.epochs == 1
    assert len(small.task.sizes) == 2
    assert sum(small.task.sizes) + small.task.samples <= 8
    assert small.verdict["first_difference"] is not None
    assert small.verdict["first_node"]["operation"] == "Linear"
    found = here(case_engines.LateBit, torch_twin)
    small = smallest(case("bitwise", found, momentum=0.9), found)
    assert (small.task.sizes, small.task.epochs) == ((1, 1), 4)


def test_a_start(torch_process: Running) -> None:
    found = here(case_engines.AnotherDraw, torch_process)
    small = smallest(case("start", found), found)
    assert small.start is None
    assert (small.task.sizes, small.task.samples, small.task.seed) == ((1, 1, 1), 3, 3)
    assert small.verdict["first_difference"]["parameter"] == "2.bias"
    assert "2.bias[0]" in shown(small, small.verdict)


def test_an_engine_that_refuses_the_smallest(torch_process: Running) -> None:
    with apart(case_engines.Refusing, torch_process) as found:
        for kind in ("steps", "gradients"):  # both are judged after steps elsewhere
            small = smallest(case(kind, found), found)
            assert (small.task.sizes, small.task.samples) == ((1, 1), 4)
            assert small.verdict["first_node"] is None  # for which it would have to show a step


def test_an_engine_that_is_not_repeatable_leaves_no_case(
    torch_process: Running,
) -> None:
    found = here(case_engines.Unrepeatable, torch_process)
    whole = case("steps", found)
    assert whole.verdict["passed"] is False
    assert counterexample(whole, found) is None


# ---- in files, and replayed ---------------------------------------------------------------------


def entry(found: Processes, task: Task, start: Start, kinds: tuple[str, ...]) -> dict[str, Any]:
    """An entry of the report with verdicts of these kinds."""
    whole = Case("", ("", ""), task, start, {}, {}, {}, {})
    verdicts = {kind: verdict_on(replace(whole, kind=kind), found) for kind in kinds}
    return {"name": "rightfit", "sizes": list(task.sizes), **not_reached(**verdicts)}


def shown(saved: Case, verdict: dict[str, Any]) -> str:
    """What `parity replay` says of the verdict."""
    console = Console(width=60, file=io.StringIO())
    console.print(summary(Replayed(saved, saved.engines, verdict, saved.environment), "a file"))
    assert isinstance(console.file, io.StringIO)
    text = " ".join(console.file.getvalue().split())
    return text[min(text.find(mark) for mark in ("PASS", "FAIL") if mark in text) :]


def test_every_verdict_that_failed_has_a_file_that_fails_again(
    tmp_path: Path, halved_bias: Processes, plain_products: Processes
) -> None:
    task = Task((1, 6, 5, 1), 12, 0.01, 30, 0, "float32", "cpu")
    seen = []
    start = drawn(halved_bias.expected, task)
    report = entry(
        halved_bias, task, start, ("start", "gradients", "steps", "free_steps", "trajectory")
    )
    report["final_mse"] = {"passed": False, "expected_spread": 1e-3}
    report["trajectory"]["horizon_epoch"] = 11  # so that bits decide on the final MSE
    whole = Case("bitwise", ("", ""), task, start, {}, {}, {}, {})
    report["bitwise"] = verdict_on(whole, plain_products)
    add_counterexamples(
        report,
        task,
        start,
        replace(halved_bias, twins=(plain_products.actual, plain_products.expected)),
        tmp_path,
        lambda *progress: seen.append(progress),
    )
    kinds = ["gradients", "steps", "free_steps", "trajectory", "bitwise"]
    files = {f"case-rightfit-{kind}.safetensors" for kind in kinds}
    assert {path.name for path in tmp_path.iterdir()} == files
    assert "case" not in report["start"]
    assert report["final_mse"]["case"] == report["bitwise"]["case"]
    assert {report[kind]["case"] for kind in kinds} == files
    assert {kind for kind, _, _ in seen} == set(kinds)
    assert all(0 <= done < most for _, done, most in seen)

    for kind in kinds:
        saved = load(tmp_path / report[kind]["case"])
        assert saved.engines[0] == "defective"
        assert saved.environment["actual"]["versions"]["numpy"] == np.__version__
        defective, sound = halved_bias, "minigrad"
        if kind == "bitwise":
            defective, sound = plain_products, "minigrad-reproducible"
        assert located(saved, verdict_on(saved, defective), defective) == saved.verdict
        assert shown(saved, saved.verdict).startswith("FAIL")
        verdict = verdict_on(saved, here(factory(sound), defective.expected))
        assert verdict["passed"] is True
        assert shown(saved, verdict).startswith("PASS")


def test_a_probe(tmp_path: Path, halved_bias: Processes) -> None:
    sides = halved_bias.actual, halved_bias.expected
    names = ["diamond", FAMILIES["layers"].name_of(FAMILIES["layers"].plainest)]
    probes = check_probes(*sides, "float32", 5, names)
    assert probes is not None
    assert not probes["passed"]
    add_probe_counterexample(probes, 5, "float32", halved_bias, tmp_path)
    saved = load(tmp_path / probes["case"])
    assert saved.probe == probes["failed"][0]["probe"] == names[1]
    assert not saved.verdict["passed"]
    with pytest.raises(UsageError, match="unknown probe 'nothing': this version of parity has"):
        verdict_on(replace(saved, probe="nothing"), halved_bias)
    assert str(saved.probe) in shown(saved, saved.verdict)
    verdict = verdict_on(saved, here(factory("minigrad"), halved_bias.expected))
    assert verdict["passed"] is True
    assert shown(saved, verdict).startswith("PASS probes: 1 small graph")

"""The benchmark's document, its arithmetic, and what it refuses. No test here depends on a time."""

import copy
import functools
import io
import json
import math
import os
import re
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from rich.console import Console

from parity.bench import ratios as baseline
from parity.bench import rounds as module
from parity.bench import scaling as growth
from parity.bench.document import bench, load_warning
from parity.bench.plots import GAP, PEAK, scaling_picture, spread
from parity.bench.products import KINDS, LIBRARIES, Products, products
from parity.bench.ratios import agreement, median_interval, ratios
from parity.bench.rounds import time_in_rounds
from parity.bench.table import bench_table, markdown, product_rows, products_table
from parity.bench.timed import (
    AGREEMENT_STEPS,
    MEMORY_CALLS,
    MOST_STEPS,
    NOTED_STEPS,
    First,
    TimedEngine,
)
from parity.documents import schema
from parity.engines.process import EngineProcess, LocalObject
from parity.engines.protocol import Task
from parity.engines.registry import factory
from parity.errors import UsageError
from parity.evidence import readme_tables
from parity.evidence.readme_tables import markers, part
from tests.parity import fake_engines
from tests.parity.commands import parity, words

# They do what `bench` asks of an engine and a task, and no more.
FakeEngine: Any = fake_engines.FakeEngine
FakeTask: Any = fake_engines.FakeTask
FakeStart: Any = fake_engines.FakeStart
SCHEMA = schema("bench")

CHECKED_CALLS = 4 * NOTED_STEPS
"""What it takes to see that steps are done when they return."""


@pytest.fixture(scope="module", autouse=True)
def in_a_hurry() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "ROUND_S", 0.002)
        patch.setattr(module, "SETTLE_S", 0.0)
        patch.setattr(os, "getloadavg", lambda: (0.0, 0.0, 0.0))
        yield


class Telling(FakeEngine):  # type: ignore[misc]
    """Returns a loss."""

    def step(self) -> object:
        super().step()
        return 0.5


def run(
    tasks: Any = None, *, rounds: int = 6, options: Mapping[str, Any] = {}, **factories: Any
) -> dict[str, Any]:
    """Time fake engines in this process, on one network unless others are given."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "EngineProcess", lambda make, *_, **limits: LocalObject(make()))
        patch.setattr(os, "sched_setaffinity", lambda *_: None, raising=False)  # of this process
        found = bench(tasks or {"net": FakeTask()}, factories, threads=1, rounds=rounds, **options)
    jsonschema.validate(found, SCHEMA)
    json.dumps(found, allow_nan=False)
    return found


def timed_by(engine: Any, **options: Any) -> Any:
    """What times an engine, with its task loaded."""
    timed: Any = TimedEngine(lambda: engine, **options)
    timed.load(FakeTask(), FakeStart(1.0))
    return timed


@pytest.fixture(scope="module")
def document(in_a_hurry: None) -> dict[str, Any]:
    """Two engines that differ in the start they draw, and must be given the first one's."""
    return bench(
        {"small": FakeTask(), "large": FakeTask("float64")},
        {
            "slow": functools.partial(FakeEngine, seed=2.0),
            "torch": functools.partial(FakeEngine, seed=5.0),
        },
        threads=1,
        rounds=6,
    )


def test_document(document: dict[str, Any]) -> None:
    jsonschema.validate(document, SCHEMA)
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    names = [(r["architecture"], r["engine"]) for r in document["results"]]
    assert names == [(a, e) for a in ("small", "large") for e in ("slow", "torch")]
    for result in document["results"]:
        assert (result["threads"], result["device"], result["rounds"]) == (1, "cpu", 6)
        assert 0.001 <= result["q1_s"] <= result["median_s"] <= result["q3_s"]
    pairs = [(r["architecture"], r["engine"], r["against"]) for r in document["ratios"]]
    assert pairs == [
        (a, e, f) for a in ("small", "large") for e, f in (("slow", "torch"), ("torch", "slow"))
    ]
    for ratio in document["ratios"]:
        assert 0 < ratio["low"] <= ratio["median"] <= ratio["high"]
    assert set(document["engines"]) == {"slow", "torch"}
    assert document["read_losses"] is False
    assert document["engines"]["slow"]["variables"]["OMP_NUM_THREADS"] == "1"


def test_engines_start_alike(document: dict[str, Any]) -> None:
    assert document["agreed"]
    for entry in document["agreement"]:
        assert entry["agrees"]
        assert entry["losses"]["slow"] == entry["losses"]["torch"]
        before_and_after = 2 * [4, 4 * 0.8**2, 4 * 0.8**4]
        assert entry["losses"]["slow"] == pytest.approx(before_and_after)
    assert [e["tolerance"] for e in document["agreement"]] == [4096 * 2**-24, 4096 * 2**-53]


def test_as_many_threads_as_cores_by_default() -> None:
    document = bench({"net": FakeTask()}, {"a": FakeEngine}, rounds=6)
    assert document["results"][0]["threads"] == document["environment"]["usable_cores"]


def test_table(document: dict[str, Any]) -> None:
    console = Console(width=120, file=io.StringIO(), record=True)
    console.print(bench_table(document))
    text = console.export_text()
    assert "Time per training step, 1 thread" in text
    assert "[quartiles]" in text
    network, row = (
        next(line.split() for line in text.splitlines() if word in line)
        for word in (document["results"][0]["architecture"], " slow ")
    )
    result, ratio = document["results"][0], document["ratios"][0]
    assert network == [result["architecture"]]
    assert row[1] == f"{1e6 * result['median_s']:,.0f}"
    assert row[3] == f"{ratio['median']:.2f}"
    assert "times as fast as torch" in " ".join(text.split())
    assert not any(line.endswith(" ") for line in text.splitlines())
    assert "loss" not in text
    console.print(bench_table(document | {"read_losses": True}))
    assert "Time per training step, 1 thread, every loss read" in console.export_text()


def test_no_ratio_is_given_of_a_busy_machine(document: dict[str, Any], tmp_path: Path) -> None:
    console = Console(width=120, file=io.StringIO(), record=True)
    console.print(bench_table(document | {"loaded": True}))
    text = console.export_text()
    assert text.count("machine busy") == 4
    assert f"{document['ratios'][0]['median']:.2f} [" not in text
    (tmp_path / "bench.json").write_text(json.dumps(document | {"loaded": True}))
    with pytest.raises(UsageError, match="time the engines again"):
        readme_tables.publish(tmp_path)


def test_losses_are_read() -> None:
    assert run(options={"read_losses": True}, a=Telling)["read_losses"] is True
    with pytest.raises(TypeError, match=r"float\(\) argument .* not 'NoneType'"):
        run(options={"read_losses": True}, a=FakeEngine)


def test_table_marks_disagreement(document: dict[str, Any]) -> None:
    console = Console(width=120, file=io.StringIO(), record=True)
    first, second = document["agreement"]
    console.print(bench_table(document | {"agreement": [first, second | {"agrees": False}]}))
    marked = [line for line in console.export_text().splitlines() if "losses differ" in line]
    assert len(marked) == 1
    assert "large" in marked[0]


def test_an_engine_that_computes_something_else_is_marked() -> None:
    wrong = functools.partial(FakeEngine, rate=0.1 * (1 + 1e-3))
    document = run(right=FakeEngine, wrong=wrong)
    assert not document["agreed"]
    (entry,) = document["agreement"]
    assert not entry["agrees"]
    assert entry["relative_difference"]["right"] == 0
    assert 1e-4 < entry["relative_difference"]["wrong"] < 1e-2


def test_losses_that_are_not_finite_agree_with_nothing() -> None:
    for value in (math.nan, math.inf):
        losses = {"a": [1.0, value, 1.0], "b": [1.0, value, 1.0]}
        entry = agreement("net", "float32", losses)
        assert not entry["agrees"]
        assert entry["losses"]["a"] == [1.0, None, 1.0]
        assert entry["relative_difference"]["b"] is None
    assert agreement("net", "float32", {"a": [0.0], "b": [0.0]})["agrees"]
    assert not agreement("net", "float32", {"a": [0.0], "b": [1e-30]})["agrees"]


def test_a_diverged_run_is_still_a_valid_document() -> None:
    assert run(a=functools.partial(FakeEngine, rate=1e30))["results"]


def test_every_engine_has_its_turn_to_be_first() -> None:
    calls: list[str] = []

    class Timed:
        def __init__(self, name: str) -> None:
            self.name = name

        def call(self, function: Any, *_: Any) -> float:
            if function is TimedEngine.time:
                calls.append(self.name)
            return 1

    processes: Any = {name: Timed(name) for name in "abc"}
    time_in_rounds(processes, dict.fromkeys("abc", 1), 60, lambda done: None)
    rounds = [tuple(calls[i : i + 3]) for i in range(0, len(calls), 3)]
    assert all(sorted(order) == ["a", "b", "c"] for order in rounds)
    assert len(set(rounds)) == 6


def test_progress_is_told_of_warm_up_and_after_every_round() -> None:
    seen: list[tuple[str, str, int, int]] = []
    told = {"progress": lambda *told: seen.append(told)}
    run({"one": FakeTask(), "two": FakeTask()}, options=told, engine=FakeEngine)
    assert seen == [
        (name, *told)
        for name in ("one", "two")
        for told in [
            *(("warm-up", 0, 1) for _ in range(2)),
            *(("rounds", done, 6) for done in range(1, 7)),
        ]
    ]


def test_a_failing_engine_is_not_swallowed() -> None:
    with pytest.raises(ZeroDivisionError):
        run(engine=functools.partial(FakeEngine, breaks_after=5))


def test_a_forced_kernel_and_a_busy_machine_are_warned_of(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("OPENBLAS_CORETYPE", raising=False)
    quiet = run(a=FakeEngine)
    assert (quiet["warnings"], quiet["loaded"]) == ([], False)
    for loads in ([987.0, 0.0], [0.0, 988.0]):
        given = iter(loads)
        monkeypatch.setattr(os, "getloadavg", lambda given=given: (next(given), 0.0, 0.0))
        busy = run(a=FakeEngine)
        (warning,) = busy["warnings"]
        assert "987.0" in warning
        assert busy["loaded"]
    monkeypatch.setattr(os, "getloadavg", lambda: (0.0, 0.0, 0.0))
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
    (warning,) = run(a=FakeEngine, b=FakeEngine)["warnings"]
    assert "OPENBLAS_CORETYPE=Haswell" in warning
    assert load_warning(0.4, threads=8, cores=8) is None
    assert load_warning(1.0, threads=8, cores=8) is not None
    assert load_warning(4.0, threads=2, cores=8) is None


def test_too_little_to_do_is_refused() -> None:
    with pytest.raises(ValueError, match=r"5 rounds are too few.*at least 6"):
        bench({"net": FakeTask()}, {"engine": FakeEngine}, threads=1, rounds=5)
    with pytest.raises(ValueError, match="nothing to time"):
        bench({}, {"engine": FakeEngine}, threads=1)
    with pytest.raises(ValueError, match="nothing to time"):
        bench({"net": FakeTask()}, {}, threads=1)


def test_the_clock_waits_for_the_device() -> None:
    """Counted, not timed: the device is waited for exactly before and after the timed steps."""
    engine = FakeEngine(pause_s=0.0)
    timed = timed_by(engine)
    engine.steps, engine.synchronized_at = 0, []
    timed.time(50)
    assert engine.synchronized_at == [0, 5, 5, 55]


def test_cores_are_what_all_threads_used_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    timed = timed_by(FakeEngine(pause_s=0.0))
    busy_s = iter([10.0, 13.0, 20.0, 21.0])
    monkeypatch.setattr(time, "process_time", lambda: next(busy_s))
    monkeypatch.setattr(timed, "_time", lambda count: 2.0)
    timed.time(5)
    timed.time(5)
    assert timed.cores_used() == (3.0 + 1.0) / 4.0


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="cannot be done on this system")
def test_an_engine_has_no_more_cores_than_threads() -> None:
    with EngineProcess(functools.partial(TimedEngine, FakeEngine, 1), 1) as process:
        assert process.call(TimedEngine.environment)["usable_cores"] == 1


def test_warm_up_fills_the_duration() -> None:
    engine = FakeEngine(pause_s=0.002)
    timed = timed_by(engine)
    engine.steps = 0
    count = timed.warm_up(0.02)
    assert 1 <= count <= 10  # sleeping lasts at least as long as asked for
    assert engine.steps >= count
    assert timed.warm_up(0.0) == 1


def test_ratios_are_taken_within_a_round() -> None:
    """The machine becomes three times as slow, for all: the ratio stays 2, its interval a point."""
    slowness = [1 + i / 15 for i in range(30)]
    found = ratios("net", {"fast": slowness, "slow": [2 * s for s in slowness]})
    assert [(r["engine"], r["against"], r["low"], r["median"], r["high"]) for r in found] == [
        ("fast", "slow", 2.0, 2.0, 2.0),
        ("slow", "fast", 0.5, 0.5, 0.5),
    ]


@pytest.mark.parametrize(
    # From tables of the sign test: ranks of the ends, at least 95 % sure.
    ("n", "low", "high"),
    [(6, 1, 6), (8, 1, 8), (9, 2, 8), (20, 6, 15), (30, 10, 21), (100, 40, 61)],
)
def test_median_interval_has_the_tabulated_ranks(n: int, low: int, high: int) -> None:
    values = list(np.random.default_rng(0).permutation(np.arange(1, n + 1)))
    assert median_interval(values) == (low, high)


def test_median_interval_encloses_the_median_as_often_as_it_says() -> None:
    samples = np.random.default_rng(1).lognormal(size=(4000, 15))
    enclosed = sum(low <= 1 <= high for low, high in map(median_interval, samples)) / len(samples)
    assert 0.95 < enclosed < 0.98  # exactly: 0.9648
    with pytest.raises(ValueError, match="5 values"):
        median_interval([1.0] * 5)


def test_timed_engine_works_across_processes() -> None:
    with EngineProcess(functools.partial(TimedEngine, FakeEngine), threads=1) as process:
        assert process.call(TimedEngine.draw, FakeTask()) == FakeStart(3.0)
        first = process.call(TimedEngine.load, FakeTask(), FakeStart(1.0))
        assert first.losses == pytest.approx([1, 0.64, 0.4096])
        assert 0.001 <= first.step_s < 60
        environment: Any = process.call(TimedEngine.environment)
        assert environment["variables"]["OPENBLAS_NUM_THREADS"] == "1"


def test_generations_share_the_rounds() -> None:
    document = run(rounds=7, options={"generations": 3}, a=FakeEngine)
    (result,) = document["results"]
    assert result["rounds"] == 7
    assert len(result["process_medians_s"]) == 3
    (entry,) = document["agreement"]
    assert len(entry["losses"]["a"]) == 3 * 2 * 3  # thrice, before and after, 0 to 2 steps
    with pytest.raises(ValueError, match="7 processes an engine for 6 rounds"):
        run(options={"generations": 7}, a=FakeEngine)


class Drifting(FakeEngine):  # type: ignore[misc]
    """Computes something else once it has been timed."""

    def step(self) -> object:
        self.rate = 0.1 if self.steps < 3 else 0.2
        return super().step()


def test_arithmetic_is_checked_after_timing_too() -> None:
    document = run(right=FakeEngine, wrong=Drifting)
    assert not document["agreed"]


class Refusing(FakeEngine):  # type: ignore[misc]
    def load(self, task: Any, start: Any) -> None:
        raise UsageError("this is too large for me")


@pytest.mark.dear
def test_an_engine_that_would_take_too_long_or_refuses_is_left_out_with_the_reason() -> None:
    slow = functools.partial(FakeEngine, pause_s=0.1)
    document = run(
        {"net": FakeTask(epochs=3000)},
        options={"generations": 2},
        quick=FakeEngine,
        slow=slow,
        refusing=Refusing,
    )
    assert {result["engine"] for result in document["results"]} == {"quick"}
    found = {entry["engine"]: entry["reason"] for entry in document["left_out"]}
    assert found["refusing"] == "this is too large for me"
    said = (
        r"3,000 epochs would take 5\.?\d* minutes, more than 2: of 20 steps the shortest took 0\.1"
    )
    assert re.match(said, found["slow"])


class Collapsing(FakeEngine):  # type: ignore[misc]
    """Is held up in its first steps, which take a thousand times as long."""

    def step(self) -> object:
        self.pause_s = 0.1 if self.steps < 9 else 1e-4
        return super().step()


def test_an_engine_that_is_held_up_for_a_while_is_timed() -> None:
    task = FakeTask(epochs=3000)
    with EngineProcess(functools.partial(TimedEngine, Collapsing), threads=1) as process:
        first = module.load(process, task, FakeStart(1.0))
        assert isinstance(first, First)
        assert first.step_s > 0.1
        times = process.call(TimedEngine.steps_until, 0.0)
    assert len(times) == MOST_STEPS
    assert min(times) < 0.04


def test_if_all_are_left_out_there_is_nothing_but_the_reasons() -> None:
    document = run(refusing=Refusing)
    assert (document["results"], document["ratios"], len(document["left_out"])) == ([], [], 1)


class Noting(FakeEngine):  # type: ignore[misc]
    """Notes in `step` what is to be done, and does it when it is asked for the loss."""

    due = 0

    def step(self) -> object:
        self.due += 1
        return self

    def __float__(self) -> float:
        while self.due:
            self.due -= 1
            super().step()
        return 0.0

    def loss_and_gradients(self) -> Any:
        float(self)
        return super().loss_and_gradients()


class NotingLater(Noting):
    """Begins to do so once its first steps were seen."""

    def step(self) -> object:
        return (
            super().step()
            if self.steps > MEMORY_CALLS + AGREEMENT_STEPS + CHECKED_CALLS
            else FakeEngine.step(self)
        )


class Waiting(Noting):
    """Has `synchronize`, which waits."""

    def synchronize(self) -> None:
        float(self)


@pytest.mark.dear
def test_an_engine_whose_steps_are_not_done_is_left_out_with_the_remedy() -> None:
    document = run(
        options={"generations": 2}, right=FakeEngine, noting=Noting, later=NotingLater, well=Waiting
    )
    assert {result["engine"] for result in document["results"]} == {"right", "well"}
    found = {entry["engine"]: entry["reason"] for entry in document["left_out"]}
    assert set(found) == {"noting", "later"}
    for reason in found.values():
        assert "not done when step() returns" in reason
        assert "synchronize() wait until they are done, or time it with --read-losses" in reason
    assert run(options={"read_losses": True}, noting=Noting)["results"]


def test_work_that_is_only_noted_does_not_pile_up_in_warming_up() -> None:
    engine = NotingLater(pause_s=1e-5)
    timed = timed_by(engine)
    engine.steps = 200
    assert timed.warm_up(0.01) < 2000
    assert engine.due == 0
    assert engine.steps < 10_000


class Looping(FakeEngine):  # type: ignore[misc]
    """Can take ten steps in one call."""

    STEPS = 10

    def loop(self) -> object:
        for _ in range(self.STEPS):
            self.step()
        return None


def test_an_engine_that_takes_many_steps_in_a_call_is_timed_so() -> None:
    engine = Looping(pause_s=0.0)
    timed = timed_by(engine)
    assert engine.steps == 10 * (MEMORY_CALLS + CHECKED_CALLS) + AGREEMENT_STEPS
    engine.steps = 0
    timed.time(50)
    assert engine.steps == 10 * (5 + 50)
    assert timed.steps(50) == 500


def test_between_the_steps_of_a_loop_no_loss_can_be_read() -> None:
    with pytest.raises(UsageError, match="time it without --read-losses"):
        timed_by(Looping(pause_s=0.0), read_losses=True)
    document = run(options={"read_losses": True}, a=Telling, b=Looping)
    assert [(entry["engine"]) for entry in document["left_out"]] == ["b"]
    assert {result["engine"] for result in document["results"]} == {"a"}


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_memory_is_read_when_a_captured_step_was_replayed(momentum: float) -> None:
    task = Task((1, 4, 1), 10, 0.01, 10, 0, "float32", "cpu", momentum)
    engine: Any = factory("minigrad-captured")()
    engine.load(task, engine.draw(task))
    replayed = []
    for _ in range(MEMORY_CALLS):
        engine.step()
        replayed.append(engine.step._latest is not None)
    assert not replayed[0], "it was recorded"
    assert replayed[-1]


def test_the_step_that_is_timed_is_the_one_that_load_made() -> None:
    class Capturing(FakeEngine):  # type: ignore[misc]
        """Replaces its step when it is given a task, as the captured engine does."""

        def load(self, task: Any, start: Any) -> None:
            super().load(task, start)
            self.replayed = 0
            self.step = self.replay

        def replay(self) -> None:
            self.replayed += 1

    engine = Capturing(pause_s=0.0)
    timed_by(engine).time(50)
    assert engine.replayed == MEMORY_CALLS + AGREEMENT_STEPS + CHECKED_CALLS + 5 + 50
    assert engine.steps == 0


@pytest.mark.parametrize("read_losses", [False, True])
def test_losses_are_read_if_that_is_asked_for(read_losses: bool) -> None:
    read = []

    class Loss:
        def __float__(self) -> float:
            read.append(engine.steps)
            return 0.0

    class Lazy(FakeEngine):  # type: ignore[misc]
        def step(self) -> object:
            super().step()
            return Loss()

    engine = Lazy(pause_s=0.0)
    timed = timed_by(engine, read_losses=read_losses)
    engine.steps = 0
    read.clear()
    timed.time(20)
    assert engine.steps == 2 + 20
    assert read == (list(range(1, 23)) if read_losses else []), "each before the next step"


@pytest.mark.parametrize("method", ["step", "loss_and_gradients", "draw"])
def test_memory_is_that_of_training(method: str) -> None:
    class Hungry(FakeEngine):  # type: ignore[misc]
        """Takes 64 MB for one of its methods, and gives them back at once.

        The C library keeps smaller pieces for later, and a second one would not show.
        """

        def __getattribute__(self, name: str) -> Any:
            if name == method:
                np.ones(8_000_000).sum()
            return super().__getattribute__(name)

    timed: Any = TimedEngine(lambda: Hungry(pause_s=0.0))
    timed.draw(FakeTask())
    timed.load(FakeTask(), FakeStart(1.0))
    peak = timed.peak_memory()
    if not Path("/proc/self/status").exists():
        assert peak is None
    else:
        assert (peak > 30e6) == (method == "step")


def test_no_engine_is_drawn_with_in_the_process_where_it_is_timed() -> None:
    class Drawing(FakeEngine):  # type: ignore[misc]
        def draw(self, task: Any) -> Any:
            self.has_drawn = True
            return super().draw(task)

        def load(self, task: Any, start: Any) -> None:
            assert not hasattr(self, "has_drawn")
            super().load(task, start)

    assert run(drawing=Drawing)["agreed"]


def ratio(median: float, low: float, high: float, engine: str = "minigrad") -> dict[str, Any]:
    values = {"median": median, "low": low, "high": high}
    return {"architecture": "net", "engine": engine, "against": "torch", **values}


def with_ratios(*found: dict[str, Any]) -> dict[str, Any]:
    results = [
        {"engine": name, "architecture": "net", "threads": 1, "device": "cpu", "rounds": 6}
        | dict.fromkeys(("median_s", "q1_s", "q3_s"), 1.0)
        for name in ("minigrad", "torch")
    ]
    environment = {"environment": {"cpu": "fast"}}
    return {"schema": 1, **environment, "results": results, "ratios": list(found)}


def test_baseline_says_what_became_slower() -> None:
    before = with_ratios(ratio(2.0, 1.9, 2.1))
    for after, verdict in (
        (ratio(1.5, 1.4, 1.6), "slower"),
        (ratio(1.8, 1.6, 1.95), "same"),
        (ratio(2.2, 2.05, 2.3), "same"),
        (ratio(2.5, 2.2, 2.7), "faster"),
    ):
        (change,) = baseline.changes(before, with_ratios(after), "torch")
        assert change.verdict == verdict
        assert f"net: minigrad is {verdict}: {after['median']:.2f}" in str(change)
    other = with_ratios(ratio(1.0, 1.0, 1.0, "jax"))
    assert baseline.changes(before, other, "torch") == []


def test_a_baseline_that_cannot_be_compared_is_refused_before_anything_is_timed(
    tmp_path: Path,
) -> None:
    before = with_ratios(ratio(2.0, 1.9, 2.1))
    baseline.require_comparable(before, ["net"], ["minigrad", "torch"], "torch")
    for architectures, engines in ((["other"], ["minigrad"]), (["net"], ["jax"])):
        with pytest.raises(UsageError, match="it timed minigrad, torch on net"):
            baseline.require_comparable(before, architectures, engines, "torch")
    with pytest.raises(UsageError, match="losses were not read: compare without --read-losses"):
        baseline.require_comparable(before, ["net"], ["minigrad"], "torch", read_losses=True)
    before["read_losses"] = True
    with pytest.raises(UsageError, match="losses were read: compare with --read-losses"):
        baseline.require_comparable(before, ["net"], ["minigrad"], "torch")
    path = tmp_path / "old.json"
    with pytest.raises(UsageError, match=r"cannot read the baseline .*old.json"):
        baseline.read(path)
    for text in ("", "[]", '{"schema": 2}', "[" * 10**5):
        path.write_text(text)
        with pytest.raises(UsageError, match=r"old.json is no bench.json"):
            baseline.read(path)
    path.write_text(json.dumps(before))
    assert baseline.read(path) == before


def test_scaling(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, values in (("WIDTHS", (1, 2)), ("BATCHES", (3,)), ("DEPTHS", (1, 2))):
        monkeypatch.setattr(growth, name, values)
    monkeypatch.setattr(growth, "ROUND_S", 0.001)
    monkeypatch.setattr(growth.Matmul, "SIZE", 64)
    task = Task((1, 1, 1), 500, 0.01, 100, 0, "float32", "cpu")
    engines = {name: factory(name) for name in ("minigrad", "numpy-floor")}
    seen: list[tuple[str, str, int, int]] = []
    found = growth.scaling(task, engines, 1, lambda *told: seen.append(told))
    assert json.loads(json.dumps(found)) == json.loads(json.dumps(found, allow_nan=False))
    assert seen[0] == ("scaling", "networks", 0, 5)
    assert seen[-1] == ("scaling", "networks", 5, 5)
    assert found["matmul_flops_per_s"] > 1e6
    places = [(p["axis"], p["value"], tuple(p["sizes"]), p["samples"]) for p in found["points"]]
    assert places == [
        ("width", 1, (1, 1, 1, 1), 100),
        ("width", 2, (1, 2, 2, 1), 100),
        ("batch", 3, (1, 16, 16, 1), 3),
        ("depth", 1, (1, 16, 1), 100),
        ("depth", 2, (1, 16, 16, 1), 100),
    ]
    for point in found["points"]:
        assert point["agrees"]
        for times in point["times"].values():
            assert 0 < times["q1_s"] <= times["median_s"] <= times["q3_s"]
    figure = scaling_picture(found)
    labels = [str(line.get_label()) for line in figure.axes[0].lines]
    assert labels == ["numpy-floor", "minigrad", PEAK]
    named = [text.get_text() for text in figure.axes[2].texts]
    assert sorted(named) == sorted(labels)
    assert len(figure.axes[2].lines[0].get_xdata()) == 2  # type: ignore[arg-type]


def test_products_are_those_of_a_step() -> None:
    """Their operations, counted here by their shapes, are those of `step_flops`."""
    sizes, samples = (2, 3, 4), 5
    task = Task(sizes, 500, 0.01, samples, 0, "float32", "cpu")
    for library in LIBRARIES:
        flops = 0
        for kind in KINDS:
            engine = Products(library, kind)
            engine.load(task, engine.draw(task))
            for a, b in engine._operands:
                assert str(a.dtype).endswith("float32")
                assert type(a).__module__.partition(".")[0] == library
                flops += 2 * a.shape[0] * a.shape[1] * b.shape[1]
            engine.step()
        assert flops == growth.step_flops(sizes, samples)


def test_products_have_their_time_beside_the_engines(document: dict[str, Any]) -> None:
    seen: list[tuple[str, str, int, int]] = []
    tasks = {
        "small": Task(
            (1, 2, 1), 500, 0.01, 10, 0, "float64", "cpu", momentum=0.9, activation="tanh"
        ),
        "large": Task((1, 1), 500, 0.01, 10, 0, "float32", "cpu", batch_size=3),
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "EngineProcess", lambda make, *_, **limits: LocalObject(make()))
        patch.setattr(os, "sched_setaffinity", lambda *_: None, raising=False)  # of this process
        found, left_out = products(tasks, 1, 6, lambda *told: seen.append(told))
    assert left_out == []
    assert seen == [("products", "networks", done, 2) for done in range(3)]
    places = [(entry["architecture"], entry["library"]) for entry in found]
    assert places == [(name, library) for name in tasks for library in LIBRARIES]
    assert ["inputs" in entry for entry in found] == [True, True, False, False]
    assert {entry["blas"] for entry in found if entry["library"] == "numpy"} != {None}
    document = copy.deepcopy(document) | {"products": found}
    jsonschema.validate(document, SCHEMA)
    torch = next(result for result in document["results"] if result["engine"] == "torch")
    assert torch["architecture"] == "small"
    torch["median_s"] = 4 * sum(found[1][kind]["median_s"] for kind in KINDS)
    rows = [row for _, row in product_rows(document)]
    assert [row[-1] for row in rows[:2]] == ["–", "25 %"]
    console = Console(width=60, file=io.StringIO(), record=True)
    console.print(products_table(document))
    lines = console.export_text().splitlines()
    assert next(line.split()[-2:] for line in lines if " torch, " in line) == ["25", "%"]
    assert markdown(document).count("\n| small | ") == 2
    assert {row[-1] for _, row in product_rows(document | {"loaded": True})} == {"–"}


class Failing(Products):
    """Its library is not there, or its process dies while it is timed."""

    def __init__(self, library: str, kind: str, failing: str, how: str) -> None:
        super().__init__(library, kind)
        self._how = how if library == failing else ""
        self._calls = 0

    def build(self, task: Task, start: Any) -> None:
        if self._how == "missing":
            raise ModuleNotFoundError("No module named 'torch'")
        if self._how == "refuses":
            raise UsageError("too large")
        super().build(task, start)

    def step(self) -> object:
        self._calls += 1
        if self._how == "dies" and self._calls > 200:
            os._exit(3)
        return super().step()


@pytest.mark.parametrize(
    ("how", "failing", "reason"),
    [
        ("missing", "torch", "torch forward raised ModuleNotFoundError: No module named 'torch'"),
        ("refuses", "torch", "too large"),
        ("dies", "numpy", "numpy forward ended with exit code 3 during "),
    ],
)
def test_a_library_that_cannot_be_timed_is_left_out_and_the_benchmark_kept(
    how: str, failing: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = functools.partial(Failing, failing=failing, how=how)
    monkeypatch.setattr("parity.bench.products.Products", make)
    options = ["--engines", "minigrad,numpy-floor", "--rounds", "6", "--processes", "1"]
    result = parity("bench", "1-4-1", *options, "--products", "--output", tmp_path)
    assert result.returncode == 0, result.stderr
    document = json.loads((tmp_path / "bench.json").read_text())
    jsonschema.validate(document, SCHEMA)
    assert [entry["engine"] for entry in document["results"]] == ["minigrad", "numpy-floor"]
    (other,) = set(LIBRARIES) - {failing}
    assert [entry["library"] for entry in document["products"]] == [other]
    (left_out,) = document["left_out"]
    assert left_out["reason"].startswith(reason)
    assert f"1-4-1: the matrix product of {failing} was left out: {reason}" in words(result.stdout)


@pytest.mark.parametrize("option", ["scaling", "products"])
def test_engines_have_their_times_written_before_anything_else_fails(
    option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise UsageError("too large")

    monkeypatch.setattr(f"parity.cli.bench.{option}", fails)
    options = ["--engines", "minigrad", "--rounds", "6", "--processes", "1", f"--{option}"]
    assert parity("bench", "1-4-1", *options, "--output", tmp_path).returncode == 2
    document = json.loads((tmp_path / "bench.json").read_text())
    jsonschema.validate(document, SCHEMA)
    assert len(document["results"]) == 1


def test_names_of_lines_do_not_lie_upon_each_other() -> None:
    assert spread(np.array([0.1, 0.5, 0.9]), GAP) == pytest.approx([0.1, 0.5, 0.9])
    apart = spread(np.array([0.5, 0.5, 0.51]), GAP)
    assert (np.diff(apart) >= GAP - 1e-9).all()
    assert apart.mean() == pytest.approx(np.mean([0.5, 0.5, 0.51]))


def test_flops_are_those_of_the_products() -> None:
    # Forward 2·5·(2·3 + 3·4), by the weights as many, by the second layer's input 2·5·3·4.
    assert growth.step_flops((2, 3, 4), 5) == 2 * 2 * 5 * (2 * 3 + 3 * 4) + 2 * 5 * 3 * 4


def test_markdown_has_a_row_an_engine_and_a_column_a_network(document: dict[str, Any]) -> None:
    lines = markdown(document).splitlines()
    assert lines[0] == "| engine | small | large |"
    assert [line.split("|")[1].strip() for line in lines[2:]] == ["`slow`", "`torch`"]
    slow, torch = (line.split("|")[2].strip() for line in lines[2:])
    median = next(r for r in document["ratios"] if r["engine"] == "slow")["median"]
    assert slow.endswith(f"µs ({median:.2f})")
    assert torch.endswith("µs")


def test_rows_of_many_seeds_say_so_and_other_threads_have_columns(document: dict[str, Any]) -> None:
    text = json.dumps(document)
    two = json.loads(text.replace('"threads": 1', '"threads": 2').replace('"slow"', '"jax-vmap"'))
    lines = markdown(document, two).splitlines()
    assert lines[0] == "| engine | small | large | small, 2 threads | large, 2 threads |"
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]
    slow, torch, vmap = cells
    assert (slow[0], torch[0], vmap[0]) == ("`slow`", "`torch`", "`jax-vmap`, a seed")
    assert slow[3:] == vmap[1:3] == ["–", "–"]
    assert vmap[3:] == slow[1:3]
    assert torch[1:3] == torch[3:]
    for shown, many in ((two, True), (document, False)):
        console = Console(width=60, file=io.StringIO(), record=True)
        console.print(bench_table(shown))
        said = " ".join(console.export_text().split())
        assert ("jax-vmap: a step of one seed of many" in said) is many


SCALING = {"threads": 1, "matmul_flops_per_s": 1e9, "points": []}


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("bench", {"scaling": SCALING}),
        ("bench-all-cores", {}),
        ("bench-losses", {"read_losses": True}),
    ],
)
def test_publishing_writes_the_table_between_the_markers(
    name: str,
    more: dict[str, Any],
    document: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    page = {"bench-all-cores": "bench"}.get(name, name)
    monkeypatch.setattr(readme_tables, "PAGES", {page: tmp_path / "README.md"})
    monkeypatch.setattr(readme_tables, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(readme_tables, "PICTURE", tmp_path / "picture.png")
    (tmp_path / "results").mkdir()
    document = copy.deepcopy(document) | more
    for result in document["results"]:
        result["threads"] = 2 if name == "bench-all-cores" else 1
    begin, end = markers(page)
    assert begin.endswith(": written by make bench -->\n")
    (tmp_path / "README.md").write_text(f"before\n{begin}\nold\n{end}after\n")
    (tmp_path / "bench.json").write_text(json.dumps(document))
    (tmp_path / "bench.png").write_bytes(b"picture")
    readme_tables.publish(tmp_path)
    readme = (tmp_path / "README.md").read_text()
    assert readme == f"before\n{begin}\n{markdown(document)}\n{end}after\n"
    assert json.loads((tmp_path / "results" / f"{name}.json").read_text()) == document
    assert (tmp_path / "picture.png").exists() == ("scaling" in more)
    for text in ("no markers", 2 * readme):
        with pytest.raises(ValueError, match="times, not once"):
            part(text, name)
    if name == "bench":
        del document["scaling"]
        (tmp_path / "bench.json").write_text(json.dumps(document))
        with pytest.raises(UsageError, match=r"no picture for README.* with --scaling"):
            readme_tables.publish(tmp_path)


def test_an_engine_of_more_threads_than_it_was_given_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(TimedEngine, "cores_used", lambda self: 1.4)
    found = run({"small": FakeTask()}, threaded=FakeEngine)
    assert any("threaded kept 1.4 cores busy" in warning for warning in found["warnings"])
    assert found["results"][0]["cores_used"] == 1.4

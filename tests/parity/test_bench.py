"""The benchmark's document, its arithmetic, and what it refuses. No test here depends on a time."""

import functools
import io
import json
import math
import os
from collections.abc import Iterator
from importlib import resources
from typing import Any

import jsonschema
import numpy as np
import pytest
from rich.console import Console

from parity import bench as module
from parity.bench import TimedEngine, agreement, bench, load_warning, median_interval, ratios
from parity.bench_table import bench_table
from parity.engines.process import EngineProcess
from tests.parity import fake_engines

# They do what `bench` asks of an engine and a task, and no more.
FakeEngine: Any = fake_engines.FakeEngine
FakeTask: Any = fake_engines.FakeTask
SCHEMA = json.loads((resources.files("parity") / "schemas/bench.schema.json").read_text())


@pytest.fixture(scope="module", autouse=True)
def in_a_hurry() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "ROUND_S", 0.002)
        patch.setattr(module, "SETTLE_S", 0.0)
        yield


def run(tasks: Any, **factories: Any) -> dict[str, Any]:
    return bench(tasks, factories, threads=1, rounds=6)


@pytest.fixture(scope="module")
def document(in_a_hurry: None) -> dict[str, Any]:
    """Two engines that differ in the start they draw, and must be given the first one's."""
    return run(
        {"small": FakeTask(), "large": FakeTask("float64")},
        slow=functools.partial(FakeEngine, seed=2.0),
        torch=functools.partial(FakeEngine, seed=5.0),
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
    assert document["engines"]["slow"]["variables"]["OMP_NUM_THREADS"] == "1"


def test_engines_start_alike(document: dict[str, Any]) -> None:
    assert document["agreed"]
    for entry in document["agreement"]:
        assert entry["agrees"]
        assert entry["losses"]["slow"] == entry["losses"]["torch"]
        assert entry["losses"]["slow"] == pytest.approx([4, 4 * 0.8**2, 4 * 0.8**4])
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
    row = next(line.split() for line in text.splitlines() if " slow " in line)
    result, ratio = document["results"][0], document["ratios"][0]
    assert f"{1e6 * result['median_s']:,.1f}" in row
    assert f"{ratio['median']:.2f}" in row
    assert bench_table(document).columns[3].header == "times as fast as torch"


def test_table_marks_disagreement(document: dict[str, Any]) -> None:
    console = Console(width=120, file=io.StringIO(), record=True)
    first, second = document["agreement"]
    console.print(bench_table(document | {"agreement": [first, second | {"agrees": False}]}))
    marked = [line for line in console.export_text().splitlines() if "losses differ" in line]
    assert len(marked) == 1
    assert "large" in marked[0]


def test_an_engine_that_computes_something_else_is_marked() -> None:
    wrong = functools.partial(FakeEngine, rate=0.1 * (1 + 1e-3))
    document = run({"net": FakeTask()}, right=FakeEngine, wrong=wrong)
    jsonschema.validate(document, SCHEMA)
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
    document = run({"net": FakeTask()}, a=functools.partial(FakeEngine, rate=1e30))
    jsonschema.validate(document, SCHEMA)
    json.dumps(document, allow_nan=False)


def test_every_engine_has_its_turn_to_be_first() -> None:
    calls: list[str] = []

    class Timed:
        def __init__(self, name: str) -> None:
            self.name = name

        def call(self, method: str, *_: Any) -> float:
            if method == "time":
                calls.append(self.name)
            return 1

    processes: Any = {name: Timed(name) for name in "abc"}
    module._time_in_rounds(processes, 60, lambda done, total: None)
    rounds = [tuple(calls[i : i + 3]) for i in range(0, len(calls), 3)]
    assert all(sorted(order) == ["a", "b", "c"] for order in rounds)
    assert len(set(rounds)) == 6


def test_progress_is_told_before_the_first_and_after_every_round() -> None:
    seen: list[tuple[str, int, int]] = []
    bench(
        {"one": FakeTask(), "two": FakeTask()},
        {"engine": FakeEngine},
        threads=1,
        rounds=6,
        progress=lambda *told: seen.append(told),
    )
    assert seen == [(name, done, 6) for name in ("one", "two") for done in range(7)]


def test_a_failing_engine_is_not_swallowed() -> None:
    with pytest.raises(ZeroDivisionError):
        run({"net": FakeTask()}, engine=functools.partial(FakeEngine, breaks_after=5))


def test_a_forced_kernel_is_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getloadavg", lambda: (0.0, 0.0, 0.0))
    monkeypatch.delenv("OPENBLAS_CORETYPE", raising=False)
    assert run({"net": FakeTask()}, a=FakeEngine)["warnings"] == []
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
    (warning,) = run({"net": FakeTask()}, a=FakeEngine, b=FakeEngine)["warnings"]
    assert "OPENBLAS_CORETYPE=Haswell" in warning


def test_a_busy_machine_is_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENBLAS_CORETYPE", raising=False)
    monkeypatch.setattr(os, "getloadavg", lambda: (987.0, 0.0, 0.0))
    (warning,) = run({"net": FakeTask()}, a=FakeEngine)["warnings"]
    assert "987.0" in warning
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
    timed: Any = TimedEngine(lambda: engine)
    timed.load(FakeTask(), 1.0)
    engine.steps = 0
    timed.time(50)
    assert engine.synchronized_at == [0, 5, 5, 55]


def test_warm_up_fills_the_duration() -> None:
    engine = FakeEngine(pause_s=0.002)
    timed: Any = TimedEngine(lambda: engine)
    timed.load(FakeTask(), 1.0)
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
        assert process.call("draw", FakeTask()) == 3.0
        assert process.call("load", FakeTask(), 1.0) == pytest.approx([1, 0.64, 0.4096])
        assert process.call("environment")["variables"]["OPENBLAS_NUM_THREADS"] == "1"

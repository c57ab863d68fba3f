"""What a sweep keeps, who trains what next, and what is said of it."""

import csv
import io
import math
import sqlite3
from collections import deque
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from minigrad.architectures import architecture
from parity.checks.trajectory import RUNS
from parity.engines.process import EngineProcessError
from parity.engines.protocol import Task
from parity.errors import UsageError
from parity.sweep import settings as of
from parity.sweep.database import COLUMNS, Database, Row, to_csv
from parity.sweep.plan import (
    ATTEMPTS,
    JOB_S,
    LAST_SEED,
    MOST_LOST,
    Plan,
    Stream,
    results,
    schedule,
    seeds,
    streams,
)
from parity.sweep.work import Job

TASK = Task((1, 4, 1), 30, 0.01, 100, 0, "float32", "cpu", 0.0)
PLAN = Plan({"1-4-1": (architecture("1-4-1"), TASK)}, range(10), "ours", "theirs", 4)


def row(seed: int, engine: str = "ours", mse: float = 1.5, runs: int = 0, **more: Any) -> Row:
    found = Row("1-4-1", seed, engine, "float32", mse, "trained", None, runs, None, "aa", 0.1, "h")
    return found._replace(**more)


# ---- what is asked for --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [("0:3", range(3)), ("7:8", range(7, 8)), (f"{LAST_SEED}:{2**63}", range(LAST_SEED, 2**63))],
)
def test_seeds(text: str, expected: range) -> None:
    assert seeds(text) == expected


@pytest.mark.parametrize(
    "text",
    ["", ":", "5", "3:3", "4:3", "-1:3", "a:b", "0:1:2", "0 :3", "0:3.0", ":3", f"0:{2**63 + 1}",
     "0:" + "9" * 5000, "٣:٤", "0:1000001"],
)  # fmt: skip
def test_no_seeds(text: str) -> None:
    with pytest.raises(UsageError, match="--seeds"):
        seeds(text)


# ---- the database -------------------------------------------------------------------------------


def test_results_come_back_as_they_went_in(tmp_path: Path) -> None:
    rows = [
        row(0, mse=0.1 + 0.2),
        row(1, mse=math.inf, state="diverged"),
        row(LAST_SEED, mse=5e-324, runs=8, horizon_epoch=3, final_spread=1e-7),
    ]
    with Database(tmp_path) as database:
        database.add(rows)
        database.add([row(2, mse=math.nan, state="diverged")])
    with Database(tmp_path) as database:
        found = database.rows("1-4-1", "ours", "float32")
        assert list(found) == [0, 1, 2, LAST_SEED]
        assert [found[r.seed] for r in rows] == rows
        assert math.isnan(found[2].final_mse)
        assert not database.rows("1-4-1", "ours", "float64")
        assert not database.rows("1-4-1", "theirs", "float32")


def test_a_result_is_written_once_and_replaced_by_one_with_a_horizon(tmp_path: Path) -> None:
    with Database(tmp_path) as database:
        for given, kept in (
            (row(0, mse=1.0), 1.0),
            (row(0, mse=2.0), 1.0),
            (row(0, mse=3.0, runs=8), 3.0),
            (row(0, mse=4.0, runs=8), 3.0),
            (row(0, mse=5.0), 3.0),
        ):
            database.add([given])
            assert database.rows("1-4-1", "ours", "float32")[0].final_mse == kept


def test_results_that_come_together_are_kept_together_or_not_at_all(tmp_path: Path) -> None:
    with Database(tmp_path) as database:
        broken = row(1, state=None)
        with pytest.raises(UsageError, match="NOT NULL"):
            database.add([row(0), broken])
        assert database.rows("1-4-1", "ours", "float32") == {}
        database.add([row(0)])
        assert list(database.rows("1-4-1", "ours", "float32")) == [0]


def test_others_can_read_meanwhile(tmp_path: Path) -> None:
    with Database(tmp_path) as database:
        database.add([row(0)])
        other = sqlite3.connect(database.path)
        assert other.execute("SELECT seed, final_mse FROM results").fetchall() == [(0, 1.5)]
        database.add([row(1)])
        assert other.execute("SELECT count(*) FROM results").fetchone() == (2,)
        other.close()


def test_changed_settings_are_refused_with_the_difference_named(tmp_path: Path) -> None:
    with Database(tmp_path) as database:
        database.settle({"samples": "100", "epochs of a": "500"})
        database.settle({"samples": "100", "epochs of b": "1000"})  # a network more
        with pytest.raises(UsageError) as refused:
            database.settle({"samples": "99", "epochs of a": "500", "epochs of b": "7", "c": "1"})
        assert "samples 100 there and 99 now; epochs of b 1000 there and 7 now." in str(
            refused.value
        )
        database.settle({"c": "2"})  # nothing was kept of what was refused


def test_settings_are_what_results_depend_on() -> None:
    found = of.settings({"small": TASK}, ["minigrad", "torch", "jax"])
    assert found["epochs of small"] == "30"
    assert found["learning rate of small"] == "0.01"
    assert (found["samples"], found["momentum"], found["device"]) == ("100", "0.0", "cpu")
    for package in ("numpy", "torch", "jax"):
        assert found[f"version of {package}"][0].isdigit()
    assert of.versions(["minigrad"]).keys() < found.keys()
    assert "version of torch" not in of.versions(["minigrad"])


def test_an_engine_from_a_file_is_told_by_its_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    of._sources.cache_clear()
    assert of.versions(["mine:Engine"])["sources of mine"] == "missing"
    digests = set()
    for text in ("a = 1", "a = 2"):
        (tmp_path / "mine.py").write_text(text)
        of._sources.cache_clear()
        digests.add(of.versions(["mine:Engine"])["sources of mine"])
    assert len(digests) == 2
    of._sources.cache_clear()


@pytest.mark.parametrize("content", [b"no database" * 1000, b"other table", b"newer"])
def test_a_file_of_something_else_is_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "sweep.sqlite"
    if content.startswith(b"no"):
        path.write_bytes(content)
    else:
        connection = sqlite3.connect(path)
        newer = content == b"newer"
        connection.execute("PRAGMA user_version = 2" if newer else "CREATE TABLE mine (a)")
        connection.commit()
        connection.close()
    before = path.read_bytes()
    with pytest.raises(UsageError, match=r"sweep\.sqlite"), Database(tmp_path):
        pass
    assert path.read_bytes() == before
    with pytest.raises(UsageError, match=r"sweep\.sqlite"), Database(tmp_path):
        pass  # and not: somebody else is sweeping


def test_csv_has_all_columns_in_full_precision() -> None:
    rows = [row(0, mse=0.1 + 0.2), row(1, mse=math.nan, runs=8, horizon_epoch=7)]
    found = list(csv.DictReader(io.StringIO(to_csv(rows))))
    assert list(found[0]) == list(COLUMNS)
    assert float(found[0]["final_mse"]) == 0.1 + 0.2
    assert (found[0]["horizon_epoch"], found[1]["horizon_epoch"]) == ("", "7")
    assert math.isnan(float(found[1]["final_mse"]))


# ---- who trains what ----------------------------------------------------------------------------


class FakeWorkers:
    """Do jobs at once; some seeds fail so many times."""

    def __init__(self, fails: dict[int, float] | None = None, time_s: float = 0.1) -> None:
        self.jobs: list[Job] = []
        self.fails = fails or {}
        self.time_s = time_s
        self.error: Exception = EngineProcessError("died")

    def slots(self) -> int:
        return 2

    def submit(self, job: Job) -> Future[list[Row]]:
        self.jobs.append(job)
        future: Future[list[Row]] = Future()
        failing = [seed for seed in job.seeds if self.fails.get(seed, 0) > 0]
        for seed in failing:
            self.fails[seed] -= 1
        if failing:
            future.set_exception(self.error)
        else:
            runs = RUNS if job.horizon else 0
            rows = [row(seed, job.engine, runs=runs, time_s=self.time_s) for seed in job.seeds]
            future.set_result(rows)
        return future

    def lack(self) -> str | None:
        return None


def stream(count: int, engine: str = "ours", *, horizon: bool = False) -> Stream:
    return Stream(Job("1-4-1", engine, TASK, (), horizon, ()), deque(range(count)), count)


def scheduled(workers: FakeWorkers, *given: Stream) -> list[Row]:
    kept: list[Row] = []
    schedule(given, workers, kept.extend, lambda stream, done: None, lambda said: None)
    return kept


def test_every_seed_is_trained_once_in_jobs_of_a_second() -> None:
    workers = FakeWorkers(time_s=0.1)
    kept = scheduled(workers, stream(100), stream(100, "theirs"))
    assert sorted((r.engine, r.seed) for r in kept) == [
        (engine, seed) for engine in ("ours", "theirs") for seed in range(100)
    ]
    sizes = [len(job.seeds) for job in workers.jobs]
    assert sizes[0] == 1, "nobody knows yet how long one takes"
    assert max(sizes) == JOB_S / 0.1
    halfway = workers.jobs[: len(workers.jobs) // 2]
    assert {job.engine for job in halfway} == {"ours", "theirs"}, "side by side"


def test_seeds_that_fail_are_tried_again_alone() -> None:
    workers = FakeWorkers({30: ATTEMPTS - 1}, time_s=0.1)
    only = stream(60)
    assert sorted(r.seed for r in scheduled(workers, only)) == list(range(60))
    assert only.losses() == []
    tried = [job.seeds for job in workers.jobs if 30 in job.seeds]
    assert len(tried) == ATTEMPTS
    assert tried[1:] == [(30,)] * (ATTEMPTS - 1)


def test_seeds_that_fail_for_good_are_named_and_the_others_trained() -> None:
    workers = FakeWorkers({30: math.inf}, time_s=0.1)
    only = stream(60)
    assert sorted(r.seed for r in scheduled(workers, only)) == [*range(30), *range(31, 60)]
    (said,) = only.losses()
    assert said.startswith("1-4-1 on ours: seed 30 failed 3 times and has no result")
    assert sum(job.seeds == (30,) for job in workers.jobs) == ATTEMPTS
    assert "EngineProcessError: died" in said


def test_an_engine_that_always_fails_is_not_tried_at_every_seed() -> None:
    workers = FakeWorkers(dict.fromkeys(range(60), math.inf))
    only, other = stream(60), stream(60, "theirs")
    other.seeds = deque(range(100, 160))
    assert len(scheduled(workers, only, other)) == 60
    assert len(only.lost) >= MOST_LOST
    assert only.losses()[-1] == (
        f"1-4-1 on ours: so {60 - len(only.lost)} more seeds were left out"
    )


def test_what_no_worker_can_do_ends_the_sweep() -> None:
    workers = FakeWorkers({0: 1})
    workers.error = UsageError("no device 'cuda'")
    with pytest.raises(UsageError, match="cuda"):
        scheduled(workers, stream(5))


def test_it_waits_for_workers_and_says_so_once(monkeypatch: pytest.MonkeyPatch) -> None:
    workers, said, pauses = FakeWorkers(), list[str](), list[float]()
    monkeypatch.setattr("time.sleep", pauses.append)
    monkeypatch.setattr(workers, "slots", lambda: 2 if len(pauses) >= 3 else 0)
    monkeypatch.setattr(workers, "lack", lambda: "no workers")
    only, kept = stream(5), list[Row]()
    schedule([only], workers, kept.extend, lambda stream, done: None, said.append)
    assert (len(kept), said) == (5, ["no workers"])


def test_what_is_missing_is_planned(tmp_path: Path) -> None:
    """The first seeds of the reference are those whose horizons are sought."""
    with Database(tmp_path) as database:
        database.add([row(0, runs=RUNS, engine="theirs"), row(1, engine="theirs"), row(9), row(77)])
        database.add([row(5, engine="theirs"), row(6, dtype="float64")])
        planned = {
            (s.common.engine, s.common.horizon): (list(s.seeds), s.total)
            for s in streams(PLAN, database)
        }
        assert planned == {
            ("ours", False): (list(range(9)), 10),
            ("theirs", True): ([1, 2, 3], 4),
            ("theirs", False): ([4, 6, 7, 8, 9], 6),
        }
        ((ours, theirs),) = results(PLAN, database).values()
        assert (list(ours), list(theirs)) == ([9], [0, 1, 5])

"""What a sweep's results are judged by: correct engines pass, wrong ones fail."""

import io
import math
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from scipy.stats import ks_2samp

from minigrad.architectures import ARCHITECTURES
from parity.checks.trajectory import FLOOR, LIMIT, RUNS
from parity.engines.protocol import Array, Task
from parity.sweep import compare as module
from parity.sweep.compare import LEVEL, check_distribution, compare
from parity.sweep.database import Row
from parity.sweep.plan import Plan
from parity.sweep.plots import picture
from parity.sweep.table import passed, summary

U = float(np.finfo("float32").eps) / 2
NAMED = ARCHITECTURES["rightfit"]
TASK = Task(NAMED.sizes, 500, 0.01, 100, 0, "float32", "cpu", 0.0)
SEEDS = 200


@pytest.fixture(autouse=True)
def fewer_exchanges(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "EXCHANGES", 5_000)


def rows(values: Array, engine: str, **more: Any) -> dict[int, Row]:
    found = {}
    for seed, value in enumerate(map(float, values)):
        state = "trained" if math.isfinite(value) else "diverged"
        mine = {name: each[seed] for name, each in more.items()}
        blank = Row("rightfit", seed, engine, "float32", value, state, None, 0, None, "a", 0.1, "h")
        found[seed] = blank._replace(**mine)
    return found


def correct(seed: int = 0, chaotic: float = 0.3, count: int = SEEDS) -> tuple[Array, Array]:
    """Return final MSEs as two correct engines leave them: most pairs are equal but for rounding,
    some are two draws of what rounding makes of the seed.
    """
    generator = np.random.default_rng(seed)
    centre = np.exp(generator.normal(1, 0.3, count))
    ours, theirs = (centre * (1 + 1e-7 * generator.normal(size=count)) for _ in range(2))
    lost = generator.random(count) < chaotic
    ours[lost], theirs[lost] = np.exp(generator.normal(1, 0.3, (2, count)))[:, lost]
    return ours, theirs


# ---- distribution -------------------------------------------------------------------------------


@pytest.mark.parametrize("chaotic", [0.0, 0.3, 1.0])
def test_the_level_is_kept(monkeypatch: pytest.MonkeyPatch, chaotic: float) -> None:
    """Of 400 sweeps of correct engines, a tenth at most is below a p-value of a tenth."""
    monkeypatch.setattr(module, "EXCHANGES", 400)
    found = [
        check_distribution(*correct(seed, chaotic, count=40), level=0.1)["passed"]
        for seed in range(400)
    ]
    assert found.count(False) <= 40 + 3 * 6


def test_the_statistic_is_scipys_ties_and_infinities_included() -> None:
    generator = np.random.default_rng(1)
    for _ in range(20):
        ours, theirs = np.round(generator.normal(size=(2, 50)), 1)
        ours[:5] = theirs[:9] = np.inf
        found = check_distribution(ours, theirs, LEVEL)
        assert found["statistic"] == pytest.approx(ks_2samp(ours, theirs).statistic)


def test_what_the_unpaired_test_lets_pass_is_caught() -> None:
    """An engine whose chaotic runs end too high, all others as they should: D is small."""
    ours, theirs = correct(3, count=400)
    wrong = np.where(np.abs(ours / theirs - 1) > 1e-3, np.maximum(ours, theirs), ours)
    found = check_distribution(wrong, theirs, LEVEL)
    assert found["passed"] is False
    assert found["independent_p_value"] > 0.01
    assert check_distribution(ours, theirs, LEVEL)["passed"] is True


def test_a_shift_of_all_is_caught_and_a_difference_of_rounding_is_not() -> None:
    _, theirs = correct()
    assert check_distribution(1.2 * theirs, theirs, LEVEL)["passed"] is False
    assert check_distribution(theirs * (1 + 4 * U), theirs, LEVEL)["passed"] is True
    assert check_distribution(theirs, theirs, LEVEL)["passed"] is True


def test_runs_that_diverge_on_one_side_are_caught() -> None:
    ours, theirs = correct()
    ours[:40] = np.inf
    assert check_distribution(ours, theirs, LEVEL)["passed"] is False
    theirs[:40] = np.inf
    assert check_distribution(ours, theirs, LEVEL)["passed"] is True


def test_fails_from_is_where_it_fails() -> None:
    ours, theirs = correct(5)
    distances = {}
    for factor in np.linspace(1, 1.6, 9):
        found = check_distribution(np.where(ours > 3, factor * ours, ours), theirs, LEVEL)
        distances[found["passed"]] = found
        assert found["passed"] is (found["statistic"] < found["fails_from"])
    assert distances.keys() == {True, False}


@pytest.mark.parametrize(("count", "verdict"), [(0, None), (1, None), (10, None), (12, False)])
def test_too_few_seeds_say_nothing(count: int, verdict: bool | None) -> None:
    theirs = np.linspace(1, 2, count)
    found = check_distribution(10 * theirs, theirs, LEVEL)
    assert found["passed"] is verdict
    assert (found["fails_from"] is None) == (verdict is None)


# ---- pairs and starts ---------------------------------------------------------------------------


def with_spread(values: Array, spread: Any, horizon: int | None) -> dict[int, Row]:
    count = len(values)
    return rows(
        values,
        "torch",
        horizon_runs=[RUNS] * count,
        horizon_epoch=[horizon] * count,
        final_spread=np.broadcast_to(spread, count).tolist(),
    )


def test_an_outlier_among_predictable_pairs_is_found() -> None:
    _, theirs = correct()
    ours = theirs * (1 + 4 * U)
    assert compare(rows(ours, "m"), with_spread(theirs, 4 * U, None))["pairs"]["passed"] is True
    ours[17] = theirs[17] * (1 + 81 * U)
    found = compare(rows(ours, "m"), with_spread(theirs, 4 * U, None))
    assert found["passed"] is found["pairs"]["passed"] is False
    assert [outlier["seed"] for outlier in found["pairs"]["outliers"]] == [17]
    assert found["pairs"]["worst_used"] == pytest.approx(81 / 80, rel=1e-2)
    assert found["pairs"]["most_apart"] == 17
    assert found["distribution"]["passed"] is True


@pytest.mark.parametrize(("apart", "verdict"), [(0.9, True), (1.1, False)])
def test_an_engine_that_is_always_furthest_is_found(apart: float, verdict: bool) -> None:
    """Beyond the horizon a pair may be anywhere, but not every pair outside of all other runs."""
    _, theirs = correct(count=20)
    spread = np.linspace(1e-4, 1e-2, 20)
    found = compare(rows(theirs * (1 + apart * spread), "m"), with_spread(theirs, spread, 7))
    assert found["pairs"]["passed"] is verdict
    assert found["pairs"]["furthest"] == (0 if verdict else 20)
    assert len(found["pairs"]["suspects"]) == (0 if verdict else 20)
    assert not found["pairs"]["outliers"]


def test_as_often_furthest_as_chance_has_it_is_no_failure() -> None:
    _, theirs = correct(count=90)
    ours = theirs.copy()
    ours[:10] *= 1.5
    found = compare(rows(ours, "m"), with_spread(theirs, 1e-3, 7))["pairs"]
    assert (found["passed"], found["furthest"]) == (True, 10)
    ours[:30] = 1.5 * theirs[:30]
    assert compare(rows(ours, "m"), with_spread(theirs, 1e-3, 7))["pairs"]["passed"] is False


def test_the_rounding_of_the_loss_alone_is_never_further() -> None:
    """Perturbed runs of one engine may end in the same bits, and another engine's sums not."""
    _, theirs = correct(count=50)
    ours = theirs * (1 + 0.9 * LIMIT * FLOOR * U)
    found = compare(rows(ours, "m"), with_spread(theirs, FLOOR * U, 7))["pairs"]
    assert (found["passed"], found["furthest"]) == (True, 0)


def test_runs_that_diverged_are_equal_whatever_they_say() -> None:
    ours, theirs = correct(count=20)
    ours[:5], theirs[:5] = np.nan, np.inf
    found = compare(rows(ours, "m"), rows(theirs, "torch"))
    assert found["sides"]["actual"]["states"] == {"trained": 15, "dead": 0, "diverged": 5}
    assert found["sides"]["actual"]["quantiles"][0.95] == math.inf
    both = with_spread(theirs, 1.0, 3)
    assert compare(rows(ours, "m"), both)["pairs"]["furthest"] == 0


def test_without_horizons_pairs_are_not_judged() -> None:
    ours, theirs = correct()
    found = compare(rows(ours, "m"), rows(theirs, "torch"))
    assert found["pairs"]["passed"] is None
    assert found["horizon"]["seeds"] == 0
    assert found["passed"] is True


def test_other_starts_are_found() -> None:
    ours, theirs = correct()
    starts = ["b" if seed in (3, 5) else "a" for seed in range(SEEDS)]
    found = compare(rows(ours, "m", start=starts), rows(theirs, "torch"))
    assert found["passed"] is found["start"]["passed"] is False
    assert found["start"]["differ"] == [3, 5]


def test_a_start_that_was_given_is_no_start_that_agrees() -> None:
    ours, theirs = correct(count=20)
    given = compare(rows(ours, "m", start=["given a"] * 20), rows(theirs, "torch"))["start"]
    assert (given["passed"], given["seeds"]) == (None, 0)
    other = compare(rows(ours, "m", start=["given b"] * 20), rows(theirs, "torch"))["start"]
    assert other["passed"] is False, "nothing else can be judged from other starts"


@pytest.mark.parametrize("networks", [1, 25, 26, 400])
def test_however_many_networks_there_are_one_can_fail(networks: int) -> None:
    _, theirs = correct(count=40)
    found = compare(rows(1000 * theirs, "m"), rows(theirs, "torch"), networks)
    assert found["distribution"]["passed"] is False
    assert 0 < found["distribution"]["fails_from"] <= 1


def test_nan_and_infinity_are_one_where_runs_are_predictable_too() -> None:
    ours, theirs = np.array([math.nan, 1.0]), np.array([math.inf, 1.0])
    sought: dict[str, Any] = {"horizon_runs": 8, "horizon_epoch": None, "final_spread": 2.4e-7}
    mine, reference = (
        {seed: row._replace(**sought) for seed, row in rows(values, name).items()}
        for values, name in ((ours, "m"), (theirs, "torch"))
    )
    found = compare(mine, reference)["pairs"]
    assert (found["predictable"], found["outliers"]) == (2, [])


def test_seeds_that_one_side_lacks_are_left_out() -> None:
    ours, theirs = correct(count=30)
    found = compare(rows(ours[:20], "m"), rows(theirs, "torch"))
    assert found["seeds"] == 20
    nothing = compare({}, {})
    assert nothing["passed"] is None
    assert passed({"rightfit": nothing}) is None


def test_horizons_are_counted() -> None:
    _, theirs = correct(count=4)
    sought: dict[str, Any] = {"horizon_runs": [8, 8, 8, 0], "horizon_epoch": [7, None, 9, None]}
    epochs = rows(theirs, "torch", **sought, final_spread=[1e-3, 1e-3, 1e-3, None])
    found = compare(rows(theirs, "m"), epochs)["horizon"]
    assert (found["seeds"], found["none"]) == (3, 1)
    assert (found["quantiles"][0.5], found["quantiles"][0.95]) == (9, math.inf)


# ---- what is shown ------------------------------------------------------------------------------

PLAN = Plan({"rightfit": (NAMED, TASK)}, range(SEEDS), "minigrad", "torch", 20)


def shown(actual: dict[int, Row], expected: dict[int, Row], width: int = 60) -> str:
    text = io.StringIO()
    found = {"rightfit": compare(actual, expected)}
    Console(file=text, width=width).print(summary(PLAN, found))
    return text.getvalue()


def test_the_table_fits_a_narrow_terminal() -> None:
    ours, theirs = correct()
    ours[:3] = np.nan
    text = shown(rows(ours, "minigrad"), with_spread(theirs, 1e-4, 40))
    assert max(map(len, text.splitlines())) <= 60
    for said in ("1.5 %", "diverged", "distribution", "pass", "horizon", "200 of 200 seeds"):
        assert said in " ".join(text.split())


def test_a_failure_names_the_seed_and_the_command_that_looks_at_it() -> None:
    _, theirs = correct()
    ours = theirs.copy()
    ours[17] *= 1.001
    text = " ".join(shown(rows(ours, "minigrad"), with_spread(theirs, 4 * U, None)).split())
    assert "seed 17: minigrad" in text
    command = "parity run rightfit --seed 17 --dtype float32 --engine minigrad-ensemble"
    assert f"{command} --against torch" in text
    assert "FAIL minigrad and torch disagree on rightfit" in text


def test_nothing_is_shown_as_nothing() -> None:
    text = shown({}, {})
    assert "0 seeds" in text
    assert "PASS" not in text
    assert "no results" in text


@pytest.mark.parametrize(
    ("count", "kind"),
    [
        (0, "trained"),
        (1, "diverged"),
        (1, "zero"),
        *((200, k) for k in ("trained", "diverged", "zero")),
    ],
)
def test_every_sweep_can_be_drawn(count: int, kind: str) -> None:
    ours, theirs = correct(count=count)
    if kind != "trained":
        ours[: count // 2 + 1] = theirs[:] = np.nan if kind == "diverged" else 0.0
    both = rows(ours, "minigrad"), with_spread(theirs, 1e-4, 40)
    png = io.BytesIO()
    picture(PLAN, {"rightfit": both}).savefig(png, format="png", dpi=20)
    assert png.getvalue().startswith(b"\x89PNG")

"""Every check with correct engines and with planted defects."""

import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from parity.cases.case import PROBE
from parity.checks.bits import first_difference, ulp_distance
from parity.checks.budget import Budget
from parity.checks.final_mse import check_final_mse
from parity.checks.gradients import Z, check_gradients, compare
from parity.checks.start import check_start
from parity.checks.state import state
from parity.checks.tally import Tally
from parity.checks.verdicts import VERDICTS
from parity.documents import schema, to_json
from parity.engines.protocol import Start, Task
from parity.engines.trainer import Run

Array = NDArray[Any]
DTYPES = pytest.mark.parametrize("dtype", ["float32", "float64"])


def task(sizes: tuple[int, ...] = (1, 5, 4, 1), dtype: str = "float32", **changes: Any) -> Task:
    settings = {"epochs": 30, "learning_rate": 0.01, "samples": 20, "seed": 3, "device": "cpu"}
    return Task(sizes=sizes, dtype=dtype, **{**settings, **changes})


def start(dtype: str = "float32") -> Start:
    rng = np.random.default_rng(0)
    shapes = {"0.weight": (4, 1), "0.bias": (4,), "2.weight": (1, 4), "2.bias": (1,)}
    return Start(
        x=np.linspace(-1, 1, 6, dtype=dtype).reshape(-1, 1),
        y=rng.standard_normal((6, 1)).astype(dtype),
        parameters={name: rng.standard_normal(s).astype(dtype) for name, s in shapes.items()},
    )


def flip(array: Array, index: tuple[int, ...], bit: int) -> None:
    array.view(f"u{array.itemsize}")[index] ^= 1 << bit


# ---- start ----------------------------------------------------------------------------------


@DTYPES
def test_the_same_start_passes(dtype: str) -> None:
    entry = check_start(start(dtype), start(dtype))
    assert entry == {
        "passed": True,
        "data_identical": True,
        "parameters_identical": True,
        "first_difference": None,
    }


@DTYPES
@pytest.mark.parametrize("name", ["x", "y", "0.weight", "0.bias", "2.weight", "2.bias"])
@pytest.mark.parametrize("bit", [0, 7, -1])
def test_one_bit_is_found(name: str, bit: int, dtype: str) -> None:
    actual, expected = start(dtype), start(dtype)
    arrays, originals = (
        {"x": each.x, "y": each.y, **each.parameters}[name] for each in (actual, expected)
    )
    index = tuple(n - 1 for n in arrays.shape)
    flip(arrays, index, bit % (8 * arrays.itemsize))
    in_data = name in ("x", "y")
    assert check_start(actual, expected) == {
        "passed": False,
        "data_identical": not in_data,
        "parameters_identical": in_data,
        "first_difference": {
            "parameter": name,
            "index": list(index),
            "actual": float(arrays[index]).hex(),
            "expected": float(originals[index]).hex(),
        },
    }


@DTYPES
def test_which_bits_count(dtype: str) -> None:
    """The sign of zero and the payload of NaN do; the layout in memory does not."""
    zero, nan = np.zeros(3, dtype), np.full(3, math.nan, dtype)
    signed, other = zero.copy(), nan.copy()
    signed[1] = -0.0
    flip(other, (1,), 0)
    assert np.isnan(other).all()
    matrix = np.arange(6, dtype=dtype).reshape(2, 3)
    for actual, expected, index in (
        (signed, zero, [1]),
        (other, nan, [1]),
        (signed.copy(), signed, None),
        (nan.copy(), nan, None),
        (np.asfortranarray(matrix), matrix, None),
        (matrix[:, ::-1][:, ::-1], matrix, None),
    ):
        found = first_difference({"w": actual}, {"w": expected})
        assert (found and found["index"]) == index
    found = first_difference({"w": signed}, {"w": zero})
    assert found is not None
    assert found["actual"] == "-0x0.0p+0"


def test_the_first_difference_is_named() -> None:
    actual = start()
    flip(actual.parameters["2.bias"], (0,), 0)
    flip(actual.parameters["0.bias"], (3,), 0)
    flip(actual.parameters["0.bias"], (1,), 0)
    found = check_start(actual, start())["first_difference"]
    assert (found["parameter"], found["index"]) == ("0.bias", [1])


def changed(parameters: dict[str, Array], change: str) -> dict[str, Array]:
    if change == "missing":
        return {name: value for name, value in parameters.items() if name != "2.weight"}
    if change == "extra":
        return {**parameters, "4.weight": np.zeros((1, 1), np.float32)}
    array = parameters["2.weight"]
    return {
        **parameters,
        "2.weight": {"transposed": array.T, "dtype": array.astype("f8"), "flat": array[0]}[change],
    }


@pytest.mark.parametrize("change", ["missing", "extra", "transposed", "dtype", "flat"])
def test_tensors_that_do_not_correspond_are_found(change: str) -> None:
    spoiled = replace(start(), parameters=changed(start().parameters, change))
    for actual, expected in ((spoiled, start()), (start(), spoiled)):
        entry = check_start(actual, expected)
        assert entry["passed"] is entry["parameters_identical"] is False
        name = "4.weight" if change == "extra" else "2.weight"
        assert entry["first_difference"]["parameter"] == name
        assert entry["first_difference"]["problem"]


# ---- gradients ------------------------------------------------------------------------------


def gradients(dtype: str = "float32") -> dict[str, Array]:
    return start(dtype).parameters


def units(dtype: str, count: float) -> float:
    return float(np.finfo(dtype).eps) / 2 * count


DEVIATION = 1e-6


def budgets(dtype: str = "float32", /, **changes: Any) -> dict[str, Budget]:
    """The same deviation for every element."""
    return {
        name: Budget(value, np.full(value.shape, DEVIATION), None, {})._replace(
            **changes.get(name.replace(".", "_"), {})
        )
        for name, value in gradients(dtype).items()
    }


def judged(actual: dict[str, Array], expected: dict[str, Array], **more: Any) -> dict[str, Any]:
    dtype = next(iter(expected.values())).dtype.name
    own = more.pop("budgets", None) or budgets(dtype)
    return check_gradients(actual, expected, own, more.pop("kinks", 0))


ALLOWED = Z * math.sqrt(2) * DEVIATION


@DTYPES
def test_equal_gradients_pass(dtype: str) -> None:
    entry = judged(gradients(dtype), gradients(dtype), kinks=3)
    assert entry["passed"] is True
    assert entry["elements"] == 13
    assert entry["worst_budget_used"] == entry["aggregate_used"] == entry["max_ulp"] == 0
    assert entry["kinks"] == 3
    assert entry["choices"] == entry["unlimited"] == 0


@DTYPES
def test_the_shares_of_the_budget_are_told_for_each_parameter(dtype: str) -> None:
    actual = gradients(dtype)
    actual["0.bias"] += np.array([0.1, 0.2, -1.5, 0.4], dtype) * np.asarray(ALLOWED, dtype)
    rows = {row["parameter"]: row for row in judged(actual, gradients(dtype))["per_parameter"]}
    assert list(rows) == list(gradients(dtype))
    assert {name: row["elements"] for name, row in rows.items()} == {
        "0.weight": 4,
        "0.bias": 4,
        "2.weight": 4,
        "2.bias": 1,
    }
    worse = rows["0.bias"]
    shares = [0.1, 0.1, 0.1, 0.2, 0.4, 1.5, 1.5]  # at 0, 5, 25, 50, 75, 95 and 100 %
    assert worse["quantiles"] == pytest.approx(shares, abs=0.04)
    assert worse["worst"] == pytest.approx(1.5, abs=0.02)
    assert worse["aggregate_used"] > 0
    assert rows["2.weight"]["quantiles"] == [0.0] * 7
    assert rows["2.weight"]["worst"] == rows["2.weight"]["aggregate_used"] == 0


def test_shares_that_are_not_finite_are_told_too() -> None:
    actual = gradients()
    actual["2.weight"][0, 1] = math.nan
    entry = judged(actual, gradients())
    row = entry["per_parameter"][2]
    assert row["parameter"] == "2.weight"
    assert row["quantiles"][-1] == row["worst"] == math.inf
    assert row["quantiles"][3] == 0
    assert json.loads(to_json(entry))["per_parameter"][2]["worst"] is None


@DTYPES
def test_budget_used_is_the_share_of_the_elements_budget(dtype: str) -> None:
    actual = gradients(dtype)
    actual["0.bias"][2] += 0.5 * ALLOWED
    entry = judged(actual, gradients(dtype))
    assert entry["passed"] is True
    assert entry["worst_budget_used"] == pytest.approx(0.5, abs=0.02)
    assert (entry["worst_at"]["parameter"], entry["worst_at"]["index"]) == ("0.bias", [2])
    assert entry["max_ulp"] >= 1
    actual["0.bias"][2] += 0.6 * ALLOWED
    entry = judged(actual, gradients(dtype))
    assert entry["passed"] is False
    assert entry["worst_budget_used"] == pytest.approx(1.1, abs=0.02)
    assert float.fromhex(entry["worst_at"]["actual"]) == float(actual["0.bias"][2])
    assert float.fromhex(entry["worst_at"]["expected"]) == float(gradients(dtype)["0.bias"][2])
    assert entry["worst_at"]["budget"] == pytest.approx(ALLOWED)


@DTYPES
@pytest.mark.parametrize("name", ["0.weight", "0.bias", "2.weight", "2.bias"])
@pytest.mark.parametrize("factor", [1 + 1e-3, 1 - 1e-4, -1.0, 0.0, 2.0])
def test_a_factor_in_one_gradient_is_found(name: str, factor: float, dtype: str) -> None:
    actual = gradients(dtype)
    actual[name] = (actual[name] * factor).astype(dtype)
    entry = judged(actual, gradients(dtype))
    assert entry["passed"] is False
    assert entry["worst_budget_used"] > 1
    assert entry["worst_at"]["parameter"] == name


@DTYPES
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("side", ["actual", "expected", "both", "all", "opposite"])
def test_values_that_are_not_finite(value: float, side: str, dtype: str) -> None:
    actual, expected = gradients(dtype), gradients(dtype)
    if side != "expected":
        actual["2.weight"][0, 1] = value
    if side != "actual":
        expected["2.weight"][0, 1] = 1.0 if side == "actual" else value
    if side == "opposite":
        expected["2.weight"][0, 1] = math.inf if value != math.inf else -math.inf
        if value == -math.inf:
            expected["2.weight"][0, 1] = math.nan
    own = budgets(dtype)
    if side == "all":  # the judge, too
        own["2.weight"].value[0, 1] = value
    entry = judged(actual, expected, budgets=own)
    assert entry["passed"] is (side == "all")
    assert ("judge" in entry["worst_at"]) is (side == "both")
    if side != "all":
        assert (entry["worst_at"]["parameter"], entry["worst_at"]["index"]) == ("2.weight", [0, 1])
        assert json.loads(to_json(entry))["worst_budget_used"] is None
    # A defect elsewhere is not hidden by a value that agrees.
    actual["0.bias"][0] *= 1.01
    assert judged(actual, expected, budgets=own)["passed"] is False


def test_a_finite_difference_beside_values_that_are_not_is_found() -> None:
    actual, expected = gradients(), gradients()
    actual["2.weight"][0, 1] = expected["2.weight"][0, 1] = math.inf
    actual["2.weight"][0, 2] *= 1.01
    own = budgets()
    own["2.weight"].value[0, 1] = math.inf
    entry = judged(actual, expected, budgets=own)
    assert entry["passed"] is False
    assert entry["worst_at"]["index"] == [0, 2]


@pytest.mark.parametrize("unknown", [math.nan, math.inf])
def test_a_budget_that_is_not_finite_judges_nothing_and_says_so(unknown: float) -> None:
    deviation = np.full(4, DEVIATION)
    deviation[1] = unknown
    own = budgets("float32", **{"0_bias": {"deviation": deviation}})
    actual = gradients()
    actual["0.bias"][1] += 100
    entry = judged(actual, gradients(), budgets=own)
    assert (entry["passed"], entry["unlimited"]) == (True, 1)
    actual["0.bias"][2] += 100
    assert judged(actual, gradients(), budgets=own)["passed"] is False
    actual = gradients()
    actual["0.bias"][1] = math.nan
    assert judged(actual, gradients(), budgets=own)["passed"] is False


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_where_the_order_of_summation_may_overflow_nothing_is_judged(value: float) -> None:
    slack = np.array([0, math.inf, 0, 0])
    own = budgets("float32", **{"0_bias": {"slack": slack}})
    actual = gradients()
    actual["0.bias"][1] = value
    entry = judged(actual, gradients(), budgets=own)
    assert (entry["passed"], entry["unlimited"], entry["worst_budget_used"]) == (True, 1, 0)
    actual["0.bias"][2] = value
    entry = judged(actual, gradients(), budgets=own)
    assert (entry["passed"], entry["worst_at"]["index"]) == (False, [2])


def test_the_first_failure_is_of_what_is_out_of_its_budget() -> None:
    """Of a tensor as a whole, where no element is; of an element, where one is."""
    actual = gradients("float64")
    actual["0.bias"] += 0.8 * ALLOWED
    actual["2.weight"][0, 1] += 0.9 * ALLOWED
    found = compare(actual, gradients("float64"), budgets("float64"))
    assert found.worst_used < 1 < found.aggregate_used
    tally = Tally()
    tally.add(3, ({"gradients": found}, 0))
    first = tally.entry()["first_failure"]
    assert (first["epoch"], first["of"], first["parameter"]) == (3, "gradients", "0.bias")
    assert first["bias"] == pytest.approx(0.8 * ALLOWED)
    actual["2.weight"][0, 1] += ALLOWED
    tally = Tally()
    tally.add(0, ({"gradients": compare(actual, gradients("float64"), budgets("float64"))}, 0))
    first = tally.entry()["first_failure"]
    assert (first["parameter"], first["index"]) == ("2.weight", [0, 1])


def test_all_zero_tensors() -> None:
    zeros = {name: np.zeros_like(value) for name, value in gradients().items()}
    exact = {n: Budget(v, np.zeros(v.shape), None, {}) for n, v in zeros.items()}
    assert judged(zeros, zeros, budgets=exact)["passed"] is True
    assert judged({n: -v for n, v in zeros.items()}, zeros, budgets=exact)["passed"] is True
    tiny = {**zeros, "0.bias": np.full(4, 1e-30, np.float32)}
    assert judged(tiny, zeros, budgets=exact)["passed"] is False
    assert judged(zeros, tiny, budgets=exact)["passed"] is False
    # What underflow may lose is not counted.
    subnormal = {**zeros, "0.bias": np.full(4, 1e-40, np.float32)}
    assert judged(subnormal, zeros, budgets=exact)["passed"] is True


def test_all_nan_tensors_agree_with_themselves_alone() -> None:
    nan = {name: np.full_like(value, math.nan) for name, value in gradients().items()}
    own = {n: budget._replace(value=nan[n]) for n, budget in budgets("float32").items()}
    assert judged(nan, nan, budgets=own)["passed"] is True
    assert judged(nan, nan)["passed"] is False, "the judge has numbers there: both are wrong"
    assert judged(gradients(), nan)["passed"] is False
    assert judged(nan, gradients())["passed"] is False


def beside_an_overflow(due: float) -> dict[str, Budget]:
    """Budgets of an element that is infinite, or `due` within a hundredth, as sums are ordered."""
    limit = 1e-2 * abs(due) if math.isfinite(due) else 0.0
    finite = np.array([due]), np.array([limit / (Z * math.sqrt(2))])
    value = np.array([np.inf], np.float32)
    return {"w": Budget(value, np.array([np.inf]), np.array([np.inf]), {}, finite)}


@pytest.mark.parametrize("due", [3e38, -1e37, 1e39, math.inf, math.nan])
@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan, 0.0, 3.4e38, 3.01e38, -1e37])
def test_beside_an_overflow_an_element_is_not_finite_or_what_it_is_without(
    value: float, due: float
) -> None:
    ours, theirs = ({"w": np.array([x], np.float32)} for x in (value, math.nan))
    own = beside_an_overflow(due)
    found = judged(ours, theirs, budgets=own)
    right = not math.isfinite(value) or abs(value - due) <= 1e-2 * abs(due) < math.inf
    assert found["passed"] is right
    if not right:
        at = found["worst_at"]
        assert (at["wrong"], at["judge"]) == ("actual", due.hex())
        assert judged(theirs, ours, budgets=own)["worst_at"]["wrong"] == "expected"
        assert judged(ours, ours, budgets=own)["worst_at"]["wrong"] == "both"
    unknown = {"w": own["w"]._replace(finite=None)}
    assert judged(ours, theirs, budgets=unknown)["passed"] is True


def test_what_overflows_may_be_finite_with_more_bits() -> None:
    own = {"w": beside_an_overflow(3e38)["w"]._replace(slack=None)}
    inf = {"w": np.array([np.inf], np.float32)}
    for value, right in ((math.inf, True), (3e38, True), (0.0, False), (math.nan, False)):
        ours = {"w": np.array([value], np.float32)}
        assert judged(ours, inf, budgets=own)["passed"] is right


@pytest.mark.parametrize("change", ["missing", "extra", "transposed", "dtype", "flat"])
def test_gradients_that_do_not_correspond_are_refused(change: str) -> None:
    with pytest.raises(
        ValueError,
        match=r"[24]\.weight.*(float32 \[1, 4\]|2\.bias)$",
    ):
        judged(changed(gradients(), change), gradients())


# ---- kinks in gradients ---------------------------------------------------------------------

SHIFT = {
    "2_weight": {"shifts": {7: np.array([[0.1, 0, -0.2, 0]])}},
    "0_bias": {"shifts": {7: np.array([0, 0.3, 0, 0]), 9: np.array([0, 0, 0, 0.5])}},
}


def moved(choices: dict[int, float]) -> dict[str, Array]:
    """Gradients of an engine that chose otherwise at these kinks."""
    actual = gradients("float64")
    for name, change in SHIFT.items():
        for number, shift in change["shifts"].items():
            actual[name.replace("_", ".")] += choices.get(number, 0) * shift
    return actual


@pytest.mark.parametrize("choices", [{7: 1}, {9: -1}, {7: 1, 9: -1}, {7: -1, 9: 1}])
def test_the_other_choice_at_a_kink_passes(choices: dict[int, float]) -> None:
    own = budgets("float64", **SHIFT)
    ours = moved({number: 1 for number, side in choices.items() if side == 1})
    theirs = moved({number: 1 for number, side in choices.items() if side == -1})
    entry = judged(ours, theirs, budgets=own)
    assert (entry["passed"], entry["choices"]) == (True, len(choices))
    if -1 in choices.values():  # what neither the one derivative nor the other gives
        assert judged(moved(choices), gradients("float64"), budgets=own)["passed"] is False
        assert judged(gradients("float64"), moved(choices), budgets=own)["passed"] is False
    assert entry["worst_budget_used"] < 1e-3
    assert judged(moved(choices), gradients("float64"))["passed"] is False


def test_a_choice_is_made_as_a_whole() -> None:
    own = budgets("float64", **SHIFT)
    half = moved({7: 1})
    half["0.bias"] = gradients("float64")["0.bias"]  # as if the choice had only half its effects
    assert judged(half, gradients("float64"), budgets=own)["passed"] is False
    # Twice the effect is no choice either.
    assert judged(moved({7: 2}), gradients("float64"), budgets=own)["passed"] is False


@pytest.mark.parametrize("theirs", [0, 1, 2])
@pytest.mark.parametrize("ours", [-1, -0.1, 0, 1, 2, 2.1, 3])
def test_what_two_like_kinks_change_is_between_nothing_and_all(ours: float, theirs: int) -> None:
    """Two equal samples at a kink: which of them chose otherwise cannot be told."""
    once = np.array([[0.1, 0, -0.2, 0]])
    own = budgets("float64", **{"2_weight": {"shifts": {7: once, 9: once}}})
    sides = [gradients("float64"), gradients("float64")]
    for side, times in zip(sides, (ours, theirs), strict=True):
        side["2.weight"] += times * once
    assert judged(*sides, budgets=own)["passed"] is (0 <= ours <= 2)
    assert judged(*sides[::-1], budgets=own)["passed"] is (0 <= ours <= 2)
    assert judged(*sides)["passed"] is (ours == theirs)


@pytest.mark.parametrize(("times", "passes"), [(-1, False), (0, True), (1, True), (2, False)])
def test_nor_is_a_kink_that_changes_little_an_excuse(times: int, passes: bool) -> None:
    own = budgets("float64", **{"2_weight": {"shifts": {7: np.array([[3 * ALLOWED, 0, 0, 0]])}}})
    actual = gradients("float64")
    actual["2.weight"][0, 0] += times * 3 * ALLOWED
    assert judged(actual, gradients("float64"), budgets=own)["passed"] is passes


def test_a_defect_beside_the_other_choice_is_found() -> None:
    actual = moved({7: 1})
    actual["0.bias"][1] += 3 * ALLOWED
    entry = judged(actual, gradients("float64"), budgets=budgets("float64", **SHIFT))
    assert (entry["passed"], entry["choices"]) == (False, 1)
    assert (entry["worst_at"]["parameter"], entry["worst_at"]["index"]) == ("0.bias", [1])


def test_slack_is_allowed_where_it_is_and_nowhere_else() -> None:
    own = budgets("float64", **{"2_weight": {"slack": np.array([[0, 0.01, 0, 0]])}})
    for index, passes in ((1, True), (2, False)):
        actual = gradients("float64")
        actual["2.weight"][0, index] -= 0.009
        assert judged(actual, gradients("float64"), budgets=own)["passed"] is passes


# ---- tensors as a whole ---------------------------------------------------------------------


@pytest.mark.parametrize("defect", ["scale", "bias"])
def test_what_is_common_to_a_tensor_is_found_below_every_elements_budget(defect: str) -> None:
    rng = np.random.default_rng(1)
    expected = {"w": rng.standard_normal((50, 40))}
    own = {"w": Budget(expected["w"], np.full((50, 40), DEVIATION), None, {})}
    noise = rng.standard_normal((50, 40)) * DEVIATION
    assert check_gradients({"w": expected["w"] + noise}, expected, own, 0)["passed"] is True
    size = 6 * DEVIATION
    common = size * (expected["w"].clip(-1, 1) if defect == "scale" else 1)
    entry = check_gradients({"w": expected["w"] + common}, expected, own, 0)
    assert entry["worst_budget_used"] < 1
    assert entry["aggregate_used"] > 1
    assert entry["passed"] is False
    assert entry["aggregate_at"]["parameter"] == "w"
    assert entry["aggregate_at"][defect] == pytest.approx(size, rel=0.5)


@DTYPES
def test_ulps_are_counted(dtype: str) -> None:
    kind = np.dtype(dtype).type
    one = kind(1)
    up, down = np.nextafter(one, kind(2)), np.nextafter(one, kind(0))
    tiny = np.nextafter(kind(0), one)
    cases = [(one, one, 0), (up, one, 1), (up, down, 2), (kind(2), one, 2 ** np.finfo(kind).nmant)]
    cases += [(tiny, -tiny, 2), (kind(0), -kind(0), 0), (tiny, kind(-0.0), 1)]
    for actual, expected, distance in cases:
        for a, b in ((actual, expected), (-actual, -expected), (expected, actual)):
            assert ulp_distance(np.array([a]), np.array([b])).tolist() == [distance]
    nan = np.array([math.nan], dtype)
    assert ulp_distance(nan, nan.copy()).tolist() == [0]


# ---- final MSE ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("actual", "expected", "difference"),
    [
        (2.0, 2.0, 0.0),
        (2.2, 2.0, 0.1),
        (1.0, 2.0, 0.5),
        (0.0, 0.0, 0.0),
        (1.0, 0.0, math.inf),
        (math.nan, 1.0, math.nan),
        (1.0, math.nan, math.nan),
        (math.nan, math.nan, math.nan),
        (math.inf, 1.0, math.inf),
    ],
)
def test_final_mse_is_shown_and_not_judged(
    actual: float, expected: float, difference: float
) -> None:
    assert check_final_mse(actual, expected) == {
        "passed": None,
        "actual": actual,
        "expected": expected,
        "relative_difference": pytest.approx(difference, nan_ok=True),
        "expected_spread": None,
    }


# ---- state ----------------------------------------------------------------------------------


X = np.linspace(-2, 2, 9).reshape(-1, 1)
CURVE, LEVEL = X**2, np.full((9, 1), 3.0)
CHAIN = Task((1, 2, 1), 1, 0.1, 9, 0, "float64", "cpu")
PARAMETERS = {
    "0.weight": np.array([[1.0], [-1.0]]),
    "0.bias": np.zeros(2),
    "2.weight": np.array([[1.0, 1.0]]),
    "2.bias": np.zeros(1),
}


def state_of(prediction: Array | None = None, y: Array = CURVE, **parameters: Array) -> str:
    """The state of a run on X that ended like this."""
    prediction = np.abs(X) if prediction is None else prediction
    run = Run(np.array([2.0, 1.0]), 0.5, prediction, PARAMETERS | parameters)
    return state(run, Start(X, y, {}), CHAIN)


def bump(height: float) -> Array:
    """A prediction that is level but for one point."""
    return np.where(X == 0, LEVEL + height, LEVEL)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("where", ["losses", "final_mse", "prediction", "0.bias", "2.weight"])
def test_anything_that_is_not_finite_has_diverged(where: str, value: float) -> None:
    parameters = {name: parameter.copy() for name, parameter in PARAMETERS.items()}
    arrays = {"losses": np.array([2.0, 1.0]), "final_mse": np.array([0.5]), "prediction": abs(X)}
    (arrays | parameters)[where].flat[-1] = value
    losses, final_mse, prediction = arrays.values()
    run = Run(losses, final_mse.item(), prediction, parameters)
    assert state(run, Start(X, CURVE, {}), CHAIN) == "diverged"


def test_trained_and_dead_networks() -> None:
    spread = CURVE.std()
    assert state_of() == "trained"
    assert state_of(LEVEL) == "dead"
    assert state_of(bump(1.0)) == "trained"
    assert state_of(bump(0.0009 * spread)) == "dead"
    assert state_of(bump(0.0011 * spread)) == "trained"
    assert state_of(LEVEL, LEVEL) == "trained"  # so are the targets
    # A silent layer; half of one; the last layer, which has no ReLU.
    assert state_of(**{"0.weight": np.zeros((2, 1)), "0.bias": np.array([-1.0, -2.0])}) == "dead"
    assert state_of(**{"0.bias": np.array([0.0, -9.0])}) == "trained"
    assert state_of(**{"2.weight": np.array([[-1.0, -1.0]])}) == "trained"


# ---- the table of verdicts ------------------------------------------------------------------


def test_the_schemas_know_the_verdicts_of_the_table() -> None:
    architecture = schema("report")["properties"]["architectures"]["items"]
    while "$ref" in architecture:
        architecture = schema("report")["$defs"][architecture["$ref"].rpartition("/")[2]]
    assert VERDICTS.keys() <= architecture["properties"].keys() & set(architecture["required"])
    assert schema("case")["properties"]["kind"]["enum"] == [*VERDICTS, PROBE]


def test_every_verdict_has_a_turn_of_its_own() -> None:
    assert sorted(verdict.turn for verdict in VERDICTS.values()) == list(range(len(VERDICTS)))

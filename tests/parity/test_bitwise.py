"""bitwise: two independent reproducible implementations, and what tells them apart."""

import hashlib
from dataclasses import replace
from typing import Any

import hypothesis
import numpy as np
import pytest
import torch
from hypothesis import strategies as st

from minigrad.arrays.reproducible import ReproducibleArray
from parity.checks.bits import canonical
from parity.checks.bitwise import check_bitwise, digest, state_after
from parity.engines.process import EngineProcess
from parity.engines.protocol import Array, Task
from parity.engines.registry import factory
from parity.engines.trainer import Trainer
from parity.processes import Side, trainer
from tests.minigrad.operations import FUZZ
from tests.parity.fake_engines import drawn
from tests.parity.unfaithful_engines import (
    ANOTHER_BIT,
    ANOTHER_BUFFER,
    ANOTHER_LOSS,
    LATE,
    PAYLOAD,
    PLAIN_PRODUCTS,
    SOUND,
    UNREPEATABLE,
    UnfaithfulEngine,
)
from torch_impl.differentiable import matmul
from torch_impl.slices import total

OURS, THEIRS = "minigrad-reproducible", "torch-reproducible"
DEADLY, DIVERGING = 0.2, 1.0
"""Learning rates at which `rightfit` dies at seed 1, and is soon not finite at seed 0."""

RIGHTFIT, OVERFIT = (1, 16, 16, 1), (1, 64, 64, 512, 512, 64, 1)

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")


# ---- the arithmetic -----------------------------------------------------------------------------


def same(actual: Any, expected: torch.Tensor) -> bool:
    ours = np.array(actual)
    theirs = expected.numpy()
    assert ours.shape == theirs.shape
    assert ours.dtype == theirs.dtype
    pair = canonical({"a": ours})["a"], canonical({"a": theirs})["a"]
    return pair[0].tobytes() == pair[1].tobytes()


@st.composite
def matrices(draw: st.DrawFn, dtype: Any, rows: int, columns: int) -> Array:
    """Matrices of wild scales, with rows and columns far apart and special values here and there.

    The scales follow from a few drawn numbers, so that large matrices are cheap.
    """
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    info = np.finfo(dtype)
    lowest, highest = int(info.minexp) - 30, int(info.maxexp)
    span = draw(st.sampled_from([0, 1, 6, 9, 12, 22, 60, highest]))
    center = draw(st.one_of(st.integers(-10, 10), st.integers(lowest, highest)))
    exponents = center + sum(
        rng.integers(-span, span + 1, shape) for shape in ((rows, 1), (1, columns))
    )
    with np.errstate(all="ignore"):
        x = np.ldexp(rng.standard_normal((rows, columns)), exponents).astype(dtype)
    special = draw(
        st.sets(st.sampled_from(["zero", "zero row", "subnormal", "inf", "-inf", "nan"]))
    )
    values = {
        "zero": -0.0,
        "subnormal": float(info.smallest_subnormal) * 3,
        "inf": np.inf,
        "-inf": -np.inf,
        "nan": np.nan,
    }
    if not draw(st.booleans()):
        x[~np.isfinite(x)] = 1
    for name in special:
        if name == "zero row":
            x[rng.integers(0, rows)] = 0
        else:
            x[rng.random(x.shape) < draw(st.sampled_from([0.02, 0.3, 1]))] = values[name]
    return x


SIDES = st.sampled_from([1, 2, 3, 5, 16, 17, 33, 64, 65, 130])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@hypothesis.settings(max_examples=1_000 if FUZZ else 50, deadline=None)
@hypothesis.given(data=st.data())
def test_both_sides_compute_the_same_bits(dtype: Any, data: st.DataObject) -> None:
    n, k, m = (data.draw(SIDES) for _ in range(3))
    x, y = data.draw(matrices(dtype, n, k)), data.draw(matrices(dtype, k, m))
    a, b = ReproducibleArray(x), ReproducibleArray(y)
    s, t = torch.tensor(x), torch.tensor(y)
    assert same(np.matmul(a, b), matmul(s, t))
    assert same(np.matmul(b.mT, a.mT), matmul(t.mT, s.mT))
    assert same(np.matmul(a.mT, a), matmul(s.mT, s))
    for axis in (0, 1, None, (0, 1)):
        assert same(np.add.reduce(a, axis=axis), total(s, axis))
    assert same(np.maximum(0, a), s.relu())
    if a.shape == b.shape:
        assert same(np.add(a, b), s + t)
        assert same(np.subtract(a, b), s - t)
        assert same(np.multiply(a, b), s * t)
        assert same(np.divide(a, b), s / t)


def test_both_sides_sum_the_same_bits_in_more_dimensions() -> None:
    x = np.ldexp(np.random.default_rng(0).standard_normal((4, 3, 5)), 30 * np.arange(5))
    for axes in ((0,), (1,), (2,), (0, 2), (1, 2), (0, 1, 2)):
        for keepdims in (False, True):
            actual = np.add.reduce(ReproducibleArray(x), axis=axes, keepdims=keepdims)
            assert same(actual, total(torch.tensor(x), axes, keepdims))


def test_square_roots_would_differ() -> None:
    """Which is why they are refused: torch's, on a CPU, is not always correctly rounded."""
    x = np.random.default_rng(0).random(10_000, np.float32)
    roots = np.sqrt(x.astype(np.float64)).astype(np.float32)
    assert np.array_equal(np.sqrt(x), roots)
    with pytest.raises(TypeError, match="refuses"):
        np.sqrt(ReproducibleArray(x))


# ---- training -----------------------------------------------------------------------------------


def task(
    sizes: tuple[int, ...],
    epochs: int,
    seed: int,
    dtype: str = "float32",
    rate: float = 0.01,
    momentum: float = 0.0,
) -> Task:
    return Task(sizes, epochs, rate, 100, seed, dtype, "cpu", momentum)


@pytest.mark.dear
def test_both_engines_train_through_the_same_bits(torch_twin: EngineProcess[Trainer]) -> None:
    """Dead and diverged runs included; and on several threads."""
    finals, ends = [], []
    with trainer(Side("actual", factory(OURS))) as ours:
        for what in (
            task(RIGHTFIT, 500, 0),
            task(RIGHTFIT, 100, 1, "float64"),
            task((1, 1, 1), 100, 2),
            task(OVERFIT, 3, 0),
            task(RIGHTFIT, 40, 3, momentum=0.9),
            task(RIGHTFIT, 40, 3, "float64", momentum=0.9),
            task(RIGHTFIT, 30, 1, rate=DEADLY),
            task(RIGHTFIT, 30, 0, rate=DIVERGING),
        ):
            epochs = what.epochs
            start = drawn(torch_twin, what)
            seen: list[tuple[int, int]] = []
            result = check_bitwise(
                ours, torch_twin, what, start, lambda *done, seen=seen: seen.append(done)
            )
            finals.append(result["final_mse_hex"]["actual"])
            ends.append(result["state"])
            assert result == {
                "passed": True,
                "epochs": epochs,
                "first_difference": None,
                "final_mse_hex": {"actual": finals[-1], "expected": finals[-1]},
                "state": {"actual": ends[-1]["actual"], "expected": ends[-1]["actual"]},
            }
            assert seen == [(i + 1, 2 * epochs) for i in range(2 * epochs)]
    assert len(set(finals)) == len(finals)
    assert finals[-1] == "nan"
    assert [end["actual"] for end in ends][-3:] == ["trained", "dead", "diverged"]


def test_momentum_buffers_are_given_and_compared(torch_twin: EngineProcess[Trainer]) -> None:
    with trainer(Side("actual", factory(OURS))) as ours:
        what = task(RIGHTFIT, 6, 0, momentum=0.9)
        start = drawn(torch_twin, what)
        buffers = {name: np.full_like(value, 0.1) for name, value in start.parameters.items()}
        fresh = check_bitwise(ours, torch_twin, what, start)
        given = check_bitwise(ours, torch_twin, what, start, momentum_buffers=buffers)
        assert fresh["passed"] is given["passed"] is True
        assert fresh["final_mse_hex"] != given["final_mse_hex"]
        state = torch_twin.call(state_after, what, start, buffers, 0)
        _, gradients = torch_twin.call(Trainer.loss_and_gradients, what, start)
        for name, value in gradients.items():
            left = state[f"{name}.momentum_buffer"]
            np.testing.assert_allclose(left, 0.9 * buffers[name] + value, rtol=1e-5)
    with trainer(Side("actual", UnfaithfulEngine)) as ours:
        found = check_bitwise(ours, torch_twin, replace(what, seed=ANOTHER_BUFFER), start)
        difference = found["first_difference"]
        assert (difference["epoch"], difference["index"]) == (4, [2])
        assert difference["parameter"] == "0.bias.momentum_buffer"


def test_planted_defects_are_caught_and_located(torch_twin: EngineProcess[Trainer]) -> None:
    with trainer(Side("actual", UnfaithfulEngine)) as ours:

        def checked(seed: int, epochs: int = 6, rate: float = 0.01) -> dict[str, Any]:
            what = task(RIGHTFIT, epochs, seed, rate=rate)
            return check_bitwise(ours, torch_twin, what, drawn(torch_twin, what))

        # First, while the engine has trained only once.
        unrepeatable = checked(UNREPEATABLE)
        assert not unrepeatable["passed"]
        assert unrepeatable["first_difference"]["epoch"] == 0
        assert "not repeatable" in unrepeatable["first_difference"]["problem"]

        assert checked(SOUND)["passed"]
        diverged = checked(PAYLOAD, 30, DIVERGING)
        assert diverged["passed"]
        assert diverged["final_mse_hex"] == {"actual": "nan", "expected": "nan"}
        assert diverged["state"] == {"actual": "diverged", "expected": "diverged"}

        bit = checked(ANOTHER_BIT)
        assert not bit["passed"]
        found = bit["first_difference"]
        assert (found["epoch"], found["parameter"], found["index"]) == (2, "2.weight", [1, 3])
        assert float.fromhex(found["actual"]) > float.fromhex(found["expected"])
        assert bit["final_mse_hex"]["actual"] == bit["final_mse_hex"]["expected"]

        loss = checked(ANOTHER_LOSS)["first_difference"]
        assert (loss["epoch"], loss["parameter"], loss["index"]) == (3, "loss", [])

        late = checked(LATE)
        assert not late["passed"]
        assert late["first_difference"] is None
        assert late["final_mse_hex"]["actual"] != late["final_mse_hex"]["expected"]

        plain = checked(PLAIN_PRODUCTS)  # the last: the defect stays
        assert not plain["passed"]
        assert plain["first_difference"]["epoch"] < 6


def test_plain_engines_do_not_pass(torch_process: EngineProcess[Trainer]) -> None:
    with trainer(Side("minigrad", factory("minigrad"))) as ours:
        what = task(RIGHTFIT, 20, 0)
        assert not check_bitwise(ours, torch_process, what, drawn(torch_process, what))["passed"]


def test_a_digest_depends_on_every_bit() -> None:
    state = {"loss": np.array(1.0), "weight": np.array([[1.0, -0.0]], np.float32)}
    expected = digest(state)
    assert digest({name: value.copy() for name, value in state.items()}) == expected
    others = [
        {**state, "loss": np.array(np.nextafter(1.0, 2))},
        {**state, "weight": np.array([[1.0, 0.0]], np.float32)},
        {**state, "weight": np.array([[1.0], [-0.0]], np.float32)},
        {"loss": state["loss"], "bias": state["weight"]},
        {**state, "weight": np.array([[1.0, np.nan]], np.float32)},
        {**state, "weight": np.array([[1.0, np.inf]], np.float32)},
    ]
    found = [expected, *map(digest, others)]
    assert len(set(found)) == len(found)
    assert len(expected) == hashlib.sha1(usedforsecurity=False).digest_size


def test_a_digest_ignores_how_a_nan_is_written() -> None:
    payload = np.array([0x7FC00001, 0xFFC00000, 0x7F800001], np.uint32).view(np.float32)
    assert np.isnan(payload).all()
    assert digest({"x": payload}) == digest({"x": np.full(3, np.nan, np.float32)})
    large = np.full(3, np.finfo(np.float32).max)  # whose sum is infinite
    assert digest({"x": large}) != digest({"x": np.full(3, np.inf, np.float32)})

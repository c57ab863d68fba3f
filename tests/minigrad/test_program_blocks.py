"""Large arrays in blocks, rows written out, sums of rows: the same bits in less time and memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad as torch
from minigrad.capture.passes import blocks, choices, reuse, sums
from minigrad.capture.program import Buffer, Call, Program, View, contiguous
from tests.minigrad.operations import FUZZ
from tests.minigrad.test_program import F32, SPECIAL, names, results

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")


def new(*shape: int, dtype: Any = F32) -> View:
    return contiguous(Buffer(int(np.prod(shape)) * dtype.itemsize), dtype, shape)


def same(before: Program, after: Program, seed: int = 0) -> bool:
    rng = np.random.default_rng(seed)
    inputs = [
        np.where(rng.random(v.shape) < 0.05, rng.choice(SPECIAL, v.shape), rng.normal(size=v.shape))
        for v in before.inputs
    ]
    return results(after, [], inputs) == results(before, [], inputs)


def layer(rows: int, width: int) -> Program:
    """A bias is added, ReLU, and a sum with what was there before."""
    x, bias, added, relu, out = new(rows, width), new(width), *(new(rows, width) for _ in range(3))
    calls = (
        Call(np.add, (x, bias), added),
        Call(np.maximum, (0, added), relu),
        Call(np.subtract, (relu, x), out),
    )
    return Program(calls, (x, bias), (out,))


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "BLOCK", 8)
    monkeypatch.setattr(blocks, "ROWS", 8)


@pytest.mark.usefixtures("small_blocks")
@settings(deadline=None, max_examples=100)
@given(st.integers(1, 30), st.integers(1, 20), st.integers(0, 2**32))
def test_a_layer_in_blocks(rows: int, width: int, seed: int) -> None:
    program = layer(rows, width)
    lowered = choices.compare_with_zeros(blocks.work_in_blocks(program))
    assert same(program, lowered, seed)
    assert same(program, reuse.reuse_memory(lowered), seed)
    if rows > 1 and width > 1:
        assert names(lowered)[0] == "copyto"
        length = max(8 // width, 1) * width
        assert len(lowered.calls) == 1 + 3 * -(-rows * width // length)


@pytest.mark.usefixtures("small_blocks")
def test_what_is_within_a_run_takes_up_a_block() -> None:
    def memory(program: Program) -> int:
        views = {call.out.buffer for call in program.calls if call.out.buffer.memory is None}
        return sum(buffer.size for buffer in views)

    x, y, out = new(1000), new(1000), new(1000)
    chain = [Call(np.square, (x,), y), Call(np.add, (y, x), out)]
    lowered = blocks.work_in_blocks(Program(tuple(chain), (x,), (out,)))
    assert memory(lowered) <= 4000 + 4 * 16
    assert same(Program(tuple(chain), (x,), (out,)), lowered)
    # A result that something else reads later is kept in full.
    total = new()
    later = Call(np.add.reduce, (y,), total)
    program = Program((*chain, later), (x,), (out, total))
    lowered = blocks.work_in_blocks(program)
    assert memory(lowered) == 8004
    assert same(program, lowered)


@pytest.mark.usefixtures("small_blocks")
def test_a_result_takes_the_place_of_what_is_read_for_the_last_time() -> None:
    x, first, second, out = new(100), new(100), new(100), new()
    calls = (
        Call(np.negative, (x,), first),
        Call(np.add.reduce, (first,), out),
        Call(np.square, (first,), second),
        Call(np.add.reduce, (second,), out),
    )
    program = Program(calls, (x,), (out,))
    lowered = blocks.work_in_blocks(program)
    assert lowered.calls[-1].inputs[0].buffer is first.buffer
    assert same(program, lowered)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize(
    "shifted", ["read after write", "write after read", "write after write", "within"]
)
@pytest.mark.parametrize("offsets", [(0, 4), (4, 0)])
def test_shifted_elements_are_not_reordered(shifted: str, offsets: tuple[int, int]) -> None:
    buffer = Buffer(4 * 101)
    here, there = (contiguous(buffer, F32, (100,), offset) for offset in offsets)
    x, y = new(100), new(100)
    calls = {
        "read after write": (Call(np.square, (x,), there), Call(np.negative, (here,), y)),
        "write after read": (Call(np.negative, (here,), y), Call(np.square, (y,), there)),
        "write after write": (Call(np.square, (x,), there), Call(np.negative, (x,), here)),
        "within": (Call(np.negative, (here,), there), Call(np.square, (x,), y)),
    }[shifted]
    start = contiguous(buffer, F32, (101,))
    written = [call.out for call in calls if call.out is y]  # else it is as it was allocated
    program = Program(calls, (x, start), (*written, start))
    assert same(program, blocks.work_in_blocks(program))


@pytest.mark.usefixtures("small_blocks")
def test_planted_reordering_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "_is_same_place", lambda x, y: True)
    with pytest.raises(AssertionError):
        test_shifted_elements_are_not_reordered("read after write", (4, 0))


@pytest.mark.usefixtures("small_blocks")
def test_a_row_that_is_written_in_between_is_written_out_anew() -> None:
    row, x, y, z = new(5), new(4, 5), new(4, 5), new(4, 5)
    calls = (
        Call(np.add, (x, row), y),
        Call(np.square, (row,), row),
        Call(np.add, (x, row), z),
    )
    program = Program(calls, (row, x), (y, z))
    assert same(program, blocks.work_in_blocks(program))


def one_element_beside_all(x: Any) -> Any:
    g = x.exp()
    return (g - g[0]).exp()


def one_element_before_all(x: Any) -> Any:
    g = x.exp()
    return x * g[5] + g


def one_row_beside_all(x: Any) -> Any:
    g = x.exp().reshape(-1, 100)
    return (g - g[3]).exp()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    "function", [one_element_beside_all, one_element_before_all, one_row_beside_all]
)
def test_no_block_overwrites_what_a_later_one_reads(function: Any, dtype: Any) -> None:
    torch.manual_seed(0)
    x = torch.randn(200_000, dtype=dtype)
    expected = function(x).numpy().tobytes()
    step = torch.capture(lambda: function(x))
    for _ in range(4):
        assert step().numpy().tobytes() == expected


# ---- sums -------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=200)
@given(
    st.integers(32, 300) | st.integers(5000, 20000),
    st.integers(2, 128),
    st.sampled_from([np.dtype(np.float32), np.dtype(np.float64)]),
    st.integers(0, 2**32),
    st.sampled_from([0.0, 0.001, 0.1, 1.0]),
)
def test_sums_of_rows_have_the_same_bits(
    rows: int, width: int, dtype: Any, seed: int, special: float
) -> None:
    width = min(width, 500_000 // rows)
    x, out = new(rows, width, dtype=dtype), new(width, dtype=dtype)
    program = Program((Call(np.add.reduce, (x,), out, {"axis": 0}),), (x,), (out,))
    lowered = sums.use_einsum(program)
    assert names(lowered) == ["einsum"]
    rng = np.random.default_rng(seed)
    values = np.where(
        rng.random(x.shape) < special, rng.choice(SPECIAL, x.shape), rng.normal(size=x.shape)
    )
    inputs = [values.astype(dtype)]
    assert results(lowered, [], inputs) == results(program, [], inputs)
    assert results(lowered, [], [-np.zeros(x.shape)]) == results(program, [], [-np.zeros(x.shape)])


def test_other_sums_are_left_to_reduce() -> None:
    strided = View(Buffer(4 * 64 * 8), F32, (64, 4), (4, 256))
    integers = np.dtype(np.int64)
    for x, out, options in (
        (new(64, 1), new(1), {"axis": 0}),
        (new(64, 256), new(256), {"axis": 0}),
        (new(4, 4), new(4), {"axis": 0}),
        (new(64, 4), new(64), {"axis": 1}),
        (new(64, 4), new(1, 4), {"axis": 0, "keepdims": True}),
        (strided, new(4), {"axis": 0}),
        (new(64, 4, dtype=integers), new(4, dtype=integers), {"axis": 0}),
    ):
        program = Program((Call(np.add.reduce, (x,), out, options),), (x,), (out,))
        assert names(sums.use_einsum(program)) == ["add.reduce"]


# ---- whole steps ------------------------------------------------------------------------------


def random_step(choose: Any, x: Any) -> list[Any]:
    """Element by element operations on (6, 4) tensors, their rows and single elements, and sums."""
    values = [x, x * 0.5]
    for _ in range(choose(12) + 1):
        a, b = values[choose(len(values))], values[choose(len(values))]
        operation = choose(9)
        if operation < 3:
            values.append((a + b, a - b, a * b)[operation])
        elif operation == 3:
            values.append(a - b[choose(6)])
        elif operation == 4:
            values.append(a * b[choose(6), choose(4)])
        elif operation == 5:
            values.append(a.relu())
        elif operation == 6:
            values.append(a.t().reshape(6, 4) + b)
        elif operation == 7:
            values.append(a + b.sum(0))
        else:
            values.append(b.clone().sub_(a))
    return values[-3:]


@pytest.mark.usefixtures("small_blocks")
@settings(deadline=None, max_examples=2000 if FUZZ else 100)
@given(st.integers(0, 2**32), st.sampled_from([torch.float32, torch.float64]))
def test_steps_in_blocks_have_the_bits_of_eager_ones(seed: int, dtype: Any) -> None:
    torch.manual_seed(seed)
    x = torch.randn(6, 4, dtype=dtype)

    def step() -> list[Any]:
        rng = np.random.default_rng(seed)
        return random_step(lambda n: int(rng.integers(n)), x)

    expected = [value.numpy().tobytes() for value in step()]
    captured = torch.capture(step)
    for _ in range(3):
        assert [value.numpy().tobytes() for value in captured()] == expected

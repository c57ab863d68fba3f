"""Programs and their passes: each preserves every bit, and does what it is there for."""

import itertools
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad as torch
from minigrad import Tensor, nn, optim
from minigrad.architectures import build
from minigrad.capture import memory as of_programs
from minigrad.capture.codegen import runner
from minigrad.capture.memory import ALIGNMENT, Memory, _Shared, placement
from minigrad.capture.passes import PASSES, choices, constants, flat, lower, products
from minigrad.capture.program import Buffer, Call, Program, View, contiguous, views_in
from minigrad.capture.record import record

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")


def reuse_memory(program: Program) -> Program:
    return program.moved(placement(program))


ALL = (*PASSES, reuse_memory)
SPECIAL = [0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, -np.nan, 1e-40, -1e-40, 3e38]
F32 = np.dtype(np.float32)


def training(sizes: tuple[int, ...], activation: Any = nn.ReLU, **options: Any) -> Any:
    """A training step of such a network, after its first run."""
    torch.manual_seed(0)
    model = build(sizes)
    if activation is not nn.ReLU:
        model = nn.Sequential(*(activation() if isinstance(m, nn.ReLU) else m for m in model))
    optimizer = optim.SGD(model.parameters(), **{"lr": 0.01, **options})

    def step(x: Tensor, y: Tensor) -> Any:
        optimizer.zero_grad()
        prediction = model(x)
        loss = nn.functional.mse_loss(prediction, y)
        loss.backward()
        optimizer.step()
        return prediction, loss

    x = np.linspace(-5, 5, 40, dtype=np.float32).reshape(-1, 1)
    arguments = torch.from_numpy(x), torch.from_numpy(x**2)
    step(*arguments)
    return step, arguments


def maxima(x: Tensor, y: Tensor) -> Any:
    z = x.requires_grad_()
    chosen = torch.where(x > y, torch.maximum(x * y, y), torch.minimum(x, y).abs())
    total = chosen.sum(0).amax() + chosen[1:5, 0].mean() + (x.t() @ x).sum() + x[[0, 0]].sum()
    total.backward()
    return total, z.grad, torch.cat([x, y]).T.reshape(-1), x**3 + 2**y


def program_of(step: Any, arguments: Any) -> Program:
    return record(step, lambda tensors: step(*tensors), list(arguments)).recorded.program


STEPS: dict[str, Callable[[], Any]] = {
    "plain": lambda: training((1, 8, 8, 1)),
    "momentum": lambda: training((1, 8, 8, 1), momentum=0.9),
    "everything": lambda: training(
        (1, 20, 20, 1), momentum=0.9, nesterov=True, weight_decay=0.1, maximize=True
    ),
    "tanh": lambda: training((1, 4, 4, 1), nn.Tanh, momentum=0.5, dampening=0.5),
    "sigmoid": lambda: training((1, 3, 1), nn.Sigmoid),
    "maxima": lambda: (maxima, training((1, 1))[1]),
}


def results(
    program: Program, values: list[Any], inputs: list[Any], exact: bool = False
) -> list[bytes]:
    """What a program computes from such tensors and arguments, in memory of its own.

    Unless it is to be exact, all NaNs count as equal: of two NaNs, NumPy's sums and products return
    either, by where in an array they stand and whether the result takes an operand's place.
    """
    memory = Memory()
    for view, value in zip(program.tensors, values, strict=True):
        np.copyto(memory.array(view), value)
    for view, value in zip(program.inputs, inputs, strict=True):
        np.copyto(memory.array(view), value)
    runner(program, memory)()
    arrays = [memory.array(view) for view in (*program.outputs, *program.tensors)]
    return [
        (x if exact else np.where(np.isnan(x), x.dtype.type(np.nan), x)).tobytes() for x in arrays
    ]


def starts(program: Program, seed: int) -> tuple[list[Any], list[Any]]:
    """Values for a program's tensors and arguments, some of them special."""
    rng = np.random.default_rng(seed)

    def values(view: View) -> Any:
        drawn = rng.normal(size=view.shape).astype(view.dtype)
        return np.where(rng.random(view.shape) < 0.02 * seed, rng.choice(SPECIAL), drawn)

    return list(map(values, program.tensors)), list(map(values, program.inputs))


def check(before: Program, after: Program) -> None:
    for seed in range(4):
        tensors, inputs = starts(before, seed)
        assert results(after, tensors, inputs) == results(before, tensors, inputs), seed


@pytest.mark.parametrize("name", STEPS)
def test_every_pass_preserves_every_bit(name: str) -> None:
    program = program_of(*STEPS[name]())
    for run in ALL:
        lowered = run(program)
        check(program, lowered)
        program = lowered


@pytest.mark.parametrize("run", ALL, ids=lambda run: run.__name__)
def test_every_pass_preserves_every_bit_by_itself(run: Any) -> None:
    program = program_of(*STEPS["everything"]())
    check(program, run(program))
    assert run(Program(())) == Program(())


class SamePlace(_Shared):
    """Room for each result of the steps here, one over the other."""

    def take(self, size: int) -> int:
        self.buffer.size = 2**16
        return 0

    def give_back(self, start: int, size: int) -> None:
        pass


class TooMuch(_Shared):
    """Takes more back than it has given."""

    def give_back(self, start: int, size: int) -> None:
        super().give_back(start, size + ALIGNMENT)


DEFECTS: dict[str, tuple[Any, str, Any, Any]] = {
    "order": (flat._Order, "_can_move", lambda self, i, to: True, flat.join_calls),
    "inexact": (
        choices,
        "_choice",
        lambda call, results: [
            call._replace(function=np.multiply, inputs=(call.inputs[2], call.inputs[0]))
        ],
        choices.choose_by_bits,
    ),
    "same place": (of_programs, "_Shared", SamePlace, reuse_memory),
    "too much": (of_programs, "_Shared", TooMuch, reuse_memory),
    "lost": (Program, "lasting", lambda self: set(), choices.remove_dead_calls),
}


@pytest.mark.parametrize("name", DEFECTS)
def test_planted_defects_are_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    place, attribute, defect, run = DEFECTS[name]
    program = program_of(*STEPS["everything"]())
    if run is reuse_memory:
        program = lower(program)
    monkeypatch.setattr(place, attribute, defect)
    with pytest.raises((AssertionError, ValueError)):
        check(program, run(program))


# ---- what they are there for ------------------------------------------------------------------


def names(program: Program) -> list[str]:
    return [call.name() for call in program.calls]


def test_constants() -> None:
    before = program_of(*STEPS["plain"]())
    after = constants.fold_constants(before)
    # What the sweep begins with, and the factor 2/n: zeros, + ones, times.
    assert len(before.calls) - len(after.calls) == 3


def test_dead_calls() -> None:
    def step(x: Tensor) -> Any:
        (x.exp() * 3).sum()
        return x * 2

    assert names(choices.remove_dead_calls(program_of(step, [torch.tensor([2.0])]))) == ["multiply"]


def test_numbers() -> None:
    program = constants.use_arrays(program_of(*STEPS["everything"]()))
    for call in program.calls:
        if isinstance(call.function, np.ufunc):
            assert all(isinstance(x, View) for x in call.inputs)


@pytest.mark.parametrize("options", [{}, {"momentum": 0.9}, {"momentum": 0.9, "nesterov": True}])
def test_an_optimizer_makes_as_many_calls_however_deep_the_network(options: Any) -> None:
    def calls_of_step(depth: int) -> int:
        step, arguments = training((1, *[4] * depth, 1), **options)
        captured = torch.capture(step)
        captured(*arguments)
        captured(*arguments)
        assert captured.program is not None
        return sum("optim/sgd.py" in call.source.rule_line for call in captured.program.calls)

    assert calls_of_step(2) == calls_of_step(15) <= 7


def test_intermediate_results_share_memory() -> None:
    program = lower(program_of(*training((1, 64, 64, 64, 64, 1))))
    placed = reuse_memory(program)

    def memory(p: Program) -> int:
        lasting = p.lasting()
        return sum(b.size for b in {c.out.buffer for c in p.calls} if b not in lasting)

    assert memory(placed) < 0.6 * memory(program)


def test_free_pieces_become_one() -> None:
    shared = _Shared()
    sizes = [1, ALIGNMENT, 1000, 64 * ALIGNMENT]
    starts = [shared.take(size) for size in sizes]
    assert starts == [0, ALIGNMENT, 2 * ALIGNMENT, 18 * ALIGNMENT]
    for i in (1, 3, 2, 0):
        shared.give_back(starts[i], sizes[i])
    assert shared.take(82 * ALIGNMENT) == 0
    assert shared.buffer.size == 82 * ALIGNMENT
    shared.give_back(0, 82 * ALIGNMENT)
    assert [shared.take(64), shared.take(100 * ALIGNMENT)] == [0, 64]  # it grows by 19 lines
    assert shared.buffer.size == 101 * ALIGNMENT


def test_a_large_result_takes_the_place_of_small_ones() -> None:
    # As the update of a large layer takes that of what the layers have computed.
    small = [contiguous(Buffer(4000), F32, (1000,)) for _ in range(4)]
    total, x = contiguous(Buffer(4), F32, ()), contiguous(Buffer(4000), F32, (1000,))
    w, large = (contiguous(Buffer(12000), F32, (3000,)) for _ in range(2))
    chain = [Call(np.exp, (a,), b) for a, b in pairwise([x, *small])]
    sums = [Call(np.add.reduce, (y,), total) for y in reversed(small)]
    calls = (*chain, *sums, Call(np.square, (w,), large), Call(np.subtract, (w, large), w))
    program = Program(calls, (x,), (total,), (w,))
    placed = reuse_memory(program)
    (shared,) = {call.out.buffer for call in placed.calls if call.out.buffer.name == "results"}
    assert shared.size == 4 * 4032
    check(program, placed)


def test_a_result_that_is_written_in_parts_gets_room_for_all() -> None:
    x, part, whole = (contiguous(Buffer(4 * n), F32, (n,)) for n in (2, 2, 4))
    first, second = contiguous(whole.buffer, F32, (2,)), contiguous(whole.buffer, F32, (2,), 8)
    program = Program(
        (
            Call(np.square, (x,), part),
            Call(np.negative, (part,), first),  # not over the square, where there is no room
            Call(np.square, (x,), second),
            Call(np.negative, (whole,), contiguous(Buffer(16), F32, (4,))),
        ),
        (x,),
    )
    result = program.calls[-1].out
    program = Program(program.calls, (x,), (result,))
    placed = reuse_memory(program)
    assert all(view.is_inside() for call in placed.calls for view in (*call.reads(), call.out))
    check(program, placed)


# ---- choices ----------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(3,), (7, 11), (40, 41)])
def test_choices_have_the_bits_of_where(dtype: Any, shape: Any) -> None:
    rng = np.random.default_rng(0)

    def step(x: Tensor, g: Tensor, mask: Tensor) -> Any:
        relu = x.relu()
        relu.backward(g)
        kept = [torch.where(mask, g, 0), torch.where(mask, 0, g), torch.where(mask, 0.0, g)]
        return relu, *kept, torch.where(mask, -0.0, g), torch.where(x <= 0, 0, g)

    x, g = (torch.from_numpy(rng.choice(SPECIAL, shape).astype(dtype)) for _ in range(2))
    mask = torch.from_numpy(rng.random(shape) < 0.5)
    program = program_of(step, [x.requires_grad_(), g, mask])
    lowered = choices.compare_with_zeros(choices.choose_by_bits(program))
    assert names(lowered).count("where") < names(program).count("where")
    for _ in range(20):
        inputs = [rng.choice(SPECIAL, shape).astype(dtype) for _ in range(2)]
        inputs.append(rng.random(shape) < 0.5)
        assert results(lowered, [], inputs, True) == results(program, [], inputs, True)


# ---- products ---------------------------------------------------------------------------------

SIZES = [1, 2, 3, 4, 5, 8, 15, 16, 17, 33, 64, 100]
ONE = "a matrix of a single element"


def new(*shape: int, dtype: Any = F32) -> View:
    return contiguous(Buffer(int(np.prod(shape)) * dtype.itemsize), dtype, shape)


def matrix(rows: int, columns: int, layout: str) -> View:
    if layout == "transposed":
        view = matrix(columns, rows, "dense")
        return view._replace(shape=view.shape[::-1], strides=view.strides[::-1])
    gap = 3 if layout == "with gaps" else 0
    view = contiguous(Buffer(4 * rows * (columns + gap)), F32, (rows, columns + gap))
    return view._replace(shape=(rows, columns))


def single(function: Any, *inputs: View, out: View, **options: Any) -> Program:
    """Return a program of one call."""
    return Program((Call(function, inputs, out, options),), inputs, (out,))


def product(x: View, y: View) -> Program:
    """Return a program that multiplies two matrices, or stacks of them."""
    stack = np.broadcast_shapes(x.shape[:-2], y.shape[:-2])
    return single(np.matmul, x, y, out=new(*stack, x.shape[-2], y.shape[-1], dtype=x.dtype))


@settings(deadline=None, max_examples=300)
@given(
    st.tuples(*[st.sampled_from(SIZES)] * 3),
    st.tuples(*[st.sampled_from(["dense", "transposed"])] * 2),
    st.integers(0, 2**32),
    st.sampled_from([0.0, 0.1, 1.0]),
)
def test_products_have_the_same_bits(sizes: Any, layouts: Any, seed: int, special: float) -> None:
    n, k, m = sizes
    program = product(matrix(n, k, layouts[0]), matrix(k, m, layouts[1]))
    lowered = products.use_dot(program)
    assert names(lowered) == ["matmul" if 1 in (n * k, k * m) else "dot"]
    rng = np.random.default_rng(seed)
    inputs = []
    for view in program.inputs:
        drawn = rng.normal(size=view.shape)
        inputs.append(
            np.where(rng.random(view.shape) < special, rng.choice([0.0, -0.0, 2.0]), drawn)
        )
    assert results(lowered, [], inputs) == results(program, [], inputs)


@pytest.mark.parametrize("n", SIZES)
def test_a_matrix_times_its_own_transpose(n: int) -> None:
    x = matrix(n, 7, "dense")
    transposed = x._replace(shape=x.shape[::-1], strides=x.strides[::-1])
    values = [np.random.default_rng(n).normal(size=x.shape)] * 2
    for a, b in ((x, transposed), (transposed, x)):
        program = product(a, b)
        program = Program(program.calls, (x,), program.outputs)
        assert results(products.use_dot(program), [], values[:1]) == results(
            program, [], values[:1]
        )


@pytest.mark.parametrize("layouts", list(itertools.product(["dense", "with gaps"], repeat=2)))
def test_matrices_with_gaps_are_left_to_matmul(layouts: Any) -> None:
    program = product(matrix(3, 4, layouts[0]), matrix(4, 5, layouts[1]))
    assert names(products.use_dot(program)) == ["matmul" if "with gaps" in layouts else "dot"]


@pytest.mark.parametrize("dtype", [np.dtype(np.float32), np.dtype(np.float64)])
@pytest.mark.parametrize(
    ("x_shape", "y_shape"),
    [((5, 1), (3, 1, 4)), ((3, 5, 1), (3, 1, 4)), ((3, 5, 1), (1, 4)), ((2, 3, 5, 1), (3, 1, 1))],
)
def test_products_of_a_single_term_have_the_same_bits(
    x_shape: tuple[int, ...], y_shape: tuple[int, ...], dtype: Any
) -> None:
    x, y = new(*x_shape, dtype=dtype), new(*y_shape, dtype=dtype)
    program = product(x, y)
    lowered = products.use_multiply(program)
    assert names(lowered) == ["multiply", "add"]
    rng = np.random.default_rng(0)
    smallest = np.finfo(dtype).smallest_subnormal
    special = [0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, smallest, -smallest]
    with np.errstate(all="ignore"):
        for _ in range(50):
            values = [rng.choice(special, view.shape).astype(dtype) for view in (x, y)]
            assert results(lowered, [], values) == results(program, [], values)
        without = lowered.with_calls([lowered.calls[0]])
        assert results(without, [], values) != results(program, [], values)


@settings(deadline=None, max_examples=100)
@given(st.integers(2, 70), st.data())
def test_columns_times_a_single_element_have_the_same_bits(rows: int, data: st.DataObject) -> None:
    program = product(new(rows, 1), new(1, 1))
    lowered = constants.use_arrays(products.use_multiply(products.use_dot(program)))
    assert names(lowered) == ["multiply", "add"]
    elements = st.floats(width=32) | st.sampled_from(SPECIAL[:7])
    for_x = data.draw(st.lists(elements, min_size=rows, max_size=rows))
    inputs = [np.array(for_x, np.float32).reshape(rows, 1), np.float32(data.draw(elements))]
    assert results(lowered, [], inputs) == results(program, [], inputs)


@pytest.mark.parametrize(("x_shape", "y_shape"), [((5, 2), (3, 2, 4)), ((1, 1), (1, 1, 1))])
def test_other_products_are_left_to_matmul(x_shape: Any, y_shape: Any) -> None:
    program = product(new(*x_shape), new(*y_shape))
    assert names(products.use_multiply(program)) == ["matmul"]


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
    x = new(rows, width, dtype=dtype)
    program = single(np.add.reduce, x, out=new(width, dtype=dtype), axis=0)
    lowered = products.use_einsum(program)
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
    for program in (
        single(np.add.reduce, new(64, 1), out=new(1), axis=0),
        single(np.add.reduce, new(64, 256), out=new(256), axis=0),
        single(np.add.reduce, new(4, 4), out=new(4), axis=0),
        single(np.add.reduce, new(64, 4), out=new(64), axis=1),
        single(np.add.reduce, new(64, 4), out=new(1, 4), axis=0, keepdims=True),
        single(np.add.reduce, strided, out=new(4), axis=0),
        single(np.add.reduce, new(64, 4, dtype=integers), out=new(4, dtype=integers), axis=0),
    ):
        assert names(products.use_einsum(program)) == ["add.reduce"]


# ---- views ------------------------------------------------------------------------------------


def test_arrays_of_views() -> None:
    memory = Memory()
    buffer = Buffer(48)
    whole = contiguous(buffer, F32, (3, 4))
    memory.array(whole)[...] = np.arange(12).reshape(3, 4)
    assert memory.array(whole) is memory.array(whole)
    assert memory.array(whole).__array_interface__["data"][0] % 64 == 0
    transposed = View(buffer, F32, (4, 3), (4, 16))
    assert memory.array(transposed).tolist() == memory.array(whole).T.tolist()
    assert memory.array(View(buffer, F32, (2,), (-4,), 8)).tolist() == [2.0, 1.0]
    assert memory.array(View(buffer, F32, (2, 2), (0, 4), 4)).tolist() == [[1.0, 2.0]] * 2
    read_only = np.ones(3, F32)
    read_only.flags.writeable = False
    outside = contiguous(Buffer(12, read_only), F32, (3,))
    assert not memory.array(outside).flags.writeable
    assert np.shares_memory(memory.array(outside), read_only)


def test_views_know_how_they_lie() -> None:
    buffer = Buffer(24)
    assert contiguous(buffer, F32, (2, 3)).is_whole()
    assert View(buffer, F32, (2, 1, 3), (12, 99, 4)).is_whole()
    assert not View(buffer, F32, (3, 2), (4, 12)).is_contiguous()
    assert contiguous(buffer, F32, (3,)).is_contiguous()
    assert not contiguous(buffer, F32, (3,)).is_whole()
    assert list(views_in([contiguous(buffer, F32, ()), ([1, contiguous(buffer, F32, (2,))],)])) == [
        contiguous(buffer, F32, ()),
        contiguous(buffer, F32, (2,)),
    ]


# ---- the text ---------------------------------------------------------------------------------


def test_explain(capsys: pytest.CaptureFixture[str]) -> None:
    model = build((1, 4, 1))
    optimizer = optim.SGD(model.parameters(), lr=0.01, momentum=0.9)

    @torch.capture
    def step(x: Tensor) -> Tensor:
        optimizer.zero_grad()
        loss: Tensor = model(x).square().mean()
        loss.backward()
        optimizer.step()
        return loss

    for _ in range(2):
        step(torch.zeros(10, 1))
    program = step.program
    assert program is not None
    program.explain()
    text = capsys.readouterr().out
    lines = text.splitlines()
    assert f"{len(program.calls)} calls" in lines[0]
    for expected in (
        "loss: Tensor = model(x).square().mean()",
        "linear = np.dot(argument_0, model.0.weight.T)",
        "out=model.2.weight.grad)",
        "[model.0.weight.momentum … model.2.bias.momentum], momentum",
        "# (10, 4) float32  80 flop  216 B  linear, minigrad/ops/linalg.py:",
        "returns copies of",
    ):
        assert expected in text, f"{expected!r} is missing in\n{text}"

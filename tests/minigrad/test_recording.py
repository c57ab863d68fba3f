"""Recording arrays: every operation, recorded and replayed on other values, in every bit."""

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import minigrad
from minigrad.arrays.conversion import reproducible
from minigrad.capture.call_sites import CaptureError
from minigrad.capture.recording_array import Recording, RecordingArray
from minigrad.vocabulary import ATTRIBUTES, FUNCTIONS, REDUCTIONS, UFUNCS
from tests.minigrad.agreement import minigrad_tensors
from tests.minigrad.operations import FUZZ, OPERATIONS, Array, Operation, seeds
from tests.minigrad.random_graphs import random_graph

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning", "ignore::UserWarning")

few = settings(
    max_examples=300 if FUZZ else 3,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
SPECIAL = [0.0, -0.0, np.inf, -np.inf, np.nan, 1e-40]


def bits(tensor: Any) -> Any:
    """The bits of a result. All NaNs count as equal: NumPy returns either of two, with its sign."""
    if tensor is None:
        return None
    array = np.asarray(tensor._array)
    if array.dtype.kind == "f":
        array = np.where(np.isnan(array), np.array(np.nan, array.dtype), array)
    return array.dtype.str, array.shape, array.tobytes()


def outcome(step: Any, leaves: Any) -> Any:
    """What a step returns, or the class of what it raises: not every layout has every view."""
    try:
        return list(map(bits, step(*leaves)))
    except (RuntimeError, IndexError, TypeError, ValueError) as error:
        return type(error)


def laid_out(x: Array, layout: int) -> Array:
    """The same values, in one of several layouts in memory."""
    if layout == 1 and x.ndim:
        return np.asfortranarray(x)
    if layout == 2 and x.ndim:
        return np.repeat(x, 2, axis=-1)[..., ::2]
    return x


@pytest.mark.parametrize("convert", [lambda x: x, reproducible], ids=["ndarray", "reproducible"])
@pytest.mark.parametrize("operation", OPERATIONS, ids=repr)
@few
@given(data=st.data(), seed=seeds, dtype=st.sampled_from(["float32", "float64"]))
def test_replays(operation: Operation, convert: Any, data: Any, seed: int, dtype: str) -> None:
    shapes, options = operation.case(data)
    layouts = data.draw(st.lists(st.integers(0, 2), min_size=len(shapes), max_size=len(shapes)))

    def step(*inputs: Any) -> Any:
        out = operation.call(minigrad, *inputs, **options)
        grad_out = minigrad.ones_like(out) * 0.7
        first = minigrad.autograd.grad(
            out, inputs, grad_out.requires_grad_(), create_graph=True, allow_unused=True
        )
        total: Any = sum((g * g).sum() for g in first if g is not None)
        second: Any = ()
        if getattr(total, "requires_grad", False):
            second = minigrad.autograd.grad(total, inputs, allow_unused=True)
        return [out, *first, *second]

    captured = minigrad.capture(step)
    rng = np.random.default_rng(seed)
    for call in range(3):
        arrays = operation.arrays(shapes, dtype, seed + call)
        for x in arrays if call == 2 else []:
            x[rng.random(x.shape) < 0.3] = rng.choice(SPECIAL)
        tensors = [convert(x) for x in minigrad_tensors(list(map(laid_out, arrays, layouts)))]
        assert outcome(captured, tensors) == outcome(step, tensors), f"call {call}"


@pytest.mark.parametrize("chunk", range(4))
def test_random_graphs(chunk: int) -> None:
    """Broadcasting, shared values, views and changes in place, and what of it is refused."""
    for seed in range(chunk, 1000 if FUZZ else 40, 4):
        graph = random_graph(seed)

        def step(*leaves: Any, graph: Any = graph) -> Any:
            values = [x * 1 for x in leaves]
            for run in graph.steps:
                run(minigrad, values)
            result = sum((v * v.detach().tanh() + v).mean() for v in values[-4:])
            first = minigrad.autograd.grad(result, leaves, create_graph=True, allow_unused=True)
            total: Any = sum((g.tanh() * g).sum() for g in first if g is not None)
            second: Any = ()
            if getattr(total, "requires_grad", False):
                second = minigrad.autograd.grad(total, leaves, allow_unused=True)
            return [*first, *second, *values]

        captured = minigrad.capture(step)
        for factor in (1.0, 0.5, -2.0):
            leaves = [minigrad.tensor(x * factor, requires_grad=True) for x in graph.leaves]
            actual, expected = outcome(captured, leaves), outcome(step, leaves)
            assert actual == expected, f"seed {seed}, {factor}: {'; '.join(graph.text)}"


def test_all_of_the_vocabulary() -> None:
    recording = Recording()
    x = recording.array(np.array([[1.0, 2.0], [3.0, 4.0]]))
    for ufunc in UFUNCS:
        result = ufunc(x, x) if ufunc.nin == 2 else ufunc(x)
        assert isinstance(result, RecordingArray)
        assert recording.calls[-1].function is ufunc
    for ufunc in REDUCTIONS:
        assert isinstance(ufunc.reduce(x, axis=0, keepdims=True), RecordingArray)
    calls: dict[Any, Any] = {
        np.astype: (x, np.float32),
        np.broadcast_to: (x, (2, 2, 2)),
        np.concatenate: ([x, x],),
        np.copy: (x,),
        np.reshape: (x.mT, (4,)),
        np.transpose: (x, (1, 0)),
        np.where: (np.greater(x, 2), x, 0),
        np.zeros_like: (x,),
    }
    assert set(calls) == FUNCTIONS
    for function, arguments in calls.items():
        assert isinstance(function(*arguments), RecordingArray)
    assert all(hasattr(x, name) for name in ATTRIBUTES)


def test_views_are_no_calls() -> None:
    recording = Recording()
    x = recording.array(np.array([np.arange(4.0)] * 3))
    views = [x.mT, x[1:, ::-1], np.reshape(x, (4, 3)), np.transpose(x, (1, 0)), x[0]]
    views += [np.broadcast_to(x, (2, 3, 4)), np.reshape(x[:, :2], (3, 1, 2))]
    assert recording.calls == []
    for view in views:
        assert isinstance(view, RecordingArray)
        assert view.base is x
        assert view._buffer is x._buffer
        assert np.shares_memory(view._array, x._array)
    copied: Any = np.reshape(x.mT, (12,))
    assert copied.base is not x
    assert [call.function for call in recording.calls] == [np.copyto]


def test_memory_from_outside_is_known_by_its_owner() -> None:
    recording = Recording()
    owner = np.arange(6.0)
    x, y = recording.array(owner[2:]), recording.array(owner.reshape(2, 3))
    assert x._buffer is y._buffer
    assert x._view().offset == 16
    computed: Any = np.add(x, 1)
    assert computed._buffer is not x._buffer


def test_values_are_refused() -> None:
    x: Any = Recording().array(np.array(1.0))
    for read in (float, int, bool, np.asarray, list, lambda x: x.item(), lambda x: x.tolist()):
        with pytest.raises(CaptureError, match="asks for values"):
            read(x)
    assert "shape ()" in repr(x)


def test_other_calls_are_refused() -> None:
    x: Any = Recording().array(np.array([1.0, 2.0]))
    for call in (
        lambda: np.sinh(x),
        lambda: np.sum(x),
        lambda: np.multiply.reduce(x),
        lambda: np.add.accumulate(x),
        lambda: np.add(x, x, where=np.array([True, False])),
        lambda: np.maximum.at(x, 0, 1.0),
    ):
        with pytest.raises(CaptureError, match=r"not in minigrad\.vocabulary"):
            call()


def test_operands_of_unlike_layouts_replay() -> None:
    """The result lies in memory as the first operand does; its sum is added in that order."""
    x, y = np.random.default_rng(0).standard_normal((2, 5, 7)).astype(np.float32)
    leaves = [minigrad.from_numpy(np.asfortranarray(x)), minigrad.from_numpy(y)]

    def step(x: Any, y: Any) -> Any:
        return [(x - y).exp().sum(), x - y]

    captured = minigrad.capture(step)
    for _ in range(2):
        assert outcome(captured, leaves) == outcome(step, leaves)
        assert captured(*leaves)[1].stride() == step(*leaves)[1].stride()

"""minigrad prints tensors as torch does: the same arrays and options through both printers."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray

from minigrad.tensor.printing import set_printoptions, tensor_text
from tests.minigrad.operations import FUZZ

Array = NDArray[Any]
FLOATS = ["float32", "float64", "float16"]
DTYPES = [*FLOATS, "int64", "int32", "bool"]


def float32(values: Any) -> Array:
    return np.array(values, np.float32)


def float64(values: Any) -> Array:
    return np.array(values, np.float64)


@contextmanager
def options(*calls: dict[str, Any]) -> Iterator[None]:
    """Both engines after the same calls of set_printoptions, and the defaults afterwards."""
    try:
        for arguments in calls:
            set_printoptions(**arguments)
            torch.set_printoptions(**arguments)  # type: ignore[no-untyped-call]
        yield
    finally:
        set_printoptions(profile="default")
        torch.set_printoptions(profile="default")  # type: ignore[no-untyped-call]


def torch_text(array: Array, requires_grad: bool = False, grad_fn: str | None = None) -> str:
    """The text torch prints, with a gradient function of any name, here an identity's."""
    tensor = torch.tensor(array.copy())  # torch takes no negative strides
    if grad_fn is not None:
        identity = type(
            grad_fn.removesuffix("Backward"),
            (torch.autograd.Function,),
            {"forward": staticmethod(lambda _, x: x.clone())},
        )
        tensor = identity.apply(tensor.requires_grad_())  # type: ignore[attr-defined]
    elif requires_grad:
        tensor.requires_grad_()
    return repr(tensor)


def agree(array: Array, **suffixes: Any) -> None:
    expected = torch_text(array, **suffixes)
    assert tensor_text(array, **suffixes) == expected, f"torch prints:\n{expected}"


def elements(draw: st.DrawFn, dtype: str) -> st.SearchStrategy[Any]:
    """What the elements of one tensor are drawn from, chosen so that each mode is reached."""
    kind = np.dtype(dtype).kind
    if kind == "b":
        return st.booleans()
    if kind == "i":
        end = draw(st.sampled_from([9, 10**5, np.iinfo(dtype).max]))
        return st.integers(-end - 1, end)
    # One scale a tensor, with values to either side of the limits at which the mode changes.
    scale = draw(st.sampled_from([1.0, 1e-4, 1e-3, 0.1, 10.0, 1e3, 1e5, 1e8, 1e-40, 1e200]))
    special = [0.0, -0.0, np.nan, np.inf, -np.inf]
    return draw(
        st.sampled_from(
            [
                st.floats(width=np.dtype(dtype).itemsize * 8),  # type: ignore[arg-type]
                st.floats(-1, 1).map(lambda x: x * scale),
                st.integers(-9, 9).map(lambda x: x * scale),
                st.integers(-9, 9) | st.sampled_from(special),
                st.floats(-1, 1).map(lambda x: x * scale) | st.sampled_from(special),
                st.sampled_from([1.0, 1000.0, 1000.5, 1001.0, 1e8, 1e8 + 8, 1e-4, 9.9999e-5]),
            ]
        )
    )


@st.composite
def tensors(draw: st.DrawFn) -> Array:
    """Arrays of 0 to 4 dimensions, of every dtype, contiguous or not, up to 3000 elements."""
    dtype = draw(st.sampled_from(DTYPES))
    shape = draw(
        array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=8)
        | st.sampled_from([(30,), (1000,), (1001,), (7, 150), (200, 5), (2, 3, 200), (9, 8, 7, 6)])
    )
    element = elements(draw, dtype)
    if np.prod(shape) <= 64:
        with np.errstate(over="ignore"):
            array = draw(arrays(object, shape, elements=element)).astype(dtype)
    else:  # from few elements drawn, many: drawing each is slow
        with np.errstate(over="ignore"):
            few = np.array(draw(st.lists(element, min_size=1, max_size=20)), object).astype(dtype)
        generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
        array = generator.choice(few, shape)
    return draw(st.sampled_from([array, array.T, np.flip(array)]))


PRINT_OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "precision": st.none() | st.integers(0, 12),
        "threshold": st.none() | st.sampled_from([0, 1, 5, 10.5, 100, float("inf")]),
        "edgeitems": st.none() | st.integers(0, 4),
        "linewidth": st.none() | st.integers(0, 140),
        "profile": st.sampled_from([None, "default", "short", "full"]),
        "sci_mode": st.sampled_from([None, True, False]),
    },
)
NAMES = st.integers(1, 60).map(lambda length: "N" * length + "Backward")


@settings(max_examples=2_000 if FUZZ else 200, deadline=None)
@given(tensors(), st.lists(PRINT_OPTIONS, max_size=3), st.booleans(), st.none() | NAMES)
@example(np.zeros((2, 0, 3), bool), [], False, None)
@example(np.arange(20), [{"threshold": 5, "edgeitems": 0}], False, None)
@example(np.arange(20).reshape(4, 5), [{"threshold": 5, "edgeitems": 0}], False, None)
@example(np.arange(5), [{"precision": 2, "sci_mode": True}, {"linewidth": 4}], False, None)
def test_prints_as_torch(
    array: Array, calls: list[dict[str, Any]], requires_grad: bool, grad_fn: str | None
) -> None:
    floating = array.dtype.name in FLOATS
    with options(*calls):
        agree(
            array,
            requires_grad=requires_grad and floating,
            grad_fn=grad_fn if floating else None,
        )


def test_lines_end_where_torch_ends_them() -> None:
    """Rows and suffixes, on the lines that they just fit on and the lines just too short."""
    for linewidth in range(100):
        with options({"linewidth": linewidth}):
            for shape in [(), (3,), (0, 2), (20,), (2, 3)]:
                for array in (np.full(shape, 1.5), np.full(shape, 1.5, np.float32)):
                    agree(array)
                    agree(array, requires_grad=True)
                    agree(array, grad_fn="IdentityBackward")


@pytest.mark.parametrize("sci_mode", [None, True, False])
def test_notation_changes_where_torch_changes_it(sci_mode: bool | None) -> None:
    with options({"sci_mode": sci_mode}):
        agree(float32([1e-4]))  # less than 1e-4 in float64
        agree(float64([1e-4]))
        agree(float64([0.5, 500.0]))  # the largest ratio without an exponent
        agree(float64([0.5, 500.5]))
        agree(float64([5e-324, 1.7e308]))
        agree(np.array([6e-8, 65504], np.float16))
        for values in ([1e8], [1e8 + 8], [2**-149, 1], [3.4e38]):
            agree(float32(values))
        for value in (0, 2.5, 12345):
            agree(float32([value, np.nan, -np.inf, -0.0]))


@pytest.mark.parametrize("edgeitems", range(5))
def test_only_what_a_summary_shows_decides_its_width(edgeitems: int) -> None:
    with options({"threshold": 0, "edgeitems": edgeitems}):
        for shape in [(), (6,), (7,), (8,), (6, 7), (7, 6), (1, 7, 8)]:
            for wide in np.ndindex(shape):
                array = np.ones(shape, np.int64)
                array[wide] = 10**6
                agree(array)


@pytest.mark.parametrize("profile", ["default", "short", "full"])
@pytest.mark.parametrize("further", [{}, {"precision": 1}, {"edgeitems": 1}, {"sci_mode": True}])
def test_profiles(profile: str, further: dict[str, Any]) -> None:
    before = {"precision": 6, "threshold": 5, "edgeitems": 4, "linewidth": 30, "sci_mode": True}
    with options(before, {"profile": profile} | further):
        agree(np.linspace(0, 1, 1001))


def test_summary_begins_beyond_a_thousand_elements() -> None:
    for count in (999, 1000, 1001):
        agree(np.arange(count))
        assert ("..." in tensor_text(np.arange(count))) == (count > 1000)


def test_texts_known_by_heart() -> None:
    """As a reader sees them; they do not depend on the torch that is installed."""
    assert tensor_text(float32([[1, 2.5]]), requires_grad=True) == (
        "tensor([[1.0000, 2.5000]], requires_grad=True)"
    )
    assert tensor_text(float32(3.2), grad_fn="MseLossBackward0") == (
        "tensor(3.2000, grad_fn=<MseLossBackward0>)"
    )
    assert tensor_text(np.array([1.0, 2.0])) == "tensor([1., 2.], dtype=torch.float64)"
    assert tensor_text(np.array([True, False])) == "tensor([ True, False])"
    assert tensor_text(np.zeros((0, 3), np.float32)) == "tensor([], size=(0, 3))"
    assert tensor_text(np.zeros(0, np.int64)) == "tensor([], dtype=torch.int64)"
    assert tensor_text(float32([1e-9, np.nan])) == "tensor([1.0000e-09,        nan])"
    assert tensor_text(np.arange(8).reshape(2, 2, 2)) == (
        "tensor([[[0, 1],\n         [2, 3]],\n\n        [[4, 5],\n         [6, 7]]])"
    )


def test_numpy_scalars_print_as_zero_dimensional_tensors() -> None:
    for array in (np.float32(-0.0), np.int64(7), np.bool_(True)):
        agree(np.asarray(array))
        assert tensor_text(array) == tensor_text(np.asarray(array))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("arguments", "kind", "words"),
    [
        ({"precision": -1}, ValueError, "precision is -1"),
        ({"edgeitems": -2}, ValueError, "edgeitems is -2"),
        ({"profile": "long"}, ValueError, "'long'; give one of 'default', 'short', 'full'"),
        ({"precision": "a"}, TypeError, "precision must be an int, not str"),
        ({"edgeitems": 2.5}, TypeError, "edgeitems must be an int, not float"),
        ({"threshold": "a"}, TypeError, "threshold must be a number, not str"),
    ],
)
def test_impossible_options_are_refused_and_change_nothing(
    arguments: dict[str, Any], kind: type[Exception], words: str
) -> None:
    with pytest.raises(kind, match=words):
        set_printoptions(linewidth=10, **arguments)
    agree(np.arange(100))

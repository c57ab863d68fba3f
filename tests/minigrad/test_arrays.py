"""Other array types: what they have in common, and tensors of them.

Changes in place are seen through views, as for plain arrays.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minigrad
from minigrad.arrays.budgeted import BudgetedArray
from minigrad.arrays.conversion import budgeted, reproducible
from minigrad.arrays.reproducible import ReproducibleArray
from minigrad.nn import Linear
from minigrad.tensor import Tensor

KINDS: dict[str, Callable[[Any], Any]] = {
    "plain": lambda value: value,
    "budgeted": budgeted,
    "reproducible": reproducible,
}
each_kind = pytest.mark.parametrize("kind", KINDS)

each_type = pytest.mark.parametrize("of_type", [BudgetedArray, ReproducibleArray])

VIEWS: list[Callable[[Tensor], Tensor]] = [
    lambda x: x,
    lambda x: x[:2],
    lambda x: x[1:][:1],
    lambda x: x.reshape(3, 1),
    lambda x: x.unsqueeze(0).mT,
    lambda x: x.detach(),
    lambda x: x.reshape(1, 3)[0],
]


def values(kind: str, *numbers: float) -> Tensor:
    tensor: Tensor = KINDS[kind](minigrad.tensor([float(number) for number in numbers]))
    return tensor


@each_kind
@pytest.mark.parametrize("view", VIEWS)
def test_a_saved_value_that_is_changed_through_a_view_is_noticed(kind: str, view: Any) -> None:
    x, y = values(kind, 1, 2, 3), values(kind, 4, 5, 6).requires_grad_()
    loss = (x * y).sum()
    view(x).zero_()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


@each_kind
@pytest.mark.parametrize("view", VIEWS)
def test_a_saved_view_whose_base_is_changed_is_noticed(kind: str, view: Any) -> None:
    x = values(kind, 1, 2, 3)
    part = view(x)
    weight = KINDS[kind](minigrad.ones(part.shape)).requires_grad_()
    loss = (part * weight).sum()
    x.zero_()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


@each_kind
def test_a_recorded_change_of_a_view_is_refused(kind: str) -> None:
    x = values(kind, 1, 2, 3).requires_grad_()
    y = x * 2
    part = y[:2]
    with pytest.raises(RuntimeError, match=r"mul_.*view.*base\[\.\.\.\]"):
        part.mul_(part)
    y.sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [2, 2, 2]


@each_kind
def test_a_view_is_outdated_by_a_recorded_change_of_its_base(kind: str) -> None:
    x = values(kind, 1, 2, 3).requires_grad_()
    y = x * 2
    part = y[:2]
    y.mul_(3)
    with pytest.raises(RuntimeError, match="before its tensor was changed"):
        part.sum()
    y[:2].sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [6, 6, 0]


@each_kind
def test_what_is_no_view_is_left_alone(kind: str) -> None:
    x = values(kind, 1, 2, 3).requires_grad_()
    y = x * 2
    copy, product = y[:2].clone(), y * y
    y.add_(1)
    copy.sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [2, 2, 0]
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        product.sum().backward()


@pytest.mark.parametrize(
    ("name", "convert"), [("budgeted", budgeted), ("reproducible", reproducible)]
)
def test_conversion(name: str, convert: Any) -> None:
    plain = minigrad.ones(2, requires_grad=True)
    copy = convert(plain)
    assert type(copy._array).__name__ == f"{name.capitalize()}Array"
    assert copy.requires_grad
    assert copy.is_leaf
    assert copy.tolist() == [1, 1]
    assert repr(copy) == repr(plain)
    with minigrad.no_grad():
        copy.zero_()
    assert plain.tolist() == [1, 1]
    layer = Linear(2, 3)
    before = list(layer.parameters())
    before[1].requires_grad_(False)
    assert convert(layer) is layer
    for parameter, old in zip(layer.parameters(), before, strict=True):
        assert parameter is old  # optimisers keep them
        assert type(parameter._array) is type(copy._array)
    assert [p.requires_grad for p in layer.parameters()] == [True, False]
    with pytest.raises(TypeError, match=f"{name}: expected a Module or a Tensor, not ndarray"):
        convert(np.ones(2))


@pytest.mark.parametrize("convert", [budgeted, reproducible])
def test_derivatives_are_arrays_of_the_same_type(convert: Any) -> None:
    """The gradient that `backward` starts with is, too; and so are second derivatives."""
    layer, x = convert(Linear(3, 3)), convert(minigrad.tensor([1.0, 2.0], requires_grad=True))
    layer(convert(minigrad.ones(4, 3))).mean().backward()
    (first,) = minigrad.autograd.grad((x * x * x).sum(), x, create_graph=True)
    (second,) = minigrad.autograd.grad(first.sum(), x)
    assert second.tolist() == [6.0, 12.0]
    for gradient in (*(p.grad for p in layer.parameters()), first, second):
        assert type(gradient._array) is type(x._array)


@each_type
def test_an_array_has_what_it_wraps(of_type: Any) -> None:
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    x = of_type(values)
    assert (x.dtype, x.ndim, x.shape, x.size, len(x)) == (np.float32, 2, (2, 3), 6, 2)
    assert x.base is values
    assert x.flags.c_contiguous
    assert not x.mT.flags.c_contiguous
    assert x.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert x[1, 2].item() == 5
    assert repr(x[0]) == f"{of_type.__name__}([0. 1. 2.])"
    assert np.any(x) == np.any(values)
    assert np.result_type(x, np.float64) == np.float64


@each_type
def test_the_values_cannot_be_changed_behind_its_back(of_type: Any) -> None:
    x = of_type(np.ones(2))
    with pytest.raises(ValueError, match="read-only"):
        np.asarray(x)[0] = 2
    np.array(x)[0] = 2  # a copy
    assert x.tolist() == [1, 1]


@each_type
@pytest.mark.parametrize(
    "call",
    [
        lambda x: np.sinh(x),
        lambda x: np.add(x, x, where=True),
        lambda x: np.multiply.reduce(x),
        lambda x: np.add.reduce(x, initial=1),
        lambda x: np.add.accumulate(x),
        lambda x: np.sum(x),
        lambda x: np.cumsum(x),
        lambda x: np.dot(x, x),
        lambda x: np.einsum("ij->i", x),
        lambda x: np.copyto(x, 2, where=False),
    ],
)
def test_calls_outside_the_vocabulary_are_refused(of_type: Any, call: Any) -> None:
    expected = f"a {of_type.__name__} knows the calls in minigrad.vocabulary only"
    with pytest.raises(TypeError, match=expected):
        call(of_type(np.ones((2, 2))))

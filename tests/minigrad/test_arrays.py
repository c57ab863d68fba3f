"""Tensors of other array types: changes in place are seen through views, as for plain arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minigrad
from minigrad.arrays.conversion import budgeted, reproducible
from minigrad.nn import Linear
from minigrad.tensor import Tensor

KINDS: dict[str, Callable[[Any], Any]] = {
    "plain": lambda value: value,
    "budgeted": budgeted,
    "reproducible": reproducible,
}
each_kind = pytest.mark.parametrize("kind", KINDS)

VIEWS: list[Callable[[Tensor], Tensor]] = [
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

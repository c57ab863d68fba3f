"""Memory layout, as `view` sees it: what torch can view in another shape, and nothing else."""

import itertools
import math
from typing import Any

import pytest
import torch

import minigrad
from tests.minigrad.sessions import parts

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")

LAYOUTS = {
    "contiguous": lambda x: x,
    "transposed": lambda x: x.permute(*range(x.ndim - 1, -1, -1)),
    "last axes exchanged": lambda x: x.mT,
    "rows first": lambda x: x.permute(1, 0, *range(2, x.ndim)),
    "every second": lambda x: x[..., ::2],
    "from the second": lambda x: x[1:],
    "one column": lambda x: x[..., 1:2],
    "one row": lambda x: x[:1],
    "none": lambda x: x[:0],
    "repeated in front": lambda x: x[:1].expand(3, *x.shape[1:]),
    "repeated behind": lambda x: x[..., :1].expand(*x.shape[:-1], 4),
    "with a new axis": lambda x: x.expand(2, *x.shape),
    "repeated, transposed": lambda x: x.expand(2, *x.shape).mT,
}
SHAPES = [(4, 6), (2, 4, 6), (3, 1, 4)]

OPERATIONS = """
x; x * 2; 1 - x; 2 / x; x ** 2; x ** 3; x ** 1; x ** 0; x.exp(); x.relu(); -x; x > 0; x + x.mT.mT
x.clone(); x.detach(); x.double(); x.float(); x.long(); x.to(T.bool); x.long() / 2; x.double() + x
T.zeros_like(x); T.ones_like(x); T.zeros_like(x, dtype=T.int64); T.tensor(x.detach().numpy())
T.where(x > 0, x, 0.0); T.where(x > 0, 1.0, x); T.maximum(x, x * 0); x + T.ones(x.shape[-1])
x.sum(0); x.sum(-1); x.sum(0, True); x.sum((0, 1)); x.mean(0); x.mean(1, True); x.long().sum(0)
x.any(0); x.any(()); x.all(1); x.norm(dim=0); x[None].argmax(0); x[None].max(0)[0]; x[None].amin(0)
x.norm(0, 1); x.sum(1); x.mean(-1); x.clone()[1:].sum(1); (x > 0).sum(1)
T.cat([x, x]); T.cat([x, x], 1); T.cat([x]); T.stack([x, x]); T.stack([x, x], -1)
x.reshape(-1); x.flatten(); x.flatten(1); x.squeeze(); x.unsqueeze(1); x.mT; x.transpose(0, 1)
x.expand(2, *x.shape); x[0:1]; x[..., 0]; x[None]; x @ T.ones(x.shape[-1], 5); x @ x.mT
x @ x.mT.expand(3, 2, *x.mT.shape).transpose(0, 1)
T.nn.functional.linear(x, T.ones(5, x.shape[-1]), T.ones(5)); x.clone().add_(1)
T.nn.functional.mse_loss(x, x, reduction='none')
"""
GRADIENTS = """
x.sum(); x.mean(); (x * x).sum(); x.exp().sum(); x.mean(1).sum(); x.sum(0).exp().sum()
(x.sum(1, True) * 2).sum(); x.clone().sum(); x.reshape(-1).sum(); T.cat([x, x], 1).sum(); x[0].sum()
x.expand(2, *x.shape).sum(); x.mT.sum(); (x @ T.ones(x.shape[-1], 3)).sum(); x.unsqueeze(0).sum()
x.amax(1).sum(); T.stack([x, x * 2]).mean(0).sum()
"""
RETURNED = """
x * 2; 2 / x; x ** 3; x ** 0; x.exp(); x.relu(); x.abs(); x.tanh(); x.sqrt(); x.clamp(0.2); -x
x * x.mT.mT; x / (x + 1); x % 2; x.clone().copy_(x * 2); x.double(); x.sigmoid(); x[..., 0]
T.where(x > 0.5, x, x * x); T.maximum(x, 1 - x); nn.softplus(x); x.unsqueeze(1); x[[0, 0]]
nn.mse_loss(x, x * 2, reduction='none'); nn.huber_loss(x, x * 2, reduction='none')
x.sum(0); x.mean(-1); x.amax(0); x.max(); x.norm(); x.norm(1, 0); x.var(); x.reshape(-1); x.mT
x @ T.ones(x.shape[-1], 5); x @ x.mT; T.ones(3, x.shape[-2]) @ x
nn.linear(x, T.ones(5, x.shape[-1]), T.ones(5)); T.cat([x, x * 2], 1)
"""


def laid_out(T: Any, shape: tuple[int, ...], layout: Any) -> Any:
    return layout(T.arange(math.prod(shape), dtype=T.float32).reshape(shape) / 8 - 1)


def views(shape: tuple[int, ...]) -> set[tuple[int, ...]]:
    """Return shapes of as many elements: flat, two axes as one, and one as two."""
    found = {(math.prod(shape),), tuple(n for n in shape if n != 1)}
    for i, n in enumerate(shape):
        for two in ((1, n), (2, n // 2), (n // 2, 2)):
            found.add((*shape[:i], *two, *shape[i + 1 :]))
        found.add((*shape[:i], math.prod(shape[i : i + 2]), *shape[i + 2 :]))
    return {view for view in found if math.prod(view) == math.prod(shape)}


def viewed(x: Any) -> dict[tuple[int, ...], bool]:
    """Return for each of the shapes whether the tensor can be viewed in it."""
    possible = {}
    for shape in sorted(views(tuple(x.shape))):
        try:
            x.detach().view(shape)
            possible[shape] = True
        except RuntimeError:
            possible[shape] = False
    return possible


@pytest.mark.parametrize("expression", parts(OPERATIONS))
def test_view_is_possible_where_it_is_in_torch(expression: str) -> None:
    for shape, (name, layout) in itertools.product(SHAPES, LAYOUTS.items()):
        found = []
        for T in (minigrad, torch):
            x = laid_out(T, shape, layout)
            found.append(viewed(eval(expression, {"T": T, "x": x})))
        assert found[0] == found[1], (shape, name)


@pytest.mark.parametrize("expression", parts(GRADIENTS))
def test_a_gradient_can_be_viewed_where_it_can_in_torch(expression: str) -> None:
    for shape in SHAPES:
        found = []
        for T in (minigrad, torch):
            x = laid_out(T, shape, LAYOUTS["contiguous"]).requires_grad_()
            for _ in range(2):
                eval(expression, {"T": T, "x": x}).backward()
                found.append(viewed(x.grad))
        assert found[:2] == found[2:], shape
        assert all(found[0].values())


def returned(T: Any, shape: tuple[int, ...], layout: Any, expression: str, turned: bool) -> Any:
    x = laid_out(T, shape, layout).abs().detach().requires_grad_()
    y = eval(expression, {"T": T, "x": x, "nn": T.nn.functional})
    given = T.ones(y.shape)
    if turned and y.ndim:
        given = T.ones(y.shape[::-1]).permute(*range(y.ndim - 1, -1, -1))
    (grad,) = T.autograd.grad(y, x, given.to(y.dtype))
    return [step for step, n in zip(grad.stride(), grad.shape, strict=True) if n != 1]


@pytest.mark.parametrize("expression", parts(RETURNED))
def test_what_grad_returns_lies_in_memory_as_in_torch(expression: str) -> None:
    filled = [entry for entry in LAYOUTS.items() if entry[0] != "none"]
    for shape, (name, layout) in itertools.product(SHAPES[:2], filled):
        for turned in (False, True):
            found = [returned(T, shape, layout, expression, turned) for T in (minigrad, torch)]
            assert found[0] == found[1], (shape, name, turned)


def test_gradients_of_what_was_repeated_or_cut_out_are_in_index_order() -> None:
    for T in (minigrad, torch):
        x: Any = T.ones(3, 2, 4, requires_grad=True)
        for y in (-x.expand(2, 3, 2, 4).mT, x[..., ::2].sum(0)):
            assert T.autograd.grad(y.mean(), x)[0].is_contiguous()


@pytest.mark.parametrize("T", [minigrad, torch], ids=["minigrad", "torch"])
def test_what_expand_does_not_repeat_can_be_changed_in_place(T: Any) -> None:
    x = T.ones(2, 3)
    x.expand(1, -1, 3).mul_(2)
    assert x.tolist() == [[2.0] * 3] * 2
    with pytest.raises(RuntimeError):
        x.expand(2, 2, 3).mul_(2)


@pytest.mark.parametrize("shape", [*SHAPES, (2, 1, 1)], ids=str)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_strides_are_torchs(layout: str, shape: tuple[int, ...]) -> None:
    found = []
    for T in (minigrad, torch):
        x: Any = LAYOUTS[layout](T.ones(shape))
        copy = x.contiguous()
        steps = [s for s, n in zip(x.stride(), x.shape, strict=True) if n != 1]
        assert x.stride() == tuple(x.stride(dim) for dim in range(x.ndim))
        found.append([steps, x.is_contiguous(), copy is x, copy.stride()])
    assert found[0] == found[1]

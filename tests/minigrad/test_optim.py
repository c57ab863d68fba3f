"""SGD with all of its options: the same steps, state and refusals as torch's."""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad
import minigrad.architectures
from minigrad import nn
from minigrad.optim import SGD
from tests.minigrad.sessions import agree, sessions

UNITS = 8  # of rounding, times the largest number that a step combines


@st.composite
def options(draw: Any) -> dict[str, Any]:
    """Options that torch accepts."""
    number = st.floats(0, 2).map(lambda x: round(x, 3))
    momentum = draw(st.one_of(st.just(0), st.floats(0.001, 1.5)))
    nesterov = momentum > 0 and draw(st.booleans())
    return {
        "lr": draw(number),
        "momentum": momentum,
        "dampening": 0 if nesterov else draw(st.one_of(st.just(0), st.floats(-1, 2))),
        "weight_decay": draw(st.one_of(st.just(0), number)),
        "nesterov": nesterov,
        "maximize": draw(st.booleans()),
    }


def check(groups: list[dict[str, Any]], dtype: str, seed: int, steps: int = 4) -> None:
    """Fail unless each step is torch's within rounding, starting from torch's numbers each time."""
    rng = np.random.default_rng(seed)
    starts = [[rng.normal(size=(3, 2)).astype(dtype) for _ in range(2)] for _ in groups]
    ours, theirs = [], []
    pairs = []
    for group, arrays in zip(groups, starts, strict=True):
        mine = [nn.Parameter(minigrad.tensor(x)) for x in arrays]
        other = [torch.nn.Parameter(torch.tensor(x)) for x in arrays]
        ours.append({"params": mine, **group})
        theirs.append({"params": other, **group})
        pairs += [(p, q, group) for p, q in zip(mine, other, strict=True)]
    actual, expected = SGD(ours), torch.optim.SGD(theirs)
    for step in range(steps):
        for p, q, _ in pairs:
            gradient = rng.normal(size=(3, 2)).astype(dtype)
            absent = rng.random() < 0.2
            p.grad = None if absent else minigrad.tensor(gradient)
            q.grad = None if absent else torch.tensor(gradient)
        if step == 2:
            for optimizer in (actual, expected):
                optimizer.param_groups[0]["lr"] = 0.25
        for optimizer in (actual, expected):
            optimizer.step()
        for p, q, group in pairs:
            new = p.detach().numpy(), q.detach().numpy()
            buffers: list[Any] = [
                actual.state.get(p, {}).get("momentum_buffer"),
                expected.state.get(q, {}).get("momentum_buffer"),
            ]
            assert (buffers[0] is None) == (buffers[1] is None)
            kept = [buffer.numpy() for buffer in buffers if buffer is not None]
            largest = max(4.0, *(float(np.abs(x).max()) for x in (*new, *kept)))  # 4: of gradients
            factors = 1 + group["momentum"] + abs(group["dampening"]) + group["weight_decay"]
            bound = UNITS * np.finfo(dtype).eps * largest * factors
            np.testing.assert_allclose(new[0], new[1], rtol=0, atol=bound * (1 + group["lr"]))
            if kept:
                np.testing.assert_allclose(kept[0], kept[1], rtol=0, atol=bound)
        with torch.no_grad():
            for p, q, _ in pairs:
                p.detach().copy_(minigrad.tensor(q.detach().numpy()))
        actual.load_state_dict(expected.state_dict())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@given(groups=st.lists(options(), min_size=1, max_size=3), seed=st.integers(0, 2**32))
@settings(max_examples=40, deadline=None)
def test_steps_are_torchs(dtype: str, groups: list[dict[str, Any]], seed: int) -> None:
    check(groups, dtype, seed)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("lr", [0.01, 1e-3, 0.1, 0.5, 1.0, 3, 0.0])
def test_a_step_is_one_product_and_one_difference(dtype: str, lr: float) -> None:
    rng = np.random.default_rng(1)
    start, gradient = (rng.standard_normal((7, 5)).astype(dtype) for _ in range(2))
    p = nn.Parameter(minigrad.tensor(start))
    p.grad = minigrad.tensor(gradient)
    SGD([p], lr=lr).step()
    assert p.detach().numpy().tobytes() == (start - gradient * np.dtype(dtype).type(lr)).tobytes()
    q = torch.nn.Parameter(torch.tensor(start))
    q.grad = torch.tensor(gradient)
    torch.optim.SGD([q], lr=lr).step()
    # torch's kernel may fuse the two; half an ulp of the product is then not rounded away.
    np.testing.assert_allclose(
        p.detach().numpy(), q.detach().numpy(), rtol=0, atol=4 * float(np.finfo(dtype).eps)
    )


# ---- defects in the update, each of which has to be found ------------------------------------


TRUE_DIRECTION = SGD._direction
EVERYTHING = {"lr": 0.5, "momentum": 0.9, "weight_decay": 0.1, "maximize": True}
DAMPENED = {**EVERYTHING, "dampening": 0.5, "nesterov": False}
NESTEROV = {**EVERYTHING, "dampening": 0, "nesterov": True}
# What is given to `SGD._direction` in place of the gradient and the group.
DEFECTS: dict[str, tuple[dict[str, Any], Callable[..., Any]]] = {
    "dampened at first": (
        DAMPENED,
        lambda sgd, p, grad, group: (grad * (1 if p in sgd.state else 0.5), group),
    ),
    "decay not maximized": (
        DAMPENED,
        lambda sgd, p, grad, group: (grad - 2 * group["weight_decay"] * p._array, group),
    ),
    "not nesterov": (NESTEROV, lambda sgd, p, grad, group: (grad, {**group, "nesterov": False})),
    "slightly less momentum": (
        NESTEROV,
        lambda sgd, p, grad, group: (grad, {**group, "momentum": group["momentum"] * (1 - 1e-5)}),
    ),
}


@pytest.mark.parametrize("name", DEFECTS)
def test_defects_are_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    group, wrong = DEFECTS[name]
    check([group], "float32", 1)

    def direction(self: Any, parameter: Any, grad: Any, group: Any, buffer: Any) -> Any:
        grad, group = wrong(self, parameter, grad, group)
        return TRUE_DIRECTION(self, parameter, grad, group, buffer)

    monkeypatch.setattr(SGD, "_direction", direction)
    with pytest.raises(AssertionError):
        check([group], "float32", 1)


def test_a_buffer_that_is_not_kept_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def direction(self: Any, parameter: Any, grad: Any, *others: Any) -> Any:
        found = TRUE_DIRECTION(self, parameter, grad, *others)
        self.state[parameter]["momentum_buffer"]._array[...] = grad
        return found

    monkeypatch.setattr(SGD, "_direction", direction)
    with pytest.raises(AssertionError):
        check([{**NESTEROV, "nesterov": False}], "float32", 1)


# ---- groups, options, state ------------------------------------------------------------------


def three(T: Any) -> list[Any]:
    return [T.nn.Parameter(T.ones(2) * (i + 1)) for i in range(3)]


def trained(T: Any, **kwargs: Any) -> tuple[Any, list[Any]]:
    a, b, c = three(T)
    groups = [{"params": [a, b], "momentum": 0.5}, {"params": c, "lr": 0.5, "note": "own"}]
    optimizer = T.optim.SGD(groups, lr=0.25, **kwargs)
    (a * 2 + c * 3).sum().backward()
    optimizer.step()
    return optimizer, [a, b, c]


@pytest.mark.parametrize(
    "expression",
    [
        "repr(optimizer)",
        "str(optimizer.state_dict())",
        "optimizer.defaults",
        "list(optimizer.param_groups[0])[1:]",
        "[{k: v for k, v in g.items() if k != 'params'} for g in optimizer.param_groups]",
        "[len(g['params']) for g in optimizer.param_groups]",
        "optimizer.param_groups[1]['params'][0] is c, list(optimizer.state) == [a, c]",
        "[p.tolist() for p in (a, b, c)]",
        "optimizer.add_param_group({'params': T.nn.Parameter(T.ones(1))}), repr(optimizer)",
        "optimizer.step(), optimizer.step(lambda: 5)",
        "optimizer.step(lambda: T.is_grad_enabled())",
    ],
)
@pytest.mark.parametrize("kwargs", [{}, {"momentum": 0.9, "nesterov": True}, {"maximize": True}])
def test_form_is_torchs(expression: str, kwargs: dict[str, Any]) -> None:
    found = []
    for T in (minigrad, torch):
        optimizer, (a, b, c) = trained(T, **kwargs)
        names = {"T": T, "optimizer": optimizer, "a": a, "b": b, "c": c}
        found.append(eval(expression, names))
    assert str(found[0]) == str(found[1])


SESSIONS = sessions(r"""
# options of a group count from the next step on
p = nn.Parameter(T.zeros(1))
optimizer = T.optim.SGD([p], lr=1.0)
p.grad = T.ones(1)
steps = []
for option in ({}, {"lr": 0.25}, {"maximize": True}, {"weight_decay": 1.0}):
    optimizer.param_groups[0].update(option)
    optimizer.step()
    p

# a learning rate may be a tensor
p = nn.Parameter(T.zeros(1))
optimizer = T.optim.SGD([p], lr=T.tensor(0.5))
p.grad = T.ones(1)
optimizer.step()
optimizer.param_groups[0]["lr"].fill_(0.25)
optimizer.step()
p
refused("1-element", T.optim.SGD, [p], lr=T.ones(2))

# a closure computes the gradient
p = nn.Parameter(T.ones(1))
optimizer = T.optim.SGD([p], lr=0.25)
def closure():
    optimizer.zero_grad()
    loss = (p * p).sum()
    loss.backward()
    return loss
with T.no_grad():
    [optimizer.step(closure) for _ in range(3)]

# zero_grad
p = nn.Parameter(T.ones(2))
optimizer = T.optim.SGD([p], lr=0.1)
optimizer.zero_grad()
p.grad = T.tensor([float("nan"), 1.0])
kept = p.grad
optimizer.zero_grad(set_to_none=False)
kept, p.grad
(p * 2).sum().backward()
p.grad
(p.grad,) = grad((p**3).sum(), p, create_graph=True)
optimizer.zero_grad(set_to_none=False)  # which cuts a gradient's history
p.grad
optimizer.zero_grad()
p.grad

# steps change in place what has a gradient
used, unused = nn.Parameter(T.ones(2)), T.ones(1, requires_grad=True)
view = used.detach()
optimizer = T.optim.SGD((x for x in (used, unused)), lr=0.5)
optimizer.step()
(used * 2).sum().backward()
optimizer.step(), optimizer.step()
used, view, used.is_leaf, used.grad, unused
unused.sum().backward()  # no Parameter, and trained as well
optimizer.step()
unused

# a parameter that was frozen after backward is still moved
p = nn.Parameter(T.ones(1))
optimizer = T.optim.SGD([p], lr=0.5)
p.sum().backward()
frozen = p.requires_grad_(False)
optimizer.step()
p
optimizer.zero_grad()
optimizer.step()
p

# options that a state lacks are the defaults
p = nn.Parameter(T.zeros(1))
optimizer = T.optim.SGD([p], lr=0.5)
state = optimizer.state_dict()
del state["param_groups"][0]["maximize"]  # as in files of an older torch
optimizer.load_state_dict(state)
p.grad = T.ones(1)
optimizer.step()
p

# what is refused
SGD, (p, q, r) = T.optim.SGD, [nn.Parameter(T.ones(2)) for _ in range(3)]
refused("empty parameter list", SGD, [])
refused("can only optimize Tensors", SGD, [5])
refused("an iterable", SGD, p)
refused("leaf", SGD, [p * 2])
refused("Invalid learning rate: -0.1", SGD, [p, q], lr=-0.1)
refused("Invalid momentum value: -0.1", SGD, [p, q], momentum=-0.1)
refused("Invalid weight_decay value: -1", SGD, [p, q], weight_decay=-1)
refused("Nesterov momentum requires a momentum", SGD, [p, q], nesterov=True)
refused("zero dampening", SGD, [p, q], momentum=0.5, dampening=0.5, nesterov=True)
refused("ordered collections", SGD, [{'params': {p, q}}])
refused("can only optimize Tensors", SGD, [{'params': [p, 5]}])
refused("more than one parameter group", SGD, [{'params': p}, {'params': [p]}])
refused("must be a dict", SGD([p]).add_param_group, [p])
refused("non-leaf", SGD([p]).add_param_group, {'params': [p * 2]})
refused("doesn't match the size", SGD([p]).load_state_dict, SGD([p, q]).state_dict())
two = SGD([{"params": p}, {"params": q}])
refused("different number of parameter groups", SGD([p]).load_state_dict, two.state_dict())
refused("unexpected keyword", SGD, [p, q], mometum=0.5)

# duplicates are warned of
p = nn.Parameter(T.ones(1))
len(warned("duplicate parameters", T.optim.SGD, [p, p]).param_groups)
""")


@pytest.mark.parametrize("name", SESSIONS)
def test_both_engines_show_the_same(name: str) -> None:
    agree(SESSIONS[name])


def test_state_travels_between_the_engines() -> None:
    ours, p = trained(minigrad, momentum=0.9)
    theirs, q = trained(torch, momentum=0.9)
    for T, source, target, parameters in ((minigrad, theirs, ours, p), (torch, ours, theirs, q)):
        state = source.state_dict()
        for values in state["state"].values():
            for name, value in values.items():
                values[name] = value.numpy() * 2 if T is minigrad else torch.tensor(value.numpy())
        target.load_state_dict(state)
        for parameter in parameters:
            parameter.grad = T.ones(2)
        target.step()
    assert str(ours.state_dict()["param_groups"]) == str(theirs.state_dict()["param_groups"])


def test_a_run_is_continued() -> None:
    T = minigrad

    def step(optimizer: Any, parameters: list[Any]) -> None:
        optimizer.zero_grad()
        sum((p * p).sum() for p in parameters).backward()
        optimizer.step()

    first, parameters = trained(T, momentum=0.9)
    second, others = trained(T, momentum=0.9)
    for _ in range(3):
        step(first, parameters)
    with T.no_grad():
        for p, q in zip(parameters, others, strict=True):
            q.copy_(p)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    for optimizer, tensors in ((first, parameters), (second, others)):
        step(optimizer, tensors)
    assert [p.tolist() for p in parameters] == [p.tolist() for p in others]


def test_loaded_buffers_are_in_the_parameters_dtype() -> None:
    optimizer, (a, *_) = trained(minigrad, momentum=0.9)
    state = optimizer.state_dict()
    state["state"][0] = {"momentum_buffer": np.array([1.0, 2.0])}
    optimizer.load_state_dict(state)
    buffer = optimizer.state[a]["momentum_buffer"]
    assert buffer.dtype == minigrad.float32
    optimizer.load_state_dict(optimizer.state_dict())
    assert optimizer.state[a]["momentum_buffer"] is buffer


def test_what_torch_does_and_minigrad_does_not_is_refused() -> None:
    with pytest.raises(NotImplementedError, match="differentiable"):
        SGD(three(minigrad), differentiable=True)
    with pytest.raises(NotImplementedError, match="foreach and fused"):
        SGD([*three(minigrad)[:1] * 2], foreach=True)
    with pytest.raises(ValueError, match="Invalid learning rate: nan"):
        SGD(three(minigrad), lr=float("nan"))
    optimizer, _ = trained(minigrad, momentum=0.9)
    state = optimizer.state_dict()
    state["state"][0] = {"momentum_buffer": minigrad.ones(3)}
    before = str(optimizer.state_dict())
    with pytest.raises(ValueError, match=r"shape \[3\].*shape \[2\]"):
        optimizer.load_state_dict(state)
    assert str(optimizer.state_dict()) == before

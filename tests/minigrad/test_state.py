"""What a module consists of, and how its values are saved, loaded and converted, as in torch."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch

import minigrad
from minigrad import nn

ENGINES = pytest.mark.parametrize("T", [minigrad, torch], ids=["minigrad", "torch"])


def network(T: Any) -> Any:
    T.manual_seed(0)
    net = T.nn.Sequential(T.nn.Linear(1, 3), T.nn.ReLU(), T.nn.Linear(3, 1, bias=False))
    net.shared = net[0]
    net.register_parameter("offset", T.nn.Parameter(T.ones(1)))
    net.register_parameter("empty", None)
    net.add_module("absent", None)
    return net


@pytest.mark.parametrize(
    "expression",
    [
        "repr(net)",
        "[n for n, _ in net.named_parameters(remove_duplicate=False)]",
        "[n for n, _ in net.named_parameters(prefix='net', recurse=False)]",
        "[n for n, _ in net.named_modules()], [n for n, _ in net.named_modules(prefix='net')]",
        "[n for n, _ in net.named_children()], len(list(net.modules()))",
        "len(list(net.parameters())), len(list(net.parameters(recurse=False)))",
        "list(net.state_dict()), list(net.state_dict(prefix='model.'))",
        "net.state_dict(keep_vars=True)['offset'] is net.offset",
        "net.empty, net.absent, hasattr(net, 'empty')",
        "setattr(net, 'empty', nn.Parameter(T.ones(2))), list(net.state_dict())",
        "setattr(net, 'absent', nn.ReLU()), repr(net)",
        "setattr(net, 'shared', None), [n for n, _ in net.named_modules()], repr(net)",
        "setattr(net, '0', None), setattr(net, '0', nn.Linear(1, 1)), list(net.state_dict())",
        "setattr(net, 'shared', nn.Parameter(T.ones(1))), list(net.state_dict())",
        "delattr(net, 'empty'), delattr(net, 'absent'), delattr(net, 'offset'), repr(net)",
        "net.add_module('last', nn.Tanh()), net.register_module('after', nn.ReLU()), repr(net)",
        # loading
        "net.load_state_dict(net.state_dict())",
        "net.load_state_dict({'offset': T.zeros(1), 'more': T.ones(1)}, strict=False)",
        "net.load_state_dict({'offset': T.zeros(1)}, strict=False).missing_keys",
        "tuple(net.load_state_dict({'more': T.zeros(1)}, strict=False))",
        "net.load_state_dict({'offset': T.tensor([7])}, strict=False), net.offset",
        "[m.training for m in net.train(False).modules()]",
        "nn.Linear(2, 2, dtype=None).weight.dtype == T.float32",
    ],
)
def test_form_is_torchs(expression: str) -> None:
    found = [eval(expression, {"T": T, "nn": T.nn, "net": network(T)}) for T in (minigrad, torch)]
    assert str(found[0]) == str(found[1])


@ENGINES
@pytest.mark.parametrize(
    ("expression", "kind", "words"),
    [
        ("setattr(net[0], 'weight', T.ones(2))", TypeError, "cannot assign .* as parameter"),
        ("setattr(net, 'offset', nn.ReLU())", TypeError, "cannot assign .* as parameter"),
        ("setattr(net, 'shared', 5)", TypeError, "cannot assign 'int' as child module"),
        ("net.register_parameter('a', T.ones(1))", TypeError, "cannot assign"),
        ("net.register_parameter('a.b', None)", KeyError, "can't contain|contain"),
        ("net.register_parameter('', None)", KeyError, "empty"),
        ("net.register_parameter(3, None)", TypeError, "string"),
        ("net.register_parameter('forward', None)", KeyError, "already exists"),
        ("net.add_module('a', 3)", TypeError, "Module"),
        ("net.add_module('a.b', nn.ReLU())", KeyError, "contain"),
        ("net.add_module('train', nn.ReLU())", KeyError, "already exists"),
        ("net.load_state_dict([1])", TypeError, "expected|Expected"),
        (
            "net.load_state_dict({'offset': T.ones(2)}, strict=False)",
            RuntimeError,
            "size mismatch for '?offset",
        ),
        ("net.load_state_dict({'offset': [1.0]}, strict=False)", RuntimeError, "offset"),
        ("net.load_state_dict({})", RuntimeError, "[Mm]issing key"),
        ("net.to(T.int64)", TypeError, "floating point"),
        ("net.train(1)", ValueError, "bool"),
        ("nn.MSELoss('sum', 1, 2, 3)", TypeError, "argument"),
    ],
)
def test_what_is_refused(T: Any, expression: str, kind: type[Exception], words: str) -> None:
    net = network(T)
    with pytest.raises(kind, match=words):
        eval(expression, {"T": T, "nn": T.nn, "net": net})
    assert net.offset.tolist() == [1.0]


def test_reduction_is_named() -> None:
    # torch takes what is given by position for the old argument size_average, and ignores it.
    with pytest.raises(TypeError):
        nn.MSELoss("sum")  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        nn.functional.mse_loss(minigrad.ones(1), minigrad.ones(1), "sum")  # type: ignore[call-arg]


@ENGINES
def test_state_dict_shares_memory_and_loads(T: Any) -> None:
    first, second = network(T), network(T)
    with T.no_grad():
        for parameter in first.parameters():
            parameter.fill_(0.25)
    state = first.state_dict()
    assert all((value == 0.25).tolist() for value in state.values())
    parameters = list(second.parameters())
    second.load_state_dict(state)
    assert all(a is b for a, b in zip(parameters, second.parameters(), strict=True))
    for name, value in second.state_dict().items():
        assert value.tolist() == state[name].tolist()
    with T.no_grad():
        first.offset.fill_(9)
    assert state["offset"].tolist() == [9.0]
    assert second.offset.tolist() == [0.25]  # loading copies


@ENGINES
def test_load_state_dict_converts_the_dtype(T: Any) -> None:
    source, target = T.nn.Linear(2, 2, dtype=T.float64), T.nn.Linear(2, 2)
    target.load_state_dict(source.state_dict())
    assert target.weight.dtype == T.float32
    assert target.weight.tolist() == source.weight.float().tolist()


@ENGINES
@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda T, state: state.pop("0.bias"), [r"0\.bias", "[Mm]issing key"]),
        (lambda T, state: state.update(extra=T.ones(1)), ["extra", "[Uu]nexpected key"]),
        (
            lambda T, state: state.update({"2.weight": T.ones(3, 1)}),
            [r"2\.weight", "size mismatch", r"\[3, 1\]", r"\[1, 3\]"],
        ),
    ],
)
def test_load_state_dict_refuses_what_does_not_fit(T: Any, spoil: Any, words: list[str]) -> None:
    net = network(T)
    state = {k: v.clone() * 0 + 7 for k, v in net.state_dict().items()}
    spoil(T, state)
    before = {name: p.tolist() for name, p in net.named_parameters()}
    with pytest.raises(RuntimeError, match=r"Error\(s\) in loading state_dict") as caught:
        net.load_state_dict(state)
    for word in words:
        assert caught.match(word)
    if T is minigrad:  # torch has changed the rest by then
        assert {name: p.tolist() for name, p in net.named_parameters()} == before


@ENGINES
def test_a_module_that_stays_in_evaluation(T: Any) -> None:
    class Frozen(T.nn.Module):  # type: ignore[misc]
        def train(self, mode: bool = True) -> Any:
            return super().train(False)

    net = T.nn.Sequential(Frozen(), T.nn.ReLU())
    net.train()
    assert [module.training for module in net.modules()] == [True, False, True]


@ENGINES
def test_zero_grad_forgets_what_was_not_a_number(T: Any) -> None:
    net = network(T)
    net[0](T.ones(2, 1)).sum().backward()
    net.offset.grad = T.tensor([float("nan")])
    kept = net.offset.grad
    net.zero_grad(set_to_none=False)
    assert net.offset.grad.tolist() == kept.tolist() == [0.0]
    assert net[0].weight.grad.abs().sum().item() == 0
    assert not net[0].weight.grad.requires_grad
    net.zero_grad()
    assert all(p.grad is None for p in net.parameters())


@ENGINES
def test_a_conversion_that_changes_nothing_leaves_the_graph(T: Any) -> None:
    layer = T.nn.Linear(1, 1)
    loss = layer(T.ones(1, 1)).sum()
    layer.float()
    loss.backward()
    assert layer.weight.grad.tolist() == [[1.0]]
    layer.double()
    assert layer.weight.grad.dtype == T.float64
    layer.requires_grad_(False)
    layer.float()
    assert not layer.weight.requires_grad
    assert layer.weight.grad.tolist() == [[1.0]]


@ENGINES
def test_a_copy_stands_by_itself(T: Any) -> None:
    net = network(T)
    net[0](T.ones(2, 1)).sum().backward()
    copied = copy.deepcopy(net)
    assert copied.shared is copied[0]
    assert all(p.grad is None for p in copied.parameters())
    with T.no_grad():
        for parameter in net.parameters():
            parameter.fill_(9)
    assert 9.0 not in [x for p in copied.parameters() for x in p.detach().reshape(-1).tolist()]
    copied[0](T.ones(2, 1)).sum().backward()
    assert copied[0].weight.grad is not None


@ENGINES
def test_layers_without_inputs(T: Any) -> None:
    with pytest.warns(UserWarning, match="zero-element tensors is a no-op"):
        layer = T.nn.Linear(0, 2)
    assert layer(T.ones(3, 0)).shape == (3, 2)
    with pytest.warns(UserWarning, match="zero-element tensors is a no-op"):
        T.nn.init.kaiming_normal_(T.zeros(2, 0))


@ENGINES
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(3,), (2, 3), (2, 2, 3), (1, 2, 2, 3), (0, 3), (2, 0, 3)])
def test_linear_of_any_number_of_axes(T: Any, shape: tuple[int, ...], bias: bool) -> None:
    found = []
    for m in (T, torch):
        m.manual_seed(1)
        layer = m.nn.Linear(3, 2, bias=bias)
        out = layer(m.ones(*shape))
        out.sum().backward()
        found.append([tuple(out.shape), out.grad_fn.name(), *(p.grad for p in layer.parameters())])
    assert str(found[0]) == str(found[1])

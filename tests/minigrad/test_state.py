"""What a module consists of, and how its values are saved, loaded and converted, as in torch."""

from typing import Any

import pytest
import torch

import minigrad
from minigrad import nn
from tests.minigrad.sessions import agree, sessions


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


def test_reduction_is_named() -> None:
    # torch takes what is given by position for the old argument size_average, and ignores it.
    with pytest.raises(TypeError):
        nn.MSELoss("sum")  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        nn.functional.mse_loss(minigrad.ones(1), minigrad.ones(1), "sum")  # type: ignore[call-arg]


SESSIONS = sessions(r"""
# a state_dict shares memory, and loading copies
first, second = network(T), network(T)
with T.no_grad():
    filled = [p.fill_(0.25) for p in first.parameters()]
state, parameters = first.state_dict(), list(second.parameters())
list(state.values())
second.load_state_dict(state)
[a is b for a, b in zip(parameters, second.parameters())], list(second.state_dict().values())
with T.no_grad():
    filled = first.offset.fill_(9)
state["offset"], second.offset

# load_state_dict converts the dtype
source, target = nn.Linear(2, 2, dtype=T.float64), nn.Linear(2, 2)
target.load_state_dict(source.state_dict())
target.weight.dtype == T.float32, target.weight.tolist() == source.weight.float().tolist()

# load_state_dict refuses what does not fit
net = network(T)
lacking = {k: v for k, v in net.state_dict().items() if k != "0.bias"}
words = r"Error\(s\) in loading state_dict for Sequential(.|\n)*"
refused(words + r"[Mm]issing key(.|\n)*0\.bias", net.load_state_dict, lacking)
more = {**net.state_dict(), "extra": T.ones(1)}
refused(words + r"[Uu]nexpected key(.|\n)*extra", net.load_state_dict, more)
other = {**net.state_dict(), "2.weight": T.ones(3, 1)}
refused(words + r"size mismatch.*2\.weight.*\[3, 1\].*\[1, 3\]", net.load_state_dict, other)

# a module that stays in evaluation
class Frozen(nn.Module):
    def train(self, mode=True):
        return super().train(False)
[module.training for module in nn.Sequential(Frozen(), nn.ReLU()).train().modules()]

# zero_grad forgets what was not a number
net = network(T)
net[0](T.ones(2, 1)).sum().backward()
net.offset.grad = T.tensor([float("nan")])
kept = net.offset.grad
net.zero_grad(set_to_none=False)
kept, [p.grad for p in net.parameters()]
net.zero_grad()
[p.grad for p in net.parameters()]

# a conversion that changes nothing leaves the graph
layer = nn.Linear(1, 1)
loss = layer(T.ones(1, 1)).sum()
layer.float() is layer
loss.backward()
layer.weight.grad
layer.double().weight.grad.dtype == T.float64
frozen = layer.requires_grad_(False).float()
layer.weight.requires_grad, layer.weight.grad

# a copy stands by itself
net = network(T)
net[0](T.ones(2, 1)).sum().backward()
copied = copy.deepcopy(net)
before = [p.tolist() for p in copied.parameters()]
copied.shared is copied[0], [p.grad for p in copied.parameters()]
with T.no_grad():
    filled = [p.fill_(9) for p in net.parameters()]
before == [p.tolist() for p in copied.parameters()]
copied[0](T.ones(2, 1)).sum().backward()
copied[0].weight.grad

# what is refused
net = network(T)
refused("cannot assign .* as parameter", setattr, net[0], 'weight', T.ones(2))
refused("cannot assign .* as parameter", setattr, net, 'offset', nn.ReLU())
refused("cannot assign 'int' as child module", setattr, net, 'shared', 5)
refused("cannot assign", net.register_parameter, 'a', T.ones(1))
refused("can't contain|contain", net.register_parameter, 'a.b', None)
refused("empty", net.register_parameter, '', None)
refused("string", net.register_parameter, 3, None)
refused("already exists", net.register_parameter, 'forward', None)
refused("Module", net.add_module, 'a', 3)
refused("contain", net.add_module, 'a.b', nn.ReLU())
refused("already exists", net.add_module, 'train', nn.ReLU())
refused("expected|Expected", net.load_state_dict, [1])
refused("size mismatch for '?offset", net.load_state_dict, {'offset': T.ones(2)}, strict=False)
refused("offset", net.load_state_dict, {'offset': [1.0]}, strict=False)
refused("[Mm]issing key", net.load_state_dict, {})
refused("floating point", net.to, T.int64)
refused("bool", net.train, 1)
refused("argument", nn.MSELoss, 'sum', 1, 2, 3)
net.offset

# layers without inputs
words = "zero-element tensors is a no-op"
warned(words, nn.Linear, 0, 2)(T.ones(3, 0)).shape
warned(words, nn.init.kaiming_normal_, T.zeros(2, 0))
""")


@pytest.mark.parametrize("name", SESSIONS)
def test_both_engines_show_the_same(name: str) -> None:
    agree(SESSIONS[name], network=network)


def test_what_was_refused_has_changed_nothing() -> None:  # torch has loaded the rest by then
    net = network(minigrad)
    before = str(net.state_dict())
    with pytest.raises(RuntimeError, match="size mismatch"):
        net.load_state_dict({"offset": minigrad.zeros(1), "2.weight": minigrad.ones(3, 1)})
    assert str(net.state_dict()) == before

"""Ensembles: many networks of one shape, trained at once along a leading axis.

A NumPy call takes about as long to begin as a small network takes to compute, so an ensemble takes
each step with the calls of one network. (torch has `torch.func.stack_module_state` and `vmap`.)

>>> import minigrad as torch
>>> from minigrad import nn
>>> from minigrad.ensembles import ensemble, mse_losses
>>> networks = [nn.Sequential(nn.Linear(1, 4), nn.ReLU(), nn.Linear(4, 1)) for _ in range(100)]
>>> model = ensemble(networks)
>>> model[0].weight.shape
torch.Size([100, 4, 1])
>>> x = torch.linspace(-1, 1, 10).reshape(-1, 1)
>>> losses = mse_losses(model(x), x**2)
>>> losses.shape
torch.Size([100])
>>> losses.sum().backward()

For each member, the gradient of the sum is the gradient of its own loss. Members share nothing: a
member that diverges does not change the others, and no bit of a member depends on the number of
members.

In reproducible arithmetic a member has the bits of its network trained by itself. Sums over samples
are products with ones here, because products are made matrix by matrix, while a sum has one
exponent for all members. In float32 a product with ones leaves out no slice for layers of up to
2,048 units and up to 2,048 samples.
"""

import math
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from copy import deepcopy

import numpy as np

from minigrad.creation import ones
from minigrad.nn.activations import Identity, LeakyReLU, Sigmoid, Softplus, Tanh
from minigrad.nn.layers import Linear, ReLU, Sequential
from minigrad.nn.module import Module
from minigrad.nn.parameter import Parameter
from minigrad.ops import linalg
from minigrad.ops.rule import Rule
from minigrad.tape import Array
from minigrad.tensor import Tensor
from minigrad.tensor.joining import stack

__all__ = ["LinearEnsemble", "ensemble", "mse_losses"]

ACTIVATIONS = (Identity, LeakyReLU, ReLU, Sigmoid, Softplus, Tanh)
"""These act on each element by itself, and so on all members at once."""


def linear_backward_bias(grad_out: Array) -> Array:
    # The bias was added to every row of its member. The sum of the rows is a product with ones,
    # because products are made matrix by matrix.
    rows = np.ones((1, grad_out.shape[-2]), grad_out.dtype)
    return np.matmul(rows, grad_out)


LINEAR = Rule(
    linalg.linear,
    linalg.linear_backward_x,
    linalg.linear_backward_weight,
    linear_backward_bias,
).named("BaddbmmBackward0")
"""`linear` for stacks of matrices: x (..., n, in), weight (members, out, in), bias (members, 1,
out). Only the derivative by the bias differs from that of a single network."""


class LinearEnsemble(Module):
    """The `Linear` layers of an ensemble: (n, in) or (members, n, in) to (members, n, out).

    Attributes:
        weight: (members, out, in).
        bias: (members, out).

    Raises:
        ValueError: there are no layers, or one is not just a `Linear`, or they differ in shape,
            dtype or `requires_grad`, or have no bias.
    """

    weight: Parameter
    bias: Parameter

    def __init__(self, layers: Sequence[Linear]) -> None:
        super().__init__()
        for layer in layers:
            _require("LinearEnsemble", layer, Linear)
        for name in ("weight", "bias"):
            values = [getattr(layer, name) for layer in layers]
            kinds = {v if v is None else (v.shape, str(v.dtype), v.requires_grad) for v in values}
            if len(kinds) != 1 or None in kinds:
                raise ValueError(
                    f"LinearEnsemble: the layers' {name} must be of one shape, dtype and "
                    f"requires_grad in all, but these are {sorted(map(str, kinds))}"
                )
            stacked = stack([value.detach() for value in values])
            setattr(self, name, Parameter(stacked, values[0].requires_grad))

    def forward(self, input: Tensor) -> Tensor:
        """Return input·weightᵀ + bias of every member; raise ValueError for other shapes."""
        members, _, features = self.weight.shape
        if input.shape[-1:] != (features,) or input.shape[:-2] not in ((), (members,)):
            raise ValueError(
                f"LinearEnsemble: expected input (n, {features}) or ({members}, n, {features}), "
                f"not {list(input.shape)}"
            )
        return input._apply(LINEAR, input, self.weight, self.bias.unsqueeze(1))

    def extra_repr(self) -> str:
        """Return what stands between the brackets when the module is printed."""
        members, out_features, in_features = self.weight.shape
        return f"members={members}, in_features={in_features}, out_features={out_features}"


def ensemble(networks: Iterable[Sequential]) -> Sequential:
    """Return one network that does what each of these does, with copies of their parameters.

    Args:
        networks: of the same layers: `Linear`, and activations with the same options. A layer may
            stand at several places, in all networks at the same ones.

    Returns:
        a network for inputs (n, in), the same for all members, or (members, n, in), and with
        outputs (members, n, out). Its parameters have the names of a member's, and in front of
        their axes one for the members.

    Raises:
        ValueError: there are no networks, or they are not of the same layers, or have no `Linear`,
            or something else than these is among them, such as a layer with a hook, with another
            `forward`, or with another one's parameter.
    """
    networks = list(networks)
    for network in networks:
        _require("ensemble", network, Sequential)
        for layer in network:
            _require("ensemble", layer, Linear, *ACTIVATIONS)
        owned = [id(p) for layer in network.children() for p in layer.parameters()]
        if len(set(owned)) != len(owned):
            raise ValueError("ensemble: two layers share a parameter: let one layer stand twice")
    if len({_shape(network) for network in networks}) != 1:
        raise ValueError(
            f"ensemble: the {len(networks)} networks must be at least one, and of the same layers: "
            "members compute by the same calls"
        )
    made: dict[Module, Module] = {}
    for layers in zip(*networks, strict=True):
        if layers[0] not in made:
            linears = [layer for layer in layers if isinstance(layer, Linear)]
            made[layers[0]] = LinearEnsemble(linears) if linears else deepcopy(layers[0])
    if not any(isinstance(layer, LinearEnsemble) for layer in made.values()):
        raise ValueError("ensemble: the networks have no Linear layer: there is nothing to train")
    named = networks[0]._modules.items()
    return Sequential(OrderedDict((name, made[layer]) for name, layer in named))


def _require(caller: str, module: Module, *types: type[Module]) -> None:
    """Raise unless a module is of exactly one of these types, and nothing was added to it."""
    found, own = type(module).__name__, ""
    if type(module) in types:
        parameters = {name: p for name, p in module._parameters.items() if p is not None}
        if module._forward_hooks or any(p._node and p._node.hooks for p in parameters.values()):
            own = "a hook"
        elif "forward" in vars(module):
            own = "a forward of its own"
        elif module._buffers or not parameters.keys() <= {"weight", "bias"}:
            own = "further parameters or buffers"
        if not own:
            return
    wanted = ", ".join(each.__name__ for each in types)
    raise ValueError(
        f"{caller}: {found}{own and ' with '}{own} cannot be part of one; these can, as they are: "
        f"{wanted}"
    )


def _shape(network: Sequential) -> tuple[tuple[str, int, str], ...]:
    """Return what networks of an ensemble share: of each layer its name, the first place at which
    it stands, and its type or what is printed of an activation.
    """
    layers = list(network)
    return tuple(
        (name, layers.index(layer), "Linear" if isinstance(layer, Linear) else repr(layer))
        for name, layer in network._modules.items()
    )


def mse_losses(input: Tensor, target: Tensor) -> Tensor:
    """Mean squared error of every member, (members,): `nn.functional.mse_loss` of each.

    Args:
        input: (members, n, out).
        target: of the same shape, or (n, out) for the same of all members.

    Raises:
        ValueError: the shapes are others.
    """
    if input.ndim != 3 or target.shape not in (input.shape, input.shape[1:]):
        raise ValueError(
            f"mse_losses: expected input (members, n, out) and target of that shape or (n, out), "
            f"not {list(input.shape)} and {list(target.shape)}"
        )
    members, *rest = input.shape
    count = math.prod(rest)
    difference = input - target
    # Not square(), whose derivative doubles the difference first: that may overflow.
    squares = (difference * difference).reshape(members, count, 1)
    sums = ones(1, count, dtype=input.dtype).matmul(squares)
    return (sums / count).reshape(members)

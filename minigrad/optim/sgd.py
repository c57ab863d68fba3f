"""Stochastic gradient descent: parameters take a step against their gradients, in place."""

import copy
import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from minigrad.dtypes import DType
from minigrad.grad_mode import in_mode
from minigrad.tape import Array, changed
from minigrad.tensor import Tensor


class SGD:
    """Takes each parameter a step against its gradient.

    For a parameter p with gradient g, in the order and with the choices of torch (which differ
    from Sutskever et al. 2013 in where the learning rate stands):

        d ← g, or -g to maximize
        d ← d + weight_decay·p
        b ← momentum·b + (1 - dampening)·d, in the first step b ← d
        d ← b, with nesterov d + momentum·b
        p ← p - lr·d

    Args:
        params: the parameters, or dicts that each hold a group of them under 'params' and the
            options that are different for it. New values are written in their place.
        lr: the learning rate, a number or a tensor of one element.
        momentum: how much of the last direction is kept; 0 keeps no buffers.
        dampening: how little of the gradient goes into the buffer.
        weight_decay: how much of the parameter is added to its gradient.
        nesterov: look ahead along the momentum; needs momentum, and no dampening.
        maximize: step along the gradient.
        foreach, fused: choose among torch's kernels; they make no difference here, and are kept
            for `state_dict`. Of a parameter that is given twice they would: that is refused.
        differentiable: not supported.

    Attributes:
        param_groups: the groups, dicts of 'params' and every option; changes to these count from
            the next step on.
        defaults: the options of a group that names no others.
        state: for each parameter that has one its 'momentum_buffer'.

    Raises:
        ValueError: there are no parameters, one is no leaf or stands in two groups, lr, momentum
            or weight_decay is negative, or nesterov comes without momentum or with dampening.
        TypeError: one of the parameters is no tensor, or they are a tensor and not several.
        NotImplementedError: `differentiable`, or a parameter given twice with `foreach` or `fused`.
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float | Tensor = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float | Tensor = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        # First, while the arguments are the only local names.
        options = {key: value for key, value in locals().items() if key not in ("self", "params")}
        opts = {"learning rate": lr, "momentum value": momentum, "weight_decay value": weight_decay}
        for name, value in opts.items():
            if isinstance(value, Tensor) and value.numel() != 1:
                raise ValueError(f"SGD: Tensor lr must be 1-element, and so the {name}")
            if not value >= 0.0:
                raise ValueError(f"SGD: Invalid {name}: {value}; it must be at least 0")
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError(
                "SGD: Nesterov momentum requires a momentum and zero dampening, but momentum is "
                f"{momentum} and dampening {dampening}"
            )
        if differentiable:
            raise NotImplementedError("SGD: steps are not recorded; leave differentiable=False")
        if isinstance(params, Tensor):
            raise TypeError("SGD: params must be an iterable of Tensors, not one: give [tensor]")
        self.defaults: dict[str, Any] = options
        self.state: dict[Tensor, dict[str, Any]] = {}
        self._opt_called = False  # since a scheduler was made
        self._numbers: dict[tuple[int, str, DType], list[Any]] = {}
        self.param_groups: list[dict[str, Any]] = []
        groups: list[Any] = list(params)
        if not groups:
            raise ValueError("SGD: optimizer got an empty parameter list")
        for group in groups if isinstance(groups[0], dict) else [{"params": groups}]:
            self.add_param_group(group)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Train further parameters: a dict with 'params', and options where they differ.

        Raises:
            TypeError: it is no dict, or the parameters are a set, or not all tensors.
            ValueError: one of them is no leaf, or in another group already.
        """
        if not isinstance(param_group, dict):
            raise TypeError(
                f"SGD: param_group must be a dict, but got {type(param_group).__name__}"
            )
        params = param_group["params"]
        if isinstance(params, set):
            raise TypeError(
                "SGD: parameters need to be in ordered collections, not a set: give a list"
            )
        params = [params] if isinstance(params, Tensor) else list(params)
        for parameter in params:
            if not isinstance(parameter, Tensor):
                raise TypeError(
                    f"SGD: optimizer can only optimize Tensors, not {type(parameter).__name__}"
                )
            if not parameter.is_leaf:
                raise ValueError(
                    "SGD: can't optimize a non-leaf Tensor, one that an operation made: give the "
                    "tensor it was made from"
                )
        if not {p for group in self.param_groups for p in group["params"]}.isdisjoint(params):
            raise ValueError("SGD: some parameters appear in more than one parameter group")
        param_group["params"] = params
        for name, value in self.defaults.items():
            param_group.setdefault(name, value)
        if len(set(params)) < len(params):
            if param_group["foreach"] or param_group["fused"]:
                raise NotImplementedError(
                    "SGD: torch's foreach and fused kernels move a parameter that is given twice "
                    "in an order of their own: give it once, or leave foreach and fused out"
                )
            warnings.warn(
                "SGD: a parameter group with duplicate parameters: each step moves them twice",
                stacklevel=3,
            )
        self.param_groups.append(param_group)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients, or set them to zero in place."""
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter._zero_grad(set_to_none)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient.

        Args:
            closure: called first, with recording switched on; it computes the gradients anew.

        Returns:
            what the closure returns, the loss by convention; None without one.
        """
        self._opt_called = True
        loss = None
        if closure is not None:
            loss = in_mode(True, closure)
        for group in self.param_groups:
            plain = not (group["momentum"] or group["weight_decay"] or group["maximize"])
            dtype: DType | None = None
            rate: Array = None
            moved = [p for p in group["params"] if p._grad is not None]
            written = [p._array for p in moved]
            buffers: dict[Tensor, Any] = {}
            if group["momentum"]:  # as torch, all before the step: a parameter may come twice
                state = self.state
                buffers = {p: state[p].get("momentum_buffer") for p in moved if p in state}
                written += [buffer._array for buffer in buffers.values() if buffer is not None]
            changed(*written)
            for parameter in moved:
                array = parameter._array
                direction = parameter._grad._array
                if not plain:
                    direction = self._direction(parameter, direction, group, buffers.get(parameter))
                if array.dtype is not dtype:
                    dtype = array.dtype
                    rate = self._as_array(group, "lr", dtype)
                np.subtract(array, np.multiply(direction, rate), array)
        return loss

    def _direction(
        self, parameter: Tensor, grad: Array, group: dict[str, Any], known: Tensor | None
    ) -> Array:
        """Return the direction of a parameter's step, and keep its momentum."""
        dtype = parameter._array.dtype
        direction = np.negative(grad) if group["maximize"] else grad
        if group["weight_decay"] != 0:
            decay = self._as_array(group, "weight_decay", dtype)
            direction = np.add(direction, np.multiply(parameter._array, decay))
        if group["momentum"] == 0:
            return direction
        momentum = self._as_array(group, "momentum", dtype)
        if known is None:
            buffer = np.copy(direction)
            self.state.setdefault(parameter, {})["momentum_buffer"] = Tensor._wrapped(buffer)
        else:
            buffer = known._array
            share = self._as_array(group, "dampening", dtype)
            np.multiply(buffer, momentum, out=buffer)
            np.add(buffer, np.multiply(direction, share), out=buffer)
        return np.add(direction, np.multiply(buffer, momentum)) if group["nesterov"] else buffer

    def _as_array(self, group: dict[str, Any], name: str, dtype: DType) -> Array:
        """Return an option (of dampening, what it leaves) as an array without axes.

        It stays the same array when the option changes, for captured steps to follow.
        """
        value, key = group[name], (id(group), name, dtype)
        known = self._numbers.get(key) or [..., np.zeros((), dtype)]
        if known[0] is value:
            return known[1]
        if isinstance(value, Tensor):
            array = np.reshape(value._array, ())
            return np.astype(np.subtract(1, array) if name == "dampening" else array, dtype)
        if known[0] != value:
            known[1][...] = float(1 - value if name == "dampening" else value)
            self._numbers[key] = [value, known[1]]  # once it is so
        return known[1]

    # ---- saving and loading -----------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Return the options and buffers in torch's layout; parameters are numbered in order.

        The buffers share memory with the optimizer's.
        """
        parameters = [p for group in self.param_groups for p in group["params"]]
        number = {id(parameter): i for i, parameter in enumerate(parameters)}
        return {
            "state": {number[id(p)]: dict(state) for p, state in self.state.items()},
            "param_groups": [
                {
                    **{name: value for name, value in group.items() if name != "params"},
                    "params": [number[id(p)] for p in group["params"]],
                }
                for group in self.param_groups
            ],
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over options and buffers, of minigrad's tensors, torch's or arrays.

        As in torch, a tensor of the parameter's dtype is not copied: two optimizers of one state
        would both move its buffers. Give a copy.deepcopy() of the state for them to part.

        Raises:
            ValueError: the groups are other in number or size, or a buffer has another shape than
                its parameter.
        """
        saved = copy.deepcopy(state_dict["param_groups"])
        sizes, own = ([len(g["params"]) for g in groups] for groups in (saved, self.param_groups))
        if sizes != own:
            raise ValueError(
                "SGD: the loaded state dict has a different number of parameter groups, or one "
                f"that doesn't match the size of the optimizer's group: it has groups of {sizes} "
                f"parameters, the optimizer of {own}"
            )
        numbers = [number for group in saved for number in group["params"]]
        parameters = [p for group in self.param_groups for p in group["params"]]
        by_number = dict(zip(numbers, parameters, strict=True))
        state = {
            by_number[number]: {
                name: _loaded(name, value, by_number[number]) for name, value in values.items()
            }
            for number, values in state_dict["state"].items()
            if number in by_number
        }
        self.param_groups = [
            {**self.defaults, **new, "params": old["params"]}
            for new, old in zip(saved, self.param_groups, strict=True)
        ]
        self.state = state

    def __repr__(self) -> str:
        groups = []
        for i, group in enumerate(self.param_groups):
            options = "".join(f"    {k}: {group[k]}\n" for k in sorted(group) if k != "params")
            groups.append(f"\nParameter Group {i}\n{options}")
        return f"{type(self).__name__} ({''.join(groups)})"


def _loaded(name: str, value: Any, parameter: Tensor) -> Any:
    """Return a saved buffer as a tensor of the parameter's dtype."""
    if value is None:
        return None
    tensor = value if isinstance(value, Tensor) else Tensor._wrapped(np.copy(np.asarray(value)))
    if tensor.shape != parameter.shape:
        raise ValueError(
            f"SGD: {name} of shape {list(tensor.shape)} does not belong to a parameter of shape "
            f"{list(parameter.shape)}"
        )
    return tensor.to(parameter.dtype)

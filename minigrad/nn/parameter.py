"""`Parameter`: a tensor that a module trains; and loading the values of parameters."""

from collections.abc import Mapping
from typing import Any, NamedTuple, Self

import numpy as np

from minigrad.layout import copied
from minigrad.tape import changed
from minigrad.tensor import Tensor
from minigrad.tensor.base import require_tensor


class Parameter(Tensor):
    """A leaf tensor that requires a gradient and that a `Module` finds among its attributes."""

    __slots__ = ()

    def __init__(self, data: Tensor, requires_grad: bool = True) -> None:
        self._array, self._node = require_tensor("Parameter", data)._array, None
        self.requires_grad_(requires_grad)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Copy the values; the copy starts without a gradient, as torch's does."""
        return type(self)(self._wrapped(copied(self._array)), self.requires_grad)

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Pickle as a tensor; as in torch, without a word of the hooks that are not saved."""
        return self._reduced()

    def __repr__(self) -> str:
        return f"Parameter containing:\n{super().__repr__()}"


class IncompatibleKeys(NamedTuple):
    """What `load_state_dict` found no place for, and no value for."""

    missing_keys: list[str]
    unexpected_keys: list[str]

    def __repr__(self) -> str:
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        missing, unexpected = self
        return f"_IncompatibleKeys(missing_keys={missing}, unexpected_keys={unexpected})"


def load(
    owner: str, own: Mapping[str, Tensor], state_dict: Mapping[str, Tensor], strict: bool
) -> IncompatibleKeys:
    """Copy values into the tensors of the same names, or none; see `Module.load_state_dict`."""
    if not isinstance(state_dict, Mapping):
        raise TypeError(
            f"load_state_dict: expected a mapping, not {type(state_dict).__name__}: give what "
            "state_dict() returned"
        )
    keys = IncompatibleKeys(
        [name for name in own if name not in state_dict],
        [name for name in state_dict if name not in own],
    )
    problems = []
    if strict:
        problems += [f"missing key {name!r}" for name in keys.missing_keys]
        problems += [f"unexpected key {name!r}" for name in keys.unexpected_keys]
    for name, parameter in own.items():
        value: Any = state_dict.get(name, parameter)
        if not isinstance(value, Tensor):
            problems.append(f"{name!r} is of type {type(value).__name__}, not Tensor")
        elif value.shape != parameter.shape:
            problems.append(
                f"size mismatch for {name!r}: given {list(value.shape)}, "
                f"needed {list(parameter.shape)}"
            )
    if problems:
        raise RuntimeError(f"Error(s) in loading state_dict for {owner}: {'; '.join(problems)}")
    for name, parameter in own.items():
        if name in state_dict:
            changed(parameter._array)
            parameter._array[...] = np.astype(state_dict[name]._array, parameter.dtype)
    return keys

"""What the user calls the tensors that take part in a computation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

from minigrad.nn import Module
from minigrad.tensor import Tensor


@dataclass
class Names:
    """What the user calls things: leaves and arrays by their `id`."""

    leaves: dict[int, str] = field(default_factory=dict)
    arrays: dict[int, str] = field(default_factory=dict)
    _modules: set[int] = field(default_factory=set)
    _globals: set[int] = field(default_factory=set)
    _kept: list[Any] = field(default_factory=list)  # an id is good for as long as its object is

    def look_around(self, frame: FrameType) -> None:
        """Note the names of tensors among a frame's variables."""
        self._add(frame.f_locals)
        if id(frame.f_globals) not in self._globals:
            self._globals.add(id(frame.f_globals))
            self._add(frame.f_globals)

    def _add(self, variables: Mapping[str, Any]) -> None:
        for name, value in list(variables.items()):
            if isinstance(value, Tensor):
                self._add_tensor(name, value)
            elif isinstance(value, Module):
                self.add_module(value)

    def _add_tensor(self, name: str, tensor: Tensor) -> None:
        node = tensor._grad_node
        key, names = (id(tensor._array), self.arrays) if node is None else (id(node), self.leaves)
        if key not in names:
            names[key] = name
            self._kept += (node, tensor._array)

    def add_module(self, module: Module) -> None:
        """Note the names of a module's parameters."""
        if id(module) not in self._modules:
            self._modules.add(id(module))
            self._kept.append(module)
            for name, parameter in module.named_parameters():
                self._add_tensor(name, parameter)

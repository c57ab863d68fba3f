"""Modules that hold others, or parameters: by position, or by name."""

import operator
from collections.abc import ItemsView, Iterable, Iterator, KeysView, Mapping, ValuesView
from typing import Any, Self

from minigrad.nn.module import Module
from minigrad.nn.parameter import Parameter
from minigrad.tensor import Tensor


class Numbered(Module):
    """What `Sequential` and `ModuleList` share: modules by position, named '0', '1', ..."""

    def append(self, module: Module) -> Self:
        """Add a module at the end.

        Raises:
            TypeError: it is no module.
        """
        self.add_module(str(len(self)), module)
        return self

    def extend(self, modules: Iterable[Module]) -> Self:
        """Add several modules at the end.

        Raises:
            TypeError: they are not several, or one is no module.
        """
        for module in [*_several(self, modules)]:
            self.append(module)
        return self

    def insert(self, index: int, module: Module) -> Any:
        """Add a module before the one at a position; those behind it move on.

        Raises:
            AssertionError: it is no module.
            IndexError: there is no such position.
            KeyError: the modules have names that are no numbers.
        """
        if not isinstance(module, Module):
            raise AssertionError(
                f"{type(self).__name__}: insert takes a Module, not {type(module).__name__}"
            )
        index, size = operator.index(index), len(self)
        if not -size <= index <= size:
            raise IndexError(f"index {index} is out of range: there are {size} modules")
        if list(self._modules) != [str(i) for i in range(size)]:
            raise KeyError(f"insert needs modules named '0', '1', ..., not {list(self._modules)}")
        modules = list(self)
        modules.insert(index, module)
        self._renumber(modules)
        return self

    def pop(self, key: int | slice) -> Any:
        """Remove the module at a position, or several by a slice, and return it.

        Raises:
            IndexError: there is no such position.
        """
        module = self[key]
        del self[key]
        return module

    def _renumber(self, modules: Iterable[Module]) -> None:
        self._modules = {str(i): module for i, module in enumerate(modules)}

    def _name(self, position: int) -> str:
        """Return the name of the module at a position."""
        return list(self._modules)[_within(position, len(self))]

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Module]:
        return iter(self._modules.values())

    def __getitem__(self, position: int | slice) -> Any:
        raise NotImplementedError

    def __setitem__(self, position: int, module: Module) -> None:
        setattr(self, self._name(position), module)

    def __delitem__(self, position: int | slice) -> None:
        names = list(self._modules)
        gone = names[position] if isinstance(position, slice) else [self._name(position)]
        self._renumber(self._modules[name] for name in names if name not in gone)

    def __dir__(self) -> list[str]:
        return [name for name in super().__dir__() if not name.isdigit()]


class ModuleList(Numbered):
    """Modules in a list; it has no `forward`: what is done with them is written in another's."""

    def __init__(self, modules: Iterable[Module] | None = None) -> None:
        super().__init__()
        if modules is not None:
            self.extend(modules)

    def insert(self, index: int, module: Module) -> None:
        """Add a module before the one at a position; see `Sequential.insert`."""
        super().insert(index, module)

    def __getitem__(self, position: int | slice) -> Any:
        if isinstance(position, slice):
            return type(self)(list(self)[position])
        return self._modules[self._name(position)]

    def __add__(self, other: Iterable[Module]) -> "ModuleList":
        return ModuleList(self).extend(other)

    def __iadd__(self, modules: Iterable[Module]) -> Self:
        return self.extend(modules)

    def __repr__(self) -> str:
        """Show equal neighbours once: `(0-1): 2 x ReLU()`."""
        runs: list[list[Any]] = []  # first, last, text
        for i, text in enumerate(map(repr, self)):
            if runs and runs[-1][2] == text:
                runs[-1][1] = i
            else:
                runs.append([i, i, text])
        lines = [
            f"({first}): {text}"
            if first == last
            else f"({first}-{last}): {last - first + 1} x {text}"
            for first, last, text in runs
        ]
        body = "\n".join(lines).replace("\n", "\n  ")
        return f"{type(self).__name__}(\n  {body}\n)" if lines else f"{type(self).__name__}()"


class ModuleDict(Module):
    """Modules by name, in the order in which they were set; it has no `forward`."""

    def __init__(self, modules: Any = None) -> None:
        super().__init__()
        if modules is not None:
            self.update(modules)

    def update(self, modules: Any) -> None:
        """Set modules from a mapping, or from pairs of a name and a module.

        Raises:
            TypeError: they are neither, or one is no module.
            ValueError: one is no pair.
            KeyError: a name is empty or taken, or has a dot in it.
        """
        pairs = modules.items() if isinstance(modules, (Mapping, ModuleDict)) else modules
        for pair in _several(self, pairs):
            if not isinstance(pair, Iterable):
                raise TypeError(
                    f"ModuleDict.update: expected pairs, not {type(pair).__name__}: give a dict"
                )
            parts = list(pair)
            if len(parts) != 2:
                raise ValueError(
                    f"ModuleDict.update: a pair has 2 parts, and this has {len(parts)}"
                )
            self[parts[0]] = parts[1]

    def keys(self) -> KeysView[str]:
        """Return the names."""
        return self._modules.keys()

    def values(self) -> ValuesView[Module]:
        """Return the modules."""
        return self._modules.values()

    def items(self) -> ItemsView[str, Module]:
        """Return names and modules."""
        return self._modules.items()

    def pop(self, key: str) -> Module:
        """Remove the module of this name, and return it.

        Raises:
            KeyError: there is none.
        """
        module: Module = self._modules.pop(key)
        return module

    def clear(self) -> None:
        """Remove all modules."""
        self._modules.clear()

    def __getitem__(self, key: str) -> Module:
        module: Module = self._modules[key]
        return module

    def __setitem__(self, key: str, module: Module) -> None:
        self.add_module(key, module)

    def __delitem__(self, key: str) -> None:
        del self._modules[key]

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __contains__(self, key: str) -> bool:
        return key in self._modules


class ParameterList(Module):
    """Parameters in a list; a tensor becomes a parameter, other values stay what they are."""

    def __init__(self, values: Iterable[Any] | None = None) -> None:
        super().__init__()
        self._size = 0
        if values is not None:
            self.extend(values)

    def append(self, value: Any) -> Self:
        """Add a parameter at the end."""
        self._size += 1
        self[self._size - 1] = value
        return self

    def extend(self, values: Iterable[Any]) -> Self:
        """Add several parameters at the end.

        Raises:
            TypeError: they are not several, or a tensor, whose rows are no parameters.
        """
        for value in [*_several(self, values)]:
            self.append(value)
        return self

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        raise RuntimeError("ParameterList should not be called: it only holds parameters")

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, position: int | slice) -> Any:
        if isinstance(position, slice):
            return type(self)(list(self)[position])
        return getattr(self, str(_within(position, len(self))))

    def __setitem__(self, position: int, value: Any) -> None:
        if isinstance(value, Tensor) and not isinstance(value, Parameter):
            value = Parameter(value)
        setattr(self, str(_within(position, len(self))), value)

    def __iadd__(self, values: Iterable[Any]) -> Self:
        return self.extend(values)

    def __dir__(self) -> list[str]:
        return [name for name in super().__dir__() if not name.isdigit()]

    def extra_repr(self) -> str:
        lines = []
        for i, value in enumerate(self):
            what = f"Object of type: {type(value).__name__}"
            if isinstance(value, Tensor):
                lengths = "x".join(map(str, value.shape))
                what = f"Parameter containing: [torch.{value.dtype} of size {lengths}]"
            lines.append(f"  ({i}): {what}")
        return "\n".join(lines)


def _several(owner: Module, values: Any) -> Iterable[Any]:
    if isinstance(values, Tensor) or not isinstance(values, Iterable):
        raise TypeError(
            f"{type(owner).__name__}: expected several values, for example a list, not one "
            f"{type(values).__name__}"
        )
    return values


def _within(position: int, size: int) -> int:
    """Return a position counted from the front; raise an IndexError where there is none."""
    index = operator.index(position)
    if not -size <= index < size:
        raise IndexError(f"index {index} is out of range: there are {size}")
    return index % size

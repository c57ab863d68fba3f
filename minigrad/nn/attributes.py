"""`Attributes`: parameters, buffers and modules, found among what is set on an object."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from minigrad.nn.parameter import Parameter
from minigrad.tensor import Tensor


class Attributes:
    """What is common to all modules: three kinds of attributes are kept apart from all others.

    A parameter is known by its class, a module too. A buffer, a tensor that is saved with the
    parameters and not trained, is set by `register_buffer`.
    """

    _parameters: dict[str, Parameter | None]
    _buffers: dict[str, Tensor | None]
    _modules: dict[str, Any]
    _non_persistent_buffers_set: set[str]

    def __init__(self) -> None:
        self._parameters = {}
        self._buffers = {}
        self._modules = {}
        self._non_persistent_buffers_set = set()

    def __getattr__(self, name: str) -> Any:
        """Return a parameter, a buffer or a module."""
        attributes = self.__dict__
        if "_modules" in attributes:
            for kept in ("_parameters", "_buffers", "_modules"):
                if name in attributes[kept]:
                    return attributes[kept][name]
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __setattr__(self, name: str, value: Any) -> None:
        if "_modules" not in self.__dict__ and isinstance(value, (Parameter, Attributes)):
            raise AttributeError(
                f"cannot assign {name!r} before Module.__init__() call: begin __init__ with "
                "super().__init__()"
            )
        if isinstance(value, Parameter):
            self._remove(name, "_buffers", "_modules")
            self.register_parameter(name, value)
        elif isinstance(value, Attributes) and name not in self._parameters:
            self._remove(name, "_buffers")
            self._modules[name] = value
        else:
            self._set_plain(name, value)

    def _remove(self, name: str, *tables: str) -> None:
        for table in ("__dict__", *tables):
            getattr(self, table).pop(name, None)
        self._non_persistent_buffers_set.discard(name)

    def _set_plain(self, name: str, value: Any) -> None:
        """Set what is neither a parameter nor a module; None keeps the place of one."""
        kinds = (
            ("_parameters", "parameter", Parameter, "Parameter"),
            ("_modules", "child module", Attributes, "Module"),
            ("_buffers", "buffer", Tensor, "Tensor"),
        )
        for table, what, kind, known_as in kinds:
            kept = self.__dict__.get(table, {})
            if name in kept:
                if value is not None and not (kind is Tensor and isinstance(value, Tensor)):
                    raise TypeError(
                        f"cannot assign '{type(value).__name__}' as {what} {name!r} "
                        f"(a {known_as} or None expected): "
                        f"del the attribute first to give the name another meaning"
                    )
                kept[name] = value
                return
        object.__setattr__(self, name, value)

    def __delattr__(self, name: str) -> None:
        for kept in (self._parameters, self._buffers, self._modules):
            if name in kept:
                del kept[name]
                self._non_persistent_buffers_set.discard(name)
                return
        object.__delattr__(self, name)

    def __dir__(self) -> list[str]:
        kept = {*self._parameters, *self._buffers, *self._modules}
        return sorted({*object.__dir__(self), *kept})

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Set a parameter under a name; None keeps the place for one.

        Raises:
            TypeError: it is no Parameter, or the name no text.
            KeyError: the name is empty or taken, or has a dot in it.
        """
        self._check_name(name, param, Parameter, "Parameter", self._parameters)
        self._parameters[name] = param

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Set a tensor that is saved and converted with the parameters, but not trained.

        Args:
            name: see `register_parameter`, also for what is raised.
            tensor: the tensor; None keeps the place for one.
            persistent: whether it is part of `state_dict`.
        """
        self._check_name(name, tensor, Tensor, "Tensor", self._buffers)
        self._buffers[name] = tensor
        if persistent:
            self._non_persistent_buffers_set.discard(name)
        else:
            self._non_persistent_buffers_set.add(name)

    def add_module(self, name: str, module: Any) -> None:
        """Set a module under a name; see `register_parameter`."""
        self._check_name(name, module, Attributes, "Module", self._modules)
        self._modules[name] = module

    def register_module(self, name: str, module: Any) -> None:
        """Set a module under a name: `add_module`."""
        self.add_module(name, module)

    def _check_name(
        self, name: str, value: Any, kind: type, known_as: str, known: Mapping[str, Any]
    ) -> None:
        if not isinstance(name, str):
            raise TypeError(f"name should be a string, not {type(name).__name__}")
        if value is not None and not isinstance(value, kind):
            raise TypeError(
                f"{type(self).__name__}: cannot assign '{type(value).__name__}' to {name!r}: "
                f"a {known_as} or None is expected"
                + (": a function is called in the forward() of one" if kind is Attributes else "")
            )
        if not name or "." in name:
            raise KeyError(f'name {name!r} can\'t be empty or contain "."')
        if hasattr(self, name) and name not in known:
            raise KeyError(f"attribute {name!r} already exists")

"""What a probe is given as `note`: it keeps what is computed, to be compared."""

import copy
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from parity.engines.protocol import Array

Capture = Callable[[Callable[..., Any]], Callable[..., Any]]
"""Returns a function that does what the given one does, and from some call on replays it."""

Together = Callable[[Any, Sequence[Any]], Any]
"""Called with a library and networks of one shape, returns what `OneByOne` is."""


class Key(NamedTuple):
    """What was noted: "forward" a value, "backward" a gradient, "optimizer" an updated parameter,
    "inputs" an input after all that.
    """

    phase: str
    tensor: str


class OneByOne:
    """Networks that are trained at once, each by itself: what an engine's ensemble must equal.

    Args:
        lib: the library, in torch's names.
        networks: of one shape; they are copied.
    """

    def __init__(self, lib: Any, networks: Sequence[Any]) -> None:
        self._lib, self._networks = lib, [copy.deepcopy(network) for network in networks]

    def parameters(self) -> list[Any]:
        """Return what is trained."""
        return [p for network in self._networks for p in network.parameters()]

    def outputs(self, x: Any) -> Any:
        """Return each network's outputs, (members, samples, …).

        Args:
            x: (samples, …) for the same of all networks, or (members, samples, …).
        """
        networks = enumerate(self._networks)
        return self._lib.stack([n(x if x.ndim == 2 else x[i]) for i, n in networks])

    def losses(self, x: Any, y: Any) -> Any:
        """Return each network's mean squared error, (members,); y is like x."""
        each = (
            self._lib.nn.functional.mse_loss(
                network(x if x.ndim == 2 else x[i]), y if y.ndim == 2 else y[i]
            )
            for i, network in enumerate(self._networks)
        )
        return self._lib.stack([*each])

    def members(self) -> Iterator[tuple[str, list[tuple[Any, Any, Any]]]]:
        """Yield each parameter's name and, of each network, the parameter, value and gradient."""
        for named in zip(*(network.named_parameters() for network in self._networks), strict=True):
            yield named[0][0], [(p, p, p.grad) for _, p in named]


class Notes:
    """What a probe is given as `note`.

    Args:
        make: makes a leaf, which requires a gradient, of an array.
        arrays: the values of the inputs.
        together: makes what trains several networks at once; see `OneByOne`.

    Attributes:
        values: what was noted.
        watched: tensors whose gradients are noted when the probe has ended, by name.
    """

    def __init__(
        self,
        make: Callable[[Array], Any],
        arrays: dict[str, Array],
        together: Together = OneByOne,
    ) -> None:
        self.values: dict[Key, Any] = {}
        self.watched: dict[str, Any] = {}
        self.together = together
        self._make, self._arrays = make, arrays

    def leaf(self, name: str) -> Any:
        """Return a new leaf of the values of an input."""
        return self._make(self._arrays[name])

    def __call__(self, name: str, tensor: Any, *, gradient: bool = True) -> Any:
        """Note a value and, once the probe has ended, its gradient; return the tensor."""
        if gradient and tensor.requires_grad:
            self.watched[name] = tensor
            if not tensor.is_leaf:
                tensor.retain_grad()
        self.add(Key("forward", name), tensor)
        return tensor

    def captured(self, step: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function that is called several times; an engine may record and replay it."""
        return step

    def repeated(self, step: Callable[..., Any], times: int, *arguments: Any) -> list[Any]:
        """Call a captured step several times, at once by its `repeat` if it has one."""
        repeat = getattr(step, "repeat", None)
        return [*repeat(times, *arguments)] if repeat else [step(*arguments) for _ in range(times)]

    def flag(self, name: str, value: bool) -> None:
        """Note what is no tensor: whether something is so."""
        key = Key("forward", name)
        self.add(key, None)
        self.values[key] = np.array(value)

    def gradient(self, name: str, tensor: Any, value: Any = None) -> Any:
        """Note a gradient by `tensor`: its present `.grad`, or a value; return it."""
        found = tensor.grad if value is None else value
        self.add(Key("backward", name), found, tensor)
        return found

    def updated(self, name: str, parameter: Any) -> None:
        """Note the value of a parameter after an optimiser's step, or of its state."""
        self.add(Key("optimizer", name), parameter)

    def unchanged(self, name: str, tensor: Any) -> None:
        """Note the value of a leaf after everything that should not have changed it."""
        self.add(Key("inputs", name), tensor)

    def add(self, key: Key, tensor: Any, of: Any = None) -> None:
        """Keep a copy of a value; a gradient is that by the tensor `of`."""
        assert key not in self.values, f"{key} is noted twice"
        self.values[key] = None if tensor is None else self.read(tensor)

    def read(self, tensor: Any) -> Any:
        """Return a tensor's values, whatever namespace it is of."""
        values = np.array(tensor.detach().tolist(), _numpy_dtype(tensor.dtype))
        return values.reshape(tuple(tensor.shape))


@cache
def _numpy_dtype(dtype: Any) -> np.dtype[Any]:
    return np.dtype(str(dtype).removeprefix("torch."))


class KeptNotes(Notes):
    """Notes of a probe that is captured: copies, which are read when it is over.

    Args:
        inputs: the leaves themselves, by name.
    """

    def __init__(self, inputs: dict[str, Any], together: Together) -> None:
        super().__init__(lambda leaf: leaf, inputs, together)
        self._given: set[str] = set()

    def leaf(self, name: str) -> Any:
        """Return the input; when asked again, a new leaf of its values."""
        leaf: Any = self._arrays[name]
        if name in self._given:
            return leaf.detach().clone().requires_grad_()
        self._given.add(name)
        return leaf

    def read(self, tensor: Any) -> Any:
        """Return a copy."""
        return tensor.detach().clone()

    def captured(self, step: Callable[..., Any]) -> Callable[..., Any]:
        """Raise: what has steps is captured step by step."""
        raise HasSteps


class HasSteps(Exception):
    """A probe has steps that are called several times."""


class PartlyCaptured(Notes):
    """Notes of a probe whose steps are captured, each by itself, if there are any."""

    def __init__(self, capture: Capture, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.captures = False
        self._capture = capture

    def captured(self, step: Callable[..., Any]) -> Callable[..., Any]:
        """Return the captured step."""
        self.captures = True
        return self._capture(step)

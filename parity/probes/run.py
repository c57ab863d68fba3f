"""Running probes in an engine's process: what they note, and what becomes of it."""

import copy
import traceback
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from parity.engines.protocol import Array
from parity.engines.trainer import Trainer
from parity.probes import probe_named, share
from parity.probes.probe import Probe

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


class Problem(NamedTuple):
    """An exception, and the function and line of the engine that raised it."""

    text: str
    rule: str | None
    line: str | None


@dataclass
class Outcome:
    """What a probe noted, in the order in which it was computed; None for no gradient.

    Not judged is a probe that the engine refuses to capture.
    """

    probe: str
    values: dict[Key, Array | None] = field(default_factory=dict)
    problem: Problem | None = None
    judged: bool = True


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

    def losses(self, x: Any, y: Any) -> Any:
        """Return each network's mean squared error, (members,).

        Args:
            x, y: (samples, …) for the same of all networks, or (members, samples, …).
        """
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


def probes(
    trainer: Trainer, dtype: str, seed: int, names: Sequence[str]
) -> Generator[Outcome, None, bool]:
    """Run the probes of these names, in the names of the engine's library.

    Returns whether the engine has such a namespace.
    """
    namespace = trainer.engine.namespace
    if namespace is None:
        return False
    engine = trainer.engine
    yield from run_probes(namespace, dtype, seed, names, engine.capture, engine.together)
    return True


def run_probes(
    lib: ModuleType,
    dtype: str,
    seed: int,
    names: Sequence[str] | None = None,
    capture: Capture | None = None,
    together: Together | None = None,
) -> Iterator[Outcome]:
    """Run the seed's share of the probes, or those of these names, one after the other.

    With `capture` they run by replays, with `together` networks of one shape are trained at once.
    """
    together = together or OneByOne
    for name in share(seed) if names is None else names:
        probe = probe_named(name)
        if capture is not None:
            yield replay_probe(lib, capture, probe, dtype, seed, together)
            continue
        arrays = probe.draw(dtype, seed)
        notes = Notes(lambda a: lib.tensor(a).requires_grad_(), arrays, together)
        problem = run_probe(lib, probe, notes)
        yield Outcome(name, notes.values, problem)


def run_probe(lib: ModuleType, probe: Probe, notes: Notes) -> Problem | None:
    """Run a probe; see `note_all`.

    Whatever it raises is what an engine does wrong, and is returned.
    """
    try:
        note_all(lib, probe, notes)
    except Exception as error:  # an engine under test may raise anything
        return _problem(error, Path(str(lib.__file__)).parent)
    return None


@cache
def _numpy_dtype(dtype: Any) -> np.dtype[Any]:
    return np.dtype(str(dtype).removeprefix("torch."))


def note_all(lib: ModuleType, probe: Probe, notes: Notes) -> None:
    """Run a probe; note the gradients of what it noted and of its inputs, and the inputs."""
    inputs = {name: notes.leaf(name) for name in probe.inputs}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what a probe does on purpose
        result = probe.function(lib, dict(inputs), notes)
    if result is not None:
        notes.add(Key("forward", "result"), result)
        result.backward()
    for name, tensor in [*reversed(notes.watched.items()), *inputs.items()]:
        notes.add(Key("backward", name), tensor.grad, tensor)
    for name, tensor in inputs.items():
        notes.add(Key("inputs", name), tensor)


# ---- by replays ---------------------------------------------------------------------------------


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


def replay_probe(
    lib: ModuleType,
    capture: Capture,
    probe: Probe,
    dtype: str,
    seed: int,
    together: Together = OneByOne,
) -> Outcome:
    """Capture a probe at other values of its inputs, and replay it at its own.

    It is replayed at the others once more before anything is read: what a step returns must not
    change after that. If it has steps, these are captured one by one.
    """
    own = probe.draw(dtype, seed)
    others = {name: np.roll(array, 1) for name, array in probe.draw(dtype, seed ^ 1).items()}
    refusal = getattr(lib, "CaptureError", HasSteps)

    def body(inputs: dict[str, Any]) -> dict[Key, Any]:
        notes = KeptNotes(inputs, together)
        note_all(lib, probe, notes)
        return notes.values

    step = capture(body)

    def called(arrays: dict[str, Array]) -> tuple[dict[Key, Any], dict[str, Any]]:
        inputs = {name: lib.tensor(array).requires_grad_() for name, array in arrays.items()}
        return step(inputs), inputs

    try:
        called(others)
        called(others)
        values, inputs = called(own)
        called(others)
        # A captured step is given copies, and adds their gradients to those of its arguments.
        values |= {Key("backward", name): leaf.grad for name, leaf in inputs.items()}
        read = Notes(lib.tensor, own).read
        found = {
            key: value if value is None or isinstance(value, np.ndarray) else read(value)
            for key, value in values.items()
        }
        return Outcome(probe.name, found)
    except (HasSteps, refusal):
        steps = PartlyCaptured(capture, lambda a: lib.tensor(a).requires_grad_(), own, together)
        return _replay_steps(lib, probe, steps, refusal)
    except Exception as error:
        return Outcome(probe.name, problem=_problem(error, Path(str(lib.__file__)).parent))


def _replay_steps(lib: ModuleType, probe: Probe, notes: PartlyCaptured, refusal: Any) -> Outcome:
    """Run a probe with its steps captured one by one; not judged is one whose steps are refused."""
    problem = None
    try:
        note_all(lib, probe, notes)
    except refusal:
        return Outcome(probe.name, judged=False)
    except Exception as error:
        problem = _problem(error, Path(str(lib.__file__)).parent)
    return Outcome(probe.name, notes.values, problem, judged=notes.captures)


def _problem(error: Exception, package: Path) -> Problem:
    """Say what was raised, and where in the engine's package."""
    text = f"{type(error).__name__}: {error}"
    for frame, line in reversed(list(traceback.walk_tb(error.__traceback__))):
        path = Path(frame.f_code.co_filename)
        if path.is_relative_to(package):
            place = f"{path.relative_to(package.parent).as_posix()}:{line}"
            return Problem(text, frame.f_code.co_name, place)
    return Problem(text, None, None)

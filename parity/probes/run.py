"""Running probes in an engine's process: what they note, and what becomes of it."""

import traceback
import warnings
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from parity.engines.protocol import Array
from parity.engines.trainer import Trainer
from parity.errors import summary
from parity.probes import probe_named, share
from parity.probes.notes import (
    Capture,
    HasSteps,
    KeptNotes,
    Key,
    Notes,
    OneByOne,
    PartlyCaptured,
    Together,
)
from parity.probes.probe import Probe


class Problem(NamedTuple):
    """An exception, and the function and line of the engine that raised it."""

    text: str
    rule: str | None
    line: str | None


@dataclass
class Outcome:
    """What a probe noted, in the order in which it was computed; None for no gradient.

    Not judged is a probe that the engine refuses to capture. `together` says whether the engine
    trains several networks at once by functions of its own.
    """

    probe: str
    values: dict[Key, Array | None] = field(default_factory=dict)
    problem: Problem | None = None
    judged: bool = True
    together: bool = False


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
    trained = together or OneByOne
    for name in share(seed) if names is None else names:
        probe = probe_named(name)
        if capture is not None:
            found = replay_probe(lib, capture, probe, dtype, seed, trained)
        else:
            arrays = probe.draw(dtype, seed)
            notes = Notes(lambda a: lib.tensor(a).requires_grad_(), arrays, trained)
            problem = run_probe(lib, probe, notes)
            found = Outcome(name, notes.values, problem)
        yield replace(found, together=together is not None)


def run_probe(lib: ModuleType, probe: Probe, notes: Notes) -> Problem | None:
    """Run a probe; see `note_all`.

    Whatever it raises is what an engine does wrong, and is returned.
    """
    try:
        note_all(lib, probe, notes)
    except Exception as error:  # an engine under test may raise anything
        return _problem(error, Path(str(lib.__file__)).parent)
    return None


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
    text = summary(error).replace("\n", " ")  # a case has no text of several lines
    for frame, line in reversed(list(traceback.walk_tb(error.__traceback__))):
        path = Path(frame.f_code.co_filename)
        if path.is_relative_to(package):
            place = f"{path.relative_to(package.parent).as_posix()}:{line}"
            return Problem(text, frame.f_code.co_name, place)
    return Problem(text, None, None)

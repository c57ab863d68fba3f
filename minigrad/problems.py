"""A problem: a file of functions in torch's names, `model(torch)` and others, run with minigrad.

`parity` judges such files, and its README says what they may have. Here is one step of one.
"""

import inspect
import math
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

import minigrad
from minigrad.architectures import DEFAULT_SEED, parabola, step_of
from minigrad.limits import beyond
from minigrad.tensor import Tensor

FUNCTIONS = {
    "model": ("torch",),
    "data": ("torch",),
    "loss": ("torch", "prediction", "y"),
    "optimizer": ("torch", "parameters"),
    "scheduler": ("torch", "optimizer"),
}
"""The functions of a problem, and what they are given."""

MOST_BYTES = 1_000_000


def step_seed(seed: int, step: int) -> int:
    """Return the seed of the numbers that are drawn in a step; no two steps share one."""
    return (seed * 0x9E3779B97F4A7C15 + step + 1) % 2**63


def order(samples: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """Return the order of the samples in an epoch: torch's `randperm`, of a generator's own."""
    generator = minigrad.Generator().manual_seed((seed + epoch) % 2**64)
    return minigrad.randperm(samples, generator=generator).numpy()


def training(
    path: str, seed: int | None = None, epoch: int = 1
) -> tuple[Callable[[], Tensor], str]:
    """Return the first step of an epoch, counted from 1, and its title; all before it are taken.

    Args:
        path: of the file. It is run.
        seed: of data, model and order; None for the file's, or `DEFAULT_SEED`.
        epoch: with mini-batches, an epoch has several steps.

    Raises:
        ProblemError: the file is no problem that can be trained; it says where, and what to do.
    """
    written = _Written(path)
    if seed is None:
        seed = written.value("seed", DEFAULT_SEED)
    batch_size, shuffle = written.value("batch_size", 0), written.module.get("shuffle", False)
    if shuffle and not batch_size:
        raise ProblemError(
            f"{path}: shuffle says in which order mini-batches come: give batch_size, too"
        )
    minigrad.manual_seed(seed)
    *inputs, y = written.data()
    model = written.call("model", minigrad)
    if not isinstance(model, minigrad.nn.Module) or not list(model.parameters()):
        raise written.wrong("model", "an nn.Module that has parameters", model)
    optimizer = written.call("optimizer", minigrad, model.parameters())
    if optimizer is None:
        optimizer = minigrad.optim.SGD(model.parameters(), lr=0.01)
    if not isinstance(optimizer, minigrad.optim.SGD):
        raise written.wrong("optimizer", "an optim.SGD", optimizer)
    scheduler = written.call("scheduler", minigrad, optimizer)
    if scheduler is not None and not callable(getattr(scheduler, "step", None)):
        raise written.wrong("scheduler", "a scheduler", scheduler)
    own = written.module.get("loss")

    def written_loss(prediction: Tensor, targets: Tensor) -> Tensor:
        assert own is not None
        value = own(minigrad, prediction, targets)
        if not isinstance(value, Tensor) or value.numel() != 1 or not value.requires_grad:
            must = "a tensor of one number, computed from the model's parameters"
            raise written.wrong("loss", must, value)
        return value

    loss = minigrad.nn.MSELoss() if own is None else written_loss

    def on_all(x: Any) -> Any:
        return model(*x)

    def take(number: int) -> Tensor:
        minigrad.manual_seed(step_seed(seed, number))
        x, targets = inputs, y
        if batch_size:
            done, batch = divmod(number, an_epoch)
            rows = order(len(y), seed, done) if shuffle else np.arange(len(y))
            chosen = minigrad.tensor(rows[batch * batch_size :][:batch_size])
            x, targets = [tensor[chosen] for tensor in inputs], y[chosen]
        single = len(x) == 1
        step = step_of(model if single else on_all, loss, optimizer, x[0] if single else x, targets)
        with written.told("a training step"):
            return step()

    an_epoch = math.ceil(len(y) / batch_size) if batch_size else 1
    first = (epoch - 1) * an_epoch
    for number in range(first):
        take(number)
        if scheduler is not None and (number + 1) % an_epoch == 0:
            scheduler.step()
    return partial(take, first), f"Training step {first + 1} of {Path(path).name}, seed {seed}"


class ProblemError(ValueError):
    """A file is no problem that can be trained."""


class _Written:
    """A file of functions, run; whatever goes wrong in it is a `ProblemError` that says where.

    Attributes:
        module: its names.
    """

    def __init__(self, path: str) -> None:
        self._path, file = path, Path(path)
        if not file.is_file() or file.stat().st_size > MOST_BYTES:
            raise ProblemError(f"{path} is no file of at most {MOST_BYTES:,} bytes: give a problem")
        try:
            source = file.read_text("utf-8")
        except UnicodeDecodeError as error:
            raise ProblemError(f"{path} is no text in UTF-8: {error.reason}") from error
        module = ModuleType(file.stem)
        module.__file__ = path
        sys.path.append(str(file.resolve().parent))  # it may import what lies beside it
        with self.told("the file"):
            exec(compile(source, path, "exec"), module.__dict__)
        self.module = module.__dict__
        if "model" not in self.module:
            raise ProblemError(
                f"{path} has no function model(torch), which returns the nn.Module to train"
            )
        for name in FUNCTIONS.keys() & self.module.keys():
            try:
                inspect.signature(self.module[name]).bind(*FUNCTIONS[name])
            except TypeError:
                must = f"{name} must be a function {self._signature(name)}"
                raise ProblemError(f"{self._place(name)}: {must}") from None
        self.value("epochs", 1)

    def call(self, name: str, *arguments: Any) -> Any:
        """Return what a function returns, None if there is none."""
        function = self.module.get(name)
        if function is None:
            return None
        with self.told(self._signature(name)):
            found = function(*arguments)
        if found is None:
            raise self.wrong(name, "something", found)
        return found

    def data(self) -> list[Tensor]:
        """Return the inputs and the targets, those of the parabola by default."""
        found = self.call("data", minigrad)
        if found is None:
            return list(parabola())
        tensors = isinstance(found, tuple | list) and all(isinstance(t, Tensor) for t in found)
        if not tensors or len(found) < 2:
            raise self.wrong(
                "data", "a tuple of tensors: the model's inputs, then the targets", found
            )
        if any(t.ndim == 0 or len(t) != len(found[-1]) or not len(t) for t in found):
            shapes = ", ".join(str(tuple(t.shape)) for t in found)
            raise ProblemError(
                f"{self._path}: data(torch) must return as many inputs as targets, one sample a "
                f"row, not {shapes}"
            )
        return list(found)

    def value(self, name: str, default: int) -> int:
        """Return a whole number of the file."""
        found: Any = self.module.get(name)
        if found is None:
            return default
        number = found if type(found) is int else None
        wrong = "must be a whole number" if number is None else beyond(name, number)
        if number is None or wrong is not None:
            raise ProblemError(f"{self._path}: {name} = {str(found)[:40]!r} {wrong}")
        return number

    def wrong(self, name: str, wanted: str, found: Any) -> ProblemError:
        """Return what to raise where a function returns something else."""
        must = f"{self._signature(name)} must return {wanted}, not a {type(found).__name__}"
        return ProblemError(f"{self._place(name)}: {must}")

    @contextmanager
    def told(self, what: str) -> Iterator[None]:
        """Turn whatever is raised into a `ProblemError` with the line of the file."""
        try:
            yield
        except (KeyboardInterrupt, ProblemError):
            raise
        except BaseException as error:
            frames = traceback.extract_tb(error.__traceback__)
            lines = [frame.lineno for frame in frames if frame.filename == self._path]
            if isinstance(error, SyntaxError) and error.filename == self._path:
                lines.append(error.lineno)
            place = f"{self._path}:{lines[-1]}" if lines else self._path
            said = f"{type(error).__name__}: {error}"[:500]
            raise ProblemError(f"{place}: {what} raised {said}") from error

    def _place(self, name: str) -> str:
        code = getattr(self.module[name], "__code__", None)
        return f"{self._path}:{code.co_firstlineno}" if code else self._path

    def _signature(self, name: str) -> str:
        return f"{name}({', '.join(FUNCTIONS[name])})"

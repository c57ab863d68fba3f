"""The parts of a task in an engine's library: what a problem says, else those of a chain.

The library is torch, minigrad, or another with torch's names. Nothing else is known of it here.
"""

import functools
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

from minigrad.problems import FUNCTIONS
from minigrad.problems import step_seed as step_seed
from parity.errors import ProblemError
from parity.problems.task import Task
from parity.problems.written import Problem


@contextmanager
def numbers_of(task: Task, library: Any) -> Iterator[None]:
    """Have the library make tensors of the task's dtype where none is named."""
    before = library.get_default_dtype()
    library.set_default_dtype(getattr(library, task.dtype))
    try:
        yield
    finally:
        library.set_default_dtype(before)


def in_numbers_of(task: Task, library: Any, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function of a problem that runs as in `numbers_of`; any other as it is."""
    problem = task.problem
    if problem is None:
        return function

    def run(*arguments: Any) -> Any:
        with numbers_of(task, library), problem.running("the model or the loss"):
            return function(*arguments)

    return run


def model(task: Task, library: Any) -> Any:
    """Return the network, its parameters drawn from the library's generator."""
    if written := _written(task, library, "model"):
        found = written(library)
        if not isinstance(found, library.nn.Module):
            raise wrong(task, "model", f"an nn.Module, not a {type(found).__name__}")
        return found
    layers: list[Any] = []
    for inputs, outputs in pairwise(task.sizes):
        layers += [library.nn.Linear(inputs, outputs, bias=task.bias)]
        layers += [getattr(library.nn, task.activation)()]
    return library.nn.Sequential(*layers[:-1])


def data(task: Task, library: Any) -> tuple[list[Any], Any]:
    """Return the model's inputs, of which there may be several, and the targets.

    Without a problem's or a file's: x evenly spaced on [-5, 5] and y = x² + standard normal noise,
    each (samples, 1). The noise is drawn one element at a time: torch draws sixteen and more at
    once differently.
    """
    if written := _written(task, library, "data"):
        found = written(library)
        if not isinstance(found, tuple | list) or len(found) < 2:
            raise wrong(task, "data", "a tuple of tensors: the model's inputs, then the targets")
        for tensor in found:
            if not isinstance(tensor, library.Tensor):
                raise wrong(task, "data", f"tensors, and one is a {type(tensor).__name__}")
        dtype = getattr(library, task.dtype)
        *x, y = (t.to(dtype) if "float" in str(t.dtype) else t for t in found)
        if any(t.ndim == 0 or len(t) != len(y) or not len(y) for t in (*x, y)):
            shapes = ", ".join(str(tuple(t.shape)) for t in (*x, y))
            raise wrong(task, "data", f"as many inputs as targets, one sample a row, not {shapes}")
        return x, y
    if task.data is not None:
        x, y = map(library.tensor, task.data.arrays(task.dtype))
        return [x], y
    x = library.linspace(-5, 5, task.samples)
    y = library.stack([element**2 + library.randn(1) for element in x])
    return [x.reshape(-1, 1)], y


def loss(task: Task, library: Any) -> Callable[[Any, Any], Any]:
    """Return the function of prediction and targets whose value is minimised."""
    if written := _written(task, library, "loss"):
        return functools.partial(written, library)
    found: Callable[[Any, Any], Any] = getattr(library.nn, task.loss)()
    return found


def optimizer(task: Task, library: Any, parameters: Iterable[Any]) -> Any:
    """Return the optimiser, an SGD."""
    if written := _written(task, library, "optimizer"):
        found = written(library, parameters)
        if not isinstance(found, library.optim.SGD):
            raise wrong(task, "optimizer", f"an optim.SGD, not a {type(found).__name__}")
        return found
    return library.optim.SGD(
        parameters,
        lr=task.learning_rate,
        momentum=task.momentum,
        dampening=task.dampening,
        weight_decay=task.weight_decay,
        nesterov=task.nesterov,
    )


def scheduler(task: Task, library: Any, optimizer: Any, epoch: int = 0) -> Any:
    """Return what changes the learning rate after each epoch, as it is in this one; None without.

    Its `step()` is called without arguments. The optimiser's parameters have no gradients yet.
    """
    written = _written(task, library, "scheduler")
    if written is None:
        return None
    found = written(library, optimizer)
    if not callable(getattr(found, "step", None)):
        raise wrong(task, "scheduler", f"a scheduler, not a {type(found).__name__}")
    if epoch:
        optimizer.step()  # without gradients it changes nothing; schedulers want to see it
    for _ in range(epoch):
        found.step()
    return found


Options = list[dict[str, Any]]
"""The options of an optimiser's groups."""


def schedule(task: Task, library: Any, parameters: Iterable[Any]) -> list[Options] | None:
    """Return the options of the optimiser in each epoch, the last one's after training; or None.

    Args:
        parameters: of the network; they have no gradients yet.
    """
    if _written(task, library, "scheduler") is None:
        return None
    parameters = list(parameters)
    own = optimizer(task, library, iter(parameters))
    changing = scheduler(task, library, own)
    found: list[Options] = []
    for epoch in range(task.epochs + 1):
        if epoch:
            own.step()
            changing.step()
        found.append(
            [{k: v for k, v in group.items() if k != "params"} for group in own.param_groups]
        )
    return found


def set_options(optimizer: Any, options: Options) -> None:
    """Give an optimiser's groups their options of an epoch."""
    for group, of_group in zip(optimizer.param_groups, options, strict=True):
        group.update(of_group)


def chain_shapes(task: Task) -> dict[str, tuple[int, ...]]:
    """Return the shapes of a chain's parameters by torch's names, in torch's order."""
    found: dict[str, tuple[int, ...]] = {}
    for layer, (inputs, outputs) in enumerate(pairwise(task.sizes)):
        found[f"{2 * layer}.weight"] = (outputs, inputs)
        if task.bias:
            found[f"{2 * layer}.bias"] = (outputs,)
    return found


def _written(task: Task, library: Any, name: str) -> Callable[..., Any] | None:
    found = None if task.problem is None else task.problem.function(name)
    return found and in_numbers_of(task, library, found)


def wrong(task: Task, name: str, wanted: str) -> ProblemError:
    """Return what to raise where a function of a problem returns something else."""
    assert isinstance(task.problem, Problem)
    function = task.problem.function(name)
    place = task.problem.place(getattr(function, "__wrapped__", function))
    return ProblemError(f"{place}: {name}({', '.join(FUNCTIONS[name])}) must return {wanted}")

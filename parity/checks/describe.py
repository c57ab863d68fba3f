"""What a problem comes to: tried once on minigrad, by whose rules all engines are judged."""

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np

import minigrad
from minigrad.architectures import DEFAULT_SEED
from minigrad.problems import FUNCTIONS
from parity.checks.budget import BudgetedStep
from parity.checks.steps import Judge
from parity.engines.adapters.minigrad import MinigradEngine
from parity.errors import ProblemError, UsageError, summary
from parity.problems import parts
from parity.problems.task import Task
from parity.problems.written import Problem

EPOCHS = 500


def describe(judge: Judge, problem: Problem, seed: int | None, dtype: str, device: str) -> Task:
    """Run a problem's functions, and one step; return its task.

    Args:
        judge: where it runs, in a process of its own: whatever a problem does, it does it there.
        problem: what is trained.
        seed: None for the problem's own, or `DEFAULT_SEED`.
        dtype, device: of the task.

    Raises:
        ProblemError: it cannot be trained as it is written; it says where, and what to do.
    """
    with _told(problem, "the file"):
        values = {name: problem.value(name) for name in ("epochs", "batch_size", "shuffle", "seed")}
        own = {name: problem.function(name) is not None for name in FUNCTIONS}
    if values["shuffle"] and values["batch_size"] is None:
        raise ProblemError(
            f"{problem.path}: shuffle says in which order mini-batches come: give batch_size, too"
        )
    if seed is None:
        seed = DEFAULT_SEED if values["seed"] is None else values["seed"]
    task = Task(
        sizes=(), epochs=values["epochs"] or EPOCHS, learning_rate=0.01, samples=100, seed=seed,
        dtype=dtype, device=device, loss="loss" if own["loss"] else "MSELoss",
        shuffle=bool(values["shuffle"]), problem=problem,
    )  # fmt: skip
    with np.errstate(all="ignore"), parts.numbers_of(task, minigrad):
        minigrad.manual_seed(seed)
        with _told(problem, "data(torch)"):
            x, y = parts.data(task, minigrad)
        with _told(problem, "model(torch)"):
            model = parts.model(task, minigrad)
        if wrong := _unfit(model, dtype):
            raise ProblemError(f"{problem.path}: model(torch) has {wrong}")
        with _told(problem, "optimizer(torch, parameters)"):
            optimizer = parts.optimizer(task, minigrad, model.parameters())
        with _told(problem, "scheduler(torch, optimizer)"):
            parts.schedule(replace(task, epochs=2), minigrad, model.parameters())
        with _told(problem, "a training step"):
            value = parts.loss(task, minigrad)(model(*x), y)
    if wrong := _no_loss(value):
        raise parts.wrong(task, "loss", wrong)
    group = optimizer.param_groups[0]
    task = replace(
        task,
        samples=len(y),
        batch_size=values["batch_size"],
        learning_rate=float(group["lr"]),
        momentum=max(float(group["momentum"]) for group in optimizer.param_groups),
        weight_decay=float(group["weight_decay"]),
        dampening=float(group["dampening"]),
        nesterov=bool(group["nesterov"]),
    )
    with np.errstate(all="ignore"), _told(problem, "a training step"):
        engine = MinigradEngine()
        start = engine.draw(task)
        engine.load(task, start)
        engine.loss_and_gradients()
        engine.step()
        budget = BudgetedStep(task, start)(start.parameters)
    if not np.isfinite(budget.loss.value).all():
        raise ProblemError(
            f"{problem.path}: the loss is {budget.loss.value} before the first step: nothing can "
            "be judged of it. Give data and a model of finite numbers"
        )
    return task


def _unfit(model: minigrad.nn.Module, dtype: str) -> str | None:
    """Return what is wrong with a model's parameters, None if nothing is."""
    parameters = dict(model.named_parameters())
    if not parameters:
        return "no parameters: assign nn.Parameter or modules to attributes of the nn.Module"
    for name, parameter in parameters.items():
        if str(parameter.dtype).rpartition(".")[2] != dtype:
            return (
                f"{name} of {parameter.dtype} in a run of {dtype}: leave the dtype out, it is set "
                "to the run's"
            )
    return None


def _no_loss(value: object) -> str | None:
    """Return what the loss must be, None if it is that."""
    if not isinstance(value, minigrad.Tensor):
        return f"a tensor, not a {type(value).__name__}"
    if value.numel() != 1:
        return f"a tensor of one number, not of shape {tuple(value.shape)}"
    return None if value.requires_grad else "a tensor that is computed from the model's parameters"


@contextmanager
def _told(problem: Problem, what: str) -> Iterator[None]:
    """Turn whatever is raised into a `ProblemError` that says where it was."""
    try:
        yield
    except UsageError:
        raise
    except BaseException as error:
        advice = "run it with torch to see whether the problem or minigrad is to blame"
        if isinstance(error, AttributeError | NotImplementedError):
            advice = "the judge trains every problem on minigrad first: use what it has"
        elif what == "the file":
            advice = "it must run as it is: try python, and the name of the file"
        elif not any(f.filename == problem.path for f in traceback.extract_tb(error.__traceback__)):
            advice = "the functions' results do not fit together"
        raise ProblemError(
            f"{problem.place(error)}: {what} raised {summary(error)}\n{advice}"
        ) from error

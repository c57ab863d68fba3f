"""The budget of every node of a training step, given the inputs that an engine gave it."""

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import Any

import numpy as np

import minigrad
from minigrad import optim
from minigrad.arrays.conversion import budgeted
from minigrad.tape import Node, ancestors
from parity.checks.budget import Budget, budget_of
from parity.engines.adapters.tracing import LOSS, PREDICTION, Calls, gradients_of, place_of
from parity.engines.protocol import BUFFER, Array, Start, Task, Traced
from parity.problems import parts

Function = Callable[..., Any]
Key = tuple[str, str, str]


class Nodes:
    """What minigrad's rules make, on budgeted arrays, of the inputs in a trace.

    The model is run once. Whatever one of its modules returns is kept, and the engine's value of it
    is passed on in its place, as a new leaf. So what is kept depends on the engine's values alone.
    Swept back from what is kept, each with the engine's gradient, the leaves' gradients do, too.

    Args:
        trace: of an engine's step, by phase, node and tensor.
        task: what is trained.
        start, momentum_buffers: where the step was taken from.
    """

    def __init__(
        self,
        trace: Mapping[Key, Traced],
        task: Task,
        start: Start,
        momentum_buffers: Mapping[str, Array],
    ) -> None:
        self._trace, self._task, self._start = trace, task, start
        self._momentum_buffers = momentum_buffers

    def budget(self, phase: str, node: str, tensor: str) -> Budget:
        """Return the value that the rule gives, and the budget of this node alone."""
        with np.errstate(all="ignore"):
            if phase == "forward":
                return budget_of(self._computed[node])
            if phase == "optimizer":
                return budget_of(self._updated(tensor))
            if (node, tensor) == (LOSS, "output"):  # where the sweep starts
                one = np.ones_like(self._trace["forward", LOSS, "output"].value)
                return Budget(one, np.zeros(one.shape), None, {})
            gradient = self._gradients[phase, node, tensor]
            assert gradient is not None
            return budget_of(gradient)

    def rule(self, phase: str, node: str, tensor: str) -> Function:
        """Return the function of minigrad that computes a tensor, the last of several."""
        if phase == "optimizer":
            return optim.SGD._direction if tensor.endswith(BUFFER) else optim.SGD.step
        sweep: Function = minigrad.Tensor.backward
        if phase == "forward":
            computed = self._computed[node].grad_fn
            return computed.rule.forward if computed and computed.rule else sweep
        if (node, tensor) == (LOSS, "output"):
            return sweep
        source = self._sources[phase, node, tensor]._node
        return next(self._derivatives(source), sweep)

    def _derivatives(self, source: Node | None) -> Iterator[Function]:
        """Yield the derivatives by a tensor of what it went into."""
        for output in self._computed.values():
            for consumer in ancestors(*filter(None, [output.grad_fn])):
                if consumer.rule is not None:
                    for position, derivative, _ in consumer.plan.derivatives:
                        if consumer.parents[position] is source:
                            yield derivative

    @cached_property
    def _model(self) -> Any:
        minigrad.manual_seed(self._task.seed)
        with parts.numbers_of(self._task, minigrad):
            model = budgeted(parts.model(self._task, minigrad))
        with minigrad.no_grad():
            for name, parameter in model.named_parameters():
                parameter.copy_(minigrad.tensor(self._start.parameters[name]))
        return model

    @cached_property
    def _parameters(self) -> dict[str, minigrad.Tensor]:
        return dict(self._model.named_parameters())

    @cached_property
    def _computed(self) -> dict[str, minigrad.Tensor]:
        """What each node makes of the engine's values."""
        found: dict[str, minigrad.Tensor] = {}
        self._leaves: dict[str, minigrad.Tensor] = {}

        def seen(node: str, output: minigrad.Tensor) -> minigrad.Tensor | None:
            found[node] = output
            given = self._trace.get(("forward", node, "output"))
            if given is None or given.value.shape != tuple(output.shape):
                return None
            leaf = budgeted(minigrad.tensor(given.value)).requires_grad_(output.requires_grad)
            self._leaves[node] = leaf
            return leaf

        task, start = self._task, self._start
        data = [budgeted(minigrad.tensor(array)) for array in (*start.inputs, start.y)]
        rows = task.rows(start.step)
        *x, y = data if rows is None else (d[minigrad.tensor(rows)] for d in data)
        if task.problem is not None:
            minigrad.manual_seed(parts.step_seed(task.seed, start.step))
        forward = parts.in_numbers_of(task, minigrad, self._model)
        with np.errstate(all="ignore"), Calls(self._model, seen) as self._calls:
            prediction = forward(*x)
        with np.errstate(all="ignore"):
            found[LOSS] = parts.loss(task, minigrad)(prediction, y)
        return found

    @cached_property
    def _sources(self) -> dict[Key, minigrad.Tensor]:
        """The tensors that a trace has gradients by, by the gradient's key; all is swept back."""
        self._sweep(LOSS, (LOSS, "output"))
        found: dict[Key, minigrad.Tensor] = {}
        for node, name in gradients_of(self._calls):
            if name != "output":
                found["backward", node, name] = self._parameters[name]
            elif node in self._leaves:
                place = place_of(self._calls, node)
                self._sweep(node, place)
                found["backward", *place] = self._leaves[node]
        return found

    def _sweep(self, node: str, place: tuple[str, str]) -> None:
        given = self._trace.get(("backward", *place))
        output = self._computed[node]
        if given is not None and output.requires_grad:
            output.backward(budgeted(minigrad.tensor(given.value)), retain_graph=True)

    @cached_property
    def _gradients(self) -> dict[Key, minigrad.Tensor | None]:
        return {key: source.grad for key, source in self._sources.items()}

    @cached_property
    def _optimizer(self) -> Any:
        """The optimiser after its step, which changes the parameters: it comes after all else."""
        assert self._gradients is not None
        with parts.numbers_of(self._task, minigrad):
            optimizer = parts.optimizer(self._task, minigrad, self._model.parameters())
            schedule = parts.schedule(self._task, minigrad, map(_fresh, self._parameters.values()))
        if schedule is not None:
            parts.set_options(optimizer, schedule[self._start.step // self._task.steps_an_epoch])
        for name, parameter in self._parameters.items():
            given = self._trace.get(("backward", name.rpartition(".")[0] or PREDICTION, name))
            parameter.grad = None if given is None else budgeted(minigrad.tensor(given.value))
            if name in self._momentum_buffers:
                buffer = budgeted(minigrad.tensor(self._momentum_buffers[name]))
                optimizer.state[parameter] = {"momentum_buffer": buffer}
        optimizer.step()
        return optimizer

    def _updated(self, tensor: str) -> minigrad.Tensor:
        """Return a new parameter or momentum buffer."""
        parameter = self._parameters[tensor.removesuffix(BUFFER)]
        state: dict[str, minigrad.Tensor] = self._optimizer.state.get(parameter, {})
        return state["momentum_buffer"] if tensor.endswith(BUFFER) else parameter


def _fresh(parameter: minigrad.Tensor) -> minigrad.Tensor:
    """Return a parameter of the same shape that has no gradient."""
    return minigrad.nn.Parameter(minigrad.zeros_like(parameter).detach())


def layout(judge: object, task: Task, start: Start) -> list[dict[str, Any]]:
    """Return the nodes of a step for a drawing of it, in forward order.

    Args:
        judge: in whose process it is done.
        task, start: what is trained, and from where.

    Returns:
        of each node its `name`; `operation`; the shapes of its `output` and of its own
        `parameters`; `receiver`, the node that alone its output goes into, None where not known.
    """
    found: list[dict[str, Any]] = []

    def seen(node: str, output: minigrad.Tensor) -> None:
        shapes = [list(p.shape) for p in calls.modules[node].parameters(recurse=False)]
        kind = type(calls.modules[node]).__name__
        found.append(_row(node, kind, output, [] if "#" in node else shapes))

    minigrad.manual_seed(task.seed)
    with parts.numbers_of(task, minigrad), np.errstate(all="ignore"):
        model = parts.model(task, minigrad)
        *x, y = (minigrad.tensor(array) for array in (*start.inputs, start.y))
        with Calls(model, seen) as calls:
            prediction = model(*x)
        found.append(_row(LOSS, task.loss, parts.loss(task, minigrad)(prediction, y), []))
    return [{**row, "receiver": calls.receivers.get(row["name"])} for row in found]


def _row(name: str, kind: str, output: Any, parameters: list[list[int]]) -> dict[str, Any]:
    shape = list(output.shape)
    return {"name": name, "operation": kind, "output": shape, "parameters": parameters}

"""The budget of every node of a training step, given the inputs that an engine gave it."""

from collections.abc import Callable, Mapping
from functools import cached_property, partial
from typing import Any

import numpy as np

import minigrad
from minigrad import optim
from minigrad.arrays.conversion import budgeted
from minigrad.explain import Observation
from minigrad.explain.events import Backward, Forward
from minigrad.graph import ancestors, leading_to
from minigrad.temporary import replaced
from parity.checks.budget import Budget, budget_of
from parity.checks.guilty import first_wrong, first_wrong_sum, judging
from parity.engines.adapters.tracing import (
    LOSS,
    PREDICTION,
    Calls,
    gradient_by,
    gradients_of,
    place_of,
)
from parity.engines.protocol import BUFFER, Array, Start, Task, Traced
from parity.problems import parts

Function = Callable[..., Any]
Key = tuple[str, str, str]


class Nodes:
    """What minigrad's rules make, on budgeted arrays, of the inputs in a trace.

    The model is run once. Whatever one of its modules returns is kept, and the engine's value of it
    is passed on in its place, as a new leaf. So what is kept depends on the engine's values alone.
    Swept back from what is kept, each with the engine's gradient, the leaves' gradients do, too.
    A model that itself differentiates needs its graph: of that only the prediction is passed on.

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

    def rule(self, phase: str, node: str, tensor: str) -> tuple[Function, bool]:
        """Return the function of minigrad that computes a tensor, and whether it is wrong.

        Of several it is the first that is wrong; if that cannot be told, the last.
        """
        if phase == "optimizer":
            in_direction = tensor.endswith(BUFFER) or self._misdirected(tensor)
            return (optim.SGD._direction if in_direction else optim.SGD.step), False
        if (node, tensor) == (LOSS, "output") and phase == "backward":
            return minigrad.Tensor.backward, False
        watched = Nodes(self._trace, self._task, self._start, self._momentum_buffers)
        watched._all_recorded = True
        try:
            last, wrong = watched._ran(phase, node, tensor)
        except RuntimeError:  # what is changed in place may not be recorded
            watched._all_recorded = False
            last, wrong = watched._ran(phase, node, tensor)
        return wrong or last or minigrad.Tensor.backward, wrong is not None

    _all_recorded = False
    """Whether also that is recorded which depends on the data alone."""

    def _ran(self, phase: str, node: str, tensor: str) -> tuple[Function | None, Function | None]:
        """Return what computes a tensor: the last function, and the first that is wrong."""
        observation = Observation()
        observation.run(lambda: self._computed)
        events, before = observation.events, len(observation.events)
        observation.run(lambda: self._sources)
        outputs = [o.grad_fn for o in self._computed.values() if o.grad_fn is not None]
        nodes = {id(getattr(each.plan, "operation", None)): each for each in ancestors(*outputs)}
        if phase == "forward":
            last = self._computed[node].grad_fn
            own = set(ancestors(*filter(None, [last])))
            computed = [  # and derivatives, if the model itself differentiates
                event
                for event in events[:before]
                if isinstance(event, Backward)
                or (isinstance(event, Forward) and nodes.get(id(event.operation)) in own)
            ]
            function = None if last is None or last.rule is None else last.rule.forward
            return function, None if len(computed) == 1 else first_wrong(computed)
        source = self._sources[phase, node, tensor]._node
        through = leading_to({source}, [(output, None) for output in outputs])
        swept = events[before:]
        passed = [
            event
            for event in swept
            if isinstance(event, Backward)
            and (each := nodes.get(id(event.operation))) in through
            and each is not None
            and each.parents[event.position] in through
        ]
        function = passed[-1].derivative if passed else None
        if len(passed) == 1 and passed[0].grad.shape == self._sources[phase, node, tensor].shape:
            return function, None
        return function, first_wrong(passed) or first_wrong_sum(swept, nodes, through)

    def _misdirected(self, tensor: str) -> bool:
        """Return whether the direction of a parameter's step is wrong."""
        watched = Nodes(self._trace, self._task, self._start, self._momentum_buffers)
        wrong: set[int] = set()

        def note(parameter: Any) -> None:
            wrong.add(id(parameter))

        place = {(optim.SGD, "_direction"): partial(judging, note=note)}
        replaced(place, lambda: watched._updated(tensor))
        return id(watched._parameters[tensor]) in wrong

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
        try:
            return self._forward(whole=False)
        except RuntimeError:  # a derivative by what no longer leads to a leaf
            return self._forward(whole=True)

    def _forward(self, whole: bool) -> dict[str, minigrad.Tensor]:
        """Run the model; what its inner nodes return is passed on as it is if it is `whole`."""
        found: dict[str, minigrad.Tensor] = {}
        self._leaves: dict[str, minigrad.Tensor] = {}
        self._whole = whole

        def seen(node: str, output: minigrad.Tensor) -> minigrad.Tensor | None:
            found[node] = output
            given = self._trace.get(("forward", node, "output"))
            if given is None or given.value.shape != tuple(output.shape):
                return None
            if whole and node != PREDICTION:
                if output.requires_grad and not output.is_leaf:
                    output.retain_grad()
                    self._leaves[node] = output
                return None
            leaf = budgeted(minigrad.tensor(given.value)).requires_grad_(output.requires_grad)
            self._leaves[node] = leaf
            return leaf

        task, start = self._task, self._start
        data = [budgeted(minigrad.tensor(array)) for array in (*start.inputs, start.y)]
        rows = task.rows(start.step)
        *x, y = data if rows is None else (d[minigrad.tensor(rows)] for d in data)
        if self._all_recorded:
            x = [t.detach().requires_grad_() if "float" in str(t.dtype) else t for t in x]
        forward = parts.in_numbers_of(task, minigrad, self._model)  # whose making draws numbers
        if task.problem is not None:
            minigrad.manual_seed(parts.step_seed(task.seed, start.step))
        with np.errstate(all="ignore"), Calls(self._model, seen) as self._calls:
            prediction = forward(*x)
        with np.errstate(all="ignore"):
            found[LOSS] = parts.loss(task, minigrad)(prediction, y)
        return found

    @cached_property
    def _sources(self) -> dict[Key, minigrad.Tensor]:
        """The tensors that a trace has gradients by, by the gradient's key; all is swept back."""
        found: dict[Key, minigrad.Tensor] = {}
        _ = self._computed
        for leaf in self._leaves.values():
            leaf.grad = None  # what the model itself differentiated has left there
        self._sweep(LOSS, (LOSS, "output"))
        for node, name in gradients_of(self._calls):
            if name != "output":
                found["backward", node, name] = self._parameters[name]
            elif node in self._leaves:
                place = place_of(self._calls, node)
                if not self._whole or node == PREDICTION:
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
        _ = self._gradients
        with parts.numbers_of(self._task, minigrad):
            optimizer = parts.optimizer(self._task, minigrad, self._model.parameters())
            schedule = parts.schedule(self._task, minigrad, map(_fresh, self._parameters.values()))
        if schedule is not None:
            parts.set_options(optimizer, schedule[self._start.step // self._task.steps_an_epoch])
        for name, parameter in self._parameters.items():
            given = gradient_by(self._trace, name)
            parameter.grad = None if given is None else budgeted(minigrad.tensor(given))
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

"""The budget of every node of a training step, given the inputs that an engine gave it."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

import minigrad
from minigrad import nn, optim
from minigrad.architectures import build
from minigrad.arrays.conversion import budgeted
from minigrad.tape import ancestors
from parity.checks.budget import Budget, budget_of
from parity.engines.protocol import BUFFER, Array, Start, Task, Traced

Function = Callable[..., Any]


class Nodes:
    """What minigrad's rules make, on budgeted arrays, of the inputs in a trace.

    Args:
        trace: of an engine's step, by phase, node and tensor.
        task: what is trained.
        start, momentum_buffers: where the step was taken from.
    """

    def __init__(
        self,
        trace: Mapping[tuple[str, str, str], Traced],
        task: Task,
        start: Start,
        momentum_buffers: Mapping[str, Array],
    ) -> None:
        self._trace = trace
        self._momentum_buffers = momentum_buffers
        self._model = budgeted(build(task.sizes, task.dtype))
        self._model.load_state_dict({n: minigrad.tensor(a) for n, a in start.parameters.items()})
        self._optimizer = optim.SGD(
            self._model.parameters(), lr=task.learning_rate, momentum=task.momentum
        )
        self._x, self._y = (budgeted(minigrad.tensor(array)) for array in (start.x, start.y))
        self._names = [*(name for name, _ in self._model.named_children()), "loss"]
        self._graphs: dict[str, tuple[minigrad.Tensor, minigrad.Tensor]] = {}
        self._swept: set[str] = set()
        self._stepped = False

    def budget(self, phase: str, node: str, tensor: str) -> Budget:
        """Return the value that the rule gives, and the budget of this node alone."""
        with np.errstate(all="ignore"):
            if phase == "forward":
                return budget_of(self._graph(node)[1].detach())
            if phase == "optimizer":
                return budget_of(self._updated(tensor))
            if tensor == "output":  # where the sweep starts
                one = np.ones_like(self._given("forward", node))
                return Budget(one, np.zeros(one.shape), None, {})
            return budget_of(self._gradient(node, tensor))

    def rule(self, phase: str, node: str, tensor: str) -> Function:
        """Return the function of minigrad that computes a tensor."""
        if phase == "optimizer":
            return optim.SGD._direction if tensor.endswith(BUFFER) else optim.SGD.step
        if phase == "backward" and tensor == "output":
            return minigrad.Tensor.backward
        output = self._graph(node)[1]
        assert output.grad_fn is not None
        if phase == "forward":
            forward: Function = output.grad_fn.rule.forward
            return forward
        source = self._source(node, tensor)._node
        derivatives: list[Function] = [
            derivative
            for consumer in ancestors(output.grad_fn)
            if consumer.rule is not None
            for position, derivative, _ in consumer.plan.derivatives
            if consumer.parents[position] is source
        ]
        return derivatives[0]

    def _given(self, phase: str, node: str, tensor: str = "output") -> Array:
        return self._trace[phase, node, tensor].value

    def _graph(self, node: str) -> tuple[minigrad.Tensor, minigrad.Tensor]:
        """Run the node forward, once; return its input and its output."""
        if node not in self._graphs:
            before = self._names.index(node) - 1
            x = self._x
            if before >= 0:
                x = budgeted(minigrad.tensor(self._given("forward", self._names[before])))
                x.requires_grad_()
            if node == "loss":
                self._graphs[node] = x, nn.MSELoss()(x, self._y)
            else:
                self._graphs[node] = x, dict(self._model.named_children())[node](x)
        return self._graphs[node]

    def _gradient(self, node: str, tensor: str) -> minigrad.Tensor:
        """Run the node backward, once; return the gradient by its input or a parameter."""
        if node not in self._swept:
            self._swept.add(node)
            consumer = self._names[self._names.index(node) + 1 :]
            if consumer:
                given = self._given("backward", consumer[0], "input")
            else:
                given = self._given("backward", node)
            self._graph(node)[1].backward(budgeted(minigrad.tensor(given)))
        gradient = self._source(node, tensor).grad
        assert gradient is not None
        return gradient

    def _updated(self, tensor: str) -> minigrad.Tensor:
        """Take the optimiser's step, once; return a new parameter or momentum buffer."""
        parameters = dict(self._model.named_parameters())
        state = self._optimizer.state
        if not self._stepped:
            self._stepped = True
            for name, parameter in parameters.items():
                gradient = self._given("backward", name.partition(".")[0], name)
                parameter.grad = budgeted(minigrad.tensor(gradient))
                if name in self._momentum_buffers:
                    buffer = budgeted(minigrad.tensor(self._momentum_buffers[name]))
                    state[parameter] = {"momentum_buffer": buffer}
            self._optimizer.step()
        if not tensor.endswith(BUFFER):
            return parameters[tensor].detach()
        kept: minigrad.Tensor = state[parameters[tensor.removesuffix(BUFFER)]]["momentum_buffer"]
        return kept

    def _source(self, node: str, tensor: str) -> minigrad.Tensor:
        if tensor == "input":
            return self._graph(node)[0]
        parameter: minigrad.Tensor = dict(self._model.named_parameters())[tensor]
        return parameter

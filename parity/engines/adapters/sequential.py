"""What the engines of libraries with torch's names share: minigrad's and torch's."""

import functools
from collections.abc import Mapping
from typing import Any

from parity.engines.protocol import BUFFER, Array, Engine, Task, Traced


class SequentialEngine(Engine):
    """An `nn.Sequential`, its data and `optim.SGD`, through the names that both libraries have.

    `build` of a subclass makes `_model`, `_optimizer`, and the data, `_x` and `_y`.
    """

    _library: Any
    """The module that the names are of."""

    _loss_function: Any
    _model: Any
    _optimizer: Any
    _x: Any
    _y: Any

    def put(
        self, parameters: Mapping[str, Array], momentum_buffers: Mapping[str, Array] = {}
    ) -> None:
        """Copy the values into the network and the optimiser, on whatever device they are."""
        self._fill(self._model, parameters)
        before = dict(self._optimizer.state)
        self._optimizer.state.clear()
        for name, parameter in self._model.named_parameters():
            if name in momentum_buffers:
                buffer = self._tensor(momentum_buffers[name])
                if parameter in before:  # a step captured with that buffer remains valid
                    buffer = before[parameter]["momentum_buffer"].copy_(buffer)
                self._optimizer.state[parameter] = {"momentum_buffer": buffer}

    def put_data(self, x: Array, y: Array) -> None:
        """Copy the data into the tensors that the steps are on."""
        self._x.copy_(self._tensor(x))
        self._y.copy_(self._tensor(y))

    def parameters(self) -> dict[str, Array]:
        """Copy the parameters to the CPU."""
        return self._copies(self._model)

    def momentum_buffers(self) -> dict[str, Array]:
        """Copy the optimiser's buffers to the CPU."""
        buffers = {name: self._buffer(p) for name, p in self._model.named_parameters()}
        return {name: self._copy(buffer) for name, buffer in buffers.items() if buffer is not None}

    def loss_and_gradients(self) -> tuple[float, dict[str, Array]]:
        """Run forward and backward."""
        loss = self._backward()
        return loss.item(), self._gradients()

    def step(self) -> object:
        """Take one training step."""
        loss = self._backward()
        self._optimizer.step()
        return loss.detach()

    def predict(self) -> Array:
        """Run forward without recording."""
        with self._library.no_grad():
            return self._copy(self._model(self._x))

    def trace(self) -> list[Traced]:
        """Take one training step, layer by layer; return all it computed, on the CPU."""
        return [Traced(*step[:4], self._copy(step[4])) for step in self._traced()]

    def _traced(self) -> list[tuple[str, str, str, str, Any]]:
        """Take one training step; return what is in `Traced`, with tensors for values.

        What lies between layers is copied as soon as it is there, not held until the end: so a
        captured step uses its memory again as if nobody looked.
        """
        layers = [(n, type(layer).__name__, layer) for n, layer in self._model.named_children()]
        loss_node, x = ("loss", "MSELoss"), self._x
        steps: list[tuple[str, str, str, str, Any]] = []
        swept: dict[str, Any] = {}

        def keep(name: str, grad: Any) -> None:
            swept[name] = grad.clone()

        self._optimizer.zero_grad()
        consumers = [*(name for name, _, _ in layers[1:]), "loss"]
        for (name, operation, layer), consumer in zip(layers, consumers, strict=True):
            x = layer(x)
            x.register_hook(functools.partial(keep, consumer))
            steps.append(("forward", name, operation, "output", x.detach().clone()))
        loss = self._loss_function(x, self._y)
        loss.register_hook(functools.partial(keep, "output"))
        steps.append(("forward", *loss_node, "output", loss.detach().clone()))
        self._sweep(loss)
        steps.append(("backward", *loss_node, "output", swept["output"]))
        steps.append(("backward", *loss_node, "input", swept["loss"]))
        for name, operation, layer in reversed(layers):
            for key, parameter in layer.named_parameters():
                gradient = parameter.grad.detach()
                steps.append(("backward", name, operation, f"{name}.{key}", gradient))
            if name in swept:
                steps.append(("backward", name, operation, "input", swept[name]))
        self._optimizer.step()
        for name, parameter in self._model.named_parameters():
            node, buffer = (name.partition(".")[0], "SGD"), self._buffer(parameter)
            if buffer is not None:
                steps.append(("optimizer", *node, name + BUFFER, buffer.detach()))
            steps.append(("optimizer", *node, name, parameter.detach()))
        return steps

    def _sgd(self, task: Task) -> Any:
        """Return the optimiser of the network, which is on its device by now."""
        parameters = self._model.parameters()
        return self._library.optim.SGD(parameters, lr=task.learning_rate, momentum=task.momentum)

    def _backward(self) -> Any:
        """Run forward and backward; return the loss."""
        self._optimizer.zero_grad()
        loss = self._loss_function(self._model(self._x), self._y)
        self._sweep(loss)
        return loss

    def _sweep(self, loss: Any) -> None:
        """Run backward from the loss."""
        loss.backward()

    def _gradients(self) -> dict[str, Array]:
        return {name: self._copy(p.grad) for name, p in self._model.named_parameters()}

    def _buffer(self, parameter: Any) -> Any:
        """Return the momentum buffer of a parameter, None before the first step."""
        return self._optimizer.state.get(parameter, {}).get("momentum_buffer")

    def _fill(self, model: Any, parameters: Mapping[str, Array]) -> None:
        """Copy values into a network's parameters."""
        model.load_state_dict({n: self._library.tensor(a) for n, a in parameters.items()})

    def _copies(self, model: Any) -> dict[str, Array]:
        return {name: self._copy(value) for name, value in model.state_dict().items()}

    def _tensor(self, array: Array) -> Any:
        """Return a tensor of the values, where and of the kind that the engine computes with."""
        return self._library.tensor(array)

    def _copy(self, tensor: Any) -> Array:
        """Return a tensor's values in memory of their own, on the CPU."""
        copy: Array = tensor.numpy().copy()
        return copy

"""What the engines of libraries with torch's names share: minigrad's and torch's."""

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
        copy, optimizer, x = self._copy, self._optimizer, self._x
        layers = [(n, type(layer).__name__, layer) for n, layer in self._model.named_children()]
        loss_node = ("loss", "MSELoss")
        steps = []
        optimizer.zero_grad()
        outputs = []
        for name, operation, layer in layers:
            x = layer(x)
            x.retain_grad()
            outputs.append(x)
            steps.append(Traced("forward", name, operation, "output", copy(x.detach())))
        loss = self._loss_function(x, self._y)
        loss.retain_grad()
        steps.append(Traced("forward", *loss_node, "output", copy(loss.detach())))
        loss.backward()
        steps.append(Traced("backward", *loss_node, "output", copy(loss.grad)))
        steps.append(Traced("backward", *loss_node, "input", copy(outputs.pop().grad)))
        for name, operation, layer in reversed(layers):
            for key, parameter in layer.named_parameters():
                gradient = copy(parameter.grad)
                steps.append(Traced("backward", name, operation, f"{name}.{key}", gradient))
            if outputs:
                gradient = copy(outputs.pop().grad)
                steps.append(Traced("backward", name, operation, "input", gradient))
        optimizer.step()
        for name, parameter in self._model.named_parameters():
            layer_name, buffer = name.partition(".")[0], self._buffer(parameter)
            if buffer is not None:
                steps.append(Traced("optimizer", layer_name, "SGD", name + BUFFER, copy(buffer)))
            steps.append(Traced("optimizer", layer_name, "SGD", name, copy(parameter.detach())))
        return steps

    def _sgd(self, task: Task) -> Any:
        """Return the optimiser of the network, which is on its device by now."""
        parameters = self._model.parameters()
        return self._library.optim.SGD(parameters, lr=task.learning_rate, momentum=task.momentum)

    def _backward(self) -> Any:
        """Run forward and backward; return the loss."""
        self._optimizer.zero_grad()
        loss = self._loss_function(self._model(self._x), self._y)
        loss.backward()
        return loss

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

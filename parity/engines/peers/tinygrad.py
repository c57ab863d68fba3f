"""tinygrad: the training step in a `TinyJit`, on its CPU device, which compiles with clang."""

from collections.abc import Mapping, Sequence
from typing import Any

from tinygrad import Context, Tensor, TinyJit
from tinygrad.nn.optim import SGD

from parity.engines.peers.peer import Peer, layers
from parity.engines.protocol import Array, Start, Task


class Loss:
    """A tensor that `float` reads: tinygrad's own cannot be given to it."""

    def __init__(self, tensor: Tensor) -> None:
        self._tensor = tensor

    def __float__(self) -> float:
        return float(self._tensor.item())


class TinygradEngine(Peer):
    """The first steps after `load` are slow: tinygrad runs one, records one and compiles it."""

    def build(self, task: Task, start: Start) -> None:
        """Make tensors and optimiser, and a step to be compiled."""
        self._model: list[Tensor] = []
        super().build(task, start)
        self._step = TinyJit(self._take_step)
        self._loss_and_gradients = TinyJit(self._take_gradients)

    def put(
        self, parameters: Mapping[str, Array], momentum_buffers: Mapping[str, Array] = {}
    ) -> None:
        """Copy the values to where the compiled step expects them."""
        super().put(parameters, momentum_buffers)
        if not self._model:
            self._model, task = self._parameters, self._task
            with Context(DEFAULT_FLOAT=task.dtype):  # that of the learning rate
                self._optimizer = SGD(self._model, lr=task.learning_rate, momentum=task.momentum)
            # The optimiser's own are float32, whatever the parameters are.
            self._optimizer.b = [p.zeros_like() for p in self._model] if task.momentum else []
        for parameter, value in zip(self._model, self._parameters, strict=True):
            parameter.assign(value)
        self._parameters = self._model
        buffers = self._buffers or [buffer.zeros_like() for buffer in self._optimizer.b]
        for buffer, value in zip(self._optimizer.b, buffers, strict=True):
            buffer.assign(value.contiguous())
        Tensor.realize(*self._model, *self._optimizer.b)

    def step(self) -> object:
        """Take one training step."""
        loss = self._step()
        self._buffers = self._optimizer.b
        return Loss(loss)

    def predict(self) -> Array:
        """Run forward."""
        return self._copy(self._forward())

    def _own(self, array: Array) -> Any:
        return Tensor(array.copy()).realize()

    def _copy(self, value: Any) -> Array:
        return super()._copy(value.numpy())

    def _forward(self) -> Tensor:
        x = self._x
        for weight, bias, activated in layers(self._model):
            x = x.linear(weight.T, bias)
            if activated:
                x = x.relu()
        return x

    def _loss(self) -> Tensor:
        self._optimizer.zero_grad()
        loss: Tensor = (self._forward() - self._y).square().mean()
        return loss.backward()

    def _backward(self) -> tuple[Any, Sequence[Any]]:
        loss, *gradients = self._loss_and_gradients()
        return loss.item(), gradients

    def _take_gradients(self) -> list[Tensor]:
        found = [self._loss(), *(parameter.grad for parameter in self._model)]
        Tensor.realize(*found)
        self._optimizer.zero_grad()
        return found

    def _take_step(self) -> Tensor:
        with Context(TRAINING=1):
            loss = self._loss()
            Tensor.realize(loss, *self._optimizer.schedule_step())
        return loss

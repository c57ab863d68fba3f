"""What the engines of libraries with torch's names share: minigrad's and torch's."""

from collections.abc import Callable, Collection, Mapping
from typing import Any

from parity.engines.adapters.tracing import Named, traced_step
from parity.engines.protocol import Array, Engine, Start, Task, Traced
from parity.problems import parts
from parity.problems.task import EVERY_OPTION


class ModuleEngine(Engine):
    """An `nn.Module`, its data, loss and `optim.SGD`, through the names that both libraries have.

    Model, data, loss and optimiser are those of `parity.problems.parts`.
    """

    options: Collection[str] = EVERY_OPTION

    _library: Any
    """The module that the names are of."""

    def draw(self, task: Task) -> Start:
        """Draw data and parameters, on the CPU, by the library's default generator."""
        self._library.manual_seed(task.seed)
        with parts.numbers_of(task, self._library):
            x, y = parts.data(task, self._library)
            model = parts.model(task, self._library)
        first, *more = (tensor.detach().numpy() for tensor in x)
        parameters = {name: p.detach().numpy() for name, p in model.named_parameters()}
        return Start(first, y.detach().numpy(), parameters, tuple(more))

    def build(self, task: Task, start: Start) -> None:
        """Build the network, copy the parameters into it and move everything to the device."""
        self._library.manual_seed(task.seed)  # for buffers that the model draws
        with parts.numbers_of(task, self._library):
            self._model = self._placed(parts.model(task, self._library))
            self._loss_function = self._loss(task)
            self._schedule = parts.schedule(task, self._library, self._model.parameters())
            self._optimizer = self._sgd(task)
            epoch = start.step // task.steps_an_epoch
            self._scheduler = parts.scheduler(task, self._library, self._optimizer, epoch)
        self._forward: Callable[..., Any] = parts.in_numbers_of(task, self._library, self._model)
        self._fill(start.parameters)
        self._data = [self._tensor(array) for array in (*start.inputs, start.y)]
        self._done = start.step

    def seek(self, step: int) -> None:
        """Go to a step: its samples, and the options of the optimiser in its epoch."""
        super().seek(step)
        self._done = step
        if self._schedule is not None:
            parts.set_options(self._optimizer, self._schedule[step // self._task.steps_an_epoch])

    def seed(self, number: int) -> None:
        """Seed the library's default generator."""
        self._library.manual_seed(number)

    def put(
        self, parameters: Mapping[str, Array], momentum_buffers: Mapping[str, Array] = {}
    ) -> None:
        """Copy the values into the network and the optimiser, on whatever device they are."""
        self._fill(parameters)
        before = dict(self._optimizer.state)
        self._optimizer.state.clear()
        for name, parameter in self._model.named_parameters():
            if name in momentum_buffers:
                buffer = self._tensor(momentum_buffers[name])
                if parameter in before:  # a step captured with that buffer remains valid
                    buffer = before[parameter]["momentum_buffer"].copy_(buffer)
                self._optimizer.state[parameter] = {"momentum_buffer": buffer}

    def put_data(self, x: Array, y: Array, *more: Array) -> None:
        """Copy the data into the tensors that the steps are on."""
        for tensor, array in zip(self._data, (x, *more, y), strict=True):
            tensor.copy_(self._tensor(array))

    def parameters(self) -> dict[str, Array]:
        """Copy the parameters to the CPU."""
        return {name: self._copy(p.detach()) for name, p in self._model.named_parameters()}

    def momentum_buffers(self) -> dict[str, Array]:
        """Copy the optimiser's buffers to the CPU; of a parameter without gradients it is 0."""
        buffers = {name: self._buffer(p) for name, p in self._model.named_parameters()}
        if all(buffer is None for buffer in buffers.values()):
            return {}
        return {
            name: self._copy(
                self._library.zeros_like(p).detach() if buffers[name] is None else buffers[name]
            )
            for name, p in self._model.named_parameters()
        }

    def loss_and_gradients(self) -> tuple[float, dict[str, Array]]:
        """Run forward and backward."""
        loss = self._backward(*self._batch())
        return loss.item(), self._gradients()

    def step(self) -> object:
        """Take one training step."""
        loss = self._step(*self._batch())
        self._ended()
        return loss

    def predict(self) -> Array:
        """Run forward for all samples, without recording."""
        with self._library.no_grad():
            return self._copy(self._forward(*self._data[:-1]).detach())

    def trace(self) -> list[Traced]:
        """Take one training step, module by module; return all it computed, on the CPU."""
        steps = self._traced(*self._batch())
        self._ended()
        return [Traced(*step[:4], self._copy(step[4])) for step in steps]

    def _batch(self) -> list[Any]:
        """Return inputs and targets of the next step if it is on some of the samples."""
        rows = self._task.rows(self._done)
        if rows is None:
            return []
        chosen = self._rows(rows)
        return [tensor[chosen] for tensor in self._data]

    def _step(self, *batch: Any) -> Any:
        loss = self._backward(*batch)
        self._optimizer.step()
        return loss.detach()

    def _ended(self) -> None:
        """Go on to the next step, with which an epoch may begin."""
        self._done += 1
        if self._scheduler is not None and self._done % self._task.steps_an_epoch == 0:
            self._scheduler.step()

    def _backward(self, *batch: Any) -> Any:
        """Run forward and backward; return the loss."""
        *x, y = batch or self._data
        self._optimizer.zero_grad()
        loss = self._loss_function(self._forward(*x), y)
        self._sweep(loss)
        return loss

    def _traced(self, *batch: Any) -> list[Named]:
        data = list(batch or self._data)
        return traced_step(
            self._model, data, self._forward, self._loss_function, self._sweep, self._optimizer,
            self._task.loss,
        )  # fmt: skip

    def _placed(self, model: Any) -> Any:
        """Return the network where, and of the kind that, the engine computes with."""
        return model

    def _loss(self, task: Task) -> Callable[[Any, Any], Any]:
        return parts.loss(task, self._library)

    def _sgd(self, task: Task) -> Any:
        """Return the optimiser of the network, which is on its device by now."""
        return parts.optimizer(task, self._library, self._model.parameters())

    def _sweep(self, loss: Any) -> None:
        """Run backward from the loss."""
        loss.backward()

    def _gradients(self) -> dict[str, Array]:
        """Copy the gradients; one that there is not is 0."""
        return {
            name: self._copy((self._library.zeros_like(p) if p.grad is None else p.grad).detach())
            for name, p in self._model.named_parameters()
        }

    def _buffer(self, parameter: Any) -> Any:
        """Return the momentum buffer of a parameter, None before the first step."""
        return self._optimizer.state.get(parameter, {}).get("momentum_buffer")

    def _fill(self, parameters: Mapping[str, Array]) -> None:
        """Copy values into the network's parameters."""
        with self._library.no_grad():
            for name, parameter in self._model.named_parameters():
                parameter.copy_(self._library.tensor(parameters[name]))

    def _rows(self, rows: Array) -> Any:
        """Return the numbers of samples as a tensor."""
        return self._library.tensor(rows)

    def _tensor(self, array: Array) -> Any:
        """Return a tensor of the values, where and of the kind that the engine computes with."""
        return self._library.tensor(array)

    def _copy(self, tensor: Any) -> Array:
        """Return a tensor's values in memory of their own, on the CPU."""
        copy: Array = tensor.numpy().copy()
        return copy

"""JAX: a training step compiled as a whole, the whole loop, and the loop of many seeds at once."""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array as JaxArray
from jax import lax, nn

from parity.engines.adapters.minigrad_ensemble import members_at_once, spread
from parity.engines.peers.peer import Peer
from parity.engines.protocol import Array, Start, Task

State = tuple[list[JaxArray], list[JaxArray]]
"""Parameters and momentum buffers; no buffers before the first step, and none without momentum."""

ACTIVATIONS: dict[str, Callable[[JaxArray], JaxArray]] = {
    "ReLU": nn.relu,
    "LeakyReLU": lambda x: jnp.where(x > 0, x, 0.01 * x),  # at 0 the derivative is torch's
    "Tanh": jnp.tanh,
    "Sigmoid": nn.sigmoid,
    "Softplus": nn.softplus,
}


def _huber(error: JaxArray) -> JaxArray:
    far = jnp.abs(error)
    return jnp.where(far < 1, 0.5 * error**2, far - 0.5)


LOSSES: dict[str, Callable[[JaxArray], JaxArray]] = {
    "MSELoss": jnp.square,
    "L1Loss": jnp.abs,
    "SmoothL1Loss": _huber,
    "HuberLoss": _huber,
}
"""Of each element's error; the loss is their mean."""


class Form(NamedTuple):
    """The form of a network: what its task says of it."""

    activation: str
    loss: str
    bias: bool


def forward(form: Form, parameters: list[JaxArray], x: JaxArray) -> JaxArray:
    """Return the network's output."""
    size = 2 if form.bias else 1
    for first in range(0, len(parameters), size):
        weight, *bias = parameters[first : first + size]
        x = sum(bias, x @ weight.T)
        if first + size < len(parameters):
            x = ACTIVATIONS[form.activation](x)
    return x


def loss(form: Form, parameters: list[JaxArray], x: JaxArray, y: JaxArray) -> JaxArray:
    """Return the mean loss of all elements."""
    return jnp.mean(LOSSES[form.loss](forward(form, parameters, x) - y))


loss_and_gradients = jax.value_and_grad(loss, argnums=1)


def sgd_step(
    task: Task, form: Form, state: State, x: JaxArray, y: JaxArray
) -> tuple[State, JaxArray]:
    """Return the state after a training step, and the loss before it."""
    parameters, buffers = state
    value, gradients = loss_and_gradients(form, parameters, x, y)
    pairs = zip(gradients, parameters, strict=True)
    directions = [g + task.weight_decay * p if task.weight_decay else g for g, p in pairs]
    if task.momentum:
        kept = 1 - task.dampening
        moved = zip(buffers or directions, directions, strict=True)
        buffers = [task.momentum * b + kept * d for b, d in moved] if buffers else directions
        ahead = zip(directions, buffers, strict=True)
        directions = [d + task.momentum * b if task.nesterov else b for d, b in ahead]
    pairs = zip(parameters, directions, strict=True)
    return ([p - task.learning_rate * d for p, d in pairs], buffers), value


class JaxEngine(Peer):
    """`jax.jit` of a whole step, which gives its parameters' memory to the new ones."""

    options = ("activation", "loss", "bias", "weight_decay", "dampening", "nesterov")

    def __init__(self) -> None:
        super().__init__()
        jax.config.update("jax_enable_x64", True)  # without it float64 becomes float32
        jax.config.update("jax_platforms", "cpu")
        self._loss_and_gradients = jax.jit(loss_and_gradients, static_argnums=0)

    def build(self, task: Task, start: Start) -> None:
        """Compile a step with the task's options."""
        self._form = Form(task.activation, task.loss, task.bias)
        step = functools.partial(sgd_step, task, self._form)
        self._uncompiled_step = step
        self._step = jax.jit(step, donate_argnums=0)
        super().build(task, start)

    def step(self) -> object:
        """Take one training step."""
        state = self._parameters, self._buffers
        (self._parameters, self._buffers), loss = self._step(state, self._x, self._y)
        return loss

    def predict(self) -> Array:
        """Run forward."""
        return self._copy(forward(self._form, self._parameters, self._x))

    def synchronize(self) -> None:
        """Wait for the parameters: JAX returns before it has computed them."""
        jax.block_until_ready(self._parameters)

    def _backward(self) -> tuple[Any, Sequence[Any]]:
        loss, gradients = self._loss_and_gradients(self._form, self._parameters, self._x, self._y)
        return loss, gradients

    def _own(self, array: Array) -> Any:
        return jnp.array(array)


class JaxScanEngine(JaxEngine):
    """`lax.scan` over `STEPS` steps: Python is left behind for the whole loop.

    `step` is that of `JaxEngine`, with which the verdicts judge it.
    """

    STEPS = 100

    def build(self, task: Task, start: Start) -> None:
        """Compile the loop, too."""
        super().build(task, start)

        def whole(state: State, x: JaxArray, y: JaxArray) -> tuple[State, JaxArray]:
            found: tuple[State, JaxArray] = lax.scan(
                lambda state, _: self._uncompiled_step(state, x, y), state, length=self.STEPS
            )
            return found

        self._loop = jax.jit(whole, donate_argnums=0)

    def loop(self) -> object:
        """Take `STEPS` training steps; return the losses before each of them."""
        if self._task.momentum and not self._buffers:
            self._buffers = [jnp.zeros_like(parameter) for parameter in self._parameters]
        state = self._parameters, self._buffers
        (self._parameters, self._buffers), losses = self._loop(state, self._x, self._y)
        return losses


class JaxVmapEngine(JaxEngine):
    """`lax.scan` over `EPOCHS` steps of `jax.vmap` over as many seeds as `minigrad-ensemble` has.

    The first seed's data and parameters are the engine's, the others have other ones. `step` is
    that of `JaxEngine`, with which the verdicts judge it.
    """

    EPOCHS = 100

    def build(self, task: Task, start: Start) -> None:
        """Compile the loop, too."""
        self._members = members_at_once(task)
        self.STEPS = self.EPOCHS * self._members
        self._targets = self._own(spread(start, self._members).y)
        super().build(task, start)
        all_seeds = jax.vmap(self._uncompiled_step, in_axes=(0, None, 0))

        def whole(state: State, x: JaxArray, y: JaxArray) -> tuple[State, JaxArray]:
            found: tuple[State, JaxArray] = lax.scan(
                lambda state, _: all_seeds(state, x, y), state, length=self.EPOCHS
            )
            return found

        self._loop = jax.jit(whole, donate_argnums=0)

    def put(
        self, parameters: Mapping[str, Array], momentum_buffers: Mapping[str, Array] = {}
    ) -> None:
        """Copy the values; the other seeds begin anew."""
        super().put(parameters, momentum_buffers)
        start = Start(np.empty(0), np.empty(0), dict(parameters))
        all_parameters = spread(start, self._members).parameters
        every = [self._own(all_parameters[name]) for name in self._names]
        momentum = [jnp.zeros_like(value) for value in every] if self._task.momentum else []
        self._state = every, momentum

    def loop(self) -> object:
        """Take `EPOCHS` steps of every seed; return the losses before each, (epochs, seeds)."""
        self._state, losses = self._loop(self._state, self._x, self._targets)
        return losses

    def seeds(self) -> dict[str, Array]:
        """Copy the parameters of all seeds that the loop trains, which have an axis in front."""
        return self._named(self._state[0])

    def synchronize(self) -> None:
        """Wait for the parameters of all seeds."""
        super().synchronize()
        jax.block_until_ready(self._state)

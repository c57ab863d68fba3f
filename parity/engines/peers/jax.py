"""JAX: a training step compiled as a whole, and the whole loop compiled."""

import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array as JaxArray
from jax import lax, nn

from parity.engines.peers.peer import Peer, layers, sgd_directions
from parity.engines.protocol import Array, Start, Task

State = tuple[list[JaxArray], list[JaxArray]]
"""Parameters and momentum buffers; no buffers before the first step, and none without momentum."""


def forward(parameters: list[JaxArray], x: JaxArray) -> JaxArray:
    """Return the network's output."""
    for weight, bias, activated in layers(parameters):
        x = x @ weight.T + bias
        if activated:
            x = nn.relu(x)
    return x


def mse_loss(parameters: list[JaxArray], x: JaxArray, y: JaxArray) -> JaxArray:
    """Return the mean squared error."""
    return jnp.mean((forward(parameters, x) - y) ** 2)


loss_and_gradients = jax.value_and_grad(mse_loss)


def sgd_step(
    state: State, x: JaxArray, y: JaxArray, learning_rate: float, momentum: float
) -> tuple[State, JaxArray]:
    """Return the state after a training step, and the loss before it."""
    parameters, buffers = state
    loss, gradients = loss_and_gradients(parameters, x, y)
    directions = sgd_directions(momentum, buffers, gradients)
    pairs = zip(parameters, directions, strict=True)
    moved = [parameter - learning_rate * direction for parameter, direction in pairs]
    return (moved, directions if momentum else []), loss


class JaxEngine(Peer):
    """`jax.jit` of a whole step, which gives its parameters' memory to the new ones."""

    def __init__(self) -> None:
        super().__init__()
        jax.config.update("jax_enable_x64", True)  # without it float64 becomes float32
        jax.config.update("jax_platforms", "cpu")
        self._loss_and_gradients = jax.jit(loss_and_gradients)

    def build(self, task: Task, start: Start) -> None:
        """Compile a step with the task's options."""
        step = functools.partial(sgd_step, learning_rate=task.learning_rate, momentum=task.momentum)
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
        return self._copy(forward(self._parameters, self._x))

    def synchronize(self) -> None:
        """Wait for the parameters: JAX returns before it has computed them."""
        jax.block_until_ready(self._parameters)

    def _backward(self) -> tuple[Any, Sequence[Any]]:
        loss, gradients = self._loss_and_gradients(self._parameters, self._x, self._y)
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

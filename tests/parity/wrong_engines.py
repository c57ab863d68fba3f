"""An engine with a planted defect, which the seed selects."""

from dataclasses import replace

import numpy as np

from parity.engines.adapters.minigrad import MinigradEngine
from parity.engines.protocol import Array, Start, Task

SPOILED = "2.weight"
SOUND, SCALED_GRADIENT, ANOTHER_BIT, DIVERGING, MISSING_GRADIENT, RAISING = range(1, 7)
RAISING_LATE, WIDE, SHUFFLED, LISTS, FLAT, STOPPING = range(7, 13)
"""Seeds, and what is wrong in the runs that start from them."""


class WrongEngine(MinigradEngine):
    """minigrad, but for what the seed asks for."""

    def draw(self, task: Task) -> Start:
        start = super().draw(task)
        if task.seed == ANOTHER_BIT:
            weight = start.parameters[SPOILED]
            weight[0, 0] = np.nextafter(weight[0, 0], weight.dtype.type(np.inf))
        return start

    def load(self, task: Task, start: Start) -> None:
        self._seed, self._calls = task.seed, 0
        factor = 1e4 if task.seed == DIVERGING else 1
        super().load(replace(task, learning_rate=factor * task.learning_rate), start)

    def loss_and_gradients(self) -> tuple[float, dict[str, Array]]:
        if self._seed == RAISING:
            raise ZeroDivisionError("planted")
        loss, gradients = super().loss_and_gradients()
        if self._seed == SCALED_GRADIENT:
            gradients[SPOILED] *= 1 + 1e-3
        if self._seed == MISSING_GRADIENT:
            del gradients[SPOILED]
        if self._seed == RAISING_LATE:
            self._calls += 1
            if self._calls > 4:  # in the middle of the steps, with judges at work
                raise ZeroDivisionError("late")
        if self._seed == WIDE:
            gradients = {name: value.astype(np.float64) for name, value in gradients.items()}
        if self._seed == SHUFFLED:
            gradients = dict(reversed(gradients.items()))
        if self._seed == LISTS:
            gradients = {name: value.tolist() for name, value in gradients.items()}
        if self._seed == STOPPING:
            raise StopIteration("planted")
        return loss, gradients

    def predict(self) -> Array:
        prediction = super().predict()
        return prediction.ravel() if self._seed == FLAT else prediction


class HookedEngine(MinigradEngine):
    """minigrad, but for a gradient in its tape: what it steps by, and shows in its trace."""

    def load(self, task: Task, start: Start) -> None:
        super().load(task, start)
        parameter = dict(self._model.named_parameters())[SPOILED]
        parameter.register_hook(lambda grad: grad * (1 + 1e-3))


class TaciturnEngine(MinigradEngine):
    """minigrad, but it cannot show what its steps compute."""

    trace = None  # type: ignore[assignment]

"""state: whether a run trained, died or diverged. That two dead networks agree means little."""

import numpy as np

from parity.engines.protocol import Array, Start, Task
from parity.engines.trainer import Run

CONSTANT = 1e-3
"""The share of the targets' standard deviation below which a varying prediction is constant.

Networks whose last units die are left with a few that vary by a millionth of that; the poorest fit
that still follows the data varies by about all of it.
"""


def state(run: Run, start: Start, task: Task) -> str:
    """Return `diverged`, `dead` or `trained`.

    diverged: a loss, a prediction or a parameter is not finite. dead: the prediction is constant
    although the targets are not, or the ReLUs of some layer of a chain are off for all inputs.
    """
    values = [run.losses, np.array(run.final_mse), run.prediction, *run.parameters.values()]
    if not all(np.isfinite(value).all() for value in values):
        return "diverged"
    constant = np.ptp(run.prediction) <= CONSTANT * start.y.std() and np.ptp(start.y) > 0
    chain = task.problem is None and task.activation == "ReLU"
    return (
        "dead" if constant or (chain and _has_silent_layer(run.parameters, start.x)) else "trained"
    )


def _has_silent_layer(parameters: dict[str, Array], x: Array) -> bool:
    """Return whether the ReLUs of some hidden layer are off for all inputs."""
    activation = x
    *hidden, _ = [name for name in parameters if name.endswith("weight")]
    for name in hidden:
        bias = parameters.get(name.replace("weight", "bias"), 0)
        activation = np.maximum(activation @ parameters[name].T + bias, 0)
        if not activation.any():
            return True
    return False

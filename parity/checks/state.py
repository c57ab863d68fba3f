"""state: whether a run trained, died or diverged. Two dead networks agree, and it means little."""

from __future__ import annotations

import numpy as np

from parity.engines import Array
from parity.engines.trainer import Run


def state(run: Run, x: Array) -> str:
    """Return `diverged`, `dead` or `trained`.

    diverged: a loss, a prediction or a parameter is not finite. dead: the prediction is constant
    although the inputs are not, or the ReLUs of some layer are off for all inputs.
    """
    values = [run.losses, np.array(run.final_mse), run.prediction, *run.parameters.values()]
    if not all(np.isfinite(value).all() for value in values):
        return "diverged"
    constant = len(x) > 1 and bool((run.prediction == run.prediction[0]).all())
    return "dead" if constant or _has_silent_layer(run.parameters, x) else "trained"


def _has_silent_layer(parameters: dict[str, Array], x: Array) -> bool:
    """Return whether the ReLUs of some hidden layer are off for all inputs."""
    arrays = list(parameters.values())
    layers = list(zip(arrays[::2], arrays[1::2], strict=True))
    activation = x
    for weight, bias in layers[:-1]:
        activation = np.maximum(activation @ weight.T + bias, 0)
        if not activation.any():
            return True
    return False

"""What `parity` shows and writes: a terminal table, `report.json`, `report.html` and pictures.

All of it renders what the verdicts found, and judges nothing itself. Here is what a report is made
from.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Curves:
    """What the figures of one architecture draw; float64 throughout, NaN and infinities allowed.

    `x`, `y` and the predictions, which are those after training, have shape (samples, 1),
    the losses, and the envelope within which their relative difference is predictable, (epochs,).
    `over` says what `x` is.

    Raises `ValueError` if shapes differ from these.
    """

    x: Array
    y: Array
    prediction_actual: Array
    prediction_expected: Array
    losses_actual: Array
    losses_expected: Array
    envelope: Array | None = None
    over: str = field(default="x", kw_only=True)

    def __post_init__(self) -> None:
        columns = {
            name: getattr(self, name).shape
            for name in ("x", "y", "prediction_actual", "prediction_expected")
        }
        if set(columns.values()) != {(len(self.x), 1)}:
            raise ValueError(f"data and predictions need one shape (samples, 1), got {columns}")
        losses = (self.losses_actual.shape, self.losses_expected.shape)
        if losses[0] != losses[1] or len(losses[0]) != 1:
            raise ValueError(
                f"losses of both engines need one shape (epochs,), got {losses[0]} and {losses[1]}"
            )


@dataclass(frozen=True)
class Report:
    """`document` is the content of `report.json`; `curves` are by architecture name."""

    document: dict[str, Any]
    curves: dict[str, Curves]

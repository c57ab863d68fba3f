"""What a fit is drawn from: the data and the predictions, as columns."""

import numpy as np

from parity.engines.protocol import Array, Start


def abscissa(start: Start) -> tuple[str, Array]:
    """Return what a fit is drawn over, (samples, 1), and its name.

    That is x, or the number of the sample where there are several inputs.
    """
    count = len(start.y)
    if len(start.inputs) == 1 and start.x.size == count:
        return "x", start.x.reshape(-1, 1)
    return "sample", np.arange(count)[:, None]


def column(array: Array, count: int) -> Array:
    """Return the first number of each sample's, (count, 1), NaN where there is not one each."""
    whole = array.size and array.size % count == 0
    return array.reshape(count, -1)[:, :1] if whole else np.full((count, 1), np.nan)


def points(start: Start, *predictions: Array) -> list[Array]:
    """Return what a fit is drawn over, in ascending order, y and predictions, (samples, 1) each."""
    _, x = abscissa(start)
    order = np.argsort(x[:, 0], kind="stable")
    columns = [x, *(column(array, len(x)) for array in (start.y, *predictions))]
    return [each[order] for each in columns]

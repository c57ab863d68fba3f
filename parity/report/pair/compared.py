"""A compared tensor as the page shows it: what is drawn, and what is said of it."""

from typing import Any

import numpy as np

from minigrad.explain.summary import MOST_WHOLE, Shown, as_table, block_means
from parity.checks.tensor import Tensor
from parity.engines.protocol import Array


def said_of(tensor: Tensor, *, short: bool = False) -> str:
    """Say how far apart the engines are in a tensor."""
    if tensor.problem is not None:
        if tensor.passed is None:
            return "not judged" if short else f"is {tensor.problem}"
        return "not comparable" if short else f"cannot be compared: {tensor.problem}"
    assert tensor.apart is not None
    place = f" at {list(map(int, np.unravel_index(tensor.worst, tensor.apart.shape)))}"
    if tensor.sides is None:
        count = int(tensor.apart.sum())
        if count == 0:
            return "equal" if short else "is the same in every bit"
        elements = f"{count:,} of {tensor.apart.size:,}"
        if short:
            return f"{elements} differ"
        return f"differs in {elements} elements, first{place}"
    used = float(tensor.apart.max(initial=0.0))
    if short:
        return f"{max(used, tensor.aggregate):.2g}" if used < np.inf else "not finite"
    if used == np.inf:
        return f"has another kind of number than expected{place}: finite, infinite or NaN"
    most = f"uses {used:.2g} times its budget{place}" if used else "uses nothing of its budget"
    return most if tensor.aggregate <= 1 else f"{most}, as a whole {tensor.aggregate:.2g} times"


def data_of(tensor: Tensor, shown: Shown) -> dict[str, Any]:
    """Return what the page's script needs; arrays are numbers in `shown`.

    `maps` are what is drawn of both engines, everything else is by cell: `values` of both, their
    `difference`, how far `apart` they are, the index that each cell is of, and with budgets `due`,
    `allowed` and `used` of both, with bits the `ulps` between them.
    """
    label = " ".join(tensor.key)
    found: dict[str, Any] = {"label": label, "passed": tensor.passed, "problem": tensor.problem}
    if tensor.problem is not None:
        return found | {"maps": [shown.array(value) for value in tensor.values]}
    assert tensor.apart is not None
    cells = _cells(tensor)
    where = np.unravel_index(cells, tensor.apart.shape) if tensor.apart.ndim else ()

    def by_cell(*arrays: Array) -> list[int | None]:
        whole = cells.size == arrays[0].size
        return [shown.array(a if whole else a.reshape(-1)[cells]) for a in arrays]

    found |= {
        "maps": [shown.array(value) for value in tensor.both],
        "values": by_cell(*tensor.both),
        "difference": by_cell(tensor.difference)[0],
        "apart": by_cell(tensor.apart)[0],
        "worst": int(np.flatnonzero(cells.reshape(-1) == tensor.worst)[0]) if cells.size else 0,
        "said": said_of(tensor),
        "places": [
            f"[{', '.join(map(str, index))}]"
            for index in zip(*(axis.reshape(-1).tolist() for axis in where), strict=True)
        ],
    }
    if tensor.sides is None:
        return found | {"ulps": by_cell(tensor.ulps)[0]}
    return found | {
        what: by_cell(*(getattr(side, what) for side in tensor.sides))
        for what in ("due", "allowed", "used")
    }


def _cells(tensor: Tensor) -> Array:
    """Return which element each cell is of: every one, or of a large tensor each block's worst."""
    assert tensor.apart is not None
    elements = as_table(np.arange(tensor.apart.size).reshape(tensor.apart.shape))
    if elements.size <= MOST_WHOLE:
        return elements
    apart = as_table(tensor.apart)
    _, rows, columns = block_means(apart)
    cells = np.empty((len(rows) - 1, len(columns) - 1), int)
    for i in range(cells.shape[0]):
        for j in range(cells.shape[1]):
            block = slice(rows[i], rows[i + 1]), slice(columns[j], columns[j + 1])
            cells[i, j] = elements[block].reshape(-1)[apart[block].argmax()]
    return cells

"""The printed form of a tensor, character for character as torch prints it.

Printing is decided once for the whole tensor, from the elements that will be shown: one format
specification and one width for all of them. Values are judged and written as Python's floats,
in float64, whatever their dtype: the float32 nearest to 0.0001 is 9.99999974737875e-05 there, and
is printed as ``1.0000e-04``.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minigrad.dtypes import bool_, get_default_dtype, int64

_OPENING = "tensor("


@dataclass(frozen=True)
class _PrintOptions:
    precision: int = 4
    threshold: float = 1000
    edgeitems: int = 3
    linewidth: int = 80
    sci_mode: bool | None = None


_PROFILES = {
    "default": _PrintOptions(),
    "short": _PrintOptions(precision=2, edgeitems=2),
    "full": _PrintOptions(threshold=float("inf")),
}
_options = _PROFILES["default"]


def set_printoptions(
    precision: int | None = None,
    threshold: float | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> None:
    """Set how tensors are printed from now on, as ``torch.set_printoptions`` does.

    What is not given stays as it is, except `sci_mode`: as in torch, any call that does not give
    it sets it back to None.

    Args:
        precision: digits after the decimal point of floating-point elements (at first 4).
        threshold: a tensor of more elements than this is summarised (at first 1000).
        edgeitems: elements shown at both ends of each dimension of a summary (at first 3). With 0
            a summary is ``[...]``, and the size is printed beside every tensor's elements.
        linewidth: characters on a line (at first 80). Rows are wrapped to it, at least one element
            on a line.
        profile: ``"default"``, ``"short"`` (precision and edgeitems 2) or ``"full"`` (never
            summarised); the other arguments change it further.
        sci_mode: True for scientific notation, False for none, None to choose it for each tensor
            by its elements.

    Raises:
        TypeError: a number is none, or not whole where it has to be.
        ValueError: `precision` or `edgeitems` is negative, or `profile` is unknown. torch accepts
            all of this: it ignores the profile, and fails later, while printing, on the others.
    """
    wholes = {"precision": precision, "edgeitems": edgeitems, "linewidth": linewidth}
    for name, count in wholes.items():
        if not isinstance(count, int | None):
            raise TypeError(f"set_printoptions: {name} must be an int, not {type(count).__name__}")
        if count is not None and count < 0 and name != "linewidth":
            raise ValueError(f"set_printoptions: {name} is {count}; give an integer, 0 or more")
    if profile is not None and profile not in _PROFILES:
        known = ", ".join(map(repr, _PROFILES))
        raise ValueError(f"set_printoptions: profile is {profile!r}; give one of {known}")
    if not isinstance(threshold, int | float | None):
        raise TypeError(
            f"set_printoptions: threshold must be a number, not {type(threshold).__name__}"
        )
    given: dict[str, Any] = {**wholes, "threshold": threshold}
    changes = {name: value for name, value in given.items() if value is not None}
    global _options
    _options = replace(_PROFILES[profile] if profile else _options, **changes, sci_mode=sci_mode)


def tensor_text(
    array: NDArray[Any], *, requires_grad: bool = False, grad_fn: str | None = None
) -> str:
    """Return what torch prints for a tensor with these elements.

    Args:
        array: the elements: any shape, zero-dimensional and empty included, of a boolean, integer
            or floating-point dtype.
        requires_grad: whether the tensor is a leaf that requires a gradient.
        grad_fn: the name of the node that made the tensor, for instance ``"MseLossBackward0"``;
            where there is one, it is printed in place of `requires_grad`.

    >>> print(tensor_text(np.float32([[1, 2.5]]), requires_grad=True))
    tensor([[1.0000, 2.5000]], requires_grad=True)
    """
    assert array.dtype.kind in "biuf", f"torch has no such tensors here: {array.dtype}"
    suffixes = []
    # The size is told where the elements do not show it.
    size_hidden = array.ndim != 1 if array.size == 0 else _options.edgeitems == 0
    if size_hidden:
        suffixes.append(f"size={array.shape}")
    # So is the dtype; int64 and bool are recognised by their elements if there are any.
    evident = (int64, bool_) if array.size else ()
    if array.dtype not in (get_default_dtype(), *evident):
        suffixes.append(f"dtype=torch.{array.dtype.name}")
    if grad_fn is not None:
        suffixes.append(f"grad_fn=<{grad_fn}>")
    elif requires_grad:
        suffixes.append("requires_grad=True")
    return _with_suffixes(_OPENING + (_elements(array) if array.size else "[]"), suffixes)


def _with_suffixes(text: str, suffixes: list[str]) -> str:
    """Close `text` after the suffixes, each on a new line if it does not fit on the last one."""
    # torch counts two characters too many on the last line of the elements, and on that alone.
    used = len(text) - (text.rfind("\n") + 1) + 2
    for suffix in suffixes:
        if used + len(", ") + len(suffix) > _options.linewidth:
            text += ",\n" + " " * len(_OPENING) + suffix
            used = len(_OPENING) + len(suffix)
        else:
            text += ", " + suffix
            used += len(", ") + len(suffix)
    return text + ")"


def _elements(array: NDArray[Any]) -> str:
    """The elements of a tensor that is not empty, in brackets, wrapped and summarised."""
    edge = _options.edgeitems
    summarised = array.size > _options.threshold
    shown = array
    if summarised:
        for axis, size in enumerate(array.shape):
            if size > 2 * edge:
                shown = np.delete(shown, slice(edge, size - edge), axis)
    specification, width = _format(shown.ravel())

    def write(value: float) -> str:
        return format(value, specification).rjust(width)

    def nested(part: NDArray[Any], indent: int) -> str:
        if part.ndim == 0:
            return write(part.item())
        size = len(part)
        gap = summarised and size > 2 * edge
        kept = [part[:edge], part[size - edge :]] if gap else [part]
        if part.ndim > 1:
            pieces = [nested(row, indent + 1) for rows in kept for row in rows]
            dots, separator = "...", "," + "\n" * (part.ndim - 1)
            per_line = 1
        else:
            pieces = [write(value) for values in kept for value in values.tolist()]
            dots, separator = " ..." if edge else "...", ",\n"
            per_line = max(1, (_options.linewidth - indent) // (width + len(", ")))
        if gap:
            pieces.insert(edge, dots)
        lines = [", ".join(pieces[i : i + per_line]) for i in range(0, len(pieces), per_line)]
        return "[" + (separator + " " * (indent + 1)).join(lines) + "]"

    return nested(array, len(_OPENING))


def _format(shown: NDArray[Any]) -> tuple[str, int]:
    """The format specification and the width of elements, from all those shown (1-D)."""
    if shown.dtype.kind != "f":
        specification = ""
    else:
        # torch leaves zeros, NaNs and infinities out of account, in the width too: they may
        # overflow it.
        shown = shown[np.isfinite(shown) & (shown != 0)]
        magnitudes = np.abs(shown)
        low, high = float(magnitudes.min(initial=np.inf)), float(magnitudes.max(initial=0))
        scientific = _options.sci_mode
        if scientific is None:
            scientific = high / low > 1000 or high > 1e8 or low < 1e-4
        if scientific and shown.size:
            specification = f".{_options.precision}e"
        elif np.all(shown == np.ceil(shown)):
            specification = "#.0f"  # "3.", but "nan" and "inf"
        else:
            specification = f".{_options.precision}f"
    return specification, max((len(format(v, specification)) for v in shown.tolist()), default=1)

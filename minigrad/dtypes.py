"""The data types, which are NumPy's own dtype objects, and torch's rules for mixing them.

So `x.dtype` prints as NumPy prints it, `float32`, where torch says `torch.float32`.
"""

import math
from typing import Any

import numpy as np

DType = np.dtype[Any]

float32: DType = np.dtype(np.float32)
float64: DType = np.dtype(np.float64)
int64: DType = np.dtype(np.int64)
bool_: DType = np.dtype(np.bool_)

SUPPORTED = (float32, float64, int64, bool_)
"""There are no others: an engine for regression needs no more."""

_LARGEST = {kind: float(np.finfo(kind).max) for kind in (float32, float64)}
_CATEGORY = {bool_: 0, int64: 1, float32: 2, float64: 2}


def as_dtype(dtype: Any) -> DType:
    """Return the supported data type that `dtype` is; raise a TypeError where it is none.

    Python's types are float64, int64 and bool, as in torch. NumPy's are taken, too, and names.
    """
    try:
        found: DType | None = np.dtype(dtype) if dtype is not None else None
    except TypeError:
        found = None
    if found is None or found not in SUPPORTED or (isinstance(dtype, str) and dtype != found.name):
        known = ", ".join(map(str, SUPPORTED))
        raise TypeError(f"dtype {dtype!r} is not supported: use one of {known}")
    return found


_default = [float32]


def get_default_dtype() -> DType:
    """Return the data type of floats that come without one: float32, if nothing else was set."""
    return _default[0]


def set_default_dtype(d: Any, /) -> None:
    """Set the data type of floats that come without one, float32 or float64.

    Raises:
        TypeError: it is neither.
    """
    dtype = as_dtype(d)
    if dtype.kind != "f":
        raise TypeError(f"set_default_dtype: it must be float32 or float64, not {dtype}")
    _default[0] = dtype


def python_number(value: Any) -> Any:
    """Return a NumPy scalar as the Python number that torch takes it for, other things as they are.

    To torch a NumPy bool is a float.
    """
    if isinstance(value, np.bool_):
        return float(value)
    return value.item() if isinstance(value, np.generic) else value


def dtype_of_number(number: float | int | bool) -> DType:
    """Return the data type torch gives a Python number: bool, int64 or the default."""
    if isinstance(number, bool):
        return bool_
    return int64 if isinstance(number, int) else get_default_dtype()


def beyond_c(number: float | int) -> bool:
    """Return whether a number is an int that torch takes for no dtype: none of C's holds it."""
    return isinstance(number, int) and not -(2**63) <= number < 2**64


def beyond(operation: str, number: float | int, dtype: DType) -> Exception:
    """Return the error for a number that a data type cannot hold, of torch's class."""
    kind = OverflowError if beyond_c(number) else RuntimeError
    text = str(number) if not isinstance(number, int) or abs(number) < 10**40 else "of this size"
    return kind(
        f"{operation}: value {text} cannot be converted to {dtype} without overflow: use a "
        "smaller one, or a tensor of another dtype"
    )


def number_as(operation: str, number: float | int, dtype: DType) -> float | int | bool:
    """Return a Python number as a tensor of this data type holds it.

    Raises:
        OverflowError: it is an int of more than 64 bits.
        RuntimeError: the data type cannot hold it: too large, or NaN or infinite for integers.
    """
    if beyond_c(number):
        held = False
    elif dtype.kind == "f":
        held = not _LARGEST[dtype] < abs(number) < math.inf
    else:
        held = dtype == bool_ or -(2**63) <= number < 2**63
    if not held:
        raise beyond(operation, number, dtype)
    held_number: float | int | bool = dtype.type(number).item()
    return held_number


def common_type(*dtypes: DType) -> DType:
    """Return the data type that holds several; int64 with float32 is float32, as in torch."""
    common = np.result_type(*dtypes)
    return float32 if common == float64 and float64 not in dtypes else common


def result_type(*operands: Any) -> DType:
    """Return the data type in which torch combines arrays and Python numbers.

    There are three categories, bool < integer < floating point. Arrays with axes decide; a
    zero-dimensional array changes the result only if its category is higher, and a Python number
    only if its category is higher still (see `torch.result_type`).
    """
    decided: DType | None = None
    with_axes = [x.dtype for x in operands if hasattr(x, "ndim") and x.ndim > 0]
    without_axes = [x.dtype for x in operands if hasattr(x, "ndim") and x.ndim == 0]
    numbers = [dtype_of_number(x) for x in operands if not hasattr(x, "ndim")]
    for group in (with_axes, without_axes, numbers):
        if group:
            candidate = common_type(*group)
            if decided is None or _CATEGORY[candidate] > _CATEGORY[decided]:
                decided = candidate
    assert decided is not None
    return decided

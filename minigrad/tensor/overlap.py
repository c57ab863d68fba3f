"""Changes in place within one memory: what is read must not have been replaced before."""

from typing import Any

import numpy as np
from numpy.lib.array_utils import byte_bounds
from numpy.lib.stride_tricks import as_strided

from minigrad.tape import owner


def require_apart(operation: str, target: Any, values: Any, entirely: bool = False) -> None:
    """Raise a RuntimeError where it matters in which order elements are replaced.

    torch raises where it sees this, and else goes by the order of its kernels.

    Args:
        operation: what messages call it.
        target: the tensor whose elements are replaced.
        values: the tensor that is read, of a shape that can be broadcast to the target's.
        entirely: whether the two may not have any element in common.
    """
    to, source = (getattr(x._array, "_array", x._array) for x in (target, values))
    if (entirely and to is source) or (
        np.shares_memory(to, source)
        and (entirely or _are_apart_in_shape(to, source) or _order_matters(to, source))
    ):
        raise _shared(operation, target, values)


def require_same_or_apart(operation: str, target: Any, operand: Any) -> None:
    """Raise a RuntimeError where a tensor that is changed shares some elements with an operand.

    As in torch, it may share all of them, each with itself: `x.mul_(x)`.
    """
    if owner(target._array) is not owner(operand._array):
        return
    to, source = (getattr(x._array, "_array", x._array) for x in (target, operand))
    same = _elements(to) == _elements(source) and not _are_apart_in_shape(to, source)
    if not same and np.shares_memory(to, source):
        raise _shared(operation, target, operand)


def _shared(operation: str, target: Any, values: Any) -> RuntimeError:
    return RuntimeError(
        f"{operation}: unsupported operation: some elements of what is read, of shape "
        f"{list(values.shape)}, and of what is changed, of shape {list(target.shape)}, are in the "
        "same memory: give a clone() of the first"
    )


def _are_apart_in_shape(to: Any, source: Any) -> bool:
    """Return whether two dense arrays of the same memory differ in their axes: torch raises."""
    low, high = byte_bounds(to)
    is_dense = high - low == to.nbytes and byte_bounds(source) == (low, high)
    return is_dense and (to.shape, to.strides) != (source.shape, source.strides)


def writable(array: Any) -> Any:
    """Return an array, writable if its memory is: NumPy's views of repeated elements are not."""
    whole = owner(array)
    if array.flags.writeable or not isinstance(whole, np.ndarray) or not whole.flags.writeable:
        return array
    start = array.__array_interface__["data"][0] - whole.__array_interface__["data"][0]
    return np.ndarray(array.shape, array.dtype, whole, start, array.strides)


def _elements(x: Any) -> tuple[Any, ...]:
    """Return where in memory each element is: the first, and the steps from one to the next."""
    steps = zip(x.shape, x.strides, strict=True)
    return x.ctypes.data, [(length, step) for length, step in steps if length != 1]


def _order_matters(to: Any, source: Any) -> bool:
    """Return whether an assignment would change what it reads."""
    (low, high), (other_low, other_high) = byte_bounds(to), byte_bounds(source)
    first = min(low, other_low)
    numbers = np.arange((max(high, other_high) - first) // to.itemsize)

    def like(x: Any) -> Any:
        """Return the numbers of an array's elements, laid out as they are."""
        start = (x.__array_interface__["data"][0] - first) // x.itemsize
        strides = [stride // x.itemsize * numbers.itemsize for stride in x.strides]
        return as_strided(numbers[start:], x.shape, strides)

    read = np.copy(like(source))
    like(to)[...] = read
    return not np.array_equal(like(source), read)

"""What stands between square brackets, taken apart as torch does it.

torch goes through a key twice. First ints, slices, None and `...` make a view; then tensors, lists
and masks, the *index arrays*, pick elements of this view. NumPy takes an int beside an index array
for an index array too, and may put the axes of the result in another order.
"""

import operator
import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple, NoReturn

import numpy as np

from minigrad.dtypes import bool_, int64, number_as
from minigrad.ops import RULE_OF, Rule, shape
from minigrad.ops import indexing as rules
from minigrad.tensor.base import TensorBase

ALIAS = RULE_OF[shape.alias]
NEW_AXIS = RULE_OF[rules.part].named("UnsqueezeBackward0")
SELECT = RULE_OF[rules.part].named("SelectBackward0")
SLICE = RULE_OF[rules.part].named("SliceBackward0")

ALL = slice(None)
SEQUENCES = (list, tuple, range)


class Key(NamedTuple):
    """A key in NumPy's terms, of a tensor of a certain shape.

    Attributes:
        view: ints, slices, None and a last `...`.
        arrays: index arrays, with `:` for an axis of the view between them; () if there are none.
        rule: what makes the view, under torch's name of the last step to it.
        is_whole: whether the view is the tensor as it was.
        is_mask: whether there is one index array, and it is a mask with axes.
    """

    view: tuple[Any, ...]
    arrays: tuple[Any, ...]
    rule: Rule
    is_whole: bool
    is_mask: bool

    def kept_axes(self, ndim: int) -> list[int]:
        """Return the axes of the view, one of so many axes, that stay as they are."""
        kept = []
        axis = 0
        for part in self.arrays:
            if part is ALL:
                kept.append(axis)
            axis += _axes(part)
        return [*kept, *range(axis, ndim)]

    @property
    def first_axis(self) -> int:
        """Where in the result the axes of the index arrays begin."""
        is_kept = [part is ALL for part in self.arrays]
        first = is_kept.index(False)
        return 0 if any(is_kept[first:]) else first


def key_of(given: Any, shape: Sequence[int]) -> Key:
    """Take a key apart for a tensor of this shape.

    Raises:
        IndexError: there are more parts than axes, or one that nothing can be indexed by.
        TypeError: a part is text, or a slice has an end that is no int.
        ValueError: a slice's step is not positive, an int has more than 64 bits, or the lists in a
            list are of different lengths.
        RuntimeError: a list has something else than numbers in it.
    """
    parts = _parts(given)
    left_out = len(shape) - sum(map(_counted, parts))
    if left_out < 0:
        _refuse_number(shape)
    view: list[Any] = []
    arrays: list[Any] = []
    places: list[tuple[Any, Sequence[int]]] = []  # index arrays, with the lengths they stand for
    kept: list[int] = []  # the lengths that no index array stands for
    rule, is_whole = ALIAS, True
    end = skipped = 0
    for part in map(_plain, parts):
        if part is ...:
            skipped += left_out
            continue
        if skipped:  # something follows `...`
            view += [ALL] * skipped
            arrays += [ALL] * skipped
            kept += shape[end : end + skipped]
            end, skipped = end + skipped, 0
        axis, end = end, end + _axes(part)
        if end > len(shape):
            _refuse_number(shape)
        if isinstance(part, int):
            if not -shape[axis] <= part < shape[axis]:
                raise IndexError(
                    f"index: {part} is out of bounds for axis {axis} of length {shape[axis]} of a "
                    f"tensor of shape {list(shape)}"
                )
            view.append(part)
            rule, is_whole = SELECT, False
        elif isinstance(part, slice):
            view.append(part)
            arrays.append(ALL)
            kept.append(len(range(shape[axis])[part]))
            shortens = part.stop is not None and part.stop < shape[axis]
            if part.start or shortens or part.step not in (None, 1):
                rule, is_whole = SLICE, False
        elif part is None or (part.ndim == 0 and part.dtype == bool_):
            view.append(None)
            arrays.append(ALL if part is None else np.reshape(part, (1,)))  # a mask of the new axis
            rule, is_whole = NEW_AXIS, False
        else:
            view += [ALL] * (end - axis)
            arrays.append(part)
            places.append((part, shape[axis:end]))
    if isinstance(given, slice):
        rule = SLICE
    while arrays and arrays[-1] is ALL:
        arrays.pop()
    for part, taken in places:
        _check_array(part, taken, shape)
    if places and (0 in kept or 0 in shape[end:]):
        arrays = list(map(_unread, arrays))
    is_mask = len(places) == 1 and places[0][0].dtype == bool_
    is_mask = is_mask and sum(part is not ALL for part in arrays) == 1
    return Key((*view, ...), tuple(arrays), rule, is_whole, is_mask)


def _check_array(part: Any, taken: Sequence[int], shape: Sequence[int]) -> None:
    if part.dtype.kind not in "bi":
        raise IndexError(
            f"index: a tensor of dtype {part.dtype} cannot be an index: it must be of integers or "
            "bools"
        )
    if part.dtype == bool_ and part.shape != tuple(taken):  # NumPy lets some pass
        raise IndexError(
            f"index: the shape of the mask {list(part.shape)} does not match the axes it stands "
            f"for, of lengths {list(taken)}, of a tensor of shape {list(shape)}"
        )


def _unread(part: Any) -> Any:
    """Return an index array for where there is nothing to pick: torch looks at no int there."""
    return part if part is ALL or part.dtype == bool_ else np.zeros(part.shape, int64)


def _parts(given: Any) -> Sequence[Any]:
    """Return the parts of a key; torch takes some lists for tuples, and warns of it."""
    if isinstance(given, tuple):
        return given
    if isinstance(given, SEQUENCES) and len(given) < 32:
        kinds = (TensorBase, np.ndarray, slice, *SEQUENCES)
        if any(part is None or part is ... or isinstance(part, kinds) for part in given):
            warnings.warn(
                "index: a list of lists, tensors or slices is taken for a tuple, one part an axis, "
                "and torch will change this: write x[tuple(parts)], or x[tensor(parts)]",
                stacklevel=4,
            )
            return given
    return (_plain(given) if type(given) in (int, slice) else given,)


def _counted(part: Any) -> int:
    """Return how many axes a part takes, by which torch finds out how many `...` stands for.

    A mask counts as such if it is a tensor: torch counts one axis for a list or ndarray.
    """
    if isinstance(part, bool):
        return 0
    return 1 if isinstance(part, (int, np.ndarray, np.generic)) else _axes(part)


def _axes(part: Any) -> int:
    """Return how many axes a part takes."""
    if part is None or part is ...:
        return 0
    axes: int = part.ndim if getattr(part, "dtype", None) == bool_ else 1
    return axes


def _plain(part: Any) -> Any:
    """Return one part of a key as an int, a slice, None, `...` or an index array."""
    if part is None or part is ...:
        return part
    if type(part) is int:
        return long("index", part)
    if isinstance(part, slice):
        start, stop, step = (_end(part.start), _end(part.stop), _end(part.step))
        if step is not None and step <= 0:
            raise ValueError(f"index: a slice's step must be greater than zero, not {step}")
        return slice(start, stop, step)
    if isinstance(part, TensorBase):
        part = part._array
    elif isinstance(part, np.ndarray) and part.dtype.kind not in "biu":
        part = part.tolist()
    if isinstance(part, (bool, *SEQUENCES)):
        array = np.asarray(_elements(part))
        return array if array.size else np.zeros(array.shape, int64)
    if isinstance(part, np.integer) or not hasattr(part, "dtype"):
        return long("index", operator.index(part)) if hasattr(part, "__index__") else _refuse(part)
    if isinstance(part, np.generic):
        _refuse(part)
    return int(part) if part.ndim == 0 and part.dtype.kind == "i" else part


def _end(end: Any) -> int | None:
    return None if end is None else operator.index(end)


def _elements(value: Any) -> Any:
    """Return a list, however deep, with its elements as torch takes them: floats lose digits."""
    if isinstance(value, TensorBase):
        index: Any = value
        return bool(index) if value.dtype == bool_ else operator.index(index)
    if isinstance(value, SEQUENCES):
        of_numpy = [part for part in value if isinstance(part, np.bool_)]
        if of_numpy and not all(isinstance(part, (bool, np.bool_)) for part in value):
            _refuse(of_numpy[0], TypeError)  # it is no int
        return [_elements(part) for part in value]
    if isinstance(value, (np.ndarray, np.generic)):
        return _elements(value.tolist())
    if isinstance(value, float):
        return number_as("index", value, int64)
    if not isinstance(value, int):
        _refuse(value, RuntimeError)
    return value if isinstance(value, bool) else long("index", value)


def long(operation: str, number: int) -> int:
    """Return an int; raise a ValueError where it has more than 64 bits."""
    if not -(2**63) <= number < 2**63:
        raise ValueError(f"{operation}: the int {number} does not fit into 64 bits")
    return number


def _refuse(part: Any, kind: type[Exception] = IndexError) -> NoReturn:
    if isinstance(part, (str, bytes)):
        raise TypeError(f"index: {part!r} is text: use ints, slices, ..., None or tensors of them")
    raise kind(
        "index: only integers, slices, ..., None, and tensors or lists of integers or bools can be "
        f"an index, not {part!r} of type {type(part).__name__}"
    )


def _refuse_number(shape: Sequence[int]) -> NoReturn:
    raise IndexError(
        f"index: too many indices for a tensor of shape {list(shape)}: at most one for each axis"
    )

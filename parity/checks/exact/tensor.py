"""`Tensor`: what is computed, recorded so that it can be computed again with dual numbers.

Nothing is computed before somebody asks for it. So of a model whose outputs are given, only what is
wanted is.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from parity.checks.exact import kinds
from parity.checks.exact.dual import Dual
from parity.checks.exact.kinds import current, floats
from parity.checks.exact.lacking import Lacking
from parity.checks.exact.numbers import Numbers

_order = itertools.count()
_recording = [True]


@contextmanager
def no_grad() -> Iterator[None]:
    """Have what is computed within taken for constant."""
    _recording.append(False)
    try:
        yield
    finally:
        _recording.pop()


class Tensor:
    """A function of other tensors; `operations` gives it torch's methods and operators.

    Attributes:
        function, args, options: of what it is the value; tensors among these are its `parents`.
        known: False if it comes of random numbers, or of others that nobody knows.
        constant: whether it has no derivative.
    """

    __neg__: Any
    __add__: Any
    __sub__: Any
    __mul__: Any
    __truediv__: Any
    __getitem__: Any

    def __init__(self, function: Callable[..., Dual], args: Any = (), **options: Any) -> None:
        self.function, self.args, self.options = function, args, options
        self.parents: list[Tensor] = []
        replaced([args, options], lambda tensor: self.parents.append(tensor))
        self.known: bool = all(parent.known for parent in self.parents)
        self.constant = not _recording[-1]
        self.order = next(_order)
        self.products = self.calls = 0
        self._numbers: Numbers | None = None

    def run(self, value_of: Callable[[Tensor], Dual]) -> Dual:
        """Run the function with other values of its parents."""
        args, options = replaced([self.args, self.options], value_of)
        return self.function(*args, **options)

    @property
    def numbers(self) -> Numbers:
        """The value: exact numbers."""
        if self._numbers is None:
            for tensor in ancestors(self, lambda each: each._numbers is not None):
                before = current().products, current().calls
                tensor._numbers = tensor.run(lambda parent: Dual(parent.numbers)).v
                tensor.products = current().products - before[0]
                tensor.calls = current().calls - before[1]
                _require_short(tensor._numbers.v)
        assert self._numbers is not None
        return self._numbers

    @property
    def shape(self) -> tuple[int, ...]:
        """The lengths of the axes."""
        shape: tuple[int, ...] = self.numbers.v.shape
        return shape

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def dtype(self) -> str:
        """The dtype, by its name in torch."""
        kind = self.numbers.v.dtype.kind
        return {"b": "bool", "i": "int64"}.get(kind, current().dtype)

    def size(self, dim: int | None = None) -> Any:
        """Return the shape, or the length of one axis."""
        return self.shape if dim is None else self.shape[dim]

    def dim(self) -> int:
        """Return the number of axes."""
        return self.ndim

    def numel(self) -> int:
        """Return the number of elements."""
        return int(np.prod(self.shape, dtype=int))

    def is_floating_point(self) -> bool:
        """Tell ints and bools from other numbers."""
        return self.dtype == current().dtype

    def tolist(self) -> Any:
        """Return the nearest floats, ints or bools."""
        if not self.known:
            raise Lacking("value of random numbers that are no parameters")
        v = self.numbers.v
        return (v if v.dtype.kind in "bi" else floats(v)).tolist()

    def item(self) -> Any:
        """Return the nearest float, int or bool of a single element."""
        if self.numel() != 1:
            raise RuntimeError("a tensor with more than one element is no number")
        return self.reshape(()).tolist()

    def to(self, *what: Any) -> Tensor:
        """Return numbers of another dtype: whole numbers as numbers of the run's dtype."""
        for each in what:
            if each not in (current().dtype, "cpu"):
                raise Lacking(f"numbers of {each} in a run of {current().dtype}")
        return self if current().dtype not in what else Tensor(_as_numbers, (self,))

    def double(self) -> Tensor:
        """Return numbers of float64."""
        return self.to("float64")

    def float(self) -> Tensor:
        """Return numbers of float32."""
        return self.to("float32")

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Return the tensor: every one is ready to be differentiated by."""
        if not requires_grad:
            raise Lacking("requires_grad_(False)")
        return self

    def __len__(self) -> int:
        return self.shape[0]

    def __iter__(self) -> Iterator[Tensor]:
        return iter([self[i] for i in range(len(self))])

    def __float__(self) -> Any:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __index__(self) -> int:
        return int(self.item())

    def __bool__(self) -> bool:
        return bool(self.item())

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise Lacking(f"Tensor.{name}")

    def __iadd__(self, *value: Any) -> Any:  # type: ignore[misc]
        raise Lacking("operation in place, or %, // or @=")

    __isub__ = __imul__ = __itruediv__ = __ipow__ = __imatmul__ = __setitem__ = __iadd__
    __mod__ = __rmod__ = __floordiv__ = __rfloordiv__ = __iadd__
    __hash__ = object.__hash__


def replaced(value: Any, by: Callable[[Tensor], Any]) -> Any:
    """Return a value with other values in place of all tensors in it."""
    if isinstance(value, Tensor):
        return by(value)
    if type(value) in (list, tuple):
        return type(value)(replaced(part, by) for part in value)
    if type(value) is dict:
        return {key: replaced(part, by) for key, part in value.items()}
    return value


def _as_numbers(input: Dual) -> Dual:
    return Dual(Numbers(kinds.as_numbers(input.v.v), lambda: input.v.s), input.d)


def _require_short(v: Any) -> None:
    if current().kind == "fractions" and v.dtype == object:
        bits = (abs(x.numerator).bit_length() + x.denominator.bit_length() for x in np.ravel(v))
        if max(bits, default=0) > kinds.MOST_BITS:
            raise kinds.NotRationalError("a long fraction")


def ancestors(tensor: Tensor, done: Callable[[Tensor], bool] = lambda each: False) -> list[Tensor]:
    """Return a tensor and all that it is computed from, in the order of computing."""
    found, left = {}, [tensor]
    while left:
        each = left.pop()
        if id(each) not in found and not done(each):
            found[id(each)] = each
            left += each.parents
    return sorted(found.values(), key=lambda each: each.order)

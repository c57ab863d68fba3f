"""Dual numbers, v + d·ε with ε² = 0: a value, and its derivative by some input.

Forward mode: Wengert 1964, *A simple automatic derivative evaluation program*. One input is given
d = 1; what comes out as d is the derivative by it. What does not depend on that input has no d.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from parity.checks.exact import kinds, numbers
from parity.checks.exact.numbers import Numbers, each


class Dual:
    """Arrays v and d of one shape; no d stands for 0. Of v, what computes it may be given."""

    def __init__(self, v: Numbers | Callable[[], Numbers], d: Numbers | None = None) -> None:
        self._v, self.d = v, d

    @property
    def v(self) -> Numbers:
        """The value; in a derivative many are never asked for."""
        if not isinstance(self._v, Numbers):
            self._v = self._v()
        return self._v

    @property
    def shape(self) -> tuple[int, ...]:
        """The arrays' shape."""
        shape: tuple[int, ...] = (self.d or self.v).v.shape
        return shape

    def __neg__(self) -> Dual:
        return Dual(lambda: -self.v, None if self.d is None else -self.d)

    def __add__(self, other: Any) -> Dual:
        other = dual(other)
        d = total(self.d, other.d)
        if d is not None:
            shape = np.broadcast_shapes(self.shape, other.shape)
            d = each(lambda part: np.broadcast_to(part, shape), d)
        return Dual(lambda: self.v + other.v, d)

    def __sub__(self, other: Any) -> Dual:
        return self + -dual(other)

    def __rsub__(self, other: Any) -> Dual:
        return dual(other) - self

    def __mul__(self, other: Any) -> Dual:
        other = dual(other)
        first = None if self.d is None else self.d * other.v
        second = None if other.d is None else self.v * other.d
        return Dual(lambda: self.v * other.v, total(first, second))

    def __matmul__(self, other: Dual) -> Dual:
        first = None if self.d is None else self.d @ other.v
        second = None if other.d is None else self.v @ other.d
        return Dual(lambda: self.v @ other.v, total(first, second))

    def __truediv__(self, other: Any) -> Dual:
        other = dual(other)
        if other.d is None:
            return Dual(lambda: self.v / other.v, None if self.d is None else self.d / other.v)
        out = self.v / other.v  # out·other = self, so that d(out)·other + out·d(other) = d(self)
        moved = total(self.d, -(out * other.d))
        return Dual(out, None if moved is None else moved / other.v)

    __radd__, __rmul__ = __add__, __mul__

    def __rtruediv__(self, other: Any) -> Dual:
        return dual(other) / self

    def sum(self, axis: Any = None, keepdims: bool = False) -> Dual:
        """Return sums along axes, all of them if None."""
        d = None if self.d is None else self.d.sum(axis, keepdims)
        return Dual(lambda: self.v.sum(axis, keepdims), d)


def dual(value: Any) -> Dual:
    """Return a constant as a dual number, or what is one."""
    return value if isinstance(value, Dual) else Dual(Numbers(kinds.make(value)))


def total(first: Numbers | None, second: Numbers | None) -> Numbers | None:
    """Return the sum of two derivatives."""
    return second if first is None else first if second is None else first + second


def moved(function: Callable[..., Any], *operands: Any) -> Dual:
    """Apply a function of arrays that only moves, repeats or selects elements."""
    given = [dual(operand) for operand in operands]

    def v() -> Numbers:
        return each(function, *(operand.v for operand in given))

    if all(operand.d is None for operand in given):
        return Dual(v)
    zero = kinds.make(0)
    ds = (
        Numbers(np.broadcast_to(zero, operand.shape)) if operand.d is None else operand.d
        for operand in given
    )
    return Dual(v, each(function, *ds))


def elementary(name: str, x: Dual) -> Dual:
    """Return one of the functions in `numbers.SLOPES`."""
    out = numbers.elementary(name, x.v)
    return Dual(out, None if x.d is None else numbers.SLOPES[name](x.v, out) * x.d)


def power(x: Dual, y: Dual) -> Dual:
    """Return x to the power of y; as in torch, x⁰ has derivative 0, and 0ʸ by y too if y ≥ 0."""
    out = numbers.power(x.v, y.v)
    first = second = None
    if x.d is not None:
        less = Numbers(np.where(y.v.v == 0, y.v.v, y.v.v - 1), lambda: y.v.s)
        first = y.v * numbers.power(x.v, less) * x.d
    if y.d is not None:
        none = (x.v.v == 0) & (y.v.v >= 0)
        base = each(lambda a, b: np.where(none, a, b), numbers.one(), x.v)
        second = out * numbers.elementary("log", base) * y.d
    return Dual(out, total(first, second))

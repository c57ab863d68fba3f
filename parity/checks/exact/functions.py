"""What every operation is, in torch's names, of dual numbers.

These are definitions and no derivative rules: each says what comes out, and the derivative follows.
Where there is none, at a tie or a kink, a comment says which number torch takes for it.
"""

import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from parity.checks.exact.dual import Dual, dual, elementary, moved, power
from parity.checks.exact.kinds import current
from parity.checks.exact.lacking import Lacking
from parity.checks.exact.numbers import Numbers
from parity.checks.exact.shapes import t, unsqueeze

# ---- element by element, with broadcasting ----------------------------------------------------


def add(input: Any, other: Any, *, alpha: float = 1) -> Dual:
    return dual(input) + dual(other) * alpha


def sub(input: Any, other: Any, *, alpha: float = 1) -> Dual:
    return dual(input) - dual(other) * alpha


def mul(input: Any, other: Any) -> Dual:
    return dual(input) * dual(other)


def div(input: Any, other: Any) -> Dual:
    return dual(input) / dual(other)


def neg(input: Dual) -> Dual:
    return -input


def pow(input: Any, exponent: Any) -> Dual:
    return power(dual(input), dual(exponent))


def square(input: Dual) -> Dual:
    return input * input


exp = functools.partial(elementary, "exp")
log = functools.partial(elementary, "log")
log1p = functools.partial(elementary, "log1p")
sqrt = functools.partial(elementary, "sqrt")
sin = functools.partial(elementary, "sin")
cos = functools.partial(elementary, "cos")
tanh = functools.partial(elementary, "tanh")
sigmoid = functools.partial(elementary, "sigmoid")  # 1 / (1 + e⁻ˣ)


# ---- choices ----------------------------------------------------------------------------------


def _values(x: Any) -> Any:
    return dual(x).v.v


def _compared(compare: np.ufunc, input: Any, other: Any) -> Dual:
    return Dual(Numbers(compare(_values(input), _values(other)).astype(bool)))


eq = functools.partial(_compared, np.equal)
ne = functools.partial(_compared, np.not_equal)
lt = functools.partial(_compared, np.less)
le = functools.partial(_compared, np.less_equal)
gt = functools.partial(_compared, np.greater)
ge = functools.partial(_compared, np.greater_equal)


def logical_and(input: Dual, other: Dual) -> Dual:
    return Dual(Numbers(np.logical_and(_values(input), _values(other))))


def logical_or(input: Dual, other: Dual) -> Dual:
    return Dual(Numbers(np.logical_or(_values(input), _values(other))))


def logical_not(input: Dual) -> Dual:
    return Dual(Numbers(np.logical_not(_values(input))))


def where(condition: Dual, input: Any, other: Any) -> Dual:
    chosen = _values(condition)
    return moved(lambda a, b: np.where(chosen, a, b), input, other)


def detach(input: Dual) -> Dual:
    return Dual(input.v)  # a constant


def clone(input: Dual) -> Dual:
    return input


def sign(input: Dual) -> Dual:
    return where(gt(input, 0), 1, where(lt(input, 0), -1, detach(input)))  # NaN stays NaN


def abs(input: Dual) -> Dual:
    # At 0 the derivative is 0.
    return where(gt(input, 0), input, where(lt(input, 0), -input, detach(input)))


def relu(input: Dual) -> Dual:
    # At 0 the derivative is 0. NaN stays NaN.
    return where(le(input, 0), 0, input)


def maximum(input: Any, other: Any) -> Dual:
    # At a tie each has half of the derivative.
    half = (dual(input) + other) / 2
    return where(gt(input, other), input, where(lt(input, other), other, half))


def minimum(input: Any, other: Any) -> Dual:
    return -maximum(-dual(input), -dual(other))


def clamp(input: Dual, min: Any = None, max: Any = None) -> Dual:
    # At a bound the derivative is 1. Of bounds in the wrong order the upper one counts; below equal
    # bounds neither has a derivative.
    if min is not None and max is not None:
        min = where(eq(min, max), detach(dual(min)), min)
    if min is not None:
        input = where(lt(input, min), min, input)
    return input if max is None else where(gt(input, max), max, input)


# ---- along dimensions -------------------------------------------------------------------------


def _axes(input: Dual, dim: Any) -> Any:
    """Return dimensions as NumPy has them: None for all."""
    if dim is None or not input.shape or (isinstance(dim, Sequence) and not dim):
        return None
    return tuple(dim) if isinstance(dim, Sequence) else dim


def _count(input: Dual, dim: Any) -> int:
    axes = _axes(input, dim)
    shape = np.array(input.shape, int)
    return int(math.prod(shape if axes is None else shape[np.atleast_1d(axes)]))


def sum(input: Dual, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Dual:
    if dtype not in (None, current().dtype):
        raise Lacking(f"sum in {dtype}")
    return input.sum(_axes(input, dim), keepdim)


def mean(input: Dual, dim: Any = None, keepdim: bool = False) -> Dual:
    return sum(input, dim, keepdim) / _count(input, dim)


def var(
    input: Dual,
    dim: Any = None,
    unbiased: bool = True,
    keepdim: bool = False,
    *,
    correction: int | None = None,
) -> Dual:
    correction = int(unbiased) if correction is None else correction
    freedom: int = max(_count(input, dim) - correction, 0)
    return sum(square(input - mean(input, dim, True)), dim, keepdim) / freedom


def std(input: Dual, dim: Any = None, *more: Any, **options: Any) -> Dual:
    return _root(var(input, dim, *more, **options))


def _root(input: Dual) -> Dual:
    # Of deviations and norms that are 0 the derivative is 0.
    none = eq(input, 0)
    return where(none, 0, sqrt(where(none, 1, input)))


def norm(input: Dual, p: Any = "fro", dim: Any = None, keepdim: bool = False) -> Dual:
    if p in (2, "fro"):
        return _root(sum(square(input), dim, keepdim))
    if p == math.inf:
        return amax(abs(input), dim, keepdim)
    if p == -math.inf:
        return amin(abs(input), dim, keepdim)
    if p == 1:
        return sum(abs(input), dim, keepdim)
    if isinstance(p, str) or not p > 0:
        raise Lacking(f"norm of order {p}")
    # By an element that is 0 the derivative is 0.
    zero = eq(input, 0)
    total = sum(where(zero, 0, pow(where(zero, 1, abs(input)), p)), dim, keepdim)
    none = eq(total, 0)
    return where(none, 0, pow(where(none, 1, total), dual(1) / p))


def amax(input: Dual, dim: Any = None, keepdim: bool = False) -> Dual:
    # At a tie all have the same share of the derivative.
    axes = _axes(input, dim)
    top = np.max(_values(input), axis=axes, keepdims=True)
    tied = ~np.less(_values(input), top).astype(bool)
    chosen = moved(lambda a: np.sum(np.where(tied, a, 0), axis=axes, keepdims=keepdim), input)
    return chosen / dual(np.sum(tied, axis=axes, keepdims=keepdim))


def amin(input: Dual, dim: Any = None, keepdim: bool = False) -> Dual:
    return -amax(-input, dim, keepdim)


def argmax(input: Dual, dim: Any = None, keepdim: bool = False) -> Dual:
    # At a tie it is the first.
    top = np.argmax(_values(input), axis=dim)
    return Dual(Numbers(top if not keepdim or dim is None else np.expand_dims(top, dim)))


def argmin(input: Dual, dim: Any = None, keepdim: bool = False) -> Dual:
    return argmax(-input, dim, keepdim)


def take_along_dim(input: Dual, indices: Dual, dim: int) -> Dual:
    where = _values(indices)
    return moved(lambda a: np.take_along_axis(a, where, dim) if a.ndim else a, input)


# ---- products ---------------------------------------------------------------------------------


def matmul(input: Dual, other: Dual) -> Dual:
    return input @ other


mm = mv = dot = matmul


def outer(input: Dual, vec2: Dual) -> Dual:
    return unsqueeze(input, 1) * vec2


def linear(input: Dual, weight: Dual, bias: Dual | None = None) -> Dual:
    """x·Wᵀ + b: (…, in), (out, in), (out,) to (…, out)."""
    out = input @ t(weight)
    return out if bias is None else out + bias

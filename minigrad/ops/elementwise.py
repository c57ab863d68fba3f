"""Operations on corresponding elements. Inputs may broadcast; the tape undoes it."""

import numpy as np

from minigrad.dtypes import DType
from minigrad.layout import copied, unrepeated
from minigrad.tape import Array


def add(x: Array, y: Array) -> Array:
    return np.add(x, y)


def add_backward_x(grad_out: Array) -> Array:
    return grad_out


def add_backward_y(grad_out: Array) -> Array:
    return grad_out


def sub(x: Array, y: Array) -> Array:
    return np.subtract(x, y)


def sub_backward_x(grad_out: Array) -> Array:
    return grad_out


def sub_backward_y(grad_out: Array) -> Array:
    return np.negative(grad_out)


def mul(x: Array, y: Array) -> Array:
    return np.multiply(x, y)


def mul_backward_x(grad_out: Array, y: Array) -> Array:
    return np.multiply(grad_out, y)


def mul_backward_y(grad_out: Array, x: Array) -> Array:
    return np.multiply(grad_out, x)


def div(x: Array, y: Array) -> Array:
    return np.divide(x, y)


def div_backward_x(grad_out: Array, y: Array) -> Array:
    return np.divide(grad_out, y)


def div_backward_y(grad_out: Array, x: Array, y: Array) -> Array:
    # d(x/y)/dy = -x/y², written as -(x/y)/y: y² could overflow where the quotient does not.
    return np.multiply(np.negative(grad_out), np.divide(np.divide(x, y), y))


def reciprocal(x: Array) -> Array:
    return np.divide(1, x)


def reciprocal_backward_x(grad_out: Array, out: Array) -> Array:
    # d(1/x)/dx = -1/x²
    return np.multiply(np.negative(grad_out), np.square(out))


def scale(x: Array, *, factor: float) -> Array:
    """Product with a number: `mul`, which keeps nothing."""
    return np.multiply(x, factor)


def scale_backward_x(grad_out: Array, factor: float) -> Array:
    return np.multiply(grad_out, factor)


def neg(x: Array) -> Array:
    return np.negative(x)


def neg_backward_x(grad_out: Array) -> Array:
    return np.negative(grad_out)


def pow(x: Array, y: Array) -> Array:
    return np.power(x, y)


def pow_backward_x(grad_out: Array, x: Array, y: Array) -> Array:
    # y·x^(y-1); where y = 0 the power is constant, even at x = 0 where x^(-1) is infinite.
    slope = np.multiply(y, np.power(x, np.subtract(y, 1)))
    return np.where(np.equal(y, 0), 0, np.multiply(grad_out, slope))


def pow_backward_y(grad_out: Array, out: Array, x: Array, y: Array) -> Array:
    # x^y·log x; at x = 0 the power stays 0 for every y > 0 (and for y = 0, by convention),
    # so the derivative is 0 although log x is not finite.
    flat = np.logical_and(np.equal(x, 0), np.greater_equal(y, 0))
    return np.multiply(grad_out, np.where(flat, 0, np.multiply(out, np.log(x))))


def power(x: Array, *, exponent: float) -> Array:
    """X to the power of a number, by a simpler function where there is one, as in torch.

    The exponent of `pow` is an array and has a derivative. A number has none, and it is known
    before the call, so the elements need not be examined.
    """
    if exponent == 0.5:
        return np.sqrt(x)
    if exponent == -0.5:
        return np.divide(1, np.sqrt(x))
    if exponent == 1:
        return np.positive(x)
    if exponent == 2:
        return np.square(x)
    if x.dtype == np.float32 and not -(2**24) <= exponent <= 2**24:  # float32 would round it
        return np.astype(np.power(np.astype(x, np.float64), exponent), np.float32)
    return np.power(x, exponent)


def power_backward_x(grad_out: Array, x: Array, exponent: float) -> Array:
    if exponent == 0 and exponent is not False:  # constant, even at 0 and NaN
        return np.zeros_like(grad_out, shape=x.shape, order="C")
    # Also for the simplest powers: x² has the derivatives 2·x¹, 2·x⁰ and 0, and then no more.
    return np.multiply(grad_out, np.multiply(power(x, exponent=exponent - 1), exponent))


def abs(x: Array) -> Array:
    return np.absolute(x)


def abs_backward_x(grad_out: Array, x: Array) -> Array:
    # The sign of 0 is 0: torch's choice among the subgradients of |x| at the kink. NaN's is 0, too.
    return np.multiply(grad_out, np.where(np.equal(x, x), np.sign(x), 0))


def exp(x: Array) -> Array:
    return np.exp(x)


def exp_backward_x(grad_out: Array, out: Array) -> Array:
    return np.multiply(grad_out, out)


def log(x: Array) -> Array:
    return np.log(x)


def log_backward_x(grad_out: Array, x: Array) -> Array:
    return np.divide(grad_out, x)


def sqrt(x: Array) -> Array:
    return np.sqrt(x)


def sqrt_backward_x(grad_out: Array, out: Array) -> Array:
    return np.divide(grad_out, np.multiply(out, 2))


def sin(x: Array) -> Array:
    return np.sin(x)


def sin_backward_x(grad_out: Array, x: Array) -> Array:
    return np.multiply(grad_out, np.cos(x))


def cos(x: Array) -> Array:
    return np.cos(x)


def cos_backward_x(grad_out: Array, x: Array) -> Array:
    return np.multiply(grad_out, np.negative(np.sin(x)))


def maximum(x: Array, y: Array) -> Array:
    return np.maximum(x, y)


def maximum_backward_x(grad_out: Array, x: Array, y: Array) -> Array:
    # The larger input takes the gradient; a tie is halved between them.
    tied = np.where(np.equal(x, y), np.divide(grad_out, 2), grad_out)
    return np.where(np.less(x, y), 0, tied)


def maximum_backward_y(grad_out: Array, x: Array, y: Array) -> Array:
    tied = np.where(np.equal(x, y), np.divide(grad_out, 2), grad_out)
    return np.where(np.greater(x, y), 0, tied)


def minimum(x: Array, y: Array) -> Array:
    return np.minimum(x, y)


def minimum_backward_x(grad_out: Array, x: Array, y: Array) -> Array:
    tied = np.where(np.equal(x, y), np.divide(grad_out, 2), grad_out)
    return np.where(np.greater(x, y), 0, tied)


def minimum_backward_y(grad_out: Array, x: Array, y: Array) -> Array:
    tied = np.where(np.equal(x, y), np.divide(grad_out, 2), grad_out)
    return np.where(np.less(x, y), 0, tied)


def where(condition: Array, x: Array, y: Array) -> Array:
    """X where the condition is true or not 0, else y."""
    return np.where(condition, x, y)


def where_backward_condition(grad_out: Array) -> Array:
    # Numbers as a condition, in the derivative of relu: the choice is constant almost everywhere.
    return np.zeros_like(grad_out)


def where_backward_x(grad_out: Array, condition: Array) -> Array:
    return np.where(condition, grad_out, 0)


def where_backward_y(grad_out: Array, condition: Array) -> Array:
    return np.where(condition, 0, grad_out)


def fill(x: Array, y: Array) -> Array:
    """X with every element replaced by y, broadcast."""
    return np.where(True, y, x)


def fill_backward_x(grad_out: Array) -> Array:
    # The elements that were replaced have no effect on the result.
    return np.zeros_like(grad_out)


def fill_backward_y(grad_out: Array) -> Array:
    return grad_out


def sign(x: Array) -> Array:
    return np.sign(x)


def sign_backward_x(grad_out: Array, x: Array) -> Array:
    # Of x, so that a change of x in place is an error, as in torch.
    return np.zeros_like(x)


def clone(x: Array) -> Array:
    return copied(x)


def clone_backward_x(grad_out: Array) -> Array:
    return grad_out


def astype(x: Array, *, dtype: DType) -> Array:
    return np.astype(unrepeated(x), dtype)


def astype_backward_x(grad_out: Array) -> Array:
    # `tape.sweep` converts every gradient to its tensor's dtype, and sums it down to its shape.
    return grad_out

"""NumPy's protocols: arrays of tensors' values, and NumPy's own calls on tensors.

This closes the circle of the design: a rule is written in NumPy calls, and a tensor answers NumPy
calls by running other rules. So a derivative can be run on tensors, and is recorded.
"""

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad.dtypes import python_number
from minigrad.grad_mode import grad_mode
from minigrad.layout import contiguous
from minigrad.ops import (
    RULE_OF,
    Rule,
    activation,
    clamping,
    comparison,
    elementwise,
    indexing,
    linalg,
    reduction,
    shape,
)
from minigrad.tensor.arithmetic import in_order_of, stored
from minigrad.tensor.base import TensorBase
from minigrad.tensor.gradients import Recorded
from minigrad.tensor.indexing import Indexing
from minigrad.tensor.overlap import writable

UFUNC_RULES = {
    np.absolute: RULE_OF[elementwise.abs],
    np.add: RULE_OF[elementwise.add],
    np.cos: RULE_OF[elementwise.cos],
    np.divide: RULE_OF[elementwise.div],
    np.equal: RULE_OF[comparison.eq],
    np.exp: RULE_OF[elementwise.exp],
    np.floor_divide: RULE_OF[clamping.floor_divide],
    np.greater: RULE_OF[comparison.gt],
    np.greater_equal: RULE_OF[comparison.ge],
    np.less: RULE_OF[comparison.lt],
    np.less_equal: RULE_OF[comparison.le],
    np.log: RULE_OF[elementwise.log],
    np.logical_and: RULE_OF[comparison.logical_and],
    np.matmul: RULE_OF[linalg.matmul],
    np.maximum: RULE_OF[elementwise.maximum],
    np.minimum: RULE_OF[elementwise.minimum],
    np.multiply: RULE_OF[elementwise.mul],
    np.negative: RULE_OF[elementwise.neg],
    np.not_equal: RULE_OF[comparison.ne],
    np.power: RULE_OF[elementwise.pow],
    np.remainder: RULE_OF[clamping.remainder],
    np.sign: RULE_OF[elementwise.sign],
    np.sin: RULE_OF[elementwise.sin],
    np.sqrt: RULE_OF[elementwise.sqrt],
    np.subtract: RULE_OF[elementwise.sub],
    np.tanh: RULE_OF[activation.tanh],
}
EXPONENTS = {np.positive: 1, np.square: 2}
"""Functions that are a power with a known exponent."""

OPERATORS = {
    np.add: operator.add,
    np.divide: operator.truediv,
    np.equal: operator.eq,
    np.floor_divide: operator.floordiv,
    np.greater: operator.gt,
    np.greater_equal: operator.ge,
    np.less: operator.lt,
    np.less_equal: operator.le,
    np.multiply: operator.mul,
    np.not_equal: operator.ne,
    np.power: operator.pow,
    np.remainder: operator.mod,
    np.subtract: operator.sub,
}
REDUCTION_OPTIONS = {"axis", "dtype", "keepdims"}
REDUCTION_RULES = {
    np.add: RULE_OF[reduction.sum],
    np.maximum: RULE_OF[reduction.amax],
    np.minimum: RULE_OF[reduction.amin],
}


class NumPyCalls(Indexing, Recorded):
    """NumPy's protocols for `Tensor`."""

    def numpy(self) -> np.ndarray[Any, np.dtype[Any]]:
        """Return the values as an ndarray that shares this tensor's memory.

        Raises:
            RuntimeError: the tensor requires a gradient, whose record NumPy would not continue,
                and recording is on.
        """
        if self.requires_grad and grad_mode.enabled:
            raise RuntimeError(
                "Can't call numpy() on Tensor that requires grad, since what is done to the array "
                "would not be recorded. Use tensor.detach().numpy() instead."
            )
        values: np.ndarray[Any, np.dtype[Any]] = writable(np.asarray(self._array))
        return values

    def __array__(
        self, dtype: Any = None, copy: bool | None = None
    ) -> np.ndarray[Any, np.dtype[Any]]:
        return np.array(self.numpy(), dtype=dtype, copy=copy)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        apply = self._apply
        if "out" in options:
            _refuse_out(ufunc, options["out"])
        if ufunc in OPERATORS and method == "__call__":
            # What NumPy makes of `number * tensor`: torch takes its numbers for Python's.
            numbers = [x[()] if isinstance(x, np.ndarray) else x for x in inputs]
            if any(isinstance(x, np.generic) for x in numbers):
                return OPERATORS[ufunc](*map(python_number, numbers))
        if method == "__call__" and ufunc in EXPONENTS:
            result = apply(RULE_OF[elementwise.power], *inputs, exponent=EXPONENTS[ufunc])
            return in_order_of(result, *inputs)
        if ufunc is np.power and isinstance(inputs[1], (int, float)):
            result = apply(RULE_OF[elementwise.power], inputs[0], exponent=inputs[1])
            return in_order_of(result, inputs[0])
        if method == "__call__" and ufunc in UFUNC_RULES and not options:
            result = apply(UFUNC_RULES[ufunc], *inputs)
            if ufunc is np.matmul:
                return stored(result, contiguous(result._array))
            return in_order_of(result, *inputs)
        if method == "reduce" and ufunc in REDUCTION_RULES and options.keys() <= REDUCTION_OPTIONS:
            (x,) = inputs
            axis = options.get("axis", 0)
            options["axis"] = (axis,) if isinstance(axis, int) else axis
            dtype = options.pop("dtype", None)
            if dtype is not None and dtype != x.dtype:
                x = apply(RULE_OF[elementwise.astype], x, dtype=dtype)
            return apply(REDUCTION_RULES[ufunc], x, **options)
        if method == "at" and ufunc is np.add:
            out, key, values = inputs
            added = apply(RULE_OF[indexing.scatter], values, shape=out.shape, indices=key)
            out._in_place("add.at", lambda x: x.add(added))
            return None
        plain = [x.numpy() if isinstance(x, NumPyCalls) else x for x in inputs]
        return getattr(ufunc, method)(*plain, **options)

    def __array_function__(
        self,
        function: Callable[..., Any],
        types: Any,
        arguments: tuple[Any, ...],
        options: dict[str, Any],
    ) -> Any:
        if "out" in options:
            _refuse_out(function, options["out"])
        if function in FUNCTION_RULES:
            return FUNCTION_RULES[function](self._apply, *arguments, **options)
        return function(*_plain(arguments), **_plain(options))


def _refuse_out(function: Callable[..., Any], out: Any) -> None:
    """Raise where NumPy is to write into a tensor, which the tape would not notice."""
    if any(isinstance(x, TensorBase) for x in (out if isinstance(out, tuple) else (out,))):
        raise TypeError(
            f"{function.__name__}: out= cannot be a Tensor: change it by one of its own methods, "
            "for example with .copy_(...), or give .detach().numpy() of it"
        )


def _where(apply: Any, *operands: Any) -> Any:
    return in_order_of(apply(RULE_OF[elementwise.where], *operands), *operands)


def _zeros_like(apply: Any, x: Any, **options: Any) -> Any:
    return x._wrapped(np.zeros_like(x._array, **options))


def _rule(rule: Rule, *option_names: str) -> Callable[..., Any]:
    """Return a function that takes a tensor, then options by position, and runs the rule."""

    def run(apply: Callable[..., Any], x: Any, *values: Any) -> Any:
        return apply(rule, x, **dict(zip(option_names, values, strict=True)))

    return run


FUNCTION_RULES: dict[Callable[..., Any], Callable[..., Any]] = {
    np.astype: _rule(RULE_OF[elementwise.astype], "dtype"),
    np.broadcast_to: _rule(RULE_OF[shape.expand], "shape"),
    np.concatenate: lambda apply, xs, axis=0: apply(RULE_OF[shape.cat], *xs, axis=axis),
    np.copy: _rule(RULE_OF[elementwise.clone]),
    np.reshape: _rule(RULE_OF[shape.reshape], "shape"),
    np.transpose: _rule(RULE_OF[shape.permute], "axes"),
    np.where: _where,
    np.zeros_like: _zeros_like,
}


def _plain(value: Any) -> Any:
    """Return `value` with every tensor in it, however deep, as an ndarray."""
    if isinstance(value, NumPyCalls):
        return value.numpy()
    if isinstance(value, (list, tuple)):
        return type(value)(_plain(part) for part in value)
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    return value

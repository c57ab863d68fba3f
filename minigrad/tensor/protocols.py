"""Python's and NumPy's protocols: numbers, sequences, text, arrays, and NumPy's own calls.

The last of these closes the circle of the design: a rule is written in NumPy calls, and a tensor
answers NumPy calls by running elementwise. So a derivative can be run on tensors, and is recorded.
"""

import copy
import operator
import warnings
from collections.abc import Callable, Iterator
from typing import Any, Self

import numpy as np

from minigrad.dtypes import python_number
from minigrad.grad_mode import grad_mode
from minigrad.ops import RULE_OF, Rule, elementwise, indexing, linalg, reduction, shape
from minigrad.tensor import printing
from minigrad.tensor.base import TensorBase
from minigrad.tensor.conversion import is_operand
from minigrad.tensor.gradients import Recorded
from minigrad.tensor.indexing import Indexing

UNBIND = RULE_OF[indexing.part].named("UnbindBackward0")

UFUNC_RULES = {
    np.absolute: RULE_OF[elementwise.abs],
    np.add: RULE_OF[elementwise.add],
    np.divide: RULE_OF[elementwise.div],
    np.equal: RULE_OF[elementwise.eq],
    np.exp: RULE_OF[elementwise.exp],
    np.greater: RULE_OF[elementwise.gt],
    np.greater_equal: RULE_OF[elementwise.ge],
    np.less: RULE_OF[elementwise.lt],
    np.less_equal: RULE_OF[elementwise.le],
    np.log: RULE_OF[elementwise.log],
    np.logical_and: RULE_OF[elementwise.logical_and],
    np.matmul: RULE_OF[linalg.matmul],
    np.maximum: RULE_OF[elementwise.maximum],
    np.minimum: RULE_OF[elementwise.minimum],
    np.multiply: RULE_OF[elementwise.mul],
    np.negative: RULE_OF[elementwise.neg],
    np.not_equal: RULE_OF[elementwise.ne],
    np.power: RULE_OF[elementwise.pow],
    np.sign: RULE_OF[elementwise.sign],
    np.sqrt: RULE_OF[elementwise.sqrt],
    np.square: RULE_OF[elementwise.square],
    np.subtract: RULE_OF[elementwise.sub],
    np.tanh: RULE_OF[elementwise.tanh],
}
OPERATORS = {
    np.add: operator.add,
    np.divide: operator.truediv,
    np.equal: operator.eq,
    np.greater: operator.gt,
    np.greater_equal: operator.ge,
    np.less: operator.lt,
    np.less_equal: operator.le,
    np.multiply: operator.mul,
    np.not_equal: operator.ne,
    np.power: operator.pow,
    np.subtract: operator.sub,
}
REDUCTION_OPTIONS = {"axis", "dtype", "keepdims"}
REDUCTION_RULES = {
    np.add: RULE_OF[reduction.sum],
    np.maximum: RULE_OF[reduction.amax],
    np.minimum: RULE_OF[reduction.amin],
}


def rebuilt(kind: Any, array: Any, requires_grad: bool) -> Any:
    """Return a leaf, a tensor of this class, as it is copied and unpickled."""
    tensor = kind.__new__(kind)
    tensor._array = array
    tensor._node = None
    return tensor.requires_grad_(requires_grad)


class Protocols(Indexing, Recorded):
    """Python's and NumPy's protocols for `Tensor`."""

    # ---- numbers ----------------------------------------------------------------------------

    def item(self) -> float | int | bool:
        """Return the value of a tensor with a single element as a Python number.

        Raises:
            RuntimeError: the tensor has another number of elements.
        """
        if self._array.size != 1:
            raise RuntimeError(
                f"item: a Tensor with {self._array.size} elements cannot be converted to Scalar; "
                "it must have exactly one"
            )
        value: float | int | bool = self._array.item()
        return value

    def tolist(self) -> Any:
        """Return the values as nested lists of Python numbers."""
        return self._array.tolist()

    def __float__(self) -> float:
        number = float(self._number())
        if self.requires_grad and grad_mode.enabled:
            warnings.warn(
                "float: this tensor requires a gradient, and what is computed with a Python number "
                "is not recorded: use .item() or .detach() if that is meant",
                stacklevel=2,
            )
        return number

    def __int__(self) -> int:
        return int(self._number())

    def _number(self) -> float | int | bool:
        if self._array.size != 1:
            raise ValueError(
                "only one element tensors can be converted to Python scalars, not one of shape "
                f"{list(self._array.shape)}: take an element, or combine tensors by stack or cat"
            )
        return self.item()

    def __bool__(self) -> bool:
        if self._array.size != 1:
            raise RuntimeError(
                f"Boolean value of Tensor with {self._array.size} elements is ambiguous: "
                "ask for one element, or reduce the tensor first"
            )
        return bool(self.item())

    def __index__(self) -> int:
        if self._array.dtype.kind not in "ib" or self._array.size != 1:
            raise TypeError(
                "only integer tensors of a single element can be converted to an index, "
                f"not {self._array.dtype} of shape {list(self._array.shape)}"
            )
        return int(self.item())

    # ---- sequences --------------------------------------------------------------------------

    def __len__(self) -> int:
        if self._array.ndim == 0:
            raise TypeError("len() of a 0-d tensor")
        return len(self._array)

    def __iter__(self) -> Iterator[Self]:
        if self._array.ndim == 0:
            raise TypeError("iteration over a 0-d tensor")
        return (self._apply(UNBIND, self, key=(i, ...)) for i in range(len(self)))

    def __contains__(self, element: Any) -> bool:
        if not is_operand(element):
            raise RuntimeError(
                f"in: a tensor contains numbers and tensors, not a {type(element).__name__}"
            )
        return bool(np.any(self.eq(element)._array))

    # ---- copies -----------------------------------------------------------------------------

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        """Return a leaf of the same values and gradient, in memory of its own.

        Raises:
            RuntimeError: a recorded operation made this tensor.
        """
        if not self.is_leaf:
            raise RuntimeError(
                "deepcopy: Only Tensors created explicitly by the user (graph leaves) support the "
                f"deepcopy protocol, and {self.grad_fn} made this one: copy .detach() of it, or "
                ".clone() it to stay in the graph"
            )
        copied = rebuilt(type(self), np.copy(self._array), self.requires_grad)
        copied.grad = copy.deepcopy(self.grad, memo)
        return copied

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Pickle as a leaf, without history and gradient, as torch does; `copy.copy` shares."""
        return rebuilt, (type(self), self._array, self.requires_grad)

    # ---- text -------------------------------------------------------------------------------

    def __repr__(self) -> str:
        return printing.tensor_text(
            np.asarray(self._array),
            requires_grad=self.requires_grad,
            grad_fn=None if self.grad_fn is None else self.grad_fn.name(),
        )

    def __format__(self, specification: str) -> str:
        if self._array.ndim == 0:
            return format(self.item(), specification)
        return object.__format__(self, specification)

    # ---- arrays -----------------------------------------------------------------------------

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
        return np.asarray(self._array)

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
        if method == "__call__" and ufunc in UFUNC_RULES and not options:
            return apply(UFUNC_RULES[ufunc], *inputs)
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
        plain = [x.numpy() if isinstance(x, Protocols) else x for x in inputs]
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


def _zeros_like(apply: Any, x: Any, *, shape: tuple[int, ...] | None = None) -> Any:
    return type(x)(np.zeros_like(x._array, shape=shape))


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
    np.where: lambda apply, condition, x, y: apply(RULE_OF[elementwise.where], condition, x, y),
    np.zeros_like: _zeros_like,
}


def _plain(value: Any) -> Any:
    """Return `value` with every tensor in it, however deep, as an ndarray."""
    if isinstance(value, Protocols):
        return value.numpy()
    if isinstance(value, (list, tuple)):
        return type(value)(_plain(part) for part in value)
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    return value

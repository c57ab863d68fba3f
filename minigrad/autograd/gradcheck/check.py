"""The checks: what the engine computes, and the differences it is compared with."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from minigrad.autograd.grad import grad
from minigrad.autograd.gradcheck.differences import Array, Slopes, slopes
from minigrad.autograd.gradcheck.report import ANALYTICAL_ROUNDING, Report, judge
from minigrad.dtypes import float64
from minigrad.tensor import Tensor


class GradcheckError(RuntimeError):
    """An analytical derivative is not what finite differences say it is."""


class KinkWarning(UserWarning):
    """The check was made at a point where the function has no derivative."""


def gradcheck(
    func: Callable[..., Any],
    inputs: Tensor | Sequence[Any],
    *,
    eps: float | None = None,
    atol: float | None = None,
    rtol: float | None = None,
    raise_exception: bool = True,
) -> bool:
    """Check the derivatives of `func` against finite differences.

    Where the function has a kink (`relu` at 0), every value between the two one-sided slopes is
    accepted, with a `KinkWarning`. An output that does not require a gradient is expected not to
    depend on the inputs.

    Args:
        func: takes the inputs; returns a tensor or a tuple of tensors, float64.
        inputs: a tensor or a sequence. Its tensors that require a gradient, float64, are varied,
            in place during the check, so `func` may also refer to them without taking them as
            arguments: to the parameters of a module, for example.
        eps: the largest step of the differences; by default chosen for each element.
        atol, rtol: pass if |analytical - numerical| ≤ atol + rtol·|numerical|; by default the
            tolerance is derived, as the package's docstring says.
        raise_exception: if a derivative is wrong, raise; otherwise return False.

    Raises:
        GradcheckError: a derivative is wrong; the message names the worst one.
        ValueError: no input requires a gradient, or one that does, or an output, is not float64.
    """
    report = compare(func, inputs, eps=eps, atol=atol, rtol=rtol)
    if report.kinks:
        warnings.warn(
            f"gradcheck: {len(report.kinks)} of {report.elements} derivatives are at a kink; "
            f"first, {report.kinks[0]}",
            KinkWarning,
            stacklevel=2,
        )
    if raise_exception and not report.passed:
        raise GradcheckError(f"gradcheck: {report}")
    return report.passed


def gradgradcheck(
    func: Callable[..., Any],
    inputs: Tensor | Sequence[Any],
    grad_outputs: Tensor | Sequence[Tensor] | None = None,
    *,
    eps: float | None = None,
    atol: float | None = None,
    rtol: float | None = None,
    raise_exception: bool = True,
) -> bool:
    """Check the second derivatives of `func` against finite differences of its first.

    The function that is checked maps inputs and `grad_outputs` to the gradients. `grad_outputs`
    are by default normal random numbers, the same at every call.

    Arguments and errors are those of `gradcheck`.
    """
    arguments = _sequence(inputs)
    outputs = [out for out in _sequence(func(*arguments)) if out.requires_grad]
    if grad_outputs is None:
        rng = np.random.default_rng(0)
        vectors = [Tensor._wrapped(np.asarray(rng.standard_normal(out.shape))) for out in outputs]
    else:
        vectors = [vector.detach().clone() for vector in _sequence(grad_outputs)]
    for vector in vectors:
        vector.requires_grad_()

    def first_order(*both: Any) -> tuple[Any, ...]:
        point, cotangents = both[: len(arguments)], both[len(arguments) :]
        results = [out for out in _sequence(func(*point)) if out.requires_grad]
        varied = [x for x in point if isinstance(x, Tensor) and x.requires_grad]
        return grad(results, varied, cotangents, create_graph=True, materialize_grads=True)

    return gradcheck(
        first_order,
        [*arguments, *vectors],
        eps=eps,
        atol=atol,
        rtol=rtol,
        raise_exception=raise_exception,
    )


def compare(
    func: Callable[..., Any],
    inputs: Tensor | Sequence[Any],
    *,
    eps: float | None = None,
    atol: float | None = None,
    rtol: float | None = None,
) -> Report:
    """Check as `gradcheck` does, and return everything that was found."""
    arguments = _sequence(inputs)
    varied = [x for x in arguments if isinstance(x, Tensor) and x.requires_grad]
    if not varied:
        raise ValueError(
            "gradcheck expects at least one input tensor to require gradient, but none of them "
            "has requires_grad=True"
        )
    for x in varied:
        _require_float64("input", x)
        if not x._array.flags.writeable:
            raise ValueError("gradcheck varies its inputs in place: one is read-only, clone() it")
    outputs = _outputs(func, arguments)
    for out in outputs:
        _require_float64("output", out)
    shapes = [out.shape for out in outputs]

    def value() -> Array:
        found = _outputs(func, arguments)
        if [out.shape for out in found] != shapes:
            raise GradcheckError("gradcheck: the shapes of the outputs depend on the inputs")
        return _flat(out._array for out in found)

    with np.errstate(all="ignore"):
        rows, problem = _analytical(outputs, varied)
        report = Report(problem=problem)
        for i, x in enumerate(varied):
            for index in np.ndindex(x.shape):
                found = _slopes(value, x._array, index, eps)
                position = next(k for k, argument in enumerate(arguments) if argument is x)
                column = rows[i][(slice(None), *index)]
                judge(report, found, column, (position, index), shapes, atol, rtol)
    return report


def _outputs(func: Callable[..., Any], arguments: Sequence[Any]) -> list[Tensor]:
    """Return the floating-point tensors among what the function returns."""
    found = _sequence(func(*arguments))
    return [out for out in found if isinstance(out, Tensor) and out.dtype.kind == "f"]


def _sequence(value: Any) -> Sequence[Any]:
    return value if isinstance(value, (tuple, list)) else (value,)


def _require_float64(what: str, x: Tensor) -> None:
    if x.dtype != float64:
        raise ValueError(
            f"gradcheck: an {what} is {x.dtype}, but only float64 can be checked: finite "
            "differences keep less than half of the digits, and of float32's seven that leaves "
            "three, in which errors go unseen. Convert it with .double()"
        )


def _flat(arrays: Iterator[Array]) -> Array:
    return np.concatenate([np.zeros(0), *(np.reshape(array, -1) for array in arrays)])


def _analytical(outputs: list[Tensor], varied: list[Tensor]) -> tuple[list[Array], str]:
    """Return for each input the derivatives of all outputs' elements by it, and any problem.

    Each row is computed by a sweep of its own, from a gradient of arbitrary size. One more sweep,
    from all elements at once, must give the sum of the rows: derivatives are linear in `grad_out`.
    """
    rng = np.random.default_rng(0)
    count = sum(out.numel() for out in outputs)
    rows = [np.zeros((count, *x.shape)) for x in varied]
    total = [np.zeros(x.shape) for x in varied]
    size = [np.zeros(x.shape) for x in varied]  # the magnitudes that are summed
    weights = [np.asarray(rng.uniform(1, 2, out.shape)) for out in outputs]
    start = 0
    for out, weight in zip(outputs, weights, strict=True):
        for j, factor in enumerate(weight.flat):
            basis = np.zeros(out.numel())
            basis[j] = factor
            for k, row in enumerate(_sweep([out], varied, [basis.reshape(out.shape)])):
                rows[k][start + j] = row / factor
                total[k] += row
                size[k] += np.abs(row)
        start += out.numel()
    rounding = ANALYTICAL_ROUNDING * max(float(np.max(x, initial=0)) for x in size)
    for k, together in enumerate(_sweep(outputs, varied, weights)):
        if np.any(np.abs(together - total[k]) > rounding):
            return rows, (
                f"the gradient by input {k} of several output elements together is not the sum of "
                "their gradients: a derivative is not linear in grad_out"
            )
    return rows, ""


def _sweep(outputs: list[Tensor], varied: list[Tensor], vectors: list[Array]) -> Iterator[Array]:
    """Yield the gradients by the inputs; outputs that require no gradient give 0."""
    used = [
        (o, Tensor._wrapped(v)) for o, v in zip(outputs, vectors, strict=True) if o.requires_grad
    ]
    if not used:
        return (np.zeros(x.shape) for x in varied)
    results, cotangents = zip(*used, strict=True)
    found = grad(results, varied, cotangents, retain_graph=True, materialize_grads=True)
    return (gradient._array for gradient in found)


def _slopes(
    value: Callable[[], Array], array: Array, index: tuple[int, ...], eps: float | None
) -> Slopes:
    """Return the slopes of all outputs' elements by one element of an input."""
    before = array[index]

    def at(x: float) -> Array:
        array[index] = x
        return value()

    try:
        return slopes(at, float(before), eps)
    finally:
        array[index] = before

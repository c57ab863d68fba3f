"""How closely a value or a gradient has to agree with torch's, and whether it does."""

import math
from typing import Any

import mpmath  # type: ignore[import-untyped]
import numpy as np
import torch

import minigrad
from tests.minigrad.operations import Array, Operation

LARGEST_ULP = 4
GRADIENT_UNITS = 8  # times the unit roundoff times the sum of the magnitudes of the terms


def minigrad_tensors(arrays: list[Array], requires_grad: bool = True) -> list[Any]:
    """Return minigrad tensors that share the arrays' memory, negative strides included."""
    return [minigrad.Tensor._wrapped(x).requires_grad_(requires_grad) for x in arrays]


def torch_tensors(arrays: list[Array], requires_grad: bool = True) -> list[Any]:
    """Return torch tensors holding copies of the arrays."""
    return [torch.tensor(np.array(x), requires_grad=requires_grad) for x in arrays]


def gradients(m: Any, out: Any, inputs: list[Any], grad_out: Array, **options: Any) -> Any:
    """Return the gradients of `out` by the inputs, None for one that does not matter."""
    return m.autograd.grad(out, inputs, m.tensor(grad_out), allow_unused=True, **options)


def as_array(tensor: Any) -> Array:
    if isinstance(tensor, torch.Tensor):
        return np.asarray(tensor.numpy(force=True))  # which also spells out torch's ZeroTensors
    return np.asarray(tensor.detach().numpy())


def ulp_distance(actual: Array, expected: Array) -> Array:
    """Return how many floating point numbers lie between; NaN agrees with NaN alone."""
    assert actual.dtype == expected.dtype
    width: Any = np.uint32 if actual.dtype == np.float32 else np.uint64
    sign = width(1) << width(8 * actual.itemsize - 1)

    def ordered(x: Array) -> Any:
        bits: Any = np.ascontiguousarray(x).view(width)
        return np.where(bits & sign, ~bits, bits | sign)

    a, b = ordered(actual), ordered(expected)
    # Integers, so that no difference is rounded away before it is known.
    distance = (np.maximum(a, b) - np.minimum(a, b)).astype(np.float64).reshape(actual.shape)
    both, either = np.isnan(actual) & np.isnan(expected), np.isnan(actual) | np.isnan(expected)
    distance = np.where(np.isinf(actual) ^ np.isinf(expected), np.inf, distance)
    return np.where(both, 0, np.where(either, np.inf, distance))


def terms(
    operation: Operation, arrays: list[Array], options: dict[str, Any], grad_out: Array | None
) -> list[Array]:
    """Return the sums of the magnitudes of the terms that a value (without grad_out) or the
    gradients combine, in float64.
    """
    doubles = [x.astype(np.float64) for x in arrays]
    if operation.magnitude is not None:
        inputs = torch_tensors([np.abs(x) for x in doubles])
        out = operation.magnitude(torch, *inputs, **options)
        if grad_out is None:
            return [as_array(out)]
        found = gradients(torch, out, inputs, np.abs(grad_out.astype(np.float64)))
        return [
            np.zeros(x.shape) if g is None else as_array(g)
            for g, x in zip(found, doubles, strict=True)
        ]
    assert grad_out is not None
    wide = doubles
    if operation.elementwise:
        wide = [np.array(x) for x in np.broadcast_arrays(*doubles)]
    inputs = torch_tensors(wide)
    out = operation.call(torch, *inputs, **options)
    found = gradients(torch, out, inputs, np.abs(grad_out.astype(np.float64)))
    sums = []
    for g, x, original in zip(found, wide, arrays, strict=True):
        each = np.zeros(x.shape) if g is None else np.abs(as_array(g))
        if operation.gradient_terms is not None:
            each = np.abs(grad_out) * operation.gradient_terms(x, as_array(out))
        sums.append(_summed_to(each, original.shape))
    return sums


def _summed_to(x: Array, shape: tuple[int, ...]) -> Array:
    added = x.ndim - len(shape)
    x = x.sum(axis=tuple(range(added)))
    axes = tuple(i for i, n in enumerate(shape) if n == 1 and x.shape[i] != 1)
    return np.asarray(x.sum(axis=axes, keepdims=True))


def check_value(
    operation: Operation, actual: Array, expected: Array, arrays: list[Array], options: Any
) -> None:
    """Fail unless a value agrees with torch's, or with the exact one where torch's does not."""
    assert actual.shape == expected.shape, f"{actual.shape} against {expected.shape}"
    assert actual.dtype == expected.dtype, f"{actual.dtype} against {expected.dtype}"
    distance = ulp_distance(actual, expected)
    if operation.magnitude is not None:
        (magnitudes,) = terms(operation, arrays, options, None)
        units = 2 * max(4, sum(x.size for x in arrays))
        error = np.abs(actual.astype(np.float64) - expected)
        within = error <= units * unit_roundoff(actual) * magnitudes  # not so for NaN
        wrong = ~within & (distance > LARGEST_ULP)
    else:
        wrong = distance > (0 if operation.shape_only else LARGEST_ULP)
        if operation.exact is not None:
            wide = np.broadcast_arrays(*arrays)
            for index in np.argwhere(wrong):
                at = tuple(index)
                precise = _rounded(operation.exact, [float(x[at]) for x in wide], actual.dtype)
                wrong[at] = ulp_distance(actual[at][None], precise[None])[0] > LARGEST_ULP
    assert not wrong.any(), report("value", wrong, actual, expected)


def check_gradient(
    position: int, actual: Array, expected: Array, magnitudes: Array, combined: int
) -> None:
    """Fail unless a gradient differs from torch's by no more than the rounding of its terms."""
    assert actual.shape == expected.shape, f"gradient of input {position}"
    assert actual.dtype == expected.dtype, f"gradient of input {position}"
    units = max(GRADIENT_UNITS, 2 * combined)
    slack = np.finfo(actual.dtype).smallest_subnormal
    bound = units * unit_roundoff(actual) * magnitudes + 4 * slack
    error = np.abs(actual.astype(np.float64) - expected.astype(np.float64))
    wrong = ~((error <= bound) | (ulp_distance(actual, expected) == 0))
    assert not wrong.any(), report(f"gradient of input {position}", wrong, actual, expected)


def unit_roundoff(x: Array) -> float:
    return float(np.finfo(x.dtype).eps) / 2


def _rounded(exact: Any, values: list[float], dtype: Any) -> Array:
    with mpmath.workdps(60):
        try:
            return np.asarray(np.float64(exact(*map(mpmath.mpf, values)))).astype(dtype)
        except (OverflowError, ZeroDivisionError):
            return np.asarray(math.nan, dtype)


def report(what: str, wrong: Array, actual: Array, expected: Array) -> str:
    """Return which element is furthest off, with both values in full."""
    index = tuple(int(i) for i in np.argwhere(wrong)[0])
    return (
        f"{what}: {int(wrong.sum())} of {wrong.size} elements differ, the first at {index}: "
        f"actual {actual[index]!r}, expected {expected[index]!r}"
    )


def check(operation: Operation, arrays: list[Array], options: dict[str, Any], seed: int) -> None:
    """Fail unless value and gradients agree with torch's and the inputs are what they were."""
    before = [x.copy() for x in arrays]
    ours, theirs = minigrad_tensors(arrays), torch_tensors(arrays)
    actual = operation.call(minigrad, *ours, **options)
    expected = operation.call(torch, *theirs, **options)
    check_value(operation, as_array(actual), as_array(expected), arrays, options)
    assert actual.requires_grad == expected.requires_grad
    grad_out = normal_like(as_array(expected), seed)
    found = gradients(minigrad, actual, ours, grad_out)
    wanted = gradients(torch, expected, theirs, grad_out)
    magnitudes = terms(operation, arrays, options, grad_out)
    combined = max([grad_out.size, *(x.size for x in arrays)])
    for i, (f, w) in enumerate(zip(found, wanted, strict=True)):
        # What does not matter has no gradient in torch, or one of zeros.
        if f is None or w is None:
            assert all(g is None or not as_array(g).any() for g in (f, w)), f"input {i}"
        else:
            check_gradient(i, as_array(f), as_array(w), magnitudes[i], combined)
    for x, original in zip(arrays, before, strict=True):
        assert x.tobytes() == original.tobytes(), "an input was changed"


def check_second_order(
    operation: Operation, arrays: list[Array], options: dict[str, Any], seed: int
) -> None:
    """Fail unless the gradients of the squared gradients agree with torch's, in float64."""
    results = []
    for m, inputs in ((minigrad, minigrad_tensors(arrays)), (torch, torch_tensors(arrays))):
        out = operation.call(m, *inputs, **options)
        grad_out: Any = m.tensor(normal_like(as_array(out), seed), requires_grad=True)
        first = m.autograd.grad(out, inputs, grad_out, create_graph=True, allow_unused=True)
        # Squared, so that even a gradient that is linear has something to differentiate.
        total = sum(((g * g).sum() for g in first if g is not None), m.zeros(()))
        sources = [*inputs, grad_out]
        results.append(
            m.autograd.grad(total, sources, allow_unused=True)
            if total.requires_grad
            else [None] * len(sources)
        )
    for i, (f, w) in enumerate(zip(*results, strict=True)):
        actual, expected = (0.0 if g is None else as_array(g) for g in (f, w))
        scale = max(1.0, float(np.max(np.abs(expected), initial=0)))
        np.testing.assert_allclose(
            actual, expected, rtol=1e-9, atol=1e-11 * scale, err_msg=f"by input {i}"
        )


def normal_like(x: Array, seed: int) -> Array:
    return np.asarray(np.random.default_rng(seed).normal(size=x.shape), x.dtype)

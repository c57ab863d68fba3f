"""Training whose every bit is determined by the inputs alone, on a CPU or a GPU.

The last bits of torch's sums and matrix products depend on the device, the BLAS library, its
kernels and threads. Those here do not: matrices are split into float64 *slices* with so few bits
that products of slices are exact in any order of summation (Ozaki, Ogita, Oishi and Rump 2012,
*Error-free transformations of matrix multiplication by using fast routines of matrix
multiplication and its applications*), and what is inexact is done in one fixed order.

The arithmetic, so that another implementation can have the same bits (p, s: 24, 20 for float32 and
53, 8 for float64; ⌈e⌉ of a magnitude is the exponent E with 2^(E−1) ≤ m < 2^E, 0 for m = 0):

*Splitting* an n × m matrix. Slice width w = ⌊(53 − ⌈log₂ max(n, m)⌉)/2⌋, so that max(n, m) products
of slices sum exactly. The first slice is the matrix rounded to multiples of 2^(E−w), ties to even,
with E the exponent of its largest magnitude. Each further slice is the remainder rounded in the
same way with E smaller by w+1. There are ⌈(p+s)/(w+1)⌉ slices; the last remainder is dropped.
float64 matrices with |E| > 300 are multiplied by 2^−E first, and results by 2^E at the end.

*Exponents.* Contracting a dimension sums along vectors, rows or columns. Their largest magnitudes,
without those of zero vectors, span E − E' bits, where E' is the exponent of the smallest. If the
span is more than s bits, every vector is split with an exponent of its own, and the span counts
as 0.

*Products.* The products of slices i of the left and j of the right factor with
i·(w+1) + j·(w'+1) < p + 8 + span + span', each of them exact, are added in float64: highest i + j
first, then lowest i. The sum is rounded once to the dtype. With a single term a product is a plain
multiplication.

*Sums* are contractions with ones. A matrix summed along one dimension is used as it is; otherwise
the summed dimensions are moved to the end and flattened, which gives a matrix. Each slice is summed
exactly, and the sums are added, the last slice's first. With a single term a sum is that term.

*Special values.* Zero results are +0. Terms that are infinite or NaN decide their element as IEEE
754 adds them, in any order: NaN if there is a NaN, 0·∞ or infinities of both signs, else the
infinity. They count as 0 in the slices. NaNs have no sign and no payload worth comparing.
Multiplication by 2^e is done in two steps, by 2^⌊e/2⌋ and by the rest, e limited to ±2000.

*Elements.* +, −, ×, ÷ and comparisons round correctly everywhere, if each is an operation of its
own: no addmm, no alpha=, and division only by tensors (CUDA multiplies by the reciprocal of a
Python number). xⁿ is 1 multiplied by x n times, x⁻ⁿ is 1 divided by that. A mean is the sum divided
by the number of its terms. Square roots, exponentials and logarithms do not round alike
everywhere: they, and whatever is not known to, are refused.

*Derivatives* are torch's own, in the order of torch's formulas, but for these. Of x·weightᵀ + bias,
given g: g·weight, gᵀ·x, and the sum of g's rows; of x·y: g·yᵀ and xᵀ·g, each matrix of a batch by
itself. Of a mean squared error: (x − y) × (g × 2/n); of the other losses: g × the slope at x − y.
The largest of all elements, if there are several, receive g divided by their number each.

*Updates* are those of `torch.optim.SGD`, every alpha a multiplication by itself.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from torch_impl.differentiable import FUNCTIONS, unless_recorded
from torch_impl.slices import scattered, total

_NAMES = """
rounded once, or not at all:
    abs amax amin ceil clamp clamp_max clamp_min floor floor_divide fmod frac leaky_relu
    leaky_relu_backward masked_fill max maximum min minimum mul neg reciprocal relu remainder
    round sgn sign threshold_backward trunc where _to_copy
comparisons and places:
    all any argmax argmin bitwise_and bitwise_not bitwise_or bitwise_xor eq equal ge gt isfinite
    isinf isnan le logical_and logical_not logical_or logical_xor lt ne nonzero
moved, copied, looked at:
    cat clone copy diagonal_backward flip gather index index_select masked_select repeat roll
    scatter select_backward select_scatter slice_backward slice_scatter stack take tril triu
    _local_scalar_dense _unsafe_view
filled in, counted out or drawn, which counts as an input:
    arange bernoulli empty empty_like empty_strided eye fill full full_like linspace new_empty
    new_empty_strided new_full new_ones new_zeros normal ones ones_like rand rand_like randint
    randint_like randn randn_like random randperm scalar_tensor uniform zero zeros zeros_like
    _efficientzerotensor
"""
EXACT = frozenset(
    name for line in _NAMES.splitlines() if line.startswith(" ") for name in line.split()
)
"""The operations that are left to torch, by the names of its kernels."""

POWERS = range(-16, 17)
"""The exponents of powers that are products."""


def _refused(name: str) -> NotImplementedError:
    # A TypeError would not be seen: by `**` torch answers it with one of its own.
    return NotImplementedError(
        f"{name} does not round alike everywhere, or is not known to: reproducible arithmetic has "
        "+ − × ÷, comparisons, choices, indexing, sums, products of matrices, small whole powers"
    )


def _add(operation: Any, x: Any, y: Any, alpha: Any = 1) -> Any:
    return operation(x, y if alpha == 1 else y * alpha)


def _rsub(operation: Any, x: Tensor, y: Any, alpha: Any = 1) -> Any:
    return operation(x if alpha == 1 else x * alpha, y)


def _div(operation: Any, x: Tensor, y: Any, **options: Any) -> Any:
    # CUDA would multiply by the reciprocal of a number, and of one that lies on the CPU.
    if not isinstance(y, Tensor):
        dtype = torch.result_type(x, y)
        y = torch.full((), y, dtype=dtype if dtype.is_floating_point else None, device=x.device)
    return operation(x, y.to(x.device) if y.ndim == 0 < x.ndim else y, **options)


def _pow(operation: Any, x: Any, exponent: Any) -> Any:
    if not isinstance(x, Tensor) or isinstance(exponent, Tensor) or exponent not in POWERS:
        raise _refused("pow")
    dtype = torch.result_type(x, exponent)
    if not dtype.is_floating_point:
        return operation(x, exponent)
    power = torch.ones_like(x, dtype=dtype)
    for _ in range(abs(int(exponent))):
        power = power * x
    power = torch.ones_like(power) / power if exponent < 0 else power
    return x.copy_(power) if operation.__name__ == "pow_" else power


def _sum(operation: Any, x: Tensor, dim: Any = None, keepdim: bool = False, **dtype: Any) -> Any:
    x = x.to(dtype.get("dtype") or x.dtype)
    return total(x, dim, keepdim) if x.is_floating_point() else torch.sum(x, dim, keepdim)


def _mean(operation: Any, x: Tensor, dim: Any = None, keepdim: bool = False, **dtype: Any) -> Any:
    sums = total(x.to(dtype.get("dtype") or x.dtype), dim, keepdim)
    return _div(torch.div, sums, x.numel() // max(sums.numel(), 1))


def _index_put(operation: Any, x: Tensor, key: Any, values: Any, accumulate: bool = False) -> Any:
    if not accumulate or not x.is_floating_point():
        return operation(x, key, values, accumulate)
    places = torch.arange(x.numel(), device=x.device).reshape(x.shape)
    places = torch.ops.aten.index(places, key)
    terms = values.expand(places.shape).reshape(-1)
    sums = scattered(terms, places.reshape(-1), x.numel()).reshape(x.shape)
    return x.add_(sums) if operation.__name__ == "index_put_" else x + sums


WAYS: dict[str, Callable[..., Any]] = {
    "add": _add,
    "div": _div,
    "index_put": _index_put,
    "mean": _mean,
    "pow": _pow,
    "rsub": _rsub,
    "sub": _add,
    "sum": _sum,
}
"""The operations that are done here."""


def _foreach(operation: Any, *args: Any, **options: Any) -> Any:
    """Do an operation on lists of tensors one by one."""
    name = operation.__name__
    one = getattr(torch.ops.aten, name.removeprefix("_foreach_"), None)
    if one is None:
        raise _refused(name)
    columns = [x if isinstance(x, (list, tuple)) else [x] * len(args[0]) for x in args]
    results = [_way(one)(*row, **options) for row in zip(*columns, strict=True)]
    return None if name.endswith("_") else results


@cache
def _way(operation: Any) -> Callable[..., Any]:
    """Return what does an operation of torch's: a kernel, or all of one name."""
    packet = getattr(operation, "overloadpacket", operation)
    name = packet.__name__
    base = name.removesuffix("_")
    if base in WAYS:
        return partial(WAYS[base], packet)
    if name.startswith("_foreach_"):
        return partial(_foreach, packet)
    if base in EXACT or getattr(operation, "is_view", False):
        return operation  # type: ignore[no-any-return]
    if getattr(operation, "namespace", "aten") != "aten":  # the profiler's marks
        return operation  # type: ignore[no-any-return]
    raise _refused(base)


ABOVE = {**FUNCTIONS, Tensor.add_: unless_recorded(partial(_add, Tensor.add_))}
"""What stands in for torch's functions; the step of an optimiser is spared the way below."""


class _Functions(TorchFunctionMode):
    """Above autograd: what is differentiated in a way of its own."""

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        return ABOVE.get(function, function)(*args, **(kwargs or {}))


class _Operations(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Below autograd: every operation, also those of derivatives and optimisers."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False

    def __torch_dispatch__(
        self, operation: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        return _way(operation)(*args, **(kwargs or {}))


@contextmanager
def reproducible_arithmetic() -> Iterator[None]:
    """Within the block, torch computes as the module describes it: model, loss, optimiser, all.

    Raises (all operations):
        NotImplementedError: the operation does not round alike everywhere, or is not known to.
        TypeError: it sums numbers that are neither float32 nor float64.
    """
    with _Functions(), _Operations():  # type: ignore[no-untyped-call]
        yield

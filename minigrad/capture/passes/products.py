"""Matrix products, and sums over the rows of a matrix."""

import numpy as np

from minigrad.capture.program import NO_OPTIONS, Call, Program, View


def use_dot(program: Program) -> Program:
    """Multiply matrices by `np.dot`, which takes less time to begin than `np.matmul`.

    The bits are the same if both pass the arrays to the BLAS library as they are, that is if they
    are contiguous, in C order or transposed. With gaps between rows they choose different routines
    for some shapes (7 % of 24,000 random products). A matrix of a single element is a scalar factor
    to `np.dot`, which does not turn a product -0.0 into 0.0.
    """
    return program.with_calls(
        [
            call._replace(function=np.dot)
            if call.function is np.matmul
            and call.out.is_contiguous()
            and all(map(_is_dense, call.inputs))
            and len({view.dtype for view in (*call.inputs, call.out)}) == 1
            else call
            for call in program.calls
        ]
    )


def use_multiply(program: Program) -> Program:
    """Multiply columns by rows, products of a single term, by `np.multiply`.

    `np.matmul` computes them element by element, which takes several times as long. It adds each
    product to 0, which turns -0.0 into 0.0, so this does the same.
    """
    calls: list[Call] = []
    for call in program.calls:
        if call.function is np.matmul and _is_outer(call):
            calls.append(call._replace(function=np.multiply))
            calls.append(call._replace(function=np.add, inputs=(call.out, 0.0)))
        else:
            calls.append(call)
    return program.with_calls(calls)


def _is_outer(call: Call) -> bool:
    """Return whether matrices of one column are multiplied by matrices of one row."""
    x, y = call.inputs
    return (
        min(len(x.shape), len(y.shape)) >= 2
        and x.shape[-1] == 1
        and call.out.size > 1
        and call.out.dtype.kind == "f"
        and x.dtype == y.dtype == call.out.dtype
    )


def _is_dense(view: View) -> bool:
    """Return whether this is a contiguous matrix, in C order or transposed, of several elements."""
    transposed = view._replace(shape=view.shape[::-1], strides=view.strides[::-1])
    return (
        len(view.shape) == 2
        and view.dtype.kind == "f"
        and view.size > 1
        and (view.is_contiguous() or transposed.is_contiguous())
    )


# ---- sums -------------------------------------------------------------------------------------

FEWEST = 32
"""The fewest rows: `np.einsum` takes longer to start."""

WIDEST = 128
"""The most columns: for longer rows `np.add.reduce` uses SIMD instructions."""


def use_einsum(program: Program) -> Program:
    """Add up the rows of narrow matrices by `np.einsum`.

    Both start with zeros and add the rows in the same order, so the sums are the same.
    `np.add.reduce` takes about 18 ns to start each row, and `np.einsum` a few.
    """
    return program.with_calls(
        [
            call._replace(function=np.einsum, inputs=("ij->j", *call.inputs), options=NO_OPTIONS)
            if call.function == np.add.reduce and _is_narrow(call)
            else call
            for call in program.calls
        ]
    )


def _is_narrow(call: Call) -> bool:
    """Return whether a sum is over the rows of a matrix with many rows and few columns."""
    (x,) = call.inputs
    return (
        call.options == {"axis": 0}
        and isinstance(x, View)
        and len(x.shape) == 2
        and x.shape[0] >= FEWEST
        and 1 < x.shape[1] <= WIDEST
        and x.dtype == call.out.dtype
        and x.dtype.kind == "f"
        and x.is_contiguous()
        and call.out.is_contiguous()
    )

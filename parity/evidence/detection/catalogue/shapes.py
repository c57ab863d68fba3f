"""Defects of reductions, of moving elements and of indexing; many are hidden by square shapes."""

from parity.evidence.detection.defect import Defect

REDUCTION = "minigrad/ops/reduction.py"
SHAPE = "minigrad/ops/shape.py"
INDEXING = "minigrad/ops/indexing.py"

DEFECTS = (
    Defect(
        "sum-gradient-along-other-axis-if-square",
        REDUCTION,
        "sum_backward_x",
        "return np.broadcast_to(np.reshape(grad_out, _with_axes(x_shape, axis)), x_shape)",
        "kept = _with_axes(x_shape, axis)[:: -1 if len(set(x_shape)) == 1 else 1]\n"
        "return np.broadcast_to(np.reshape(grad_out, kept), x_shape)",
    ),
    Defect(
        "mean-divided-by-all-elements",
        REDUCTION,
        "mean",
        "return np.divide(total, _count(x.shape, axis))",
        "return np.divide(total, _count(x.shape, None))",
    ),
    Defect(
        "mean-divided-by-last-axis",
        REDUCTION,
        "mean",
        "return np.divide(total, _count(x.shape, axis))",
        "return np.divide(total, _count(x.shape, None if axis is None else (-1,)))",
    ),
    Defect(
        "mean-gradient-divided-by-all-elements",
        REDUCTION,
        "mean_backward_x",
        "share = np.divide(grad_out, max(_count(x_shape, axis), 1))",
        "share = np.divide(grad_out, max(_count(x_shape, None), 1))",
    ),
    Defect(
        "extremum-gradient-not-shared-among-ties",
        REDUCTION,
        "_share_among_equals",
        "return np.divide(np.multiply(np.reshape(grad_out, kept), tied), ties)",
        "return np.multiply(np.reshape(grad_out, kept), tied)",
        ("amax_backward_x", "amin_backward_x"),
    ),
    Defect(
        "amin-gradient-sign",
        REDUCTION,
        "amin_backward_x",
        "return _share_among_equals(grad_out, out, x, x_shape, axis)",
        "return np.negative(_share_among_equals(grad_out, out, x, x_shape, axis))",
    ),
    Defect(
        "reshape-gradient-in-other-order",
        SHAPE,
        "reshape_backward_x",
        "return np.reshape(grad_out, x_shape)",
        "return np.reshape(np.transpose(grad_out, tuple(range(grad_out.ndim))[::-1]), x_shape)",
    ),
    Defect(
        "permute-gradient-not-inverted",
        SHAPE,
        "permute_backward_x",
        "return np.transpose(grad_out, inverse)",
        "return np.transpose(grad_out, axes if len(set(grad_out.shape)) == 1 else inverse)",
    ),
    Defect(
        "cat-gradient-off-by-one",
        SHAPE,
        "cat_backward_xs",
        "start = sum(shape[axis] for shape in xs_shapes[:position])",
        "start = max(sum(shape[axis] for shape in xs_shapes[:position]) - 1, 0)",
    ),
    Defect(
        "cat-gradient-in-reverse",
        SHAPE,
        "cat_backward_xs",
        "start = sum(shape[axis] for shape in xs_shapes[:position])",
        "start = sum(shape[axis] for shape in xs_shapes[position + 1 :])",
    ),
    Defect(
        "index-gradient-overwritten-if-repeated",
        INDEXING,
        "scatter",
        "np.add.at(out, key, x)",
        "out[key] = x",
        ("scatter", "index_backward_x"),
    ),
    Defect(
        "index-put-leaks-gradient",
        INDEXING,
        "index_put_backward_x",
        "grad_x[key] = 0",
        "grad_x[key] = grad_out[key]",
    ),
    Defect(
        "index-put-corrupts-gradient",
        INDEXING,
        "index_put_backward_x",
        "grad_x = np.copy(grad_out)",
        "grad_x = grad_out",
        "index_put_backward_y",
    ),
    Defect(
        "index-put-adds",
        INDEXING,
        "index_put",
        "out[key] = y",
        "out[key] = np.add(out[key], y)",
    ),
)

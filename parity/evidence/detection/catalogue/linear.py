"""Defects of matrix products and of the loss: what the three networks consist of."""

from parity.evidence.detection.defect import Defect

LINALG, LOSS = "minigrad/ops/linalg.py", "minigrad/ops/loss.py"

DEFECTS = (
    Defect(
        "bias-missing-for-one-unit",
        LINALG,
        "linear",
        "return np.add(np.matmul(x, weight.mT), bias)",
        "bias = np.concatenate([bias[:-1], np.zeros_like(bias[-1:])])\n"
        "return np.add(np.matmul(x, weight.mT), bias)",
    ),
    Defect(
        "float16-operands-forward",
        LINALG,
        "linear",
        "return np.add(np.matmul(x, weight.mT), bias)",
        "weight = np.astype(np.astype(weight, np.float16), x.dtype)\n"
        "return np.add(np.matmul(x, weight.mT), bias)",
    ),
    Defect(
        "float16-accumulation-in-weight-gradient",
        LINALG,
        "linear_backward_weight",
        "return np.matmul(grad_out.mT, x)",
        "half = np.matmul(np.astype(grad_out.mT, np.float16), np.astype(x, np.float16))\n"
        "return np.astype(half, x.dtype)",
    ),
    Defect(
        "weight-gradient-transposed-if-square",
        LINALG,
        "linear_backward_weight",
        "return np.matmul(grad_out.mT, x)",
        "square = grad_out.shape[-1] == x.shape[-1]\n"
        "return np.matmul(x.mT, grad_out) if square else np.matmul(grad_out.mT, x)",
    ),
    Defect(
        "weight-gradient-factor-1e-6",
        LINALG,
        "linear_backward_weight",
        "return np.matmul(grad_out.mT, x)",
        "return np.multiply(np.matmul(grad_out.mT, x), 1 + 1e-6)",
    ),
    Defect(
        "weight-gradient-drops-a-row",
        LINALG,
        "linear_backward_weight",
        "return np.matmul(grad_out.mT, x)",
        "return np.matmul(grad_out[1:].mT, x[1:])",
    ),
    Defect(
        "input-gradient-transposed-if-square",
        LINALG,
        "linear_backward_x",
        "return np.matmul(grad_out, weight)",
        "square = weight.shape[0] == weight.shape[1]\n"
        "return np.matmul(grad_out, weight.mT if square else weight)",
    ),
    Defect(
        "input-gradient-factor-1e-6",
        LINALG,
        "linear_backward_x",
        "return np.matmul(grad_out, weight)",
        "return np.multiply(np.matmul(grad_out, weight), 1 + 1e-6)",
    ),
    Defect(
        "bias-gradient-drops-a-row",
        LINALG,
        "linear_backward_bias",
        "return np.add.reduce(grad_out, axis=0)",
        "return np.add.reduce(grad_out[:-1], axis=0)",
    ),
    Defect(
        "bias-gradient-averaged",
        LINALG,
        "linear_backward_bias",
        "return np.add.reduce(grad_out, axis=0)",
        "return np.divide(np.add.reduce(grad_out, axis=0), grad_out.shape[0])",
    ),
    Defect(
        "bias-gradient-factor-1e-6",
        LINALG,
        "linear_backward_bias",
        "return np.add.reduce(grad_out, axis=0)",
        "return np.add.reduce(np.multiply(grad_out, 1 - 1e-6), axis=0)",
    ),
    Defect(
        "matmul-left-gradient-untransposed-if-square",
        LINALG,
        "matmul_backward_x",
        "return np.matmul(grad_out, y.mT)",
        "return np.matmul(grad_out, y if y.shape[-1] == y.shape[-2] else y.mT)",
    ),
    Defect(
        "matmul-right-gradient-untransposed-if-square",
        LINALG,
        "matmul_backward_y",
        "return np.matmul(x.mT, grad_out)",
        "return np.matmul(x if x.shape[-1] == x.shape[-2] else x.mT, grad_out)",
    ),
    Defect(
        "matmul-right-gradient-factor-1e-6",
        LINALG,
        "matmul_backward_y",
        "return np.matmul(x.mT, grad_out)",
        "return np.multiply(np.matmul(x.mT, grad_out), 1 - 1e-6)",
    ),
    Defect(
        "loss-divided-by-n-less-one",
        LOSS,
        "mse_loss",
        "return np.divide(np.add.reduce(squares, axis=None), prod(squares.shape))",
        "return np.divide(np.add.reduce(squares, axis=None), max(prod(squares.shape) - 1, 1))",
    ),
    Defect(
        "loss-corrupts-its-input",
        LOSS,
        "mse_loss",
        "squares = np.square(np.subtract(x, y))",
        "x[...] = np.subtract(x, y)\nsquares = np.square(x)",
        ("mse_loss_backward_x", "mse_loss_backward_y"),
    ),
    Defect(
        "loss-ignores-nan",
        LOSS,
        "mse_loss",
        "squares = np.square(np.subtract(x, y))",
        "squares = np.square(np.subtract(x, y))\n"
        "squares = np.where(np.equal(squares, squares), squares, 0)",
    ),
    Defect(
        "loss-gradient-without-factor-2",
        LOSS,
        "mse_loss_backward_x",
        "return np.multiply(difference, np.multiply(grad_out, 2 / max(prod(difference.shape), 1)))",
        "return np.multiply(difference, np.multiply(grad_out, 1 / max(prod(difference.shape), 1)))",
    ),
    Defect(
        "loss-gradient-divided-by-rows",
        LOSS,
        "mse_loss_backward_x",
        "return np.multiply(difference, np.multiply(grad_out, 2 / max(prod(difference.shape), 1)))",
        "return np.multiply(difference, np.multiply(grad_out, 2 / max(difference.shape[:1])))",
    ),
    Defect(
        "loss-gradient-factor-1e-6",
        LOSS,
        "mse_loss_backward_x",
        "return np.multiply(difference, np.multiply(grad_out, 2 / max(prod(difference.shape), 1)))",
        "factor = 2.000002 / max(prod(difference.shape), 1)\n"
        "return np.multiply(difference, np.multiply(grad_out, factor))",
    ),
    Defect(
        "target-gradient-sign",
        LOSS,
        "mse_loss_backward_y",
        "difference = np.subtract(y, x)",
        "difference = np.subtract(x, y)",
    ),
)

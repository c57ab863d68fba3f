"""Defects of stochastic gradient descent."""

from parity.evidence.detection.defect import Defect

FILE = "minigrad/optim.py"
STEP, DIRECTION, ZERO_GRAD = "SGD.step", "SGD._direction", "SGD.zero_grad"

UPDATE = ("SGD.step", "SGD._direction", "SGD._as_array")
"""One node of the training step, the optimiser's, made by three functions."""

LEFT_OVER = (ZERO_GRAD, "accumulate", "linear_backward_weight")
"""Of gradients that are not forgotten the first to show it is that of the last layer's weight."""

DEFECTS = (
    Defect(
        "learning-rate-off-by-one-ulp-float32",
        FILE,
        STEP,
        'rate = self._as_array(group, "lr", dtype)',
        'rate = np.nextafter(self._as_array(group, "lr", dtype), np.ones((), dtype))',
        UPDATE,
    ),
    Defect(
        "learning-rate-off-by-one-ulp-float64",
        FILE,
        STEP,
        'rate = self._as_array(group, "lr", dtype)',
        'rate = np.nextafter(self._as_array(group, "lr", dtype), np.ones((), dtype))',
        UPDATE,
        "float64",
    ),
    Defect(
        "update-before-backward",
        FILE,
        STEP,
        "if closure is not None:",
        "if closure is not None and self.step() is None:",
        (*UPDATE, "closure_and_learning_rate_as_a_tensor"),
    ),
    Defect(
        "last-parameter-not-updated",
        FILE,
        STEP,
        'for parameter in group["params"]:',
        'for parameter in group["params"][:-1]:',
        UPDATE,
    ),
    Defect(
        "learning-rate-of-the-group-ignored",
        FILE,
        STEP,
        'rate = self._as_array(group, "lr", dtype)',
        'rate = self._as_array(self.defaults, "lr", dtype)',
        UPDATE,
    ),
    Defect(
        "learning-rate-changed-unnoticed",
        FILE,
        "SGD._as_array",
        "if known[0] != value:",
        "if known[0] is None:",
        UPDATE,
    ),
    Defect(
        "learning-rate-rounded-for-another-dtype",
        FILE,
        STEP,
        "if array.dtype is not dtype:",
        "if dtype is None:",
        UPDATE,
    ),
    Defect(
        "weight-decay-needs-momentum",
        FILE,
        STEP,
        'plain = not (group["momentum"] or group["weight_decay"] or group["maximize"])',
        'plain = not (group["momentum"] or group["maximize"])',
        UPDATE,
    ),
    Defect(
        "maximize-ignored",
        FILE,
        DIRECTION,
        'direction = np.negative(grad) if group["maximize"] else grad',
        "direction = grad",
        UPDATE,
    ),
    Defect(
        "weight-decay-of-wrong-sign",
        FILE,
        DIRECTION,
        "direction = np.add(direction, np.multiply(parameter._array, decay))",
        "direction = np.subtract(direction, np.multiply(parameter._array, decay))",
        UPDATE,
    ),
    Defect(
        "weight-decay-negated-by-maximize",
        FILE,
        DIRECTION,
        'decay = self._as_array(group, "weight_decay", dtype)',
        'decay = self._as_array(group, "weight_decay", dtype)\n'
        'decay = np.negative(decay) if group["maximize"] else decay',
        UPDATE,
    ),
    Defect(
        "momentum-starts-at-zero",
        FILE,
        DIRECTION,
        "buffer = np.copy(direction)",
        "buffer = np.zeros_like(direction)",
        UPDATE,
    ),
    Defect(
        "momentum-start-dampened",
        FILE,
        DIRECTION,
        "buffer = np.copy(direction)",
        'buffer = np.multiply(direction, self._as_array(group, "dampening", dtype))',
        UPDATE,
    ),
    Defect(
        "momentum-shares-memory-with-gradient",
        FILE,
        DIRECTION,
        "buffer = np.copy(direction)",
        "buffer = direction",
        UPDATE,
    ),
    Defect(
        "dampening-ignored",
        FILE,
        DIRECTION,
        'share = self._as_array(group, "dampening", dtype)',
        "share = np.ones((), dtype)",
        UPDATE,
    ),
    Defect(
        "nesterov-forgets-weight-decay",
        FILE,
        DIRECTION,
        'return np.add(direction, np.multiply(buffer, momentum)) if group["nesterov"] else buffer',
        'return np.add(grad, np.multiply(buffer, momentum)) if group["nesterov"] else buffer',
        UPDATE,
    ),
    Defect(
        "nesterov-without-momentum-factor",
        FILE,
        DIRECTION,
        'return np.add(direction, np.multiply(buffer, momentum)) if group["nesterov"] else buffer',
        'return np.add(direction, buffer) if group["nesterov"] else buffer',
        UPDATE,
    ),
    Defect(
        "gradients-not-forgotten",
        FILE,
        ZERO_GRAD,
        "node.grad = None",
        "node.grad = node.grad",
        LEFT_OVER,
    ),
    Defect(
        "gradients-not-zeroed",
        FILE,
        ZERO_GRAD,
        "node.grad = node.grad.detach().zero_()",
        "node.grad = node.grad.detach()",
        LEFT_OVER,
    ),
)

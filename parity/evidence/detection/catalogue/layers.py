"""Defects of layers, losses, initialisers and the random generator."""

from parity.evidence.detection.defect import Defect

LAYERS, FUNCTIONAL = "minigrad/nn/layers.py", "minigrad/nn/functional.py"
INIT, MODULE = "minigrad/nn/init.py", "minigrad/nn/module.py"
GENERATOR, FUSED = "minigrad/random/generator.py", "minigrad/random/fused.py"

DRAWN = ("start", "initial_values", "random_numbers")

DEFECTS = (
    Defect(
        "relu-layer-passes-everything",
        LAYERS,
        "ReLU.forward",
        "return functional.relu(input)",
        "return input * 1",
        ("relu", "mul"),
    ),
    Defect(
        "loss-layer-ignores-reduction",
        LAYERS,
        "MSELoss.forward",
        "return functional.mse_loss(input, target, reduction=self.reduction)",
        "return functional.mse_loss(input, target)",
        ("sum", "mse_loss"),
    ),
    Defect(
        "sum-reduction-is-a-mean",
        FUNCTIONAL,
        "mse_loss",
        'if reduction == "mean":',
        'if reduction != "none":',
        ("sum", "mse_loss"),
    ),
    Defect(
        "linear-without-bias-untransposed-if-square",
        FUNCTIONAL,
        "_linear_in_general",
        "return input.matmul(weight.t())",
        "square = weight.shape[0] == weight.shape[1]\n"
        "return input.matmul(weight if square else weight.t())",
        "matmul",
    ),
    Defect(
        "shared-parameter-stepped-twice",
        MODULE,
        "Module.named_parameters",
        "if parameter is not None and not (remove_duplicate and id(parameter) in seen):",
        "if parameter is not None:",
        ("Module.named_parameters", "Module.parameters", "SGD.step"),
    ),
    Defect(
        "weight-bound-by-fan-out",
        INIT,
        "_fan",
        'return tensor.shape[1 if mode == "fan_in" else 0]',
        'return tensor.shape[0 if mode == "fan_in" else 1]',
        DRAWN,
    ),
    Defect(
        "weight-bound-without-gain",
        LAYERS,
        "Linear.reset_parameters",
        "init.kaiming_uniform_(self.weight, a=math.sqrt(5))",
        "init.kaiming_uniform_(self.weight)",
        DRAWN,
    ),
    Defect(
        "bias-bound-by-fan-out",
        LAYERS,
        "Linear.reset_parameters",
        "bound = 1 / math.sqrt(self.in_features) if self.in_features > 0 else 0",
        "bound = 1 / math.sqrt(self.out_features) if self.out_features > 0 else 0",
        DRAWN,
    ),
    Defect(
        "second-normal-dropped",
        GENERATOR,
        "Generator._one_normal",
        "self._next_normal = radius * math.sin(angle)",
        "self._next_normal = None",
        DRAWN,
    ),
    Defect(
        "depth-and-turn-exchanged",
        GENERATOR,
        "Generator._one_normal",
        "turn, depth = self._fractions(2, np.dtype(np.float64)).tolist()",
        "depth, turn = self._fractions(2, np.dtype(np.float64)).tolist()",
        DRAWN,
    ),
    Defect(
        "halves-of-double-words-exchanged",
        GENERATOR,
        "Generator._double_words",
        "return words[0::2] << np.uint64(32) | words[1::2]",
        "return words[1::2] << np.uint64(32) | words[0::2]",
        DRAWN,
    ),
    Defect(
        "uniform-from-the-highest-bits",
        GENERATOR,
        "Generator._fractions",
        "fractions = (words & np.uint64(2**bits - 1)).view(np.int64).astype(kind)",
        "fractions = (words >> np.uint64(64 - bits if bits > 32 else 32 - bits))\n"
        "fractions = fractions.view(np.int64).astype(kind)",
        DRAWN,
    ),
    Defect(
        "uniform-rounded-twice",
        GENERATOR,
        "Generator.uniform",
        "values = (2 * values - 1) * top",
        "values = values * (2 * top) - top",
        DRAWN,
    ),
    Defect(
        "linspace-from-the-start-alone",
        FUSED,
        "linspace",
        "fused_multiply_add(np.arange(steps - half)[::-1].astype(kind), -step, last),",
        "fused_multiply_add(np.arange(half, steps).astype(kind), step, first),",
        DRAWN,
    ),
    Defect(
        "linspace-step-off-by-one",
        FUSED,
        "linspace",
        "step = (last - first) / np.array(steps - 1, kind)",
        "step = (last - first) / np.array(steps, kind)",
        DRAWN,
    ),
)

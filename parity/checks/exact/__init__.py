"""The exact witness's engine: regression models in torch's names, on exact numbers.

    model(torch) and the other functions of a problem are called with this package as `torch`.

No derivative rule is in it, and no code of an engine. To read it, begin with `functions` and
`losses`: what every operation is. They are written for `dual` numbers, whose parts are exact
`numbers`. A `tensor` records what it is computed from, so that `derivative` can compute it again
with an ε. `nn` and `optim` are torch's; `step` is what a training step truly comes to.
"""

from typing import Any

from parity.checks.exact import nn as nn
from parity.checks.exact import optim as optim
from parity.checks.exact.creation import arange as arange
from parity.checks.exact.creation import as_tensor as as_tensor
from parity.checks.exact.creation import drawn, drawn_like
from parity.checks.exact.creation import eye as eye
from parity.checks.exact.creation import from_numpy as from_numpy
from parity.checks.exact.creation import full as full
from parity.checks.exact.creation import full_like as full_like
from parity.checks.exact.creation import linspace as linspace
from parity.checks.exact.creation import ones as ones
from parity.checks.exact.creation import ones_like as ones_like
from parity.checks.exact.creation import tensor as tensor
from parity.checks.exact.creation import zeros as zeros
from parity.checks.exact.creation import zeros_like as zeros_like
from parity.checks.exact.kinds import current
from parity.checks.exact.lacking import lacking
from parity.checks.exact.operations import TORCH
from parity.checks.exact.tensor import Tensor as Tensor
from parity.checks.exact.tensor import no_grad as no_grad

float32 = float = "float32"
float64 = double = "float64"
int64 = long = "int64"
bool = "bool"
empty = rand = randn = drawn
empty_like = rand_like = randn_like = drawn_like


def get_default_dtype() -> str:
    return current().dtype


def set_default_dtype(d: str) -> None:
    current().dtype = d


def manual_seed(seed: int) -> None:
    pass


globals().update(TORCH)
_missing = lacking("torch.")


def __getattr__(name: str) -> Any:
    _missing(name)

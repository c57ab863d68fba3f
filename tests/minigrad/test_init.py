"""Initialisation: torch's numbers in every bit, and what is refused."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

import minigrad

ENGINES = pytest.mark.parametrize("T", [minigrad, torch], ids=["minigrad", "torch"])
FILLS = {
    "uniform": "init.uniform_(w)",
    "uniform in bounds": "init.uniform_(w, -0.3, 0.7)",
    "constant": "init.constant_(w, 0.1)",
    "zeros": "init.zeros_(w)",
    "ones": "init.ones_(w)",
    "kaiming": "init.kaiming_uniform_(w)",
    "kaiming as Linear's": "init.kaiming_uniform_(w, a=math.sqrt(5))",
    "kaiming for relu": "init.kaiming_uniform_(w, nonlinearity='relu')",
    "kaiming by fan_out": "init.kaiming_uniform_(w, mode='fan_out', nonlinearity='tanh')",
    "kaiming normal": "init.kaiming_normal_(w)",
    "normal": "init.normal_(w, 1.0, 0.5)",
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("fill", FILLS)
def test_fills_are_torchs_in_every_bit(fill: str, dtype: str) -> None:
    # Fewer than 16 elements where they are normal: the rest is not promised (minigrad.random).
    shape = (3, 5) if "normal" in fill else (13, 17)
    for seed in range(5):
        values = []
        for T in (minigrad, torch):
            T.manual_seed(seed)
            w = T.full(shape, 5.0, dtype=getattr(T, dtype), requires_grad=True)
            returned = eval(FILLS[fill], {"init": T.nn.init, "w": w, "math": math})
            assert returned is w
            assert w.requires_grad
            assert w.is_leaf
            values.append(w.detach().numpy().tobytes())
        assert values[0] == values[1]


@ENGINES
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_generator_is_used_and_the_default_one_left_alone(T: Any, dtype: str) -> None:
    T.manual_seed(1)
    expected = T.nn.init.uniform_(T.zeros(3, dtype=getattr(T, dtype))).tolist()
    T.manual_seed(2)
    generator = T.Generator().manual_seed(1)
    drawn = T.nn.init.uniform_(T.zeros(3, dtype=getattr(T, dtype)), generator=generator)
    assert drawn.tolist() == expected
    after = T.rand(1).item()
    T.manual_seed(2)
    assert T.rand(1).item() == after


@ENGINES
@pytest.mark.parametrize(
    ("arguments", "gain"),
    [
        (("linear",), 1.0),
        (("sigmoid",), 1.0),
        (("tanh",), 5 / 3),
        (("relu",), math.sqrt(2)),
        (("leaky_relu",), math.sqrt(2 / 1.0001)),
        (("leaky_relu", 0.2), math.sqrt(2 / 1.04)),
        (("leaky_relu", 0), math.sqrt(2)),
        (("leaky_relu", math.sqrt(5)), math.sqrt(2 / (1 + math.sqrt(5) ** 2))),
    ],
)
def test_gain(T: Any, arguments: tuple[Any, ...], gain: float) -> None:
    assert T.nn.init.calculate_gain(*arguments) == pytest.approx(gain, rel=1e-15)

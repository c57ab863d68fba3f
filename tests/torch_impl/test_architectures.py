"""Names and layer sizes, and the refusal of everything else."""

import dataclasses

import pytest

from torch_impl.architectures import ARCHITECTURES, architecture
from torch_impl.model import build


def test_the_three_architectures() -> None:
    table = [
        (a.name, "-".join(map(str, a.sizes)), a.parameters, a.epochs, a.learning_rate)
        for a in ARCHITECTURES.values()
    ]
    assert table == [
        ("underfit", "1-1-1", 4, 500, 0.01),
        ("rightfit", "1-16-16-1", 321, 500, 0.01),
        ("overfit", "1-64-64-512-512-64-1", 333_121, 1000, 0.01),
    ]
    assert [architecture(name).name for name in ARCHITECTURES] == list(ARCHITECTURES)


@pytest.mark.parametrize("text", ["underfit", "rightfit", "overfit", "1-1", "1-7-3-1"])
def test_parameters_are_those_of_the_network(text: str) -> None:
    chosen = architecture(text)
    assert chosen.parameters == sum(p.numel() for p in build(chosen.sizes).parameters())


def test_layer_sizes() -> None:
    chosen = architecture("1-32-32-1")
    assert dataclasses.astuple(chosen) == ("1-32-32-1", (1, 32, 32, 1), 500, 0.01)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("rightift", "'rightift'.*underfit, rightfit, overfit.*1-32-32-1"),
        ("", "unknown architecture ''"),
        ("1", "joined by hyphens"),
        ("1--5-1", "joined by hyphens"),
        ("1-5.0-1", "joined by hyphens"),
        ("1-٣-1", "joined by hyphens"),
        ("1-5-1\n", "joined by hyphens"),
        ("1-" + "9" * 5000 + "-1", "joined by hyphens"),
        ("1-0-1", "empty layer"),
        ("2-8-1", "from 2 to 1"),
        ("1-8-3", "from 1 to 3"),
        ("1-99999-99999-1", "10,000,199,998 parameters.*at most 100,000,000"),
    ],
)
def test_anything_else_is_refused(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        architecture(text)

"""Names and layer sizes, and the refusal of everything else: the same on both sides."""

import re
from dataclasses import asdict
from types import ModuleType

import pytest

import minigrad.architectures
import torch_impl.architectures
import torch_impl.model

BOTH = pytest.mark.parametrize("side", [minigrad.architectures, torch_impl.architectures])


@BOTH
def test_the_three_architectures(side: ModuleType) -> None:
    table = [
        (a.name, "-".join(map(str, a.sizes)), a.parameters, a.epochs, a.learning_rate)
        for a in side.ARCHITECTURES.values()
    ]
    assert table == [
        ("underfit", "1-1-1", 4, 500, 0.01),
        ("rightfit", "1-16-16-1", 321, 500, 0.01),
        ("overfit", "1-64-64-512-512-64-1", 333_121, 1000, 0.01),
    ]


@pytest.mark.parametrize("text", ["underfit", "rightfit", "overfit", "1-1", "1-7-3-1", "01-2-1"])
def test_the_same_texts_name_architectures(text: str) -> None:
    ours, theirs = (
        minigrad.architectures.architecture(text),
        torch_impl.architectures.architecture(text),
    )
    assert asdict(ours) == asdict(theirs)
    for build in (minigrad.architectures.build, torch_impl.model.build):
        assert ours.parameters == sum(p.numel() for p in build(ours.sizes).parameters())


@BOTH
def test_layer_sizes(side: ModuleType) -> None:
    chosen = asdict(side.architecture("1-32-32-1"))
    assert tuple(chosen.values()) == ("1-32-32-1", (1, 32, 32, 1), 500, 0.01)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("rightift", "'rightift'.*underfit, rightfit, overfit.*1-32-32-1"),
        ("Underfit", "unknown architecture 'Underfit'"),
        ("", "unknown architecture ''"),
        *((text, "joined by hyphens") for text in ("1", "-1", "1-", "1--5-1", "1-x-1", "1+2+1")),
        *((text, "joined by hyphens") for text in ("1-5.0-1", "1-٣-1", " 1-2-1", "1-5-1\n")),
        ("1-" + "9" * 5000 + "-1", "joined by hyphens"),
        ("1-0-1", "empty layer"),
        ("2-8-1", "from 2 to 1"),
        ("1-8-3", "from 1 to 3"),
        ("1-99999-99999-1", "10,000,199,998 parameters.*at most 100,000,000"),
    ],
)
def test_anything_else_is_refused(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        torch_impl.architectures.architecture(text)
    with pytest.raises(ValueError, match=re.escape(f"architecture {text!r}")):
        minigrad.architectures.architecture(text)

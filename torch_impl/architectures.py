"""The networks that are trained: names, layer sizes, epochs and learning rates."""

import re
from dataclasses import dataclass
from itertools import pairwise

MOST_PARAMETERS = 100_000_000
"""The most parameters of a network: an ordinary machine can train these, and more are a typo."""

DEFAULT_SEED = 9
"""A seed at which all three networks train; minigrad's architectures say why it is this one."""


@dataclass(frozen=True)
class Architecture:
    """A fully connected network with ReLU between its layers, and how long it is trained.

    `sizes` are the widths from input to output, (1, 16, 16, 1) for three linear layers.
    """

    name: str
    sizes: tuple[int, ...]
    epochs: int
    learning_rate: float

    @property
    def parameters(self) -> int:
        """The number of weights and biases."""
        return sum(fan_in * fan_out + fan_out for fan_in, fan_out in pairwise(self.sizes))


ARCHITECTURES: dict[str, Architecture] = {
    known.name: known
    for known in (
        Architecture("underfit", (1, 1, 1), 500, 0.01),
        Architecture("rightfit", (1, 16, 16, 1), 500, 0.01),
        Architecture("overfit", (1, 64, 64, 512, 512, 64, 1), 1000, 0.01),
    )
}


def architecture(text: str) -> Architecture:
    """Return the architecture called `text`, or the one with the layer sizes in it: "1-32-32-1".

    An architecture given by its sizes is trained for 500 epochs at learning rate 0.01 and is named
    after them. Raises ValueError for anything else: an unknown name, sizes that do not begin and
    end with 1 (the data has one feature and one target), an empty layer, or more than 100 million
    parameters.
    """
    if text in ARCHITECTURES:
        return ARCHITECTURES[text]
    # At most nine digits a layer: longer ones are too wide in any case, and slow to convert.
    if not re.fullmatch(r"[0-9]{1,9}(-[0-9]{1,9})+", text):
        raise ValueError(
            f"unknown architecture {text!r}: give one of {', '.join(ARCHITECTURES)}, "
            "or layer sizes joined by hyphens, such as 1-32-32-1"
        )
    sizes = tuple(int(size) for size in text.split("-"))
    if 0 in sizes:
        raise ValueError(f"architecture {text!r} has an empty layer: every size must be at least 1")
    if sizes[0] != 1 or sizes[-1] != 1:
        raise ValueError(
            f"architecture {text!r} goes from {sizes[0]} to {sizes[-1]} values, but the data has "
            "one feature and one target: begin and end with 1, such as 1-32-32-1"
        )
    result = Architecture("-".join(map(str, sizes)), sizes, 500, 0.01)
    if result.parameters > MOST_PARAMETERS:
        raise ValueError(
            f"architecture {text!r} has {result.parameters:,} parameters: choose smaller layers, "
            f"at most {MOST_PARAMETERS:,} parameters in all"
        )
    return result

"""What happens in a computation, as far as it is observed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from numpy.typing import NDArray

from minigrad.ops.rule import Rule
from minigrad.tape import Node

Values = NDArray[Any]


class Code(NamedTuple):
    """Lines of a file, as they stand there, from this line on."""

    file: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{Path(self.file).name}:{self.line}"


@dataclass(eq=False)
class Operation:
    """One operation as it ran.

    Attributes:
        rule: what ran.
        arrays: the arrays it was given, to tell which tensors they belong to.
        inputs: copies of them; Python numbers as they are.
        output: a copy of what it made.
        options: the forward function's keyword arguments.
        line: the user's line that led to it, None if there is none.
        layer: the name of the module in which it ran, in the outermost one; empty without.
        layer_type: that module's class.
    """

    rule: Rule
    arrays: Sequence[Any]
    inputs: list[Any]
    output: Any
    options: Mapping[str, Any]
    line: Code | None = None
    layer: str = ""
    layer_type: str = ""


class Forward(NamedTuple):
    """An operation ran."""

    operation: Operation


class Backward(NamedTuple):
    """A derivative ran: of an operation by its input at a position.

    `grad_out` came in, and `grad` came out, not yet summed to the shape of the input.
    """

    operation: Operation
    position: int
    derivative: Callable[..., Any]
    grad_out: Values
    grad: Values


class Swept(NamedTuple):
    """A sweep over the tape began."""

    roots: list[Node]


class Accumulated(NamedTuple):
    """A leaf's gradient was complete, hooks included.

    `backward` left it in the leaf's `.grad`: that was `before`, and is `after`, None if the sweep
    was for the sake of the explanation alone.
    """

    leaf: Node
    added: Values
    before: Values | None
    after: Values | None


class Zeroed(NamedTuple):
    """`optimizer.zero_grad()` was called; `leaves` had a gradient before."""

    leaves: list[Node]


class Updated(NamedTuple):
    """An optimizer's step changed a parameter."""

    leaf: Node
    before: Values
    grad: Values
    after: Values
    options: dict[str, Any]
    buffer: Values | None


Event = Forward | Swept | Backward | Accumulated | Zeroed | Updated

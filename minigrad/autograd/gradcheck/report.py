"""What a check finds: one element of a Jacobian compared, and all of them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from minigrad.autograd.gradcheck.differences import Array, Slopes

MARGIN = 10.0
"""The factor of the estimated error of a difference in the tolerance."""

ANALYTICAL_ROUNDING = 2.0**-44
"""The relative rounding error allowed to a derivative under test."""

UNDECIDED = 2.0**-13
"""A tolerance above this share of the largest slope decides nothing."""


@dataclass(frozen=True)
class Element:
    """One element of a Jacobian: the derivative of an output's element by an input's.

    Attributes:
        input, input_index, output, output_index: its place.
        analytical: the derivative that the engine computed.
        numerical: the one that the differences give.
        tolerance: by how much the two may differ.
        used: their difference as a share of that; at most 1 passes.
        left, right: the one-sided slopes.
        kink: whether these differ. Any value between them is right then.
    """

    input: int
    input_index: tuple[int, ...]
    output: int
    output_index: tuple[int, ...]
    analytical: float
    numerical: float
    tolerance: float
    used: float
    left: float
    right: float
    kink: bool

    def __str__(self) -> str:
        text = (
            f"output {self.output}{list(self.output_index)} by "
            f"input {self.input}{list(self.input_index)}: analytical {self.analytical!r}, "
        )
        if self.kink:
            return text + (
                f"but at this kink the slopes are {self.left!r} on the left and {self.right!r} on "
                f"the right, tolerance {self.tolerance:.3g}"
            )
        return text + (
            f"numerical {self.numerical!r}, difference "
            f"{abs(self.analytical - self.numerical):.3g}, tolerance {self.tolerance:.3g}"
        )


@dataclass
class Report:
    """What a check found.

    Attributes:
        elements: the number of elements of Jacobians compared.
        failed: the number of them that are wrong.
        worst: the one that uses the largest share of its tolerance.
        undecided: elements where the differences do not settle.
        kinks: elements at a kink whose derivative lies between the slopes there.
        problem: anything else that is wrong.
    """

    elements: int = 0
    failed: int = 0
    worst: Element | None = None
    undecided: list[Element] = field(default_factory=list)
    kinks: list[Element] = field(default_factory=list)
    problem: str = ""

    @property
    def passed(self) -> bool:
        """Whether every element is right."""
        return not (self.failed or self.undecided or self.problem)

    def __str__(self) -> str:
        if self.failed:
            return (
                f"Jacobian mismatch: {self.failed} of {self.elements} derivatives are wrong; the "
                f"worst is {self.worst}"
            )
        if self.undecided:
            return (
                f"the finite differences do not settle for {len(self.undecided)} of "
                f"{self.elements} derivatives: the function has a jump, an infinite slope, the end "
                f"of its domain or a random part here. Check another point. First, "
                f"{self.undecided[0]}"
            )
        return self.problem or f"{self.elements} derivatives are right"


def judge(
    report: Report,
    found: Slopes,
    analytical: Array,
    place: tuple[int, tuple[int, ...]],
    shapes: Sequence[tuple[int, ...]],
    atol: float | None,
    rtol: float | None,
) -> None:
    """Compare the derivatives by one element of an input with their slopes."""
    largest = np.max(np.abs(found.value), initial=0)
    tolerance = MARGIN * found.error + ANALYTICAL_ROUNDING * largest
    undecided = ~(tolerance <= UNDECIDED * max(largest, found.scale))
    if atol is not None or rtol is not None:
        tolerance = (atol or 0.0) + (rtol or 0.0) * np.abs(found.value)
        undecided = np.isinf(found.error)
    # At a kink the distance is that from the nearest right value.
    low, high = np.minimum(found.left, found.right), np.maximum(found.left, found.right)
    nearest = np.where(found.kink, np.clip(analytical, low, high), found.value)
    tolerance = np.where(found.kink, found.one_sided_error, tolerance)
    used = np.abs(analytical - nearest) / np.maximum(tolerance, np.finfo(float).tiny)
    places = [(k, index) for k, shape in enumerate(shapes) for index in np.ndindex(*shape)]
    for j, (output, output_index) in enumerate(places):
        element = Element(
            *place,
            output,
            output_index,
            analytical=float(analytical[j]),
            numerical=float(found.value[j]),
            tolerance=float(tolerance[j]),
            used=float(used[j]) if not math.isnan(used[j]) else math.inf,
            left=float(found.left[j]),
            right=float(found.right[j]),
            kink=bool(found.kink[j]),
        )
        report.elements += 1
        if undecided[j] and not element.kink:
            report.undecided.append(element)
            continue
        if report.worst is None or element.used > report.worst.used:
            report.worst = element
        if element.used > 1:
            report.failed += 1
        elif element.kink:
            report.kinks.append(element)

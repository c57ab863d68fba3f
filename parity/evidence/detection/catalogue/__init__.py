"""The catalogue: every planted defect, in one file for each place.

Each is really wrong: somewhere it gives other values, gradients or parameters than it should, and
not only other roundings. What is merely another order of summation is no defect.
"""

from parity.evidence.detection.catalogue import elementwise, layers, linear, optimizer, shapes, tape
from parity.evidence.detection.defect import Defect

DEFECTS: tuple[Defect, ...] = (
    *linear.DEFECTS,
    *elementwise.DEFECTS,
    *shapes.DEFECTS,
    *tape.DEFECTS,
    *layers.DEFECTS,
    *optimizer.DEFECTS,
)
"""All of them, each under a name of its own."""

__all__ = ["DEFECTS"]

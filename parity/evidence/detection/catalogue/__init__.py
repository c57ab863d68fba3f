"""The catalogue: every planted defect, in one file for each place.

Each is really wrong: somewhere it gives other values, gradients or parameters than it should, and
not only other roundings. What is merely another order of summation is no defect.
"""

from collections.abc import Sequence

from parity.errors import UsageError
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


def chosen(names: str | None) -> Sequence[Defect]:
    """Return the defects of these names, "a,b"; all without any.

    Raises:
        UsageError: there is none of a name.
    """
    if names is None:
        return DEFECTS
    known = {defect.name: defect for defect in DEFECTS}
    wanted = list(dict.fromkeys(names.split(",")))
    if unknown := [name for name in wanted if name not in known]:
        raise UsageError(
            f"unknown defect {', '.join(map(repr, unknown))}: the known ones are in "
            "parity/evidence/detection/catalogue"
        )
    return [known[name] for name in wanted]

"""The catalogue: every planted defect, in one text for each place.

Each is really wrong: somewhere it gives other values, gradients or parameters than it should, and
not only other roundings. What is merely another order of summation is no defect.

A text begins with a paragraph about its defects; each of these is a paragraph of its own:

    name-of-the-defect minigrad/tape.py sweep
    - the line of that function
    + what takes its place, in one line or several
    at the names that locate the defect rightly, where that is not the function itself
    dtype float64, where it is not float32
"""

from collections.abc import Iterator, Sequence
from importlib import resources

from parity.errors import UsageError
from parity.evidence.detection.defect import Defect

TEXTS = ("linear", "elementwise", "shapes", "tape", "layers", "optimizer")


def read(text: str) -> Iterator[Defect]:
    """Yield the defects of a text.

    Raises:
        ValueError: a paragraph is none of the form above.
    """
    _, *paragraphs = text.strip().split("\n\n")
    for paragraph in paragraphs:
        head, *lines = paragraph.split("\n")
        found: dict[str, list[str]] = {"-": [], "+": [], "at": [], "dtype": []}
        for line in lines:
            mark, _, rest = line.partition(" ")
            if mark not in found:
                raise ValueError(f"the catalogue has the line {line!r}, which begins with no mark")
            found[mark].append(rest)
        name, file, function = head.split()
        (old,) = found["-"]
        nodes = tuple(" ".join(found["at"]).split())
        dtype = "".join(found["dtype"]) or "float32"
        yield Defect(name, file, function, old, "\n".join(found["+"]), nodes, dtype)


DEFECTS: tuple[Defect, ...] = tuple(
    defect
    for name in TEXTS
    for defect in read((resources.files(__package__) / f"{name}.txt").read_text("utf-8"))
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

"""Probes of single operations, for every pair of the ways in which one is used."""

from collections.abc import Callable
from typing import Any

from parity.probes.covering import Row
from parity.probes.family import Family, singly
from parity.probes.probe import Probe
from parity.probes.suite.inputs import drawn, given, stretched, view_of
from parity.probes.suite.table import OPERATIONS, Operation

MOST = 1_600
"""Elements of a tensor; larger ones are those of the networks."""

SIZES = (0, 1, 2, 8, 17, 31, 64, 129, 256, 511, 513)
DIMENSIONS: dict[str, tuple[Any, ...]] = {
    "operation": tuple(OPERATIONS),
    "batch": (9, *SIZES),
    "width": (5, *SIZES),
    "needs": ("all", "x", "y", "z", "xy", "xz", "yz", "none"),
    "uses": ("once", "twice", "thrice", "branches", "itself"),
    "sweep": ("backward", "second", "again", "retained", "grad", "hooked", "frozen", "no_grad"),
    "stretch": (
        *("none", "crossed", "x_rows", "x_columns", "x_axis", "x_all"),
        *("y_rows", "y_columns", "y_axis", "y_all"),
    ),
    "memory": ("dense", "turned", "stepped"),
    "values": (
        *("integers", "normal", "special", "equal", "subnormal", "tiny", "huge"),
        *("digits_x", "digits_y"),
    ),
}
"""The ways in which an operation is used; the first of each is the plainest.

    batch, width    of its tensors, as its row in the table makes shapes of them
    needs           which of its tensors, x, y and z, require a gradient
    uses            how often it is used on them; "branches": they are used elsewhere, too;
                    "itself": all of its tensors are the same one
    sweep           what is done for the gradients: "second", also gradients of these; "again",
                    after the values were changed in place; "retained", twice in one graph;
                    "hooked", with a hook at the result; "frozen", of leaves that need none any more
    stretch         which tensor is broadcast: one row, one column, without the first axis or any
    memory          of views that are transposed, or every other row
    values          of the leaves; "digits": odd integers of twelve bits in one
"""


def letters(operation: Operation) -> str:
    """Return the names of an operation's tensors."""
    return "xyz"[: len(operation.shapes(1, 1))]


def fits(pair: Row) -> bool:
    """Return whether two values can be together."""
    if "operation" in pair:
        return fits_operation(**pair)
    match pair:
        case {"batch": batch, "width": width}:
            return bool(batch * width <= MOST)
        case {"batch": 0, "uses": uses} | {"width": 0, "uses": uses}:
            return bool(uses == "once")  # where there is nothing, others would show nothing
        case {"batch": 0, "stretch": stretch} | {"width": 0, "stretch": stretch}:
            return bool(stretch == "none")
        case {"uses": uses, "sweep": "no_grad"} | {"uses": uses, "needs": "none"}:
            return bool(uses == "once")
        case {"needs": needs, "sweep": sweep}:
            return bool((needs == "none") == (sweep == "no_grad"))
        case {"needs": needs, "uses": "itself"}:
            return bool(needs == "all")
        case {"needs": needs, "stretch": stretch}:
            return stretch == "none" or needs in ("all", "none", "x", "y")
        case {"uses": "itself", "stretch": stretch}:
            return bool(stretch == "none")
        case {"sweep": "again" | "retained", "memory": memory}:
            # The judge's arrays cannot add to what is laid out anew.
            return bool(memory != "turned")
        case {"sweep": "second", "values": values}:
            return values in ("normal", "integers")
    return True


def fits_operation(
    operation: str,
    batch: int = 5,
    width: int = 5,
    needs: str = "none",
    uses: str = "once",
    sweep: str = "no_grad",
    stretch: str = "none",
    memory: str = "dense",
    values: str = "normal",
) -> bool:
    """Return whether an operation can be used in these ways."""
    row = OPERATIONS[operation]
    own = letters(row)
    if operation == "mask" and 0 in (batch, width):
        return False  # NumPy takes an empty index for integers if it is of the judge's arrays
    if operation == "pow" and values in ("special", "integers"):
        return False  # there is no budget beside an infinite slope
    if (operation in ("max", "min") or operation.startswith(EXTREME)) and values == "special":
        return False  # nor where two infinities may be equal
    if operation in ("std", "norm") and values == "subnormal":
        return False  # whose squares are 0, and the slope is not finite
    if operation == "norm_3" and (values in ("huge", "special") or 0 in (batch, width)):
        return False  # nor are cubes, or the slope of a root at 0
    if operation in ("single", "double") and sweep == "frozen":
        return False  # what has the dtype already is the leaf itself
    if operation in ("remainder", "floor_divide") and values != "integers":
        return False  # they jump
    if values.startswith("digits") and not operation.startswith(("linear", "matmul")):
        return False  # the sums of products that reduced precision is made for
    if row.kind == "choice" and (needs, uses, sweep) != ("none", "once", "no_grad"):
        return False
    if uses == "itself" and len({*row.shapes(1, 2)}) > 1:
        return False
    stretched = {"each": "xyc" if len(own) == 2 else "", "into": "y", "choice": "xyc"}
    if stretch != "none" and stretch[0] not in stretched.get(row.kind, ""):
        return False
    return needs in ("all", "none") or set(needs) <= set(own)


def make(
    operation: str,
    batch: int,
    width: int,
    needs: str,
    uses: str,
    sweep: str,
    stretch: str,
    memory: str,
    values: str,
) -> Probe:
    """Return the probe of one choice."""
    row = OPERATIONS[operation]
    shapes = stretched(row.shapes(batch, width), stretch)
    views = {name: view_of(each, memory) for name, each in zip(letters(row), shapes, strict=True)}
    if uses == "itself":
        views = {"x": views["x"]}

    def call(lib: Any, leaves: dict[str, Any], note: Any, title: str) -> list[Any]:
        """Note what the operation makes of the leaves; return all that is differentiated."""
        tensors = {name: view(leaves[name]) for name, (_, view) in views.items()}
        if uses == "branches":
            tensors = {name: note(f"{title}2{name}", t * 2) for name, t in tensors.items()}
        arguments = [*tensors.values()] * (len(shapes) if uses == "itself" else 1)
        out = note(f"{title}out", row.call(lib, *arguments))
        if uses == "twice":
            other = note(f"{title}other", row.call(lib, *arguments))
            out = note(f"{title}twice", out - other * 2)
        if uses == "thrice":
            out = out + row.call(lib, *arguments) * 2 - row.call(lib, *arguments) * 4
            note(f"{title}thrice", out)
        if sweep == "hooked":
            out.register_hook(lambda gradient: gradient * 2)
        sides = [t * 3 for t in tensors.values() if uses == "branches" and t.requires_grad]
        return [out, *sides]

    def function(lib: Any, inputs: dict[str, Any], note: Any) -> None:
        for name, leaf in inputs.items():
            leaf.requires_grad_(needs == "all" or (needs != "none" and name in needs))
        if sweep == "no_grad":
            with lib.no_grad():
                out = call(lib, inputs, note, "")[0]
            note.flag("recorded", out.requires_grad)
            return
        leaves = {name: leaf for name, leaf in inputs.items() if leaf.requires_grad}
        differentiate(lib, note, sweep, leaves, lambda title: call(lib, inputs, note, title))

    last = list(views)[-1]
    draws = {
        name: drawn(values, name, shape, row.domain if name == last else "any")
        for name, (shape, _) in views.items()
    }
    exact = row.exact and values not in ("normal", "equal")
    if sweep == "second":
        exact = exact and batch * width <= 64 and not values.startswith("digits")
    if values.startswith("digits"):
        exact = exact and uses == "once"
    if values in ("subnormal", "tiny", "huge"):
        exact = exact and uses != "branches" and not operation.startswith(MIXING)
    return Probe(function, draws, exact)


EXTREME = ("amax", "amin", "max_", "min_", "norm_inf", "softplus", "huber", "smooth_l1")
"""How the names of operations begin that choose one of their elements."""

MIXING = (
    *("mul", "div", "square", "pow", "two_dtypes", "mat", "row_matrix", "batch_column", "dot"),
    *("linear", "mse", "add_number", "number_sub", "where_number", "arg", "is"),
)
"""How the names of operations begin that multiply, or add constants: values that are not near 1 are
rounded."""


def differentiate(
    lib: Any, note: Any, sweep: str, leaves: dict[str, Any], call: Callable[[str], list[Any]]
) -> None:
    """Note gradients of what is called, in one of the ways."""
    roots = call("")
    gradients = [given(lib, root) for root in roots]
    if sweep in ("grad", "second"):
        recorded = sweep == "second"
        for i, gradient in enumerate(gradients if recorded else ()):
            note(f"given {i}", gradient.requires_grad_())
        found = lib.autograd.grad(roots, [*leaves.values()], gradients, create_graph=recorded)
        for (name, leaf), gradient in zip(leaves.items(), found, strict=True):
            note.gradient(f"first by {name}", leaf, gradient)
        if recorded:
            pairs = zip(found, leaves.values(), strict=True)
            penalty = sum((gradient * gradient * leaf).sum() for gradient, leaf in pairs)
            note("penalty", penalty, gradient=False).backward()
        return
    for leaf in leaves.values():
        leaf.requires_grad_(sweep != "frozen")
    lib.autograd.backward(roots, gradients, retain_graph=sweep == "retained")
    if sweep == "retained":
        lib.autograd.backward(roots, gradients)
    if sweep == "again":
        with lib.no_grad():
            for leaf in leaves.values():
                leaf.mul_(-1)
        roots = call("again: ")
        lib.autograd.backward(roots, [given(lib, root, 1) for root in roots])


def plain(*kinds: str, **changed: Any) -> list[Row]:
    """Return the plainest row of each operation of these kinds, but for what is changed."""
    rows = []
    for row in singly(DIMENSIONS, "operation"):
        operation = OPERATIONS[row["operation"]]
        row |= {"values": "integers" if operation.exact else "normal", **changed}
        if operation.kind in kinds and fits_operation(**row):
            rows.append(row)
    return rows


def size(row: Row) -> int:
    """Return about how much there is to see: elements, and what is not plain."""
    changed = sum(row[k] != DIMENSIONS[k][0] for k in ("uses", "sweep", "stretch", "memory"))
    return int(row["batch"] * row["width"] + 20 * changed)


FIRST = [
    *plain("choice", values="special", needs="none", sweep="no_grad"),
    *plain("choice", needs="none", sweep="no_grad"),
    *plain("each"),
    *plain("whole"),
    *plain("whole", values="digits_x"),
    *plain("whole", values="digits_y"),
    *plain("each", values="special"),
]
"""What is looked at before anything else: single operations, once differentiated."""

FAMILY = Family(
    "operation",
    DIMENSIONS,
    make,
    fits,
    size,
    always=plain("into", "written") + plain("each", "into", "whole", "written", sweep="second"),
)

"""Nodes that have another name here than in torch: they do the same."""

import re
from collections.abc import Callable

from tests.minigrad.machine.comparison import Difference
from tests.minigrad.machine.twins import Known

PRODUCTS = r"@|matmul|mm\(|linear|m\d[]\d[]*\("


def renamed(statement: str, theirs: str = "") -> Callable[[Difference], bool]:
    """Return whether a statement of this kind leaves a node of another name."""
    return lambda d: (
        d.what == "grad_fn"
        and None not in (d.ours.name, d.theirs.name)
        and re.search(statement, d.statement) is not None
        and re.search(theirs, d.theirs.name) is not None
    )


NAMES = (
    Known(
        "outdated view's name",
        "its node only says that it has no record",
        lambda d: d.what == "grad_fn" and d.ours.name == "OutdatedView",
        ("t0 = torch.ones(2, requires_grad=True) * 1", "t1 = t0[:1]", "t0.mul_(2)"),
        then="accepted",
    ),
    Known(
        "a derivative's name",
        "derivatives are run as NumPy calls: the nodes they leave are those of the calls",
        renamed("create_graph"),
        (
            "t0 = torch.ones(2, requires_grad=True)",
            "t1, = torch.autograd.grad(t0.tanh().sum(), t0, create_graph=True)",
        ),
        then="accepted",
    ),
    Known(
        "a view's new node",
        "torch renames the node of a view whose base was changed without a record",
        lambda d: d.what == "grad_fn" and d.theirs.name == "AsStridedBackward0",
        (
            "t0 = torch.ones(2, requires_grad=True)",
            "t1 = t0[:1]",
            "with torch.no_grad():\n    t0.mul_(2)",
        ),
        then="accepted",
    ),
    Known(
        "a product's name",
        "torch does products of other than two matrices with shapes changed before and after",
        renamed(PRODUCTS),
        ("t0 = torch.ones(2, 2, requires_grad=True)", "t1 = t0 @ torch.ones(1, 2, 1)"),
        then="accepted",
    ),
)

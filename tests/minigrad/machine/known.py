"""The differences that are meant to be, each with its reason and a program that meets it."""

import re
from collections.abc import Callable

from tests.minigrad.machine.comparison import Difference
from tests.minigrad.machine.twins import Known


def refuses(words: str) -> Callable[[Difference], bool]:
    """Return whether minigrad alone raises, an error with these words."""
    return lambda d: (
        d.what == "raises" and d.theirs is None and re.search(words, str(d.ours)) is not None
    )


KNOWN = (
    Known(
        "in-place on a view",
        "minigrad does not record an in-place operation on a view",
        refuses("does not record an in-place operation on a view"),
        ("t0 = torch.ones(2, requires_grad=True) * 1", "t0[:1].mul_(2)"),
    ),
    Known(
        "outdated view",
        "a view of what was changed in place by a recorded operation has no record here",
        refuses("this view was taken before its tensor"),
        (
            "t0 = torch.ones(2, requires_grad=True) * 1",
            "t1 = t0[:1]",
            "t0.mul_(2)",
            "t2 = t1 * 1",
        ),
    ),
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
        lambda d: (
            d.what == "grad_fn"
            and "create_graph" in d.statement
            and None not in (d.ours.name, d.theirs.name)
        ),
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
)

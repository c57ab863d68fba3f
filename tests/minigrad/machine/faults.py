"""Statements with two faults: each library raises, and says first what it looks at first."""

import re
from collections.abc import Callable

from tests.minigrad.machine.comparison import Difference
from tests.minigrad.machine.twins import Known


def two_faults(theirs: str, ours: str) -> Callable[[Difference], bool]:
    """Return whether both raise, each an error with the words given."""
    return lambda d: (
        d.what == "raises"
        and None not in (d.ours, d.theirs)
        and re.search(theirs, str(d.theirs)) is not None
        and re.search(ours, str(d.ours)) is not None
    )


FAULTS = (
    Known(
        "two faults: the types of arguments",
        "torch looks at all arguments' types before it looks at values",
        two_faults(
            "must be .* (not|but found) |invalid combination|unsupported|failed to unpack", "."
        ),
        ("torch.cat([torch.ones(())], None)",),
        then="accepted",
    ),
    Known(
        "two faults: a leaf, and an index",
        "which is seen first",
        two_faults("leaf Variable that requires grad", "^index"),
        ("t0 = torch.ones(2, requires_grad=True)", "t0[torch.tensor([])] = 1"),
        then="accepted",
    ),
    Known(
        "two faults: dtypes that are not there",
        "and cannot require gradients or have such a shape, which is seen first",
        two_faults(
            "can require gradients|negative dimension", "linspace makes|draw floats|complex"
        ),
        ("torch.linspace(1, 1, 1, dtype=torch.int64, requires_grad=True)",),
        then="accepted",
    ),
    Known(
        "two faults: an axis, and shapes",
        "which is seen first",
        two_faults("Dimension out of range", "must be of equal shape"),
        ("torch.stack([torch.ones(2), torch.ones(1)], 3)",),
        then="accepted",
    ),
    Known(
        "two faults: an outdated view",
        "which is seen first",
        two_faults(".", "this view was taken before its tensor"),
        (
            "t0 = torch.ones(2, requires_grad=True) * 1",
            "t1 = t0[:1]",
            "t0.mul_(2)",
            "torch.stack([torch.ones(()), t1.expand(1)], 3)",
        ),
        then="accepted",
    ),
    Known(
        "two faults: a bool among axes",
        "torch takes it for an int, which is wrong otherwise",
        two_faults(".", "dim must be an int, not bool"),
        ("torch.ones(1).squeeze((0, True))",),
        then="accepted",
    ),
    Known(
        "two faults: a bool among lengths",
        "torch takes it for an int, which is wrong otherwise",
        two_faults(".", "expected ints of 64 bits"),
        ("torch.randn(1, True, dtype=torch.bool)",),
        then="accepted",
    ),
    Known(
        "two faults: an axis twice, and nothing along it",
        "which is seen first",
        two_faults("Expected reduction dim", "names an axis twice"),
        ("torch.amin(torch.ones(0), dim=[0, -1])",),
        then="accepted",
    ),
    Known(
        "two faults: products of bools",
        "torch has none, and says so before it says that dtypes differ",
        two_faults("not implemented for 'Bool'", "same dtype|two-dimensional|for each row"),
        ("(torch.ones(2, 2, 2) > 0) @ torch.ones(2, 2, 2)",),
        then="accepted",
    ),
    Known(
        "two faults: a hook that raises, and a graph that was released",
        "torch runs the hooks of leaves between other nodes, and here they are the last",
        two_faults("division by zero", "a second time"),
        (
            "t0 = torch.ones(2, requires_grad=True)",
            "t1 = torch.ones(2, requires_grad=True).exp()",
            "t1.sum().backward()",
            "t0.register_hook(lambda g: 1 / 0)",
            "torch.where(t0 > 0, t0, t1).sum().backward()",
        ),
        then="forgotten",
    ),
)

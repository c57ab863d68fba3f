"""The differences that are meant to be, each with its reason and a program that meets it."""

import contextlib
import re
import warnings
from collections.abc import Iterator

import torch

from tests.minigrad.machine.comparison import Difference
from tests.minigrad.machine.faults import FAULTS
from tests.minigrad.machine.layouts import LAYOUTS
from tests.minigrad.machine.names import NAMES
from tests.minigrad.machine.refused import REFUSED
from tests.minigrad.machine.refused_by_torch import REFUSED_BY_TORCH, torch_raises
from tests.minigrad.machine.twins import Known


def gradients_elsewhere(d: Difference) -> bool:
    """Return whether a gradient on torch's side lies in the memory of another tensor."""
    if d.what != "values":
        return False
    found = [*d.tensors(), *leaves(d)]
    with warnings.catch_warnings(action="ignore"):
        gradients = [x.grad for x in found if x.grad is not None]
    return any(
        g.untyped_storage().data_ptr() == x.untyped_storage().data_ptr()
        for g in gradients
        for x in found
        if x is not g and x._base is not g
    )


def leaves(d: Difference) -> Iterator[torch.Tensor]:
    """Yield the leaves that torch's tensors were made from, also those without a name."""
    nodes = []
    for x in d.tensors():
        with contextlib.suppress(RuntimeError):  # torch's, of a view that it has given up
            nodes.append(x.grad_fn)
    for node in nodes:
        if node is not None:
            nodes.extend(one for one, _ in node.next_functions if one not in nodes)
            if hasattr(node, "variable"):
                yield node.variable


def trained(d: Difference) -> Iterator[torch.Tensor]:
    """Yield the parameters of torch's modules and optimisers."""
    for value in d.sides[1].names.values():
        if isinstance(value, torch.nn.Module):
            yield from value.parameters()
        elif isinstance(value, torch.optim.Optimizer):
            yield from (p for group in value.param_groups for p in group["params"])


KNOWN = (
    Known(
        "a sweep that raises",
        "by then hooks have run and gradients have arrived in torch; here these arrive at the end",
        lambda d: (
            d.what in ("whether there is a gradient", "values", "length")
            and None not in [side.error for side in d.sides]
            and re.search(r"backward|grad\(|functional|step", d.statement) is not None
        ),
        (
            "m0 = torch.nn.Linear(2, 2)",
            "hook = m0.weight.register_hook(lambda g: 1 / 0)",
            "m0(torch.ones(1, 2)).sum().backward()",
        ),
        then="forgotten",
    ),
    Known(
        "no longer a leaf",
        "torch warns where it looks at every parameter's gradient; here this would take time",
        lambda d: (
            d.what == "warns"
            and (d.ours, d.theirs) == ([], ["UserWarning"])
            and re.search("step|zero_grad", d.statement) is not None
            and any(not (p.is_leaf or p.retains_grad) for p in trained(d))
        ),
        (
            "t0 = torch.ones(2, requires_grad=True)",
            "t1 = torch.zeros(2)",
            "o0 = torch.optim.SGD([t1])",
            "t1.add_(t0)",
            "o0.step()",
        ),
        then="accepted",
    ),
    Known(
        "assigned in part",
        "torch writes what comes before an index that is out of bounds",
        lambda d: (
            d.what == "values"
            and [type(side.error) for side in d.sides] == [IndexError, IndexError]
        ),
        ("t0 = torch.zeros(1)", "t0[[0, 1]] = 1.5"),
        then="forgotten",
    ),
    Known(
        "a view made before, and a step",
        "torch makes a record of it where an optimiser changes its base; here it has none",
        lambda d: (
            d.what == "is_leaf"
            and "step" in d.statement
            and eval(d.where, dict(d.sides[1].names)).grad_fn.name() == "AsStridedBackward0"
        ),
        (
            "t0 = torch.ones(2)",
            "t1 = t0[:1]",
            "t0.requires_grad_()",
            "t0.grad = torch.ones(2)",
            "o0 = torch.optim.SGD([t0])",
            "o0.step()",
        ),
        then="forgotten",
    ),
    Known(
        "an outdated view's gradient",
        "without a record it has none to retain",
        lambda d: (
            d.what == "retains_grad"
            and not d.ours
            and "OutdatedView" in repr(eval(d.where, dict(d.sides[0].names)).grad_fn)
        ),
        (
            "t0 = torch.ones(2, requires_grad=True) * 1",
            "t1 = t0[:1]",
            "t1.retain_grad()",
            "t0.mul_(2)",
        ),
        then="accepted",
    ),
    Known(
        "retained, and then detached",
        "torch goes on to say so of a leaf, whose gradient is kept in any case",
        lambda d: d.what == "retains_grad" and d.theirs and eval(d.where, d.sides[1].names).is_leaf,
        (
            "t0 = torch.ones(2, requires_grad=True) * 1",
            "t0.retain_grad()",
            "t0.detach_()",
        ),
        then="forgotten",
    ),
    Known(
        "a view's new node, and what was made before",
        "torch makes it when somebody looks: hooks and gradients of the old one are lost then",
        lambda d: (
            (
                (d.what in ("length", "values") and "register_hook" in d.program)
                or d.what == "whether there is a gradient"
                or (torch_raises("to not have been used")(d) and d.ours is None)
            )
            and re.search("backward|autograd", d.statement) is not None
            and any(
                x.grad_fn is not None and x.grad_fn.name() == "AsStridedBackward0"
                for x in d.tensors()
            )
        ),
        (
            "t0 = torch.ones(2, requires_grad=True)",
            "t1 = t0[:1]",
            "t2 = t1 * 1",
            "with torch.no_grad():\n    t0.mul_(2)",
            "t2.backward(inputs=t1)",
        ),
        then="forgotten",
    ),
    Known(
        "frozen within linear",
        "torch keeps the weight transposed, and that goes on to require a gradient",
        lambda d: (
            d.what == "requires_grad"
            and d.theirs
            and "create_graph" in d.statement
            and re.search(r"m\d|linear", d.program) is not None
            and re.search(r"requires_grad.*False", d.program) is not None
        ),
        (
            "m0 = torch.nn.Linear(2, 2)",
            "t0 = torch.ones(2, requires_grad=True)",
            "t1 = m0(t0)",
            "m0.requires_grad_(False)",
            "t1.backward(torch.ones(2), create_graph=True)",
        ),
        then="forgotten",
    ),
    Known(
        "changed in part",
        "torch raises too, but after it has changed the view",
        lambda d: (
            d.sides[1].error is not None
            and "does not record an in-place operation on a view" in str(d.sides[0].error)
        ),
        (
            "t0 = torch.ones(1, requires_grad=True)",
            "t1 = torch.ones(2).view(2)",
            "t1[...] *= t0",
        ),
        then="forgotten",
    ),
    Known(
        "other data",
        "in torch what was recorded goes on with the new values, and is wrong without a word",
        lambda d: (
            d.what == "values"
            and re.search("backward|grad", d.statement) is not None
            and re.search(r"\.data =", d.program) is not None
        ),
        (
            "t0 = torch.ones(2, requires_grad=True)",
            "t1 = t0 * 2",
            "t2 = t0 * t1",
            "t1.data = torch.zeros(2)",
            "t2.sum().backward()",
        ),
        then="forgotten",
    ),
    Known(
        "loaded in part",
        "torch has loaded what fits by the time that it raises; here nothing has changed",
        lambda d: (
            d.what == "values"
            and "load_state_dict" in d.statement
            and [type(side.error) for side in d.sides] == [RuntimeError, RuntimeError]
        ),
        (
            "m0 = torch.nn.Linear(2, 2)",
            "m1 = torch.nn.Linear(1, 2)",
            "m0.load_state_dict(m1.state_dict())",
        ),
        then="forgotten",
    ),
    Known(
        "a gradient in a parameter's memory",
        "torch keeps a gradient that it was given, even if it is a view of the parameter",
        gradients_elsewhere,
        (
            "t0 = torch.ones(2, requires_grad=True)",
            "t1 = t0.view(-1)",
            "t1.backward(t1)",
            "with torch.no_grad():\n    t0.add_(1)",
        ),
        then="forgotten",
    ),
    *FAULTS,
    *LAYOUTS,
    *NAMES,
    *REFUSED,
    *REFUSED_BY_TORCH,
)

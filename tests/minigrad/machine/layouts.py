"""What lies in memory otherwise than in torch, each with the reason and a program that meets it."""

import re

import torch

from tests.minigrad.machine.comparison import Difference, layout
from tests.minigrad.machine.names import PRODUCTS
from tests.minigrad.machine.noise import RUNS, Steps, repeated
from tests.minigrad.machine.twins import Known


def of_a_result(d: Difference) -> bool:
    """Return whether a gradient is not that of a leaf."""
    if re.search(r"\.grad$", d.where) is None:
        return d.where.startswith("seen")
    return not eval(d.where.removesuffix(".grad"), dict(d.sides[1].names)).is_leaf


LAYOUTS = (
    Known(
        "the layout of nothing",
        "torch compares the steps of a tensor without elements to its gradient's, and warns",
        lambda d: (
            d.what == "warns"
            and (d.ours, d.theirs) == ([], ["UserWarning"])
            and "backward" in d.statement
            and any(x.grad is not None and x.numel() == 0 for x in d.tensors() if x.is_leaf)
        ),
        (
            "t0 = torch.arange(24.0).reshape(2, 3, 4)[[], None].requires_grad_()",
            "t0.backward(t0.detach())",
            "t0.backward(t0.detach())",
        ),
        then="accepted",
    ),
    Known(
        "a retained gradient's layout",
        "torch's depends on which of several gradients arrived first",
        lambda d: d.what == "layout" and of_a_result(d),
        (
            "t0 = torch.ones(3, 2, requires_grad=True).T * 1",
            "(t0 * t0).sum().backward(inputs=t0)",
        ),
        then="forgotten",
    ),
    Known(
        "a second derivative's layout",
        "it depends on the calls that a derivative makes",
        lambda d: (
            d.what == "layout"
            and re.match(re.split(r"\W", d.where)[0] + r"\b", d.statement) is not None
            and "grad" in d.statement
            and "create_graph=True" in d.program
        ),
        (
            "t0 = torch.ones(2, 3).T.requires_grad_()",
            "t1 = torch.nn.functional.softplus(t0).mean()",
            "d1, = torch.autograd.grad(t1, t0, create_graph=True)",
            "d2, = torch.autograd.grad(d1.sum(), t0)",
        ),
        then="forgotten",
    ),
    Known(
        "the gradient by a batch of factors",
        "torch multiplies some batches as one matrix, which may be stored column by column",
        lambda d: (
            d.what == "layout"
            and "autograd.grad(" in d.statement
            and re.search(PRODUCTS, d.program) is not None
            and any(x.ndim > 2 for x in d.tensors())
        ),
        (
            "t0 = torch.ones(2, 4, 3).mT.requires_grad_()",
            "grads = torch.autograd.grad((torch.ones(3) @ t0).sum(), t0)",
        ),
        then="forgotten",
    ),
    Known(
        "the gradient of a deviation or norm",
        "torch fills in zeros in the order of the quotient, and here that of the deviations counts",
        lambda d: (
            d.what == "layout"
            and "autograd.grad(" in d.statement
            and re.search(r"std\(|norm\(", d.program) is not None
        ),
        (
            "t0 = torch.rand(3, 3, 2).mT.requires_grad_()",
            "grads = torch.autograd.grad(t0.std(1), t0, torch.ones(3, 3).T)",
        ),
        then="forgotten",
    ),
    Known(
        "axes of length 1",
        "they have steps in torch's memory that NumPy does not keep, and these may decide",
        lambda d: (
            d.what == "layout"
            and any(
                isinstance(x, torch.Tensor) and layout(x.detach().numpy()) != d.theirs
                for x in repeated(d.sides[1], d.where, map(Steps, range(RUNS)))
            )
        ),
        (
            "t0 = torch.ones(3, 1).expand(2, -1, 1).mT.long()",
            "t1 = t0.expand(2, -1, 1, -1).transpose(2, 0).float()",
        ),
        then="forgotten",
    ),
    Known(
        "images joined",
        "torch joins tensors of four or five axes in the order that images have in memory",
        lambda d: (
            d.what == "layout"
            and re.search("cat|stack", d.statement) is not None
            and len(d.theirs) > 2
            and eval(d.where, dict(d.sides[1].names)).ndim in (4, 5)
        ),
        ("t0 = torch.cat([torch.ones(2, 2, 2, 2).permute(0, 3, 1, 2)])",),
        then="forgotten",
    ),
)

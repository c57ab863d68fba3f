"""What minigrad refuses, each with the reason and a program that meets it."""

import re
from collections.abc import Callable
from typing import Any

import minigrad
from minigrad.tensor.views import is_nowhere
from tests.minigrad.machine.comparison import Difference
from tests.minigrad.machine.twins import Known


def refuses(words: str) -> Callable[[Difference], bool]:
    """Return whether minigrad alone raises, an error with these words."""
    return lambda d: (
        d.what == "raises" and d.theirs is None and re.search(words, str(d.ours)) is not None
    )


def goes_nowhere(value: Any) -> bool:
    """Return whether a value is a tensor of minigrad's whose gradient no tensor receives."""
    return isinstance(value, minigrad.Tensor) and is_nowhere(value._node)


def changes_unseen(d: Difference) -> bool:
    """Return whether a program has other names for memory, by which torch sees no change."""
    return re.search(r"\.data\b|copy\.copy|numpy", d.program) is not None


def changes_a_layers(d: Difference) -> bool:
    """Return whether a program changes in place what a layer may have given."""
    layers, changes = r"m\d[^\n]*\(|linear", r"\w_\(|[+*/-]=|\] ="
    return all(re.search(words, d.program) is not None for words in (layers, changes))


REFUSED = (
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
        "a bool among lengths",
        "most likely meant as another argument",
        refuses("expected ints of 64 bits"),
        ("torch.ones(2, True)",),
    ),
    Known(
        "lines of whole numbers",
        "linspace makes floats",
        refuses("linspace makes float32 or float64"),
        ("torch.linspace(1, 1, 1, dtype=torch.int64)",),
    ),
    Known(
        "random whole numbers",
        "torch has no values either, but for tensors without elements",
        refuses("draw floats and convert|draws float32 or float64"),
        ("torch.randn(0, dtype=torch.bool)",),
    ),
    Known(
        "complex numbers",
        "there is no dtype for them",
        refuses("complex"),
        ("torch.tensor(1j)",),
    ),
    Known(
        "a layer of other shapes",
        "a weight has two axes, a bias one",
        refuses("two-dimensional weight|one for each row of the weight"),
        ("t0 = torch.ones(2)", "torch.nn.functional.linear(t0, t0)"),
    ),
    Known(
        "data of another kind",
        "what was recorded depends on shape and dtype",
        refuses("data: values of shape"),
        ("t0 = torch.ones(2)", "t0.data = torch.ones(3)"),
    ),
    Known(
        "converted after it was used",
        "the record knows the leaf of the old dtype",
        refuses("leaf variable has been moved into the graph interior"),
        (
            "m0 = torch.nn.Linear(2, 2)",
            "t0 = m0.weight.sum()",
            "m0.double()",
            "t0.backward()",
        ),
        then="forgotten",
    ),
    Known(
        "converted after it was changed",
        "the record knows the tensor of the old dtype",
        refuses("Module.to: a recorded operation"),
        (
            "m0 = torch.nn.Linear(1, 1)",
            "m0.requires_grad_(False)",
            "m0.weight[0] = torch.ones(1, requires_grad=True)",
            "m0.double()",
        ),
    ),
    Known(
        "a bool among axes",
        "most likely meant as another argument",
        refuses("dim must be an int, not bool"),
        ("t0 = torch.ones(1, 1)", "t0.squeeze((0, True))"),
    ),
    Known(
        "two ellipses",
        "torch takes what the second stands for to be nothing",
        lambda d: (
            d.what == "raises"
            and re.search("too many indices", str(d.ours)) is not None
            and d.statement.count("...") > 1
        ),
        ("t0 = torch.ones(2, 2)[..., ..., 0:]",),
    ),
    Known(
        "joining nothing along an axis",
        "torch takes any axis for a tensor of shape (0,)",
        refuses("cat: Dimension out of range"),
        ("torch.cat([torch.tensor([])], 1)",),
    ),
    Known(
        "factors of two dtypes, or of bools",
        "torch has products of them where there is nothing to multiply",
        refuses(
            "expected both to have the same dtype|parameters must have the same dtype|matmul.*bool"
        ),
        ("torch.zeros(1, 0, 2, dtype=torch.int64) @ torch.zeros(1, 2, 0)",),
    ),
    Known(
        "a layer's result in place",
        "in torch a vector's is a view: its node is another, and derivatives of what was are zeros",
        lambda d: refuses("to not have been used|a second time")(d) and changes_a_layers(d),
        (
            "m0 = torch.nn.Linear(2, 2)",
            "t0 = m0(m0.bias)",
            "t0.copy_(m0.bias)",
            "d0 = t0.relu().sum()",
            "d1, = torch.autograd.grad(d0, m0.weight, create_graph=True)",
            "torch.autograd.grad(d1.sum(), m0.weight)",
        ),
        then="forgotten",
    ),
    Known(
        "derivatives that share a part of their graph",
        "the nodes of derivatives are others than torch's, and so is what one sweep releases",
        lambda d: (
            refuses("backward through the graph a second time")(d) and "create_graph" in d.program
        ),
        (
            "t0 = torch.ones(2, requires_grad=True)",
            "d1, = torch.autograd.grad((t0 ** 0.5).sum(), t0, create_graph=True)",
            "d2, = torch.autograd.grad(d1.sum(), t0, create_graph=True)",
            "d1.sum().backward()",
            "d2.mean().backward()",
        ),
    ),
    Known(
        "a gradient that goes nowhere",
        "torch does not save what only such a gradient needs, and so can go twice where it does",
        lambda d: refuses("a second time")(d) and any(map(goes_nowhere, d.sides[0].names.values())),
        (
            "t0 = torch.ones(2, requires_grad=True)",
            "with torch.no_grad():\n    t1 = t0.view(2)",
            "t2 = (t1 * t1).sum()",
            "t2.backward()",
            "t2.backward()",
        ),
    ),
    Known(
        "integers to negative powers",
        "torch has those of 0 and 1 where the base is a number",
        refuses("Integers to negative integer powers"),
        ("0 ** torch.tensor(-1)",),
    ),
    Known(
        "changed through another tensor",
        "torch does not notice a change through .data, copy.copy or NumPy, and goes on wrongly",
        lambda d: refuses("modified by an inplace operation")(d) and changes_unseen(d),
        (
            "t0 = torch.ones(2, requires_grad=True)",
            "t1 = copy.copy(t0)",
            "t2 = t0 ** 2",
            "with torch.no_grad():\n    t1.add_(1)",
            "t2.sum().backward()",
        ),
    ),
    Known(
        "powers of bools",
        "torch has some of them",
        refuses("pow: not supported for tensors of dtype bool"),
        ("t0 = torch.ones(1) > 0", "t0.pow(True)"),
    ),
    Known(
        "one memory location, changed in part",
        "by then Python has changed the row, which alone is in no other's memory",
        lambda d: (
            refuses("share one memory location")(d) and re.search(r"\] .=", d.statement) is not None
        ),
        ("t0 = torch.zeros(1).expand(2, 1)", "t0[1] += 1"),
        then="forgotten",
    ),
    Known(
        "one memory location",
        "torch may change an expanded tensor by its parts, and fills one",
        refuses("several elements of an expanded tensor share one memory location"),
        ("t0 = torch.zeros(1)", "t0.expand(2).fill_(1)"),
    ),
    Known(
        "partly in one memory",
        "torch's result depends on the order in which its kernels go",
        refuses("the same memory: give a clone|in the same memory as what is changed"),
        ("t0 = torch.ones(3, 3)", "t0[::2, 0].mul_(t0[0, ::2])"),
    ),
    Known(
        "buffers of other shapes",
        "torch takes them, and fails at the next step",
        refuses("momentum_buffer of shape"),
        (
            "t0 = torch.ones(2)",
            "t1 = torch.ones(1)",
            "t0.grad = torch.ones(2)",
            "o0 = torch.optim.SGD([t0], momentum=0.5)",
            "o1 = torch.optim.SGD([t1], momentum=0.5)",
            "o0.step()",
            "o1.load_state_dict(o0.state_dict())",
        ),
    ),
    Known(
        "a result in an optimiser",
        "torch takes one that retains its gradient",
        refuses("can't optimize a non-leaf Tensor"),
        (
            "t0 = torch.ones(2, requires_grad=True).exp()",
            "t0.retain_grad()",
            "torch.optim.SGD([t0])",
        ),
    ),
    Known(
        "the derivative of a spread over dim=()",
        "torch's has another number of elements than its value",
        refuses(r"gradient over dim=\(\) is wrong"),
        ("t0 = torch.ones(2, requires_grad=True)", "t0.var(())"),
    ),
    Known(
        "integers that require a gradient",
        "torch makes them where it fills with a tensor",
        refuses("cannot have one: give value.detach"),
        (
            "t0 = torch.ones((), requires_grad=True)",
            "t1 = torch.zeros(2, dtype=torch.int64)",
            "t1.fill_(t0)",
        ),
    ),
    Known(
        "an attribute that leads back",
        "a tensor that is among its own attributes cannot be copied",
        lambda d: d.what == "raises" and isinstance(d.ours, RecursionError),
        ("t0 = torch.ones(1)", "t0.note = t0", "t1 = copy.deepcopy(t0)"),
    ),
    Known(
        "huber_loss of two dtypes",
        "torch has a value, in the dtype of the input, and raises in the backward pass",
        refuses("huber_loss: no derivative for"),
        ("torch.nn.functional.huber_loss(torch.ones(2), torch.ones(2).double())",),
    ),
    Known(
        "exponents that are bools",
        "torch raises later, in the backward pass",
        refuses("whose exponents are bools"),
        ("torch.ones(1, requires_grad=True) ** torch.tensor([True])",),
    ),
)

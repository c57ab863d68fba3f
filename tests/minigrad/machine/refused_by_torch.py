"""What torch refuses and minigrad does, each with the reason and a program that meets it."""

import re
from collections.abc import Callable

from tests.minigrad.machine.comparison import Difference
from tests.minigrad.machine.refused import changes_a_layers
from tests.minigrad.machine.twins import Known


def torch_raises(words: str) -> Callable[[Difference], bool]:
    """Return whether torch raises an error with these words, and minigrad none or another."""
    return lambda d: d.what == "raises" and re.search(words, str(d.theirs)) is not None


def came_before(d: Difference, earlier: str, later: str) -> bool:
    """Return whether a statement of the first kind was run before one of the second."""
    program = d.sides[0].program
    places = [i for i, statement in enumerate(program) if re.search(earlier, statement)]
    return any(re.search(later, statement) for statement in program[min(places, default=99) + 1 :])


REFUSED_BY_TORCH = (
    Known(
        "symbolic zeros",
        "torch's derivatives that are zero may be tensors without memory, which refuse much",
        torch_raises("ZeroTensor"),
        (
            "t0 = torch.ones(2, requires_grad=True)",
            "d0 = torch.nn.functional.mse_loss(t0, t0).abs()",
            "d1, = torch.autograd.grad(d0, t0, create_graph=True)",
            "d2, = torch.autograd.grad(d1.sum(), t0, create_graph=True)",
            "d3, = torch.autograd.grad(d2.sum(), t0)",
        ),
        then="forgotten",
    ),
    Known(
        "a gradient that is a view",
        "torch's linear of other than two axes gives a view; here it can be changed in place",
        torch_raises("Can't detach views in-place"),
        (
            "m0 = torch.nn.Linear(2, 2)",
            "m0.bias.grad = m0(torch.ones(2))",
            "m0.zero_grad(False)",
        ),
        then="forgotten",
    ),
    Known(
        "a gradient that is a view, and changed",
        "torch sums some gradients into views; here they are tensors of their own",
        lambda d: (
            torch_raises("view was created in no_grad mode")(d)
            and d.ours is None
            and "autograd.grad(" in d.program
            and any(
                x is g
                for x in [d.sides[1].names.get(re.split(r"\W", d.statement)[0])]
                for g in d.sides[1].names.get("grads", ())
            )
        ),
        (
            "m0 = torch.nn.Linear(2, 2)",
            "grads = torch.autograd.grad(m0(torch.ones(1, 2)).sum(), m0.bias)",
            "t0 = grads[0]",
            "t0 += m0.bias",
        ),
        then="forgotten",
    ),
    Known(
        "a layer's result in place, and what is released",
        "in torch a vector's is a view: a change of it releases what was there before, too",
        lambda d: torch_raises("a second time")(d) and d.ours is None and changes_a_layers(d),
        (
            "m0 = torch.nn.Linear(2, 2)",
            "t0 = torch.ones((), requires_grad=True)",
            "t1 = m0(m0.bias)",
            "t1[()] = t0",
            "t1.sum().backward(inputs=t0)",
            "t1.sum().backward()",
        ),
        then="forgotten",
    ),
    Known(
        "derivatives whose last node saves nothing here",
        "the nodes of derivatives are others than torch's, and so is what one sweep releases",
        lambda d: (
            torch_raises("a second time")(d) and d.ours is None and "create_graph" in d.program
        ),
        (
            "t0 = torch.ones((), requires_grad=True)",
            "d1, = torch.autograd.grad(t0.relu(), t0, create_graph=True)",
            "d1.backward()",
            "d1.backward(inputs=d1)",
        ),
        then="forgotten",
    ),
    Known(
        "a leaf that is no longer there",
        "torch keeps it, and says that it was changed; here there is nothing to be wrong",
        lambda d: (
            torch_raises("moved into the graph interior")(d)
            and d.ours is None
            and "requires_grad" in d.program
        ),
        (
            "t0 = torch.ones(1, requires_grad=True)",
            "t1 = t0.clone()",
            "t0.requires_grad_(False)",
            "t0[0] = t1[0]",
            "t0 = t1",
            "t0.backward()",
        ),
        then="forgotten",
    ),
    Known(
        "internal assertions",
        "torch's own bugs",
        torch_raises("INTERNAL ASSERT"),
        ("t0 = torch.ones(2, requires_grad=True)", "(True ** t0).sum().backward()"),
        then="forgotten",
    ),
    Known(
        "a power's result",
        "torch looks at it although the derivative by the base does without",
        torch_raises("output 0 of Pow1"),
        (
            "t0 = torch.ones((), requires_grad=True)",
            "t1 = t0 ** torch.ones(())",
            "t1.copy_(1)",
            "t1.backward()",
        ),
        then="forgotten",
    ),
    Known(
        "a derivative's operand",
        "torch's derivatives look at operands that they do not need",
        lambda d: (
            torch_raises("modified by an inplace operation")(d)
            and d.ours is None
            and came_before(d, "create_graph=True", r"_\(|[+*/-]=|\] =")
        ),
        (
            "t0 = torch.ones(2, requires_grad=True)",
            "t1 = t0 * 1",
            "t2 = torch.nn.functional.mse_loss(t1, torch.zeros(2))",
            "t2, = torch.autograd.grad(t2, t0, create_graph=True)",
            "t1.mul_(2.0)",
            "t2.sum().backward()",
        ),
        then="forgotten",
    ),
    Known(
        "an array on the left",
        "NumPy asks the tensor, which answers here; torch's has no answer",
        lambda d: torch_raises("Can't call numpy")(d) and d.ours is None,
        ("t0 = torch.ones(2, requires_grad=True)", "np.array(True) / t0"),
        then="forgotten",
    ),
    Known(
        "unbiased, and keepdim=False",
        "torch has no such form without dim; here it means what it means if left out",
        lambda d: torch_raises("invalid combination")(d) and "keepdim=False" in d.statement,
        ("torch.ones(2).std(True, keepdim=False)",),
        then="forgotten",
    ),
    Known(
        "None for the axes to squeeze",
        "it is the default here",
        torch_raises(r"squeeze\(\).*NoneType"),
        ("t0 = torch.ones(1)", "t0.squeeze(dim=None)"),
        then="forgotten",
    ),
    Known(
        "given up",
        "torch lets nobody look at a view that was made without a record once its base changed",
        lambda d: d.what == "looked at",
        (
            "t0 = torch.ones(2, requires_grad=True)",
            "with torch.no_grad():\n    t1 = t0[:1]; t0.mul_(2)",
        ),
        then="forgotten",
    ),
)

"""The differences that are meant to be, each with its reason and a program that meets it."""

import re
import warnings
from collections.abc import Callable, Iterator

import torch

from tests.minigrad.machine.comparison import Difference
from tests.minigrad.machine.faults import FAULTS
from tests.minigrad.machine.refused import REFUSED
from tests.minigrad.machine.twins import Known

PRODUCTS = r"@|matmul|mm\(|linear|m\d[]\d[]*\("


def torch_raises(words: str) -> Callable[[Difference], bool]:
    """Return whether torch raises an error with these words, and minigrad none or another."""
    return lambda d: d.what == "raises" and re.search(words, str(d.theirs)) is not None


def renamed(statement: str, theirs: str = "") -> Callable[[Difference], bool]:
    """Return whether a statement of this kind leaves a node of another name."""
    return lambda d: (
        d.what == "grad_fn"
        and None not in (d.ours.name, d.theirs.name)
        and re.search(statement, d.statement) is not None
        and re.search(theirs, d.theirs.name) is not None
    )


def gradients_elsewhere(d: Difference) -> bool:
    """Return whether a gradient on torch's side lies in the memory of another tensor."""
    found = list(named_tensors(d))
    with warnings.catch_warnings(action="ignore"):
        gradients = [x.grad for x in found if x.grad is not None]
    places = [x.untyped_storage().data_ptr() for x in found]
    return d.what == "values" and any(
        g.untyped_storage().data_ptr() in places and not any(g is x for x in found)
        for g in gradients
    )


def named_tensors(d: Difference) -> Iterator[torch.Tensor]:
    """Yield torch's tensors that have a name, and the parameters of modules that have one."""
    for value in d.sides[1].names.values():
        if isinstance(value, torch.Tensor):
            yield value
        elif isinstance(value, torch.nn.Module):
            yield from value.parameters()


def came_before(d: Difference, earlier: str, later: str) -> bool:
    """Return whether a statement of the first kind was run before one of the second."""
    program = d.sides[0].program
    places = [i for i, statement in enumerate(program) if re.search(earlier, statement)]
    return any(re.search(later, statement) for statement in program[min(places, default=99) + 1 :])


def trained(d: Difference) -> Iterator[torch.Tensor]:
    """Yield the parameters of torch's modules and optimisers."""
    for value in d.sides[1].names.values():
        if isinstance(value, torch.nn.Module):
            yield from value.parameters()
        elif isinstance(value, torch.optim.Optimizer):
            yield from (p for group in value.param_groups for p in group["params"])


def of_a_result(d: Difference) -> bool:
    """Return whether a gradient is not that of a leaf."""
    if re.search(r"\.grad$", d.where) is None:
        return d.where.startswith("seen")
    return not eval(d.where.removesuffix(".grad"), dict(d.sides[1].names)).is_leaf


KNOWN = (
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
    Known(
        "a sum over None",
        "torch names the node differently where all axes are named by None, and not by nothing",
        renamed("None", "(Sum|Mean)Backward1"),
        ("t0 = torch.ones(2, requires_grad=True)", "t1 = t0.sum(None)"),
        then="accepted",
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
        "internal assertions",
        "torch's own bugs",
        torch_raises("INTERNAL ASSERT"),
        ("t0 = torch.ones(2, requires_grad=True)", "(True ** t0).sum().backward()"),
        then="forgotten",
    ),
    Known(
        "a hook that raises",
        "other hooks have run by then, and gradients have arrived, in the order of torch's queue",
        lambda d: (
            d.what in ("whether there is a gradient", "values", "length")
            and None not in [side.error for side in d.sides]
            and re.search(r"backward|grad\(|functional|step", d.statement) is not None
            and "register_hook" in "\n".join(d.sides[0].program)
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
            and (
                {torch.float32, torch.float64} <= {x.dtype for x in named_tensors(d)}
                or came_before(d, "create_graph=True", r"_\(|[+*/-]=|\] =")
            )
        ),
        (
            "t0 = torch.ones(2, requires_grad=True)",
            "t1 = t0 * 1",
            "t2, = torch.autograd.grad(t1.abs().sum(), t0, create_graph=True)",
            "t1.mul_(2.0)",
            "t2.sum().backward()",
        ),
        then="forgotten",
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
            and eval(d.where, dict(d.sides[0].names)).grad_fn.name() == "OutdatedView"
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
        "a view's new node, and hooks",
        "those that are registered on the view stay at its old one",
        lambda d: (
            d.what in ("length", "values")
            and "register_hook" in "\n".join(d.sides[0].program)
            and any(
                x.grad_fn is not None and x.grad_fn.name() == "AsStridedBackward0"
                for x in named_tensors(d)
            )
        ),
        (
            "t0 = torch.ones(2, requires_grad=True)",
            "t1 = t0[:1]",
            "seen = []",
            "t1.register_hook(seen.append)",
            "with torch.no_grad():\n    t0.mul_(2)",
            "t1.sum().backward()",
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
            and re.search(r"m\d|linear", "\n".join(d.sides[0].program)) is not None
            and re.search(r"requires_grad.*False", "\n".join(d.sides[0].program)) is not None
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
            and re.search(r"\.data =", "\n".join(d.sides[0].program)) is not None
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
        "an array on the left",
        "NumPy asks the tensor, which answers here; torch's has no answer",
        lambda d: torch_raises("Can't call numpy")(d) and d.ours is None,
        ("t0 = torch.ones(2, requires_grad=True)", "np.array(True) / t0"),
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
        "a transposed factor's gradient",
        "torch lays it out as the factor is; here products are in index order",
        lambda d: (
            d.what == "layout"
            and "autograd.grad(" in d.statement
            and re.search(PRODUCTS, "\n".join(d.sides[0].program)) is not None
        ),
        (
            "t0 = torch.ones(2, 3, requires_grad=True)",
            "t1 = t0.T",
            "grads = torch.autograd.grad((torch.ones(2, 3) @ t1).sum(), t1)",
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
    Known(
        "None for the axes to squeeze",
        "it is the default here",
        torch_raises(r"squeeze\(\).*NoneType"),
        ("t0 = torch.ones(1)", "t0.squeeze(dim=None)"),
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
    *REFUSED,
)

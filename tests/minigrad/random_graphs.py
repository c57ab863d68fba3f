"""Random expression graphs: written down from a seed, then run on either engine."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Shape = tuple[int, ...]

UNARY: dict[str, Callable[[Any, Any], Any]] = {
    "neg": lambda m, x: -x,
    "tanh": lambda m, x: x.tanh(),
    "sigmoid": lambda m, x: m.sigmoid(x),
    "relu": lambda m, x: x.relu(),
    "abs": lambda m, x: x.abs(),
    "square": lambda m, x: x.tanh().square(),
    "exp": lambda m, x: x.tanh().exp(),
    "log": lambda m, x: (x * x + 1).log(),
    "sqrt": lambda m, x: (x * x + 0.5).sqrt(),
    "power": lambda m, x: (x * x + 0.5) ** -1.5,
    "cube": lambda m, x: x.sigmoid() ** 3,
    "exponential": lambda m, x: 2 ** x.tanh(),
    "affine": lambda m, x: 1 - 0.3 * x,
    "reciprocal": lambda m, x: 1 / (x * x + 1),
    "clone": lambda m, x: x.clone(),
    "round trip": lambda m, x: x.to(m.float64),
    "detached factor": lambda m, x: x * x.detach(),
}
BINARY: dict[str, Callable[[Any, Any, Any], Any]] = {
    "add": lambda m, x, y: x + y,
    "sub": lambda m, x, y: x - y,
    "mul": lambda m, x, y: x * y.tanh(),
    "div": lambda m, x, y: x / (y * y + 1),
    "pow": lambda m, x, y: (x * x + 0.5) ** y.tanh(),
    "maximum": lambda m, x, y: m.maximum(x, y),
    "minimum": lambda m, x, y: m.minimum(x, y),
    "where": lambda m, x, y: m.where(x > y, x.tanh(), y),
}
REDUCTIONS: dict[str, Callable[..., Any]] = {
    "sum": lambda m, x, **o: x.sum(**o).tanh(),
    "mean": lambda m, x, **o: x.mean(**o),
    "amax": lambda m, x, **o: x.amax(**o),
    "amin": lambda m, x, **o: x.amin(**o),
}
IN_PLACE: dict[str, Callable[[Any, Any, Any], Any]] = {
    "add_": lambda m, x, y: x.add_(y),
    "sub_": lambda m, x, y: x.sub_(y),
    "mul_": lambda m, x, y: x.mul_(y.tanh()),
    "+=": lambda m, x, y: x.__iadd__(y),
    "zero_": lambda m, x, y: x.zero_(),
    "copy_": lambda m, x, y: x.copy_(y),
    "assign": lambda m, x, y: (x.__setitem__(..., y), x)[1],
}


@dataclass
class Graph:
    """A program: leaves, and steps that each add a value to the list of values.

    Attributes:
        leaves: the values it starts from.
        steps: each called as `step(module, values)`, which appends a value or changes one.
        text: what the steps are, for a failure's report.
    """

    leaves: list[Any] = field(default_factory=list)
    steps: list[Callable[[Any, list[Any]], None]] = field(default_factory=list)
    text: list[str] = field(default_factory=list)

    def run(self, m: Any) -> list[list[Any]]:
        """Return the values, and the result's first, second and third derivatives by the leaves."""
        leaves = [m.tensor(x, requires_grad=True) for x in self.leaves]
        values = [x * 1 for x in leaves]
        for step in self.steps:
            step(m, values)
        total = sum((v * v.detach().tanh() + v).mean() for v in values[-4:])
        found = [values]
        for _ in range(3):
            gradients: list[Any] = [None] * len(leaves)
            if getattr(total, "requires_grad", False):
                options = {"create_graph": True, "allow_unused": True}
                gradients = list(m.autograd.grad(total, leaves, **options))
            elif len(found) == 1:
                m.autograd.grad(total, leaves)  # which refuses it
            found.append(gradients)
            total = sum((g.tanh() * g).sum() for g in gradients if g is not None)
        return found


def random_graph(seed: int) -> Graph:
    """Return the graph of this seed: 5 to 40 steps, with broadcasting and shared values."""
    rng = np.random.default_rng(seed)
    graph = Graph()
    shapes: list[Shape] = []
    for _ in range(rng.integers(1, 4)):
        shape = tuple(int(n) for n in rng.integers(1, 4, rng.integers(0, 4)))
        graph.leaves.append(rng.normal(size=shape))
        shapes.append(shape)
    views: set[int] = set()  # values that share memory, which minigrad does not change in place
    for _ in range(rng.integers(5, 41)):
        _add_step(graph, shapes, views, rng)
    return graph


def _add_step(graph: Graph, shapes: list[Shape], views: set[int], rng: np.random.Generator) -> None:
    i = int(rng.integers(len(shapes)))
    kind = rng.choice(["unary", "binary", "reduction", "shape", "index", "matmul", "in place"])
    if kind == "unary":
        name = str(rng.choice(list(UNARY)))
        _append(graph, f"{name} {i}", lambda m, v: UNARY[name](m, v[i]))
        shapes.append(shapes[i])
        if name == "round trip":  # the same tensor
            views.update((i, len(shapes) - 1))
    elif kind == "binary":
        j = _partner(shapes, shapes[i], rng)
        name = str(rng.choice(list(BINARY)))
        _append(graph, f"{name} {i} {j}", lambda m, v: BINARY[name](m, v[i], v[j]))
        shapes.append(np.broadcast_shapes(shapes[i], shapes[j]))
    elif kind == "reduction":
        name, options = str(rng.choice(list(REDUCTIONS))), _reduction_options(shapes[i], rng)
        _append(graph, f"{name} {i} {options}", lambda m, v: REDUCTIONS[name](m, v[i], **options))
        shapes.append(np.zeros(shapes[i]).sum(options["dim"], keepdims=options["keepdim"]).shape)
    elif kind == "shape":
        call, text, shape = _shape_step(shapes[i], rng)
        _append(graph, f"{text} {i}", lambda m, v: call(v[i]))
        shapes.append(shape)
        views.update((i, len(shapes) - 1))
    elif kind == "index" and shapes[i]:
        key = rng.integers(0, shapes[i][0], int(rng.integers(1, 4)))
        _append(graph, f"index {i} {key}", lambda m, v: v[i][m.tensor(key)])
        shapes.append((len(key), *shapes[i][1:]))
    elif kind == "matmul" and shapes[i]:
        j = int(rng.integers(len(shapes)))
        if shapes[j] and shapes[i][-1] == shapes[j][-2:][0]:
            batches = shapes[i][:-2], shapes[j][:-2]
            try:
                np.broadcast_shapes(*batches)
            except ValueError:
                return
            _append(graph, f"matmul {i} {j}", lambda m, v: m.matmul(v[i].tanh(), v[j].tanh()))
            shapes.append(np.matmul(np.zeros(shapes[i]), np.zeros(shapes[j])).shape)
    elif kind == "in place" and i not in views:
        j = _partner(shapes, shapes[i], rng, into=True)
        name = str(rng.choice(list(IN_PLACE)))
        graph.text.append(f"{name} {i} {j}")
        graph.steps.append(lambda m, v: IN_PLACE[name](m, v[i], v[j]))


def _append(graph: Graph, text: str, call: Callable[[Any, list[Any]], Any]) -> None:
    graph.text.append(text)
    graph.steps.append(lambda m, values: values.append(call(m, values)))


def _partner(
    shapes: list[Shape], shape: Shape, rng: np.random.Generator, into: bool = False
) -> int:
    """Return a value whose shape broadcasts with (or into) the given one."""
    fitting = []
    for j, other in enumerate(shapes):
        try:
            joint = np.broadcast_shapes(shape, other)
        except ValueError:
            continue
        if len(joint) <= 4 and (not into or joint == shape):
            fitting.append(j)
    return int(rng.choice(fitting))


def _reduction_options(shape: Shape, rng: np.random.Generator) -> dict[str, Any]:
    axes = [int(a) for a in np.flatnonzero(rng.random(len(shape)) < 0.5)]
    return {"dim": tuple(axes) or tuple(range(len(shape))), "keepdim": bool(rng.random() < 0.5)}


def _shape_step(shape: Shape, rng: np.random.Generator) -> tuple[Callable[[Any], Any], str, Shape]:
    choices: list[tuple[Callable[[Any], Any], str, Shape]] = [
        (lambda x: x.reshape(-1), "reshape", (int(np.prod(shape)),)),
        (lambda x: x.expand(2, *shape), "expand", (2, *shape)),
    ]
    if len(shape) < 3:
        choices.append((lambda x: x.unsqueeze(-1), "unsqueeze", (*shape, 1)))
    if shape:
        choices += [
            (lambda x: x.squeeze(0), "squeeze", shape[1:] if shape[0] == 1 else shape),
            (lambda x: x.transpose(0, -1), "transpose", _swapped(shape)),
            (lambda x: x[0], "select", shape[1:]),
            (lambda x: x[..., : shape[-1] // 2 + 1], "slice", (*shape[:-1], shape[-1] // 2 + 1)),
        ]
    return choices[int(rng.integers(len(choices)))] if len(shape) < 4 else choices[0]


def _swapped(shape: Shape) -> Shape:
    swapped = list(shape)
    swapped[0], swapped[-1] = swapped[-1], swapped[0]
    return tuple(swapped)

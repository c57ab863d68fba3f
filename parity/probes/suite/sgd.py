"""Stochastic gradient descent: every pair of options, and of what happens between its steps."""

import math
from contextlib import nullcontext
from typing import Any

from parity.probes.covering import Row
from parity.probes.family import Family, singly
from parity.probes.probe import Probe, given, integers, normal, probe
from parity.probes.suite import parameter

DIMENSIONS: dict[str, tuple[Any, ...]] = {
    "between": ("nothing", "rate", "momentum", "decay", "values", "state", "frozen", "order"),
    "momentum": (0.5, 0),
    "dampening": (0, 0.25, "tensor"),
    "decay": (0, 0.25, "tensor"),
    "nesterov": (False, True),
    "maximize": (False, True),
    "rate": (0.5, 0.1, 0, "tensor"),
    "kernel": ("default", "loop", "foreach", "fused"),
    "groups": ("one", "two", "own_rate", "own_momentum", "added"),
    "gradients": ("all", "missing", "zeroed", "kept", "closure"),
    "dtypes": ("run", "double", "mixed"),
    "shape": ("vector", "one", "none", "matrix", "scalar"),
    "values": ("round", "normal"),
}
"""What steps depend on; the first of each is the plainest.

    between     what is done after two steps: options of the first group changed; other "values"
                written; the "state" loaded into a new optimiser; a parameter "frozen"; a new
                optimiser made with the parameters in another "order"
    gradients   "missing" of one parameter in a step; set to zero, "zeroed", and not to none;
                "kept", so that they add up; computed by a "closure"
"""

SHAPES = {"vector": (4,), "one": (1,), "none": (0,), "matrix": (3, 2), "scalar": ()}


def fits(pair: Row) -> bool:
    """Return whether two values can be together."""
    match pair:
        case {"nesterov": True, "momentum": momentum}:
            return bool(momentum > 0)
        case {"nesterov": True, "dampening": dampening}:
            return bool(dampening == 0)
        case {"kernel": "foreach", "gradients": "kept"}:
            return False  # torch's foreach changes gradients, with nesterov
    return True


def make(
    shape: str, values: str, gradients: str, between: str, dtypes: str, **options: Any
) -> Probe:
    """Return the probe of one choice."""

    def function(lib: Any, inputs: dict[str, Any], note: Any) -> None:
        named = {name: parameter(lib, note, name) for name in "pqr"}
        if dtypes != "run":
            for name in "pqr" if dtypes == "double" else "q":
                named[name] = lib.nn.Parameter(named[name].detach().double())
        targets = {name: inputs["target"].to(p.dtype) for name, p in named.items()}
        optimizer, moved = made(lib, [*named.values()], **options), [*named]

        def loss() -> Any:
            """Halves of a parabola, around other points, of other widths."""
            each = (
                ((named[n] - targets[n]) * named[n] * (0.5 + i)).sum().double()
                for i, n in enumerate(moved)
            )
            return sum(each)

        def closure() -> Any:
            if gradients != "kept":
                optimizer.zero_grad(set_to_none=gradients != "zeroed")
            out = loss()
            out.backward()
            return out

        def train() -> Any:
            if gradients == "closure":
                return optimizer.step(closure)
            out = closure()
            optimizer.step()
            return out

        take = note.captured(train)
        for step in range(3):
            if step == 2:
                optimizer = changed(lib, optimizer, between, named["p"], inputs["target"])
            moved = [*named][: 2 if gradients == "missing" and step == 1 else 3]
            with lib.no_grad() if gradients == "closure" else nullcontext():
                take()
                for name, p in named.items():
                    note.gradient(f"step {step}: {name}", p)
                    if optimizer.state.get(p, {}).get("momentum_buffer") is not None:
                        buffer = optimizer.state[p]["momentum_buffer"]
                        note.updated(f"step {step}: buffer of {name}", buffer)
                    note.updated(f"step {step}: {name}", p)

    draw = normal(*SHAPES[shape]) if values == "normal" else rounded(*SHAPES[shape])
    inputs = dict.fromkeys(("p", "q", "r", "target"), draw)
    return Probe(function, inputs, values == "round" and options["rate"] != 0.1)


def rounded(*shape: int) -> Any:
    """Numbers of few binary digits: three steps are exact, in whatever order terms are added."""
    return lambda rng: rng.choice([1.0, -2.0, 0.0, 4.0, -1.0, 0.5], shape)


def made(
    lib: Any,
    parameters: list[Any],
    momentum: float,
    dampening: float | str,
    decay: float | str,
    nesterov: bool,
    maximize: bool,
    rate: float | str,
    kernel: str,
    groups: str,
) -> Any:
    """Return an optimiser with these options."""
    kernels: dict[str, dict[str, bool]] = {"default": {}, "loop": {"foreach": False}}
    options = {
        "lr": lib.tensor(0.25) if rate == "tensor" else rate,
        "momentum": momentum,
        "dampening": lib.tensor(0.25) if dampening == "tensor" else dampening,
        "weight_decay": lib.tensor(0.125) if decay == "tensor" else decay,
        "nesterov": nesterov,
        "maximize": maximize,
        **kernels.get(kernel, {kernel: True}),
    }
    own: dict[str, float] = {"own_rate": {"lr": 0.25}, "own_momentum": {"momentum": 0.25}}.get(
        groups, {}
    )
    p, q, r = parameters
    if groups == "one":
        return lib.optim.SGD(parameters, **options)
    if groups == "added":
        optimizer = lib.optim.SGD([p, q], **options)
        optimizer.add_param_group({"params": r, "lr": 0.125, "weight_decay": 0.5})
        return optimizer
    return lib.optim.SGD([{"params": [p]}, {"params": [q, r], **own}], **options)


def changed(lib: Any, optimizer: Any, between: str, parameter: Any, target: Any) -> Any:
    """Change something between two steps; return the optimiser that goes on."""
    first = optimizer.param_groups[0]
    if between in ("rate", "momentum", "decay"):
        name, value = {
            "rate": ("lr", 0.125),
            "momentum": ("momentum", 0.25),
            "decay": ("weight_decay", 0.5),
        }[between]
        if hasattr(first[name], "fill_"):
            first[name].fill_(value)
        else:
            first[name] = value
    if between == "values":
        with lib.no_grad():
            parameter.copy_(target)
    if between == "frozen":
        parameter.requires_grad_(False)
    groups = [{"params": group["params"]} for group in optimizer.param_groups]
    if between == "state":
        new = lib.optim.SGD(groups, lr=99.0)
        new.load_state_dict(optimizer.state_dict())
        return new
    if between == "order":
        return lib.optim.SGD(groups[::-1], lr=0.5, momentum=0.5)
    return optimizer


@probe(exact=True, x=given(0.0, 0.0, 0.0), slope=given(1.0, -4.0, 0.5))
def learning_rate_to_the_last_bit(lib: Any, inputs: Any, note: Any) -> None:
    """From 0 a step along a power of two is the learning rate itself, in every bit."""
    slope = inputs["slope"]
    for lr in (0.1, 0.01, 1e-3, 0.3):
        p = parameter(lib, note, "x")
        optimizer = lib.optim.SGD([p], lr=lr, momentum=0.9)
        (p * slope).sum().backward()
        optimizer.step()
        note.updated(f"lr={lr}", p)
        note.updated(f"lr={lr}: buffer", optimizer.state[p]["momentum_buffer"])
    optimizer.step()
    note.updated("buffer after two steps", optimizer.state[p]["momentum_buffer"])
    p = parameter(lib, note, "x")
    optimizer = lib.optim.SGD([p], lr=1.0, momentum=0.5, dampening=0.999)
    for factor in (0.0, 1.0):
        optimizer.zero_grad()
        (p * slope * factor).sum().backward()
        optimizer.step()
    note.updated("what dampening leaves", optimizer.state[p]["momentum_buffer"])
    p, q = lib.nn.Parameter(note.leaf("x").float()), lib.nn.Parameter(note.leaf("x").double())
    optimizer = lib.optim.SGD([p, q], lr=0.1)
    ((p * slope.float()).double() + q * slope.double()).sum().backward()
    optimizer.step()
    note.updated("single beside double", p)
    note.updated("double beside single", q)


@probe(exact=True, x=integers(3))
def gradients_set_to_zero(lib: Any, inputs: Any, note: Any) -> None:
    """zero_grad leaves zeros or nothing, whatever the gradients were."""
    p = parameter(lib, note, "x")
    optimizer = lib.optim.SGD([p], lr=0.5)
    for value in (1.0, math.inf, math.nan):
        (p * value).sum().backward()
        kept = p.grad
        optimizer.zero_grad(set_to_none=False)
        note.gradient(f"{value}, set to zero", p)
        note.flag(f"{value}, in the same memory", p.grad is kept)
        (p * 2).sum().backward()
        note.gradient(f"{value}, and then another", p)
        optimizer.zero_grad()
        note.flag(f"{value}, set to none", p.grad is None)


FAMILY = Family(
    "sgd",
    DIMENSIONS,
    make,
    fits,
    lambda row: sum(row[name] != values[0] for name, values in DIMENSIONS.items()),
    parts=1,
    always=singly(DIMENSIONS, "gradients"),
)

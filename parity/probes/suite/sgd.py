"""Stochastic gradient descent: every option, over several steps."""

from typing import Any

from parity.probes.probe import given, integers, normal, probe
from parity.probes.suite import parameter


def descend(
    note: Any, title: str, parameters: dict[str, Any], optimizer: Any, target: Any, steps: int
) -> None:
    """Take steps down the parabola (p - target)²/2; note every gradient and every new value."""
    for step in range(1, steps + 1):
        optimizer.zero_grad()
        cleared = all(p.grad is None for p in parameters.values())
        note.flag(f"{title}: step {step}: cleared", cleared)
        loss = sum(((p - target) ** 2).sum() for p in parameters.values()) * 0.5
        loss.backward()
        for name, p in parameters.items():
            note.gradient(f"{title}: step {step}: {name}", p)
        optimizer.step()
        for name, p in parameters.items():
            if optimizer.state.get(p, {}).get("momentum_buffer") is not None:
                buffer = optimizer.state[p]["momentum_buffer"]
                note.updated(f"{title}: step {step}: buffer of {name}", buffer)
            note.updated(f"{title}: step {step}: {name}", p)


# Numbers with few binary digits: three steps are exact, in whatever order the terms are added.
ROUND = given(1.0, -2.0, 0.0, 4.0)
OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "momentum": {"momentum": 0.5},
    "dampening": {"momentum": 0.5, "dampening": 0.25},
    "weight_decay": {"weight_decay": 0.5},
    "nesterov": {"momentum": 0.5, "nesterov": True},
    "maximize": {"maximize": True},
    "all": {"momentum": 0.25, "dampening": 0.5, "weight_decay": 0.25, "maximize": True},
    "nesterov with decay": {"momentum": 0.5, "nesterov": True, "weight_decay": 0.25},
}


@probe(exact=True, x=ROUND, target=given(0.0, 1.0, -2.0, 2.0))
def options_of_sgd(lib: Any, inputs: Any, note: Any) -> None:
    """Every option over three steps, in numbers that are not rounded."""
    target = inputs["target"]
    for name, options in OPTIONS.items():
        p = parameter(lib, note, "x")
        optimizer = lib.optim.SGD([p], lr=0.5, **options)
        descend(note, name, {"p": p}, optimizer, target, 3)


@probe(x=normal(3), y=normal(2, 3), target=normal(3))
def options_of_sgd_on_reals(lib: Any, inputs: Any, note: Any) -> None:
    """The same with the usual numbers, on two parameters, for as long as it takes to warm up."""
    target = inputs["target"]
    for name, options in OPTIONS.items():
        p, q = parameter(lib, note, "x"), parameter(lib, note, "y")
        usual = {k: 0.9 if k == "momentum" else v for k, v in options.items()}
        optimizer = lib.optim.SGD([p, q], lr=0.01, **usual)
        descend(note, name, {"p": p, "q": q}, optimizer, target, 4)


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
    p, q = lib.nn.Parameter(note.leaf("x").float()), lib.nn.Parameter(note.leaf("x").double())
    optimizer = lib.optim.SGD([p, q], lr=0.1)
    ((p * slope.float()).double() + q * slope.double()).sum().backward()
    optimizer.step()
    note.updated("single beside double", p)
    note.updated("double beside single", q)


@probe(exact=True, x=ROUND, y=integers(2, 4), z=integers(4), target=integers(4))
def parameter_groups(lib: Any, inputs: Any, note: Any) -> None:
    """Groups with options of their own, one added later, and a learning rate that is changed."""
    target = inputs["target"]
    p, q, r = (parameter(lib, note, name) for name in ("x", "y", "z"))
    groups = [{"params": [p]}, {"params": q, "lr": 0.25, "momentum": 0.5}]
    optimizer = lib.optim.SGD(groups, lr=0.5, weight_decay=0.5)
    named = {"p": p, "q": q}
    descend(note, "two groups", named, optimizer, target, 2)
    optimizer.add_param_group({"params": [r], "lr": 2.0, "weight_decay": 0})
    optimizer.param_groups[0]["lr"] = 0.125
    descend(note, "three groups", {**named, "r": r}, optimizer, target, 1)
    optimizer.param_groups[0]["lr"] = 0.25
    optimizer.param_groups[1]["momentum"] = 0.25
    descend(note, "other options", {**named, "r": r}, optimizer, target, 2)


@probe(exact=True, x=ROUND, y=ROUND, target=integers(4))
def parameters_of_two_dtypes(lib: Any, inputs: Any, note: Any) -> None:
    """One group: every parameter, its gradient and its buffer keep their dtype."""
    p, q = lib.nn.Parameter(note.leaf("x").float()), lib.nn.Parameter(note.leaf("y").double())
    optimizer = lib.optim.SGD([p, q], lr=0.5, momentum=0.5, weight_decay=0.25)
    descend(note, "both", {"p": p, "q": q}, optimizer, inputs["target"], 3)
    for name, of in {"p": p, "q": q}.items():
        note.updated(f"buffer of {name}", optimizer.state[of]["momentum_buffer"])


@probe(exact=True, x=ROUND, y=integers(4), target=integers(4))
def state_of_sgd_carried_over(lib: Any, inputs: Any, note: Any) -> None:
    """state_dict takes momentum and options along to another optimiser, which goes on alike."""
    target = inputs["target"]
    p, q = parameter(lib, note, "x"), parameter(lib, note, "y")
    first = lib.optim.SGD([p, q], lr=0.5, momentum=0.5, weight_decay=0.25)
    descend(note, "before", {"p": p, "q": q}, first, target, 2)
    second = lib.optim.SGD([p, q], lr=99.0)
    second.load_state_dict(first.state_dict())
    note.updated("carried buffer", second.state[q]["momentum_buffer"])
    descend(note, "after", {"p": p, "q": q}, second, target, 2)


@probe(exact=True, x=ROUND, y=integers(4), target=integers(4))
def gradients_set_to_none_or_zero(lib: Any, inputs: Any, note: Any) -> None:
    """Without zero_grad gradients add up; without a gradient a parameter stays; 0 is a gradient."""
    target = inputs["target"]
    p, q = parameter(lib, note, "x"), parameter(lib, note, "y")
    optimizer = lib.optim.SGD([p, q], lr=0.5, weight_decay=0.5, momentum=0.5)
    (p * target).sum().backward()
    (p * p).sum().backward()
    note.gradient("added up", p)
    optimizer.step()
    note.updated("p", p)
    note.updated("q without a gradient", q)
    kept = p.grad
    optimizer.zero_grad(set_to_none=False)
    note("zeroed in place", kept)
    note.gradient("zero", p)
    optimizer.step()
    note.updated("p with a gradient of 0", p)
    (p * q * target).sum().backward()
    note.gradient("p after zero", p)
    optimizer.zero_grad()
    note.gradient("none", p)
    optimizer.step()
    note.updated("p as it was", p)
    note.updated("q as it was", q)


@probe(x=normal(4), target=normal(4))
def closure_and_learning_rate_as_a_tensor(lib: Any, inputs: Any, note: Any) -> None:
    """A step that computes its gradients itself, recorded whatever surrounds it."""
    target = inputs["target"]
    p = parameter(lib, note, "x")
    optimizer = lib.optim.SGD([p], lr=lib.tensor(0.125))

    def closure() -> Any:
        optimizer.zero_grad()
        loss = ((p - target) ** 2).mean()
        loss.backward()
        return loss

    with lib.no_grad():
        for step in (1, 2):
            note(f"loss {step}", optimizer.step(closure), gradient=False)
            note.updated(f"p {step}", p)


@probe(x=normal(8, 2), y=normal(8, 1), first=normal(6, 2), bias=normal(6), last=normal(1, 6))
def training_loop(lib: Any, inputs: Any, note: Any) -> None:
    """A network, its loss and its optimiser together, for four steps."""
    x, y = inputs["x"], inputs["y"]
    w1, b1, w2 = (parameter(lib, note, name) for name in ("first", "bias", "last"))
    optimizer = lib.optim.SGD([w1, b1, w2], lr=0.05, momentum=0.9, nesterov=True)
    for step in range(1, 5):
        hidden = lib.tanh(lib.nn.functional.linear(x, w1, b1))
        loss = lib.nn.functional.mse_loss(hidden @ w2.t(), y)
        note(f"loss {step}", loss, gradient=False)
        optimizer.zero_grad()
        loss.backward()
        for name, p in {"w2": w2, "w1": w1, "b1": b1}.items():
            note.gradient(f"{name} {step}", p)
        optimizer.step()
        for name, p in {"w2": w2, "w1": w1, "b1": b1}.items():
            note.updated(f"{name} {step}", p)

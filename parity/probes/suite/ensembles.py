"""Networks of one shape that are trained at once, by an engine that can; by others one by one."""

from typing import Any

from parity.probes.covering import Row
from parity.probes.family import Family, singly
from parity.probes.probe import Draw, Probe, given, integers, normal, probe

DIMENSIONS: dict[str, tuple[Any, ...]] = {
    "place": ("plain", "shared", "deep", "single"),
    "members": (3, 1, 2, 5),
    "outputs": (1, 2, 3),
    "batch": (5, 1, 2, 17, 513, 600),
    "layer": ("ReLU", "Tanh", "LeakyReLU", "Identity"),
    "x": ("same", "own"),
    "targets": ("own", "same"),
    "values": ("normal", "large", "diverged"),
    "update": ("sgd", "none", "momentum", "decay"),
    "dtypes": ("run", "double"),
    "frozen": ("none", "first", "biases"),
}
"""What the networks are, and how they are trained; the first of each is the plainest.

    place       of layers: one after the other; one of them twice; twelve of them; one alone
    x, targets  each network's own, or the same of all
    values      "large": errors whose squares overflow; "diverged": a network is not finite
"""


def fits(pair: Row) -> bool:
    """Return whether two values can be together."""
    match pair:
        case {"values": "large", "update": update}:
            return bool(update == "none")  # or there is no budget for the next step
        case {"place": "single", "frozen": frozen}:
            return bool(frozen != "first")  # or nothing is trained
    return True


def make(
    place: str,
    members: int,
    outputs: int,
    batch: int,
    layer: str,
    x: str,
    targets: str,
    values: str,
    update: str,
    dtypes: str,
    frozen: str,
) -> Probe:
    """Return the probe of one choice."""
    shapes = {
        "plain": [(2, 3), (3, outputs)],
        "shared": [(2, 2), (2, outputs)],
        "deep": [(2, 2)] * 10 + [(2, 3), (3, outputs)],
        "single": [(2, outputs)],
    }[place]

    def network(lib: Any, inputs: dict[str, Any], member: int) -> Any:
        layers: list[Any] = []
        for i, (before, after) in enumerate(shapes):
            made = lib.nn.Linear(before, after, dtype=inputs["x"].dtype)
            for name in ("weight", "bias"):
                value = inputs[f"{i}.{name}"].detach()[member] * (0.5 if place == "deep" else 1)
                if values == "diverged" and (i, name, member) == (0, "bias", members - 1):
                    value.fill_(float("nan"))
                setattr(made, name, lib.nn.Parameter(value))
            hidden = [made, getattr(lib.nn, layer)()]
            if i or place in ("deep", "single"):
                layers.append(made)
            else:
                layers += hidden * (2 if place == "shared" else 1)
        return lib.nn.Sequential(*layers)

    def function(lib: Any, inputs: dict[str, Any], note: Any) -> None:
        if dtypes == "double":
            inputs = {name: tensor.double() for name, tensor in inputs.items()}
        networks = [network(lib, inputs, member) for member in range(members)]
        held = {"first": "0", "biases": "bias"}.get(frozen)
        for name, p in [named for each in networks for named in each.named_parameters()]:
            p.requires_grad_(held not in name.split("."))
        data = inputs["x"].detach()[0 if x == "same" else slice(None)]
        wanted = inputs["y"].detach()[0 if targets == "same" else slice(None)]
        if values == "large":
            wanted = wanted / wanted.abs() * 2.0**100
        model = note.together(lib, networks)
        options: dict[str, Any] = {
            "momentum": {"momentum": 0.5},
            "decay": {"weight_decay": 0.25, "momentum": 0.5, "nesterov": True},
        }.get(update, {})
        optimizer = lib.optim.SGD(model.parameters(), lr=2**-8, **options)

        def step(data: Any, wanted: Any) -> Any:
            optimizer.zero_grad()
            losses = model.losses(data, wanted)
            losses.sum().backward()
            if update != "none":
                optimizer.step()
            return losses

        take = note.captured(step)
        for i in range(3):
            note(f"outputs {i}", model.outputs(data), gradient=False)
            note(f"losses {i}", take(data, wanted), gradient=False)
            for name, rows in model.members():
                for member, (parameter, value, gradient) in enumerate(rows):
                    if not parameter.requires_grad:
                        note.flag(f"{i}: {name} of {member} has no gradient", gradient is None)
                        continue
                    note.gradient(f"{i}: {name} of {member}", parameter, gradient)
                    note.updated(f"{i}: {name} of {member}", value)
            data = data * 0.5
        for member, each in enumerate(networks):
            note(f"network {member}", each[0].weight, gradient=False)

    draws: dict[str, Draw] = {}
    for i, (before, after) in enumerate(shapes):
        draws[f"{i}.weight"] = normal(members, after, before)
        draws[f"{i}.bias"] = normal(members, after)
    draws |= {"x": normal(members, batch, 2), "y": normal(members, batch, outputs)}
    return Probe(function, draws, exact=False)


@probe(exact=True, x=integers(4, 2), y=integers(4, 1))
def networks_that_differ(lib: Any, inputs: Any, note: Any) -> None:
    """What computes by other calls than the first network is refused, or right."""
    nn, x, y = lib.nn, inputs["x"].detach(), inputs["y"].detach()

    def hooked(layer: Any) -> Any:
        layer.register_forward_hook(lambda layer, inputs, out: out * 2)
        return layer

    hidden: dict[str, list[Any]] = {
        "alike": [nn.ReLU(), nn.ReLU()],
        "slopes": [nn.LeakyReLU(0.25), nn.LeakyReLU(0.5)],
        "activations": [nn.ReLU(), nn.Tanh()],
        "hooks": [nn.ReLU(), hooked(nn.ReLU())],
        "both with hooks": [hooked(nn.ReLU()), hooked(nn.ReLU())],
    }
    for name, layers in hidden.items():
        first, last = nn.Linear(2, 2, dtype=x.dtype), nn.Linear(2, 1, dtype=x.dtype)
        networks = [nn.Sequential(first, layer, last) for layer in layers]
        wanted = [nn.functional.mse_loss(network(x), y) for network in networks]
        try:
            losses = note.captured(note.together(lib, networks).losses)(x, y)
            right = losses.dtype == x.dtype and bool(lib.allclose(losses, lib.stack(wanted)))
        except ValueError:
            right = True
        note.flag(f"{name}: right, or refused", right)


@probe(exact=True, x=given([0.0], [0.0], [0.0], [0.0]), y=given([1.0], [1.0], [-1.0], [0.0]))
def errors_whose_doubles_overflow(lib: Any, inputs: Any, note: Any) -> None:
    """The loss is infinite, and the gradients are finite."""
    networks = [lib.nn.Sequential(lib.nn.Linear(1, 1, dtype=inputs["x"].dtype)) for _ in range(2)]
    for network in networks:
        lib.nn.init.zeros_(network[0].weight)
        lib.nn.init.zeros_(network[0].bias)
    model = note.together(lib, networks)
    largest = 2.0**127 if inputs["x"].dtype == lib.float32 else 2.0**1023

    def step(x: Any, y: Any) -> Any:
        losses = model.losses(x, y)
        losses.sum().backward()
        return losses

    take = note.captured(step)
    losses = take(inputs["x"].detach(), inputs["y"].detach() * largest)
    note("losses", losses, gradient=False)
    for name, rows in model.members():
        for member, (parameter, _, gradient) in enumerate(rows):
            note.gradient(f"{name} of {member}", parameter, gradient / largest)


def size_of(row: Row) -> int:
    """Return about how much there is to see."""
    return int(row["members"] * row["batch"] * row["outputs"])


ALWAYS = singly(DIMENSIONS, "place", "members", "outputs")
ALWAYS += [{**ALWAYS[0], "values": values, "update": "none"} for values in ("large", "diverged")]
ALWAYS += [{**ALWAYS[0], "batch": 600}, {**ALWAYS[0], "frozen": "first"}]
FAMILY = Family("ensembles", DIMENSIONS, make, fits, size_of, parts=8, always=ALWAYS)

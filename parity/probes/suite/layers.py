"""Layers at every place of a model, called again after something was changed."""

import copy
from typing import Any

from parity.probes.covering import Row
from parity.probes.family import Family, singly
from parity.probes.probe import Draw, Probe, normal

DIMENSIONS: dict[str, tuple[Any, ...]] = {
    "layer": ("Linear", "no_bias", "ReLU", "Tanh", "Sigmoid"),
    "place": ("middle", "first", "last", "everywhere", "shared"),
    "between": (
        *("data", "targets", "both", "nothing", "loaded", "written", "no_grad", "frozen"),
        *("thawed", "copied", "converted", "cleared"),
    ),
    "loss": ("sum", "mean", "none"),
    "frozen": ("none", "weights", "biases", "first", "input"),
    "update": ("none", "sgd", "momentum"),
    "batch": (4, 1, 0, 17, 33),
    "width": (3, 1, 8, 17, 65),
    "axes": (1, 0, 2),
    "values": ("integers", "normal"),
}
"""What a model is made of, and done with; the first of each is mostly the plainest.

    place       of the layer: of three or four in a model; "shared", once more after another
    between     two calls: other data or targets or "both", values "loaded" or "written", a call
                under "no_grad", parameters "frozen" or "thawed", the model "copied" or converted to
                another dtype, the gradients "cleared" in place
    frozen      from the beginning
    axes        of a batch: without, and with two of them
"""


def fits(pair: Row) -> bool:
    """Return whether two values can be together."""
    match pair:
        case {"axes": 0, "batch": batch}:
            return bool(batch == 4)  # which nothing depends on
    return True


def make(
    layer: str,
    place: str,
    between: str,
    loss: str,
    frozen: str,
    update: str,
    batch: int,
    width: int,
    axes: int,
    values: str,
) -> Probe:
    """Return the probe of one choice."""
    kinds = {
        "first": [layer, "Linear", "ReLU", "Linear"],
        "middle": ["Linear", layer, "no_bias"],
        "last": ["Linear", "ReLU", "Linear", layer],
        "everywhere": [layer] * 3,
        "shared": [layer, "Linear", layer],
    }[place]
    shapes: dict[str, tuple[int, ...]] = {}
    size = width
    for i, kind in enumerate(kinds):
        if kind in ("Linear", "no_bias") and not (place == "shared" and i == 2):
            before, size = size, size + (place != "shared")
            shapes[f"{i}.weight"] = (size, before)
            if kind == "Linear":
                shapes[f"{i}.bias"] = (size,)
    lead = ((), (batch,), (2, batch))[axes]

    def function(lib: Any, inputs: dict[str, Any], note: Any) -> None:
        own = {name: inputs[name].detach() * 1 for name in shapes}
        model = built(lib, kinds, own)
        for name, p in model.named_parameters():
            held = {"weights": "weight", "biases": "bias", "first": "0"}.get(frozen, "none")
            p.requires_grad_(held not in name.split("."))
        inputs["x"].requires_grad_(frozen != "input")
        measure = lib.nn.MSELoss(reduction=loss)
        momentum = {"momentum": 0.5} if update == "momentum" else {}
        optimizer = lib.optim.SGD([*model.parameters()], lr=2**-10, **momentum) if shapes else None

        def call(title: str, x: Any, y: Any) -> None:
            for i, module in enumerate(model):
                x = note(f"{title}{i} {kinds[i]}", module(x))
            error = note(f"{title}loss", measure(x, y))
            if error.requires_grad:
                error.backward(lib.ones_like(error))
            named = [*model.named_parameters()]
            for name, p in named:
                note.gradient(f"{title}{name}", p)
            if optimizer is not None and update != "none":
                optimizer.step()
                for name, p in named:
                    note.updated(f"{title}{name}", p)

        x, y = inputs["x"], inputs["y"]
        call("first: ", x, y)
        if between in ("data", "both"):
            x = inputs["x2"]
        if between in ("targets", "both"):
            y = inputs["y2"]
        if between == "loaded":
            model.load_state_dict({name: p * 2 for name, p in model.state_dict().items()})
        if between in ("written", "no_grad"):
            with lib.no_grad():
                note("quiet", model(inputs["x2"]))
                for p in model.parameters() if between == "written" else ():
                    p.mul_(-1)
        if between in ("frozen", "thawed"):
            model.requires_grad_(between == "thawed")
        if between == "copied":
            model = copy.deepcopy(model)
        if between == "converted":
            model, x, y = model.double(), x.double(), y.double()
        if between != "nothing":
            model.zero_grad(set_to_none=between != "cleared")
        call("second: ", x, y)

    draw = normal if values == "normal" else signs
    inputs = {name: draw(*shape) for name, shape in shapes.items()}
    inputs |= {name: draw(*lead, width) for name in ("x", "x2")}
    inputs |= {name: draw(*lead, size) for name in ("y", "y2")}
    whole = not {"Tanh", "Sigmoid"} & {*kinds} and (loss, update) == ("sum", "none")
    return Probe(function, inputs, values == "integers" and whole and width * batch < 64)


def signs(*shape: int) -> Draw:
    """Numbers that stay small integers in products of layers."""
    return lambda rng: rng.choice([0.0, 1.0, -1.0], shape)


def built(lib: Any, kinds: list[str], values: dict[str, Any]) -> Any:
    """Return a model of modules of these kinds; one without values of its own is the first."""
    modules: list[Any] = []
    for i, kind in enumerate(kinds):
        own = {name[2:]: value for name, value in values.items() if name[0] == str(i)}
        if kind not in ("Linear", "no_bias"):
            modules.append(getattr(lib.nn, kind)())
        elif not own:
            modules.append(modules[0])
        else:
            size, before = own["weight"].shape
            bias, dtype = kind == "Linear", own["weight"].dtype
            modules.append(lib.nn.Linear(before, size, bias=bias, dtype=dtype))
            for name, value in own.items():
                setattr(modules[-1], name, lib.nn.Parameter(value))
    return lib.nn.Sequential(*modules)


def size_of(row: Row) -> int:
    """Return about how much there is to see."""
    return int(row["batch"] * row["width"])


ALWAYS = singly(DIMENSIONS, "layer", "place", "loss")
ALWAYS.append({**ALWAYS[0], "place": "shared", "update": "momentum"})
FAMILY = Family("layers", DIMENSIONS, make, fits, size_of, 6, ALWAYS)

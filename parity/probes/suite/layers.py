"""Layers, losses, initial values and random numbers."""

import math
from typing import Any

from parity.probes.probe import integers, normal, probe
from parity.probes.suite import parameter

SEED = integers(1, below=2**20)


@probe(x=normal(6, 3), y=normal(6, 2), weight=normal(4, 3), bias=normal(4), last=normal(2, 4))
def layers(lib: Any, inputs: Any, note: Any) -> Any:
    """Linear with and without bias, Tanh, Sigmoid, Sequential and the loss as modules."""
    x, y = inputs["x"], inputs["y"]
    nn = lib.nn
    model = nn.Sequential(
        nn.Linear(3, 4, dtype=x.dtype),
        nn.Tanh(),
        nn.Sigmoid(),
        nn.Linear(4, 2, False, dtype=x.dtype),
    )
    model[0].weight, model[0].bias = parameter(lib, note, "weight"), parameter(lib, note, "bias")
    model[3].weight = parameter(lib, note, "last")
    value = x
    for name, module in zip(("linear", "tanh", "sigmoid", "no bias"), model, strict=True):
        value = note(name, module(value))
    for name, p in model.named_parameters():
        note(name, p)
    mean = note("mean", nn.MSELoss()(value, y))
    summed = note("summed", nn.MSELoss(reduction="sum")(value, y))
    each = note("each", nn.MSELoss(reduction="none")(value, y))
    return mean + summed + (each * y).sum()


@probe(
    exact=True, x=integers(2, 3, 4), weight=integers(5, 4), bias=integers(5), w=integers(2, 3, 5)
)
def layer_on_several_axes(lib: Any, inputs: Any, note: Any) -> Any:
    """A linear layer and ReLU on rows that lie along two axes, and on a single one."""
    x, weight, bias, w = inputs.values()
    functional = lib.nn.functional
    linear = note("linear", functional.linear(x, weight, bias))
    many = note("many", lib.nn.ReLU()(linear))
    single = note("single", functional.linear(x[0, 0], weight, bias))
    return (many * w).sum() + (single * w[1, 1]).sum()


@probe(exact=True, x=integers(4, 3), weight=integers(3, 3, below=4), bias=integers(3))
def layer_shared_in_a_model(lib: Any, inputs: Any, note: Any) -> Any:
    """One module in two places: one parameter, and both uses count."""
    x = inputs["x"]
    layer = lib.nn.Linear(3, 3, dtype=x.dtype)
    layer.weight, layer.bias = parameter(lib, note, "weight"), parameter(lib, note, "bias")
    model = lib.nn.Sequential(layer, lib.nn.ReLU(), layer)
    note("shared weight", layer.weight)
    note("shared bias", layer.bias)
    note.flag("two parameters", len(list(model.parameters())) == 2)
    return note("out", model(x)).sum()


@probe(exact=True, x=integers(4, 3), weight=integers(2, 3), bias=integers(2))
def frozen_and_loaded_parameters(lib: Any, inputs: Any, note: Any) -> Any:
    """Frozen parameters receive no gradient; loaded values are copies; gradients are cleared."""
    x, weight, bias = inputs.values()
    layer = lib.nn.Linear(3, 2, dtype=x.dtype)
    values = {"weight": weight * 2, "bias": bias * 2}
    layer.load_state_dict(values)
    values["weight"].zero_()
    layer.bias.requires_grad_(False)
    (layer(x) * 3).sum().backward()
    note.gradient("gradient", layer.weight)
    note.gradient("no gradient", layer.bias)
    layer.zero_grad()
    note.gradient("cleared", layer.weight)
    layer.requires_grad_()
    note("loaded weight", layer.weight)
    note("loaded bias", layer.bias)
    return note("out", layer(x)).sum()


@probe(exact=True, seed=SEED)
def random_numbers(lib: Any, inputs: Any, note: Any) -> None:
    """Uniform and normal numbers, few and many: the generator's bits and what is made of them."""
    seed, dtype = abs(int(inputs["seed"].item())), inputs["seed"].dtype
    lib.manual_seed(seed)
    note("one normal", lib.randn(1, dtype=dtype))
    note("its second half", lib.randn(1, dtype=dtype))
    note("uniform", lib.rand(3, 5, dtype=dtype))
    note("few normal", lib.randn(7, dtype=dtype))
    note("many normal", lib.randn(37, dtype=dtype))
    note("more uniform", lib.rand(700, dtype=dtype))
    generator = lib.Generator()
    generator.manual_seed(seed + 1)
    note("of its own generator", lib.rand(4, generator=generator, dtype=dtype))
    note("spaced", lib.linspace(-5, 5, 100, dtype=dtype))
    note("counted", lib.arange(-1.0, 1.0, 0.125, dtype=dtype))


@probe(exact=True, seed=SEED)
def initial_values(lib: Any, inputs: Any, note: Any) -> None:
    """Every initialiser, and what a new linear layer draws: identical in every bit."""
    seed, dtype = abs(int(inputs["seed"].item())), inputs["seed"].dtype
    init, shape = lib.nn.init, (5, 3)
    lib.manual_seed(seed)
    for name, fill in {
        "uniform_": lambda w: init.uniform_(w, -0.3, 0.7),
        "normal_": lambda w: init.normal_(w, 0.5, 0.25),
        "zeros_": init.zeros_,
        "ones_": init.ones_,
        "constant_": lambda w: init.constant_(w, 0.3),
        "kaiming_uniform_": init.kaiming_uniform_,
        "kaiming_uniform_, fan_out, relu": lambda w: init.kaiming_uniform_(
            w, mode="fan_out", nonlinearity="relu"
        ),
        "kaiming_uniform_, a=√5": lambda w: init.kaiming_uniform_(w, a=math.sqrt(5)),
        "kaiming_normal_, fan_out, tanh": lambda w: init.kaiming_normal_(
            w, mode="fan_out", nonlinearity="tanh"
        ),
        "kaiming_normal_": init.kaiming_normal_,
        "xavier_uniform_": init.xavier_uniform_,
        "xavier_normal_": lambda w: init.xavier_normal_(w, 1.5),
    }.items():
        note(name, fill(lib.full(shape, 9.0, dtype=dtype)))
    for name, sizes in {"wide": (1, 16), "square": (16, 16), "narrow": (7, 1)}.items():
        layer = lib.nn.Linear(*sizes, dtype=dtype)
        note(f"{name} weight", layer.weight, gradient=False)
        note(f"{name} bias", layer.bias, gradient=False)
    without = lib.nn.Linear(3, 2, bias=False, dtype=dtype)
    note("weight without bias", without.weight, gradient=False)

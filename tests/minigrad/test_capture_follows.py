"""What a captured step reads besides tensors is followed: if it changes, the step is recorded anew.

`test_capture.py` has the variables of the step and of what it calls.
"""

import math
import types
from collections.abc import Iterator
from typing import Any

import pytest

import minigrad as torch
from minigrad.capture.captured import Captured
from tests.minigrad.sessions import sessions
from tests.minigrad.test_capture import bits, scope_of

CASES = sessions("""
# a function in a dict
table = {"f": lambda x: x * 2}
def step(x):
    return table["f"](x)
def change():
    table["f"] = lambda x: x * 3

# a function in a list in a dict
table = {"all": [lambda x: x * 2]}
def step(x):
    return table["all"][0](x)
def change():
    table["all"][0] = lambda x: x * 3

# a variable of a function in a list
factor = 2.0
functions = [lambda x: x * factor]
def step(x):
    return functions[0](x)
def change():
    global factor
    factor = 3.0

# an attribute
class Config:
    factor = 2.0
    def __init__(self):
        self.factor = 2.5
config = Config()
def step(x):
    return x * config.factor
def change():
    config.factor = 3.0

# an attribute that a method reads
class Config:
    def __init__(self):
        self.factor = 2.0
    def scale(self, x):
        return x * self.factor
config = Config()
def step(x):
    return config.scale(x)
def change():
    config.factor = 3.0

# a method that was changed in the class
class Config:
    def scale(self, x):
        return x * 2
config = Config()
def step(x):
    return config.scale(x)
def change():
    Config.scale = lambda self, x: x * 3

# a method that was changed in the object
class Config:
    def scale(self, x):
        return x * 2
config = Config()
def step(x):
    return config.scale(x)
def change():
    config.scale = lambda x: x * 3

# a method of a base class
class Base:
    def scale(self, x):
        return x * self.factor()
class Config(Base):
    def factor(self):
        return 2.0
class Derived(Config):
    pass
config = Derived()
def step(x):
    return config.scale(x)
def change():
    Derived.factor = lambda self: 3.0

# what super() calls
class Base:
    def scale(self, x):
        return x * self.factor
class Config(Base):
    factor = 2.0
    def scale(self, x):
        return super().scale(x) + 1
config = Config()
def step(x):
    return config.scale(x)
def change():
    config.factor = 3.0

# a property
class Config:
    k = 2.0
    @property
    def factor(self):
        return self.k * 2
config = Config()
def step(x):
    return x * config.factor
def change():
    config.k = 3.0

# a property of another one
class Config:
    @property
    def factor(self):
        return 2.0
config = Config()
def step(x):
    return x * config.factor
def change():
    Config.factor = property(lambda self: 3.0)

# a static method and a class method
class Config:
    k = 2.0
    @staticmethod
    def twice(x):
        return x * Config.k
    @classmethod
    def scale(cls, x):
        return cls.twice(x) + cls.k
def step(x):
    return Config.scale(x)
def change():
    Config.k = 3.0

# an object that is called
class Scale:
    def __init__(self, k):
        self.k = k
    def __call__(self, x):
        return x * self.k
scale = Scale(2.0)
def step(x):
    return scale(x)
def change():
    scale.k = 3.0

# an operator of an object
class Scale:
    k = 2.0
    def __getitem__(self, name):
        return self.k
scale = Scale()
def step(x):
    return x * scale["anything"]
def change():
    scale.k = 3.0

# an object that the step makes
class Scale:
    k = 2.0
    def apply(self, x):
        return x * self.k
def step(x):
    return Scale().apply(x)
def change():
    Scale.k = 3.0

# a class attribute
class Config:
    factor = 2.0
def step(x):
    return x * Config.factor
def change():
    Config.factor = 3.0

# a class attribute hidden by an attribute
class Config:
    factor = 2.0
config = Config()
def step(x):
    return x * config.factor
def change():
    config.factor = 3.0

# two levels deep
class Config: pass
config = Config()
config.model = Config()
config.model.factor = 2.0
def step(x):
    return x * config.model.factor
def change():
    config.model.factor = 3.0

# a local name
class Config: pass
config = Config()
config.model = Config()
config.model.factor = 2.0
def step(x):
    inner = config.model
    return x * getattr(inner, "factor") if False else x * inner.factor
def change():
    config.model.factor = 3.0

# slots
class Config:
    __slots__ = ("factor",)
config = Config()
config.factor = 2.0
def step(x):
    return x * config.factor
def change():
    config.factor = 3.0

# a method as a step
class Trainer:
    def __init__(self):
        self.factor = 2.0
    def step(self, x):
        return self.scaled(x)
    def scaled(self, x):
        return x * self.factor
trainer = Trainer()
step = trainer.step
def change():
    trainer.factor = 3.0

# default arguments
def step(x, k=2.0):
    return x * k
def change():
    step.__defaults__ = (3.0,)

# default arguments of what is called
def scaled(x, *, k=2.0):
    return x * k
def step(x):
    return scaled(x)
def change():
    scaled.__kwdefaults__ = {"k": 3.0}

# default arguments that are changed in place
def step(x, k=[2.0]):
    return x * k[0]
def change():
    step.__defaults__[0][0] = 3.0

# a partial
import functools
class Config:
    factor = 2.0
def scaled(config, x):
    return x * config.factor
table = {"f": functools.partial(scaled, Config)}
def step(x):
    return table["f"](x)
def change():
    Config.factor = 3.0

# keywords of a partial
import functools
scaled = functools.partial(lambda x, k: x * k, k=2.0)
def step(x):
    return scaled(x)
def change():
    scaled.keywords["k"] = 3.0

# a decorated function
import functools
def decorated(f):
    @functools.wraps(f)
    def called(x):
        return f(x)
    return called
class Config:
    factor = 2.0
@decorated
def scaled(x):
    return x * Config.factor
def step(x):
    return scaled(x)
def change():
    Config.factor = 3.0

# a list of numbers
weights = [1.0, 2.0]
def step(x):
    return x * weights[1]
def change():
    weights[1] = 3.0

# the kind of a number
weights = [1.0, 2.0]
def step(x):
    return x.long() * weights[1]
def change():
    weights[1] = 2

# the sign of zero
weights = {"k": 0.0}
def step(x):
    return x * weights["k"]
def change():
    weights["k"] = -0.0

# the length of a list
parts = ["a", "b"]
def step(x):
    return x * len(parts)
def change():
    parts.append("c")

# whether a key is in a dict
options = {"a": None}
def step(x):
    return x * 2 if "b" in options else x
def change():
    options["b"] = options.pop("a")

# a set
names = {"a"}
def step(x):
    return x * 2 if "a" in names else x
def change():
    names.clear()

# a default dict, and a deque
import collections
options = collections.defaultdict(float, a=2.0)
last = collections.deque([2.0], 3)
def step(x):
    return x * options["a"] * last[-1]
def change():
    options["a"] = 3.0
    last.append(4.0)

# a tuple of lists
weights = ([1.0], [2.0])
def step(x):
    return x * weights[1][0]
def change():
    weights[1][0] = 3.0

# a tensor in a list
weights = [torch.tensor(2.0)]
def step(x):
    return x * weights[0]
def change():
    weights[0] = torch.tensor(3.0)

# a dataclass
import dataclasses
@dataclasses.dataclass
class Config:
    factor: float = 2.0
    layers: list = dataclasses.field(default_factory=lambda: [1.0])
config = Config()
def step(x):
    return x * config.factor * config.layers[0]
def change():
    config.layers[0] = 3.0

# a dataclass in the place of an equal one
import dataclasses
@dataclasses.dataclass
class Config:
    factor: float = 2.0
configs = [Config()]
def step(x):
    return x * configs[0].factor
def change():
    if configs[0].factor == 2.0:
        configs[0] = Config()
        configs[0].factor = 2.0
        step(torch.ones(1))
        configs[0].factor = 3.0

# an enum
import enum
class Mode(enum.Enum):
    SUM = 1
    MEAN = 2
class Config: pass
config = Config()
config.mode = Mode.SUM
def step(x):
    return x.sum() if config.mode is Mode.SUM else x.mean()
def change():
    config.mode = Mode.MEAN

# a string that chooses a branch
options = {"kind": "l1"}
def step(x):
    return x.abs() if options["kind"] == "l1" else x * x
def change():
    options["kind"] = "l2"

# a NumPy number
class Config: pass
config = Config()
config.factor = np.float64(2.0)
def step(x):
    return x * float(config.factor)
def change():
    config.factor = np.float64(3.0)

# an array without axes
factor = np.array(2.0)
def step(x):
    return x * float(factor)
def change():
    factor[()] = 3.0

# a number in an array
factors = np.array([2.0, 3.0])
def step(x):
    return x * float(factors[1])
def change():
    factors[1] = 4.0

# a tensor that shares an array's memory
factors = np.array([2.0, 3.0], np.float32)
def step(x):
    return x * torch.from_numpy(factors)
def change():
    factors[1] = 4.0

# an option of the optimizer
def step(x):
    return x * optimizer.param_groups[0]["lr"]
def change():
    optimizer.param_groups[0]["lr"] = 0.5

# the environment
import os
os.environ["MINIGRAD_TEST"] = "2"
def step(x):
    return x * float(os.environ["MINIGRAD_TEST"])
def change():
    os.environ["MINIGRAD_TEST"] = "3"

# the environment by a function
from os import getenv
import os
os.environ["MINIGRAD_TEST"] = "2"
def step(x):
    return x * float(getenv("MINIGRAD_TEST"))
def change():
    os.environ["MINIGRAD_TEST"] = "3"

# a module's attribute
import sys, types
settings = sys.modules["settings_of_a_test"] = types.ModuleType("settings_of_a_test")
settings.factor = 2.0
def step(x):
    return x * settings.factor
def change():
    settings.factor = 3.0

# an import within the step
import sys, types
settings = sys.modules["settings_of_a_test"] = types.ModuleType("settings_of_a_test")
settings.factor = 2.0
def step(x):
    import settings_of_a_test
    return x * settings_of_a_test.factor
def change():
    settings.factor = 3.0

# a namespace
import types
options = types.SimpleNamespace(inner=types.SimpleNamespace(factor=2.0))
def step(x):
    return x * options.inner.factor
def change():
    options.inner.factor = 3.0

# the default dtype
torch.set_default_dtype(torch.float32)
def step(x):
    return x * torch.tensor([0.1])
def change():
    torch.set_default_dtype(torch.float64)

# another layer of a model
def step(x):
    return model(x)
def change():
    model[1] = nn.Tanh()

# another parameter of a layer
def step(x):
    return model(x)
def change():
    model[0].weight = nn.Parameter(torch.ones(8, 1))

# one parameter in the place of an equal one
def step(x):
    return model(x)
def change():
    model[0].weight = nn.Parameter(model[0].weight.detach().clone())
    with torch.no_grad():
        model[0].weight.add_(1.0)

# an option of a layer
model = nn.Sequential(nn.LeakyReLU(0.1))
def step(x):
    return model(-x)
def change():
    model[0].negative_slope = 0.5

# a hook of a layer
def step(x):
    return model(x)
def change():
    model[0].register_forward_hook(lambda module, inputs, output: output * 2)

# a variable of a hook of a layer
factor = 2.0
model[0].register_forward_hook(lambda module, inputs, output: output * factor)
def step(x):
    return model(x)
def change():
    global factor
    factor = 3.0

# a hook of a parameter
def step(x):
    optimizer.zero_grad()
    model(x).sum().backward()
    return model[0].weight.grad
def change():
    model[0].weight.register_hook(lambda gradient: gradient * 2)

# an attribute of a model of one's own
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(1, 1)
        self.scale = 2.0
    def forward(self, x):
        return self.layer(x) * self.scale
model = nn.Sequential(Net())
def step(x):
    return model(x)
def change():
    model[0].scale = 3.0

# whether a model is in training
class Net(nn.Module):
    def forward(self, x):
        return x * 2 if self.training else x
model = nn.Sequential(Net())
def step(x):
    return model(x)
def change():
    model.eval()

# layers in a list of a model
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(1, 1), nn.Linear(1, 1)])
    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return x
model = Net()
def step(x):
    return model(x)
def change():
    model.layers.append(nn.Linear(1, 1, dtype=torch.float32))
    with torch.no_grad():
        for p in model.parameters():
            p.fill_(0.5)

# a model in a plain list
models = [network()]
def step(x):
    return models[0](x)
def change():
    models[0][0].bias = nn.Parameter(torch.zeros(8))

# a buffer of a model
model.register_buffer("scale", torch.tensor(2.0))
def step(x):
    return model(x) * model.scale
def change():
    model.scale = torch.tensor(3.0)

# a captured step within another
class Config:
    factor = 2.0
inner = torch.capture(lambda x: x * Config.factor)
def step(x):
    return inner(x)
def change():
    Config.factor = 3.0

# a rule of one's own
class Config:
    factor = 2.0
class Scaled(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x * Config.factor
    @staticmethod
    def backward(ctx, gradient):
        return gradient * Config.factor
def step(x):
    return Scaled.apply(x)
def change():
    Config.factor = 3.0

# an optimizer of one's own
class Descent:
    def __init__(self, parameters, lr):
        self.parameters, self.lr = list(parameters), lr
    def step(self):
        with torch.no_grad():
            for p in self.parameters:
                p.sub_(p.grad, alpha=self.lr)
descent = Descent(model.parameters(), 0.1)
def step(x):
    model.zero_grad()
    loss = model(x).square().mean()
    loss.backward()
    descent.step()
    return loss
def change():
    descent.lr = 0.01

# a generator function
class Config:
    factor = 2.0
def parts(x):
    for i in range(2):
        yield x * Config.factor
def step(x):
    return sum(parts(x))
def change():
    Config.factor = 3.0

# the items of an object
class Options:
    def __init__(self):
        self.kept = {"k": 2.0}
    def __getattr__(self, name):
        return self.kept[name]
options = Options()
def step(x):
    return x * options.k
def change():
    options.kept["k"] = 3.0
""")


REFUSED = sessions("""
# Python's random numbers
import random
def step(x):
    return x * random.random()

# Python's random numbers by a function
from random import uniform
def step(x):
    return x * uniform(1, 2)

# NumPy's random numbers
def step(x):
    return x * np.random.normal()

# a generator of one's own
rng = np.random.default_rng(0)
def step(x):
    return x * rng.normal()

# a counter that is part of the result
t = 0
def step(x):
    global t
    t += 1
    return x * t

# a counter in an attribute
class Counter:
    t = 0
    def step(self, x):
        self.t += 1
        return x / self.t
step = Counter().step
""")


@pytest.fixture(autouse=True)
def default_dtype() -> Iterator[None]:
    torch.manual_seed(0)
    yield
    torch.set_default_dtype(torch.float32)


def _outcomes(name: str, captured: bool) -> list[Any]:
    """Return the results of six calls, with a change before the fifth."""
    torch.set_default_dtype(torch.float32)
    scope = scope_of(CASES[name])
    step = torch.capture(scope["step"]) if captured else scope["step"]
    x, seen = torch.tensor([[1.0], [2.0]]), []
    for i in range(6):
        if i == 4:
            assert not captured or step._replays
            scope["change"]()
        seen.append(bits(step(x)))
    return seen


@pytest.mark.parametrize("name", CASES)
def test_a_change_is_followed(name: str) -> None:
    eager = _outcomes(name, captured=False)
    assert eager[4] != eager[3]
    assert _outcomes(name, captured=True) == eager


@pytest.mark.parametrize("name", REFUSED)
def test_what_no_replay_would_do_anew_is_refused(name: str) -> None:
    step = torch.capture(scope_of(REFUSED[name])["step"])
    with pytest.raises(torch.CaptureError, match=r"random numbers|at every call"):
        for _ in range(4):
            step(torch.ones(1))


def test_an_equal_number_or_text_is_no_change(monkeypatch: pytest.MonkeyPatch) -> None:
    """As after a configuration is read anew; a zero of the other sign is a change."""
    recorded, calls = Captured._record, list[None]()

    def counted(*arguments: Any) -> Any:
        calls.append(None)
        return recorded(*arguments)

    monkeypatch.setattr(Captured, "_record", counted)
    config = types.SimpleNamespace(loss="mean", factor=0.0)
    x = torch.ones(1)
    step = torch.capture(lambda: x * config.factor if config.loss == "mean" else x)
    for _ in range(4):
        config.loss, config.factor = "".join(["me", "an"]), float("0.0")
        step()
        assert len(calls) == 1
    config.factor = -0.0
    assert math.copysign(1, step().item()) == -1
    assert len(calls) == 2

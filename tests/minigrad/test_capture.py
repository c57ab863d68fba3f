"""`capture`: a replayed step does what the step does, in every bit, or says why it cannot."""

import functools
import inspect
import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad as torch
from minigrad import Tensor, nn, optim
from minigrad.architectures import ARCHITECTURES, build
from minigrad.capture import conditions
from minigrad.capture.replay import Replay
from minigrad.capture.surroundings import Surroundings
from parity.engines.adapters.minigrad import MinigradCapturedEngine, MinigradEngine
from parity.engines.protocol import Task
from tests.minigrad.operations import FUZZ
from tests.minigrad.sessions import sessions

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")

X = np.linspace(-5, 5, 20, dtype=np.float32).reshape(-1, 1)


def network(*sizes: int) -> nn.Sequential:
    torch.manual_seed(0)
    return build(sizes or (1, 8, 1))


def bits(value: Any) -> Any:
    """What two results have in common that are the same in every bit.

    All NaNs count as equal: of two, NumPy's sums and products return either, by where in an array
    they stand and whether the result takes an operand's place.
    """
    if isinstance(value, Tensor):
        array = value.detach().numpy()
        if array.dtype.kind == "f":
            array = np.where(np.isnan(array), np.nan, array).astype(array.dtype)
        return array.dtype.str, array.shape, array.tobytes()
    if isinstance(value, (tuple, list)):
        return type(value), [bits(part) for part in value]
    if isinstance(value, dict):
        return {key: bits(part) for key, part in value.items()}
    return value


def scope_of(code: str, **names: Any) -> dict[str, Any]:
    """Run the code of a session from `STEPS`; return its variables, with those that it may use."""
    model = network()
    scope = {
        "torch": torch,
        "nn": nn,
        "optim": optim,
        "np": np,
        "network": network,
        "model": model,
        "optimizer": optim.SGD(model.parameters(), lr=0.01),
        "x": torch.from_numpy(X),
        "calls": [()] * 5,
        "change": lambda: None,
        "runs": [],
        **names,
    }
    exec(compile(code, "session", "exec"), scope)
    return scope


def state(scope: dict[str, Any]) -> list[Any]:
    """Return what a step may change: its tensors, their gradients, and momentum buffers."""
    optimizer = scope["optimizer"]
    tensors = [value for value in scope.values() if isinstance(value, Tensor)]
    tensors += [p for group in optimizer.param_groups for p in group["params"]]
    buffers = [entry["momentum_buffer"] for entry in optimizer.state.values() if entry]
    return [*tensors, *(each.grad for each in tensors), *buffers]


def assert_same(code: str, **names: Any) -> dict[str, Any]:
    """Check that a session's step and the captured step agree in what they return and change.

    Args:
        code: defines `step`; may define `calls`, the arguments of each call, and `change`, which
            is called before each.
        names: what it may use besides.

    Returns:
        the variables of the captured step's session, and the step as `captured`.
    """
    eager, scope = (scope_of(code, **names) for _ in range(2))
    captured = scope["captured"] = torch.capture(scope["step"])
    for i, arguments in enumerate(eager["calls"]):
        eager["change"]()
        scope["change"]()
        expected, actual = eager["step"](*arguments), captured(*arguments)
        assert bits(actual) == bits(expected), f"call {i}"
        assert bits(state(scope)) == bits(state(eager)), f"after call {i}"
    return scope


def test_a_step_runs_once() -> None:
    runs = itertools.count()

    @torch.capture
    def double(x: Tensor) -> Any:
        """Twice as much."""
        next(runs)
        return x * 2

    for value in (1.0, 2.0, 3.0):
        assert double(torch.tensor([value])).tolist() == [2 * value]
    assert next(runs) == 1
    assert double.__name__ == "double"
    assert double.__doc__ == "Twice as much."


ANY_NETWORK = """
torch.manual_seed(seed)
layers = []
for fan_in, fan_out in zip([2, *widths], [*widths, 1]):
    layers += [nn.Linear(fan_in, fan_out, dtype=dtype), activation()]
model = nn.Sequential(*layers[:-1])
optimizer = optim.SGD(model.parameters(), **options)
x = torch.rand(batch, 2, dtype=dtype) * 4 - 2
y = (x * x).sum(1, keepdim=True)
def step():
    runs.append(1)
    optimizer.zero_grad()
    loss = nn.functional.mse_loss(model(x), y)
    loss.backward()
    optimizer.step()
    return loss
"""


@pytest.mark.parametrize("more", [None, {}, {"nesterov": True}, {"dampening": 0.3}], ids=str)
@settings(max_examples=50 if FUZZ else 3, deadline=None)
@given(
    st.fixed_dictionaries(
        {
            "widths": st.lists(st.integers(1, 40), min_size=1, max_size=5),
            "activation": st.sampled_from([nn.ReLU, nn.Tanh, nn.Sigmoid]),
            "dtype": st.sampled_from([torch.float32, torch.float64]),
            "batch": st.integers(1, 70),
            "seed": st.integers(0, 2**32),
        }
    ),
    st.fixed_dictionaries(
        {"momentum": st.sampled_from([0.5, 0.9])},
        optional={
            "lr": st.sampled_from([0.0, 1e-3, 0.1, 10.0]),
            "weight_decay": st.sampled_from([0.01, 1.0]),
            "maximize": st.booleans(),
        },
    ),
)
def test_training_of_any_network(
    more: dict[str, Any] | None, names: dict[str, Any], options: dict[str, Any]
) -> None:
    options = options | ({"momentum": 0.0} if more is None else more)
    scope = assert_same(ANY_NETWORK, options=options, **names)
    assert len(scope["runs"]) == (
        2 if more is None else 3
    )  # once more for `runs`, once for buffers


@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_three_networks(name: str, dtype: Any) -> None:
    """`make fuzz` trains them to the end."""
    architecture = ARCHITECTURES[name]
    eager, captured = (MinigradEngine(), MinigradCapturedEngine())
    epochs = architecture.epochs if FUZZ else 12
    task = Task(architecture.sizes, epochs, 0.01, 100, 3, str(dtype), "cpu")
    start = eager.draw(task)
    for engine in (eager, captured):
        engine.load(task, start)
    for _ in range(epochs):
        assert bits(captured.step()) == bits(eager.step())
    assert {n: p.tobytes() for n, p in captured.parameters().items()} == {
        n: p.tobytes() for n, p in eager.parameters().items()
    }


# ---- arguments --------------------------------------------------------------------------------


def test_arguments_are_copied() -> None:
    double = torch.capture(lambda x: x * 2)
    x = torch.tensor([1.0, 2.0])
    results = [double(x), double(x), double(torch.tensor([3.0, 4.0]))]
    x.zero_()
    assert [r.tolist() for r in results] == [[2.0, 4.0], [2.0, 4.0], [6.0, 8.0]]


def test_other_shapes_dtypes_and_strides_are_recorded_by_themselves() -> None:
    runs = []

    @torch.capture
    def product(x: Tensor, y: Tensor) -> Any:
        runs.append((x.shape, x.dtype))
        return x @ y

    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 5, 5))
    for _ in range(2):
        for x, y in [
            (a, b),
            (a.astype(np.float32), b.astype(np.float32)),
            (a[:3], b),
            (a.T, b),
            (a[::2, 1:], b[1:]),
            (a[:, ::2], b[:3]),
            (np.lib.stride_tricks.as_strided(a[0], (5, 5), (0, a.itemsize)), b),
        ]:
            one, other = Tensor._wrapped(x), Tensor._wrapped(y)
            assert bits(product(one, other)) == bits(one @ other)
    assert len(runs) == 2 * 7  # for it changes `runs`


def test_arguments_in_containers_and_by_name() -> None:
    def step(batch: Any, *, scale: Any, flag: bool = False) -> Any:
        x, rest = batch
        return {"sum": x * scale["by"] + rest[0], "flag": flag}

    captured = torch.capture(step)
    for i in (1.0, 2.0):
        for flag in (True, False):
            x, y, z = (torch.tensor([i * k]) for k in (1, 2, 3))
            options: dict[str, Any] = {"scale": {"by": z}, "flag": flag}
            assert bits(captured((x, [y]), **options)) == bits(step((x, [y]), **options))


def test_arguments_that_are_no_tensors_are_told_apart() -> None:
    runs = []

    @torch.capture
    def power(x: Tensor, exponent: Any) -> Any:
        runs.append(exponent)
        return x**exponent

    x = torch.tensor([2.0])
    for exponent in (1, 1.0, 2, -0.0, 0.0, 2):
        assert bits(power(x, exponent)) == bits(x**exponent)
    assert runs == [1, 1.0, 2, -0.0, 0.0, 2]  # 2 is recorded again, for the step changes `runs`


def test_an_argument_that_cannot_be_told_apart_is_refused() -> None:
    with pytest.raises(TypeError, match="from_numpy"):
        torch.capture(lambda x: x)(np.zeros(2))


def test_gradients_of_arguments_are_added_to_theirs() -> None:
    def step(x: Tensor) -> Any:
        loss = (x * x).sum()
        loss.backward()
        return loss

    captured = torch.capture(step)
    x, y = (torch.tensor([1.0, 2.0], requires_grad=True) for _ in range(2))
    for _ in range(3):
        step(x)
        captured(y)
        assert bits(x.grad) == bits(y.grad)
    z = torch.tensor([5.0, 0.0], requires_grad=True)
    captured(z)
    assert z.grad is not None
    assert z.grad.tolist() == [10.0, 0.0]


def test_an_argument_that_is_returned_is_the_argument() -> None:
    captured = torch.capture(lambda x: (x, x * 2))
    for _ in range(2):
        x = torch.tensor([1.0])
        assert captured(x)[0] is x


# ---- results ----------------------------------------------------------------------------------


def test_results_are_copies_without_history() -> None:
    w = torch.tensor([3.0], requires_grad=True)
    captured = torch.capture(lambda x: [w * x, {"none": None, "number": 5}])
    first = captured(torch.tensor([1.0]))
    second = captured(torch.tensor([2.0]))
    assert first[0].tolist() == [3.0]
    assert second[0].tolist() == [6.0]
    assert not first[0].requires_grad
    assert not second[0].requires_grad
    assert second[1] == {"none": None, "number": 5}
    assert second[1] is not first[1]


def test_a_tensor_that_was_there_is_returned_itself() -> None:
    w = torch.tensor([3.0], requires_grad=True)
    captured = torch.capture(lambda: (w.detach().mul(2), w))
    assert captured()[1] is captured()[1] is w


# ---- what tensors hold ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("owner", "name", "defect"),
    [
        (Replay, "_conditions", lambda self: []),
        (Replay, "_left_behind", lambda self: []),
        (Replay, "_move", lambda self, memory: None),
        (conditions, "_update_arrays", lambda optimizer: None),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_planted_defects_are_found(
    owner: Any, name: str, defect: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owner, name, defect)
    with pytest.raises((AssertionError, AttributeError, KeyError)):
        if name == "_left_behind":
            test_gradients_are_found_where_they_were()
        else:
            assert_same(STEPS["parameters can be changed between calls"])
            assert_same(STEPS["changes in place"])


def test_gradients_are_found_where_they_were() -> None:
    w = torch.tensor([1.0, 2.0], requires_grad=True)

    @torch.capture
    def step(x: Tensor) -> None:
        w.grad = None
        (w * x).sum().backward()

    step(torch.tensor([1.0, 2.0]))
    grad, array = w.grad, w.grad.numpy()  # type: ignore[union-attr]
    step(torch.tensor([3.0, 4.0]))
    assert w.grad is grad
    assert array.tolist() == [3.0, 4.0]
    w.grad = None
    step(torch.tensor([5.0, 6.0]))
    assert w.grad is grad
    assert array.tolist() == [5.0, 6.0]


def test_a_graph_that_was_made_before_notices_the_change() -> None:
    w = torch.tensor([1.0, 2.0], requires_grad=True)
    optimizer = optim.SGD([w], lr=0.1)

    @torch.capture
    def step() -> None:
        optimizer.zero_grad()
        (w * w).sum().backward()
        optimizer.step()

    for _ in range(3):
        loss = (w * w).sum()
        step()
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            loss.backward()
        (w * w).sum().backward()  # a graph made since does not


def test_changing_one_parameter_leaves_the_graph_of_another() -> None:
    """They lie in one piece of memory, once a step was captured."""
    model = network()
    optimizer = optim.SGD(model.parameters(), lr=0.1)

    @torch.capture
    def step() -> None:
        model(torch.from_numpy(X)).sum().backward()
        optimizer.step()

    step()
    loss = (model[0].weight * model[0].weight).sum()
    with torch.no_grad():
        model[0].bias.add_(1)
    loss.backward()


def test_memory_that_others_refer_to_is_not_moved() -> None:
    model = network()
    views = [p.detach().numpy() for p in model.parameters()]
    state = model.state_dict()
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    x = torch.from_numpy(X)

    @torch.capture
    def step() -> None:
        optimizer.zero_grad()
        model(x).square().mean().backward()
        optimizer.step()

    for _ in range(3):
        step()
    for p, view, saved in zip(model.parameters(), views, state.values(), strict=True):
        assert np.shares_memory(p.detach().numpy(), view)
        assert bits(p) == bits(saved)


# ---- variables --------------------------------------------------------------------------------


def test_a_variable_that_was_changed() -> None:
    scale: Any = torch.tensor([2.0])
    captured = torch.capture(lambda x: x * scale)
    x = torch.tensor([1.0])
    seen = [captured(x).item()]
    for scale in (torch.tensor([3.0]), 4.0, 5):  # noqa: B007
        seen += [captured(x).item(), captured(x).item()]
    assert seen == [2.0, 3.0, 3.0, 4.0, 4.0, 5.0, 5.0]


SCALE = 2.0


class Scaled(nn.Module):
    """A model that refers to a global variable."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * SCALE

    def scaled(self, x: torch.Tensor) -> torch.Tensor:
        return self.forward(x)


def scaled(x: torch.Tensor) -> torch.Tensor:
    return x * SCALE


def twice_scaled(x: torch.Tensor) -> torch.Tensor:
    return scaled(x) * 2


@torch.no_grad()
def unrecorded(x: torch.Tensor) -> torch.Tensor:
    return x * SCALE


def with_a_local(x: torch.Tensor) -> torch.Tensor:
    """The local variable is no other one that is set."""
    SCALE = 1.0
    return scaled(x) * (lambda: SCALE)()


class Lazy:
    """An object that answers to no attribute."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)


LAZY = Lazy()
PARTLY = functools.partial(scaled, torch.tensor([1.0]))
MODEL = Scaled()
SEQUENCE = nn.Sequential(MODEL)
CALLED: dict[str, Any] = {
    "function": lambda x: scaled(x),
    "functions": lambda x: twice_scaled(x) / 2,
    "model": lambda x: MODEL(x),
    "model in another": lambda x: SEQUENCE(x),
    "itself": MODEL,
    "function of a decorator": lambda x: unrecorded(x),
    "decorated": torch.no_grad()(lambda x: x * SCALE),
    "partial": lambda x: PARTLY(),
    "function with a local of that name": lambda x: with_a_local(x),
    "beside an object of no attributes": lambda x: scaled(x) if LAZY is not None else x,
}


@pytest.mark.parametrize("called", CALLED)
def test_a_variable_of_what_a_step_calls_was_changed(
    called: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They were compared for the step itself, and not for the functions that it calls."""
    captured, x = torch.capture(CALLED[called]), torch.tensor([1.0])
    seen = [captured(x).item(), captured(x).item()]
    for scale in (3.0, torch.tensor([4.0])):
        monkeypatch.setitem(globals(), "SCALE", scale)
        seen += [captured(x).item(), captured(x).item()]
    assert seen == [2.0, 2.0, 3.0, 3.0, 4.0, 4.0]


def test_a_variable_that_a_step_sets_is_not_compared() -> None:
    calls = 0

    def counted(x: torch.Tensor) -> torch.Tensor:
        nonlocal calls
        calls += 1
        return x * 2

    captured, x = torch.capture(lambda x: counted(x)), torch.tensor([1.0])
    assert [captured(x).item() for _ in range(4)] == [2.0] * 4
    assert calls == 2  # once more, in case that it changes what is computed


def test_what_libraries_bring_along_is_not_compared() -> None:
    def step(x: torch.Tensor) -> torch.Tensor:
        return x * len(inspect.signature(np.linalg.norm).parameters)

    def keys(step: Any) -> set[Any]:
        return {place.key for place in Surroundings(step)._places.values()}

    default_dtype = 0
    assert keys(step) == {default_dtype, "inspect", "np"}
    keywords = None
    partial = functools.partial(np.apply_along_axis, np.linalg.norm)
    assert keys(partial) == {default_dtype, keywords}


# ---- what a step may do -----------------------------------------------------------------------

STEPS = sessions("""
# gradients can be returned
w = torch.tensor([1.0, 2.0], requires_grad=True)
def step(x):
    return torch.autograd.grad((w * w * x).sum(), [w])
calls = [(torch.tensor([i, 1.0]),) for i in (1.0, 2.0, 3.0)]

# parameters can be changed between calls
optimizer = optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
changes = iter('''
pass
model.load_state_dict({name: value * 0.5 for name, value in network().state_dict().items()})
with torch.no_grad(): model[0].weight.add_(1)
model[0].weight.data = torch.ones(8, 1)
optimizer.zero_grad()
optimizer.zero_grad(set_to_none=False)
optimizer.load_state_dict(optimizer.state_dict())
optimizer.state.clear()
optimizer.param_groups[0]["lr"] = 0.1
optimizer.param_groups[0]["momentum"] = 0
optimizer.param_groups[0]["momentum"] = 0.5
optimizer.param_groups[0].update(nesterov=True, weight_decay=0.1)
model[0].requires_grad_(False)
model[0].requires_grad_(True)
'''.splitlines())
def change():
    exec(next(changes, ""))
def step():
    loss = model(x).square().mean()
    loss.backward()
    optimizer.step()
    return loss
calls = [()] * 18

# hooks
for p in model.parameters():
    p.register_hook(lambda grad: grad.tanh() * 2)
    p.register_hook(lambda grad: None)
def step():
    optimizer.zero_grad()
    hidden = model[0](x)
    hidden.register_hook(lambda grad: grad * 0.5)
    loss = model[2](model[1](hidden)).square().mean()
    loss.backward()
    optimizer.step()
    return loss

# clipping gradients without reading them
optimizer = optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
def step():
    optimizer.zero_grad()
    loss = model(x).square().mean()
    loss.backward()
    grads = [p.grad for p in model.parameters()]
    norm = torch.stack([(g * g).sum() for g in grads]).sum().sqrt()
    for g in grads:
        g.mul_(torch.minimum(1 / norm, torch.tensor(1.0)))
    optimizer.step()
    return loss, norm

# second derivatives
w = torch.tensor([1.0, 2.0], requires_grad=True)
def step(x):
    (g,) = torch.autograd.grad((w**3 * x).sum(), [w], create_graph=True)
    w.grad = None
    (g * g).sum().backward()
    return g, torch.autograd.functional.hessian(lambda v: (v**3).sum(), x)
calls = [(torch.tensor([i, 2.0]),) for i in (1.0, 2.0, 3.0)]

# several steps of an optimizer in one
optimizer = optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
def step():
    losses = []
    for _ in range(3):
        optimizer.zero_grad()
        loss = model(x).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(loss)
    return losses

# a closure
def step():
    def closure():
        optimizer.zero_grad()
        loss = model(x).square().mean()
        loss.backward()
        return loss
    return optimizer.step(closure)

# several groups and a learning rate that is a tensor
model = network(1, 4, 4, 1)
rate = torch.tensor([0.01])
weights = [p for p in model.parameters() if p.ndim == 2]
biases = [p for p in model.parameters() if p.ndim == 1]
groups = [{"params": weights, "weight_decay": 0.1}, {"params": biases, "lr": rate}]
optimizer = optim.SGD(groups, lr=0.02, momentum=0.9)
def step(decay):
    optimizer.zero_grad()
    loss = model(x).square().mean()
    loss.backward()
    optimizer.step()
    rate.mul_(decay)
    return loss
calls = [(torch.tensor(0.5),)] * 6

# changes in place
total = torch.zeros(3)
matrix = torch.zeros(3, 3)
def step(x):
    total.add_(x)
    total[1] = x[0] * 2
    matrix[0, 1:] += x[1:]
    fresh = torch.zeros(3)
    fresh += x
    fresh[torch.tensor([0, 0])] = x[:2]
    y = (x * 2).clone()
    y[:] = total
    return fresh, y, fresh[torch.tensor([2, 0, 0])], matrix.sum(0)
calls = [(torch.tensor([i, 2.0, 3.0]),) for i in (1.0, 2.0, 3.0)]

# data is replaced in place
w = torch.tensor([1.0, 2.0], requires_grad=True)
def step():
    loss = (w * w).sum()
    loss.backward()
    w.data = w.data - 0.1 * w.grad.data
    w.grad = None
    return loss

# nothing at all
def step():
    pass

# empty tensors
def step(x):
    return x * 2, x.sum(), x @ x.T
calls = [(torch.zeros(0, 3),)] * 3
""")
ACCUMULATED = """
def step(factor, last):
    loss = model(x * factor).square().mean()
    loss.backward()
    if last:
        optimizer.step()
        optimizer.zero_grad(set_to_none)
    return loss
calls = [(torch.tensor(float(i)), i % 3 == 2) for i in range(12)]
"""
WITHOUT_ELEMENTS = """
parameters = [torch.ones(n, requires_grad=True) for n in sizes]
optimizer = optim.SGD(parameters, lr=0.1, momentum=0.5)
def step():
    optimizer.zero_grad()
    loss = torch.zeros(())
    for parameter in parameters:
        loss = loss + (parameter * parameter).sum()
    loss.backward()
    optimizer.step()
    return loss
"""


@pytest.mark.parametrize("name", STEPS)
def test_what_a_step_may_do(name: str) -> None:
    assert_same(STEPS[name])


@pytest.mark.parametrize("set_to_none", [True, False])
def test_gradients_that_are_accumulated(set_to_none: bool) -> None:
    captured = assert_same(ACCUMULATED, set_to_none=set_to_none)["captured"]
    assert sum(map(len, captured._replays.values())) <= 4


@pytest.mark.parametrize("sizes", [(0, 3), (3, 0, 2), (0, 0, 2, 4)])
def test_parameters_without_elements(sizes: tuple[int, ...]) -> None:
    assert_same(WITHOUT_ELEMENTS, sizes=sizes)


def test_with_and_without_recording_of_gradients() -> None:
    w = torch.tensor([2.0], requires_grad=True)

    @torch.capture
    def step() -> bool:
        return (w * 2).requires_grad

    with torch.no_grad():
        assert step() is False
    assert step() is True


def test_a_captured_step_within_another() -> None:
    inner = torch.capture(lambda x: x * 2)
    outer = torch.capture(lambda x: inner(x) + inner(x + 1))
    x = torch.tensor([1.0])
    inner(x)
    for value in (1.0, 2.0, 3.0):
        assert outer(torch.tensor([value])).tolist() == [4 * value + 2]
    assert inner(x).tolist() == [2.0]

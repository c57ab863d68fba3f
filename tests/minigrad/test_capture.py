"""`capture`: a replayed step does what the step does, in every bit, or says why it cannot."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad as torch
from minigrad import CaptureError, Tensor, nn, optim
from minigrad.architectures import ARCHITECTURES, build
from minigrad.capture import conditions
from minigrad.capture.replay import Replay
from parity.engines.adapters.minigrad import MinigradCapturedEngine, MinigradEngine
from parity.engines.protocol import Task
from tests.minigrad.operations import FUZZ

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


def assert_same(make: Callable[[], tuple[Callable[..., Any], list[Any]]], *calls: Any) -> Any:
    """Check that a step and the captured step agree on what they return, and on their tensors.

    Args:
        make: returns a new step, and the tensors that it changes or functions that find them. If
            the step has an attribute `change`, that is called before each call.
        calls: the arguments of each call, by default none, five times.

    Returns:
        the captured step.
    """
    eager, state = make()
    step, captured_state = make()
    captured = torch.capture(step)
    for i, arguments in enumerate(calls or [()] * 5):
        for before in (eager, step):
            getattr(before, "change", lambda: None)()
        expected, actual = eager(*arguments), captured(*arguments)
        assert bits(actual) == bits(expected), f"call {i}"
        for there, here in zip(state, captured_state, strict=True):
            if callable(there) and not isinstance(there, Tensor):
                there, here = there(), here()
            assert bits(here) == bits(there), f"after call {i}"
    return captured


def on_network(
    body: Callable[..., Any], **options: Any
) -> Callable[[], tuple[Callable[..., Any], list[Any]]]:
    """What makes steps that call `body(model, optimizer, x, *arguments)` on a new network."""

    def make() -> tuple[Callable[..., Any], list[Any]]:
        model = network()
        optimizer = optim.SGD(model.parameters(), lr=0.01, **options)
        x = torch.from_numpy(X)
        return lambda *arguments: body(model, optimizer, x, *arguments), trained(model, optimizer)

    return make


def trained(model: Any, optimizer: Any) -> list[Any]:
    """What a training step changes."""
    return [
        *model.parameters(),
        lambda: [p.grad for p in model.parameters()],
        lambda: [s["momentum_buffer"] for s in optimizer.state.values() if s],
    ]


def training(
    options: dict[str, Any] | None = None, sizes: tuple[int, ...] = (), batch: Any = X
) -> tuple[Callable[..., Any], list[Any]]:
    model = network(*sizes)
    optimizer = optim.SGD(model.parameters(), **{"lr": 0.01, **(options or {})})
    x, y = torch.from_numpy(batch), torch.from_numpy(batch**2)
    loss_function = nn.MSELoss()

    def step() -> Any:
        optimizer.zero_grad()
        loss = loss_function(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    return step, trained(model, optimizer)


OPTIONS: list[dict[str, Any]] = [
    {},
    {"momentum": 0.9},
    {"momentum": 0.9, "dampening": 0.5},
    {"momentum": 0.9, "nesterov": True},
    {"weight_decay": 0.1},
    {"maximize": True},
    {"momentum": 0.5, "weight_decay": 0.1, "maximize": True, "dampening": 0.1},
    {"lr": 0},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_a_training_step(options: dict[str, Any]) -> None:
    assert_same(lambda: training(options))


def test_a_step_runs_once() -> None:
    runs = []

    @torch.capture
    def double(x: Tensor) -> Any:
        """Twice as much."""
        runs.append(1)
        return x * 2

    for value in (1.0, 2.0, 3.0):
        assert double(torch.tensor([value])).tolist() == [2 * value]
    assert len(runs) == 1
    assert double.__name__ == "double"  # type: ignore[attr-defined]
    assert double.__doc__ == "Twice as much."


def test_a_training_step_is_recorded_once() -> None:
    runs = 0
    model = network()
    optimizer = optim.SGD(model.parameters(), lr=0.01)
    x = torch.from_numpy(X)

    @torch.capture
    def step() -> None:
        nonlocal runs
        runs += 1
        optimizer.zero_grad()
        model(x).square().mean().backward()
        optimizer.step()

    for _ in range(5):
        step()
    assert runs == 1


@settings(max_examples=200 if FUZZ else 10, deadline=None)
@given(
    st.lists(st.integers(1, 40), min_size=1, max_size=5),
    st.sampled_from([nn.ReLU, nn.Tanh, nn.Sigmoid]),
    st.fixed_dictionaries(
        {},
        optional={
            "lr": st.sampled_from([0.0, 1e-3, 0.1, 10.0]),
            "momentum": st.sampled_from([0.5, 0.9]),
            "weight_decay": st.sampled_from([0.01, 1.0]),
            "maximize": st.booleans(),
        },
    ),
    st.sampled_from([{}, {"nesterov": True}, {"dampening": 0.3}]),
    st.sampled_from([torch.float32, torch.float64]),
    st.integers(1, 70),
    st.integers(0, 2**32),
)
def test_training_of_any_network(
    widths: list[int],
    activation: Any,
    options: dict[str, Any],
    more: dict[str, Any],
    dtype: Any,
    batch: int,
    seed: int,
) -> None:
    if "momentum" in options:
        options = options | more

    def make() -> tuple[Callable[..., Any], list[Any]]:
        torch.manual_seed(seed)
        sizes = [2, *widths, 1]
        layers: list[nn.Module] = []
        for fan_in, fan_out in pairwise(sizes):
            layers += [nn.Linear(fan_in, fan_out, dtype=dtype), activation()]
        model = nn.Sequential(*layers[:-1])
        optimizer = optim.SGD(model.parameters(), **options)
        x = torch.rand(batch, 2, dtype=dtype) * 4 - 2
        y = (x * x).sum(1, keepdim=True)

        def step() -> Any:
            optimizer.zero_grad()
            loss = nn.functional.mse_loss(model(x), y)
            loss.backward()
            optimizer.step()
            return loss

        return step, trained(model, optimizer)

    assert_same(make, *[()] * 6)


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
            (a[::-1], b),
            (np.broadcast_to(a[0], (5, 5)), b),
        ]:
            actual = product(torch.from_numpy(x), torch.from_numpy(y))
            assert bits(actual) == bits(torch.from_numpy(x) @ torch.from_numpy(y))
    assert len(runs) == 7


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
    assert runs == [1, 1.0, 2, 0.0, 0.0]


def test_an_argument_that_cannot_be_told_apart_is_refused() -> None:
    with pytest.raises(TypeError, match="from_numpy"):
        torch.capture(lambda x: x)(np.zeros(2))


def test_an_argument_that_is_changed_is_refused() -> None:
    with pytest.raises(CaptureError, match=r"test_capture.py.*x\.add_.*changes argument 0"):
        torch.capture(lambda x: x.add_(1))(torch.tensor([1.0]))


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


def test_gradients_can_be_returned() -> None:
    def make() -> tuple[Callable[..., Any], list[Any]]:
        w = torch.tensor([1.0, 2.0], requires_grad=True)

        def step(x: Tensor) -> Any:
            return torch.autograd.grad((w * w * x).sum(), [w])

        return step, [w]

    assert_same(make, *[(torch.tensor([i, 1.0]),) for i in (1.0, 2.0, 3.0)])


# ---- what tensors hold ------------------------------------------------------------------------


def test_parameters_can_be_changed_between_calls() -> None:
    other = network()
    with torch.no_grad():
        for p in other.parameters():
            p.mul_(0.5)

    def make() -> tuple[Callable[..., Any], list[Any]]:
        model = network()
        optimizer = optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
        x = torch.from_numpy(X)
        count = 0

        def change() -> None:
            nonlocal count
            count += 1
            if count == 3:
                model.load_state_dict(other.state_dict())
            if count == 4:
                with torch.no_grad():
                    model[0].weight.add_(1)
            if count == 5:
                model[0].weight.data = torch.ones(8, 1)
            if count == 6:
                optimizer.zero_grad()
            if count == 7:
                optimizer.zero_grad(set_to_none=False)
            if count == 8:
                optimizer.load_state_dict(optimizer.state_dict())
            if count == 9:
                optimizer.state.clear()
            if count == 10:
                optimizer.param_groups[0]["lr"] = 0.1
            if count == 11:
                optimizer.param_groups[0]["momentum"] = 0
            if count == 12:
                optimizer.param_groups[0]["momentum"] = 0.5
            if count == 13:
                optimizer.param_groups[0].update(nesterov=True, weight_decay=0.1)
            if count == 14:
                model[0].requires_grad_(False)
            if count == 15:
                model[0].requires_grad_(True)

        def step() -> Any:
            loss = model(x).square().mean()
            loss.backward()
            optimizer.step()
            return loss

        step.change = change  # type: ignore[attr-defined]
        return step, trained(model, optimizer)

    assert_same(make, *[()] * 18)


@pytest.mark.parametrize(
    ("owner", "name", "defect"),
    [
        (Replay, "_conditions", lambda self: []),
        (Replay, "_left_behind", lambda self: []),
        (Replay, "_move", lambda self, memory: [None] * len(self._recorded.tensors)),
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
            test_parameters_can_be_changed_between_calls()


@pytest.mark.parametrize("set_to_none", [True, False])
def test_gradients_that_are_accumulated(set_to_none: bool) -> None:
    def step(model: Any, optimizer: Any, x: Tensor, factor: Tensor, last: bool) -> Any:
        loss = model(x * factor).square().mean()
        loss.backward()
        if last:
            optimizer.step()
            optimizer.zero_grad(set_to_none)
        return loss

    calls = [(torch.tensor(float(i)), i % 3 == 2) for i in range(12)]
    captured = assert_same(on_network(step), *calls)
    assert sum(map(len, captured._replays.values())) <= 4


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
    _step, _ = training()
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    torch.capture(lambda: (model(torch.from_numpy(X)).sum().backward(), optimizer.step()))()
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


# ---- what a step may do -----------------------------------------------------------------------


def test_hooks() -> None:
    def make() -> tuple[Callable[..., Any], list[Any]]:
        model = network()
        optimizer = optim.SGD(model.parameters(), lr=0.01)
        for p in model.parameters():
            p.register_hook(lambda grad: grad.tanh() * 2)
            p.register_hook(lambda grad: None)
        x = torch.from_numpy(X)

        def step() -> Any:
            optimizer.zero_grad()
            hidden = model[0](x)
            hidden.register_hook(lambda grad: grad * 0.5)
            loss = model[2](model[1](hidden)).square().mean()
            loss.backward()
            optimizer.step()
            return loss

        return step, trained(model, optimizer)

    assert_same(make)


def test_clipping_gradients_without_reading_them() -> None:
    def step(model: Any, optimizer: Any, x: Tensor) -> Any:
        optimizer.zero_grad()
        loss = model(x).square().mean()
        loss.backward()
        grads: list[Any] = [p.grad for p in model.parameters()]
        norm = torch.stack([(g * g).sum() for g in grads]).sum().sqrt()
        for g in grads:
            g.mul_(torch.minimum(1 / norm, torch.tensor(1.0)))
        optimizer.step()
        return loss, norm

    assert_same(on_network(step, momentum=0.9))


def test_second_derivatives() -> None:
    def make() -> tuple[Callable[..., Any], list[Any]]:
        w = torch.tensor([1.0, 2.0], requires_grad=True)

        def step(x: Tensor) -> Any:
            (g,) = torch.autograd.grad((w**3 * x).sum(), [w], create_graph=True)
            w.grad = None
            (g * g).sum().backward()
            return g, torch.autograd.functional.hessian(lambda v: (v**3).sum(), x)

        return step, [w, lambda: w.grad]

    assert_same(make, *[(torch.tensor([i, 2.0]),) for i in (1.0, 2.0, 3.0)])


def test_several_steps_of_an_optimizer_in_one() -> None:
    def step(model: Any, optimizer: Any, x: Tensor) -> list[Tensor]:
        losses = []
        for _ in range(3):
            optimizer.zero_grad()
            loss = model(x).square().mean()
            loss.backward()
            optimizer.step()
            losses.append(loss)
        return losses

    assert_same(on_network(step, momentum=0.9))


def test_a_closure() -> None:
    def step(model: Any, optimizer: Any, x: Tensor) -> Any:
        def closure() -> Any:
            optimizer.zero_grad()
            loss: Tensor = model(x).square().mean()
            loss.backward()
            return loss

        return optimizer.step(closure)

    assert_same(on_network(step))


def test_several_groups_and_a_learning_rate_that_is_a_tensor() -> None:
    def make() -> tuple[Callable[..., Any], list[Any]]:
        model = network(1, 4, 4, 1)
        rate = torch.tensor([0.01])
        weights = [p for p in model.parameters() if p.ndim == 2]
        biases = [p for p in model.parameters() if p.ndim == 1]
        optimizer = optim.SGD(
            [{"params": weights, "weight_decay": 0.1}, {"params": biases, "lr": rate}],
            lr=0.02,
            momentum=0.9,
        )
        x = torch.from_numpy(X)

        def step(decay: Tensor) -> Any:
            optimizer.zero_grad()
            loss = model(x).square().mean()
            loss.backward()
            optimizer.step()
            rate.mul_(decay)
            return loss

        return step, [*trained(model, optimizer), rate]

    assert_same(make, *[(torch.tensor(0.5),)] * 6)


def test_changes_in_place() -> None:
    def make() -> tuple[Callable[..., Any], list[Any]]:
        total = torch.zeros(3)
        matrix = torch.zeros(3, 3)

        def step(x: Tensor) -> Any:
            total.add_(x)
            total[1] = x[0] * 2
            matrix[0, 1:] += x[1:]
            fresh = torch.zeros(3)
            fresh += x
            fresh[torch.tensor([0, 0])] = x[:2]
            y = (x * 2).clone()
            y[:] = total
            return fresh, y, fresh[torch.tensor([2, 0, 0])], matrix.sum(0)

        return step, [total, matrix]

    assert_same(make, *[(torch.tensor([i, 2.0, 3.0]),) for i in (1.0, 2.0, 3.0)])


def test_data_is_replaced_in_place() -> None:
    def make() -> tuple[Callable[..., Any], list[Any]]:
        w: Any = torch.tensor([1.0, 2.0], requires_grad=True)

        def step() -> Any:
            loss = (w * w).sum()
            loss.backward()
            w.data = w.data - 0.1 * w.grad.data
            w.grad = None
            return loss

        return step, [w]

    assert_same(make)


def test_nothing_at_all() -> None:
    captured = torch.capture(lambda: None)
    assert captured() is None
    assert captured() is None


def test_empty_tensors() -> None:
    assert_same(lambda: (lambda x: (x * 2, x.sum(), x @ x.T), []), *[(torch.zeros(0, 3),)] * 3)


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


@pytest.mark.parametrize("sizes", [(0, 3), (3, 0, 2), (0, 0, 2, 4)])
def test_parameters_without_elements(sizes: tuple[int, ...]) -> None:
    def make() -> tuple[Callable[..., Any], list[Any]]:
        parameters = [torch.ones(n, requires_grad=True) for n in sizes]
        optimizer = optim.SGD(parameters, lr=0.1, momentum=0.5)

        def step() -> Tensor:
            optimizer.zero_grad()
            loss = torch.zeros(())
            for parameter in parameters:
                loss = loss + (parameter * parameter).sum()
            loss.backward()
            optimizer.step()
            return loss

        return step, parameters

    assert_same(make)

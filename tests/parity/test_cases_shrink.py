"""Shrinking, judged by verdicts made up for it."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

import minigrad
from minigrad import nn
from minigrad.architectures import build
from parity.cases.case import Case
from parity.cases.shrink import round_to, shrink
from parity.cases.shrink_steps import SAMPLES, keep, shallower
from parity.engines.protocol import Array, Start, Task
from parity.errors import UsageError
from tests.parity.samples import case_of

SIZES = (1, 6, 5, 4, 1)


def case(
    kind: str = "steps", sizes: tuple[int, ...] = SIZES, samples: int = 20, momentum: float = 0.9
) -> Case:
    return case_of(kind, Task(sizes, 100, 0.01, samples, 0, "float32", "cpu", momentum))


def failing(test: Callable[[Case], bool]) -> Callable[[Case], Mapping[str, Any]]:
    """A verdict that fails where `test` holds; it also checks that the case is whole."""

    def judge(candidate: Case) -> dict[str, Any]:
        check_shapes(candidate)
        return {"passed": not test(candidate), "sizes": candidate.task.sizes}

    return judge


def check_shapes(candidate: Case) -> None:
    task, start = candidate.task, candidate.start
    if start is None:
        return
    assert start.x.shape == (task.samples, task.sizes[0])
    assert start.y.shape == (task.samples, task.sizes[-1])
    shapes: dict[str, tuple[int, ...]] = {}
    for layer, (n, m) in enumerate(pairwise(task.sizes)):
        shapes |= {f"{2 * layer}.weight": (m, n), f"{2 * layer}.bias": (m,)}
    for arrays in (start.parameters, candidate.momentum_buffers):
        assert not arrays or {name: a.shape for name, a in arrays.items()} == shapes
        assert all(a.dtype == np.float32 and a.flags.c_contiguous for a in arrays.values())
    assert start.x.dtype == start.y.dtype == np.float32


def parameters(candidate: Case) -> dict[str, Array]:
    assert candidate.start is not None
    return candidate.start.parameters


# ---- how small it gets --------------------------------------------------------------------------


def test_what_always_fails_shrinks_to_nothing() -> None:
    found = shrink(case(), failing(lambda candidate: True))
    assert found.task == Task((1, 1), 1, 0.01, 1, 0, "float32", "cpu", 0.0)
    assert found.momentum_buffers == {}
    assert found.start is not None
    assert found.start.x.tolist() == found.start.y.tolist() == [[0]]
    assert [a.item() for a in parameters(found).values()] == [0, 0]
    assert found.verdict == {"passed": False, "sizes": (1, 1)}
    assert found.origin["architecture"] == "rightfit"
    assert found.origin["shrunk"]["stopped"] == "nothing more to leave out"
    assert found.origin["shrunk"]["trials"] < 30


def test_what_fails_in_one_case_alone_stays_as_it_is() -> None:
    whole = case()
    found = shrink(whole, failing(lambda candidate: False))
    assert replace(found, origin=whole.origin) is not whole
    assert replace(found, origin=whole.origin) == whole
    assert found.origin["shrunk"]["reductions"] == 0


def holds(array: Array, wanted: Array) -> bool:
    """Whether an array has all of these values, in their order."""
    values = array.ravel().tolist()
    return bool([v for v in values if v in wanted] == wanted.tolist())


@pytest.mark.parametrize("chosen", [[0], [19], [3, 4], [0, 7, 19], [5, 6, 12, 13, 18]])
def test_samples_that_matter_are_kept_and_no_others(chosen: list[int]) -> None:
    whole = case(sizes=(1, 1))
    assert whole.start is not None
    wanted = whole.start.y[chosen, 0]

    def fails(candidate: Case) -> bool:
        return candidate.start is not None and holds(candidate.start.y, wanted)

    found = shrink(whole, failing(fails))
    assert found.start is not None
    assert found.start.y[:, 0].tolist() == wanted.tolist()
    assert found.task.samples == len(chosen)


@pytest.mark.parametrize(("layer", "units"), [(0, [2]), (1, [0, 4]), (2, [1, 3])])
def test_units_that_matter_are_kept_and_no_others(layer: int, units: list[int]) -> None:
    """Of the layer with that bias; the layers beside it are left out or as narrow as can be."""
    whole = case()
    wanted = parameters(whole)[f"{2 * layer}.bias"][units]

    def fails(candidate: Case) -> bool:
        biases = [value for name, value in parameters(candidate).items() if "bias" in name]
        return len(biases) > 1 and any(holds(bias, wanted) for bias in biases[:-1])

    found = shrink(whole, failing(fails))
    assert found.task.sizes == (1, len(units), 1)
    assert parameters(found)["0.bias"].tolist() == wanted.tolist()


@pytest.mark.parametrize("epochs", [1, 2, 3, 7, 8, 9, 63, 64, 65, 99, 100])
def test_fewest_epochs(epochs: int) -> None:
    found = shrink(case(), failing(lambda candidate: candidate.task.epochs >= epochs))
    assert found.task.epochs == epochs


def test_momentum_that_matters_is_kept() -> None:
    found = shrink(case(), failing(lambda candidate: candidate.task.momentum > 0))
    assert (found.task.momentum, found.momentum_buffers) == (0.9, {})
    found = shrink(case(), failing(lambda candidate: bool(candidate.momentum_buffers)))
    assert [a.item() for a in found.momentum_buffers.values()] == [0, 0]


def test_what_is_drawn_shrinks_by_its_sizes() -> None:
    def fails(candidate: Case) -> bool:
        assert candidate.start is None
        sizes = candidate.task.sizes
        return candidate.task.samples >= 3 and max(sizes) >= 4 and sizes[0] == sizes[-1] == 1

    found = shrink(case("start"), failing(fails))
    assert (found.task.sizes, found.task.samples, found.task.epochs) == ((1, 4, 1), 3, 1)


def test_numbers_have_as_few_bits_as_will_do() -> None:
    whole = case(sizes=(1, 1))
    weight = float(parameters(whole)["0.weight"][0, 0])

    def fails(candidate: Case) -> bool:
        return bool(abs(parameters(candidate)["0.weight"].item() - weight) < abs(weight) / 100)

    found = shrink(whole, failing(fails))
    mantissa, _ = np.frexp(parameters(found)["0.weight"].item())
    assert (mantissa * 2**8).is_integer()
    assert fails(found)
    assert parameters(found)["0.bias"].item() == 0


# ---- that it ends -------------------------------------------------------------------------------


def test_it_stops_after_so_many_trials() -> None:
    calls = []

    def judge(candidate: Case) -> dict[str, Any]:
        calls.append(candidate)
        return {"passed": False}

    found = shrink(case(), judge, trials=3)
    assert len(calls) == found.origin["shrunk"]["trials"] == 3
    assert found.origin["shrunk"]["stopped"] == "trials"
    assert found.task == calls[-1].task  # the smallest so far


def test_it_stops_after_some_time() -> None:
    found = shrink(case(), failing(lambda candidate: True), seconds=0)
    assert found.origin["shrunk"] == {"trials": 0, "reductions": 0, "stopped": "time"}


def test_it_finds_the_same_every_time() -> None:
    def fails(candidate: Case) -> bool:
        digits = f"{abs(parameters(candidate)['0.weight']).sum():.3f}"
        return int(digits[-1]) % 3 > 0

    found = [shrink(case(), failing(fails)) for _ in range(2)]
    assert found[0].task == found[1].task
    assert found[0].origin == found[1].origin
    for name, array in parameters(found[0]).items():
        assert array.tobytes() == parameters(found[1])[name].tobytes()


@pytest.mark.parametrize("passed", [True, None])
def test_only_a_verdict_that_fails_counts(passed: bool | None) -> None:
    whole = case()
    found = shrink(whole, lambda candidate: {"passed": passed})
    assert found.task == whole.task
    assert found.verdict == whole.verdict


def test_a_case_that_cannot_be_judged_is_passed_over() -> None:
    def judge(candidate: Case) -> dict[str, Any]:
        if candidate.task.samples < 4:
            raise UsageError("too small a batch for this engine")
        return {"passed": False}

    assert shrink(case(), judge).task.samples == 4


def test_other_exceptions_are_not_hidden() -> None:
    def judge(candidate: Case) -> dict[str, Any]:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        shrink(case(), judge)


# ---- reductions ---------------------------------------------------------------------------------


def outputs(candidate: Case) -> minigrad.Tensor:
    return network(candidate)(minigrad.tensor(start_of(candidate).x))


def start_of(candidate: Case) -> Start:
    assert candidate.start is not None
    return candidate.start


def network(candidate: Case) -> nn.Sequential:
    model = build(candidate.task.sizes)
    state = {n: minigrad.tensor(a) for n, a in parameters(candidate).items()}
    model.load_state_dict(state)
    return model


def gradients(candidate: Case) -> dict[str, Array]:
    model = network(candidate)
    start = start_of(candidate)
    nn.MSELoss()(model(minigrad.tensor(start.x)), minigrad.tensor(start.y)).backward()
    return {n: p.grad.numpy() for n, p in model.named_parameters() if p.grad is not None}


def test_layers_left_out_leave_outputs_and_gradients_as_they_were() -> None:
    whole = case()
    before, last = gradients(whole), 2 * (len(SIZES) - 2)
    candidates = list(shallower(whole))
    sizes = [candidate.task.sizes for candidate in candidates]
    assert sizes[:3] == [(4, 1), (5, 4, 1), (6, 5, 4, 1)]
    assert sizes[3:] == [(1, 6), (1, 6), (1, 6, 5), (1, 6, 5), (1, 6, 5, 4), (1, 6, 5, 4)]
    for candidate in candidates:
        check_shapes(candidate)
    for candidate in candidates[:3]:
        assert_allclose(outputs(candidate).detach().numpy(), outputs(whole).detach().numpy(), 1e-6)
        after, shift = gradients(candidate), last - 2 * (len(candidate.task.sizes) - 2)
        for name, gradient in after.items():
            number, _, kind = name.partition(".")
            expected = before[f"{int(number) + shift}.{kind}"]
            assert_allclose(gradient, expected, rtol=1e-5, atol=1e-5)
            buffer = whole.momentum_buffers[f"{int(number) + shift}.{kind}"]
            assert candidate.momentum_buffers[name].tolist() == buffer.tolist()
    for candidate in candidates[3::2]:
        for name, gradient in gradients(candidate).items():
            assert_allclose(gradient, before[name], rtol=1e-4, atol=1e-4)
    for candidate in candidates[4::2]:
        assert not start_of(candidate).y.any()


def test_layers_are_not_left_out_where_the_data_would_not_be_finite() -> None:
    whole = case()
    parameters(whole)["0.weight"][...] = np.inf
    assert all(candidate.task.sizes[0] == 1 for candidate in shallower(whole))


def test_units_left_out_are_as_if_they_were_off() -> None:
    whole = case()
    chosen = [4, 1]
    found = keep(whole, 2, chosen)
    off = case()
    rest = [i for i in range(5) if i not in chosen]
    parameters(off)["4.weight"][:, rest] = 0
    assert_allclose(outputs(found).detach().numpy(), outputs(off).detach().numpy(), 1e-5)
    assert (
        found.momentum_buffers["2.bias"].tolist() == off.momentum_buffers["2.bias"][chosen].tolist()
    )
    assert parameters(whole)["4.weight"].shape == (4, 5)  # the case it came from is as it was


def test_inputs_targets_and_samples() -> None:
    whole = case(sizes=(3, 2, 4))
    start = start_of(whole)
    assert start_of(keep(whole, 0, [2])).x.tolist() == start.x[:, [2]].tolist()
    assert start_of(keep(whole, 2, [0, 3])).y.tolist() == start.y[:, [0, 3]].tolist()
    found = keep(whole, SAMPLES, [1, 5])
    assert found.task.samples == 2
    assert start_of(found).x.tolist() == start.x[[1, 5]].tolist()
    for candidate in (keep(whole, 0, [2]), keep(whole, 2, [0, 3]), found):
        check_shapes(candidate)


@pytest.mark.parametrize(
    ("bits", "expected"),
    [
        (0, [0, 0, 0, 0, 0]),
        (1, [1, -4, np.nan, np.inf, 2.0**-149]),
        (2, [1, -3, np.nan, np.inf, 2.0**-149]),
        (3, [1, -3, np.nan, np.inf, 2.0**-149]),
        (8, [1.0703125, -3.140625, np.nan, np.inf, 2.0**-149]),
    ],
)
def test_rounding(bits: int, expected: list[float]) -> None:
    array = np.array([1.07, -3.14159, np.nan, np.inf, 1e-45], np.float32)
    found = round_to(array, bits)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, np.array(expected, np.float32))

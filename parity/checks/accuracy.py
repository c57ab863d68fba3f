"""accuracy: no engine is much further from the truth than plain NumPy is.

Budgets are computed by minigrad's rules, which may be wrong themselves: an unstable formula, or a
product in half precision, widens the very budget by which it is judged. So the measure here knows
no engine. It is a step written by hand in plain NumPy (`parity.checks.plain`): in numbers of more
precision, which is the truth, and in the run's, which shows how far rounding leads from it where
nothing is done badly. For what is no chain of these layers there is no such step: the truth is then
the reference's in float64, its own step in float32 is what is usual, and the engine under test
alone is in question.

Both engines take single steps from `STATES` states of each of three kinds. The error of a tensor,
be it the loss, a gradient, an updated parameter or a momentum buffer, is

    rms(tensor - truth) / (u·rms(truth)),    u half of the machine epsilon:

it is counted in roundings. The median over the states of a kind is compared with plain NumPy's. It
is the median since in a single state a tensor may be nearly zero by luck, or the input of a ReLU so
near to zero that rounding decides.

- Near the start: each parameter is multiplied by 1 + r, r at random in ±2⁻¹². The targets are what
  the network predicts at the start, so the prediction hits them in half of float32's digits. A loss
  that is computed as a difference of large numbers has no correct digit there.
- Far from it: r is in ±1/2. The prediction misses the targets, nothing is nearly equal, and
  gradients are as exact as products and sums can be.
- Near the end of training, of the reference; left out if that is not finite.

*The limit.* A right engine may add its terms one by one, where NumPy adds blocks. Of K equal terms
t the k-th sum is k·t, and rounding it errs by at most u·k·t, at random by u·k·t/√3. So the whole
sum errs by u·t·√(Σk²/3) = u·t·√K³/3, that is by √K/3 roundings. Where there are c copies of every
sample, sums are rounded to one side again and again; then it is √(K/9 + K·c/64), with the 1/64 that
budgets have (`minigrad.arrays.budgeted.summation`). A right engine may be so many times as far from
the truth as plain NumPy, or as one rounding if that is more; K is the most terms of a sum in the
step. `worst_ratio` is in these units. What else right engines do differently was measured on 129
cases of the calibration's families: torch, plain sums and float64 inside were at most at 3.5;
reproducible arithmetic at 1.6, but for one case at 11, whose rows it rounds beside a far larger
one. An unstable mean squared error is at 470 in `rightfit`, a product in half precision at 4,900.
"""

import math
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np

from parity.checks import plain
from parity.checks.steps import Judge
from parity.checks.words import Document, element, number, wrong_of
from parity.engines.process import EngineProcess, LocalObject, of_each
from parity.engines.protocol import Array, Start, Task
from parity.engines.trainer import Progress, Step, Trainer, ignore

STATES = 8
"""How many states there are of each kind."""

NEAR, FAR = 2.0**-12, 0.5
"""By how much of itself a parameter is moved at most."""

LIMIT = 16.0
"""How many times as far from the truth as rounding leads a right engine may be."""

MOST_PRODUCTS = {np.float64: 4e7, np.longdouble: 2e6}
"""The most products in the truth's forward pass, by its numbers; some samples are left out else."""


def check_accuracy(
    actual: EngineProcess[Trainer],
    expected: EngineProcess[Trainer],
    task: Task,
    start: Start,
    trained: Mapping[str, Array],
    progress: Progress = ignore,
    judges: Sequence[EngineProcess[Judge]] = (),
) -> dict[str, Any] | None:
    """Hold both engines' steps against the truth.

    Args:
        actual, expected: the engines' processes.
        task: what is trained.
        start: where training starts.
        trained: the parameters where it ends.
        progress: called after each step.
        judges: what computes the truth; without them this process does.

    Returns:
        the verdict. `worst_ratio` tells how many times as far from the truth one of the engines is
        as rounding leads; `worst_at` at which `epoch`, and of which `tensor`: in `of` whether it is
        of the loss, the gradients, the updated parameters or the buffers, in `roundings` both
        engines' errors and that of plain NumPy. `wrong` tells which engine is beyond the
        `limit`. `passed` is None if nothing could be judged: all is zero, or not finite.
        Instead of all that None, without numbers that are more exact than the task's.
    """
    if numbers_lacking(task):
        return None
    with np.errstate(all="ignore"):
        if not task.options:
            start = _beside_prediction(task, start)
            task = replace(task, samples=len(start.y))
        anchors = list(_anchors(task, start, trained)) * STATES
        judges = judges or [LocalObject(Judge())]
        errors = _errors((actual, expected), task, start, anchors, progress, judges)
    terms = max(start.y.size, *(n for p in start.parameters.values() for n in p.shape))
    points = np.concatenate([array.reshape(len(array), -1) for array in start.inputs], axis=1)
    copies = len(points) / len(np.unique(points, axis=0))
    worst, place = [0.0, 0.0], None
    for (epoch, _, of, name), rows in errors.items():
        if 2 * len(rows) <= STATES:  # in most of these states it is zero, or not finite
            continue
        *engines, usual = np.median(rows, axis=0).tolist()
        due = max(usual, 1.0) * max(math.sqrt(terms * (1 / 9 + copies / 64)), 1.0)
        ratios = [error / due for error in engines]
        if place is None or max(ratios) > max(worst):
            roundings = {"actual": engines[0], "expected": engines[1]}
            if not task.options:
                roundings["plain"] = usual
            place = {"epoch": epoch, "of": of, "tensor": name, "roundings": roundings}
        worst = [max(pair) for pair in zip(worst, ratios, strict=True)]
    right = [ratio <= LIMIT for ratio in worst]
    return {
        "passed": all(right) if place else None,
        "steps": len(anchors),
        "worst_ratio": max(worst) if place else None,
        "worst_at": place,
        "limit": LIMIT,
        "wrong": wrong_of(*right),
    }


def numbers_lacking(task: Task) -> str | None:
    """Return the dtype of a task if there are no numbers that are more exact."""
    known = task.dtype == "float32" or not task.options
    return None if known and plain.wider(task.dtype) else task.dtype


def describe_accuracy(verdict: Document, architecture: Document, settings: Document) -> str:
    """Return how many steps were taken, and how far from the truth the engines are at worst."""
    said, place = f"{verdict['steps']} steps", verdict["worst_at"]
    if place is None:
        return f"{said}; all that there is is zero, or not finite"
    said += f"; worst error {number(verdict['worst_ratio'], 2)} times what rounding makes"
    if verdict["passed"]:
        return said
    found = place["roundings"]
    sides = {settings["engine"]: "actual", settings["against"]: "expected", "plain NumPy": "plain"}
    errors = (f"{name} {number(found[side], 2)}" for name, side in sides.items() if side in found)
    said += f", at {element(place)}; limit {number(verdict['limit'])}"
    return f"{said}; in roundings {', '.join(errors)}"


Anchor = tuple[int, float, Mapping[str, Array]]
"""An epoch, the parameters before it, and by how much of themselves they are moved."""


def _anchors(task: Task, start: Start, trained: Mapping[str, Array]) -> Iterator[Anchor]:
    """Yield what states are near to, one of each kind."""
    yield 0, NEAR, start.parameters
    yield 0, FAR, start.parameters
    if all(np.isfinite(array).all() for array in trained.values()):
        yield task.epochs, NEAR, trained


def _beside_prediction(task: Task, start: Start) -> Start:
    """Return the start with the network's prediction for targets.

    It has as many samples, evenly spaced, as a forward pass in more precise numbers can have.
    """
    kind = plain.wider(task.dtype)
    assert kind is not None
    count = max(1, int(MOST_PRODUCTS[kind] // sum(a * b for a, b in pairwise(task.sizes))))
    if count < len(start.y):
        kept = np.linspace(0, len(start.y) - 1, count).astype(int)
        start = start.with_data(lambda array: array[kept])
    return replace(start, y=plain.predict(start, kind).astype(task.dtype))


Roundings = dict[tuple[str, str], tuple[float, ...]]
"""Errors of both engines and plain NumPy, in roundings; by the tensor, as in `Step`."""


def _errors(
    sides: tuple[EngineProcess[Trainer], EngineProcess[Trainer]],
    task: Task,
    start: Start,
    anchors: Sequence[Anchor],
    progress: Progress,
    judges: Sequence[EngineProcess[Judge]],
) -> dict[tuple[int, float, str, str], list[tuple[float, ...]]]:
    """Let both engines take a step from near each anchor; return how far they are from the truth.

    Returns:
        the errors in every state in which there are any, as in `Roundings`, by the epoch and the
        move of the states' kind, and the tensor.
    """
    rng = np.random.default_rng(task.seed)
    found = defaultdict(list)
    waiting: deque[tuple[Anchor, Callable[[], Roundings]]] = deque()

    def collect() -> None:
        (epoch, part, _), answer = waiting.popleft()
        for (of, name), errors in answer().items():
            found[epoch, part, of, name].append(errors)

    states = [_near(anchor, task, start, rng) for anchor in anchors]
    true = _by_reference(sides[1], task, start, states) if task.options else None
    of_each(sides, Trainer.begin, task, start)
    for done, (anchor, (state, buffers)) in enumerate(zip(anchors, states, strict=True)):
        steps = of_each(sides, Trainer.take, state.parameters, buffers)
        if done >= len(judges):
            collect()
        judge = judges[done % len(judges)]
        waiting.append(
            (
                anchor,
                judge.ask(
                    _roundings, task, state, buffers, steps, None if true is None else true[done]
                ),
            )
        )
        progress(done + 1, len(anchors))
    while waiting:
        collect()
    return found


def _by_reference(
    reference: EngineProcess[Trainer],
    task: Task,
    start: Start,
    states: Sequence[tuple[Start, Mapping[str, Array]]],
) -> list[Step]:
    """Return what the steps from these states come to on the reference, in float64."""

    def wide(arrays: Mapping[str, Array]) -> dict[str, Array]:
        return {name: array.astype(np.float64) for name, array in arrays.items()}

    begun = replace(start, parameters=wide(start.parameters)).with_data(
        lambda a: a.astype(np.float64) if a.dtype.kind == "f" else a
    )
    reference.call(Trainer.begin, task.in_dtype("float64"), begun)
    return [
        reference.call(Trainer.take, wide(state.parameters), wide(buffers))
        for state, buffers in states
    ]


def _near(
    anchor: Anchor, task: Task, start: Start, rng: np.random.Generator
) -> tuple[Start, dict[str, Array]]:
    """Return a state near an anchor, and momentum buffers, if the task has any."""
    _, part, parameters = anchor

    def drawn(array: Array, size: float) -> Array:
        return rng.uniform(-size, size, array.shape).astype(task.dtype)

    moved = {name: array + array * drawn(array, part) for name, array in parameters.items()}
    buffers = {name: drawn(array, 1) for name, array in parameters.items() if task.momentum}
    return replace(start, parameters=moved), buffers


def _roundings(
    judge: Judge,
    task: Task,
    state: Start,
    buffers: Mapping[str, Array],
    steps: Sequence[Step],
    true: Step | None,
) -> Roundings:
    """Return the errors of engines' steps and plain NumPy's; of some tensors there are none.

    That is so where the truth or plain NumPy is not finite, and where the truth is so small that
    underflow counts for more than rounding, 0 included.
    """
    info, kind = np.finfo(task.dtype), plain.wider(task.dtype)
    assert kind is not None
    eps, lowest = float(info.eps), float(info.smallest_normal / info.eps)
    found = {}
    with np.errstate(all="ignore"):
        usual = steps[1] if true else plain.step(task, state, info.dtype, buffers)
        for of, arrays in (true or plain.step(task, state, kind, buffers)).items():
            for name, value in arrays.items():
                size = _rms(value)
                if not lowest <= size < math.inf:
                    continue
                tensors = (step[of][name] for step in (*steps, usual))
                errors = (2 * _rms(tensor - value) / (size * eps) for tensor in tensors)
                *engines, last = (error if error < math.inf else math.inf for error in errors)
                if last < math.inf:
                    found[of, name] = (*engines, last)
    return found


def _rms(array: Array) -> float:
    flat = array.ravel()
    return float(np.sqrt(np.dot(flat, flat) / flat.size))

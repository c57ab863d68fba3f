"""trajectory: trained each on its own, the engines part no further than the reference from itself.

Gradient descent amplifies rounding errors; by how much depends on network, seed and epoch. So the
reference is run again from parameters moved by a few ulps. What that does to its loss is the
*envelope*, the measure for the engine under test. Where the envelope itself has grown beyond
`HORIZON`, single runs say nothing any more, and nothing is judged.

What ends predictability is nearly always one ReLU whose input is so close to zero for one sample
that rounding decides its sign: from one step to the next, runs that agreed to 1e-7 are 1e-4 apart.
Such a kink must not fail the engine that happens to fall on the other side, so the perturbed runs
must find it first. Starts moved by one ulp at random often do not: each of them is as likely to
cross as a correct engine is, and all may lie on the reference's side. Hence starts are moved by
`ULPS`, in *opposite pairs*. To first order one start of each pair is then on the engine's side of
the kink, and `ULPS` times as far from the reference. A pair misses the kink about 1 time in `ULPS`,
and all four pairs about 1 time in ULPS⁴.
"""

from collections import deque
from collections.abc import Generator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from parity.checks.bits import same
from parity.checks.words import Document, worst
from parity.engines.process import EngineProcess, together
from parity.engines.protocol import Array, Start, Task
from parity.engines.trainer import Progress, Run, Trainer, ignore

RUNS = 8
"""How many perturbed runs make an envelope."""

LIMIT = 20
"""How many envelopes an engine may be away from the reference."""

HORIZON = 1e-5
"""The envelope beyond which a run is not predictable, whatever the dtype."""

FLOOR = 4
"""The narrowest envelope, in unit roundoffs of the run's dtype: the rounding of the loss alone."""

ULPS = 8
"""By how much perturbed starts differ from the start."""


def perturbed(start: Start, seed: int, run: int) -> Start:
    """Return the start with every weight and bias moved up or down by `ULPS` ulps.

    Which way is drawn for each element from `seed` and the pair that `run` belongs to: 0 and 1, 2
    and 3 and so on are mirror images. The data stay as they are.
    """
    generator = np.random.default_rng([seed, run // 2])
    distance = ULPS if run % 2 == 0 else -ULPS

    def moved(value: Array) -> Array:
        way = generator.choice([-distance, distance], size=value.shape).astype(value.dtype)
        found: Array = value + way * np.spacing(np.abs(value))
        return found

    return replace(start, parameters={n: moved(value) for n, value in start.parameters.items()})


def perturbed_runs(
    processes: Sequence[EngineProcess[Trainer]],
    task: Task,
    start: Start,
    count: int = RUNS,
    progress: Progress = ignore,
) -> list[Run]:
    """Train the reference from `count` perturbed starts.

    Args:
        processes: `Trainer`s of the reference engine, entered, all of which work at the same time:
            best as many as there are usable cores, with one thread each.
        task, start: what is trained, and the start that is perturbed.
        count: how many runs.
        progress: called now and then; the epochs of all runs are counted.
    """
    runs: dict[int, Run] = {}
    done = [0] * count
    waiting = deque(range(count))

    at = [0] * len(processes)

    def some(number: int, process: EngineProcess[Trainer]) -> Generator[int, None, None]:
        while waiting:
            run = at[number] = waiting.popleft()
            runs[run] = yield from process.stream(
                Trainer.train, task, perturbed(start, task.seed, run)
            )

    def seen(number: int, epochs: int) -> None:
        done[at[number]] = epochs
        progress(sum(done), count * (task.steps - start.step))

    together([some(*numbered) for numbered in enumerate(processes)], seen)
    return [runs[run] for run in range(count)]


def check_trajectory(
    actual: Run, expected: Run, perturbed: Sequence[Run], dtype: str
) -> dict[str, Any]:
    """Judge the losses of `actual` by the envelope, up to the horizon.

    Args:
        actual, expected: runs of the engine under test and of the reference from one start.
        perturbed: runs of the reference from perturbed starts.
        dtype: "float32" or "float64", of the runs.

    Returns:
        `passed`; `horizon_epoch`, the first epoch (from 0) that is not predictable, None if all
        are; `epochs`, how many were judged; `worst_envelope_used`, the largest deviation in
        envelopes, infinite if only one side is finite, and `limit`, what it may be; `worst_at`,
        None if nothing was judged or the losses are equal: the epoch, the loss of both, and the
        `budget`, by how much they may differ; `runs`, how many are perturbed; `final_spread`, the
        largest relative deviation of their final MSE, at least the floor.
    """
    width = envelope(expected, perturbed, dtype)
    beyond = np.flatnonzero(width > HORIZON)
    horizon = int(beyond[0]) if beyond.size else None
    used = (deviation(actual.losses, expected.losses) / width)[:horizon]
    largest = float(used.max(initial=0))
    epoch = int(used.argmax()) if largest else None
    final = deviation([run.final_mse for run in perturbed], expected.final_mse)
    return {
        "passed": largest <= LIMIT,
        "horizon_epoch": horizon,
        "worst_envelope_used": largest,
        "worst_at": None
        if epoch is None
        else {
            "epoch": epoch,
            "parameter": "loss",
            "index": [],
            "actual": float(actual.losses[epoch]),
            "expected": float(expected.losses[epoch]),
            "budget": float(LIMIT * width[epoch] * abs(expected.losses[epoch])),
        },
        "epochs": len(used),
        "limit": LIMIT,
        "runs": len(perturbed),
        "final_spread": max(float(final.max()), floor(dtype)),
    }


def describe_trajectory(verdict: Document, architecture: Document, settings: Document) -> str:
    """Return up to where the run is predictable, and how much of the envelope is used."""
    horizon = verdict["horizon_epoch"]
    until = "no horizon" if horizon is None else f"predictable up to epoch {horizon:,}"
    return f"{until}; {worst(verdict['worst_envelope_used'], 'envelope')}"


def envelope(expected: Run, perturbed: Sequence[Run], dtype: str) -> Array:
    """Return the running maximum of the perturbed losses' relative deviation, (epochs,) float64.

    Raises:
        ValueError: there are no perturbed runs.
    """
    if not perturbed:
        raise ValueError("an envelope is made of perturbed runs: give at least one")
    widest = deviation([run.losses for run in perturbed], expected.losses).max(axis=0)
    return np.maximum.accumulate(np.maximum(widest, floor(dtype)))


def floor(dtype: str) -> float:
    """Return the narrowest envelope."""
    return FLOOR * float(np.finfo(dtype).eps) / 2


def deviation(actual: ArrayLike, expected: ArrayLike) -> Array:
    """Return |actual - expected| / |expected|, element by element, float64, never NaN.

    Equal numbers, the same infinity and two NaNs deviate by 0. If only one of the two is finite, or
    `expected` is 0 and `actual` is not, the deviation is infinite.
    """
    ours, theirs = np.asarray(actual, np.float64), np.asarray(expected, np.float64)
    with np.errstate(all="ignore"):
        relative = np.abs(ours - theirs) / np.abs(theirs)
    finite = np.isfinite(ours) & np.isfinite(theirs)
    return np.where(same(ours, theirs), 0.0, np.where(finite, relative, np.inf))

"""The matrix products of a training step alone: the library's time, and not the engine's."""

import functools
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from parity.bench.ratios import quartiles
from parity.bench.rounds import Progress, Timings, time_network
from parity.engines.pipe import engines_failure
from parity.engines.protocol import Array, Engine, Start, Task

KINDS = {
    "forward": lambda x, weight, grad_out: (x, weight.T),
    "inputs": lambda x, weight, grad_out: (grad_out, weight),
    "weights": lambda x, weight, grad_out: (grad_out.T, x),
}
"""The products of a layer: its output, and the gradients of its inputs and of its weights; of x
(samples, in), weight (out, in) and the gradient of the output, (samples, out)."""

LIBRARIES = ("numpy", "torch")


class Products(Engine):
    """Computes all products of one kind, those of every layer, in what is timed as a step."""

    def __init__(self, library: str, kind: str) -> None:
        self._library, self._kind = library, kind

    def draw(self, task: Task) -> Start:
        """Return nothing: all that matters are the shapes."""
        return Start(np.empty(0), np.empty(0), {})

    def build(self, task: Task, start: Start) -> None:
        """Make the operands; the first layer's inputs get no gradient."""
        rng = np.random.default_rng(0)
        layers = [*pairwise(task.sizes)][self._kind == "inputs" :]
        operands = []
        for n, m in layers:
            shapes = (task.samples, n), (m, n), (task.samples, m)
            arrays = [rng.normal(size=shape).astype(task.dtype) for shape in shapes]
            operands.append(KINDS[self._kind](*map(self._own, arrays)))
        self._operands: list[Any] = operands
        self._matmul: Any = np.matmul
        if self._library == "torch":
            import torch

            self._matmul = torch.matmul

    def _own(self, array: Array) -> Any:
        if self._library == "numpy":
            return array
        import torch

        return torch.from_numpy(array)

    def step(self) -> object:
        """Compute the products, each into new memory."""
        for a, b in self._operands:
            self._matmul(a, b)
        return None

    def put(
        self, parameters: Mapping[str, Array], momentum_buffers: Mapping[str, Array] = {}
    ) -> None:
        """Keep the operands."""

    def loss_and_gradients(self) -> tuple[float, dict[str, Array]]:
        """Return nothing: there is no loss."""
        return 0.0, {}

    def parameters(self) -> dict[str, Array]:
        """Return none."""
        return {}

    def predict(self) -> Array:
        """Return nothing."""
        return np.empty(0)


def products(
    tasks: Mapping[str, Task],
    threads: int,
    rounds: int,
    progress: Progress,
    timeout_s: float | None = None,
) -> tuple[list[dict[str, Any]], list[dict[str, str]]]:
    """Time the matrix products of a step, by NumPy's BLAS and by torch's, on layer sizes.

    Each library and kind is timed as an engine is: in rounds, in a warm process of its own. A
    library of which a process fails is left out, and the other is timed without it.

    Args:
        tasks: by architecture; of problems nothing is known but that they are no layer sizes.
        threads: of each process.
        rounds: as many.
        progress: called as `progress("products", "networks", done, networks)`.
        timeout_s: how long a process may give no sign of life, in seconds; None for ever.

    Returns:
        for each network and library `architecture`, `library`, `blas`, `threads`, `rounds` and, for
        each of `KINDS`, `median_s`, `q1_s` and `q3_s` of all layers' products of a step; and an
        entry of `left_out` for each library that could not be timed.
    """
    chains = {name: task for name, task in tasks.items() if task.problem is None}
    found, left_out = [], []
    for done, (name, task) in enumerate(chains.items()):
        progress("products", "networks", done, len(chains))
        kinds = [kind for kind in KINDS if kind != "inputs" or len(task.sizes) > 2]
        timed, reasons = _timed(task, kinds, threads, rounds, timeout_s)
        found += [
            {
                "architecture": name,
                "library": library,
                "blas": _blas(timed.environments[f"{library} {kinds[0]}"]["blas"], library),
                "threads": threads,
                "rounds": rounds,
                **{kind: quartiles(timed.times[f"{library} {kind}"]) for kind in kinds},
            }
            for library in LIBRARIES
            if library not in reasons
        ]
        left_out += [
            {"architecture": name, "engine": f"the matrix product of {library}", "reason": reason}
            for library, reason in reasons.items()
        ]
    progress("products", "networks", len(chains), len(chains))
    return found, left_out


def _timed(
    task: Task, kinds: Sequence[str], threads: int, rounds: int, timeout_s: float | None
) -> tuple[Timings, dict[str, str]]:
    """Time a network's products; return also why libraries were left out."""
    shapes = Task(
        task.sizes, 1, task.learning_rate, task.batch_size or task.samples, 0, task.dtype, "cpu"
    )
    reasons: dict[str, str] = {}
    while True:
        engines = {
            f"{library} {kind}": functools.partial(Products, library, kind)
            for kind in kinds
            for library in LIBRARIES
            if library not in reasons
        }
        try:
            timed = time_network(
                shapes, engines, threads, rounds, 1, lambda *_: None, timeout_s=timeout_s
            )
        except Exception as error:
            if (failure := engines_failure(error)) is None:
                raise
            reasons[failure.process.partition(" ")[0]] = f"{failure.process} {failure.did}"
            continue
        refused = {name.partition(" ")[0]: reason for name, reason in timed.left_out.items()}
        return timed, refused | reasons


def _blas(libraries: Sequence[Mapping[str, Any]], package: str) -> str | None:
    """Return the name of the BLAS that a package brought; of the system's, if it brought none."""
    mine = [each for each in libraries if each["loaded_by"] in (package, None)]
    return mine[0]["library"] if mine else None

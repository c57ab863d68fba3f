"""An engine and its stopwatch, both in the engine's process."""

import gc
import math
import time
import timeit
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from parity.engines.protocol import Engine, Start, Task
from parity.engines.serve import alive
from parity.environment import environment
from parity.errors import UsageError
from parity.system import confine, forget_peak_memory, memory

# Before timing and after it, all engines take this many steps from the same start, and their losses
# before and after each must agree. torch against itself with every parameter moved by one ulp
# differs in them by at most 20·u on the three networks (12 seeds, both dtypes); after 10 steps of
# `overfit`, which is chaotic, by 30,000·u.
AGREEMENT_STEPS = 2

# After this many calls a step needs no more memory: the first compiles or records, the second does
# so again with momentum, and the third runs what was compiled.
MEMORY_CALLS = 3

# An engine that only notes in `step` what is to be done does it when it is asked for a loss. So the
# loss is asked for after this many steps. An honest engine has nothing left to do then; one that
# noted the steps needs 60 % of the time of as many steps with the loss asked for after each.
NOTED_STEPS = 8
MOST_LEFT = 0.25
"""More than this share is refused."""
CLOCK_S = 20e-6
"""What is shorter is within the errors of such a measurement, and says nothing."""

MOST_STEPS, PATIENCE_S, PAUSE_S = 20, 10.0, 0.2
"""Where other programs hold up threads of a pool, which wait for each other, a step may take many
times as long as it needs. Before an engine is left out, it takes so many steps, in this time, so
far apart."""

MANY_EPOCHS = 1_000_000_000
"""More than are ever timed."""


class First(NamedTuple):
    """What is known of an engine before it is timed.

    Attributes:
        losses: before the first and after each of `AGREEMENT_STEPS` steps.
        step_s: how long the shortest of these steps took; the first may compile.
    """

    losses: list[float]
    step_s: float


class TimedEngine:
    """An engine, and how long its steps take.

    An engine that takes several steps at once, of a compiled loop or of an ensemble of seeds, has
    `loop`, which takes `STEPS` steps: then that is timed.
    """

    def __init__(
        self,
        factory: Callable[[], Engine],
        cores: int | None = None,
        read_losses: bool = False,
    ) -> None:
        """Make the engine, in a process that is confined to so many cores if that can be done.

        Limits that libraries heed are not enough: JAX dispatches on one thread and computes on
        another, and kept 1.4 cores busy with one thread. With `read_losses` each step's loss is
        read before the next begins, so that it has to be waited for.
        """
        if cores is not None:
            confine(cores)
        self._engine = factory()
        self._read_losses = read_losses
        self._busy_s = self._timed_s = 0.0

    def environment(self) -> dict[str, object]:
        """Return what this process runs on."""
        return environment()

    def draw(self, task: Task) -> Start | None:
        """Return data and parameters to start from; None if the engine draws none."""
        draw = getattr(self._engine, "draw", None)
        return draw(task) if draw else None

    def load(self, task: Task, start: Start) -> First:
        """Begin a new task, and take the first steps.

        Raises:
            UsageError: the engine cannot do this task, or losses are to be read of one that takes
                many steps in a call, or a step is not done when it returns.
        """
        if self._read_losses and hasattr(self._engine, "loop"):
            raise UsageError(
                "it takes many steps in a call, and between them no loss can be read: "
                "time it without --read-losses"
            )
        gc.collect()  # or garbage from before, let go meanwhile, would hide what training takes
        resident = memory("VmRSS")
        forget_peak_memory()
        self._start, self._varies = start, task.varies
        timed = _endless(task) if task.varies else task
        self._engine.load(timed, start)  # which may make `step` anew
        self._at_once: int = getattr(self._engine, "STEPS", 1)
        step = self._engine.step
        call = (lambda: float(step())) if self._read_losses else step  # type: ignore[arg-type]
        self._call: Callable[[], object] = getattr(self._engine, "loop", call)
        for _ in range(MEMORY_CALLS):  # and nothing else: a look at the loss takes memory, too
            self._time(1)
        peak = memory("VmHWM")
        self._peak_memory = None if peak is None or resident is None else peak - resident
        return self.again()

    def again(self) -> First:
        """Take the first steps again, from the same start.

        Raises:
            UsageError: a step is not done when it returns.
        """
        if self._varies:
            self._engine.seek(0)
        self._engine.put(self._start.parameters)
        losses, times = [self.loss()], []
        for _ in range(AGREEMENT_STEPS):
            times.append(self._timer(self._engine.step).timeit(1))
            losses.append(self.loss())
        self._require_done()
        return First(losses, min(times))

    def steps_until(self, limit_s: float) -> list[float]:
        """Return how long steps take, in seconds: the last at most so long, if there is such a one.

        They are `MOST_STEPS` at most, and fewer if `PATIENCE_S` are over.
        """
        times: list[float] = []
        begun_s = time.monotonic()
        while len(times) < MOST_STEPS and time.monotonic() - begun_s < PATIENCE_S:
            time.sleep(PAUSE_S)
            times.append(self._timer(self._engine.step).timeit(1))
            if times[-1] <= limit_s:
                break
        return times

    def _require_done(self) -> None:
        """Check that a step is done when it returns, or when `synchronize` does.

        Raises:
            UsageError: work was left for when the loss is asked for.
        """
        self._engine.synchronize()
        begun_s = time.perf_counter()
        for _ in range(NOTED_STEPS):
            self._call()
            self.loss()
            alive()
        all_s = time.perf_counter() - begun_s
        left_s = min(self._left() for _ in range(3))
        if left_s > max(MOST_LEFT * all_s, CLOCK_S):
            raise UsageError(
                f"its steps are not done when step() returns: after {NOTED_STEPS} of them the loss "
                f"took {1e3 * left_s:.3g} ms longer to compute than a moment later. Have "
                "synchronize() wait until they are done"
                + (", or time it with --read-losses" if not self._read_losses else "")
            )

    def _left(self) -> float:
        """Return the seconds that a loss takes longer after some steps than once more."""
        for _ in range(NOTED_STEPS):
            self._time(1)
        times = [self._timer(self.loss).timeit(1) for _ in range(2)]
        return times[0] - times[1]

    def loss(self) -> float:
        """Return the loss at the present parameters."""
        return self._engine.loss_and_gradients()[0]

    def warm_up(self, duration_s: float) -> int:
        """Take steps for at least this long; return how many calls fill it.

        The loss is asked for each time, so that no work can pile up.
        """

        def seconds(count: int) -> float:
            return self._time(count) + self._timer(self.loss).timeit(1)

        seconds(1)  # may compile
        count = 1
        while (elapsed_s := seconds(count)) < duration_s:
            count = max(2 * count, min(10 * count, math.ceil(count * duration_s / elapsed_s)))
        return max(1, round(count * duration_s / elapsed_s))

    def steps(self, count: int) -> int:
        """Return how many steps `count` calls take."""
        return count * self._at_once

    def time(self, count: int) -> float:
        """Return the seconds a step takes, timing `count` calls after a tenth as many untimed."""
        self._time(max(1, count // 10))
        busy_s = time.process_time()
        elapsed_s = self._time(count)
        self._busy_s += time.process_time() - busy_s
        self._timed_s += elapsed_s
        return elapsed_s / self.steps(count)

    def cores_used(self) -> float:
        """Return how many cores the process kept busy while it was timed, of all its threads."""
        return self._busy_s / self._timed_s

    def peak_memory(self) -> int | None:
        """Return how many bytes of memory training needs, above what was used before `load`.

        It is the process's resident memory, while the engine was given its task and took its first
        steps; None where the system does not tell.
        """
        return self._peak_memory

    def _time(self, count: int) -> float:
        return self._timer(self._call).timeit(count)

    def _timer(self, call: Callable[[], object]) -> timeit.Timer:
        def begin() -> None:
            gc.enable()  # timeit switches the garbage collector off; in training it is on
            alive()

        return timeit.Timer(call, setup=begin, timer=self._clock)

    def _clock(self) -> float:
        self._engine.synchronize()
        return time.perf_counter()


def _endless(task: Task) -> Task:
    """Return a task of mini-batches that does not end, or its later steps would be on all samples.

    A schedule is as long as its task: then an epoch for each that is asked for must do.
    """
    if task.batch_size is None or (task.problem and task.problem.function("scheduler")):
        return task
    return replace(task, epochs=MANY_EPOCHS)

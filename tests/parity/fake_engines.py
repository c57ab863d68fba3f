"""Small objects for child processes to hold."""

import gc
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from parity.engines.process import THREAD_VARIABLES, EngineProcess, together
from parity.engines.protocol import Start, Task
from parity.engines.serve import _Signs, alive
from parity.engines.trainer import Trainer

R = TypeVar("R")


def drawn(process: EngineProcess[Trainer], task: Task) -> Start:
    """What an engine that draws starts from."""
    start = process.call(Trainer.draw, task)
    assert start is not None
    return start


def ended(stream: Generator[Any, None, R]) -> R:
    """Follow a stream to its end; return what it comes to."""
    (found,) = together([stream], lambda *_: None)
    return found


class Unpicklable(Exception):
    """An exception that can be pickled but not unpickled."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(f"{first} and {second}")


class Subject:
    """Answers, fails, dies or hangs as it is told."""

    def __init__(self, value: int = 0) -> None:
        self.value = value

    def add(self, amount: int) -> int:
        self.value += amount
        return self.value

    def pid(self) -> int:
        return os.getpid()

    def echo(self, value: Any) -> Any:
        return value

    def countdown(self, start: int) -> Generator[int, None, str]:
        yield from range(start, 0, -1)
        return "lift-off"

    def countdown_then_fail(self) -> Generator[int, None, None]:
        yield 1
        raise ZeroDivisionError("on the way")

    def fail(self) -> None:
        raise KeyError("a key that is not there")

    def fail_unpicklably(self) -> None:
        raise Unpicklable("one", "two")

    def unpicklable_result(self) -> Any:
        return lambda: None

    def exit(self, code: int) -> None:
        os._exit(code)

    def kill_itself(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def interrupt_itself(self) -> str:
        os.kill(os.getpid(), signal.SIGINT)
        return "unharmed"

    def interrupt_in_a_process_of_its_own(self) -> str:
        script = "import os, signal; os.kill(os.getpid(), signal.SIGINT); print('unharmed')"
        return subprocess.check_output([sys.executable, "-c", script], text=True).strip()

    def ignore_sigterm_and_hang(self) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        self.hang()

    def hang(self) -> None:
        time.sleep(3600)

    def wait_and_say_so(self, times: int) -> str:
        for _ in range(times):
            time.sleep(0.2)
            _Signs.given_s = 0  # so that every sign is given
            alive()
        return "done"

    def thread_variables(self) -> dict[str, str | None]:
        return {name: os.environ.get(name) for name in THREAD_VARIABLES}

    def numpy_threads(self) -> list[int]:
        from threadpoolctl import threadpool_info

        return [pool["num_threads"] for pool in threadpool_info()]

    def torch_threads(self) -> int:
        import torch

        return torch.get_num_threads()


class TorchSubject(Subject):
    """A subject whose making loads torch."""

    def __init__(self) -> None:
        super().__init__()
        self.torch_threads()


def broken() -> Subject:
    raise OSError("this factory is closed")


@dataclass(frozen=True)
class FakeTask:
    """What `bench` reads of a task."""

    dtype: str = "float32"
    device: str = "cpu"
    epochs: int = 500
    varies: bool = False

    @property
    def steps(self) -> int:
        return self.epochs


@dataclass(frozen=True)
class FakeStart:
    """Where the descent starts."""

    parameters: float


class FakeEngine:
    """Descends the parabola `value`² from a drawn value, each step `pause_s` long."""

    def __init__(
        self,
        rate: float = 0.1,
        pause_s: float = 0.001,
        seed: float = 3.0,
        breaks_after: float = math.inf,
    ) -> None:
        self.breaks_after = breaks_after
        self.rate = rate
        self.pause_s = pause_s
        self.seed = seed
        self.steps = 0
        self.synchronized_at: list[int] = []

    def draw(self, task: FakeTask) -> FakeStart:
        return FakeStart(self.seed)

    def load(self, task: FakeTask, start: FakeStart) -> None:
        self.value = start.parameters

    def put(self, parameters: float) -> None:
        self.value = parameters

    def loss_and_gradients(self) -> tuple[float, dict[str, NDArray[np.float64]]]:
        return self.value * self.value, {"value": np.array(2 * self.value)}

    def step(self) -> object:
        assert gc.isenabled()
        time.sleep(self.pause_s)
        self.value -= self.rate * 2 * self.value
        self.steps += 1
        if self.steps > self.breaks_after:
            raise ZeroDivisionError
        return None

    def synchronize(self) -> None:
        self.synchronized_at.append(self.steps)

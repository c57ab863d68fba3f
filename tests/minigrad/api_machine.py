"""A state machine that does to torch and to minigrad what a program may do, and compares them.

`python -m tests.minigrad.api_machine 60` runs random programs for a minute.
"""

import sys
import time
from random import Random, SystemRandom
from typing import Any

import torch
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import initialize, run_state_machine_as_test

from tests.minigrad.machine.creation import Creation
from tests.minigrad.machine.known import KNOWN
from tests.minigrad.machine.training import Training
from tests.minigrad.machine.words import randoms


class Machine(Creation, Training):
    """All of it."""

    known = KNOWN

    @initialize(r=randoms)
    def begun(self, r: Random) -> None:
        self.run("g0 = torch.Generator()")
        for _ in range(2):
            self.leaf(r)


def run_programs(number: int) -> None:
    """Run 50 programs of up to 30 steps, drawn from a seed.

    Raises:
        Disagreement: the libraries disagree on one of them.
    """
    some = settings(
        max_examples=50,
        stateful_step_count=30,
        deadline=None,
        database=None,
        phases=[Phase.generate],  # a program that fails is made short by `reduced`
        suppress_health_check=list(HealthCheck),
    )
    seeded: Any = seed(number)(lambda: Machine())
    run_state_machine_as_test(seeded, settings=some)


def run_for(time_s: float) -> None:
    """Run random programs for so many seconds of the clock, and print each seed before its own."""
    end = time.monotonic() + time_s
    while time.monotonic() < end:
        number = SystemRandom().getrandbits(64)
        print(number, flush=True)
        run_programs(number)


if __name__ == "__main__":
    torch.set_num_threads(1)
    run_for(float(sys.argv[1]))

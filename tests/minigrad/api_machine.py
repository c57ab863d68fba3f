"""A state machine that does to torch and to minigrad what a program may do, and compares them."""

from random import Random

from hypothesis.stateful import initialize

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

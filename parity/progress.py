"""What a person sees while a command works, on standard error.

On a terminal one bar of the whole, with the time that is left, and a line for each network; all of
it is gone when the work is done. Elsewhere a line for each network, when it is done.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from parity.tables import Output

TALLEST = 20
"""The most lines that are shown."""

USUAL_S = 10.0
"""For so long the expected times count for more than those that are measured."""

START_S = 4.0
"""The time in which engines start, as expected."""


@dataclass
class _Network:
    """What is known of one network.

    Attributes:
        expected_s: by phase, how long it may take; phases begin in this order.
        began_s, took_s: None before it began, and before it was done.
        phase: what is going on, of which so much is done.
        parts: by phase, which part of it is done.
        before_s: how much of the expected time had been spent before this command.
    """

    expected_s: Mapping[str, float]
    began_s: float | None = None
    took_s: float | None = None
    phase: str = ""
    done: int = 0
    total: int = 0
    parts: dict[str, float] = field(default_factory=dict)
    before_s: float = 0.0

    @property
    def whole_s(self) -> float:
        """The expected time of all phases."""
        return sum(self.expected_s.values())

    @property
    def done_s(self) -> float:
        """The expected time of what is done."""
        if self.took_s is not None:
            return self.whole_s
        return sum(self.parts.get(phase, 0.0) * s for phase, s in self.expected_s.items())

    def advance(self, phase: str, done: int, total: int, now_s: float) -> bool:
        """Note how far a phase is; return whether that ends the network, the first time."""
        self.phase, self.done, self.total = phase, done, total
        phases = list(self.expected_s)
        if phase in phases:
            for each in phases[: phases.index(phase)]:
                self.parts.setdefault(each, 1.0)  # it was left out
            self.parts[phase] = done / total if total else 1.0
        if self.began_s is None:
            self.began_s, self.before_s = now_s, self.done_s
        if self.took_s is not None or phase != phases[-1] or done < total:
            return False
        self.took_s = now_s - self.began_s
        return True

    def said(self) -> str:
        """Return how far it is, in words."""
        if self.took_s is not None:
            return f"done in {duration(self.took_s)}"
        if self.began_s is None:
            return "waits"
        return f"{self.phase}, {self.done:,} of {self.total:,}"


class Progress:
    """A context manager; `show` is called as the work goes on, from this thread."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Output(stderr=True)
        self._networks: dict[str, _Network] = {}
        self._planned = False
        self._began_s: float | None = None
        live = self._console.is_terminal and not self._console.is_dumb_terminal
        self._live = (
            Live(
                get_renderable=self._picture,
                console=self._console,
                refresh_per_second=4,
                transient=True,
            )
            if live
            else None
        )

    def __enter__(self) -> Self:
        if self._live:
            self._live.start(refresh=True)
        return self

    def __exit__(self, *raised: object) -> None:
        if self._live:
            self._live.stop()

    def plan(self, expected_s: Mapping[str, Mapping[str, float]]) -> None:
        """Say what is to be done: for each network its phases, and how long each may take."""
        self._networks = {name: _Network(phases) for name, phases in expected_s.items()}
        self._planned = True

    def show(self, name: str, phase: str, done: int, total: int) -> None:
        """Show how far a phase of a network is; the last one that was planned ends it."""
        now_s = time.monotonic()
        self._began_s = now_s if self._began_s is None else self._began_s
        network = self._networks.setdefault(name, _Network({phase: 1.0}))
        if network.advance(phase, done, total, now_s) and not self._live:
            self._console.print(f"{name}: {network.said()}", highlight=False, markup=False)

    def left_s(self) -> float | None:
        """Return how long all that was planned will take from now on; None if nobody can tell."""
        whole_s, done_s, before_s = self._sums()
        if self._began_s is None:
            return START_S + whole_s if self._planned else None
        usual_s = min(USUAL_S, whole_s) if self._planned else 0.0
        elapsed_s, counted_s = time.monotonic() - self._began_s, done_s - before_s
        if not counted_s + usual_s:
            return None
        return (whole_s - done_s) * (elapsed_s + usual_s) / (counted_s + usual_s)

    def _sums(self) -> tuple[float, ...]:
        """Return the expected time of all, of what is done, and of what was before this command."""
        found = [(each.whole_s, each.done_s, each.before_s) for each in self._networks.values()]
        return tuple(map(sum, zip(*found, strict=True))) or (0.0, 0.0, 0.0)

    def _picture(self) -> Group:
        whole_s, done_s, _ = self._sums()
        left_s = self.left_s()
        head = Table.grid(padding=(0, 1, 0, 0), expand=True)
        head.add_column(no_wrap=True)
        head.add_column(ratio=1)
        head.add_column(no_wrap=True, justify="right")
        head.add_column(no_wrap=True)
        head.add_row(
            "starting engines" if self._began_s is None else "all",
            ProgressBar(max(whole_s, 1e-9), done_s, pulse=self._began_s is None),
            f"{100 * done_s / max(whole_s, 1e-9):.0f} %",
            "" if not left_s else f"about {duration(_rounded(left_s))} left",
        )
        return Group(head, *self._lines())

    def _lines(self) -> list[Text]:
        """Return a line for each network; the first that are done, and the last, may not fit."""
        room = max(1, min(TALLEST, self._console.height - 2) - 1)
        shown = list(self._networks.items())
        while len(shown) > room and shown[0][1].took_s is not None:
            del shown[0]
        more = len(shown) - room + 1 if len(shown) > room else 0
        shown = shown[: len(shown) - more]
        width = min(24, max((len(name) for name, _ in shown), default=0))
        lines = [
            Text(
                f"  {name[:width]:<{width}}  {network.said()}",
                style="" if network.began_s is not None else "dim",
                no_wrap=True,
                overflow="ellipsis",
            )
            for name, network in shown
        ]
        return lines + [Text(f"  and {more} more", style="dim")] * bool(more)


def step_s(sizes: Sequence[int], samples: int) -> float:
    """Return how long a training step may take; one of sizes that are not known is a small one."""
    return 2e-4 + 4e-11 * sum(a * b for a, b in pairwise(sizes)) * samples


def _rounded(left_s: float) -> float:
    """Return a time that is estimated without digits that would only flicker."""
    step_s = next(step for least, step in ((600, 60), (60, 10), (20, 5), (0, 1)) if left_s >= least)
    return max(1, step_s * round(left_s / step_s))


def duration(seconds: float) -> str:
    """Return a time in words, such as `9.1 s`, `34 s` or `2 min 5 s`."""
    if seconds < 9.95:
        return f"{seconds:.2g} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    parts = (f"{minutes} min" * bool(minutes), f"{rest} s" * bool(rest))
    return " ".join(filter(None, parts))

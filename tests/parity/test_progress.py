"""What a person sees while a command works."""

import io
import time
from collections.abc import Iterator

import pytest
from rich.console import Console

from parity.progress import TALLEST, Progress, duration

PLAN = {
    "first": {"training": 2.0, "steps": 6.0, "judged": 0.0},
    "second": {"training": 10.0, "judged": 2.0},
}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    now_s = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now_s[0])
    yield now_s
    monkeypatch.undo()


def planned(width: int = 60, height: int = 24, networks: int = 0) -> Progress:
    """The progress of `PLAN`, or of so many networks, on a terminal that nobody looks at."""
    console = Console(
        file=io.StringIO(), force_terminal=True, width=width, height=height, color_system=None
    )
    progress = Progress(console)
    names = (f"1-{i}-{'9' * 60}-1" for i in range(networks))
    progress.plan({name: {"training": 1.0} for name in names} if networks else PLAN)
    return progress


def seen(progress: Progress) -> list[str]:
    """The lines that are shown."""
    console = progress._console
    with console.capture() as captured:
        console.print(progress._picture())
    return captured.get().splitlines()


def test_from_the_first_second_the_whole_and_what_is_left_are_shown(clock: list[float]) -> None:
    progress = planned()
    head, *lines = seen(progress)
    assert head.startswith("starting engines ")
    assert head.rstrip().endswith(" 0 % about 25 s left")  # of 24, engines that start included
    assert lines == ["  first   waits", "  second  waits"]
    progress.show("first", "training", 50, 100)
    assert seen(progress)[1:] == ["  first   training, 50 of 100", "  second  waits"]
    progress.show("first", "steps", 1_000, 2_000)
    head, *lines = seen(progress)
    assert " 20 % " in head, "what is not finished is not done"
    assert lines[0] == "  first   steps, 1,000 of 2,000"
    clock[0] += 7.5
    progress.show("first", "case", 3, 1_000)  # which nobody could plan
    assert " 20 % " in seen(progress)[0]
    progress.show("first", "judged", 1, 1)
    progress.show("second", "training", 0, 10)
    assert seen(progress)[1:] == ["  first   done in 7.5 s", "  second  training, 0 of 10"]


def test_what_was_expected_gives_way_to_what_is_measured(clock: list[float]) -> None:
    """Here everything takes three times as long; a network that a sweep resumes counts as done."""
    progress = planned()
    progress.plan({"resumed": {"runs": 1000.0}, "new": {"runs": 1000.0}})
    progress.show("resumed", "runs", 5, 10)
    progress.show("new", "runs", 0, 10)
    left = []
    for done in range(1, 10):
        clock[0] += 300
        progress.show("new", "runs", done, 10)
        left.append(progress.left_s())
    for done, left_s in enumerate(left, 1):
        assert left_s == pytest.approx(3 * (1500 - 100 * done), rel=0.1)


def test_without_a_plan_what_is_measured_alone_counts(clock: list[float]) -> None:
    progress = Progress(Console(file=io.StringIO(), force_terminal=True))
    assert progress.left_s() is None
    progress.show("proof", "runs", 0, 10)
    assert progress.left_s() is None
    clock[0] += 60
    progress.show("proof", "runs", 1, 10)
    assert progress.left_s() == pytest.approx(540)


@pytest.mark.parametrize(("width", "height"), [(60, 24), (100, 50), (60, 10), (20, 3)])
def test_it_is_never_wider_or_higher_than_the_terminal(width: int, height: int) -> None:
    progress = planned(width, height, networks=40)
    for name in list(progress._networks)[:10]:
        progress.show(name, "training", 1, 1)
    lines = seen(progress)
    assert len(lines) <= min(TALLEST, height - 1)
    assert all(len(line) <= width for line in lines)
    if height >= 24:
        assert "  and " in lines[-1]
        assert "done" not in lines[1], "what is done makes room for what is not"
        assert "waits" in lines[1]


def test_elsewhere_a_network_that_is_done_is_a_line(clock: list[float]) -> None:
    written = io.StringIO()
    with Progress(Console(file=written)) as progress:
        progress.plan(PLAN)
        progress.show("first", "training", 1, 1)
        assert written.getvalue() == ""
        clock[0] += 125
        progress.show("first", "judged", 1, 1)
        progress.show("first", "judged", 1, 1)
        progress.show("second", "training", 1, 2)
    assert written.getvalue() == "first: done in 2 min 5 s\n"


def test_durations() -> None:
    said = [duration(s) for s in (0.034, 1.0, 9.94, 9.96, 59.6, 60, 3599, 3600, 7500)]
    assert said == [
        *("0.034 s", "1 s", "9.9 s", "10 s", "1 min", "1 min", "59 min 59 s", "1 h 0 min"),
        "2 h 5 min",
    ]

"""Defects that the machine has to find: what minigrad once did otherwise than torch, put back.

`python -m tests.minigrad.machine.planted [NAME...]` searches for each, at most 20 minutes on one
core, and keeps how long it took in parity/evidence/results/machine.json.
"""

import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis.errors import Flaky
from hypothesis.stateful import run_state_machine_as_test

from parity.environment import environment, usable_cores
from parity.evidence.detection.defect import Defect, planted, read
from parity.evidence.store import Store
from tests.minigrad.api_machine import Machine
from tests.minigrad.machine.known import KNOWN
from tests.minigrad.machine.twins import Disagreement, disagreement

RESULT = Path(__file__).parents[3] / "parity/evidence/results/machine.json"
LIMIT_S = 20 * 60
"""Of one core: 10 minutes of two."""


@dataclass(frozen=True)
class Planted:
    """A defect, and a short program that shows it.

    Attributes:
        defect: what is put back.
        program: minigrad and torch disagree on it with the defect, and agree without.
    """

    defect: Defect
    program: tuple[str, ...]


def planted_in(text: str) -> Iterator[Planted]:
    """Yield the defects of a text, of the form that `planted.txt` describes."""
    about, *paragraphs = text.strip().split("\n\n")
    for paragraph in paragraphs:
        lines = paragraph.split("\n")
        shown = "\n".join(line[2:] for line in lines if line[0] == ">")
        rest = "\n".join(line for line in lines if line[0] != ">")
        (defect,) = read(f"{about}\n\n{rest}")
        statements = shown.replace("\n ", "\0 ").split("\n")
        yield Planted(defect, tuple(s.replace("\0", "\n") for s in statements))


PLANTED = tuple(planted_in(Path(__file__).with_name("planted.txt").read_text(encoding="utf-8")))


def search(what: Planted, limit_s: float = LIMIT_S) -> dict[str, Any]:
    """Let the machine search for a defect with random seeds, and tell what it found.

    Returns:
        the defect's `name`; `found_s`, the seconds it took, None if it was not found; and
        `program`, which it found, as short as it could be made.
    """
    start = time.monotonic()
    some = settings(
        max_examples=20,
        stateful_step_count=50,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
        report_multiple_bugs=False,
    )
    program: Sequence[str] | None = None
    while program is None and time.monotonic() - start < limit_s:
        try:
            with planted(what.defect):
                run_state_machine_as_test(Machine, settings=some)
        except Disagreement as error:
            if disagreement(error.program, KNOWN) is None:  # it is the defect's doing
                program = error.program
        except Flaky:
            pass  # and begin anew
    found_s = None if program is None else round(time.monotonic() - start, 1)
    return {"name": what.defect.name, "found_s": found_s, "program": program}

"""Defects that the machine has to find: what minigrad once did otherwise than torch, put back.

`python -m tests.minigrad.machine.planted` searches for those that are not yet among the results,
`RESULT`, and for those that are named; there it keeps how long it took.
"""

import random
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from hypothesis.errors import Flaky

from parity.environment import environment
from parity.evidence.detection.defect import Defect, planted, read
from parity.evidence.store import Store
from parity.result_sources import RESULTS, code
from parity.system import usable_cores
from tests.minigrad.api_machine import run_programs
from tests.minigrad.machine.known import KNOWN
from tests.minigrad.machine.twins import Disagreement, disagreement

RESULT = RESULTS / "machine.json"
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
        the defect's `name`; `found_s`, the seconds of a processor core until it was found, None if
        it was not; and the `program` that shows it, as short as the machine could make it.
    """
    torch.set_num_threads(1)
    start = time.process_time()
    program: Sequence[str] | None = None
    while program is None and time.process_time() - start < limit_s:
        try:
            with planted(what.defect):
                run_programs(random.SystemRandom().getrandbits(64))
        except Disagreement as error:
            if disagreement(error.program, KNOWN) is None:  # it is the defect's doing
                program = error.program
        except Flaky:
            pass  # and begin anew
    found_s = None if program is None else round(time.process_time() - start, 1)
    return {"name": what.defect.name, "found_s": found_s, "program": program}


def main(*names: str) -> None:
    """Search for these defects, and for those that nobody has searched for, on all cores."""
    kept = Store(
        RESULT,
        {"code": code("machine"), "environment": environment(), "limit_s": LIMIT_S},
        name="found",
        key=lambda row: row["name"],
        order=[each.defect.name for each in PLANTED],
    )
    chosen = [e for e in PLANTED if e.defect.name in names or e.defect.name not in kept]
    with ProcessPoolExecutor(usable_cores()) as pool:
        for row in pool.map(search, chosen):
            kept.add(row)
            print(row["found_s"], row["name"], *row["program"] or (), sep="\n    ", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])

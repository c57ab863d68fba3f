"""Which sources decide each of the results that are checked in, and how it is measured again.

A result keeps `code`, the digest of these sources as they were. It does not go stale by changes
that cannot matter to it, such as those of comments, or of the witness to a benchmark.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from parity.source_digest import ROOT, digest

RESULTS = ROOT / "parity" / "evidence" / "results"
"""Where results are checked in."""

SHOWN = ("minigrad/explain/**/*.py", "minigrad/__main__.py", "minigrad/version.py")
"""These decide no number."""

CAPTURED = ("minigrad/capture/**/*.py", "minigrad/ensembles.py")
"""These are not used by minigrad's eager engine."""

TRAINED = (
    "minigrad/**/*.py",
    "torch_impl/**/*.py",
    "parity/engines/*.py",
    "parity/engines/adapters/*.py",
    "parity/problems/*.py",
)
"""The engines, and what they are given to train."""

PEERS = "parity/engines/peers/*.py"

JUDGED = (
    *TRAINED,
    "parity/checks/**/*.py",
    "parity/probes/**/*.py",
    "parity/cli/options.py",
    "parity/documents.py",
    "parity/processes.py",
    "parity/run.py",
)
"""What decides the verdicts of a run: the engines, and what judges them."""

TRIED = (*JUDGED, "parity/cases/**/*.py", "parity/evidence/detection/*.py")
"""What decides how a trial with a given defect ends: a run that fails saves cases, too."""

PLANTED = (*TRIED, "parity/evidence/detection/catalogue/*")
"""What decides whether the defects of the catalogue are found."""

NOT_EAGER = (*SHOWN, *CAPTURED)

NOT_TIMED = (
    *SHOWN,
    "minigrad/arrays/budgeted/**/*.py",
    "minigrad/autograd/functional.py",
    "minigrad/autograd/gradcheck/**/*.py",
    "minigrad/safetensors.py",
    "minigrad/utils/**/*.py",
)
"""No training step calls these."""

TIMED = (
    *TRAINED,
    PEERS,
    "parity/bench/document.py",
    "parity/bench/products.py",
    "parity/bench/ratios.py",
    "parity/bench/rounds.py",
    "parity/bench/scaling.py",
    "parity/bench/timed.py",
    "parity/processes.py",
)


class Sources(NamedTuple):
    """What decides a result.

    Attributes:
        command: which measures it again.
        patterns: the files that decide it.
        without: which of these do not.
    """

    command: str
    patterns: tuple[str, ...]
    without: tuple[str, ...] = SHOWN


BENCH = Sources("make bench", TIMED, NOT_TIMED)

SOURCES: Mapping[str, Sources] = {
    "run": Sources("make sample", JUDGED, NOT_EAGER),
    "figures": Sources(
        "make figures",
        (*TRAINED, "parity/checks/state.py", "parity/sweep/work.py", "parity/evidence/figures.py"),
    ),
    "proof": Sources("make proof", JUDGED, NOT_EAGER),
    "cuda": Sources("make cuda", JUDGED, NOT_EAGER),
    "calibration": Sources(
        "make calibrate",
        (
            *TRAINED,
            "parity/checks/**/*.py",
            "parity/evidence/calibration/cases.py",
            "parity/evidence/calibration/free.py",
            "parity/evidence/calibration/measure.py",
        ),
        NOT_EAGER,
    ),
    "detection": Sources("make detection", PLANTED),
    "engines": Sources(
        "make detection", (*TRIED, "tests/parity/engine_catalogue.py", "tests/parity/*_engines.py")
    ),
    "peers": Sources(
        "make peers",
        (
            *JUDGED,
            PEERS,
            "parity/bench/rounds.py",
            "parity/bench/timed.py",
            "parity/evidence/peers.py",
        ),
        NOT_EAGER,
    ),
    "bench": BENCH,
    "bench-all-cores": BENCH,
    "bench-losses": BENCH,
    "machine": Sources(
        "python -m tests.minigrad.machine.planted",
        (
            "minigrad/**/*.py",
            "tests/minigrad/api_machine.py",
            "tests/minigrad/machine/*",
            "parity/evidence/detection/defect.py",
        ),
    ),
    "fuzz": Sources(
        "make fuzz", ("minigrad/**/*.py", "torch_impl/**/*.py", "parity/**/*.py", "tests/**/*.py")
    ),
}
"""By the name of the file in parity/evidence/results."""


def code(name: str, root: Path = ROOT) -> str:
    """Return the digest of the sources that decide a result, in the tree at `root`."""
    sources = SOURCES[name]
    return digest(sources.patterns, sources.without, root)


def trial_code(engine: str, root: Path = ROOT) -> str:
    """Return the digest of the sources that decide how trials of an engine of ours end."""
    return digest(TRIED, NOT_EAGER if engine == "minigrad" else SHOWN, root)

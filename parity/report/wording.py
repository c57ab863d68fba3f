"""What a report says in words; the terminal table and the page both say it from here."""

import shlex
from dataclasses import dataclass
from pathlib import Path

from parity.checks.verdicts import VERDICTS
from parity.checks.words import Document, element, final_loss, number, worst
from parity.environment import blas_warning

LABELS = {name: verdict.label for name, verdict in VERDICTS.items()}
WORDS = {True: "pass", False: "FAIL", None: "—"}


@dataclass(frozen=True)
class Line:
    """One verdict on one architecture; `passed` is `None` if it is not judged."""

    label: str
    passed: bool | None
    detail: str

    @property
    def word(self) -> str:
        """`pass`, `FAIL` or a dash."""
        return WORDS[self.passed]


def lines(architecture: Document, settings: Document) -> list[Line]:
    """All verdicts on an architecture, in order; of one not reached, why not, or nothing."""
    found = []
    for name, verdict in VERDICTS.items():
        label = final_loss(architecture) if name == "final_mse" else verdict.label
        if (entry := architecture[name]) is None:
            found.append(Line(label, None, architecture.get("not_judged", {}).get(name, "")))
        else:
            said = verdict.describe(entry, architecture, settings)
            found.append(Line(label, entry["passed"], said))
    return found


def state(architecture: Document, settings: Document) -> str:
    """How the runs ended: `trained`, `dead` or `diverged`, once if both ended alike; or a dash."""
    states = architecture["state"]
    return WORDS[None] if states["actual"] is None else _ended(states, settings)


def _ended(states: Document, settings: Document) -> str:
    actual, expected = states["actual"], states["expected"]
    if actual == expected:
        return f"both {actual}"
    return f"{settings['engine']} {actual}, {settings['against']} {expected}"


def remark(architecture: Document, settings: Document) -> str | None:
    """What must be said aloud about the states, `None` if there is nothing."""
    name, states = architecture["name"], architecture["state"]
    bitwise: Document = architecture["bitwise"] or {}
    twins = bitwise.get("state", states)
    if architecture.get("problem"):
        return None
    if states["actual"] != states["expected"]:
        said = f"the engines ended differently: {state(architecture, settings)}"
    elif states["actual"] != "trained":
        said = f"both engines ended {states['actual']}: agreement says little"
    elif twins == states:
        return None
    else:
        said = "both engines trained"
    if twins != states:
        native, reproducible = (
            " and ".join(dict.fromkeys(number(value, 3) for value in values))
            for values in (
                (architecture["final_mse"][side] for side in states),
                map(float.fromhex, bitwise["final_mse_hex"].values()),
            )
        )
        said += (
            f"; but rounding decides that: in reproducible arithmetic {_ended(twins, settings)}, "
            f"{final_loss(architecture)} {reproducible} instead of {native}"
        )
    return f"{name}: {said}"


def remarks(document: Document) -> list[str]:
    """All that a reader must know before trusting a pass: a quick run, dead networks, BLAS."""
    settings = document["settings"]
    states = (remark(architecture, settings) for architecture in document["architectures"])
    found = [text for text in states if text]
    if settings.get("quick"):
        found.insert(0, "quick run: fewer epochs than the networks are meant to train for")
    sides = [side for side in document["environment"].values() if isinstance(side, dict)]
    return [*found, *dict.fromkeys(filter(None, map(blas_warning, sides)))]


def result(architecture: Document) -> str:
    """`pass`, with how many verdicts were reached if not all were, or `FAIL`."""
    if not architecture["passed"]:
        return WORDS[False]
    verdicts = [architecture[name] for name in LABELS]
    reached = sum(v is not None and v["passed"] is not None for v in verdicts)
    return WORDS[True] if reached == len(LABELS) else f"{reached} of {len(LABELS)} judged: pass"


def conditions(settings: Document) -> str:
    """Seed, dtype and device, such as `seed 0, float32, cpu`."""
    return f"seed {settings['seed']}, {settings['dtype']}, {settings['device']}"


def worst_budget_used(architecture: Document) -> str:
    """The largest share of its budget that any element used; a dash if none was judged."""
    verdicts = [architecture[name] for name in ("gradients", "steps", "free_steps")]
    used = [verdict["worst_budget_used"] for verdict in verdicts if verdict is not None]
    if not used:
        return WORDS[None]
    return number(None if None in used else max(used), 2)


def network(architecture: Document) -> str:
    """Size and training, such as `1-16-16-1, 321 parameters, 500 epochs at 0.01`."""
    sizes = "-".join(map(str, architecture["sizes"])) or architecture["file"]
    epochs, rate = architecture["epochs"], architecture["learning_rate"]
    trained = f"{epochs:,} epoch{'s' * (epochs != 1)}"
    return f"{sizes}, {architecture['parameters']:,} parameters, {trained} at {rate:g}"


def probes(document: Document) -> Line | None:
    """The result of the probe suite; `None` if the document is of a time before there was one."""
    if "probes" not in document:
        return None
    found = document["probes"]
    if found is None:
        return Line("probes", None, "both engines must have torch's names to be asked to run them")
    failed = len({place["probe"] for place in found["failed"]})
    said = f"{found['probes']:,} small graphs, {found['elements']:,} elements; "
    if found.get("not_captured"):
        said += f"{found['not_captured']:,} more cannot be captured; "
    said += f"{failed:,} failed; " if failed else ""
    return Line("probes", found["passed"], said + worst(found["worst_budget_used"], "budget"))


def failed(architecture: Document) -> bool:
    """Whether a network failed: as a whole, or in any verdict."""
    verdicts = filter(None, (architecture[name] for name in VERDICTS))
    return not architecture["passed"] or any(each["passed"] is False for each in verdicts)


def headline(document: Document) -> str:
    """The result in one line, without the word PASS or FAIL."""
    settings, architectures = document["settings"], document["architectures"]
    probes = document.get("probes")
    counts = {
        "network": (
            sum(map(failed, architectures)),
            len(architectures),
        )
    }
    if probes is not None:
        wrong = {place["probe"] for place in probes["failed"]}
        counts["probe"] = (len(wrong), probes["probes"])
    if any(n for n, _ in counts.values()) or not document["passed"]:
        parts = [f"{n} of {_count(of, what)}" for what, (n, of) in counts.items() if n]
        said = f"disagree on {' and '.join(parts) or 'something unnamed'}"
    else:
        all_judged = "probes" not in document or probes is not None
        all_judged &= all(
            line.passed is not None
            for architecture in architectures
            for line in lines(architecture, settings)
        )
        named = " and ".join(_count(of, what) for what, (_, of) in counts.items())
        said = f"agree on {named}{'' if all_judged else ' as far as judged'}"
    return f"{settings['engine']} and {settings['against']} {said}; {conditions(settings)}"


def node(found: Document) -> str:
    """Where engines first part, and the rule that computes it, such as `backward, layer 2 (Linear):
    2.weight[3, 1]; rule linear_backward_weight, minigrad/ops/linalg.py:33`.
    """
    named = found["node"] if found["node"] == "loss" else f"layer {found['node']}"
    said = f"{found['phase']}, {named} ({found['operation']}): {element(found)}"
    return f"{said}; rule {found['rule']}, {found['line']}" if found.get("rule") else said


def where(place: Document) -> str:
    """The tensor and element of a probe, such as `backward, x[2, 1]`; or empty."""
    if place.get("tensor") is None:
        return ""
    return f"{place['phase']}, {element(place)}" if place.get("phase") else element(place)


def replay(case: str, folder: str | Path, settings: Document) -> str:
    """The command that judges a saved case again, to be typed where `folder` is named from.

    An engine from elsewhere must be named, and so must a problem: what is in a case is not run,
    whoever it is from.
    """
    command = f"parity replay {shlex.quote(str(Path(folder) / case))}"
    for option in ("engine", "against"):
        if ":" in settings[option]:
            command += f" --{option} {shlex.quote(settings[option])}"
    for name, file in settings.get("files", {}).items():
        if case.startswith(f"case-{name}-"):
            command += f" --problem {shlex.quote(file)}"
    return command


def _count(count: int, what: str) -> str:
    return f"{count:,} {what}{'s' * (count != 1)}"

"""What a report says in words; the terminal table and the page both say it from here."""

from dataclasses import dataclass

from parity.checks.verdicts import VERDICTS
from parity.checks.words import Document, number, worst

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
    return [
        Line(verdict.label, None, architecture.get("not_judged", {}).get(name, ""))
        if (entry := architecture[name]) is None
        else Line(verdict.label, entry["passed"], verdict.describe(entry, architecture, settings))
        for name, verdict in VERDICTS.items()
    ]


def state(architecture: Document, settings: Document) -> str:
    """How the runs ended: `trained`, `dead` or `diverged`, once if both ended alike; or a dash."""
    actual, expected = architecture["state"]["actual"], architecture["state"]["expected"]
    if actual is None:
        return WORDS[None]
    if actual == expected:
        return f"both {actual}"
    return f"{settings['engine']} {actual}, {settings['against']} {expected}"


def remark(architecture: Document, settings: Document) -> str | None:
    """What must be said aloud about the states, `None` if both engines trained."""
    name, states = architecture["name"], architecture["state"]
    if architecture.get("problem"):
        return None
    if states["actual"] != states["expected"]:
        return f"{name}: the engines ended differently: {state(architecture, settings)}"
    if states["actual"] != "trained":
        return f"{name}: both engines ended {states['actual']}: agreement says little"
    return None


def remarks(document: Document) -> list[str]:
    """All that a reader must know before trusting a pass: a quick run, dead networks."""
    settings = document["settings"]
    states = (remark(architecture, settings) for architecture in document["architectures"])
    found = [text for text in states if text]
    if settings.get("quick"):
        found.insert(0, "quick run: fewer epochs than the networks are meant to train for")
    return found


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
    verdicts = [architecture[name] for name in ("gradients", "steps")]
    used = [verdict["worst_budget_used"] for verdict in verdicts if verdict is not None]
    if not used:
        return WORDS[None]
    return number(None if None in used else max(used), 2)


def network(architecture: Document) -> str:
    """Size and training, such as `1-16-16-1, 321 parameters, 500 epochs at 0.01`."""
    sizes = "-".join(map(str, architecture["sizes"]))
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
    said += f"{failed:,} failed; " if failed else ""
    return Line("probes", found["passed"], said + worst(found["worst_budget_used"], "budget"))

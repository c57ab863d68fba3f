"""What a report says in words; the terminal table and the page both say it from here."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Document = Mapping[str, Any]

LABELS = {
    "start": "start",
    "gradients": "gradients",
    "steps": "steps",
    "trajectory": "trajectory",
    "bitwise": "bitwise",
    "final_mse": "final MSE",
}
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
    """All verdicts on an architecture, in order; the detail of one not reached is empty."""
    return [
        Line(label, None, "")
        if (verdict := architecture[name]) is None
        else Line(label, verdict["passed"], _detail(name, verdict, architecture, settings))
        for name, label in LABELS.items()
    ]


def state(architecture: Document, settings: Document) -> str:
    """How the runs ended: `trained`, `dead` or `diverged`, once if both ended alike."""
    actual, expected = architecture["state"]["actual"], architecture["state"]["expected"]
    if actual == expected:
        return f"both {actual}"
    return f"{settings['engine']} {actual}, {settings['against']} {expected}"


def remark(architecture: Document, settings: Document) -> str | None:
    """What must be said aloud about the states, `None` if both engines trained."""
    name, states = architecture["name"], architecture["state"]
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


def failures(document: Document) -> list[str]:
    """A sentence for each failing verdict: engines, network, seed, element and values, if known.

    Never empty for a document that did not pass.
    """
    settings = document["settings"]
    found = [
        failure
        for architecture in document["architectures"]
        for failure in _failures_of(architecture, settings)
    ]
    if not found and not document["passed"]:
        found = [f"{_engines(settings)}: failed, but no network did"]
    return found


def result(architecture: Document) -> str:
    """`pass`, with how many verdicts were reached if not all were, or `FAIL`."""
    if not architecture["passed"]:
        return WORDS[False]
    verdicts = [architecture[name] for name in LABELS]
    reached = sum(v is not None and v["passed"] is not None for v in verdicts)
    return WORDS[True] if reached == len(LABELS) else f"{reached} of {len(LABELS)} judged: pass"


def headline(document: Document) -> str:
    """The result in one line, without the word PASS or FAIL."""
    settings, architectures = document["settings"], document["architectures"]
    networks = f"{len(architectures)} network{'s' * (len(architectures) != 1)}"
    if failures(document):
        failed = sum(bool(_failures_of(architecture, settings)) for architecture in architectures)
        said = f"disagree on {failed} of {networks}"
    else:
        all_judged = all(
            line.passed is not None
            for architecture in architectures
            for line in lines(architecture, settings)
        )
        said = f"agree on {networks}{'' if all_judged else ' as far as judged'}"
    return f"{settings['engine']} and {settings['against']} {said}; {conditions(settings)}"


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


def number(value: float | None, digits: int = 6) -> str:
    """`value` to so many digits; `None`, which stands for NaN and infinities, is `not finite`."""
    return "not finite" if value is None or not math.isfinite(value) else f"{value:.{digits}g}"


def network(architecture: Document) -> str:
    """Size and training, such as `1-16-16-1, 321 parameters, 500 epochs at 0.01`."""
    sizes = "-".join(map(str, architecture["sizes"]))
    epochs, rate = architecture["epochs"], architecture["learning_rate"]
    trained = f"{epochs:,} epoch{'s' * (epochs != 1)}"
    return f"{sizes}, {architecture['parameters']:,} parameters, {trained} at {rate:g}"


def _engines(settings: Document) -> str:
    return f"{settings['engine']} against {settings['against']}"


def _failures_of(architecture: Document, settings: Document) -> list[str]:
    subject = f"{_engines(settings)}, {architecture['name']}, {conditions(settings)}"
    found = [
        f"{LABELS[name]}: {subject}; {_failure(name, architecture, settings)}"
        for name in LABELS
        if architecture[name] is not None and architecture[name]["passed"] is False
    ]
    if not found and not architecture["passed"]:
        found = [f"{subject}: failed, but no verdict did"]
    return found


def _failure(name: str, architecture: Document, settings: Document) -> str:
    """What a failing verdict holds: the element, both values in full precision, the first node."""
    verdict = architecture[name]
    place = verdict.get("worst_at") or verdict.get("first_difference") or {}
    values = verdict if name == "final_mse" else place
    parts = []
    if place:
        epoch = f"epoch {place['epoch']}, " if "epoch" in place else ""
        parts.append(f"{epoch}{place['parameter']}[{', '.join(map(str, place['index']))}]")
    if "actual" in values and "expected" in values:
        actual, expected = _exactly(values["actual"]), _exactly(values["expected"])
        parts.append(f"{settings['engine']} has {actual}, {settings['against']} {expected}")
    if place.get("budget") is not None:
        parts.append(f"allowed difference {number(place['budget'], 3)}")
    if place.get("node"):
        parts.append(f"first apart at {place['node']}")
    return "; ".join([*parts, _detail(name, verdict, architecture, settings)])


def _exactly(value: float | str | None) -> str:
    if value is None:
        return "not finite"
    return value if isinstance(value, str) else repr(float(value))


def _detail(name: str, verdict: Document, architecture: Document, settings: Document) -> str:
    match name:
        case "start":
            apart = [what for what in ("data", "parameters") if not verdict[f"{what}_identical"]]
            return (
                f"{' and '.join(apart)} differ"
                if apart
                else "data and parameters equal in every bit"
            )
        case "gradients":
            return f"{verdict['elements']:,} elements; {_budget(verdict)}"
        case "steps":
            return f"{verdict['epochs']:,} epochs; {_budget(verdict)}"
        case "trajectory":
            horizon = verdict["horizon_epoch"]
            until = "no horizon" if horizon is None else f"predictable up to epoch {horizon:,}"
            return f"{until}; {_worst(verdict['worst_envelope_used'], 'envelope')}"
        case "bitwise":
            mse = verdict["final_mse_hex"]
            if verdict["passed"]:
                return f"{verdict['epochs']:,} epochs equal in every bit; final MSE {mse['actual']}"
            return f"final MSE {mse['actual']} and {mse['expected']}"
        case _:
            return _final_mse(verdict, architecture["trajectory"], settings)


def _budget(verdict: Document) -> str:
    kinks = f"; {verdict['kinks']:,} kinks" if verdict["kinks"] else ""
    return _worst(verdict["worst_budget_used"], "budget") + kinks


def _worst(share: float | None, of: str) -> str:
    return "worst not finite" if share is None else f"worst {number(share, 2)} times its {of}"


def _final_mse(verdict: Document, trajectory: Document | None, settings: Document) -> str:
    actual, expected = number(verdict["actual"]), number(verdict["expected"])
    text = f"{settings['engine']} {actual}, {settings['against']} {expected}"
    if verdict["relative_difference"] is not None:
        text += f"; relative difference {number(verdict['relative_difference'], 2)}"
    if verdict["expected_spread"] is not None:
        text += f", expected spread {number(verdict['expected_spread'], 2)}"
    if verdict["passed"] is None and trajectory and trajectory["horizon_epoch"] is not None:
        text += "; beyond the horizon only a sweep over seeds can tell"
    return text

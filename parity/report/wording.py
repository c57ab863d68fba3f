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
    """All verdicts on an architecture, in order; of one not reached, why not, or nothing."""
    return [
        Line(label, None, architecture.get("not_judged", {}).get(name, ""))
        if (verdict := architecture[name]) is None
        else Line(label, verdict["passed"], detail(name, verdict, architecture, settings))
        for name, label in LABELS.items()
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


def number(value: float | None, digits: int = 6) -> str:
    """`value` to so many digits; `None`, which stands for NaN and infinities, is `not finite`."""
    return "not finite" if value is None or not math.isfinite(value) else f"{value:.{digits}g}"


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
    return Line("probes", found["passed"], said + _worst(found["worst_budget_used"], "budget"))


def detail(name: str, verdict: Document, architecture: Document, settings: Document) -> str:
    """What was seen of a verdict that was reached."""
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
    said = _worst(verdict["worst_budget_used"], "budget") + kinks
    if by_aggregate(verdict):
        fit, used = verdict["aggregate_at"], number(verdict["aggregate_used"], 2)
        found = ", ".join(
            f"{name} {number(fit[name], 3)} ± {number(fit[f'{name}_error'], 2)}"
            for name in ("scale", "bias")
            if name in fit
        )
        said += f"; {element(fit)} as a whole {used} times its budget: {found}"
    return said


def by_aggregate(verdict: Document) -> bool:
    """Whether a tensor as a whole is out of its budget: a scale factor or bias of its elements."""
    used = verdict.get("aggregate_used", 0.0)
    return used is None or used > 1


def _worst(share: float | None, of: str) -> str:
    if share is None or not math.isfinite(share):
        return "worst not finite"
    return f"worst {number(share, 2)} times its {of}"


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


def element(place: Document) -> str:
    """An element of a tensor, such as `epoch 3, updated 2.weight[3, 1]`."""
    name = place["parameter"] if "parameter" in place else place["tensor"]
    index = place.get("index")
    if index:
        name += f"[{', '.join(map(str, index))}]"
    if place.get("of", name) not in (name, "gradients"):
        name = f"{place['of']} {name}"
    return f"epoch {place['epoch']}, {name}" if "epoch" in place else name

"""What failed, in words; the terminal table and the page both say it from here."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from parity.checks.verdicts import VERDICTS
from parity.checks.words import Document, element, number
from parity.report.wording import conditions, lines


@dataclass(frozen=True)
class Failure:
    """A verdict that failed.

    Attributes:
        sentence: engines, network, seed, element and values, as far as they are known.
        node: the first node at which the engines part; empty if that is not known.
        case: the file in the report's folder that `parity replay` runs again; `None` without one.
    """

    sentence: str
    node: str
    case: str | None


def failures(document: Document) -> list[Failure]:
    """Every verdict that failed; never empty for a document that did not pass."""
    settings = document["settings"]
    found = [
        failure
        for architecture in document["architectures"]
        for failure in _failures_of(architecture, settings)
    ]
    probes = document.get("probes")
    if probes is not None and probes["passed"] is False:
        found.append(_failure_of_probes(probes, settings))
    if problem := document.get("problem"):
        subject = f"probes: {_engines(settings)}, {conditions(settings)}"
        found.append(_failure_of_engine(subject, problem))
    if not found and not document["passed"]:
        said = f"{_engines(settings)}: failed, but no network and no probe did"
        found = [Failure(said, "", None)]
    return found


def headline(document: Document) -> str:
    """The result in one line, without the word PASS or FAIL."""
    settings, architectures = document["settings"], document["architectures"]
    probes = document.get("probes")
    counts = {
        "network": (
            sum(bool(_failures_of(architecture, settings)) for architecture in architectures),
            len(architectures),
        )
    }
    if probes is not None:
        failed = {place["probe"] for place in probes["failed"]}
        counts["probe"] = (len(failed), probes["probes"])
    if failures(document):
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


def values(place: Document, settings: Document) -> str:
    """Both engines' values in full precision, and how far apart they may be; or empty."""
    parts = []
    if "actual" in place and "expected" in place:
        actual, expected = exactly(place["actual"]), exactly(place["expected"])
        parts.append(f"{settings['engine']} has {actual}, {settings['against']} {expected}")
    if place.get("budget") is not None:
        parts.append(f"allowed difference {number(place['budget'], 3)}")
    return "; ".join(parts)


def where(place: Document) -> str:
    """The tensor and element of a probe, such as `backward, x[2, 1]`; or empty."""
    if place.get("tensor") is None:
        return ""
    return f"{place['phase']}, {element(place)}" if place.get("phase") else element(place)


def exactly(value: float | str | None) -> str:
    """A number in full; hexadecimal ones are texts, and stay as they are."""
    if value is None:
        return "not finite"
    return value if isinstance(value, str) else repr(float(value))


def replay(case: str, folder: str | Path, settings: Document) -> str:
    """The command that judges a saved case again, to be typed where `folder` is named from.

    An engine from elsewhere must be named: that of a case is not run, whoever it is from.
    """
    command = f"parity replay {shlex.quote(str(Path(folder) / case))}"
    for option in ("engine", "against"):
        if ":" in settings[option]:
            command += f" --{option} {shlex.quote(settings[option])}"
    return command


def _count(count: int, what: str) -> str:
    return f"{count:,} {what}{'s' * (count != 1)}"


def _engines(settings: Document) -> str:
    return f"{settings['engine']} against {settings['against']}"


def _failures_of(architecture: Document, settings: Document) -> list[Failure]:
    subject = f"{_engines(settings)}, {architecture['name']}, {conditions(settings)}"
    found = [
        _failure(name, subject, architecture, settings)
        for name in VERDICTS
        if architecture[name] is not None and architecture[name]["passed"] is False
    ]
    if problem := architecture.get("problem"):
        found.append(_failure_of_engine(subject, problem))
    if not found and not architecture["passed"]:
        found = [Failure(f"{subject}: failed, but no verdict did", "", None)]
    return found


def _failure_of_engine(subject: str, problem: Document) -> Failure:
    """What an engine raised, and the line that did: the last that the traceback's text names."""
    file, line, function = re.findall(r'File "(.+)", line (\d+), in (.+)', problem["traceback"])[-1]
    said = f"{subject}: {problem['engine']} raised {problem['error']}, in {function}, {file}:{line}"
    return Failure(said, "", None)


def _failure(name: str, subject: str, architecture: Document, settings: Document) -> Failure:
    """What a failing verdict holds: the element, both values in full precision, the first node."""
    verdict = architecture[name]
    places = (verdict.get(key) for key in ("first_failure", "first_difference", "worst_at"))
    place: Document = next(filter(None, places), {})
    parts = [
        element(place) if place else "",
        values(verdict if name == "final_mse" else place, settings),
        VERDICTS[name].describe(verdict, architecture, settings),
    ]
    first = verdict.get("first_node")
    return Failure(
        f"{VERDICTS[name].label}: {subject}; {'; '.join(filter(None, parts))}",
        "" if first is None else f"{node(first)}; {values(first, settings)}",
        verdict.get("case"),
    )


def _failure_of_probes(probes: Document, settings: Document) -> Failure:
    names = list(dict.fromkeys(place["probe"] for place in probes["failed"]))
    said = f"probes: {_engines(settings)}, {conditions(settings)}; failed: {', '.join(names)}"
    first = probes["failed"][0]
    rule = f"rule {first['rule']}, {first['line']}" if first.get("rule") else ""
    compared = values(first, settings) if where(first) else ""
    parts = [first.get("problem"), where(first), compared, rule]
    node = f"{first['probe']}: {'; '.join(filter(None, parts))}"
    return Failure(said, node, probes.get("case"))

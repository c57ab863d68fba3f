"""What failed: one finding for each thing that is wrong, however many verdicts tell of it.

Verdicts that fail at the same rule of minigrad are one finding. A verdict that cannot say where it
fails is of the finding of its network, if there is one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from parity.checks.verdicts import VERDICTS
from parity.checks.words import Document, element, exactly, number
from parity.engines.pipe import ChildTraceback
from parity.report.wording import LABELS, conditions, where

NEAR = 1e-3
"""How near to a telling number a factor must be to be taken for it."""


@dataclass(frozen=True)
class Finding:
    """Something that is wrong.

    Attributes:
        sentence: which engine, and what.
        details: the lines of the source, the values, and what found it.
        case: the file in the report's folder that `parity replay` runs again; `None` without one.
    """

    sentence: str
    details: list[str]
    case: str | None = None


@dataclass(frozen=True)
class Failed:
    """A verdict that failed on a network."""

    name: str
    verdict: Document
    architecture: Document

    @property
    def node(self) -> Mapping[str, Any]:
        """The first node at which the engines part; empty if it is not known."""
        return self.verdict.get("first_node") or {}


def findings(document: Document) -> list[Finding]:
    """Return what is wrong, the most telling first; never empty if the document did not pass."""
    settings, probes = document["settings"], document.get("probes")
    groups: dict[tuple[str, str], list[Failed]] = {}
    found = []
    for architecture in document["architectures"]:
        failed = [
            Failed(name, architecture[name], architecture)
            for name in VERDICTS
            if architecture[name] is not None and architecture[name]["passed"] is False
        ]
        places = [(each.node["rule"], each.node["line"]) for each in failed if each.node]
        main = places[0] if places else ("", architecture["name"])
        for each in failed:
            place = (each.node["rule"], each.node["line"]) if each.node else main
            groups.setdefault(place, []).append(each)
        if problem := architecture.get("problem"):
            subject = f"{architecture['name']}, {conditions(settings)}"
            found.append(_of_engine(subject, problem))
        elif not failed and not architecture["passed"]:
            found.append(Finding(f"{architecture['name']}: failed, but no verdict did", []))
    failed_probes = probes["failed"] if probes is not None and probes["passed"] is False else []
    elsewhere = [place for place in failed_probes if (place["rule"], place["line"]) not in groups]
    for key, group in sorted(groups.items(), key=lambda item: not item[0][0]):
        also = [place["probe"] for place in failed_probes if (place["rule"], place["line"]) == key]
        found.append(_of_verdicts(group, list(dict.fromkeys(also)), settings))
    if elsewhere:
        assert probes is not None
        found.append(_of_probes(elsewhere, probes, settings))
    if problem := document.get("problem"):
        found.append(_of_engine(f"probes, {conditions(settings)}", problem))
    if not found and not document["passed"]:
        found = [Finding(f"{_engines(settings)}: failed, but no network and no probe did", [])]
    return found


# ---- verdicts -----------------------------------------------------------------------------------


def _of_verdicts(group: list[Failed], probes: list[str], settings: Document) -> Finding:
    """Return the finding of verdicts that fail at the same place."""
    first = next((each for each in group if each.node and each.verdict.get("wrong")), group[0])
    node, wrong = first.node, first.verdict.get("wrong")
    if node:
        said = f"{_thing(node)}, {_how(node, wrong, settings)}"
    else:
        place = _place(first)
        said = f"{element(place)} of {first.architecture['name']}" if place else ""
        said = said or f"{LABELS[first.name]} of {first.architecture['name']}"
    details = [_source(node)] if node.get("line") else []
    details.append(values(node or _place(first), settings))
    if node and "epoch" in _place(first):
        details.append(f"first seen at {element(_place(first))}")
    for each in group:
        seen = VERDICTS[each.name].describe(each.verdict, each.architecture, settings)
        if not node or "only its own run" in seen:
            details.append(f"{LABELS[each.name]}: {seen}")
    details.append(_found_by(group, probes, settings))
    case = next((each.verdict["case"] for each in group if each.verdict.get("case")), None)
    return Finding(f"{who(wrong, settings)}: {said}", list(filter(None, details)), case)


def who(wrong: str | None, settings: Document) -> str:
    """Who is wrong, as the exact witness says."""
    if wrong in ("actual", "expected"):
        return f"{settings['engine' if wrong == 'actual' else 'against']} is wrong"
    if wrong == "both":
        return f"{settings['engine']} and {settings['against']} are both wrong"
    return f"{_engines(settings)}, and which is wrong cannot be told"


def _thing(node: Document) -> str:
    """What a node computes, such as `the gradient of 2.weight in linear_backward_weight`."""
    layer = "the loss" if node["node"] == "loss" else f"layer {node['node']} ({node['operation']})"
    name = node["tensor"]
    if node["phase"] == "forward":
        said = layer if node["node"] == "loss" else f"the output of {layer}"
    elif node["phase"] == "optimizer":
        buffer = name.endswith(".momentum_buffer")
        said = f"the {'' if buffer else 'updated '}{name}"
    elif name == "output":
        said = "the derivative that the backward pass starts with"
    else:
        said = f"the gradient of {layer if name == 'input' else name}"
        said += " by its input" if name == "input" else ""
    return f"{said}, in {node['rule']}" if node.get("rule") else said


def _how(node: Document, wrong: str | None, settings: Document) -> str:
    """What is wrong with it, such as `is too large by a factor of 2`."""
    if node.get("problem"):
        return f"cannot be compared: {node['problem']}"
    factor = node.get("factor")
    if factor is None or wrong not in ("actual", "expected"):
        return f"{'is wrong' if wrong else 'differs'} at {element(node)}"
    if factor == 0:
        return "is zero"
    if abs(factor + 1) < NEAR:
        return "has the wrong sign"
    samples = settings.get("samples")
    telling = {2.0: "a factor of 2 too many?", 0.5: "a factor of 2 missing?"}
    if samples:
        telling |= {samples: "the number of samples: a sum in place of a mean?",
                    1 / samples: "by the number of samples: a mean in place of a sum?"}  # fmt: skip
    hint = next((f" ({said})" for f, said in telling.items() if abs(factor / f - 1) < NEAR), "")
    if factor < 0:
        return f"is multiplied by {number(factor, 7)}{hint}"
    if factor > 1:
        return f"is too large by a factor of {number(factor, 7)}{hint}"
    return f"is too small by a factor of {number(1 / factor, 7)}{hint}"


def _source(node: Document) -> str:
    """Where the rule of minigrad is, its lines, and the calls that a replay makes in its place."""
    lines = [f"rule {node['rule']}, {node['line']}:"]
    lines += [f"    {line}" for line in node.get("source") or []]
    if node.get("calls"):
        lines += ["replayed as:", *(f"    {call}" for call in node["calls"])]
    return "\n".join(lines)


def values(place: Document, settings: Document) -> str:
    """Both engines' values with all digits, what is true, and how far apart they may be."""
    if "actual" not in place or "expected" not in place or place["actual"] is None:
        return ""
    dtype = settings["dtype"]
    actual, expected = (exactly(place[side], dtype) for side in ("actual", "expected"))
    if actual == expected:  # of a tensor in more digits than the run's
        dtype = "float64"
        actual, expected = (exactly(place[side], dtype) for side in ("actual", "expected"))
    said = f"{settings['engine']} has {actual}, {settings['against']} {expected}"
    if place.get("true") is not None:
        said += f", true is {exactly(place['true'], dtype)}"
    if "judge" in place:
        said += f", the judge {exactly(place['judge'], dtype)}"
    if place.get("budget") is not None:
        said += f"; allowed difference {number(place['budget'], 3)}"
    return f"{element(place)}: {said}"


def _found_by(group: list[Failed], probes: list[str], settings: Document) -> str:
    """Which verdicts and probes tell of it, network by network."""
    networks: dict[str, list[str]] = {}
    for each in group:
        networks.setdefault(each.architecture["name"], []).append(LABELS[each.name])
    parts = [f"{_listed(labels)} of {name}" for name, labels in networks.items()]
    if probes:
        parts.append(f"the probe{'s' * (len(probes) != 1)} {_few(probes)}")
    return f"found by {'; '.join(parts)}; {_run(settings)}"


def _place(failed: Failed) -> Document:
    """The element at which a verdict failed; empty if it does not say."""
    if failed.name == "final_mse":
        return {}
    keys = ("first_failure", "first_difference", "worst_at")
    return next(filter(None, (failed.verdict.get(key) for key in keys)), {})


# ---- probes, and what engines raise -------------------------------------------------------------


def _of_probes(failed: list[Document], probes: Document, settings: Document) -> Finding:
    """Return the finding of the probes that no verdict speaks for."""
    first = next((place for place in failed if place.get("wrong")), failed[0])
    names = list(dict.fromkeys(place["probe"] for place in failed))
    said = f"the probe {first['probe']}" if len(names) == 1 else f"{len(names)} probes"
    details = [_source(first)] if first.get("line") else []
    if first.get("tensor") is not None:
        found = values(first, settings).removeprefix(f"{element(first)}: ")
        details.append(f"{first['probe']}: {where(first)}{found and ': '}{found}")
    if first.get("problem"):
        details.append(f"{first['probe']}: {first['problem']}")
    details.append(f"failed: {_few(names)}; {_run(settings)}")
    return Finding(f"{who(first.get('wrong'), settings)}: {said}", details, probes.get("case"))


def _of_engine(subject: str, problem: Document) -> Finding:
    """What an engine did beside computing, and where: the last line that its traceback names."""
    did = problem.get("did") or f"raised {problem['error']}"
    said = ChildTraceback(problem["engine"], problem["call"], problem["traceback"], did).said()
    return Finding(said, [f"on {subject}"])


def _engines(settings: Document) -> str:
    return f"{settings['engine']} and {settings['against']} differ"


def _run(settings: Document) -> str:
    return f"{settings['engine']} against {settings['against']}, {conditions(settings)}"


def _few(names: list[str]) -> str:
    """The first three of many names, and how many more there are."""
    more = f" and {len(names) - 3} more" if len(names) > 4 else ""
    return ", ".join(names[:3] if more else names) + more


def _listed(names: list[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))

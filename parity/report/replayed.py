"""A case judged again, in words: what it is, the verdict now, and what is different."""

from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from parity.cases.case import Case
from parity.cases.replay import Replayed, document
from parity.report import wording
from parity.report.findings import findings
from parity.tables import STYLES, Trimmed, item

VERSIONS = ("python", "numpy", "minigrad-parity")
"""What two engines have in common, so that it can be compared if they are not the same."""


def summary(replayed: Replayed, name: str) -> RenderableType:
    """What a person is told: the case, the verdict now, whether it was recorded so, and where.

    Args:
        replayed: the case judged again.
        name: of its file.
    """
    found = document(replayed)
    title, *lines = heading(replayed, name)
    parts: list[RenderableType] = [Text(title, style="bold"), *map(Text, lines), Text()]
    if replayed.verdict["passed"] is False:
        for finding in reversed(findings(found)):
            said = Text("\n".join([finding.sentence, *finding.details]))
            parts.append(item("FAIL", STYLES[False], said))
    else:
        entries = found["architectures"]
        line = wording.lines(entries[0], found["settings"]) if entries else [wording.probes(found)]
        passed = [part for part in line if part is not None and part.detail]
        parts += [
            item("PASS", STYLES[True], Text(f"{part.label}: {part.detail}")) for part in passed
        ]
    parts.append(item("=", STYLES[None], Text(outcome(replayed))))
    parts += [item("!", STYLES[None], Text(each)) for each in differences(replayed)]
    return Trimmed(Group(*parts))


def heading(replayed: Replayed, name: str) -> list[str]:
    """Return what is judged, by whom, where the case was found, and what network it is of."""
    case = replayed.case
    return [
        f"{name}: {wording.LABELS.get(case.kind, 'probe')} of {' against '.join(replayed.names)}",
        _origin(case),
        *(_network(entry, case) for entry in document(replayed)["architectures"]),
    ]


def outcome(replayed: Replayed) -> str:
    """Whether the outcome is the recorded one, in a sentence."""
    case, verdict = replayed.case, replayed.verdict
    by = "" if replayed.names == case.engines else f" by {' against '.join(case.engines)}"
    if verdict["passed"] is not False:
        return f"passes now; recorded{by} was a failure"
    if _values(verdict) == _values(case.verdict):
        return f"the outcome recorded{by}, the same in every value"
    return f"a failure, as recorded{by}, with other values"


def differences(replayed: Replayed) -> list[str]:
    """What differs between where the case was recorded and where it was replayed."""
    found = []
    engines = zip(("actual", "expected"), replayed.names, replayed.case.engines, strict=True)
    for side, name, recorded in engines:
        then, now = (
            _described(environment[side])
            for environment in (replayed.case.environment, replayed.environment)
        )
        if name != recorded:
            found.append(f"{name} in place of {recorded}")
            then, now = ({n: d[n] for n in VERSIONS if n in d} for d in (then, now))
        found += [
            f"{what} {now.get(what) or 'none'}, recorded with {then.get(what) or 'none'}"
            for what in dict.fromkeys([*then, *now])
            if now.get(what) != then.get(what)
        ]
    return list(dict.fromkeys(found))


def _described(environment: Mapping[str, Any]) -> dict[str, str | None]:
    """What of an environment can change results, by what it is called."""
    libraries = [
        " ".join(filter(None, (library.get(what) for what in ("library", "version", "kernel"))))
        for library in environment.get("blas", [])
    ]
    return {
        **environment.get("versions", {}),
        "BLAS": ", ".join(libraries) or None,
        "processor": environment.get("cpu"),
        "torch's instructions": environment.get("torch_instructions"),
        "GPU": environment.get("gpu"),
    }


def _values(verdict: Mapping[str, Any]) -> dict[str, Any]:
    """The verdict without names of files and lines, which another version may have elsewhere."""
    left_out = ("first_node", "case", "names")
    return {what: value for what, value in verdict.items() if what not in left_out}


def _origin(case: Case) -> str:
    origin = case.origin
    size = f" ({'-'.join(map(str, origin['sizes']))})" if origin.get("sizes") else ""
    epoch = f", epoch {origin['epoch']:,}" if "epoch" in origin else ""
    return f"found in {origin['architecture']}{size}, seed {case.task.seed}{epoch}"


def _network(entry: Mapping[str, Any], case: Case) -> str:
    samples = f"{case.task.samples:,} sample{'s' * (case.task.samples != 1)}"
    momentum = f", momentum {case.task.momentum:g}" if case.task.momentum else ""
    said = f"{wording.network(entry)}{momentum}, {samples}, {case.task.dtype}, {case.task.device}"
    return f"judged: {said}"

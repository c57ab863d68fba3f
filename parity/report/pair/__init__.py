"""The page that steps through a training step as two engines take it, side by side.

It is minigrad's own page, with both engines' values.
"""

from collections.abc import Mapping
from importlib import resources
from typing import Any

import numpy as np
from jinja2 import Environment, StrictUndefined

import minigrad
from minigrad.explain import Explanation, explain
from minigrad.explain.graph import graph
from minigrad.explain.page import assembled
from minigrad.explain.steps import Step, Story
from minigrad.explain.summary import MOST_WHOLE, group
from parity.cases.replay import Replayed
from parity.cases.replay import document as document_of
from parity.cases.shrink_steps import steps
from parity.checks.gradients import Z
from parity.checks.locate import Traces, first_node, tensors
from parity.checks.tensor import Key, Tensor
from parity.checks.verdicts import VERDICTS
from parity.checks.witness import gradient_places
from parity.engines.adapters.tracing import LOSS, PREDICTION
from parity.engines.protocol import BUFFER
from parity.problems import parts
from parity.report.findings import findings, values, who
from parity.report.pair.compared import data_of, said_of
from parity.report.replayed import heading, outcome
from parity.report.wording import node

PHASES = {"forward": "Forward", "backward": "Backward", "optimizer": "Update"}
LEGENDS = {
    True: '<span>same bits <span class="legend bits"></span> others</span>',
    False: '<span>within its budget <span class="legend budget"></span> outside</span>',
}
"""The colours of verdicts on bits and of others."""


def page(replayed: Replayed, name: str) -> str:
    """Return the page of a case that was replayed with its traces.

    Args:
        replayed: the case judged again.
        name: of its file.
    """
    case, traces = replayed.case, replayed.traces
    assert traces is not None
    bits = VERDICTS[case.kind].bits
    with np.errstate(all="ignore"):
        found = list(tensors(traces, bits=bits))
        first = first_node(traces, bits=bits)
        explanation = _explained(traces)
        keys = _keys(explanation, traces)
        story = Story(explanation, explanation.entries)
        steps, made_in = _compared(story, keys, found)
        pairs = [
            data_of(tensor, story.shown) | {"first": _is_first(tensor, first)} for tensor in found
        ]
    document = document_of(replayed)
    wrong = None if first is None else first["wrong"] or replayed.verdict.get("wrong")
    told = who(wrong, document["settings"])
    told = f"{'By exact arithmetic ' if wrong else ''}{told}"
    _mark(steps, made_in, found, first, told)
    link = 0 if first is None else made_in[first["phase"], first["node"], first["tensor"]]
    said: dict[str, Any] = {"bits": bits, "names": replayed.names}
    lead = _rendered(
        "lead.html",
        lines=heading(replayed, name)[1:],
        findings=findings(document) if replayed.verdict["passed"] is False else [],
        outcome=outcome(replayed),
        which=_which(replayed, traces),
        first=node(first) if first is not None else None,
        told=told,
        values=values(first, document["settings"]) if first is not None else "",
        link=link,
        **said,
    )
    reading = _rendered(
        "reading.html",
        z=Z,
        most=f"{MOST_WHOLE:,}",
        large=any(value.size > MOST_WHOLE for tensor in found for value in tensor.present),
        **said,
    )
    _show_expected(explanation, keys, traces)
    return assembled(
        heading(replayed, name)[0],
        steps,
        story.shown,
        graph(explanation),
        lead=lead,
        reading=reading,
        aside=_rendered("aside.html", phases=_overview(found, made_in, first), bits=bits),
        notes=[f"The lines of the gradients in the graph are those of {replayed.names[1]}."],
        data={
            "pairs": pairs,
            "engines": list(replayed.names),
            "wrong": [wrong in (side, "both") for side in ("actual", "expected")],
            "source": "minigrad's lines",
            "first": steps[link - 1]["entry"] if link else None,
        },
        legend=LEGENDS[bits],
        css=_resource("pair.css"),
        js=_resource("pair.js"),
    )


def _which(replayed: Replayed, traces: Traces) -> str:
    """Say which step of the case this is."""
    epochs = steps(replayed.case)
    verdict = VERDICTS[replayed.case.kind]
    if not verdict.has_first_node:
        return (
            f"The verdict {verdict.label} is on a run of {epochs:,} epochs: this is its first step."
        )
    return f"This is step {traces.epoch + 1:,} of {epochs:,} of the case."


def _explained(traces: Traces) -> Explanation:
    """Take the step in this process, to know its operations, their order and their source."""
    task, start = traces.task, traces.start
    minigrad.manual_seed(task.seed)
    with parts.numbers_of(task, minigrad):
        model = parts.model(task, minigrad)
        loss_function = parts.loss(task, minigrad)
        schedule = parts.schedule(task, minigrad, model.parameters())
        optimizer = parts.optimizer(task, minigrad, model.parameters())
    if schedule is not None:
        parts.set_options(optimizer, schedule[start.step // task.steps_an_epoch])
    for name, parameter in model.named_parameters():
        with minigrad.no_grad():
            parameter.copy_(minigrad.tensor(start.parameters[name]))
        if name in traces.momentum_buffers:
            buffer = minigrad.tensor(traces.momentum_buffers[name])
            optimizer.state[parameter] = {"momentum_buffer": buffer}
    rows = task.rows(start.step)
    *x, y = (minigrad.tensor(a if rows is None else a[rows]) for a in start.data.values())
    forward = parts.in_numbers_of(task, minigrad, model)
    minigrad.manual_seed(parts.step_seed(task.seed, start.step))

    def step() -> minigrad.Tensor:
        optimizer.zero_grad()
        loss: minigrad.Tensor = loss_function(forward(*x), y)
        loss.backward()
        optimizer.step()
        return loss

    return explain(step)


def _keys(explanation: Explanation, traces: Traces) -> dict[str, Key]:
    """Return which traced tensor each tensor of the explanation is, by the figures' `of`."""
    found: dict[str, Key] = {}
    last: dict[str, int] = {}
    for entry in explanation.entries:
        if entry.operation is not None:  # a module's output is what its last operation makes
            last[entry.operation.layer or LOSS] = entry.number
        elif entry.node is not None:
            name = entry.name
            module = name.rpartition(".")[0] or PREDICTION
            found[f"gradient {entry.number}"] = "backward", module, name
            found[f"buffer {entry.number}"] = "optimizer", module, name + BUFFER
            found[f"updated {entry.number}"] = "optimizer", module, name
    trace = traces.sides[1]
    nodes = [name for phase, name, _ in trace if phase == "forward"]
    places = dict(gradient_places(trace, nodes))
    for name in nodes:
        if name in last:
            found[f"value {last[name]}"] = "forward", name, "output"
            if name in places:
                found[f"gradient {last[name]}"] = "backward", *places[name]
    return found


def _compared(
    story: Story, keys: Mapping[str, Key], found: list[Tensor]
) -> tuple[list[Step], dict[Key, int]]:
    """Put both engines' tensors in the place of the story's.

    Returns:
        the steps that make a tensor, and for each tensor the number of the step that makes it.
    """
    numbers = {tensor.key: number for number, tensor in enumerate(found)}
    steps: list[Step] = []
    made_in: dict[Key, int] = {}
    for step in story.steps:
        made = []
        for figures in (each["figures"] for each in step["groups"]):
            for i, figure in enumerate(figures):
                key = keys.get(figure["of"])
                if key not in numbers:
                    continue
                is_new = key not in made_in and key not in made
                made += [key] if is_new else []
                shown = {"name": figure["name"], "note": figure["note"], "judged": is_new}
                figures[i] = {"kind": "pair", "pair": numbers[key], **shown}
        if made:
            step["groups"].sort(key=lambda each: not any(f.get("judged") for f in each["figures"]))
            steps.append({**step, "parameters": [], "line": None})
            made_in |= dict.fromkeys(made, len(steps))
    for key in numbers:
        if key not in made_in:  # only an engine of another kind has it
            places = [made_in[other] for other in made_in if other[:2] == key[:2]]
            made_in[key] = max(places, default=len(steps))
            figure = {"kind": "pair", "pair": numbers[key], "name": key[2], "note": ""}
            shown = group("also made", [{**figure, "judged": True}])
            steps[made_in[key] - 1]["groups"].append(shown)
    return steps, made_in


def _mark(
    steps: list[Step],
    made_in: dict[Key, int],
    found: list[Tensor],
    first: dict[str, Any] | None,
    told: str,
) -> None:
    """Say at each step which of its tensors are apart, and at the first which engine is wrong."""
    for tensor in found:
        if tensor.passed is False:
            which, more = (
                ("First apart", f" {told}.") if _is_first(tensor, first) else ("Apart, too", "")
            )
            said = f"{which}: {_name(*tensor.key)} {said_of(tensor)}.{more}"
            steps[made_in[tensor.key] - 1]["alerts"].append(said)


def _is_first(tensor: Tensor, first: dict[str, Any] | None) -> bool:
    return first is not None and tensor.key == (first["phase"], first["node"], first["tensor"])


def _overview(
    found: list[Tensor], made_in: dict[Key, int], first: dict[str, Any] | None
) -> list[tuple[str, list[dict[str, Any]]]]:
    """Return for each phase its heading, and what stands in the list of all tensors."""
    rows = [
        {
            "phase": tensor.key[0],
            "link": made_in[tensor.key],
            "name": _name(*tensor.key, short=True),
            "said": said_of(tensor, short=True),
            "passed": tensor.passed,
            "first": _is_first(tensor, first),
        }
        for tensor in found
    ]
    return [(label, [r for r in rows if r["phase"] == phase]) for phase, label in PHASES.items()]


def _name(phase: str, node: str, tensor: str, *, short: bool = False) -> str:
    """Return what a tensor is called; where its phase is known a short name will do."""
    if tensor in ("input", "output"):
        tensor = f"the loss's {tensor}" if node == "loss" else f"layer {node}'s {tensor}"
    means = {"forward": "", "backward": "the gradient by ", "optimizer": "the new "}
    return tensor if short else means[phase] + tensor


def _show_expected(explanation: Explanation, keys: Mapping[str, Key], traces: Traces) -> None:
    """Give the graph the gradients of the expected engine."""
    values = {(step.phase, step.node, step.tensor): step.value for step in traces.expected}
    for entry in explanation.entries:
        key = keys.get(f"gradient {entry.number}")
        entry.gradient = values.get(key) if key is not None else None


def _rendered(name: str, **values: Any) -> str:
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(_resource(name)).render(**values)


def _resource(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")

"""The page: one HTML file to step through a computation, complete in itself."""

from __future__ import annotations

import json
from html import escape
from importlib.resources import files
from string import Template

from minigrad.explain.drawing import svg
from minigrad.explain.explanation import Explanation
from minigrad.explain.graph import graph
from minigrad.explain.steps import Step, Story
from minigrad.explain.summary import RULE, json_of
from minigrad.explain.table import count_text, kept, number_text

PHASES = {"forward": "Forward", "backward": "Backward", "update": "Update"}


def page(explanation: Explanation) -> str:
    """Return the page.

    Raises:
        RuntimeError: the computation was not observed, so that there are no steps.
    """
    if not explanation.is_observed:
        raise RuntimeError(
            "explain: the page shows a computation step by step, and this one was not observed: "
            "explain a function that computes it, explain(function)"
        )
    entries = kept(explanation.entries)
    story = Story(explanation, entries)
    drawn = graph(explanation)
    notes = [*drawn.notes, *explanation.missing]
    left_out = len(explanation.entries) - len(entries)
    if left_out:
        notes.append(f"{left_out:,} values in the middle have no step of their own.")
    norms = [edge.norm for edge in drawn.edges if edge.norm]
    if norms:
        notes.append(
            "The lines of the gradients are the thicker the larger the norm, on a logarithmic "
            f"scale from {number_text(min(norms))} to {number_text(max(norms))}."
        )
    data = json.dumps(
        {
            "steps": story.steps,
            "codes": story.shown.codes,
            "names": [e.name for e in story.parameters],
        }
    )
    folder = files("minigrad.explain")
    return Template(folder.joinpath("page.html").read_text(encoding="utf-8")).substitute(
        title=escape(explanation.title),
        counts=escape(count_text(explanation)),
        links=_links(story.steps),
        last=len(story.steps),
        graph=svg(drawn),
        notes="".join(f"<p>{escape(note)}</p>" for note in notes),
        rule=escape(RULE),
        data=f"{data[:-1]}, {json.dumps('arrays')}: {json_of(story.shown.arrays)}}}".replace(
            "<", "\\u003c"
        ),
        css=folder.joinpath("page.css").read_text(encoding="utf-8"),
        js=folder.joinpath("page.js").read_text(encoding="utf-8"),
    )


def _links(steps: list[Step]) -> str:
    """Return a link to each step, under a heading for each phase."""
    found = []
    for phase, heading in PHASES.items():
        links = [
            f'<li><a href="#step-{i}"><span>{i}</span> {escape(step["title"])}</a></li>'
            for i, step in enumerate(steps, 1)
            if step["phase"] == phase
        ]
        if links:
            found.append(f"<h3>{heading}</h3><ol>{''.join(links)}</ol>")
    return "".join(found)

"""What is shown in a browser: the page to step through a computation, and a notebook's table."""

import json
import math
from collections.abc import Mapping
from html import escape
from importlib.resources import files
from string import Template
from typing import Any

from minigrad.explain.computation import Computation
from minigrad.explain.drawing import svg
from minigrad.explain.graph import Graph, graph
from minigrad.explain.steps import Step, Story
from minigrad.explain.summary import RULE, Shown, json_of
from minigrad.explain.table import HEADINGS, count_text, kept, number_text, rows

PHASES = {"forward": "Forward", "backward": "Backward", "update": "Update"}
SIGNS = {
    "first": "M2 3h2v10H2zM14 3v10L5 8z",
    "back": "M8 2 2 8l6 6v-4h6V6H8z",
    "play": "M3 2v12l11-6z",
    "next": "M8 2l6 6-6 6v-4H2V6h6z",
    "last_sign": "M12 3h2v10h-2zM2 3v10l9-5z",
}
"""The signs on the buttons, which no font need have."""


def page(computation: Computation) -> str:
    """Return the page.

    Raises:
        RuntimeError: the computation was not observed, so that there are no steps.
    """
    if not computation.is_observed:
        raise RuntimeError(
            "explain: the page shows a computation step by step, and this one was not observed: "
            "explain a function that computes it, explain(function)"
        )
    entries = kept(computation.entries)
    story = Story(computation, entries)
    notes = list(computation.missing)
    left_out = len(computation.entries) - len(entries)
    if left_out:
        notes.append(f"{left_out:,} values in the middle have no step of their own.")
    return assembled(
        computation.title,
        story.steps,
        story.shown,
        graph(computation),
        lead=f'<p class="quiet">{count_text(computation)}</p>',
        reading=_read("reading.html"),
        aside='<h2>Parameters and their gradients</h2>\n<div id="parameters"></div>',
        notes=notes,
        data={"names": [entry.name for entry in story.parameters]},
    )


def assembled(
    title: str,
    steps: list[Step],
    shown: Shown,
    drawn: Graph,
    *,
    lead: str,
    reading: str,
    aside: str,
    notes: list[str],
    data: Mapping[str, Any],
    legend: str = "",
    css: str = "",
    js: str = "",
) -> str:
    """Return a page of these steps.

    Args:
        title: what is stepped through.
        steps: as `Story` tells them.
        shown: the arrays and the source that the steps name by their numbers.
        drawn: the graph; a step lights the box that its `entry` is in.
        lead, reading, aside: HTML, to stand above the steps, folded, and beside them.
        notes: sentences to stand with what is folded.
        data: more for the scripts, ready to become JSON.
        legend: HTML, what more colours there are.
        css, js: more style, and a script that adds to `FIGURES`.
    """
    norms = [edge.norm for edge in drawn.edges if edge.norm and math.isfinite(edge.norm)]
    said = list(drawn.notes)
    if norms:
        said.append(
            "The lines of the gradients are the thicker the larger the norm, on a logarithmic "
            f"scale from {number_text(min(norms))} to {number_text(max(norms))}."
        )
    told = json.dumps({"steps": steps, "codes": shown.codes, **data})
    return Template(_read("page.html")).substitute(
        title=escape(title),
        lead=lead,
        reading=reading,
        legend=legend,
        aside=aside,
        links=_links(steps),
        last=len(steps),
        **{
            name: f'<svg viewBox="0 0 16 16"><path d="{path}"/></svg>'
            for name, path in SIGNS.items()
        },
        graph=svg(drawn),
        notes="".join(f"<p>{escape(note)}</p>" for note in [*said, *notes]),
        rule=escape(RULE),
        data=f"{told[:-1]}, {json.dumps('arrays')}: {json_of(shown.arrays)}}}".replace(
            "<", "\\u003c"
        ),
        css=_read("page.css") + css,
        js=_read("heatmap.js") + js + _read("page.js"),
    )


def _read(name: str) -> str:
    return files("minigrad.explain").joinpath(name).read_text(encoding="utf-8")


def _links(steps: list[Step]) -> str:
    """Return a link to each step, under a heading for each phase."""
    found = []
    for phase, heading in PHASES.items():
        links = [
            f'<li><a href="#step-{i}"><span>{i}</span> {escape(step["title"])}'
            f"{' ✗' if step['alerts'] else ''}</a></li>"
            for i, step in enumerate(steps, 1)
            if step["phase"] == phase
        ]
        if links:
            found.append(f"<h3>{heading}</h3><ol>{''.join(links)}</ol>")
    return "".join(found)


def notebook(computation: Computation) -> str:
    """Return the page in a frame; of what was not observed a table, with the graph above it."""
    if computation.is_observed:
        return Template(_read("frame.html")).substitute(
            title=escape(computation.title), page=escape(page(computation))
        )
    body = []
    for found in rows(computation):
        if isinstance(found, int):
            body.append(
                f'<tr><td colspan="{len(HEADINGS)}">… {found:,} values left out …</td></tr>'
            )
        else:
            body.append("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in found) + "</tr>")
    return Template(_read("notebook.html")).substitute(
        title=escape(computation.title),
        count=count_text(computation),
        graph=svg(graph(computation)),
        head="".join(f'<th scope="col">{heading}</th>' for heading in HEADINGS),
        body="".join(body),
        notes="".join(f"<p>{escape(note)}</p>" for note in computation.missing),
    )

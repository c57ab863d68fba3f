"""The terminal's table of verdicts."""

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from parity.environment import blas_warning
from parity.report import wording
from parity.report.wording import Document

STYLES = {True: "bold green", False: "bold white on red", None: "dim"}


def summary(document: Document) -> RenderableType:
    """The verdicts on every architecture, then what failed, last the result.

    `document` is the content of `report.json`. Lines wrap at the console's width; without a
    terminal it is plain text, and nothing is told by colour alone.
    """
    parts: list[RenderableType] = []
    for architecture in document["architectures"]:
        parts += [*_architecture(architecture, document["settings"]), Text()]
    warnings = [
        blas_warning(side) for side in document["environment"].values() if isinstance(side, dict)
    ]
    for remark in [*wording.remarks(document), *dict.fromkeys(filter(None, warnings))]:
        parts.append(_item("!", "bold black on yellow", Text(remark, style="bold")))
    failures = wording.failures(document)
    for failure in failures:
        parts.append(_item("FAIL", STYLES[False], Text(failure, style="bold")))
    result = ("FAIL", STYLES[False]) if failures else ("PASS", STYLES[True])
    parts.append(_item(*result, Text(wording.headline(document), style="bold")))
    return Group(*parts)


def _architecture(architecture: Document, settings: Document) -> list[RenderableType]:
    title = Text.assemble((architecture["name"], "bold"), f"  {wording.network(architecture)}")
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    lines = wording.lines(architecture, settings)
    for line in lines:
        if line.detail:
            table.add_row(line.label, Text(line.word, style=STYLES[line.passed]), Text(line.detail))
    if missing := ", ".join(line.label for line in lines if not line.detail):
        table.add_row("not judged", Text(wording.WORDS[None], style=STYLES[None]), Text(missing))
    table.add_row("state", "", Text(wording.state(architecture, settings)))
    return [title, Padding(table, (0, 0, 0, 2))]


def _item(mark: str, style: str, text: Text) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row(Text(mark, style=style), text)
    return table

"""The terminal's table of verdicts."""

from pathlib import Path

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from parity.checks.words import Document
from parity.report import wording
from parity.report.findings import findings
from parity.report.wording import Line, headline, replay
from parity.tables import STYLES, Trimmed, Unwrapped, grid, item


def summary(
    document: Document, folder: str | Path = "", *, verbose: bool = False
) -> RenderableType:
    """Return the verdicts on every architecture and on the probes, the result, and what failed.

    `document` is the content of `report.json`, which lies in `folder`. `verbose` adds the final MSE
    of `bitwise` as hexadecimal numbers. Lines wrap at the console's
    width, but for commands: print it with `crop=False`. Without a terminal it is plain text, and
    nothing is told by colour alone.
    """
    parts: list[RenderableType] = []
    for architecture in document["architectures"]:
        parts += [*_architecture(architecture, document["settings"], verbose), Text()]
    if line := wording.probes(document):
        table = grid(3)
        _add(table, line)
        parts += [Padding.indent(table, 2), Text()]
    for remark in wording.remarks(document):
        parts.append(item("!", "bold black on yellow", Text(remark, style="bold")))
    found = findings(document)
    result = ("FAIL", STYLES[False]) if found else ("PASS", STYLES[True])
    parts.append(item(*result, Text(headline(document), style="bold")))
    whole: list[RenderableType] = [Trimmed(Group(*parts))]
    for finding in reversed(found):  # what tells most stands last, where it is read first
        said = Group(Text(finding.sentence, style="bold"), *map(Text, finding.details))
        whole += [Text(), Trimmed(item("FAIL", STYLES[False], said))]
        if finding.case:
            whole.append(Unwrapped(f"      {replay(finding.case, folder, document['settings'])}"))
    return Group(*whole)


def _architecture(
    architecture: Document, settings: Document, verbose: bool
) -> list[RenderableType]:
    name, network = architecture["name"], wording.network(architecture)
    of_sizes = network.startswith(f"{name},")  # which need not be said twice
    title = Text.assemble((name, "bold"), network[len(name) :] if of_sizes else f"  {network}")
    table = grid(3)
    lines = wording.lines(architecture, settings)
    for line in lines:
        if line.detail:
            _add(table, line)
    if verbose and architecture["bitwise"]:
        hexes = architecture["bitwise"]["final_mse_hex"].values()
        _add(table, Line("bitwise, hex", None, " and ".join(dict.fromkeys(hexes))))
    if missing := ", ".join(line.label for line in lines if not line.detail):
        _add(table, Line("not judged", None, missing))
    table.add_row("state", "", Text(wording.state(architecture, settings)))
    return [title, Padding.indent(table, 2)]


def _add(table: Table, line: Line) -> None:
    table.add_row(line.label, Text(line.word, style=STYLES[line.passed]), Text(line.detail))

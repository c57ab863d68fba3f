"""What commands print to: a terminal or a file; tables for both, and in Markdown."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from minigrad import shell

STYLES = {True: "bold green", False: "bold white on red", None: "dim"}
"""How a verdict is shown: passed, failed, not reached."""


class Output(Console):
    """Standard output, or standard error, as plain text where there is no terminal."""

    def on_broken_pipe(self) -> None:
        """Go on in silence when nobody reads any more, as in `parity run | head -1`."""
        shell.silence(self.file)

    def say(self, sentence: str, style: str | None = None) -> None:
        """Print a sentence: broken between words on a terminal, one line elsewhere."""
        whole = not self.is_terminal
        self.print(sentence, style=style, soft_wrap=whole, markup=False, highlight=False)


class Trimmed(NamedTuple):
    """Anything that rich can show, without blanks at the ends of lines.

    A pipe or an editor would show them.
    """

    content: RenderableType

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for line in console.render_lines(self.content, options, pad=False):
            width = cell_len("".join(segment.text for segment in line).rstrip())
            yield from Segment.adjust_line_length(line, width, pad=False)
            yield Segment.line()


class Unwrapped(NamedTuple):
    """A line that is as long as it is, to be copied; print it with `crop=False`."""

    line: str

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Segment(self.line)
        yield Segment.line()


def grid(columns: int) -> Table:
    """Return a table without lines and heading; its last column takes what width is left."""
    table = Table.grid(padding=(0, 2, 0, 0))
    for _ in range(columns - 1):
        table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    return table


def item(mark: str, style: str, content: RenderableType) -> Table:
    """Return a mark, such as FAIL, with what belongs to it beside it."""
    table = grid(2)
    table.add_row(Text(mark, style=style), content)
    return table


def markdown(heading: Sequence[str], rows: Iterable[Sequence[str]], numbers: bool = False) -> str:
    """Return a table in Markdown; `numbers` aligns all columns but the first to the right."""
    line = ["---", *["---:" if numbers else "---"] * (len(heading) - 1)]
    return "".join(f"| {' | '.join(row)} |\n" for row in (heading, line, *rows))

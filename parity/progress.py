"""Progress bars for a person at a terminal; silence for everything else."""

from rich import progress as bars
from rich.console import Console
from rich.text import Text


class _Speed(bars.ProgressColumn):
    """Epochs or rounds per second."""

    def render(self, task: bars.Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.0f} {task.fields['unit']}/s")


class Progress(bars.Progress):
    """A context manager that shows a bar for each thing being done, on standard error."""

    def __init__(self, console: Console | None = None) -> None:
        console = console or Console(stderr=True)
        super().__init__(
            bars.TextColumn("{task.description}"),
            bars.BarColumn(bar_width=None),
            bars.MofNCompleteColumn(),
            _Speed(),
            bars.TimeRemainingColumn(compact=True),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._shown: dict[str, bars.TaskID] = {}

    def epochs(self, architecture: str, engine: str, done: int, total: int) -> None:
        """Show how many epochs an engine has trained for."""
        self._show(f"{architecture} {engine}", done, total, "epochs")

    def rounds(self, architecture: str, done: int, total: int) -> None:
        """Show how many rounds have been timed."""
        self._show(architecture, done, total, "rounds")

    def _show(self, description: str, done: int, total: int, unit: str) -> None:
        if description not in self._shown:
            self._shown[description] = self.add_task(description, total=total, unit=unit)
        self.update(self._shown[description], completed=done)

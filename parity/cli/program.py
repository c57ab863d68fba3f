"""How a program of commands reads what was typed, explains itself and refuses."""

import difflib
import re
import sys
from collections.abc import Sequence
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from minigrad.architectures import ARCHITECTURES
from parity.cli.command import complain
from parity.errors import UsageError


class Command(TyperCommand):
    """A command; its help does not name Python's types of arguments, such as list[str]."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the arguments and the options, each with its help."""
        for title in ("Arguments", "Options"):
            kind = title.lower().removesuffix("s")
            own = [each for each in self.get_params(ctx) if each.param_type_name == kind]
            rows = [row for each in own if (row := each.get_help_record(ctx))]
            if kind == "argument":
                rows = [(re.sub(r" <.*>", "", name), said) for name, said in rows]
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)


class Program(TyperGroup):
    """Commands; whatever is wrong with what was typed is said in one line, as by `complain`."""

    def main(self, args: Sequence[str] | None = None, *others: Any, **more: Any) -> Any:
        """Run a command and exit with its status."""
        try:
            status = super().main(args, *others, **{**more, "standalone_mode": False})
        except SystemExit:  # nobody reads the help any more, as in `parity -h | head -1`
            status = 0
        except Exception as error:
            if isinstance(error, UsageError):
                said = str(error)
            elif hasattr(error, "format_message"):  # typer has no name for what its parser raises
                said = _said(error)
            else:
                raise
            status = complain(said, 2, str(self.name))
        sys.exit(status)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the commands, each with its whole first sentence, however narrow the terminal."""
        rows = [(name, each.get_short_help_str(1000)) for name, each in self.commands.items()]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the command that is named; raise `UsageError` if there is none of this name."""
        name, known = args[0], self.list_commands(ctx)
        if name in known or ctx.resilient_parsing:
            return super().resolve_command(ctx, args)
        remedy = f"give one of {', '.join(known)}"
        if near := difflib.get_close_matches(name, known, 1):
            remedy = f"did you mean {near[0]}?"
        elif self.invoke_without_command and (name in ARCHITECTURES or not name.isalpha()):
            remedy = f"did you mean `{self.name} {known[0]} {name}`?"
        raise UsageError(f"there is no command {name!r}: {remedy}")


def program(name: str, **more: Any) -> typer.Typer:
    """Return a program without commands yet; its commands are of the class `Command`."""
    return typer.Typer(
        name=name,
        cls=Program,
        context_settings={"help_option_names": ["-h", "--help"]},
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        **more,
    )


def _said(error: Any) -> str:
    """Return what typer's parser complains of, in the words of this project."""
    option, param = getattr(error, "option_name", None), getattr(error, "param", None)
    said = re.sub(r"^Value error, ", "", error.message).rstrip(".")
    if hasattr(error.__cause__, "errors"):  # of pydantic, which does not say what was given
        given = error.__cause__.errors()[0]["input"]
        said = re.sub(
            r"^Input should be (a valid \w+).*", lambda m: f"{given!r} is not {m[1]}", said
        )
    said = said[:1].lower() + said[1:]
    remedy = f"`{error.ctx.command_path} -h` tells how it is used" if error.ctx else ""
    if hasattr(error, "possibilities"):
        said = f"there is no option {option}"
        if error.possibilities:
            remedy = f"did you mean {' or '.join(error.possibilities)}?"
    elif param is not None:
        name = param.opts[0] if param.param_type_name == "option" else param.metavar or param.name
        said = f"{name}: {said}" if said else f"{name} is missing"
    return f"{said}: {remedy}" if remedy else said

"""`minigrad explain` on the command line; needs NumPy alone."""

import argparse
import difflib
import importlib
import re
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from minigrad import __version__, problems, shell
from minigrad.architectures import DEFAULT_SEED, architecture, training
from minigrad.explain import Explanation, explain
from minigrad.limits import beyond


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return the exit status: 0, 2 for bad usage or input, 130 after Ctrl-C."""

    def run() -> int:
        options = _parser().parse_args(arguments)
        return shell.ended("minigrad explain", lambda: _explain(options), _failed)

    return shell.finish("minigrad", run)


def _explain(options: argparse.Namespace) -> int:
    explanation = _explained(options)
    if options.html is not None:
        explanation.save(options.html)
    if options.dot:
        shell.show(explanation.dot())
    elif options.html is None:
        shell.show(f"{explanation}\n")
    if options.html is not None:
        print(f"The page is {options.html}: open it in a browser.", file=sys.stderr)
    return 0


def _failed(error: BaseException) -> int | None:
    """Say what was wrong with the input; a function of the user's may raise anything."""
    of_a_file = isinstance(error, OSError) and (error.filename or "cannot " in str(error))
    if of_a_file or isinstance(error, MemoryError):
        return None
    said = str(error)
    if not isinstance(error, ValueError | TypeError | RuntimeError):
        frame = traceback.extract_tb(error.__traceback__)[-1]
        said = f"{type(error).__name__}: {said}, in {frame.name}, {frame.filename}:{frame.lineno}"
    return shell.complain("minigrad explain", said, 2)


class _Parser(argparse.ArgumentParser):
    """Whatever is wrong with what was typed is said in one line.

    Attributes:
        known: the commands and options, for one that is misspelt.
    """

    known: Sequence[str] = ()

    def error(self, message: str) -> NoReturn:
        """Say it, and exit with status 2."""
        remedy = f"`{self.prog} -h` tells how it is used"
        given = re.search(r"(?:invalid choice: '|unrecognized arguments: )([\w-]+)", message)
        if given and (near := difflib.get_close_matches(given[1], self.known, 1)):
            message, remedy = f"there is no {given[1]}", f"did you mean {near[0]}?"
        self.exit(2, f"{self.prog}: {message}: {remedy}\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="minigrad", description="A reverse-mode autograd engine on NumPy.")
    parser.add_argument("--version", action="version", version=f"minigrad {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    command = commands.add_parser(
        "explain",
        help="show how a computation is recorded and differentiated",
        description="Show one training step of a network, or what a function of yours computes: "
        "as a table of the tape, as a graph, or as a page to step through.",
    )
    command.add_argument(
        "what",
        metavar="ARCHITECTURE | FILE.py | MODULE:FUNCTION",
        help="underfit, rightfit, overfit, layer sizes such as 1-8-1, a problem: a file of "
        "functions in torch's names, or a function without arguments that returns a tensor",
    )
    command.add_argument("--dot", action="store_true", help="print the graph for Graphviz")
    command.add_argument("--html", metavar="FILE", type=Path, help="write the page to a file")
    command.add_argument(
        "--seed", type=int, help=f"of data and parameters ({DEFAULT_SEED}, or a problem's)"
    )
    command.add_argument(
        "--epoch", type=int, default=1, help="the epoch whose step is explained (1, the first)"
    )
    command.add_argument("--samples", type=int, help="points of the parabola (100)")
    parser.known = ["explain", *re.findall(r"--\w+", command.format_usage())]
    return parser


def _explained(options: argparse.Namespace) -> Explanation:
    for name in ("seed", "epoch", "samples"):
        value = getattr(options, name)
        if value is not None and (said := beyond(name, value)):
            raise ValueError(f"--{name} {str(value)[:40]} {said}")
    if ":" in options.what:
        explanation = explain(_function(options.what))
        explanation.title = options.what
        return explanation
    if options.what.endswith(".py"):
        if options.samples is not None:
            raise ValueError(f"--samples is for the parabola, and {options.what} has its own data")
        step, title = problems.training(options.what, options.seed, options.epoch)
        explanation = explain(step)
        explanation.title = title
        return explanation
    found = architecture(options.what)
    seed = DEFAULT_SEED if options.seed is None else options.seed
    samples = 100 if options.samples is None else options.samples
    explanation = explain(training(found, seed, options.epoch, samples))
    sizes = "-".join(map(str, found.sizes))
    network = found.name if found.name == sizes else f"{found.name} ({sizes})"
    explanation.title = f"Training step {options.epoch} of {network}, seed {seed}"
    return explanation


def _function(text: str) -> Callable[[], Any]:
    """Return the function that `module:function` names, looked for from the current folder on."""
    module_name, _, path = text.partition(":")
    if not module_name or not path:
        raise ValueError(f"{text!r} names no function: give MODULE:FUNCTION")
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        found: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise ValueError(
            f"no module {error.name!r} for {text!r}: give MODULE:FUNCTION, the module's name "
            "without .py, from the folder it is in"
        ) from error
    for name in path.split("."):
        if not hasattr(found, name):
            raise ValueError(f"{text!r}: {module_name} has no {path!r}")
        found = getattr(found, name)
    if not callable(found):
        raise ValueError(f"{text!r} is a {type(found).__name__}, and a function is needed")
    function: Callable[[], Any] = found
    return function


if __name__ == "__main__":
    sys.exit(main())

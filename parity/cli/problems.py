"""Problems named on the command line. Each is tried in a process of its own before all else."""

import re
import sys
from pathlib import Path

from parity.checks.describe import describe
from parity.checks.steps import Judge
from parity.engines.pipe import EngineProcessError, engines_failure
from parity.engines.process import KEPT, EngineProcess
from parity.errors import ProblemError
from parity.problems.task import Task
from parity.problems.written import Problem, read


def named(name: str) -> Problem | None:
    """Return the problem of this name, a file or a module; None if it is a name of neither kind.

    Raises:
        ProblemError: there is no such file or module, or it cannot be read.
    """
    if name.endswith(".py"):
        return read(Path(name), Path(name).stem)
    parts = name.split(".")
    if len(parts) < 2 or not all(part.isidentifier() for part in parts):
        return None
    for folder in (Path.cwd(), *map(Path, sys.path)):
        path = folder.joinpath(*parts).with_suffix(".py")
        if path.is_file():
            return read(path, name)
    raise ProblemError(
        f"there is no module {name!r} here: give a file such as {parts[-1]}.py, or a module from "
        "the folder where it can be imported"
    )


def task_of(problem: Problem, seed: int | None, dtype: str, device: str, timeout_s: float) -> Task:
    """Return the task of a problem, after a first step of it on minigrad's budgeted arrays.

    Raises:
        ProblemError: it cannot be trained, or it takes longer than `timeout_s`.
    """
    with EngineProcess(Judge, 1, f"problem {problem.name}", KEPT, timeout_s) as process:
        try:
            return process.call(describe, problem, seed, dtype, device)
        except EngineProcessError as error:
            failure = engines_failure(error)
            did = failure.did if failure else str(error)
            lines = re.findall(
                rf'"{re.escape(problem.path)}", line (\d+)', failure.trace or "" if failure else ""
            )
            place = ":".join([problem.path, *lines[-1:]])
            raise ProblemError(
                f"{place}: the problem {did}: it must return from each of its functions"
            ) from error

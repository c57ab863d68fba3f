"""The verdicts for anyone's tests: an engine of your own as pytest's tests, and gradients alone.

    from parity.testing import parametrize_with_checks

    @parametrize_with_checks(MyEngine)
    def test_my_engine(engine, check):
        check(engine)

The engine is run in the process of the tests, so that a debugger and coverage see it, and a
traceback is its own; torch, which it is held against, in another.
"""

import atexit
import functools
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, NoReturn

import numpy as np

from parity.extras import missing

try:
    import pytest
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(missing(error, "parity.testing"), name=error.name) from None

from minigrad.architectures import Architecture, architecture
from parity.checks.budget import Budget
from parity.checks.steps import Judge
from parity.checks.verdicts import VERDICTS, not_reached
from parity.engines import asked
from parity.engines.process import EngineProcess, LocalObject
from parity.engines.protocol import Engine, Task
from parity.engines.registry import factory, same
from parity.engines.trainer import Trainer
from parity.errors import CannotBeJudgedError, UsageError
from parity.porting import assert_gradients_agree, assert_training_agrees, gradient_budget
from parity.processes import Processes, Side, trainer
from parity.report.findings import Finding, findings
from parity.run import run_on

__all__ = ["Check", "checks", "parametrize_with_checks", "assert_gradients_agree"]
__all__ += ["assert_training_agrees", "gradient_budget", "Budget"]

AnyEngine = type[Engine] | Callable[[], Engine] | str
"""A class, whatever makes an engine, or the name of one that is known."""

REFERENCE = "torch"
EPOCHS = 50
PROBES = "probes"


@dataclass(frozen=True)
class Check:
    """One verdict on one network, or on the probes; called with an engine, it passes or fails.

    Attributes:
        verdict: as in report.json.
        architecture: a name or layer sizes.
        dtype: "float32" or "float64".
        momentum: of SGD.
    """

    verdict: str
    architecture: str
    dtype: str
    momentum: float = 0.0

    def __call__(self, engine: AnyEngine) -> None:
        """Judge the engine.

        Raises:
            AssertionError: the verdict fails; it says at which tensor, element and node.
            pytest.skip.Exception: the verdict cannot be reached with this engine, and why.
            UsageError: there is no such engine, or it is the reference itself.
            BaseException: whatever the engine raises; the judge's frames are not in its traceback.
        """
        __tracebackhide__ = True
        try:
            document = _document(engine, self.architecture, self.dtype, self.momentum)
        except CannotBeJudgedError as error:
            _skip(str(error))
        except BaseException as error:
            raise error.with_traceback(_outside(error.__traceback__)) from error.__cause__
        (entry,) = document["architectures"]
        found = (document if self.verdict == PROBES else entry)[self.verdict]
        if found is not None and found["passed"] is None:
            seen = VERDICTS[self.verdict].describe(found, entry, document["settings"])
            _skip(f"{self.verdict} cannot be judged: {seen}")
        if found is None:
            _skip(f"{self.verdict} cannot be judged: {self._reason(document, entry)}")
        if not found["passed"]:
            raise AssertionError("\n".join(map(_said, findings(self._alone(document, entry)))))

    def _reason(self, document: Mapping[str, Any], entry: Mapping[str, Any]) -> str:
        """Return why the verdict is not reached.

        Raises:
            AssertionError: it should have been, but the reference raised an exception.
        """
        __tracebackhide__ = True
        for problem in (document.get("problem"), entry.get("problem")):
            if problem:
                raise AssertionError(f"{problem['engine']} {problem['did']}")
        if self.verdict == PROBES:
            return "the engine has no `namespace` in torch's names"
        return str(entry["not_judged"][self.verdict])

    def _alone(self, document: Mapping[str, Any], entry: Mapping[str, Any]) -> dict[str, Any]:
        """Return the content of a report.json as if no other verdict had been reached."""
        if self.verdict == PROBES:
            return {**document, "architectures": [], "passed": False}
        only = {**entry, **not_reached(**{self.verdict: entry[self.verdict]})}
        return {**document, "architectures": [only], "probes": None, "passed": False}

    def __str__(self) -> str:
        momentum = f"-momentum{self.momentum:g}" if self.momentum else ""
        return f"{self.verdict}-{self.architecture}-{self.dtype}{momentum}"


def checks() -> list[Check]:
    """Return every check: the verdicts on four networks in both dtypes, and the probes.

    `bitwise` is not among them: it needs a twin of the engine in reproducible arithmetic.
    """
    networks: list[tuple[str, str, float]] = [
        ("underfit", "float32", 0.0),
        ("1-16-1", "float32", 0.0),
        ("1-8-8-1", "float64", 0.0),
        ("1-8-1", "float32", 0.5),
    ]
    verdicts = [name for name, verdict in VERDICTS.items() if not verdict.bits]
    found = itertools.product(verdicts, networks)
    return [*(Check(verdict, *network) for verdict, network in found), Check(PROBES, *networks[0])]


def parametrize_with_checks(engine: AnyEngine | Sequence[AnyEngine]) -> pytest.MarkDecorator:
    """Return a decorator for a test of two arguments, `engine` and `check`: a test for each check.

    Args:
        engine: a class that derives from `parity.Engine`, whatever makes an engine without being
            given arguments, or a known engine's name; or several of these.

    Raises:
        UsageError: a name is not that of an engine.
    """
    engines: list[Any] = list(engine) if isinstance(engine, list | tuple) else [engine]
    for each in engines:
        if isinstance(each, str):
            factory(each)  # a name that is none fails here, before there are any tests
    return pytest.mark.parametrize(
        ("engine", "check"),
        [
            pytest.param(
                each, check, id=f"{check}-{_name(each)}" if len(engines) > 1 else f"{check}"
            )
            for each in engines
            for check in checks()
        ],
    )


# ---- how an engine is judged -----------------------------------------------------------------


@functools.cache
def _document(engine: AnyEngine, network: str, dtype: str, momentum: float) -> dict[str, Any]:
    """Judge a network once for all its verdicts; return the content of a report.json."""
    named: Architecture = architecture(network)
    task = Task(named.sizes, EPOCHS, named.learning_rate, 100, 0, dtype, "cpu", momentum)
    name = _name(engine)
    if same(name, REFERENCE):
        raise UsageError(f"{name!r} is what engines are held against: it agrees with itself")
    make = factory(engine) if isinstance(engine, str) else engine
    settings = {"seed": 0, "dtype": dtype, "device": "cpu", "quick": True}
    with np.errstate():  # which engines set for a process of their own
        processes = Processes(
            LocalObject(Trainer(make), name),
            _reference(),
            [_reference()],
            [LocalObject(Judge())],
        )
        processes.require_two()
        return run_on(processes, [(named, task)], settings, lambda *_: None).document


@functools.cache
def _reference() -> EngineProcess[Trainer]:
    """Return a process of the reference, which lives as long as the tests."""
    process = trainer(Side(REFERENCE, factory(REFERENCE)))
    process.__enter__()
    atexit.register(process.close)
    return process


def _skip(reason: str) -> NoReturn:
    """Skip the test; the short summary, with `pytest -rs`, has its line, and the reason."""
    raise pytest.skip.Exception(reason, _use_item_location=True)


def _outside(trace: TracebackType | None) -> TracebackType | None:
    """Return a traceback from where the engine was asked, the whole of it if it was not."""
    found = inner = trace
    while inner is not None:
        if inner.tb_frame.f_code.co_filename == asked.__file__:
            found = inner.tb_next
        inner = inner.tb_next
    return found or trace


def _name(engine: AnyEngine) -> str:
    return engine if isinstance(engine, str) else getattr(engine, "__name__", type(engine).__name__)


def _said(finding: Finding) -> str:
    return "\n  ".join([finding.sentence, *finding.details])

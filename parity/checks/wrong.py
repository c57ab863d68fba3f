"""Which engine is wrong, where no node tells: one step of both, and what it truly comes to."""

from collections.abc import Mapping

from parity.checks.budget import Budget, BudgetedStep
from parity.checks.gradients import compare
from parity.checks.witness import Witness
from parity.checks.words import wrong_of
from parity.engines.process import EngineProcess
from parity.engines.protocol import Array, Start, Task
from parity.engines.trainer import Trainer


def wrong_in_step(
    actual: EngineProcess[Trainer],
    expected: EngineProcess[Trainer],
    task: Task,
    start: Start,
    momentum_buffers: Mapping[str, Array],
) -> str | None:
    """Hold a step of each engine against the exact witness.

    The budgets come from minigrad's rules, which may be wrong themselves. So if both engines are
    out of them, that is not believed.

    Args:
        actual, expected: the engines' processes.
        task: what is trained.
        start, momentum_buffers: from where; no buffers before the optimiser's first step.

    Returns:
        "actual", "expected" or "neither"; None if that cannot be told, as of a step that is too
        large.
    """
    true = Witness(task, start, momentum_buffers).step()
    if true is None:
        return None
    budget = BudgetedStep(task, start)(start.parameters, momentum_buffers or None)
    budgets: dict[str, dict[str, Budget]] = {
        "loss": {"loss": budget.loss},
        "gradients": budget.gradients,
        "updated": budget.parameters,
        "buffers": budget.momentum_buffers,
    }

    def right(engine: EngineProcess[Trainer]) -> bool:
        engine.call(Trainer.begin, task, start)
        found = engine.call(Trainer.take, start.parameters, momentum_buffers)
        return all(compare(found[kind], true[kind], budgets[kind], kind).passed for kind in found)

    wrong = wrong_of(right(actual), right(expected)) or "neither"
    return None if wrong == "both" else wrong

"""Problems: twelve that are no chain of ReLUs, each judged by every verdict that has a meaning."""

import os
import pickle
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import minigrad
from minigrad.__main__ import main as explain
from minigrad.problems import training
from parity.bench.timed import TimedEngine
from parity.checks.describe import describe
from parity.checks.match import Match
from parity.checks.steps import Judge
from parity.checks.verdicts import ROWS, VERDICTS, located
from parity.cli.options import Training, tasks
from parity.engines.adapters.minigrad import (
    MinigradCapturedEngine,
    MinigradEngine,
    MinigradReproducibleEngine,
)
from parity.engines.adapters.torch import TorchEngine, TorchReproducibleEngine
from parity.engines.asked import Asked
from parity.engines.peers.numpy_floor import NumpyFloorEngine
from parity.engines.process import EngineProcess, LocalObject
from parity.engines.protocol import Engine, Task
from parity.engines.trainer import Trainer
from parity.errors import CannotBeJudgedError, ProblemError, UsageError
from parity.problems.written import Problem, read
from parity.sweep.work import Job, Worker
from parity.testing import assert_training_agrees, gradient_budget
from tests.minigrad.operations import FUZZ
from tests.parity.commands import children, parity

FILES = sorted((Path(__file__).parent / "problems").glob("*.py"))
NAMES = [path.stem for path in FILES]
VARYING = {"schedule", "random_depth"}
"""Of these one step is not the same as another, so that none is captured."""

INEXACT = {
    "minibatches": "sqrt",
    "oscillator": "tanh",
    "polynomial": "power",
    "schedule": "exp",
    "tanh_l1": "tanh",
}
"""What in the others is not correctly rounded: of these `bitwise` is not judged."""


def task_of(name: str, seed: int = 0, dtype: str = "float32", epochs: int = 4) -> Task:
    problem = read(Path(__file__).parent / "problems" / f"{name}.py", name)
    task = describe(Judge(), problem, seed, dtype, "cpu")
    return replace(task, epochs=min(epochs, max(1, 8 // task.steps_an_epoch)))


def local(engine: type[Engine]) -> EngineProcess[Trainer]:
    return LocalObject(Trainer(engine), engine.__name__)


def match_of(engine: type[Engine], task: Task) -> Match:
    twins = local(MinigradReproducibleEngine), local(TorchReproducibleEngine)
    sides = local(engine), local(TorchEngine)
    return Match(sides, task, references=[local(TorchEngine)], twins=twins)


def judged(match: Match) -> dict[str, Any]:
    """Every verdict that can be reached, by name; of others the reason."""
    found: dict[str, Any] = {}
    with np.errstate(all="ignore"):
        for verdict in sorted(ROWS, key=lambda row: row.turn):
            found[verdict.name] = verdict.not_reached(match) or verdict.check(match)
    return found


def test_there_are_twelve() -> None:
    assert len(NAMES) == 12


@pytest.mark.parametrize("seed", range(12) if FUZZ else [3])
@pytest.mark.parametrize("dtype", ["float32", "float64"] if FUZZ else ["float32"])
@pytest.mark.parametrize("name", NAMES)
def test_every_verdict_that_has_a_meaning_passes(name: str, dtype: str, seed: int) -> None:
    match = match_of(MinigradEngine, task_of(name, seed, dtype))
    found = judged(match)
    for verdict, entry in found.items():
        if isinstance(entry, str):
            assert (verdict == "bitwise" and name in INEXACT and INEXACT[name] in entry) or (
                verdict == "accuracy" and dtype == "float64"
            ), entry
        else:
            assert entry["passed"] is not False, (verdict, entry)
            assert entry["passed"] or verdict == "final_mse", (verdict, entry)
    assert match.states == {"actual": "trained", "expected": "trained"}


@pytest.mark.parametrize("seed", range(12) if FUZZ else [5])
@pytest.mark.parametrize("dtype", ["float32", "float64"] if FUZZ else ["float32"])
@pytest.mark.parametrize("name", NAMES)
def test_captured_steps_train_on_what_is_the_same_each_time(
    name: str, dtype: str, seed: int
) -> None:
    match = match_of(MinigradCapturedEngine, task_of(name, seed, dtype))
    if name in VARYING:
        with pytest.raises(CannotBeJudgedError):
            VERDICTS["gradients"].check(match)
        return
    for verdict in ("gradients", "steps", "free_steps"):
        entry = VERDICTS[verdict].check(match)
        assert entry is not None
        assert entry["passed"], entry


OPTIONS: list[dict[str, Any]] = [
    {"activation": "Tanh", "loss": "L1Loss", "weight_decay": 1e-3, "momentum": 0.9},
    {"activation": "LeakyReLU", "loss": "HuberLoss", "bias": False, "momentum": 0.5},
    {"activation": "Softplus", "loss": "SmoothL1Loss", "momentum": 0.9, "nesterov": True},
    {"activation": "Sigmoid", "momentum": 0.9, "dampening": 0.2, "batch_size": 16, "shuffle": True},
]


@pytest.mark.parametrize(
    "options", OPTIONS if FUZZ else OPTIONS[1::2], ids=lambda options: options["activation"]
)
def test_chains_have_options_and_a_peer_has_them_through_five_methods(
    options: dict[str, Any],
) -> None:
    task = Task((1, 8, 8, 1), 3, 0.01, 40, 2, "float32", "cpu", **options)
    peers = [MinigradEngine, MinigradCapturedEngine]
    if task.batch_size is None:
        peers.append(pytest.importorskip("parity.engines.peers.jax").JaxEngine)
    for engine in peers:
        match = match_of(engine, task)
        for verdict in ("gradients", "steps", "free_steps"):
            entry = VERDICTS[verdict].check(match)
            assert entry is not None
            assert entry["passed"], (engine, verdict, entry)


def test_an_engine_refuses_the_options_that_it_does_not_name() -> None:
    task = Task((1, 4, 1), 3, 0.01, 20, 0, "float32", "cpu", weight_decay=0.1, loss="L1Loss")
    with pytest.raises(CannotBeJudgedError, match=r"--weight-decay 0.1, --loss l1") as raised:
        match_of(NumpyFloorEngine, task).sides[0].call(
            Trainer.loss_and_gradients, task, MinigradEngine().draw(task)
        )
    assert "options = ['weight_decay', 'loss']" in str(raised.value)


class HalvedTwice(MinigradEngine):
    """The learning rate is halved once too often."""

    def _ended(self) -> None:
        super()._ended()
        if self._done == 2:
            for group in self._optimizer.param_groups:
                group["lr"] /= 2


class OtherOrder(MinigradEngine):
    """Mini-batches come in another order."""

    def _batch(self) -> list[Any]:
        rows = self._task.rows(self._task.steps - 1 - self._done)
        return super()._batch() if rows is None else [t[self._rows(rows)] for t in self._data]


class NoDecay(MinigradEngine):
    """Weight decay is left out."""

    def _sgd(self, task: Task) -> Any:
        optimizer = super()._sgd(task)
        for group in optimizer.param_groups:
            group["weight_decay"] = 0.0
        return optimizer


class Unshared(MinigradEngine):
    """The gradient of a shared weight is that of one of its uses."""

    def _gradients(self) -> dict[str, Any]:
        return {n: g / 2 if n == "again.weight" else g for n, g in super()._gradients().items()}


@pytest.mark.parametrize(
    ("name", "engine", "verdict"),
    [
        ("schedule", HalvedTwice, "free_steps"),
        ("minibatches", OtherOrder, "steps"),
        ("tanh_l1", NoDecay, "steps"),
        ("shared", Unshared, "gradients"),
    ],
)
def test_wrong_engines_fail(name: str, engine: type[Engine], verdict: str) -> None:
    match = match_of(engine, task_of(name))
    entry = VERDICTS[verdict].check(match)
    assert entry is not None
    assert entry["passed"] is False


def scaled(model: Any) -> None:
    """Make the output of a model's second layer too large by a factor of 1.0001."""
    model[1].register_forward_hook(lambda module, inputs, output: output * (1 + 1e-4))


class ScaledEngine(MinigradEngine):
    def build(self, task: Task, start: Any) -> None:
        super().build(task, start)
        scaled(self._model)


class ScaledCapturedEngine(MinigradCapturedEngine):
    def build(self, task: Task, start: Any) -> None:
        super().build(task, start)
        scaled(self._model)


@pytest.mark.parametrize("engine", [ScaledEngine, ScaledCapturedEngine])
@pytest.mark.parametrize(("name", "operation"), [("tanh_l1", "Tanh"), ("leaky", "LeakyReLU")])
def test_a_defect_is_located_at_its_module_and_the_guilty_one_is_named(
    engine: type[Engine], name: str, operation: str
) -> None:
    match = match_of(engine, task_of(name))
    entry = VERDICTS["gradients"].check(match)
    assert entry is not None
    found = located(match, VERDICTS["gradients"], entry)
    assert found["wrong"] == "actual"
    node = found["first_node"]
    assert (node["phase"], node["node"], node["operation"]) == ("forward", "1", operation)


# ---- files that are no good ----------------------------------------------------------------------

MODEL = "def model(torch):\n    return torch.nn.Linear(1, 1)\n"
SPOILED = {
    "no model": ("x = 1\n", r"has no function model\(torch\)"),
    "syntax": ("def model(torch:\n", r"spoiled.py:1: .*SyntaxError"),
    "does not import": (
        "import nothing_like_it\n" + MODEL,
        r":1: .*No module named(.|\n)*try python",
    ),
    "exits": ("import sys\nsys.exit(0)\n" + MODEL, r":2: .*SystemExit"),
    "model raises": ("def model(torch):\n    return 1 / 0\n", r":2: model.*ZeroDivisionError"),
    "no module": ("def model(torch):\n    return 3\n", r":1: model.*nn.Module, not a int"),
    "arguments": ("def model():\n    return 3\n", r":1: model must be a function model\(torch\)"),
    "no parameters": ("def model(torch):\n    return torch.nn.ReLU()\n", "no parameters"),
    "unknown layer": (
        "def model(torch):\n    return torch.nn.Conv9d(1, 1)\n",
        r":2: model.*Conv9d(.|\n)*use what it has",
    ),
    "dtype": (
        "def model(torch):\n    return torch.nn.Linear(1, 1, dtype=torch.float64)\n",
        "leave the dtype out",
    ),
    "data raise": (MODEL + "def data(torch):\n    raise KeyError('y')\n", r":4: data.*KeyError"),
    "one tensor": (MODEL + "def data(torch):\n    return torch.ones(3, 1)\n", "a tuple of tensors"),
    "rows": (
        MODEL + "def data(torch):\n    return torch.ones(3, 1), torch.ones(4, 1)\n",
        "as many inputs as targets",
    ),
    "loss raises": (
        MODEL + "def loss(torch, p, y):\n    return p.nothing\n",
        ":4: a training step",
    ),
    "loss of a vector": (
        MODEL + "def loss(torch, p, y):\n    return p - y\n",
        r":3: loss\(.*\) must return a tensor of one number, not of shape",
    ),
    "no loss": (MODEL + "def loss(torch, p, y):\n    pass\n", ":3: .*a tensor, not a NoneType"),
    "loss of nothing": (
        MODEL + "def loss(torch, p, y):\n    return (p - y).mean().detach()\n",
        ":3: .*a tensor that is computed from the model's parameters",
    ),
    "loss infinite": (
        MODEL + "def loss(torch, p, y):\n    return (p - y).sum() * float('inf')\n",
        "finite",
    ),
    "optimizer": (MODEL + "def optimizer(torch, parameters):\n    return 3\n", "an optim.SGD"),
    "scheduler": (MODEL + "def scheduler(torch, optimizer):\n    return 3\n", "a scheduler, not"),
    "epochs": (MODEL + "epochs = 0\n", "epochs = '0' must be from 1 to"),
    "batch_size": (MODEL + "batch_size = 2.5\n", "batch_size = '2.5' must be a whole number"),
    "shuffle": (MODEL + "shuffle = 1\n", "True or False"),
    "shuffle alone": (MODEL + "shuffle = True\n", "give batch_size, too"),
    "seed": (MODEL + "seed = -1\n", "seed = '-1' must be from 0"),
}


@pytest.mark.parametrize("spoiled", SPOILED)
def test_what_is_wrong_with_a_file_is_said_with_its_line(spoiled: str) -> None:
    source, said = SPOILED[spoiled]
    problem = Problem("spoiled", f"{spoiled}/spoiled.py", source)
    with pytest.raises(ProblemError, match=said):
        describe(Judge(), problem, None, "float32", "cpu")


def test_a_problem_travels_between_processes_and_is_run_only_when_it_is_asked() -> None:
    problem = Problem("p", "p.py", "raise SystemError\n")
    assert pickle.loads(pickle.dumps(problem)) == problem


MEAN = "    return ((p - y) ** 2).mean()\n"
LATER = {
    "raises": ("raise ValueError('no')", r"p.py:6: .* raised ValueError: no"),
    "asserts": ("assert False", r"p.py:6: .* raised AssertionError"),
    "exits": ("__import__('sys').exit(0)", r"p.py:6: .* raised SystemExit: 0"),
}


@pytest.mark.parametrize("later", LATER)
def test_what_a_problem_raises_later_is_no_engines_failure(later: str) -> None:
    does, said = LATER[later]
    counting = f"calls = []\ndef loss(torch, p, y):\n    if calls: {does}\n{MEAN}"
    task = describe(Judge(), problem := Problem("p", "p.py", MODEL + counting), 0, "float32", "cpu")
    problem._module()["calls"].append(1)
    with pytest.raises(ProblemError, match=said.replace("6", "5")):
        VERDICTS["gradients"].check(match_of(MinigradEngine, task))


@pytest.mark.parametrize(
    "changed",
    [
        "import numpy as np\ndef loss(torch, p, y):\n    np.seterr(all='raise')\n" + MEAN,
        "import numpy as np\nnp.seterr(all='raise')\n",
        "def loss(torch, p, y):\n    torch.set_default_dtype(torch.float64)\n" + MEAN,
        "def data(torch):\n    torch.set_default_dtype(torch.float64)\n"
        "    x = torch.linspace(-1, 1, 9).reshape(-1, 1)\n    return x, x\n",
        "def loss(torch, p, y):\n    torch.manual_seed(0)\n" + MEAN,
    ],
)
def test_what_a_problem_changes_for_all_is_put_back(changed: str) -> None:
    before = minigrad.get_default_dtype(), torch.get_default_dtype()
    task = describe(Judge(), Problem("p", "p.py", MODEL + changed), 0, "float32", "cpu")
    task = replace(task, epochs=3)
    for verdict in ("start", "gradients", "steps", "free_steps"):
        entry = VERDICTS[verdict].check(match_of(MinigradEngine, task))
        assert entry is not None
        assert entry["passed"], (verdict, entry)
    assert before == (minigrad.get_default_dtype(), torch.get_default_dtype())
    assert "raise" not in np.geterr().values()


# Whatever these do, they do it in a process of their own, and the command ends.
AT_THE_COMMAND_LINE: dict[str, tuple[str | bytes, str]] = {
    "ends its process": ("import os\nos._exit(0)\n", r"p.py: the problem ended with exit code 0"),
    "endless": ("def model(torch):\n    while True: pass\n", r"p.py:2: the problem gave no sign"),
    "exits": ("def model(torch):\n    exit(0)\n", r"p.py:2: model\(torch\) raised SystemExit: 0"),
    "binary": (bytes(range(256)), "p.py is no text in UTF-8"),
    "large": (MODEL + "#" * 2_000_000, "p.py is no file of at most 1,000,000 bytes"),
    "null": (b"x = 1\0\n", "p.py: the file raised SyntaxError"),
}


@pytest.mark.parametrize("hostile", AT_THE_COMMAND_LINE)
def test_the_command_outlives_a_file(
    hostile: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, said = AT_THE_COMMAND_LINE[hostile]
    monkeypatch.chdir(tmp_path)
    Path("p.py").write_bytes(source if isinstance(source, bytes) else source.encode())
    before = children(os.getpid())
    ended = parity("run", "p.py", "--output", "out", "--timeout", "2")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert re.search(said, ended.stderr), ended.stderr
    assert children(os.getpid()) == before
    assert not Path("out").exists()


def test_a_folder_and_what_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "p.py").mkdir()
    for name, said in (("p.py", "no file of at most"), ("q.py", "No such file")):
        ended = parity("train", tmp_path / name, "--output", tmp_path / "out")
        assert ended.returncode == 2
        assert said in ended.stderr


NOT_REFUSED = {"loss infinite", "shuffle"}
"""What can be explained."""


@pytest.mark.parametrize("spoiled", sorted(SPOILED.keys() - NOT_REFUSED))
def test_explain_says_it_with_its_line_too(
    spoiled: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, said = SPOILED[spoiled]
    file = tmp_path / "spoiled.py"
    file.write_text(source)
    status = explain(["explain", str(file)])
    shown = capsys.readouterr()
    assert (status, shown.out) == (2, "")
    line = re.search(r":\d+:", said)
    assert f"{file}{line[0] if line else ''}" in shown.err


@pytest.mark.parametrize("name", NAMES)
def test_what_is_explained_is_the_step_that_is_judged(name: str) -> None:
    step, title = training(str(FILES[NAMES.index(name)]), 3, 2)
    engine = Asked(MinigradEngine())
    task = replace(task_of(name, 3), epochs=3)
    engine.load(task, start := MinigradEngine().draw(task))
    engine.put(start.parameters)
    losses = [engine.step() for _ in range(task.steps_an_epoch + 1)]
    assert step().item() == losses[-1]
    assert title == f"Training step {len(losses)} of {name}.py, seed 3"


# ---- the other commands --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "task",
    [
        task_of("tanh_l1"),
        task_of("minibatches"),
        Task((1, 4, 1), 3, 0.01, 20, 0, "float32", "cpu", activation="Tanh", batch_size=7),
        Task((1, 4, 1), 3, 0.01, 20, 0, "float32", "cpu", weight_decay=0.1),
    ],
    ids=["problem", "problem of batches", "options", "options of ensembles"],
)
def test_a_sweep_trains_what_ensembles_cannot_seed_by_seed(task: Task) -> None:
    worker = Worker("minigrad")
    rows = worker.work(Job("net", "minigrad", task, (3, 4), False, ()))
    for row in rows:
        trainer, of = Trainer(MinigradEngine), replace(task, seed=row.seed)
        *_, run = finished(trainer.train(of, MinigradEngine().draw(of)))
        assert row.final_mse == pytest.approx(run.final_mse, rel=1e-5)
    assert rows[0].final_mse != rows[1].final_mse


def finished(training: Any) -> Any:
    """What a generator yields, and at last what it returns."""
    yield (yield from training)


def test_a_sweep_begins_with_the_same_data_on_both_engines() -> None:
    task = task_of("tanh_l1")
    rows = [
        Worker(name).work(Job("net", name, task, (3,), False, ()))[0]
        for name in ("minigrad", "torch")
    ]
    assert rows[0].start == rows[1].start


def test_steps_that_are_timed_are_on_mini_batches_however_many() -> None:
    task, timed = task_of("minibatches"), TimedEngine(MinigradEngine)
    timed.load(task, MinigradEngine().draw(task))
    timed.time(3 * task.steps)
    assert len(timed._engine._batch()[0]) in (4, 16)  # type: ignore[attr-defined]


def test_what_a_problem_has_no_meaning_for_is_refused(tmp_path: Path) -> None:
    file = FILES[NAMES.index("two_inputs")]
    (other := tmp_path / file.name).write_text(file.read_text())
    for arguments, said in (
        (("train", file, "--holdout"), "has data of its own: leave it out"),
        (("train", file, other), "two of what is named are called two_inputs"),
        (("run", file, "--loss", "l1"), "--loss l1 cannot be given for"),
        (("run", file, "--engine", "numpy-floor"), "can train with the problem two_inputs"),
    ):
        ended = parity(*arguments, "--output", tmp_path / "out")
        assert (ended.returncode, ended.stdout) == (2, "")
        assert said in ended.stderr
    assert not list((tmp_path / "out").glob("*"))
    for options, said in (
        (Training(nesterov=True), "--nesterov needs --momentum above 0"),
        (Training(shuffle=True), "give --batch-size"),
    ):
        with pytest.raises(UsageError, match=said):
            tasks(["1-4-1"], "0", options)


# ---- porting -------------------------------------------------------------------------------------


class Line:
    """A problem that is no file."""

    def model(torch: Any) -> Any:
        return torch.nn.Linear(1, 1)


def step_of_line(rate: float) -> Any:
    def step(parameters: Any, x: Any, y: Any) -> Any:
        error = x @ parameters["weight"].T + parameters["bias"] - y
        grad = 2 * error / error.size
        gradients = {"weight": grad.T @ x, "bias": grad.sum(0)}
        moved = {n: parameters[n] - np.float32(rate) * gradients[n] for n in gradients}
        return float((error**2).mean()), gradients, moved

    return step


def test_steps_of_ones_own_code_are_judged() -> None:
    assert_training_agrees(step_of_line(0.01), Line)
    with pytest.raises(AssertionError, match=r"step 0, new parameter \w+\[.*\]: actual"):
        assert_training_agrees(step_of_line(0.01001), Line)


def test_the_budget_of_a_module_and_a_loss() -> None:
    from minigrad import nn

    x = np.linspace(-1, 1, 9, dtype=np.float32)[:, None]
    model = nn.Linear(1, 1)
    found = gradient_budget(model, nn.MSELoss(), x=x, y=x**2)
    assert list(found) == ["weight", "bias"]
    assert found["weight"].deviation > 0
    assert model.weight.grad is None
    with pytest.raises(ValueError, match="give them as y="):
        gradient_budget(model, nn.MSELoss(), x=x)

"""Engines at the edges of the protocol: wrong ones fail and say why, right ones pass."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from parity import Engine
from parity.checks.steps import check_steps
from parity.engines.adapters.minigrad import MinigradEngine
from parity.engines.process import LocalObject
from parity.engines.protocol import Array, Start, Task
from parity.engines.trainer import Trainer
from parity.errors import ReturnedWronglyError
from tests.minigrad.operations import FUZZ
from tests.parity import odd_engines
from tests.parity.commands import Finished, parity, report, words


def cases(*ordinary: Any, more: tuple[Any, ...]) -> list[Any]:
    """Return the cases of a test. An ordinary run has no time for `more`, which start processes."""
    return [*ordinary, *(more if FUZZ else ())]


def name(engine: type[Any]) -> str:
    return f"{engine.__module__}:{engine.__name__}"


def judged(
    engine: type[Any], *arguments: str, folder: Path
) -> tuple[Finished, dict[str, Any], dict[str, Any]]:
    """Run the main job on one network; return how it ended, the network's entry and the report."""
    ended = parity(
        *("run", "1-4-1", "--epochs", "8", "--against", "minigrad", "--samples", "20"),
        *("--engine", name(engine), "--output", folder, *arguments),
    )
    assert ended.returncode in (0, 1), ended.stderr
    document = report(folder)
    return ended, document["architectures"][0], document


def line_of(text: str) -> int:
    """The line of a text in the file of the engines."""
    lines = Path(str(odd_engines.__file__)).read_text(encoding="utf-8").splitlines()
    (found,) = (i for i, line in enumerate(lines, 1) if line.strip() == text)
    return found


# ---- messages -----------------------------------------------------------------------------------


def test_an_engines_messages_do_no_harm(tmp_path: Path) -> None:
    ended, entry, _ = judged(odd_engines.Shouts, folder=tmp_path)
    assert ended.returncode == 1
    said = r"raised ValueError: \x1b]0;title\x07\x1b[2J\ud800xxx"
    assert entry["problem"]["did"].startswith(said)
    assert "characters more" in entry["problem"]["did"]
    for text in (ended.stdout, *(path.read_text("utf-8") for path in tmp_path.glob("report.*"))):
        assert not set(text) & {"\x1b", "\x07", "\ud800"}
        assert len(text) < 1_000_000
    ended = parity("train", "1-2-1", "--engine", name(odd_engines.Shouts), "--output", tmp_path)
    assert ended.returncode == 1
    assert "\x1b" not in ended.stderr
    assert len(ended.stderr) < 10_000
    ended, entry, _ = judged(odd_engines.Mute, folder=tmp_path)
    assert ended.returncode == 1
    assert entry["problem"]["did"].startswith("raised Error: (its text cannot be had)")


# ---- right but awkward --------------------------------------------------------------------------


@pytest.mark.parametrize("engine", odd_engines.AWKWARD)
def test_a_right_engine_passes(engine: type[Any]) -> None:
    assert steps(engine, MinigradEngine, momentum=0.9, epochs=8)["passed"] is True


@pytest.mark.parametrize("engine", cases(odd_engines.Spoiling, more=(odd_engines.Remembering,)))
def test_memory_that_an_engine_was_given_is_its_own(engine: type[Any], tmp_path: Path) -> None:
    """Also that which processes share, and long after it was let go."""
    ended, entry, _ = judged(engine, "--momentum", "0.9", folder=tmp_path)
    assert ended.returncode == 0, ended.stdout
    assert entry["passed"] is entry["steps"]["passed"] is True


# ---- engines that end their process, or want to -------------------------------------------------

SAID = {
    odd_engines.Exits: ("raised SystemExit: 0", "sys.exit(0)"),
    odd_engines.SaysAndExits: ("raised SystemExit: no more memory", 'sys.exit("no more memory")'),
    odd_engines.Interrupts: ("raised KeyboardInterrupt:", "raise KeyboardInterrupt"),
    odd_engines.RaisesItsOwn: ("raised OwnEnd: enough", 'raise OwnEnd("enough")'),
    odd_engines.Vanishes: ("ended with exit code 0 during '", None),
    odd_engines.Crashes: ("ended with exit code -11 (killed by SIGSEGV) during '", None),
}


@pytest.mark.parametrize("engine", odd_engines.ENDING)
def test_an_end_is_told_with_its_place(engine: type[Any], tmp_path: Path) -> None:
    ended = parity("train", "1-2-1", "--engine", name(engine), "--output", tmp_path)
    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr
    said, line = SAID[engine]
    assert f"{name(engine)} {said}" in words(ended.stderr)
    place = "in ends,"
    if line is not None:
        place += rf" \S*odd_engines\.py:{line_of(line)}"
    if engine is odd_engines.Crashes:
        place = r"in string_at, \S*ctypes"
    if engine is not odd_engines.Vanishes:
        assert re.search(place.replace(" ", ""), "".join(ended.stderr.split()))


@pytest.mark.parametrize("engine", cases(odd_engines.Vanishes, more=(odd_engines.Exits,)))
def test_an_end_is_a_failure_of_the_engine(engine: type[Any], tmp_path: Path) -> None:
    ended, entry, document = judged(engine, "1-2-1", folder=tmp_path)
    assert ended.returncode == 1
    said, _ = SAID[engine]
    assert f"{name(engine)} {said}" in words(ended.stdout)
    assert entry["problem"]["engine"] == name(engine)
    assert entry["gradients"]["passed"] is True, "what was judged before stands"
    second = document["architectures"][1]
    assert second["problem"]["did"].startswith(said), "the next network is judged as well"
    assert said in (tmp_path / "report.html").read_text(encoding="utf-8").replace("&#39;", "'")


COMMANDS = {
    "train": ("1-2-1",),
    "bench": ("1-2-1", "--rounds", "6", "--processes", "1"),
    "sweep": ("1-2-1", "--seeds", "0:1", "--horizons", "0", "--against", "minigrad"),
}


@pytest.mark.parametrize(
    ("engine", "command"),
    cases(
        (odd_engines.SaysAndExitsWhenMade, "train"),
        (odd_engines.ExitsWhenMade, "bench"),
        (odd_engines.Vanishes, "sweep"),
        (odd_engines.Hangs, "train"),
        more=(
            (odd_engines.ExitsWhenMade, "train"),
            (odd_engines.ExitsWhenMade, "sweep"),
            (odd_engines.Exits, "bench"),
            (odd_engines.Hangs, "bench"),
            (odd_engines.Hangs, "sweep"),
        ),
    ),
)
def test_no_command_ends_well_with_it(engine: type[Any], command: str, tmp_path: Path) -> None:
    option = "--engines" if command == "bench" else "--engine"
    limit = ("--timeout", "3") if engine is odd_engines.Hangs else ()
    arguments = (option, name(engine), "--output", tmp_path, *limit)
    ended = parity(command, *COMMANDS[command], *arguments)
    assert ended.returncode == 1, ended.stderr
    assert name(engine) in words(ended.stderr)
    assert "Traceback" not in ended.stderr
    if engine is odd_engines.Exits:
        assert "raised SystemExit: 0" in words(ended.stderr)
    if engine is odd_engines.Hangs:
        assert "gave no sign of life for 3 s during" in words(ended.stderr)
        assert f"in ends, {odd_engines.__file__}" in words(ended.stderr)


@pytest.mark.parametrize("engine", odd_engines.ENDING_WHEN_MADE)
def test_an_end_when_it_is_made_is_told_with_the_line(engine: type[Any], tmp_path: Path) -> None:
    arguments = ("--against", "minigrad", "--engine", name(engine), "--output", tmp_path)
    ended = parity("run", "1-2-1", *arguments)
    assert ended.returncode == 1
    assert re.search(
        r"cannot be made: SystemExit: (0|no licence), in __init__, \S+odd_engines\.py:\d+",
        words(ended.stderr),
    )


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A case of an engine that is wrong."""
    folder = tmp_path_factory.mktemp("case")
    _, entry, _ = judged(odd_engines.HalvedBias, folder=folder)
    return folder / str(entry["steps"]["case"])


@pytest.mark.dear
def test_an_engine_that_ends_on_a_case_fails_it(case: Path) -> None:
    for engine in (odd_engines.ExitsInGradients, odd_engines.ExitsWhenMade):
        ended = parity("replay", case, "--engine", name(engine), "--against", "minigrad")
        assert ended.returncode == 1
        assert "SystemExit" in words(ended.stderr)


def test_an_engine_that_is_silent_for_too_long_is_ended(tmp_path: Path) -> None:
    ended, entry, _ = judged(odd_engines.Hangs, "--timeout", "2", folder=tmp_path)
    assert ended.returncode == 1
    said = f"{name(odd_engines.Hangs)} gave no sign of life for 2 s during 'train', in ends, "
    assert said in words(ended.stdout)
    assert f":{line_of('time.sleep(1000)')}" in "".join(ended.stdout.split())
    assert entry["gradients"]["passed"] is True


# ---- history ------------------------------------------------------------------------------------


@pytest.mark.dear
def test_what_fails_by_chance_fails_alike_when_it_is_replayed(tmp_path: Path) -> None:
    ended, entry, _ = judged(odd_engines.Noisy, folder=tmp_path)
    assert ended.returncode == 1
    case = (tmp_path / entry["steps"]["case"], "--engine", name(odd_engines.Noisy))
    for _ in range(2):
        ended = parity("replay", *case, "--against", "minigrad")
        assert ended.returncode == 1, ended.stdout


@pytest.mark.dear
@pytest.mark.parametrize("engine", [odd_engines.Forgets, odd_engines.ForgetsProbes])
def test_what_does_not_fail_again_ends_with_a_report(engine: type[Any], tmp_path: Path) -> None:
    ended, entry, document = judged(engine, "--against", "torch", folder=tmp_path)
    assert ended.returncode == 1
    failed = document["probes"] if engine is odd_engines.ForgetsProbes else entry["gradients"]
    assert failed["passed"] is False
    assert failed["case"] is None
    assert not list(tmp_path.glob("case-*"))


# ---- kinks --------------------------------------------------------------------------------------


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("engine", cases(odd_engines.OneAtZero, more=(odd_engines.HalfAtZero,)))
def test_the_derivative_at_an_exact_zero_is_torchs(engine: type[Any], tmp_path: Path) -> None:
    ended, entry, _ = judged(engine, folder=tmp_path)
    assert ended.returncode == 1
    found = entry["gradients"]
    assert (found["passed"], found["at_zero"], found["wrong"]) == (False, True, "actual")
    assert found["worst_at"]["index"][0] == 0
    assert float.fromhex(found["worst_at"]["expected"]) == 0
    assert entry["steps"]["passed"] is True, "which never meets one"
    assert "where the inputs of some ReLUs are exactly 0" in words(ended.stdout)
    case = (tmp_path / found["case"], "--engine", name(engine))
    assert parity("replay", *case, "--against", "minigrad").returncode == 1


# ---- predictions --------------------------------------------------------------------------------


@pytest.mark.usefixtures("here")
def test_predictions_are_judged(tmp_path: Path) -> None:
    ended, entry, _ = judged(odd_engines.Halved, folder=tmp_path)
    assert ended.returncode == 1
    for verdict in ("steps", "free_steps"):
        at = entry[verdict]["first_failure"]
        assert (at["of"], at["parameter"], len(at["index"])) == ("prediction", "prediction", 2)
        assert entry[verdict]["wrong"] == "actual"
        assert entry[verdict]["case"]
    assert f"{name(odd_engines.Halved)} is wrong: epoch 0, prediction[" in words(ended.stdout)
    case = (tmp_path / entry["steps"]["case"], "--engine", name(odd_engines.Halved))
    assert parity("replay", *case, "--against", "minigrad").returncode == 1


@pytest.mark.usefixtures("here")
def test_predictions_at_the_end_of_its_own_run_are_judged(tmp_path: Path) -> None:
    _, entry, _ = judged(odd_engines.PredictsTheFirst, folder=tmp_path)
    assert entry["steps"]["passed"] is True
    at = entry["free_steps"]["first_failure"]
    assert (at["epoch"], at["of"]) == (7, "prediction")
    assert entry["free_steps"]["wrong"] == "actual"


# ---- NaN ----------------------------------------------------------------------------------------


def steps(
    actual: type[Engine], expected: type[Engine], start: Start | None = None, **changes: Any
) -> dict[str, Any]:
    """The verdict `steps`, in this process."""
    task = replace(Task((1, 16, 16, 1), 40, 0.01, 30, 0, "float32", "cpu"), **changes)
    ours, theirs = (LocalObject(Trainer(engine), engine.__name__) for engine in (actual, expected))
    with np.errstate(all="ignore"):
        return check_steps(ours, theirs, task, start or MinigradEngine().draw(task))


@pytest.mark.parametrize("seed", cases(1, more=(2,)))
@pytest.mark.parametrize(
    ("engine", "of", "actual", "expected"),
    [
        (odd_engines.Swallows, "gradients", float(np.finfo(np.float32).max), "inf"),
        (odd_engines.SwallowsParameters, "updated", 0.0, "nan"),
    ],
)
def test_a_nan_that_is_certain_cannot_be_swallowed_nor_an_infinity(
    engine: type[Any], of: str, actual: float, expected: str, seed: int
) -> None:
    rate = {1: 0.3, 2: 3.0}[seed]
    found = steps(engine, MinigradEngine, learning_rate=rate, seed=seed, samples=100)
    assert found["passed"] is False
    at = found["first_failure"]
    assert (at["of"], at["actual"], at["expected"]) == (of, actual.hex(), expected)
    right = steps(odd_engines.Plain, MinigradEngine, learning_rate=rate, seed=seed, samples=100)
    assert right["passed"] is True


class Clips(odd_engines.Plain):
    """Wrong: makes the largest number of what overflows, and zeros of NaNs, after the step."""

    def update(self, gradients: dict[str, Array]) -> None:
        super().update(gradients)
        self.values = {name: np.nan_to_num(value) for name, value in self.values.items()}


@pytest.mark.parametrize("engine", [Clips, odd_engines.SwallowsParameters])
def test_nor_can_what_the_order_of_summation_decides(engine: type[Any]) -> None:
    """At the fourth step of this run 66 parameters overflow, or not, as sums are ordered."""
    found = steps(engine, MinigradEngine, learning_rate=3.0, seed=2, samples=30, epochs=4)
    at = found["first_failure"]
    assert (at["epoch"], at["of"], at["wrong"]) == (3, "updated", "actual")
    assert at["judge"] is not None


@pytest.mark.usefixtures("here")
def test_the_same_nan_on_both_sides_fails_and_names_both(tmp_path: Path) -> None:
    against = f"{name(odd_engines.OneNaN).partition(':')[0]}:OneNaNToo"
    ended, entry, _ = judged(odd_engines.OneNaN, "--against", against, folder=tmp_path)
    assert ended.returncode == 1
    assert entry["gradients"]["passed"] is False
    said = words(ended.stdout)
    assert entry["gradients"]["wrong"] == entry["steps"]["wrong"] == "both"
    assert f"{name(odd_engines.OneNaN)} and {against} are both wrong: 2.weight[0, 0]" in said
    assert re.search(rf"OneNaN has nan, {against} nan, the judge -?\d+\.\d+", said)


# ---- what they return ---------------------------------------------------------------------------

RETURNED = {
    odd_engines.NoGradient: "loss_and_gradients() no 2.weight; there must be one, float32 [1, 4]",
    odd_engines.OneTooMany: "parameters() 'learning_rate', which is none of the tensors: 0.weight",
    odd_engines.Transposed: "2.weight as float32 [4, 1]; it must be float32 [1, 4]",
    odd_engines.Wide: "parameters() 0.weight as float64 [4, 1]; it must be float32 [4, 1]",
    odd_engines.Listed: "predict() prediction as a list, not a NumPy array; it must be float32",
    odd_engines.Silent: "returned a loss from step() of type NoneType; it must be a number",
    odd_engines.OnlyGradients: "returned a dict from loss_and_gradients(); it must be the loss and",
    odd_engines.NoBuffers: "momentum_buffers() no 0.weight; there must be one, float32 [4, 1]",
}


@pytest.mark.parametrize("engine", odd_engines.RETURNING_WRONGLY)
def test_the_one_tensor_that_is_returned_wrongly_is_named(engine: type[Any]) -> None:
    with pytest.raises(ReturnedWronglyError) as raised:
        steps(engine, MinigradEngine, sizes=(1, 4, 1), momentum=0.5)
    assert RETURNED[engine] in f"returned {raised.value}"


def test_what_is_returned_wrongly_fails_the_network(tmp_path: Path) -> None:
    ended, entry, _ = judged(odd_engines.Transposed, folder=tmp_path)
    assert ended.returncode == 1
    returned = RETURNED[odd_engines.Transposed]
    assert f"{name(odd_engines.Transposed)} returned" in words(ended.stdout)
    assert returned in words(ended.stdout)
    assert entry["problem"]["engine"] == name(odd_engines.Transposed)


@pytest.mark.parametrize("other", cases("Alias", more=("Nothing",)))
def test_an_engine_against_itself_under_another_name_is_refused(
    other: str, case: Path, tmp_path: Path
) -> None:
    plain = name(odd_engines.Plain)
    against = f"{plain.partition(':')[0]}:{other}"
    pair = ("--engine", plain, "--against", against, "--output", tmp_path)
    commands: list[tuple[object, ...]] = [("run", "1-2-1", *pair)]
    if other == "Alias":
        commands += [("sweep", "1-2-1", "--seeds", "0:1", *pair), ("replay", case, *pair[:4])]
    for command in commands:
        ended = parity(*command)
        assert ended.returncode == 2
        assert f"are one engine, {plain}: held against itself" in words(ended.stderr)

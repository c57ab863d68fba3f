"""Whatever a program does, minigrad does what torch does, or raises; see `machine`."""

import json
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

import minigrad
from parity.evidence.detection.defect import planted
from tests.minigrad.api_machine import run_programs
from tests.minigrad.machine.comparison import differences, layout
from tests.minigrad.machine.known import KNOWN
from tests.minigrad.machine.noise import Steps, repeated, spreads
from tests.minigrad.machine.planted import LIMIT_S, PLANTED, RESULT, Planted, search
from tests.minigrad.machine.reduced import reduced, simpler
from tests.minigrad.machine.refused import REFUSED
from tests.minigrad.machine.twins import GIVEN, HEAD, Known, Twins, disagreement
from tests.minigrad.operations import FUZZ

# ---- what programs do -----------------------------------------------------------------------

PARTS = 10
MINUTES = 30
"""How long `make fuzz` tries programs, all parts together."""

PACKAGE = Path(minigrad.__file__).parent


@pytest.mark.skipif(FUZZ, reason="make fuzz runs random ones")
def test_programs_do_what_they_do_in_torch() -> None:
    run_programs(0)


@pytest.mark.skipif(not FUZZ, reason="only make fuzz runs them")
@pytest.mark.parametrize("part", range(PARTS))
def test_random_programs_do_what_they_do_in_torch(part: int, record_property: Any) -> None:
    """They run in a process of their own, since there are some at which torch crashes."""
    end = time.monotonic() + 60 * MINUTES / PARTS
    batches, crashed = 0, 0
    while (left_s := end - time.monotonic()) > 0:
        tried, ended = apart("-m", "tests.minigrad.api_machine", str(left_s))
        batches += len(tried)
        if ended:
            crashed += 1
            print(f"torch crashed at seed {tried[-1]}, which is left out:\n{ended}")
    record_property("batches_of_programs", batches - crashed)
    record_property("crashes_of_torch", crashed)


def apart(*arguments: str) -> tuple[list[str], str]:
    """Run Python in a process of its own; return the lines it printed, and how torch crashed.

    Raises:
        AssertionError: it failed, or what crashed was called by minigrad.
    """
    command = [sys.executable, "-X", "faulthandler", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    in_minigrad = f'File "{PACKAGE}' in done.stderr
    assert done.returncode == 0 or (done.returncode < 0 and not in_minigrad), done.stderr
    return done.stdout.split(), done.stderr if done.returncode else ""


CRASH = "import os, signal; print(7, flush=True); os.kill(os.getpid(), signal.SIGSEGV)"


def test_a_crash_of_torch_is_told_and_one_of_minigrad_fails() -> None:
    assert apart("-c", "print(7)") == (["7"], "")
    lines, ended = apart("-c", CRASH)
    assert lines == ["7"]
    assert "Segmentation fault" in ended
    for code in (f"exec(compile({CRASH!r}, {minigrad.__file__!r}, 'exec'))", "1 / 0"):
        with pytest.raises(AssertionError, match=r"Segmentation fault|ZeroDivisionError"):
            apart("-c", code)


# ---- what it would find ---------------------------------------------------------------------


@pytest.mark.parametrize("each", PLANTED, ids=lambda each: str(each.defect.name))
def test_what_is_put_back_shows_in_a_short_program(each: Planted) -> None:
    assert disagreement(each.program, KNOWN) is None
    with planted(each.defect):
        assert disagreement(each.program, KNOWN) is not None


@pytest.mark.dear
def test_the_machine_finds_what_is_put_back() -> None:
    """It searches anew for one, and has found all within ten minutes of two cores."""
    (each,) = (each for each in PLANTED if each.defect.name == "negative-strides-are-taken")
    found = search(each, limit_s=60)
    assert "torch.from_numpy" in found["program"][-1]
    kept = {row["name"]: row for row in json.loads(RESULT.read_text("utf-8"))["found"]}
    assert kept.keys() == {each.defect.name for each in PLANTED}
    assert all(row["program"] and row["found_s"] <= LIMIT_S for row in kept.values())


# ---- the machine itself ---------------------------------------------------------------------

TOLD_APART = {
    "raises": ("1 / 0", "[][0]"),
    "warns": ("1", "torch.tensor(torch.ones(1))"),
    "names": ("a = 1", "b = 1"),
    "is_grad_enabled()": ("torch.set_grad_enabled(False)", "1"),
    "generator": ("torch.rand(1)", "torch.rand(2)"),
    "type": ("a = None", "a = torch.ones(())"),
    "value": ("a = 1", "a = 2"),
    "text": ("a = 'a'", "a = 'b'"),
    "length": ("a = (1,)", "a = (1, 1)"),
    "keys": ("a = {1: 1}", "a = {2: 1}"),
    "shape": ("a = torch.ones(1)", "a = torch.ones(1, 1)"),
    "dtype": ("a = torch.ones(1)", "a = torch.ones(1).double()"),
    "values": ("a = torch.ones(1)", "a = torch.ones(1) + 1e-6"),
    "layout": ("a = torch.ones(2, 2)", "a = torch.ones(2, 2).T"),
    "identity": ("a = torch.ones(1); b = a", "a = torch.ones(1); b = torch.ones(1)"),
    "requires_grad": ("a = torch.ones(1)", "a = torch.ones(1, requires_grad=True)"),
    "is_leaf": (
        "a = torch.ones(1, requires_grad=True)",
        "a = torch.ones(1, requires_grad=True) * 1",
    ),
    "retains_grad": (
        "a = torch.ones(1, requires_grad=True) * 1",
        "a = torch.ones(1, requires_grad=True) * 1; a.retain_grad()",
    ),
    "grad_fn": (
        "a = torch.ones(1, requires_grad=True) * 1",
        "a = torch.ones(1, requires_grad=True) + 0",
    ),
    "whether there is a gradient": ("a = torch.ones(1)", "a = torch.ones(1); a.grad = a * 1"),
    "training": ("a = torch.nn.ReLU()", "a = torch.nn.ReLU().eval()"),
}


@pytest.mark.parametrize("what", TOLD_APART)
def test_all_that_can_be_seen_is_compared(what: str) -> None:
    twins = Twins()
    ours, theirs = TOLD_APART[what]
    for side, code in ((twins.ours, ours), (twins.theirs, theirs)):
        side.run(code)
    found = [d.what for d in differences(twins.ours, twins.theirs, GIVEN, "", again=False)]
    twins.end()
    assert what in found


def test_torch_tells_how_far_roundings_go() -> None:
    twins = Twins()
    for statement in (
        "t0 = torch.rand(3, 3, requires_grad=True)",
        "t1 = t0.sum().tanh()",  # near 1, so that 1 - t1² has few digits
        "t2 = torch.autograd.grad(t1, t0)[0]",
        "t3 = torch.ones(2) * 3",
    ):
        twins.theirs.run(statement)
    value, exact = (twins.theirs.names[name].detach().numpy() for name in ("t2", "t3"))
    found, none = spreads(twins.theirs, "t2", value), spreads(twins.theirs, "t3", exact)
    twins.end()
    assert (found > 20 * 2**-24 * value).all()
    assert (found < 2**-8 * value).all()
    assert (none == 0).all()


def test_torch_tells_what_axes_of_length_1_decide() -> None:
    twins = Twins()
    for statement in (
        "t0 = torch.ones(2, 3, 1).permute(2, 1, 0) * torch.ones(3, 2)",
        "t1 = torch.ones(3, 1).expand(2, -1, 1).mT.long().expand(2, -1, 1, -1).transpose(2, 0) * 2",
    ):
        twins.theirs.run(statement)
    found = {
        name: {str(layout(x.numpy())) for x in repeated(twins.theirs, name, map(Steps, range(8)))}
        for name in ("t0", "t1")
    }
    twins.end()
    assert len(found["t0"]) == 1
    assert len(found["t1"]) > 1


@pytest.mark.parametrize("entry", KNOWN, ids=lambda entry: entry.name)
def test_known_differences_are_met(entry: Known) -> None:
    """One that nothing meets any more has to go."""
    twins = Twins(KNOWN)
    for statement in entry.example:
        assert entry.name not in twins.met
        twins.run(statement)
    twins.end()
    assert entry.name in twins.met
    assert entry.reason


PROGRAM = (
    """
t0 = torch.ones(2, 3, dtype=torch.float64, requires_grad=True)
t1 = torch.zeros(3)
t2 = torch.nn.functional.relu(t0) * t0.sum(dim=1, keepdim=True)
t1.add_(3)
with torch.enable_grad():
    t3 = torch.cat([t2.exp().tanh(), torch.tanh(t2)], 1).tanh()
t4 = t3[0, :2]
""".strip()
    .replace("\n    ", " ")
    .split("\n")
)


def test_a_failure_is_made_short_and_can_be_pasted(monkeypatch: pytest.MonkeyPatch) -> None:
    right = minigrad.Tensor.tanh
    monkeypatch.setattr(minigrad.Tensor, "tanh", lambda x: right(x).detach())
    error = disagreement(PROGRAM)
    assert error is not None
    program, error = reduced(PROGRAM, error, KNOWN)
    assert program == ["t0 = torch.ones(1, requires_grad=True)", "t3 = t0.tanh()"]
    assert str(error).splitlines()[0] == "requires_grad of t3"
    text = HEAD + "\n".join(program)
    texts = []
    for given in (text, text.replace("import torch", "import minigrad as torch")):
        names: dict[str, Any] = {}
        exec(given, names)
        texts.append(str(names["t3"].requires_grad))
    assert texts == ["True", "False"]


def test_what_is_simpler_can_be_run() -> None:
    found = [*simpler("m0([*t0, t1])")]
    assert "m0(*t0)" in found
    for statement in found:
        compile(statement, "program", "exec")


def test_no_program_made_short_changes_a_library() -> None:
    given = ["t0[np.array([0])] = torch.ones(1)", "m0._parameters['bias'] = torch.zeros(1)"]
    shorter = [text for statement in given for text in simpler(statement, ["t1"])]
    assert "t0[0] = torch.ones(1)" in shorter
    left = {text.split(" = ")[0] for text in shorter if " = " in text}
    assert not left & {"np.array", "np", "m0._parameters"}
    assert not any(text.endswith((" = torch", " = np", "torch.ones")) for text in shorter)


def test_what_is_refused_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    program = [*REFUSED[0].example, "t1 = t0 + 1"]
    assert disagreement(program, KNOWN) is None
    right = minigrad.Tensor.mul_

    def first_done(x: Any, other: Any) -> Any:
        x._array *= other
        return right(x, other)

    monkeypatch.setattr(minigrad.Tensor, "mul_", first_done)
    assert re.match("values of t0", str(disagreement(program, KNOWN)))


def test_the_libraries_are_left_as_they_were() -> None:
    assert disagreement(["torch.set_grad_enabled(False)"]) is None
    assert minigrad.is_grad_enabled()
    assert torch.is_grad_enabled()
    assert not torch.is_warn_always_enabled()

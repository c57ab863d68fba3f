"""What the READMEs show works as written.

Their code and commands run in this process, which saves the time to start others. The operation
that minigrad's guide adds is tested in `test_guide.py`.
"""

import contextlib
import dataclasses
import functools
import io
import itertools
import json
import re
import shlex
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from minigrad.__main__ import main as minigrad
from minigrad.architectures import ARCHITECTURES, DEFAULT_SEED
from parity.cli.options import tasks
from parity.engines.registry import factory
from parity.evidence import figures
from parity.evidence import peers as peers_table
from parity.evidence.detection.defect import DEFECTS
from parity.evidence.readme_tables import PAGES, bench_part, part
from parity.processes import Processes, Side, processes_for, trainer
from parity.training import train
from tests.parity.commands import parity
from tests.parity.here import few_probes
from torch_impl.__main__ import main as torch_impl

ROOT = Path(__file__).parents[1]
NAMES = ("README.md", "minigrad/README.md", "parity/README.md", "torch_impl/README.md")
READMES = {name: (ROOT / name).read_text(encoding="utf-8") for name in NAMES}
WORDS = {name: " ".join(text.split()) for name, text in READMES.items()}
"""The texts without their line breaks."""


def blocks(kind: str) -> dict[str, str]:
    """The blocks of code of a language, by their places."""
    return {
        f"{name}:{text.count(chr(10), 0, block.start()) + 1}": block[1]
        for name, text in READMES.items()
        for block in re.finditer(rf"```{kind}\n(.*?)```", text, flags=re.DOTALL)
    }


PYTHON = blocks("python")
FILES = {match[1]: code for code in PYTHON.values() if (match := re.match(r"# (\w+\.py)\n", code))}
FILES |= dict.fromkeys(["points.csv"], *blocks("csv points.csv").values())
COMMANDS = {
    line.removeprefix("$ ").partition("#")[0].strip()
    for block in blocks("console").values()
    for line in block.splitlines()
    if line.startswith("$ ")
}
SHORT = {
    "run": ["--epochs", "3"],
    "run --quick": ["underfit"],
    "train": ["--epochs", "3"],
    "sweep": ["--epochs", "3", "--horizons", "1", "--workers", "1"],
    "bench": ["--rounds", "6", "--processes", "1", "underfit"],
}
ELSEWHERE = {
    "parity run --engine toy:ToyEngine",  # tests/parity/test_own_engine.py
    '.venv/bin/pytest tests/minigrad -k "rsqrt or wrapped_arrays"',  # tests/test_guide.py
}
PROGRAMS = ("make", "minigrad", "parity", "python -m torch_impl")


def commands(program: str) -> list[str]:
    """The commands of a program that are tested here."""
    return sorted(c for c in COMMANDS - ELSEWHERE if c.startswith(f"{program} "))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current folder, with the files that the READMEs show."""
    for name, code in FILES.items():
        (tmp_path / name).write_text(code, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield tmp_path
    for name in FILES:
        sys.modules.pop(name.removesuffix(".py"), None)


@pytest.fixture(scope="module", autouse=True)
def one_process_of_torch() -> Iterator[None]:
    """Have all commands and tests use the same process of torch: loading it takes longest."""
    with contextlib.ExitStack() as stack, pytest.MonkeyPatch.context() as patch:

        @functools.cache
        def shared() -> Processes:
            sides = (Side(name, factory(name)) for name in ("minigrad", "torch"))
            return stack.enter_context(processes_for([], *sides))

        def processes(_: Any, actual: Side, expected: Side) -> contextlib.nullcontext[Processes]:
            assert expected.name == "torch"
            if actual.name == "minigrad":
                return contextlib.nullcontext(shared())
            started = stack.enter_context(trainer(actual))
            own = dataclasses.replace(shared(), actual=started, twins=None, free=None)
            return contextlib.nullcontext(own)

        patch.setattr("parity.cli.run.processes_for", processes)
        patch.setattr("parity.run.check_probes", few_probes)
        patch.setattr("parity.testing._reference", lambda: shared().expected)
        yield


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("command", commands("parity"))
def test_parity_commands_run(command: str) -> None:
    _, name, *arguments = shlex.split(command)
    shortened = [*SHORT.get(name, []), *SHORT.get(" ".join([name, *arguments[:1]]), [])]
    ended = parity(name, *arguments, *shortened)
    assert ended.returncode == 0, ended.stderr


@pytest.mark.usefixtures("folder")
def test_other_commands_run(capsys: pytest.CaptureFixture[str]) -> None:
    for command in commands("minigrad"):
        assert minigrad(shlex.split(command)[1:]) == 0
        assert "mse_loss" in capsys.readouterr().out
    for command in commands("python -m torch_impl"):
        torch_impl(shlex.split(command)[3:])
        assert "final MSE" in capsys.readouterr().out


@pytest.mark.parametrize("command", commands("make"))
def test_make_targets_exist(command: str) -> None:
    target = shlex.split(command)[1]
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)


def test_every_command_is_tested() -> None:
    assert ELSEWHERE.union(*map(commands, PROGRAMS)) == COMMANDS


@pytest.mark.parametrize("name", [name for name in FILES if name.startswith("test_")])
def test_tests_pass(name: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["-q", "-rs", "-p", "no:cacheprovider", f"--rootdir={folder}"]
    status = pytest.main([*options, name])
    said = capsys.readouterr().out
    assert status == 0, said
    assert "19 passed, 11 skipped" in said
    assert "nothing is drawn by ToyEngine" in said
    assert "does not have its momentum buffers" in said


@pytest.mark.parametrize("place", PYTHON)
def test_python_runs(place: str, folder: Path) -> None:
    code, printed = PYTHON[place], io.StringIO()
    sys.path.insert(0, str(folder))
    file = folder / f"snippet_{re.sub(r'[^0-9a-z]', '_', place)}.py"
    file.write_text(code, encoding="utf-8")
    with contextlib.redirect_stdout(printed):
        exec(compile(code, str(file), "exec"), {"__name__": file.stem})
    assert matches(shown(code), printed.getvalue()), printed.getvalue()


def shown(code: str) -> str:
    """What a snippet says that it prints."""
    lines = re.findall(r"^# prints:(?: (.*)|)$", code, flags=re.MULTILINE)
    return "".join(f"{line}\n" for line in lines)


def matches(shown: str, printed: str) -> bool:
    """Whether that is the whole text; `...` stands for anything within a line."""
    return re.fullmatch(".*".join(map(re.escape, shown.split("..."))), printed) is not None


def test_whole_output_is_compared() -> None:
    assert matches("a ... c\nd\n", "a b c\nd\n")
    for printed in ("a b c\n", "a b c\nd\ne\n", "a b\n c\nd\n", "b c\nd\n"):
        assert not matches("a ... c\nd\n", printed)


# ---- what was measured --------------------------------------------------------------------------


def result(name: str) -> Any:
    file = ROOT / "parity" / "evidence" / "results" / f"{name}.json"
    return json.loads(file.read_text(encoding="utf-8"))


def said(pattern: str) -> set[str]:
    """Every number that the READMEs give in this sentence."""
    return {found for text in WORDS.values() for found in re.findall(pattern, text)}


def rows(title: str) -> list[list[str]]:
    """The cells of the table whose head begins so."""
    lines = READMES["parity/README.md"].splitlines()
    begin = next(i for i, line in enumerate(lines) if line.startswith(f"| {title}"))
    table = itertools.takewhile(lambda line: line.startswith("|"), lines[begin + 2 :])
    return [[cell.strip(" *") for cell in line.strip("|").split("|")] for line in table]


def test_the_table_of_tolerances_is_what_was_measured() -> None:
    calibration = result("calibration")
    alarms = {
        entry["practice"]: entry["float32, all"]["false_alarms"]
        for entry in calibration["practices"]
    }
    caught = {
        (entry["architecture"], entry["defect"]): entry["caught"]
        for entry in calibration["detection"]
        if entry["dtype"] == "float32"
    }
    defects = ("× (1 + 1e-3)", "× (1 + 1e-5)", "rounded to float16", "TF32 operands")
    expected = []
    for judge in [*alarms, "either"]:
        row = [f"{alarms[judge] / 50:.1f} %" if judge in alarms else "0"]
        for defect in defects:
            shares = [100 * caught[network, defect][judge] for network in ("rightfit", "overfit")]
            row.append("{:.0f} / {:.0f} %".format(*shares))
        expected.append(row)
    assert [row[1:] for row in rows("judged by")] == expected
    assert set(calibration["false_alarms"].values()) == {0}


def test_what_is_said_of_the_evidence_is_what_was_measured() -> None:
    calibration, detection, proof = map(result, ("calibration", "detection", "proof"))
    engines, bench = result("engines"), result("bench")
    (losses,) = (
        1e6 * row["median_s"]
        for row in result("bench-losses")["results"]
        if (row["engine"], row["architecture"]) == ("jax", "rightfit")
    )
    judges = detection["judges"]
    engine = {defect.name: defect.engine for defect in DEFECTS}
    planted = Counter(engine[trial["name"]] for trial in detection["trials"])
    assert detection["named"]["torch"] == 0
    assert judges["probes"]["false_alarms"] == detection["correct_runs"]
    assert judges["parity"] == {"caught": detection["defects"], "false_alarms": 0}
    assert calibration["free_steps"]["false_alarms"] == 0
    assert f"used {calibration['free_steps']['worst_budget_used']:.2f} of it" in WORDS[NAMES[2]]
    assert proof["passed"] is True
    assert proof["failed"] == []
    for pattern, measured in (
        (r"In ([\d,]+) training steps", calibration["comparisons"]),
        (r"(\d+) million gradient elements", calibration["elements"] // 10**6),
        (r"In ([\d,]+) steps of own runs", calibration["free_steps"]["comparisons"]),
        (r"(\d+) died", calibration["free_steps"]["states"]["dead"]),
        (r"(\d+) diverged", calibration["free_steps"]["states"]["diverged"]),
        (r"(\d+) defects", detection["defects"]),
        (r"All (\d+) are caught", judges["parity"]["caught"]),
        (r"(\d+) located at the right node", detection["located"]),
        (r"one of (\d+) correct runs", detection["correct_runs"]),
        (r"gradients catches (\d+)\.", judges["assert_close"]["caught"]),
        (r"\(`assert_close`\) caught (\d+) on", judges["assert_close"]["caught"]),
        (r"and (\d+) on `parity`'s probes", judges["probes"]["caught"]),
        (r"finite differences caught (\d+)\.", judges["finite_differences"]["caught"]),
        (r"torch in ([\d,]+) training steps", calibration["comparisons"]),
        (r"(\d+) million elements lie", round(calibration["unlimited"] / 10**6)),
        (r"judges (\d+) engines", engines["wrong"] + engines["correct"]),
        (r"(\d+) have one fault", engines["wrong"]),
        (r"All (\d+) fail", engines["caught"]),
        (r"all (\d+) pass", engines["correct"] - engines["false_alarms"]),
        (r"table\]\(parity/README.md#speed\) has (\d+) engines", len(bench["engines"])),
        (r"\((\S+) µs if each loss is read\)", round(losses, 1)),
        (r"within 1e-3 catches (\d+) ", judges["final_mse"]["caught"]),
        (r"fails (\d+) of the", judges["final_mse"]["false_alarms"]),
        (r"differences catch (\d+),", judges["finite_differences"]["caught"]),
        (r"on the probes (\d+),", judges["probes"]["caught"]),
        (r"it fails all (\d+) correct runs", judges["probes"]["false_alarms"]),
        (r"(\d+) are in captured steps", planted["minigrad-captured"]),
        (r"captured steps and (\d+) in ensembles", planted["minigrad-ensemble"]),
        (r"In (\d+) of the 222 runs minigrad is said to be wrong", detection["named"]["minigrad"]),
        (r"all (\d+) runs have passed", proof["done"]),
    ):
        assert said(pattern) == {f"{measured:,}"}, pattern


def test_the_proof_is_of_the_runs_that_it_says() -> None:
    proof = result("proof")
    for quick, seeds in ((False, 12), (True, 50)):
        for dtype in ("float32", "float64"):
            runs = [run for run in proof["runs"] if (run["quick"], run["dtype"]) == (quick, dtype)]
            assert {run["seed"] for run in runs} == set(range(seeds))
    entries = [entry for run in proof["runs"] for entry in run["architectures"]]
    assert {entry["state"]["actual"] for entry in entries} == {"trained", "dead", "diverged"}
    for entry in entries:
        mse = entry["bitwise"]["final_mse_hex"]
        assert entry["bitwise"]["passed"] is True
        assert mse["actual"] == mse["expected"]


def test_the_output_is_that_of_the_run_checked_in() -> None:
    run = result("run")
    settings = {"seed": DEFAULT_SEED, "dtype": "float32", "device": "cpu", "quick": False}
    assert run["settings"].items() >= settings.items()
    for entry in run["architectures"]:
        assert entry["epochs"] == ARCHITECTURES[entry["name"]].epochs
        assert set(entry["state"].values()) == {"trained"}
    assert part(READMES["README.md"], "run") == figures.sample(run)


def test_the_bits_of_the_run_are_those_of_today() -> None:
    names = ("underfit", "rightfit")  # overfit takes too long here
    side = Side("minigrad-reproducible", factory("minigrad-reproducible"))
    ended = train(tasks(names), side, lambda *_: None)
    bits = {
        e["name"]: e["bitwise"]["final_mse_hex"]["actual"] for e in result("run")["architectures"]
    }
    assert [each.run.final_mse.hex() for each in ended] == [bits[name] for name in names]


def test_the_faults_written_without_knowing_the_judge_are_those_on_record() -> None:
    found = result("blind")
    text = WORDS["parity/README.md"]
    first, second = (each["faults"] for each in found["rounds"])
    caught = [sum(fault["caught"] for fault in faults) for faults in (first, second)]
    assert f"{len(first)} faults were written with" in text
    assert f"caught {caught[0]} of them at the first try" in text
    assert f"{len(second)} more were written in the same way, and {caught[1]} were caught" in text
    assert said(r"Of (\d+) more, written without knowledge of the judge") == {str(len(second))}
    assert said(r"`parity run --quick` caught (\d+) before anything was added") == {str(caught[1])}
    named = [fault["name"] for fault in (*first, *second)]
    assert sum(name in found["no_defects"] for name in named) == 3


def test_the_figures_are_those_of_the_sweep() -> None:
    found = result("figures")
    networks = found["networks"]
    assert networks.keys() == ARCHITECTURES.keys()
    counts = {
        name: {len(side["final_mse"]) for side in sides.values()}
        for name, sides in networks.items()
    }
    assert counts == {name: {count} for name, count in figures.SEEDS.items()}
    assert said(r"In (\d+) % of our runs `overfit` ends with a larger MSE") == {
        f"{100 * found['worse']:.0f}"
    }
    assert said(r"saw a final MSE of ([\d.]+) for `rightfit`") == {str(figures.ARTICLE["rightfit"])}
    assert said(r"and of ([\d.]+) for `overfit`") == {str(figures.ARTICLE["overfit"])}


def test_the_front_page_s_times_are_those_of_the_bench() -> None:
    times = {
        (row["engine"], row["architecture"]): f"{us:,.0f}" if us >= 100 else f"{us:.3g}"
        for row in result("bench")["results"]
        for us in (1e6 * row["median_s"],)
    }
    engines = ("torch", "minigrad", "jax", "minigrad-captured")
    right, over = ([times[e, a] for e in engines] for a in ("rightfit", "overfit"))
    time = r"(\S+) µs"
    for expected, sentence in (
        (
            right,
            f"takes {time} in torch, {time} in minigrad and {time} in compiled JAX.*? takes {time}",
        ),
        (over, f"takes {time} in torch, {time} in minigrad, {time} in JAX and {time} in minigrad"),
    ):
        found = re.search(sentence, WORDS["README.md"])
        assert found is not None
        assert [*found.groups()] == expected


def test_the_first_example_prints_the_same_with_torch(folder: Path) -> None:
    code = next(code for place, code in PYTHON.items() if place.startswith("README.md"))
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(code.replace("import minigrad as torch", "import torch"), {})
    assert printed.getvalue() == shown(code)


def test_tables_are_of_the_results_checked_in() -> None:
    tables = {"peers": peers_table.markdown(result("peers"))}
    tables |= {name: bench_part(name) for name in ("bench", "bench-losses")}
    for name, table in tables.items():
        assert part(PAGES[name].read_text(encoding="utf-8"), name) == table
    timed = result("bench")["engines"]
    assert ("`jax-vmap`, which is not in this run yet" in WORDS[NAMES[2]]) != ("jax-vmap" in timed)


# ---- links --------------------------------------------------------------------------------------


def anchors(text: str) -> set[str]:
    """The names that GitHub gives to headings."""
    titles = re.findall(r"^#+ (.*)$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("name", NAMES)
def test_links_and_pictures_are_there(name: str) -> None:
    targets = re.findall(r"\]\(([^)]+)\)", READMES[name])
    assert targets
    for target in targets:
        if target.startswith("http"):
            continue
        file, _, anchor = target.partition("#")
        path = (ROOT / name).parent / file if file else ROOT / name
        assert path.exists(), target
        assert not anchor or anchor in anchors(path.read_text(encoding="utf-8")), target

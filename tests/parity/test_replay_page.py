"""`parity replay --html`: what the page says of two engines, and how it is used in a browser."""

import itertools
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from parity.cases.case import Case
from parity.cases.file import save
from parity.cases.replay import Replayed, located, require_step, traces, verdict_on
from parity.checks.budget import Budget
from parity.checks.gradients import compare
from parity.checks.locate import Traces, first_node, tensors
from parity.checks.tensor import distance
from parity.engines.adapters.minigrad import MinigradEngine, MinigradReproducibleEngine
from parity.engines.process import EngineProcess, LocalObject
from parity.engines.protocol import Engine, Start, Task
from parity.engines.registry import ENGINES, Known
from parity.engines.trainer import Trainer
from parity.errors import UsageError
from parity.processes import Processes, Side, trainer
from parity.report import pair
from parity.report.pair import page
from tests.minigrad.chromium import Chromium, assert_asks_for_nothing
from tests.minigrad.operations import FUZZ
from tests.parity import case_engines
from tests.parity.commands import parity
from tests.parity.wrong_engines import SPOILED, HookedEngine, TaciturnEngine

# Reads what the table under the maps says of some cells, as one does with the keyboard.
READ = """(() => {
  const said = (figure) => [
    figure.querySelector("caption")?.textContent ?? "",
    Object.fromEntries([...figure.querySelectorAll("tbody tr")].map((row) =>
      [row.firstChild.textContent, [...row.querySelectorAll("td")].map((each) => each.textContent)])
    ),
  ];
  const keys = ["ArrowLeft", "ArrowDown", "ArrowRight", "ArrowRight", "ArrowDown"];
  const read = (figure) => {
    const canvas = figure.querySelector("canvas");
    const first = said(figure);
    if (!canvas) return [first];
    canvas.focus();
    return [first, ...keys.map((key) => {
      canvas.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
      return said(figure);
    })];
  };
  return [...document.querySelectorAll("article figure.pair")].map((figure) =>
    [figure.dataset.tensor, figure.querySelector(".judged")?.textContent ?? "", read(figure)]);
})()"""
TITLE = 'document.querySelector("article h2").textContent'
ALERTS = '[...document.querySelectorAll("article .alert")].map((each) => each.textContent)'
SCROLLS = "document.documentElement.scrollWidth > innerWidth"


def task_of(sizes: tuple[int, ...], **changes: Any) -> Task:
    return replace(Task(sizes, 1, 0.01, 7, 3, "float32", "cpu"), **changes)


def replayed(
    kind: str,
    task: Task,
    actual: EngineProcess[Trainer],
    expected: EngineProcess[Trainer],
    start: Start | None = None,
) -> Replayed:
    """A case judged and traced, by engines that are running."""
    engines = Processes(actual, expected, [expected])
    start = start or MinigradEngine().draw(task)
    names = actual.name, expected.name
    origin = {"architecture": "rightfit", "sizes": list(task.sizes)}
    case = Case(kind, names, task, start, {}, {"passed": False}, origin, {})
    verdict = located(case, verdict_on(case, engines), engines)
    return Replayed(case, names, verdict, {}, traces(case, verdict, engines))


def traced(found: Replayed) -> Traces:
    """The traces of a case that has some."""
    assert found.traces is not None
    return found.traces


def local(engine: Callable[[], Engine], name: str = "defective") -> EngineProcess[Trainer]:
    return LocalObject(Trainer(engine), name)


SOUND = local(MinigradEngine, "minigrad")


@pytest.fixture(scope="module")
def cases(torch_process: EngineProcess[Trainer]) -> dict[str, Replayed]:
    """A wrong rule; other bits; 0 where the other has NaN; tensors that are shown in blocks."""
    with trainer(Side("defective", case_engines.HalvedBias)) as ours:
        halved = replayed("steps", task_of((1, 5, 4, 1)), ours, torch_process)
    with trainer(Side("defective", case_engines.PlainProducts)) as ours:
        expected = local(MinigradReproducibleEngine, "minigrad-reproducible")
        bits = replayed("bitwise", task_of((1, 30, 30, 1)), ours, expected)
    task = task_of((1, 4, 1))
    start = MinigradEngine().draw(task)
    start.parameters["0.weight"][1, 0] = np.nan
    with trainer(Side("defective", case_engines.SwallowedNaN)) as ours:
        strange = replayed("steps", task, ours, SOUND, start)
    task = task_of((1, 60, 60, 1), samples=100)
    large = replayed("gradients", task, local(HookedEngine), SOUND)
    return {"halved": halved, "bits": bits, "strange": strange, "large": large}


@pytest.fixture(scope="module")
def halved(cases: dict[str, Replayed]) -> Replayed:
    return cases["halved"]


# ---- what is compared ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["halved", "strange", "large", "bits"])
def test_the_first_tensor_apart_is_the_one_that_locating_names(
    name: str, cases: dict[str, Replayed]
) -> None:
    found: Replayed = cases[name]
    step = traced(found)
    located = found.verdict["first_node"]
    first = next(t for t in tensors(step, bits=name == "bits") if not t.passed)
    assert first.key == (located["phase"], located["node"], located["tensor"])
    index = np.unravel_index(first.worst, first.both[0].shape)
    assert [int(i) for i in index] == located["index"]
    defect = {
        "halved": ("backward", "4.bias"),
        "strange": ("forward", "output"),
        "large": ("backward", SPOILED),
        "bits": ("forward", "output"),
    }
    assert (first.key[0], first.key[2]) == defect[name]


def test_engines_that_agree_are_nowhere_apart() -> None:
    found = replayed("gradients", task_of((1, 5, 4, 1)), local(MinigradEngine, "other"), SOUND)
    assert all(tensor.passed for tensor in tensors(traced(found), bits=False))
    text = page(found, "case")
    assert "no node of this step is outside its budget" in text
    assert "What fails does not show in this step" not in text


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_shares_are_those_of_the_verdict(dtype: str) -> None:
    """Element by element what `compare` computes, which only tells the worst."""
    rng = np.random.default_rng(0)
    special = np.array([0, np.nan, np.inf, -np.inf, 1e30, np.finfo(dtype).max], dtype)
    for _ in range(200):
        due, actual = (rng.standard_normal((3, 4)).astype(dtype) for _ in range(2))
        actual = np.where(rng.random((3, 4)) < 0.7, due, actual).astype(dtype)
        for array in (due, actual):
            array[rng.random((3, 4)) < 0.1] = rng.choice(special)
        deviation = np.where(rng.random((3, 4)) < 0.1, np.inf, rng.random((3, 4)))
        slack = np.where(rng.random((3, 4)) < 0.1, np.inf, 0.1) if rng.random() < 0.5 else None
        budget = Budget(due, deviation, slack, {})
        side = distance(actual, budget)
        found = compare({"": actual}, {"": due}, {"": budget})
        assert side.used.max() == found.worst_used
        assert not np.isnan(side.used).any()
        assert side.found.passed == found.passed
        place = np.unravel_index(int(side.used.argmax()), side.used.shape)
        assert [int(i) for i in place] == found.worst_at["index"]


def test_the_step_is_the_one_that_fails() -> None:
    late = task_of((1, 4, 1), epochs=6)
    expected = local(MinigradReproducibleEngine, "minigrad-reproducible")
    found = replayed("bitwise", late, local(case_engines.LateBit), expected)
    step = traced(found)
    assert found.verdict["first_difference"]["epoch"] == step.epoch == 3
    assert found.case.start is not None
    trained, _ = expected.call(Trainer.state_before, late, found.case.start, 3)
    assert all(np.array_equal(step.start.parameters[name], trained[name]) for name in trained)
    text = page(found, "case")
    assert "This is step 4 of 6 of the case." in text
    assert "every tensor of this step is the same in every bit" in " ".join(text.split())
    assert "What fails does not show in this step" in text

    task = task_of((1, 4, 1), epochs=3, momentum=0.9)
    found = replayed("steps", task, local(case_engines.TooMuchMomentum), SOUND)
    step = traced(found)
    assert step.epoch == 1
    assert set(step.momentum_buffers) == set(step.start.parameters)
    first = next(tensor for tensor in tensors(step, bits=False) if not tensor.passed)
    assert first.key == ("optimizer", "0", "0.weight.momentum_buffer")
    assert found.verdict["first_node"]["tensor"] == "0.weight.momentum_buffer"
    assert "optimizer, layer 0 (SGD): 0.weight.momentum_buffer" in page(found, "case")


def test_every_tensor_is_judged_once_where_it_is_made() -> None:
    task = task_of((1, 5, 4, 1), momentum=0.9)
    text = page(replayed("steps", task, local(HookedEngine), SOUND), "case")
    data = json.loads(text.partition('id="data">')[2].partition("</script>")[0])
    made: list[tuple[str, str]] = []
    for step in data["steps"]:
        groups = {
            group["title"] for group in step["groups"] for each in group["figures"]
            if each.get("judged")
        }  # fmt: skip
        made += [
            (step["title"], data["pairs"][each["pair"]]["label"])
            for group in step["groups"]
            for each in group["figures"]
            if each.get("judged")
        ]
        begins = step["title"] == "The way back begins"
        ways = {"forward": {"makes"}, "update": {"makes"}, "backward": {"leaves"}}
        assert groups == ({"arrives"} if begins else ways[step["phase"]])
    assert len(made) == len(data["pairs"]) == 6 + 2 + 10 + 12  # forward, loss, backward, SGD
    assert ("SGD: 2.weight", "optimizer 2 2.weight.momentum_buffer") in made
    assert ("relu (layer 3), backward", "backward 3 input") in made
    assert ("linear (layer 2), backward", "backward 2 2.bias") in made
    alerts = [said for step in data["steps"] for said in step["alerts"]]
    assert [said.partition(":")[0] for said in alerts] == ["First apart"]


@pytest.mark.parametrize(
    ("wrong", "told", "marked"),
    [
        ("actual", "By exact arithmetic defective is wrong", [True, False]),
        ("expected", "By exact arithmetic torch is wrong", [False, True]),
        ("both", "By exact arithmetic defective and torch are both wrong", [True, True]),
        (None, "defective and torch differ, and which is wrong cannot be told", [False, False]),
    ],
)
def test_the_page_names_the_engine_that_is_wrong(
    halved: Replayed, monkeypatch: pytest.MonkeyPatch, wrong: str, told: str, marked: list[bool]
) -> None:
    first = first_node(traced(halved))
    assert first is not None
    assert first["wrong"] == halved.verdict["wrong"] == "actual"
    monkeypatch.setattr(pair, "first_node", lambda *_, **__: {**first, "wrong": wrong})
    text = page(halved._replace(verdict={**halved.verdict, "wrong": wrong}), "case")
    values = "4.bias[0]: defective has -10.620573, torch -21.241144, true is -21.241146;"
    assert f"<b>{told}.</b> {values} allowed difference 2.24e-05<br>" in text
    assert f"times. {told}." in text
    data = json.loads(text.partition('id="data">')[2].partition("</script>")[0])
    assert data["wrong"] == marked
    assert [each["label"] for each in data["pairs"] if each["first"]] == ["backward 4 4.bias"]


def test_several_tensors_may_be_apart_but_one_is_first(halved: Replayed) -> None:
    said = re.findall(r'"((?:First apart|Apart, too): [^"]*)"', page(halved, "case"))
    assert [each.partition(" uses")[0] for each in said] == [
        "First apart: the gradient by 4.bias",
        "Apart, too: the gradient by 2.bias",
        "Apart, too: the gradient by 0.bias",
    ]


def test_a_run_shows_its_first_step() -> None:
    found = replayed("trajectory", task_of((1, 4, 1)), local(case_engines.AnotherRate), SOUND)
    text = page(found, "case")
    assert "The verdict trajectory is on a run of 1 epochs: this is its first step." in text
    assert "optimizer, layer 0 (SGD): 0.weight" in text


def test_a_deep_network_has_every_step() -> None:
    task = task_of((1,) * 31)
    start = MinigradEngine().draw(task)
    for name, value in start.parameters.items():
        value[...] = 1 if name.endswith("weight") else 0.125
    found = replayed("gradients", task, local(HookedEngine), SOUND, start)
    text = page(found, "case")
    assert int(re.findall(r'max="(\d+)"', text)[0]) == 2 * (2 * 30) + 1 + 2 * 30
    assert "backward, layer 2 (Linear): 2.weight" in text


def incomparable(found: Replayed, kind: str) -> Replayed:
    """The case with the actual engine's 2.weight absent or of another shape, or with a buffer."""
    step = traced(found)
    ours = list(step.expected)
    place = next(i for i, t in enumerate(ours) if t[:2] + t[3:4] == ("backward", "2", "2.weight"))
    if kind == "absent":
        del ours[place]
    elif kind == "shape":
        ours[place] = ours[place]._replace(value=np.zeros((2, 2), np.float32))
    else:
        ours.append(ours[-1]._replace(tensor="4.bias.momentum_buffer"))
    return found._replace(traces=replace(step, actual=ours))


@pytest.mark.parametrize("kind", ["absent", "shape", "extra"])
def test_tensors_that_cannot_be_compared(kind: str, halved: Replayed) -> None:
    altered = incomparable(halved, kind)
    found = list(tensors(traced(altered), bits=False))
    apart = [tensor for tensor in found if tensor.passed is False]
    due = {
        "absent": ("2.weight", "only the expected engine has it"),
        "shape": ("2.weight", "actual is [2, 2] float32, expected [4, 5] float32"),
        "extra": ("4.bias.momentum_buffer", "only the actual engine has it"),
    }
    assert [(tensor.key[2], tensor.problem) for tensor in apart] == [due[kind]]
    text = page(altered, "case")
    assert f"{due[kind][0]} cannot be compared: {due[kind][1]}" in text
    # What is computed from it, or might be, is neither apart nor within its budget.
    unknown = [tensor.key[1:] for tensor in found if tensor.passed is None]
    assert unknown[:2] == ([] if kind == "extra" else [("2", "2.bias"), ("2", "input")])
    assert text.count("First apart: ") == 1
    assert text.count("Apart, too") == 0
    assert ("not judged" in text) == (kind != "extra")


# ---- the command --------------------------------------------------------------------------------


def test_cases_without_a_step_have_no_page() -> None:
    case = Case("start", ("a", "b"), task_of((1, 1)), None, {}, {"passed": False}, {}, {})
    with pytest.raises(UsageError, match="this case has none: it draws a start"):
        require_step(case)
    with pytest.raises(UsageError, match="it runs the probe 'ties'"):
        require_step(replace(case, kind="probe", probe="ties"))


def test_an_engine_that_cannot_show_its_steps() -> None:
    for engines in [(local(TaciturnEngine, "mute"), SOUND), (SOUND, local(TaciturnEngine, "mute"))]:
        with pytest.raises(UsageError, match="no page for 'mute', which cannot show"):
            replayed("gradients", task_of((1, 2, 1)), *engines)


@pytest.mark.usefixtures("here")
def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(
        ENGINES, "defective", Known("tests.parity.wrong_engines:HookedEngine", "has a defect")
    )
    monkeypatch.setitem(
        ENGINES, "mute", Known("tests.parity.wrong_engines:TaciturnEngine", "shows nothing")
    )
    found = replayed("steps", task_of((1, 3, 1)), local(HookedEngine), SOUND)
    verdict = json.loads(json.dumps(found.verdict))
    environment: dict[str, Any] = {"actual": {}, "expected": {}}
    case, target = tmp_path / "case.safetensors", tmp_path / "page.html"
    save(replace(found.case, verdict=verdict, environment=environment), case)

    status, said, errors = parity("replay", case, "--html", target)
    assert status == 1
    assert "FAIL" in said
    assert f"The page is {target}: open it in a browser." in errors
    text = target.read_text("utf-8")
    assert "case.safetensors: steps of defective against minigrad" in text
    assert "backward, layer 2 (Linear): 2.weight" in text
    assert text == page(found, case.name).replace(
        "Outcome: a failure, as recorded, with other values", "Outcome: the outcome recorded, "
        "the same in every value"
    )  # fmt: skip

    target.unlink()
    status, _, errors = parity("replay", case, "--engine", "mute", "--against", "defective")
    assert (status, errors) == (1, "")  # without a page it need not show its steps
    status, said, errors = parity("replay", case, "--html", target, "--engine", "mute")
    assert (status, said) == (2, "")
    assert "no page for 'mute'" in errors
    assert list(tmp_path.iterdir()) == [case]
    status, said, errors = parity("replay", case, "--html", tmp_path / "no/page.html")
    assert (status, said) == (2, "")
    assert "no/page.html" in errors


# ---- in a browser -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, cases: dict[str, Replayed]) -> Path:
    found = tmp_path_factory.mktemp("pages")
    for name, case in cases.items():
        (found / f"{name}.html").write_text(page(case, f"{name}.safetensors"), encoding="utf-8")
    return found


def go_to_first(browser: Chromium) -> None:
    browser.run('document.querySelector(".go").click()')
    wanted = browser.run('document.querySelector(".go").hash').removeprefix("#step-")
    browser.wait_until(f"document.documentElement.dataset.step === {wanted!r}")


def wrong_values(browser: Chromium, file: Path, found: Replayed) -> tuple[list[Any], int]:
    """Step through the page; return what is not what the engines computed, and how much is.

    At no step does it scroll sideways.
    """
    step = traced(found)
    sides = [
        {" ".join((t.phase, t.node, t.tensor)): t.value for t in trace}
        for trace in (step.actual, step.expected)
    ]
    browser.open(file)
    wrong, right = [], 0
    seen = set()
    read, scrolls = zip(*browser.at_every_step(f"[{READ}, {SCROLLS}]"), strict=True)
    assert not any(scrolls)
    for tensor, judgement, cells in itertools.chain(*read):
        seen |= {tensor} if judgement else set()
        for caption, rows in cells:
            index = tuple(map(int, re.findall(r"\d+", caption)))
            values = [side[tensor] for side in sides]
            index = index or (0,) * values[0].ndim
            for text, value in zip(rows["value"], (v[index] for v in values), strict=True):
                same = np.array_equal(value.dtype.type(text), value, equal_nan=True)
                if same and (text == "-0") == bool(value == 0 and np.signbit(value)):
                    right += 1
                else:
                    wrong.append((tensor, index, text, value))
    assert seen == set(sides[1])
    return wrong, right


SCREENS = [(320, "light"), (400, "dark"), (1600, "light"), (1600, "dark")]
PAGES = ["large", "bits", "halved", "strange"]
"""An ordinary run has time for one of them on each screen."""
SHOWN = [*(itertools.product(SCREENS, PAGES) if FUZZ else zip(SCREENS, PAGES, strict=True))]


@pytest.mark.parametrize(("screen", "name"), SHOWN)
def test_values_on_screen_are_both_engines(
    browser: Chromium, folder: Path, name: str, screen: tuple[int, str], cases: dict[str, Replayed]
) -> None:
    width, scheme = screen
    browser.size(width, 900, scheme)
    wrong, right = wrong_values(browser, folder / f"{name}.html", cases[name])
    assert wrong == []
    assert right > 100
    grounds = {"light": "rgb(251, 250, 248)", "dark": "rgb(22, 24, 27)"}
    assert browser.run("getComputedStyle(document.body).backgroundColor") == grounds[scheme]
    assert browser.run("location.hash") == f"#step-{browser.steps()}"
    browser.press("Escape")  # out of the heat map
    browser.press("Home")
    browser.press("ArrowRight")
    assert browser.run("location.hash") == "#step-2"
    assert browser.complaints == []
    assert len(browser.requests) == 1


def test_a_wrong_value_is_seen(
    browser: Chromium, folder: Path, tmp_path: Path, halved: Replayed
) -> None:
    loss = str(next(t.value for t in traced(halved).expected if t.node == "loss")[()])
    altered = tmp_path / "page.html"
    text = (folder / "halved.html").read_text("utf-8")
    assert f'"cells": [{loss}]' in text
    altered.write_text(text.replace(f'"cells": [{loss}]', '"cells": [125.5]'), encoding="utf-8")
    wrong, _ = wrong_values(browser, altered, halved)
    assert {(tensor, said) for tensor, _, said, _ in wrong} == {("forward loss output", "125.5")}


@pytest.mark.parametrize(
    ("name", "title", "alert"),
    [
        ("halved", "linear (layer 4), backward", "First apart: the gradient by 4.bias uses"),
        ("bits", "linear (layer 2), forward", "First apart: layer 2's output differs in"),
        ("strange", "relu (layer 1), forward", "First apart: layer 1's output has another kind"),
        ("large", "linear (layer 2), backward", f"First apart: the gradient by {SPOILED} uses"),
    ],
)
def test_the_first_node_apart_is_a_click_away(
    browser: Chromium, folder: Path, name: str, title: str, alert: str
) -> None:
    browser.size(400, 700)
    browser.open(folder / f"{name}.html")
    go_to_first(browser)
    assert browser.run(TITLE).partition(". ")[2] == title
    assert browser.run(ALERTS)[0].startswith(alert)
    assert browser.run('document.querySelectorAll(".graph .box.first.lit").length') == 1
    assert browser.run('document.querySelectorAll(".graph .box.apart .cross").length') >= 1
    top = browser.run('document.getElementById("step").getBoundingClientRect().top')
    assert 0 <= top < 700
    firsts = browser.run(
        '[...document.querySelectorAll(".overview a.apart")].filter((each) => '
        'each.textContent.includes("first apart")).map((each) => each.ariaCurrent)'
    )
    assert firsts == ["step"]
    assert browser.complaints == []


def test_bits_are_shown(browser: Chromium, folder: Path, cases: dict[str, Replayed]) -> None:
    browser.open(folder / "bits.html")
    go_to_first(browser)
    node = cases["bits"].verdict["first_node"]
    said = {tensor: cells for tensor, judgement, cells in browser.run(READ) if judgement}
    caption, rows = said["forward 2 output"][0]
    assert caption == f"{node['index']} furthest apart"
    values = [float.fromhex(node[side]) for side in ("actual", "expected")]
    assert [float.fromhex(text) for text in rows["exactly"]] == values
    assert rows["exactly"] == [node["actual"], node["expected"]]
    assert rows["bits"] == [np.float32(v).view(np.uint32).item().to_bytes(4).hex() for v in values]
    assert rows["difference"][0].endswith(" last places")


def test_numbers_are_written_as_python_does(browser: Chromium, folder: Path) -> None:
    numbers = [1.5, -0.1, 0.0, -0.0, 5e-324, -2.5e-310, 1.7976931348623157e308, 1e-5, 3.0]
    text = (folder / "bits.html").read_text("utf-8")
    script = text.rpartition("<script>")[2].partition("</script>")[0]
    script = script.rpartition("}")[0] + (
        f"window.said = [{', '.join(map(repr, numbers))}].map((value) => "
        '[hexText(value, "float64"), bitsText(value, "float64")]);'
        "window.strange = ['nan', 'inf', '-inf'].map((value) => bitsText(value, 'float32'));}"
    )
    altered = folder / "numbers.html"
    altered.write_text(text.rpartition("<script>")[0] + f"<script>{script}</script>", "utf-8")
    browser.open(altered)
    assert browser.run("said") == [
        [number.hex(), np.float64(number).view(np.uint64).item().to_bytes(8).hex()]
        for number in numbers
    ]
    assert browser.run("strange") == ["any NaN", "7f800000", "ff800000"]


def test_budgets_are_shown(browser: Chromium, folder: Path, halved: Replayed) -> None:
    browser.open(folder / "halved.html")
    go_to_first(browser)
    heads = '[...document.querySelectorAll("article thead th")].map((each) => each.textContent)'
    assert browser.run(heads).count("✗ defective, wrong") == 1  # and of no tensor but the first
    assert "torch" in browser.run(heads)
    node = first_node(traced(halved))
    assert node is not None
    said = {tensor: cells for tensor, judgement, cells in browser.run(READ) if judgement}
    _, rows = said["backward 4 4.bias"][0]
    assert float(rows["used"][0]) == pytest.approx(node["budget_used"], rel=0.01)
    assert float(rows["budget"][0]) == pytest.approx(node["budget"], rel=0.01)
    assert float(rows["used"][1]) < 1
    actual, due = (np.float32(rows[what][0]) for what in ("value", "expected value"))
    assert abs(float(actual) - float(due)) / node["budget"] == pytest.approx(node["budget_used"])


def test_blocks_tell_their_worst_element(
    browser: Chromium, folder: Path, cases: dict[str, Replayed]
) -> None:
    large = cases["large"]
    browser.open(folder / "large.html")
    go_to_first(browser)
    tensor = next(t for t in tensors(traced(large), bits=False) if t.key[2] == SPOILED)
    assert tensor.apart is not None
    (cells,) = (cells for name, told, cells in browser.run(READ) if told and SPOILED in name)
    captions = [caption for caption, _ in cells]
    assert captions[0] == f"{large.verdict['first_node']['index']} furthest apart"
    # 60 rows and columns in 24 blocks: the first begins at 0 and ends before 2 (60 // 24).
    expected = np.unravel_index(int(tensor.apart[:2, :2].argmax()), (2, 2))
    assert captions[1] == str([int(i) for i in expected])
    assert "the other maps show the block's worst element" in " ".join(
        (folder / "large.html").read_text("utf-8").split()
    )


def test_maps_are_asked_together(browser: Chromium, folder: Path) -> None:
    """The mouse over any of them chooses the cell in all, and in the table."""
    browser.open(folder / "halved.html", "#step-1")
    over = """(() => {
      const figure = document.querySelector("article figure.pair");
      return [...figure.querySelectorAll("canvas")].map((canvas) => {
        const box = canvas.getBoundingClientRect();
        canvas.dispatchEvent(new MouseEvent("mousemove",
          { clientX: box.left + box.width - 2, clientY: box.top + 2, bubbles: true }));
        const said = figure.querySelector("caption").textContent;
        canvas.dispatchEvent(new MouseEvent("mouseleave"));
        return said;
      });
    })()"""
    assert browser.run(over) == ["[0, 4]"] * 4


@pytest.mark.parametrize(
    ("kind", "said"), [("absent", "none"), ("shape", "0 … 0"), ("extra", "none")]
)
def test_what_cannot_be_compared_is_shown_all_the_same(
    browser: Chromium, tmp_path: Path, halved: Replayed, kind: str, said: str
) -> None:
    file = tmp_path / "page.html"
    file.write_text(page(incomparable(halved, kind), "case"), encoding="utf-8")
    browser.open(file)
    browser.at_every_step("null")
    go_to_first(browser)
    figures = browser.run("""[...document.querySelectorAll("article figure.pair")].map((each) =>
      [each.querySelector(".judged")?.className ?? "", each.innerText])""")
    (shown,) = (text for name, text in figures if name == "judged apart")
    assert said in shown
    assert browser.complaints == []


def test_what_is_not_finite_has_a_colour_of_its_own(browser: Chromium, folder: Path) -> None:
    browser.open(folder / "strange.html", "#step-2")
    colours = browser.run("""[...document.querySelector("article figure.pair")
      .querySelectorAll("canvas")].map((canvas) => {
        const wide = canvas.width / 4;
        const pixel = canvas.getContext("2d").getImageData(wide + 2, 38, 1, 1).data;
        return [...pixel].slice(0, 3);
      })""")
    magenta, zero, apart = [176, 0, 176], [255, 255, 255], [190, 18, 60]
    assert colours == [zero, magenta, magenta, apart]
    (rows,) = {
        json.dumps(rows)
        for tensor, judgement, ((caption, rows), *_) in browser.run(READ)
        if judgement and caption.startswith("[0, 1]")
    }
    assert json.loads(rows)["value"] == ["0", "nan"]
    assert json.loads(rows)["used"] == ["inf", "0"]


def test_usable_without_a_mouse(browser: Chromium, folder: Path) -> None:
    """Each pair of tensors is one stop, has a name, and shows its focus."""
    browser.open(folder / "halved.html", "#step-3")
    reached = browser.stops()
    maps = [label for tag, _, label in reached if tag == "CANVAS"]
    assert any(re.match(r"out, defective, 7×4\. Arrow keys read cells", label) for label in maps)
    pairs = "article figure.pair:has(canvas), article figure:not(.pair):has(canvas)"
    assert len(maps) == browser.run(f"document.querySelectorAll('{pairs}').length")
    assert any("Go to the first node apart" in label for *_, label in reached)


def test_nothing_leaves_the_page(folder: Path) -> None:
    for name in ("halved", "bits"):
        assert_asks_for_nothing((folder / f"{name}.html").read_text("utf-8"))


def test_names_from_elsewhere_are_not_markup(halved: Replayed) -> None:
    text = page(halved._replace(names=("<b>x</b>", "</script><i>")), "<img src=x>.safetensors")
    assert "<img" not in text
    assert "<b>x</b>" not in text
    assert "</script><i>" not in text


def test_pages_are_small(folder: Path) -> None:
    assert (folder / "halved.html").stat().st_size < 200_000
    assert (folder / "large.html").stat().st_size < 3_000_000

"""What is shown and written of a run: nothing made up, nothing hidden, the same text every time."""

import io
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from rich.table import Table
from rich.text import Text

from parity.checks.verdicts import VERDICTS
from parity.checks.words import element, exactly
from parity.report import Report, wording
from parity.report.artist import Drawing
from parity.report.findings import findings
from parity.report.html import to_html
from parity.report.table import summary
from parity.tables import Trimmed
from tests.minigrad.chromium import Chromium
from tests.parity.samples import FAILED_PROBES, FIRST_NODE, KINDS, PROBES, report_of


def table(
    document: dict[str, Any], width: int = 60, *, terminal: bool = False, verbose: bool = False
) -> str:
    console = Console(file=io.StringIO(), width=width, force_terminal=terminal)
    console.print(summary(document, "out", verbose=verbose), crop=False)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def rightfit(document: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = document["architectures"][1]
    assert found["name"] == "rightfit"
    return found


def page(document: dict[str, Any]) -> str:
    """The page without its figures, which take long to draw."""
    return to_html(Report(document, {}))


def words(text: str) -> str:
    return " ".join(text.split())


# The terminal


@pytest.mark.parametrize("kind", KINDS)
def test_the_table_is_plain_and_legible_at_60_columns(kind: str) -> None:
    text = table(report_of(kind).document)
    lines = [line for line in text.splitlines() if not line.startswith("      parity replay")]
    assert max(map(len, lines)) <= 60
    assert not [line for line in text.splitlines() if line != line.rstrip()]
    assert not set("\x1b┃│─━…") & set(text)
    assert "\x1b[" in table(report_of(kind).document, terminal=True)
    for word in ("underfit", "rightfit", "overfit", "1-16-16-1", "final MSE"):
        assert word in text


def test_a_pass_says_what_was_not_judged() -> None:
    text = table(report_of().document)
    assert "FAIL" not in text
    assert text.splitlines()[-2].startswith("PASS")
    assert text.count("—     steps, free steps, accuracy,") == 3
    assert "agree on 3 networks and 64 probes as far as judged" in words(text)
    assert "probes pass 64 small graphs, 4,321 elements; worst 0.41 times its budget" in words(text)
    assert "minigrad 2.56142, torch 2.56142; relative difference 5.2e-08" in words(text)


def test_a_failure_names_everything() -> None:
    shown = table(report_of("failed").document)
    text = words(shown)
    assert text.count("FAIL") == 5
    said = "minigrad is wrong: the gradient of 2.weight, in linear_backward_weight, is wrong at"
    assert f"{said} 2.weight[3, 1]" in text
    assert "rule linear_backward_weight, minigrad/ops/linalg.py:33: return np.matmul(" in text
    # In the digits of float32 the sample's values look the same.
    values = "minigrad has 0.12345678901234566, torch 0.12345678901234569, true is"
    assert f"{values} 0.12345678901234569; allowed" in text
    assert "found by gradients of rightfit; minigrad against torch, seed 0, float32, cpu" in text
    assert "parity replay out/case-rightfit-gradients.safetensors" in map(
        str.strip, shown.splitlines()
    )
    assert "failed: diamond, sgd_with_nesterov" in text
    assert "diamond: backward, x[2]: minigrad has 1.5, torch 3.0" in text
    assert "rule _accumulate, minigrad/tape.py:120" in text
    assert "disagree on 1 of 3 networks and 2 of 64 probes" in text


def node(**changes: Any) -> str:
    """What is said of a failure at one node, that minigrad's rule is wrong."""
    document = report_of("failed").document
    document["probes"] = PROBES
    rightfit(document)["gradients"]["first_node"] = FIRST_NODE | changes
    rightfit(document)["gradients"]["wrong"] = changes.get("wrong", "actual")
    (finding,) = findings(document)
    return finding.sentence


@pytest.mark.parametrize(
    ("factor", "said"),
    [
        (1.00001, "is too large by a factor of 1.00001"),
        (0.8, "is too small by a factor of 1.25"),
        (2.0, "is too large by a factor of 2 (a factor of 2 too many?)"),
        (0.5, "is too small by a factor of 2 (a factor of 2 missing?)"),
        (100.0, "factor of 100 (the number of samples: a sum in place of a mean?)"),
        (0.01, "factor of 100 (by the number of samples: a mean in place of a sum?)"),
        (-1.0, "has the wrong sign"),
        (-3.0, "is multiplied by -3"),
        (0.0, "is zero"),
        (None, "is wrong at 2.weight[3, 1]"),
    ],
)
def test_a_factor_is_named(factor: float | None, said: str) -> None:
    assert node(factor=factor).endswith(said)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("actual", "minigrad is wrong: the gradient of"),
        ("expected", "torch is wrong: the gradient of"),
        ("both", "minigrad and torch are both wrong: the gradient of"),
        (None, "minigrad and torch differ, and which is wrong cannot be told: the gradient of"),
    ],
)
def test_the_guilty_is_named(wrong: str | None, said: str) -> None:
    assert node(wrong=wrong).startswith(said)


def test_the_guilty_is_named_where_probes_alone_failed_and_a_few_of_them() -> None:
    document = report_of().document
    (one, another) = FAILED_PROBES["failed"]
    many = [{**another, "probe": f"probe-{i}", "wrong": "actual"} for i in range(20)]
    document |= {"passed": False, "probes": FAILED_PROBES | {"failed": [one, *many]}}
    (finding,) = findings(document)
    assert finding.sentence == "minigrad is wrong: 21 probes"
    (said,) = (line for line in finding.details if line.startswith("failed: "))
    assert "probe-1 and 18 more; " in said


def test_what_a_node_computes_is_named() -> None:
    def thing(phase: str, layer: str, tensor: str) -> str:
        return node(phase=phase, node=layer, tensor=tensor).partition(": ")[2].partition(", in ")[0]

    assert thing("forward", "2", "output") == "the output of layer 2 (Linear)"
    assert thing("forward", "loss", "output") == "the loss"
    assert thing("backward", "2", "input") == "the gradient of layer 2 (Linear) by its input"
    assert thing("backward", "loss", "input") == "the gradient of the loss by its input"
    assert (
        thing("backward", "loss", "output") == "the derivative that the backward pass starts with"
    )
    assert thing("optimizer", "2", "2.bias") == "the updated 2.bias"
    assert thing("optimizer", "2", "2.bias.momentum_buffer") == "the 2.bias.momentum_buffer"
    assert "cannot be compared: actual is flat" in node(problem="actual is flat")


def test_one_rule_is_one_finding_and_the_command_is_on_one_line() -> None:
    document = report_of("failed").document
    other = document["architectures"][2]
    other["gradients"] |= {"passed": False, "first_node": FIRST_NODE, "wrong": "actual"}
    other["final_mse"]["passed"] = False
    rule = {key: FIRST_NODE[key] for key in ("rule", "line")}
    same, another = FAILED_PROBES["failed"]
    document["probes"] = FAILED_PROBES | {"failed": [same | rule, another]}
    first, probe = findings(document)
    (said,) = (line for line in first.details if line.startswith("found by"))
    by = "found by gradients of rightfit; gradients and final MSE of overfit; the probe diamond"
    assert said.startswith(by)
    assert "sgd_with_nesterov" in probe.sentence
    lines = table(document, 30).splitlines()
    assert "      parity replay out/case-rightfit-gradients.safetensors" in lines


def test_a_replay_can_be_typed() -> None:
    known, own = (
        {"engine": engine, "against": "torch"} for engine in ("minigrad", "my.module:Engine")
    )
    assert wording.replay("case-a.safetensors", "", known) == "parity replay case-a.safetensors"
    typed = "parity replay 'o/case-a b.safetensors'"
    assert wording.replay("case-a b.safetensors", "o", known) == typed
    assert wording.replay("case-a b.safetensors", "o", own) == f"{typed} --engine my.module:Engine"


def test_a_tensor_as_a_whole_can_fail() -> None:
    document = report_of("complete").document
    verdict = rightfit(document)["gradients"]
    fit = {"scale": 1e-6, "scale_error": 2e-8, "bias": 3.0, "bias_error": 4.0}
    verdict |= {"passed": False, "aggregate_used": 8.25}
    verdict["aggregate_at"] = {"parameter": "2.bias", **fit}
    said = "2.bias as a whole 8.2 times its budget: scale 1e-06 ± 2e-08, bias 3 ± 4"
    for render in (table, page):
        assert said in words(render(document))


@pytest.mark.parametrize("render", [lambda d: table(d, 100), lambda d: page(d)])
def test_probes_alone_can_fail_or_be_out_of_reach(render: Callable[[dict[str, Any]], str]) -> None:
    document = report_of().document
    document |= {"passed": False, "probes": FAILED_PROBES}
    text = words(render(document))
    assert "disagree on 2 of 64 probes" in text
    assert "FAIL" in text
    assert "actual raised TypeError: no such option" in words(page(document))
    document |= {"passed": True, "probes": None}
    text = words(render(document))
    assert "FAIL" not in text.replace("budget fails", "")
    assert "as far as judged" in text
    assert "agree on 3 networks as" in text
    assert re.search("probes — both engines must|Probes <span .*— not judged", text)
    del document["probes"]
    assert "64 probes" not in render(document)


def test_a_place_is_named_with_what_is_known_of_it() -> None:
    assert element({"parameter": "0.bias", "index": [3]}) == "0.bias[3]"
    assert element({"tensor": "loss", "index": []}) == "loss"
    steps = {"epoch": 3, "of": "gradients", "parameter": "2.weight", "index": [0, 7]}
    assert element(steps) == "epoch 3, 2.weight[0, 7]"
    assert element(steps | {"of": "updated"}) == "epoch 3, updated 2.weight[0, 7]"
    assert element({"epoch": 3, "of": "loss", "parameter": "loss", "index": []}) == "epoch 3, loss"
    loss = FIRST_NODE | {"node": "loss", "operation": "MSELoss", "rule": None, "tensor": "output"}
    assert wording.node(loss) == "backward, loss (MSELoss): output[3, 1]"


@pytest.mark.parametrize("render", [table, page])
def test_no_failing_verdict_is_overlooked(render: Callable[[dict[str, Any]], str]) -> None:
    """Not even where the document as a whole says, wrongly, that it passed."""
    document = report_of("complete").document
    entry = rightfit(document)
    document["passed"] = entry["passed"] = True
    del entry["gradients"]["per_parameter"]  # whose figure takes long to draw
    for each in entry.values():
        if isinstance(each, dict) and "passed" in each:
            each |= {"passed": True, "first_node": None}
    assert "FAIL" not in words(render(document)).replace("budget fails", "")
    for verdict, label in wording.LABELS.items():
        entry[verdict]["passed"] = False
        text = words(render(document))
        assert "disagree on 1 of 3 networks" in text
        assert f"found by {label} of rightfit; minigrad against torch" in text
        entry[verdict]["passed"] = True


@pytest.mark.parametrize("level", ["document", "architecture"])
def test_a_failure_without_a_failing_verdict_is_still_one(level: str) -> None:
    document = report_of().document
    document["passed"] = False
    if level == "architecture":
        rightfit(document)["passed"] = False
    assert table(document).count("FAIL") == 2
    assert "✗ FAIL" in page(document)


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("dead", "rightfit: both engines ended dead: agreement says little"),
        ("diverged", "rightfit: both engines ended diverged: agreement says little"),
        ("apart", "rightfit: the engines ended differently: minigrad diverged, torch trained"),
    ],
)
def test_states_are_said_aloud(kind: str, said: str) -> None:
    document = report_of(kind).document
    assert said in words(table(document))
    assert words(page(document)).count(said) == 2
    assert "agreement says little" not in table(report_of().document)


def test_hexadecimal_numbers_are_for_those_who_ask() -> None:
    document = report_of("complete").document
    entry = rightfit(document)
    entry["bitwise"]["final_mse_hex"] = dict.fromkeys(("actual", "expected"), (2.5).hex())
    entry["bitwise"]["passed"] = True
    assert "final MSE 2.5" in words(table(document))
    assert "0x" not in table(document)
    assert "bitwise, hex — 0x1.4000000000000p+1" in words(table(document, verbose=True))


def test_numbers_have_the_digits_that_tell_them_apart() -> None:
    third = float(np.float32(1 / 3))
    assert exactly(third.hex(), "float32") == "0.33333334"
    said = [exactly(text, "float32") for text in ("nan", "-inf", None)]
    assert said == ["nan", "-inf", "not finite"]
    hexes = {"actual": third.hex(), "expected": float(np.nextafter(third, 1)).hex()}
    bitwise = {"passed": False, "epochs": 3, "final_mse_hex": hexes}
    described = VERDICTS["bitwise"].describe(bitwise, {}, {"dtype": "float32"})
    assert described == "final MSE 0.3333333432674408 and 0.33333334326744085"


def test_a_network_that_is_called_by_its_sizes_says_them_once() -> None:
    document = report_of().document
    rightfit(document)["name"] = "1-16-16-1"
    assert "1-16-16-1, 321 parameters" in table(document)
    assert table(document).count("1-16-16-1") == 1


@pytest.mark.parametrize("native", ["dead", "apart", "passed"])
def test_that_rounding_decides_how_training_ends_is_said(native: str) -> None:
    document = report_of(native).document
    entry = rightfit(document)
    entry["final_mse"] |= {"actual": 56.84, "expected": 56.77}
    entry["bitwise"] = {
        "passed": True,
        "epochs": 500,
        "final_mse_hex": dict.fromkeys(("actual", "expected"), "0x1.a666660000000p+0"),
        "state": dict.fromkeys(("actual", "expected"), "trained" if native != "passed" else "dead"),
    }
    ended = entry["bitwise"]["state"]["actual"]
    said = f"; but rounding decides that: in reproducible arithmetic both {ended}, final MSE 1.65 "
    said += "instead of 56.8"
    for text in words(table(document)), words(page(document)):
        assert said in text
        assert "bits; final MSE 1.65" in text.replace("every bit", "bits")
    entry["bitwise"]["state"] = entry["state"]
    assert "rounding" not in table(document)


def test_what_is_not_finite_is_not_called_a_number() -> None:
    document = report_of("diverged").document
    rightfit(document)["gradients"]["worst_budget_used"] = None
    text = words(table(document))
    assert "minigrad not finite, torch not finite" in text
    assert "worst not finite" in text
    assert not re.search(r"\b(nan|None|null|inf)\b", text)
    assert wording.worst_budget_used(rightfit(document)) == "not finite"


def test_a_quick_run_and_a_forced_kernel_are_said_aloud() -> None:
    document = report_of().document
    document["settings"]["quick"] = True
    for text in (table(document), page(document)):
        assert "quick run: fewer epochs" in words(text)
        assert text.count("OPENBLAS_CORETYPE=Haswell forces") == 1


def test_trimmed_lines_keep_their_styles() -> None:
    console = Console(file=io.StringIO(), width=30, force_terminal=True, color_system="standard")
    table = Table.grid()
    table.add_column(width=20)
    table.add_row(Text("red   ", style="red"))
    table.add_row("")
    table.add_row(" two words")
    console.print(Trimmed(table))
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue() == "\x1b[31mred\x1b[0m\n\n two words\n"


# The page


class Page(HTMLParser):
    """Ids, addresses and tags of a page; raises where tags do not match."""

    VOID = frozenset({"meta", "br"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.ids += [value for name, value in attrs if name == "id" and value]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def whole() -> str:
    """A page with figures."""
    return to_html(report_of("failed", ("rightfit",)))


def test_the_page_is_whole_self_contained_and_accessible(whole: str) -> None:
    text, report = whole, report_of("failed", ("rightfit",))
    parsed = Page(text)
    assert len(parsed.ids) == len(set(parsed.ids))
    for tag, attributes in parsed.tags:
        assert tag not in {"script", "link", "img", "iframe", "object"}
        for name in ("href", "xlink:href", "src"):
            address = attributes.get(name) or "#" + parsed.ids[0]
            assert address.startswith("#")
            assert address[1:] in parsed.ids
        for label in (attributes.get("aria-labelledby") or "").split():
            assert label in parsed.ids
        if tag == "th":
            assert attributes["scope"] in {"col", "row"}
        if tag == "svg":
            assert attributes["role"] == "img"
            assert attributes["aria-labelledby"]
    assert "@import" not in text
    assert set(re.findall(r"url\((.)", text)) == {"#"}
    assert "parity replay case-rightfit-gradients.safetensors" in words(text)
    assert sum(tag == "svg" for tag, _ in parsed.tags) == 5
    settings = report.document["settings"]
    with Drawing({"actual": settings["engine"], "expected": settings["against"]}) as drawing:
        for each in report.document["architectures"]:
            drawing.begin(each, report.curves.get(each["name"]))
        assert text == to_html(report, drawing.figures())


def test_figures_are_drawn_if_the_process_that_should_draw_them_is_dead(whole: str) -> None:
    report = report_of("failed", ("rightfit",))
    settings = report.document["settings"]
    with Drawing({"actual": settings["engine"], "expected": settings["against"]}) as drawing:
        drawing._artist.kill()
        for each in report.document["architectures"]:
            drawing.begin(each, report.curves.get(each["name"]))
        assert whole == to_html(report, drawing.figures())


def test_in_the_place_of_a_figure_that_cannot_be_drawn_is_the_reason(
    whole: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def losses(*_: object, **names: object) -> str:
        raise ValueError("no <font>")

    monkeypatch.setattr("parity.report.plots.losses", losses)
    text = to_html(report_of("failed", ("rightfit",)))
    assert text.count("<p>It could not be drawn: ValueError: no &lt;font&gt;</p>") == 1
    assert (whole.count("<svg"), text.count("<svg")) == (5, 4)


def test_the_page_shows_results_in_words_and_both_environments() -> None:
    text = words(page(report_of("complete").document))
    for said in (
        "✗ FAIL",
        "✓ pass",
        "— not judged",
        "2.56142",
        "5.2e-08",
        "predictable up to epoch 213",
        "epoch 3, 4.weight[0, 7]",
        "openblas 0.3.31, Haswell kernel, 2 threads, from numpy",
        "mkl 2024.2, kernel not told, 2 threads, from torch",
        "AMD EPYC 9R14",
    ):
        assert said in text
    assert "✗ FAIL" not in page(report_of().document)


def test_how_to_read_it_stands_first_and_explains_the_words() -> None:
    text = page(report_of("complete").document)
    reading, rest = text.partition("</details>")[::2]
    assert "<summary>How to read this report</summary>" in reading
    assert "Overview" in rest
    for word in ("budget", "kink", "envelope", "horizon", "twin", "probe", "witness"):
        assert f"<dt>{word}</dt>" in reading
    assert "6 standard deviations" in reading
    assert "8 times with weights moved by 8 last bits" in words(reading)


def test_the_probes_are_listed() -> None:
    text = words(page(report_of().document))
    assert "<summary>All 4, by what they ask for</summary>" in text
    assert "<h3>written: 2</h3> <ul> <li><b>diamond</b></li>" in text
    assert "<h3>operation: 2</h3> <ul> <li><b>add</b> values=special, sweep=twice</li>" in text
    document = report_of().document
    del document["probes"]["names"]  # as an older report
    assert "by what they ask for" not in page(document)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1600])
def test_the_page_in_a_browser(
    browser: Chromium, whole: str, tmp_path: Path, width: int, scheme: str
) -> None:
    """Nothing scrolls sideways, and letters of figures can be read."""
    (tmp_path / "report.html").write_text(whole, encoding="utf-8")
    browser.size(width, 900, scheme)
    browser.open(tmp_path / "report.html")
    assert browser.run("document.querySelector('.reading').getBoundingClientRect().bottom") < 500
    browser.run("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    assert browser.run("document.documentElement.scrollWidth") <= width
    assert browser.run(SMALLEST) >= 10
    ground = "rgb(251, 250, 248)" if scheme == "light" else "rgb(22, 24, 27)"
    assert browser.run("getComputedStyle(document.body).backgroundColor") == ground
    assert browser.complaints == []
    assert len(browser.requests) == 1


# Pixels of the screen: the smallest size of the letters of figures.
SMALLEST = """Math.min(...[...document.querySelectorAll("svg text")].map((each) => {
  const { a, b } = each.getScreenCTM(); // b, where it is turned
  return parseFloat(getComputedStyle(each).fontSize) * Math.hypot(a, b);
}))"""


def test_names_are_text_not_markup() -> None:
    report = report_of(names=("rightfit",))
    report.document["settings"]["engine"] = "<script>&"
    report.document["architectures"][0]["name"] = "[bold]<b>"
    report.curves["[bold]<b>"] = report.curves["rightfit"]
    tags = {tag for tag, _ in Page(to_html(report)).tags}
    assert "svg" in tags
    assert not {"script", "b"} & tags
    assert "[bold]<b>" in table(report.document)


def test_a_network_without_curves_says_so() -> None:
    text = page(report_of().document)
    assert text.count("No curves were kept") == 3
    assert text.count("<svg") == 3  # the step alone

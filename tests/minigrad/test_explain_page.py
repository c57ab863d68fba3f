"""The page in a real browser: what it shows, what it asks for, how it is used."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minigrad
from minigrad import nn
from minigrad.architectures import ARCHITECTURES, build, parabola, training
from minigrad.explain import explain
from minigrad.explain.summary import as_table, block_means
from tests.minigrad.chromium import Chromium, assert_asks_for_nothing

# Reads a cell as one does with the keyboard: focus on the heat map, arrow keys, what is said below.
READ = """(() => {
  const read = (figure, moves) => {
    const one = figure.querySelector(".single");
    if (one) return [one.textContent];
    const canvas = figure.querySelector("canvas");
    canvas.focus();
    return moves.map((key) => {
      canvas.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
      return figure.querySelector(".range").textContent;
    });
  };
  const moves = ["ArrowLeft", "ArrowDown", "ArrowDown", "ArrowRight", "ArrowRight", "ArrowDown"];
  return [...document.querySelectorAll("article .group")].flatMap((group) =>
    [...group.querySelectorAll("figure")].map((figure) =>
      [group.dataset.group, figure.dataset.name, read(figure, moves)]));
})()"""
TITLE = 'document.querySelector("article h2").textContent'
WIDTH = "document.documentElement.scrollWidth"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("pages")
    for name, network in ARCHITECTURES.items():
        explain(training(network, seed=0)).save(found / f"{name}.html")
    w, x = minigrad.tensor([[1.5, -2.0]] * 3, requires_grad=True), minigrad.tensor([0.125, 1e-9])
    explain(lambda: ((w * x).tanh() * w).mean()).save(found / "small.html")
    return found


def expected_values(name: str) -> dict[tuple[str, str, str], Any]:
    """What the engine computes in the same step, by title of the step, group and figure.

    The engine is run as anyone would run it; nothing of `minigrad.explain` takes part.
    """
    minigrad.manual_seed(0)
    x, y = parabola(100)
    model = build(ARCHITECTURES[name].sizes)
    values: dict[tuple[str, str, str], Any] = {}
    made = [x]
    for layer in model:
        out = layer(made[-1])
        out.retain_grad()
        made.append(out)
    loss = nn.MSELoss()(made[-1], y)
    loss.backward()
    for i, layer in enumerate(model):
        rule = type(layer).__name__.lower()
        ahead, back = (f"{rule} (layer {i}), {way}" for way in ("forward", "backward"))
        values[ahead, "takes", "x"] = made[i]
        values[ahead, "makes", "out"] = made[i + 1]
        values[back, "arrives", "∂out"] = made[i + 1].grad
        if i:
            values[back, "leaves", "∂x"] = made[i].grad
        for kind, parameter in layer.named_parameters():
            values[ahead, "takes", kind] = parameter
            values[back, "leaves", f"∂{kind}"] = parameter.grad
            update = f"SGD: {i}.{kind}"
            values[update, "takes", "p"] = parameter
            values[update, "takes", "g"] = parameter.grad
            assert parameter.grad is not None
            values[update, "makes", "p"] = parameter.detach() - parameter.grad * 0.01
    values["mse_loss, forward", "takes", "y"] = y
    values["mse_loss, forward", "makes", "out"] = loss
    values["mse_loss, backward", "leaves", "∂x"] = made[-1].grad
    return {key: np.array(tensor._array) for key, tensor in values.items()}


def wrong_cells(browser: Chromium, page: Path, name: str) -> tuple[list[Any], int]:
    """Step through the page; return the cells that are not the engine's, and how many were read."""
    expected = expected_values(name)
    browser.open(page)
    wrong, right = [], 0
    seen = set()
    for heading, cells_of in browser.at_every_step(f"[{TITLE}, {READ}]"):
        title = heading.partition(". ")[2]
        for group, figure, cells in cells_of:
            key = title, group, figure
            if key not in expected:
                continue
            seen.add(key)
            for said in cells:
                if is_right(said, expected[key]):
                    right += 1
                else:
                    wrong.append((key, said))
    assert seen == set(expected)
    return wrong, right


def is_right(said: str, values: Any) -> bool:
    """Whether what is said of a cell is the very value, or the mean of the block."""
    if not said.startswith("["):
        return bool(np.float32(said) == values)
    where, _, value = re.split(r"(\] = |\] mean )", said[1:])
    table = as_table(values)
    if "mean" not in said:
        return bool(np.float32(value) == values[tuple(map(int, where.split(", ")))])
    means, rows, columns = block_means(table)
    starts = [int(part.partition("–")[0]) for part in where.split(", ")]
    i = rows.index(starts[0]) if values.ndim > 1 else 0
    return bool(np.float32(value) == np.float32(means[i, columns.index(starts[-1])]))


@pytest.mark.dear
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_values_on_screen_are_the_engine_s(browser: Chromium, folder: Path, name: str) -> None:
    wrong, right = wrong_cells(browser, folder / f"{name}.html", name)
    assert wrong == []
    assert right > 50
    assert browser.complaints == []
    assert len(browser.requests) == 1


def test_a_wrong_value_is_seen(browser: Chromium, folder: Path, tmp_path: Path) -> None:
    text = (folder / "rightfit.html").read_text("utf-8")
    value = str(expected_values("rightfit")["relu (layer 1), forward", "makes", "out"][1, 1])
    assert value in text or value == "0.0"
    loss = str(expected_values("rightfit")["mse_loss, forward", "makes", "out"])
    altered = tmp_path / "page.html"
    altered.write_text(text.replace(f'"cells": [{loss}]', '"cells": [125.5]'), encoding="utf-8")
    wrong, _ = wrong_cells(browser, altered, "rightfit")
    assert wrong == [(("mse_loss, forward", "makes", "out"), "125.5")]


def test_steps_run_to_the_end_and_back(browser: Chromium, folder: Path) -> None:
    browser.open(folder / "rightfit.html")
    last = browser.steps()
    assert last == 1 + 6 + 1 + 6 + 1 + 6  # zero_grad, forward, seed, backward, .grad, SGD
    there, back = browser.at_every_step("document.body.innerText"), []
    assert browser.run("location.hash") == f"#step-{last}"
    for _ in range(last):
        back.append(browser.run("document.body.innerText"))
        browser.press("ArrowLeft")
    assert back[::-1] == there
    assert len(set(there)) == last
    assert browser.run('document.getElementById("back").disabled')
    browser.press("End")
    assert browser.run("location.hash") == f"#step-{last}"
    browser.press("Home")
    assert browser.run("location.hash") == "#step-1"
    browser.press("ArrowRight")
    assert browser.run("location.hash") == "#step-2"
    assert browser.complaints == []


def test_links_to_steps(browser: Chromium, folder: Path) -> None:
    browser.open(folder / "rightfit.html", "#step-12")
    assert browser.run(TITLE).startswith("12. ")
    browser.run("document.querySelector('a[href=\"#step-5\"]').click()")
    browser.wait_until(f"{TITLE}.startsWith('5. ')")
    assert browser.run("document.querySelector('[aria-current]').hash") == "#step-5"
    for nonsense in ("#step-0", "#step-999", "#nothing"):
        browser.open(folder / "rightfit.html", nonsense)
        assert browser.run(TITLE)
    assert browser.complaints == []


@pytest.mark.dear
def test_playing_goes_on_and_stops(browser: Chromium, folder: Path) -> None:
    browser.open(folder / "underfit.html", "#step-13")
    browser.press(" ")
    assert browser.run('document.getElementById("play").textContent') == "Pause"
    browser.wait_until('document.getElementById("play").textContent === "Play"')
    assert browser.run("location.hash") == "#step-15"


def test_the_node_is_lit(browser: Chromium, folder: Path) -> None:
    for name in ("rightfit", "overfit"):
        browser.open(folder / f"{name}.html")
        assert browser.run('document.querySelectorAll(".graph .box").length') == 14
        lit = browser.at_every_step('document.querySelectorAll(".graph .box.lit").length')
        assert set(lit) == {0, 1}
        assert lit.count(0) == 2  # zero_grad and the gradients' arrival concern no single node


@pytest.mark.dear
@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.parametrize("width", [320, 400, 800, 1600])
def test_nothing_scrolls_sideways(browser: Chromium, folder: Path, name: str, width: int) -> None:
    browser.size(width, 900)
    browser.open(folder / f"{name}.html")
    assert browser.run("innerWidth") == width
    assert max(browser.at_every_step(WIDTH)) <= width


# At a step: whether the page scrolls sideways, and the lines of source that are cut off.
CUT = """[document.documentElement.scrollWidth > innerWidth,
  ...[...document.querySelectorAll("pre, .formulas")]
    .filter((each) => each.scrollWidth > each.clientWidth).map((each) => each.textContent)]"""
BOTTOM = 'document.querySelector(".keys").getBoundingClientRect().bottom'


@pytest.mark.parametrize(("width", "scheme"), [(400, "dark"), (1600, "light")])
def test_nothing_is_cut_off_and_the_keys_are_seen_at_once(
    browser: Chromium, folder: Path, width: int, scheme: str
) -> None:
    browser.size(width, 700, scheme)
    browser.open(folder / "small.html")
    assert browser.run(BOTTOM) < 350
    words = browser.run('document.querySelector(".controls").innerText').split()
    assert words[:5] == ["First", "Back", "Play", "Next", "Last"]
    assert all(each == [False] for each in browser.at_every_step(CUT))
    assert browser.complaints == []


LISTEN = """window.said = [];
  CanvasRenderingContext2D.prototype.fillText = (text) => { said.push(text); };"""
REPAINT = 'document.querySelectorAll("article canvas").forEach((each) => each.repaint());'


def test_small_tensors_have_their_numbers_in_them(browser: Chromium, folder: Path) -> None:
    browser.open(folder / "small.html")
    browser.run(f"{LISTEN} {REPAINT}")
    assert browser.run("said") == [*["1.5", "-2"] * 3, "0.125", "1e-9", *["0.1875", "-2e-9"] * 3]
    browser.open(folder / "rightfit.html", "#step-5")
    browser.run(f"{LISTEN} {REPAINT}")
    assert browser.run("said") == []  # 100×16 has no room


def test_what_scrolls_sideways_is_seen(browser: Chromium, folder: Path) -> None:
    browser.size(400, 900)
    browser.open(folder / "underfit.html")
    browser.run('document.body.append(Object.assign(document.createElement("div"), '
                '{style: "width: 500px; height: 1px"}))')  # fmt: skip
    assert browser.run(WIDTH) > 400


def test_nothing_leaves_the_page(browser: Chromium, folder: Path, tmp_path: Path) -> None:
    for name in ARCHITECTURES:
        text = (folder / f"{name}.html").read_text("utf-8")
        assert_asks_for_nothing(text)
    planted = tmp_path / "planted.html"
    image = '<img src="http://127.0.0.1:9/x.png">'
    planted.write_text(text.replace("<main>", f"{image}<main>"), encoding="utf-8")
    browser.open(planted)
    assert "violates the following Content Security Policy" in json.dumps(browser.complaints)


def test_a_complaint_is_heard(browser: Chromium, folder: Path, tmp_path: Path) -> None:
    planted = tmp_path / "planted.html"
    text = (folder / "underfit.html").read_text("utf-8")
    planted.write_text(text.replace("show(fromHash());", "show(nothing);"), encoding="utf-8")
    browser.open(planted)
    assert "nothing is not defined" in json.dumps(browser.complaints)


def test_usable_without_a_mouse(browser: Chromium, folder: Path) -> None:
    """Every control and heat map is reached with Tab, shows its focus, and has a name."""
    browser.open(folder / "rightfit.html", "#step-10")
    reached = browser.stops()
    assert [name for _, name, _ in reached][:6] == [
        "first", "back", "play", "next", "last", "slider",
    ]  # fmt: skip
    heat_maps = browser.run('document.querySelectorAll("canvas").length')
    assert [tag for tag, *_ in reached].count("CANVAS") == heat_maps > 10
    assert any(re.search(r"∂weight, 1×16: .*Arrow keys read cells", each[2]) for each in reached)


@pytest.mark.parametrize(
    ("scheme", "ground"), [("light", "rgb(251, 250, 248)"), ("dark", "rgb(22, 24, 27)")]
)
def test_light_and_dark(browser: Chromium, folder: Path, scheme: str, ground: str) -> None:
    browser.size(1200, 900, scheme)
    browser.open(folder / "rightfit.html", "#step-4")
    assert browser.run("getComputedStyle(document.body).backgroundColor") == ground
    # Zero, the values that ReLU cut off, has the colour of the ground that it is drawn on.
    zero = browser.run(
        "[...document.querySelector('article canvas').getContext('2d')"
        ".getImageData(2, 2, 1, 1).data].slice(0, 3)"
    )
    assert zero == ([255, 255, 255] if scheme == "light" else [30, 33, 37])


def test_pages_are_small(folder: Path) -> None:
    sizes = {name: (folder / f"{name}.html").stat().st_size for name in ARCHITECTURES}
    assert sizes["rightfit"] < 3_000_000
    assert sizes["overfit"] < 6_000_000
    assert "Of a larger one each cell is the mean of a block" in (
        folder / "overfit.html"
    ).read_text("utf-8").replace("\n", " ")

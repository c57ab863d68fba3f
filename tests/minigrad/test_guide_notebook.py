"""The notebook beside the guide: run from top to bottom, and its pages stepped through."""

import ast
import json
from pathlib import Path
from typing import Any

import pytest

import minigrad
from tests.minigrad.chromium import Chromium, assert_asks_for_nothing

NOTEBOOK = Path(minigrad.__file__).with_name("guide.ipynb")


def cells() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    return found


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What each cell's last line comes to, by the cell's id; they run as a notebook runs them."""
    names: dict[str, Any] = {"__name__": "__main__"}
    found = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("notebook"))
        for cell in cells():
            if cell["cell_type"] != "code":
                continue
            tree = ast.parse("".join(cell["source"]))
            *_, last = tree.body
            if isinstance(last, ast.Expr):
                tree.body.pop()
            exec(compile(tree, cell["id"], "exec"), names)
            if isinstance(last, ast.Expr):
                found[cell["id"]] = eval(
                    compile(ast.Expression(last.value), cell["id"], "eval"), names
                )
        found["saved"] = Path("training_step.html").read_text(encoding="utf-8")
    return found


def test_outputs_are_not_kept() -> None:
    """They would be of another version, and a diff of each run."""
    for cell in cells():
        assert cell["id"]
        if cell["cell_type"] == "code":
            assert (cell["outputs"], cell["execution_count"]) == ([], None)


def test_it_runs_from_top_to_bottom(shown: dict[str, Any]) -> None:
    assert shown["gradient"].tolist() == [2, 4, 6]
    first, last = shown["train"]
    assert last < 0.1 < first
    assert "<title>training_step, step by step</title>" in shown["saved"]
    assert_asks_for_nothing(shown["saved"])


def test_explain_shows_the_page_itself(
    browser: Chromium, shown: dict[str, Any], tmp_path: Path
) -> None:
    for cell, title, count in (("loss", "loss", 10), ("network", "training_step", 15)):
        file = tmp_path / f"{cell}.html"
        file.write_text(f"<!doctype html>{shown[cell]._repr_html_()}", encoding="utf-8")
        browser.open(file)
        page = "document.querySelector('iframe').contentDocument"
        heading = f"{page}.querySelector('article h2').textContent"
        assert browser.run(f"{page}.querySelector('h1').textContent") == f"{title}, step by step"
        assert browser.run(f"{page}.getElementById('slider').max") == str(count)
        browser.run(f"{page}.getElementById('next').click()")
        assert browser.run(heading).startswith("2. ")
        browser.run(f"{page}.querySelector('.list a[href=\"#step-5\"]').click()")
        assert browser.run(heading).startswith("5. ")
        browser.run(f"{page}.getElementById('last').click()")
        assert browser.run(heading).startswith(f"{count}. ")
        assert browser.complaints == []
        assert browser.requests == [file.as_uri()]
        browser.requests.clear()

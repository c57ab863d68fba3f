"""Figures: everything a log axis cannot show is put in words, and many fit in one page."""

import io
import math
import re
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from parity.engines.protocol import Start
from parity.engines.trainer import Run
from parity.report import Curves, figure, plots
from parity.report.drawing import drawing, nodes
from parity.report.fits import training_picture
from parity.training import Finished
from tests.parity.samples import (
    BITWISE_NODE,
    architecture_of,
    curves_of,
    nodes_of,
    per_parameter,
)

NAMES = {"actual": "minigrad", "expected": "torch", "name": "rightfit"}


def drawn(svg: str) -> str:
    """All words in a figure; raises if the SVG is malformed or its ids repeat."""
    root = ElementTree.fromstring(svg.replace("<svg ", '<svg xmlns:xlink="x" ', 1))
    ids = [element.attrib["id"] for element in root.iter() if "id" in element.attrib]
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'(?:url\(#|href="#)([^)"]*)', svg)) <= set(ids)
    return " ".join("".join(root.itertext()).split())


def curves(kind: str = "passed", **changed: Any) -> Curves:
    return Curves(**(vars(curves_of(kind, 100)) | changed))


def loss_figures(actual: Any, expected: Any) -> str:
    data = curves(losses_actual=np.array(actual), losses_expected=np.array(expected))
    loss, apart = (
        plots.losses(data, **NAMES, key="k"),
        plots.divergence(data, None, **NAMES, key="k"),
    )
    assert "relative difference" not in drawn(loss)  # not drawn twice
    return f"{drawn(loss)} {drawn(apart)}"


def test_figures_name_both_engines() -> None:
    for draw in (plots.fit, plots.losses):
        text = drawn(draw(curves(), **NAMES, key="k"))
        assert all(name in text for name in NAMES.values())


@pytest.mark.parametrize(
    ("actual", "expected", "said"),
    [
        ([0.0] * 3, [0.0] * 3, "losses equal in every bit at all 3 epochs"),
        ([2.0, np.nan], [2.0, np.nan], "losses equal in every bit at all 2 epochs"),
        ([2.0, 1.0, 0.5], [2.0, 1.0, 0.4], "losses equal in every bit at 2 of 3 epochs"),
        ([2.0, np.inf, np.nan], [2.0, 1.0, 1.0], "minigrad: not finite from epoch 2"),
        ([np.nan] * 2, [3.0, 2.0], "minigrad: not finite from epoch 1"),
        ([1e308, 5e-324], [-1e308, 1.0], "relative difference"),
        ([], [], "epoch"),
    ],
)
def test_losses_that_a_log_axis_cannot_show_are_put_in_words(
    actual: list[float], expected: list[float], said: str
) -> None:
    assert said in loss_figures(actual, expected)


@pytest.mark.parametrize(
    ("kind", "horizon"), [("passed", None), ("dead", 0), ("diverged", 40), ("apart", 40)]
)
def test_the_divergence_is_drawn_in_its_envelope(kind: str, horizon: int | None) -> None:
    verdict = {"limit": 20, "horizon_epoch": horizon}
    width = np.geomspace(1e-7, 1e-5, 100)
    if horizon is not None:
        width[horizon:] = np.inf
    text = drawn(plots.divergence(curves(kind, envelope=width), verdict, **NAMES, key="k"))
    assert all(word in text for word in NAMES.values())
    assert ("horizon" in text) is (horizon is not None)
    assert ("not predictable from epoch 41" in text) is (horizon == 40)
    assert ("allowed: 20 envelopes" in text) is (horizon != 0)


@pytest.mark.parametrize("engine", ["minigrad", "my_package.adapters:MyOwnEngine"])
def test_legends_cover_nothing(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    names = NAMES | {"actual": engine}
    data = curves("diverged", envelope=np.geomspace(1e-7, 1e-5, 100))
    verdict = {"limit": 20, "horizon_epoch": 60}
    figures: list[Any] = []
    monkeypatch.setattr(plots, "to_svg", lambda figure, *_: figures.append(figure))
    plots.fit(data, **names, key="k")
    plots.losses(data, **names, key="k")
    plots.divergence(data, verdict, **names, key="k")
    for each in figures:
        each.draw_without_rendering()
        (legend,), (axes,) = each.legends, each.axes
        place = legend.get_window_extent()
        assert place.y0 >= axes.get_tightbbox().y1 - 1  # the note above the axes included
        assert -1 <= place.x0 <= place.x1 <= each.bbox.x1


def test_losses_that_differ_are_not_called_equal() -> None:
    one = np.linspace(3.0, 2.0, 50)
    assert "equal in every bit" not in loss_figures(one, np.nextafter(one, 9))
    assert "equal in every bit" not in loss_figures([np.nan, np.inf], [np.inf, np.nan])
    assert "equal in every bit" not in loss_figures([0.0], [-0.0])


@pytest.mark.parametrize(
    ("actual", "expected", "said"),
    [
        (np.nan, 1.0, "no finite prediction: minigrad"),
        (1.0, np.inf, "no finite prediction: torch"),
        (np.nan, np.nan, "no finite prediction: torch and minigrad"),
    ],
)
def test_a_fit_without_prediction_says_so(actual: float, expected: float, said: str) -> None:
    gone = curves(
        prediction_actual=np.full((100, 1), actual), prediction_expected=np.full((100, 1), expected)
    )
    assert said in drawn(plots.fit(gone, **NAMES, key="k"))
    assert "no finite" not in drawn(plots.fit(curves(), **NAMES, key="k"))


def test_a_fit_far_off_and_data_without_range_can_be_drawn() -> None:
    far = np.full((100, 1), 1e300)
    drawn(plots.fit(curves(prediction_actual=far), **NAMES, key="k"))
    drawn(plots.fit(curves(y=np.ones((100, 1))), **NAMES, key="k"))


def test_many_samples_are_thinned_and_this_is_said() -> None:
    few = plots.fit(curves_of("passed", 10, samples=100), **NAMES, key="k")
    many = plots.fit(curves_of("passed", 10, samples=20_000), **NAMES, key="k")
    assert "data (1 in 20)" in drawn(many)
    assert many.count("<use") < few.count("<use") + figure.MAX_DOTS


def test_figures_take_the_ink_of_the_page_and_are_reproducible() -> None:
    first, again = (plots.fit(curves(), **NAMES, key="k") for _ in range(2))
    assert first == again
    assert "currentColor" in first
    assert figure.INK not in first
    assert not re.search(r"<(metadata|style|\?xml)", first)
    assert not re.search(r"#(000000|ffffff)", first)


def finished(data: Curves, final_mse: float) -> Finished:
    run = Run(data.losses_actual, final_mse, data.prediction_actual, {})
    return Finished(Start(data.x, data.y, {}), run, "trained")


def test_the_training_picture() -> None:
    data = curves()
    run = finished(data, 2.5614171)
    picture = training_picture({"a$b$ c": run, "second": run})
    axes, second = picture.axes
    assert second.get_title() == "second: final MSE 2.56142"
    assert axes.get_title() == "a$b$ c: final MSE 2.56142"
    dots, line = axes.get_lines()
    assert (dots.get_color(), dots.get_linestyle()) == ("black", "None")
    assert (line.get_color(), line.get_linestyle()) == ("red", "-")
    np.testing.assert_array_equal(dots.get_ydata(), data.y[:, 0])
    np.testing.assert_array_equal(line.get_ydata(), data.prediction_actual[:, 0])
    file = io.BytesIO()
    picture.savefig(file, format="png")
    assert file.getvalue().startswith(b"\x89PNG")


def test_the_training_picture_of_a_diverged_run() -> None:
    data = curves("diverged")
    picture = training_picture({"x": finished(data, math.nan)})
    assert picture.axes[0].get_title() == "x: final MSE nan"
    assert [text.get_text() for text in picture.axes[0].texts] == ["no finite prediction"]


@pytest.mark.parametrize("field", ["x", "prediction_expected", "losses_actual"])
def test_curves_of_unlike_shapes_are_refused(field: str) -> None:
    data: dict[str, Any] = vars(curves()) | {field: np.zeros(7)}
    with pytest.raises(ValueError, match="need one shape"):
        Curves(**data)


# Budgets and the step


def test_the_budgets_of_every_gradient_are_drawn() -> None:
    gradients = {"per_parameter": list(per_parameter([1, 16, 16, 1], 0.04))}
    text = drawn(plots.budgets(gradients, name="rightfit", key="k"))
    assert all(row["parameter"] in text for row in gradients["per_parameter"])
    assert "limit" in text
    assert "every element is within its budget" in text


@pytest.mark.parametrize("worst", [1.5, 1e30, math.inf, None])
def test_what_is_out_of_budget_is_said(worst: float | None) -> None:
    rows = list(per_parameter([1, 16, 16, 1], 0.04))
    rows[3] |= {"worst": worst, "quantiles": [*rows[3]["quantiles"][:-1], worst]}
    text = drawn(plots.budgets({"per_parameter": rows}, name="rightfit", key="k"))
    assert f"out of budget: {rows[3]['parameter']}" in text


def test_a_step_has_three_lanes() -> None:
    assert [node[:2] for node in nodes(simple())] == [
        ("0", "Linear"),
        ("1", "ReLU"),
        ("2", "Linear"),
        ("loss", "MSELoss"),
    ]
    boxes = {(box.x, box.title): box.detail for box in drawing(simple()).boxes}
    forward, backward, optimizer = sorted({x for x, _ in boxes})
    assert boxes[forward, "0 Linear"] == "20 × 8"
    assert boxes[backward, "0 Linear"] == boxes[optimizer, "0 SGD"] == "8 × 1, 8"
    assert boxes[backward, "1 ReLU"] == "20 × 8"
    assert boxes[forward, "loss MSELoss"] == "1"
    assert len(boxes) == 4 + 4 + 2
    assert all(box.y < drawing(simple()).height for box in drawing(simple()).boxes)


def simple() -> dict[str, Any]:
    return architecture_of("passed", "underfit") | {"nodes": nodes_of([1, 8, 3], 20)}


def test_nothing_is_marked_on_a_step_that_passed() -> None:
    step = drawing(simple())
    assert not any(box.verdict for box in step.boxes)
    assert step.description == ""


def test_the_first_nodes_are_marked() -> None:
    entry = architecture_of("failed", "rightfit")
    entry["bitwise"] = {"first_node": BITWISE_NODE}
    entry["steps"] = {"first_node": entry["gradients"]["first_node"]}
    step = drawing(entry)
    marked = {(box.x, box.title): box.verdict for box in step.boxes if box.verdict}
    lanes = sorted({box.x for box in step.boxes})
    assert marked == {
        (lanes[1], "2 Linear"): "2 verdicts",
        (lanes[2], "4 SGD"): "bitwise",
    }
    assert step.description == (
        "gradients and steps: first apart at 2 in backward; bitwise: first apart at 4 in optimizer"
    )

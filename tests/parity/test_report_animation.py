"""The animation: what is in its frames, that they are few, and that the file is small."""

import io
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from parity.engines.protocol import Start
from parity.engines.trainer import Run
from parity.report import fits as module
from parity.report.fits import FRAME_MS, LAST_MS, MOST_NETWORKS, animation
from parity.training import Finished, HeldOut, History, moments

X = np.linspace(-5, 5, 50).reshape(-1, 1)


def finished(epochs: int, layers: int = 3, hold_out: bool = True, worst: float = 1.0) -> Finished:
    """A run whose prediction rises to the parabola, as noisy as a chaotic one."""
    rng = np.random.default_rng(epochs)
    at = moments(epochs)
    y = X**2 + rng.normal(size=X.shape)
    share = np.linspace(0, worst, len(at))
    losses = np.geomspace(100, 2, epochs + 1) * rng.uniform(0.3, 3, epochs + 1)
    history = History(
        losses=losses,
        norms={str(2 * i): losses * rng.uniform(0.1, 10, epochs + 1) for i in range(layers)},
        moments=at,
        points=slice(None, None, 1),
        predictions=[s * X[:, 0] ** 2 for s in share],
        held_out=losses + 1 if hold_out else None,
    )
    fresh = HeldOut(X + 0.1, y, y, float(losses[-1]) + 1) if hold_out else None
    run = Run(losses[:-1], float(losses[-1]), share[-1] * X**2, {})
    return Finished(Start(X, y, {}), run, "trained", fresh, history)


def frames(runs: dict[str, Finished]) -> tuple[list[Any], list[int], bytes]:
    """The frames as arrays (height, width, 3), how long each is shown, and the file."""
    content = animation(runs)
    found, durations = [], []
    with Image.open(io.BytesIO(content)) as gif:
        for number in range(getattr(gif, "n_frames", 1)):
            gif.seek(number)
            found.append(np.asarray(gif.convert("RGB")).astype(int))
            durations.append(gif.info["duration"])
    return found, durations, content


def reddish(frame: Any) -> int:
    red, green, blue = np.moveaxis(frame, -1, 0)
    return int(np.count_nonzero((red > 220) & (green < 60) & (blue < 60)))


def test_frames_are_bounded_the_last_one_stays_and_the_largest_file_is_small() -> None:
    shown, durations, content = frames({"rightfit": finished(1000, layers=7)})
    assert len(content) * MOST_NETWORKS < 2_000_000
    assert len(shown) == len(moments(1000)) <= 60
    assert durations == [FRAME_MS] * (len(shown) - 1) + [LAST_MS]
    assert all((a != b).any() for a, b in pairwise(shown))
    assert all(reddish(frame) > 100 for frame in shown), "a palette without the prediction's red"


def network(run: Finished, networks: int = 1) -> tuple[Any, Any]:
    figure, panels = module._panels(networks)
    canvas = FigureCanvasAgg(figure)
    found = module._Network("a$b$", run, *panels[0])
    canvas.draw()  # type: ignore[no-untyped-call]
    return found, panels[0]


@pytest.mark.parametrize(("networks", "hold_out"), [(1, True), (3, False)])
def test_a_frame_shows_what_there_was_so_far(networks: int, hold_out: bool) -> None:
    run = finished(500, hold_out=hold_out)
    assert run.history is not None
    drawn, (fit, loss, norms) = network(run, networks)
    drawn.draw(0.5)
    number = round(0.5 * (len(run.history.moments) - 1))
    epoch = run.history.moments[number]
    mse = f"MSE {run.history.losses[epoch]:.4g}"
    fresh = "" if run.history.held_out is None else f", held out {run.history.held_out[epoch]:.4g}"
    assert fit.get_title() == f"a$b$: epoch {epoch} of 500\n{mse}{fresh}"
    labels = [line.get_label() for line in fit.get_lines()]
    assert labels == [*(["held out"] if hold_out else []), "data", "prediction"]
    prediction = fit.get_lines()[-1]
    np.testing.assert_array_equal(prediction.get_ydata(), run.history.predictions[number])
    (*others, training) = loss.get_lines()
    np.testing.assert_array_equal(training.get_ydata(), run.history.losses[: epoch + 1])
    np.testing.assert_array_equal(training.get_xdata(), np.arange(epoch + 1))
    assert len(others) == hold_out
    if run.history.held_out is not None:
        np.testing.assert_array_equal(others[0].get_xdata(), np.arange(epoch + 1))
        np.testing.assert_array_equal(others[0].get_ydata(), run.history.held_out[: epoch + 1])
    for line, values in zip(norms.get_lines(), run.history.norms.values(), strict=True):
        np.testing.assert_array_equal(line.get_ydata(), values[: epoch + 1])
    assert (loss.get_yscale(), norms.get_yscale()) == ("log", "log")
    drawn.draw(1.0)
    assert fit.get_title().startswith("a$b$: epoch 500 of 500\n")
    np.testing.assert_array_equal(training.get_ydata(), run.history.losses)


def test_all_data_is_in_view_and_stays_there() -> None:
    run = finished(500, worst=1e6)
    assert run.held_out is not None
    run.held_out.y[3], run.held_out.y[7] = 50, -40
    for networks in (1, 3):
        drawn, (fit, _, _) = network(run, networks)
        drawn.draw(1.0)
        assert -50 < fit.get_ylim()[0] < -40
        assert 50 < fit.get_ylim()[1] < 60
    figure, panels = module._panels(2)
    for other, axes in zip((run, finished(20)), panels, strict=True):
        module._Network("x", other, *axes)
    figure.draw_without_rendering()
    assert all(axes[0].get_ylim()[1] > 50 for axes in panels), "the second rescales the first"


def test_runs_of_unlike_length_end_together() -> None:
    shown, _, _ = frames({"short": finished(2), "long": finished(30)})
    assert len(shown) == len(moments(30))
    half = shown[0].shape[1] // 2
    changes = [(a[:, :half] != b[:, :half]).any() for a, b in pairwise(shown)]
    assert sum(changes) == 2, "three moments of the short one"


def test_many_layers_are_not_all_named() -> None:
    _, (_, _, norms) = network(finished(10, layers=7))
    assert [text.get_text() for text in norms.get_legend().get_texts()] == ["layer 0", "12"]
    _, (_, _, norms) = network(finished(10, layers=3))
    assert [text.get_text() for text in norms.get_legend().get_texts()] == ["layer 0", "2", "4"]


def test_what_is_not_finite_can_be_drawn() -> None:
    run = finished(20)
    assert run.history is not None
    run.history.losses[1:] = np.nan
    run.history.norms["2"][:] = np.inf
    run.history.norms["0"][3] = 1e300
    assert run.history.held_out is not None
    run.history.held_out[1:] = np.inf
    for prediction in run.history.predictions[2:]:
        prediction[:] = np.nan
    run.history.predictions[1][:10] = np.inf
    drawn, (fit, loss, _) = network(run)
    drawn.draw(1.0)
    assert fit.get_title() == "a$b$: epoch 20 of 20\nMSE nan, no finite prediction"
    assert np.isnan(fit.get_lines()[-1].get_ydata()).all()
    assert np.isfinite(loss.get_lines()[-1].get_ydata()).sum() == 1
    assert len(frames({"x": run})[0]) == len(moments(20))


def test_a_single_point_is_marked() -> None:
    run = finished(3, hold_out=False)
    assert run.history is not None
    few = History(
        **{**vars(run.history), "points": slice(0, 1)}
        | {"predictions": [p[:1] for p in run.history.predictions]}
    )
    drawn, (fit, _, _) = network(Finished(run.start, run.run, "trained", None, few))
    drawn.draw(1.0)
    assert fit.get_lines()[-1].get_marker() == "o"

"""`parity train`: what is printed, drawn and refused."""

import re
from pathlib import Path

import pytest
from PIL import Image

from parity.report import fits
from parity.training import moments
from tests.parity.commands import Finished, parity, words

SMALL = ["1-4-1", "--epochs", "20", "--samples", "30"]


def trained(*arguments: str | Path) -> Finished:
    ended = parity("train", *SMALL, *arguments)
    return ended._replace(stderr=ended.complaint)


def test_looking_changes_neither_figures_nor_picture(tmp_path: Path) -> None:
    plain, film = tmp_path / "plain", tmp_path / "film"
    status, said, _ = trained("--output", plain)
    assert status == 0
    assert re.fullmatch(r"1-4-1: final MSE [\d.]+\nPicture: .*/1-4-1-minigrad.png\n", said)
    status, more, err = trained("--output", film, "--animate", film / "new" / "fit.gif")
    assert (status, err) == (0, "")
    assert more.splitlines()[0] == said.splitlines()[0]
    assert more.splitlines()[2] == f"Animation: {film / 'new' / 'fit.gif'}"
    pictures = [folder / "1-4-1-minigrad.png" for folder in (plain, film)]
    assert pictures[0].read_bytes() == pictures[1].read_bytes()
    assert [path.name for path in (film / "new").iterdir()] == ["fit.gif"]
    with Image.open(film / "new" / "fit.gif") as gif:
        assert getattr(gif, "n_frames", 1) == len(moments(20))
        assert gif.info["loop"] == 0


def test_points_are_held_out(tmp_path: Path) -> None:
    status, said, err = trained("1-2-1", "--seed", "0", "--holdout", "--output", tmp_path)
    assert (status, err) == (0, "")
    found = re.findall(
        r"^(\S+): final MSE (\S+); on 100 held-out points (\S+), generalisation gap ([+-]\S+)$",
        said,
        flags=re.MULTILINE,
    )
    assert [name for name, *_ in found] == ["1-4-1", "1-2-1"]
    for _, mse, held_out, gap in found:
        assert float(gap) == pytest.approx(float(held_out) - float(mse), abs=1e-3)
    alone = trained("--seed", "0", "--output", tmp_path).stdout
    assert alone.splitlines()[0] == f"1-4-1: final MSE {found[0][1]}"
    assert (tmp_path / "1-4-1_1-2-1-minigrad.png").exists()


def test_a_diverged_network_says_so(tmp_path: Path) -> None:
    rate, film = ("--learning-rate", "1e9"), ("--animate", tmp_path / "fit.gif")
    status, said, _ = trained("--holdout", *rate, *film, "--output", tmp_path)
    assert status == 0
    line = "1-4-1: final MSE nan; on 100 held-out points nan, generalisation gap +nan (diverged)"
    assert said.splitlines()[0] == line


def test_an_engine_of_ones_own_leaves_a_usual_name(tmp_path: Path) -> None:
    engine = "parity.engines.adapters.minigrad:MinigradEngine"
    assert trained("--engine", engine, "--output", tmp_path)[0] == 0
    (path,) = tmp_path.iterdir()
    assert path.name == "1-4-1-parity.engines.adapters.minigrad.MinigradEngine.png"


@pytest.mark.parametrize("name", ["fit.mp4", "fit.png", "fit", "fit.gif.html", ".gif"])
def test_other_files_than_gif_are_refused(tmp_path: Path, name: str) -> None:
    status, said, err = trained("--output", tmp_path / "out", "--animate", tmp_path / name)
    assert (status, said) == (2, "")
    assert "give a name that ends in .gif" in words(err)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_more_networks_than_can_be_seen_are_refused(tmp_path: Path) -> None:
    names = [f"1-{width}-1" for width in range(1, fits.MOST_NETWORKS + 2)]
    status, _, err = parity(
        "train", *names, "--output", tmp_path, "--animate", tmp_path / "fit.gif"
    )
    assert status == 2
    assert "at most 6 networks side by side, and 7 are named" in words(err)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_to_is_refused_before_training(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    film = tmp_path / "file" / "fit.gif"
    status, said, err = trained("--output", tmp_path / "out", "--animate", film)
    assert (status, said) == (2, "")
    assert "is not a folder" in err
    assert not list((tmp_path / "out").iterdir())


def test_an_animation_that_cannot_be_drawn_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object) -> bytes:
        raise KeyboardInterrupt

    monkeypatch.setattr(fits, "animation", fail)
    status, _, err = trained("--output", tmp_path, "--animate", tmp_path / "fit.gif")
    assert (status, err) == (130, "parity: interrupted: no file is half written\n")
    assert not list(tmp_path.iterdir())

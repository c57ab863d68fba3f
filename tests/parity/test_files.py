"""Files appear whole or not at all."""

import errno
import os
from pathlib import Path

import pytest

from parity.errors import UsageError
from parity.files import output_folder, write_whole


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


@pytest.mark.parametrize(("data", "content"), [("σ\n", "σ\n".encode()), (b"\0\xff", b"\0\xff")])
def test_writes_text_as_utf8_and_bytes_as_they_are(
    tmp_path: Path, data: str | bytes, content: bytes
) -> None:
    write_whole(tmp_path / "file", data)
    assert (tmp_path / "file").read_bytes() == content
    assert names(tmp_path) == ["file"]


def test_permissions_are_those_of_any_new_file(tmp_path: Path) -> None:
    (tmp_path / "ordinary").write_text("x")
    write_whole(tmp_path / "file", "x")
    assert (tmp_path / "file").stat().st_mode == (tmp_path / "ordinary").stat().st_mode


@pytest.mark.parametrize("interruption", [KeyboardInterrupt(), OSError(errno.ENOSPC, "disk full")])
@pytest.mark.parametrize("at", ["fsync", "replace"])
def test_an_interrupted_write_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, interruption: BaseException, at: str
) -> None:
    target = tmp_path / "file"
    target.write_text("old")

    def interrupt(*_: object) -> None:
        assert len(names(tmp_path)) == 2, "the new data must be in a file of its own by now"
        assert target.read_text() == "old"
        raise interruption

    if at == "fsync":
        monkeypatch.setattr(os, "fsync", interrupt)
    else:
        monkeypatch.setattr(Path, "replace", interrupt)
    with pytest.raises((KeyboardInterrupt, UsageError)) as caught:
        write_whole(target, "new")
    assert isinstance(caught.value, KeyboardInterrupt) or "disk full" in str(caught.value)
    assert target.read_text() == "old"
    assert names(tmp_path) == ["file"]


def test_a_symbolic_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "there" / "file")
    write_whole(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "there" / "file").read_text() == "new"


@pytest.mark.parametrize("where", ["missing/file", "folder"])
def test_where_no_file_can_be_the_error_names_it(tmp_path: Path, where: str) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(UsageError, match=f"cannot write .*{where}"):
        write_whole(tmp_path / where, "x")
    assert names(tmp_path) == ["folder"]


def test_output_folder_is_made_with_its_parents_and_left_empty(tmp_path: Path) -> None:
    for _ in range(2):
        assert output_folder(tmp_path / "a" / "b") == tmp_path / "a" / "b"
    assert names(tmp_path / "a" / "b") == []


@pytest.mark.parametrize("where", ["file", "file/below", "file/far/below", "broken"])
def test_output_folder_names_the_file_in_its_way(tmp_path: Path, where: str) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "broken").symlink_to(tmp_path / "nowhere")
    obstacle = tmp_path / where.split("/")[0]
    with pytest.raises(UsageError, match=f"{obstacle} is not a folder; give another path"):
        output_folder(tmp_path / where)
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("path", ["", " "])
def test_output_folder_refuses_an_empty_name(path: str) -> None:
    with pytest.raises(UsageError, match="empty"):
        output_folder(path)


def test_output_folder_refuses_a_null_character() -> None:
    with pytest.raises(UsageError, match="null"):
        output_folder("a\0b")


@pytest.mark.parametrize("code", [errno.EROFS, errno.ENOSPC, errno.EACCES])
def test_output_folder_really_tries_to_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(UsageError, match=os.strerror(code)):
        output_folder(tmp_path)
    assert names(tmp_path) == []


@pytest.mark.skipif(
    not Path("/proc/self").exists(), reason="needs a file system nobody can write to"
)
def test_output_folder_on_a_file_system_that_takes_no_files() -> None:
    with pytest.raises(UsageError, match="cannot write to output folder '/proc"):
        output_folder("/proc/self/task")

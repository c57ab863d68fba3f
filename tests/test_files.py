"""Every file of both packages is written by one function: whole or not at all."""

import ast
import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

import minigrad
from minigrad.explain import explain
from minigrad.files import write_whole
from minigrad.safetensors import save_file
from parity.errors import UsageError
from parity.files import output_folder

ROOT = Path(__file__).parents[1]


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def saved_tensors(path: Path) -> None:
    save_file({"a": minigrad.ones(1)}, path)


def saved_page(path: Path) -> None:
    explain(lambda: minigrad.ones(1, requires_grad=True).exp()).save(path)


def saved_text(path: Path) -> None:
    write_whole(path, "new")


writers = pytest.mark.parametrize("write", [saved_text, saved_tensors, saved_page])
Write = Callable[[Path], None]


@pytest.mark.parametrize(("data", "content"), [("σ\n", "σ\n".encode()), (b"\0\xff", b"\0\xff")])
def test_writes_text_as_utf8_and_bytes_as_they_are(
    tmp_path: Path, data: str | bytes, content: bytes
) -> None:
    write_whole(tmp_path / "file", data)
    assert (tmp_path / "file").read_bytes() == content
    assert names(tmp_path) == ["file"]


def test_permissions_are_those_of_any_new_file_or_of_the_old_one(tmp_path: Path) -> None:
    (tmp_path / "ordinary").write_text("x")
    write_whole(tmp_path / "file", "x")
    assert (tmp_path / "file").stat().st_mode == (tmp_path / "ordinary").stat().st_mode
    (tmp_path / "file").chmod(0o640)
    write_whole(tmp_path / "file", "x")
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o640


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write all")
def test_a_file_that_may_not_be_written_stays(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    (tmp_path / "file").chmod(0o444)
    with pytest.raises(PermissionError):
        write_whole(tmp_path / "file", "new")
    assert (tmp_path / "file").read_text() == "old"


@pytest.mark.parametrize("interruption", [KeyboardInterrupt(), OSError(errno.ENOSPC, "disk full")])
@pytest.mark.parametrize("at", ["fsync", "replace"])
def test_an_interrupted_write_leaves_the_old_file_and_nothing_else(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    interruption: BaseException,
    at: str,
) -> None:
    target = tmp_path / "file"
    target.write_text("old")

    def interrupt(*_: object) -> None:
        assert len(names(tmp_path)) == 2, "the new data must be in a file of its own by now"
        assert target.read_text() == "old"
        raise interruption

    monkeypatch.setattr(os if at == "fsync" else Path, at, interrupt)
    with pytest.raises((KeyboardInterrupt, OSError)) as caught:
        write_whole(target, "new")
    assert isinstance(caught.value, KeyboardInterrupt) or "disk full" in str(caught.value)
    assert target.read_text() == "old"
    assert names(tmp_path) == ["file"]


@writers
def test_what_the_user_has_beside_it_is_not_touched(tmp_path: Path, write: Write) -> None:
    for beside in ("file.part", ".file.tmp", "file~"):
        (tmp_path / beside).write_text("mine")
    (tmp_path / "file.tmp").symlink_to(tmp_path / "file~")
    before = {path: path.read_text() for path in tmp_path.iterdir()}
    write(tmp_path / "file")
    (tmp_path / "file").unlink()
    assert {path: path.read_text() for path in tmp_path.iterdir()} == before


def test_a_symbolic_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "there" / "file")
    for _ in range(2):  # of which the first makes the file
        write_whole(tmp_path / "link", "new")
        assert (tmp_path / "link").is_symlink()
        assert names(tmp_path / "there") == ["file"]


@pytest.mark.parametrize(
    ("where", "error", "said"),
    [
        ("missing/file", FileNotFoundError, "No such file or directory"),
        ("file/below", NotADirectoryError, "Not a directory"),
        ("folder", IsADirectoryError, "it is a folder; give the name of a file in it"),
        ("pipe", OSError, "it is a device, a pipe or a socket; give the name of a file"),
        ("link to pipe", OSError, "it is a device, a pipe or a socket; give the name of a file"),
        ("loop", OSError, "symbolic links"),
        ("x" * 300, OSError, "name too long"),
        ("null\0character", OSError, "null character|null byte"),
        ("half\ud800", OSError, "surrogates not allowed"),
    ],
)
def test_where_no_file_can_be_nothing_is_replaced(
    tmp_path: Path, where: str, error: type[OSError], said: str
) -> None:
    """A pipe stands for devices, too: a defect here may not replace one of the machine's."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("old")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link to pipe").symlink_to("pipe")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    before = {path.name: path.lstat() for path in tmp_path.iterdir()}
    with pytest.raises(error, match=rf"(?s)cannot write '.*{where[:4]}.*(?i:{said})"):
        write_whole(tmp_path / where, "new")
    after = {path.name: path.lstat() for path in tmp_path.iterdir()}
    assert before.keys() == after.keys()
    assert all(before[name].st_ino == after[name].st_ino for name in before)


def writes(tree: ast.AST) -> list[int]:
    """The lines of calls that write to a file by its name."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func).rpartition(".")[2]
            modes = [ast.unparse(each) for each in (*node.args, *(k.value for k in node.keywords))]
            opened = name == "open" and any(
                mode[:1] in "'\"" and set(mode) & set("wax+") and len(mode) < 6 for mode in modes
            )
            if opened or name in ("write_text", "write_bytes", "mkstemp", "NamedTemporaryFile"):
                found.append(node.lineno)
    return found


def test_nothing_else_writes_files() -> None:
    """But for a file of the system that takes a number."""
    found = {
        str(path.relative_to(ROOT)): lines
        for package in ("minigrad", "torch_impl", "parity")
        for path in (ROOT / package).rglob("*.py")
        if (lines := writes(ast.parse(path.read_text("utf-8"))))
    }
    assert found.keys() == {"minigrad/files.py", "parity/system.py"}
    assert len(found["minigrad/files.py"]) == len(found["parity/system.py"]) == 1
    for planted in ("open('x', 'w')", "path.open(mode='ab')", "path.write_text('')"):
        assert writes(ast.parse(planted)), planted


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

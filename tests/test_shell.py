"""Every command of both packages, given what is wrong: one table of what a person types, the exit
status, and words of the one line that says why.

No row may leave a process, a file or a traceback behind.
"""

import contextlib
import inspect
import json
import os
import shlex
import socket
import sqlite3
import struct
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, get_args

import pytest
import typer

from minigrad import shell
from parity.cli import app
from parity.cli.limits import LIMITS
from parity.cli.options import tasks
from parity.evidence.__main__ import app as evidence
from parity.sweep.database import Database, Row
from parity.sweep.settings import settings
from tests.zygote import ROOT, Begun

SMALL = "1-4-1 --epochs 3"
SEVEN = " ".join(f"1-{n}-1" for n in range(2, 9))
LARGE = 10**30
RESULTS = ("numpy-floor", "minigrad")


class Case(NamedTuple):
    """A row.

    Attributes:
        line: what is typed.
        status: the exit status.
        said: words of standard error.
        stdout, stderr: "read", or what is there instead of a file: a name of `STREAMS`.
        memory: bytes that it may have beyond those it begins with.
        encoding: of the streams.
    """

    line: str
    status: int = 2
    said: str = ""
    stdout: str = "read"
    stderr: str = "read"
    memory: int | None = None
    encoding: str = "utf-8"


def options(program: typer.Typer) -> Iterator[tuple[str, inspect.Parameter]]:
    """Every option and argument, with its command."""
    for command in program.registered_commands:
        assert command.callback is not None
        for parameter in inspect.signature(command.callback).parameters.values():
            yield str(command.name), parameter


def numbers(program: typer.Typer) -> Iterator[tuple[str, str]]:
    """Every option that takes a number, with its command."""
    for command, parameter in options(program):
        kind, *_ = get_args(parameter.annotation)
        if {int, float} & {kind, *get_args(kind)}:
            yield command, parameter.name


def beyond(command: str, option: str) -> Iterator[Case]:
    """An option's numbers just beyond its limits, and what is no number."""
    least, most, _ = LIMITS[option]
    name = option.replace("_", "-")
    line = f"{command} --{name}"
    yield Case(f"{line} x", said=f"--{name}: 'x' is not a valid")
    if most > 2**64 or least == 0.1:
        low = f"{least - 1:g}" if least > -1 else "-inf"
        yield from (Case(f"{line} {each}", said=f"--{name} {each} must") for each in (low, "nan"))
    else:
        for each in (least - 1, most + 1):
            yield Case(f"{line} {each}", said=f"--{name} {each} must be from {least:,} to {most:,}")


# What is wrong with numbers: with each option once in full, and once in each command.
NUMBERS: list[Case] = []
_seen: set[str] = set()
for _command, _option in numbers(app):
    _typed = "parity replay absent.case" if _command == "replay" else f"parity {_command}"
    _cases = list(beyond(_typed, _option))
    NUMBERS += _cases[-1:] if _option in _seen else _cases
    _seen.add(_option)
NUMBERS += [
    case
    for option in ("seed", "epoch", "samples")
    for case in (
        Case(f"minigrad explain 1-2-1 --{option} -1", said=f"--{option} -1 must be from"),
        Case(f"minigrad explain 1-2-1 --{option} {LARGE}", said=f"--{option} {LARGE} must be from"),
        Case(f"minigrad explain 1-2-1 --{option} x", said="invalid int value: 'x'"),
    )
]

WORDS = [
    Case("parity run rightift", said="did you mean rightfit?"),
    Case("parity run 1-0-1", said="sizes must be at least 1"),
    Case("parity run 2-3-1", said="one feature"),
    Case("parity run 1-3-2", said="one feature"),
    Case("parity run ''", said="unknown architecture ''"),
    Case("parity run 1--1", said="unknown architecture '1--1'"),
    Case("parity run ١-٢-١", said="unknown architecture"),
    Case("parity run 1-99999999-99999999-1", said="100,000,000 is the most"),
    Case("parity run 1-100-1 --samples 10000000", said="500,000,000 is the most"),
    Case("parity run rightfit/../x", said="unknown architecture"),
    Case("parity run --engine tensorflow", said="unknown engine 'tensorflow'"),
    Case("parity run --against tensorflow", said="unknown engine 'tensorflow'"),
    Case("parity run --engine ''", said="unknown engine ''"),
    Case("parity run --engine a:b:c", said="does not name a class"),
    Case("parity run --engine torch", said="compared with itself"),
    Case("parity run --seed -1", said="0 to 2^64 - 1"),
    Case("parity run --seed one", said="0 to 2^64 - 1"),
    Case("parity run --seed 1.5", said="0 to 2^64 - 1"),
    Case(f"parity run --seed {2**64}", said="0 to 2^64 - 1"),
    Case("parity run --seed ٣", said="0 to 2^64 - 1"),
    Case(f"parity run --seed {'9' * 5000}", said="0 to 2^64 - 1"),
    Case(f"parity run --epochs {'9' * 5000}", said="--epochs: "),
    Case("parity run --dtype float16", said="float16"),
    Case("parity run --device tpu", said="unknown device 'tpu'"),
    Case("parity run --device cuda:-1", said="unknown device"),
    Case("parity run --activation gelu", said="gelu"),
    Case("parity run --loss hinge", said="hinge"),
    Case("parity run --nesterov", said="--nesterov needs --momentum"),
    Case("parity run --nesterov --momentum 0.9 --dampening 0.1", said="no --dampening"),
    Case("parity run --shuffle", said="give --batch-size"),
    Case("parity run --standardize", said="give --data FILE.csv"),
    Case("parity run --quikc", said="did you mean --quick?"),
    Case("parity run --seed", said="--seed"),
    Case("parity train --engine tensorflow", said="unknown engine"),
    Case("parity train --seed x", said="0 to 2^64 - 1"),
    Case("parity train rightift", said="did you mean rightfit?"),
    Case("parity train --animate fit.png", said="give a name that ends in .gif"),
    Case("parity train --animate folder.gif", said="is a folder"),
    Case("parity train --animate file/fit.gif", said="is not a folder"),
    Case(f"parity train {SEVEN} --animate x.gif", said="at most 6 networks"),
    Case("parity bench --engines torch,nothing", said="unknown engine 'nothing'"),
    Case("parity bench --engines ,", said="names no engine"),
    Case("parity bench --rounds 6 --processes 7", said="cannot share --rounds 6"),
    Case("parity bench --baseline absent.json", said="absent.json"),
    Case("parity bench --baseline junk", said="junk"),
    Case("parity bench --baseline folder", said="folder"),
    Case("parity bench --baseline list.json", said="list.json"),
    Case("parity sweep --seeds 9", said="--seeds '9' names no seeds: give A:B"),
    Case("parity sweep --seeds 9:1", said="--seeds '9:1' names no seeds"),
    Case("parity sweep --seeds 1:1", said="names no seeds"),
    Case("parity sweep --seeds -1:3", said="names no seeds"),
    Case(f"parity sweep --seeds 0:{2**63 + 1}", said="names no seeds"),
    Case("parity sweep --seeds 0:1000001", said="is the most that is swept at once"),
    Case("parity sweep rightift", said="did you mean rightfit?"),
    Case("parity sweep --engine torch", said="compared with itself"),
    Case("parity sweep --engine tensorflow", said="unknown engine"),
    Case("parity sweep --workers 1 --scheduler tcp://127.0.0.1:9", said="leave it out"),
    *(
        Case(
            f"parity sweep {SMALL} --seeds 0:1 --against numpy-floor --scheduler {address}",
            said="is no address: give one as tcp://HOST:PORT",
        )
        for address in ("''", "host", "tcp://host", "tcp://host:x", "tcp://h:99999", "foo://h:1")
    ),
    Case("parity sing", said="there is no command 'sing'"),
    Case("parity rnu", said="did you mean run?"),
    Case("parity engines more", said="more"),
    Case("parity replay", said="CASE is missing"),
    Case("minigrad", said="COMMAND"),
    Case("minigrad explian", said="did you mean explain?"),
    Case("minigrad explain", said="the following arguments are required"),
    Case("minigrad explain rightfit more", said="unrecognized arguments: more"),
    Case("minigrad explain nofit", said="unknown architecture 'nofit'"),
    Case("minigrad explain 1-0-1", said="sizes must be at least 1"),
    Case("minigrad explain ''", said="unknown architecture ''"),
    Case("minigrad explain 1-99999999-99999999-1", said="100,000,000 is the most"),
    Case("minigrad explain 1-100-1 --samples 10000000", said="500,000,000 is the most"),
    Case("minigrad explain 1-2-1 --sampels 3", said="did you mean --samples?"),
    Case("minigrad explain not_there:f", said="no module 'not_there'"),
    Case("minigrad explain :f", said="':f' names no function: give MODULE:FUNCTION"),
    Case("minigrad explain a/b:f", said="a/b"),
    Case("minigrad explain minigrad:nothing", said="minigrad has no 'nothing'"),
    Case("minigrad explain minigrad:", said="'minigrad:' names no function"),
    Case("minigrad explain minigrad:float32", said="a function is needed"),
    Case("minigrad explain minigrad:initial_seed", said="returned a int: return the tensor"),
    Case("minigrad explain minigrad:add", said="add"),
    Case("minigrad explain mine:raises", said="KeyError: 'x', in raises, "),
    Case("minigrad explain mine:exits", said="SystemExit: 0, in exits, "),
    Case("minigrad explain mine:recursive", said="maximum recursion depth exceeded"),
    Case("minigrad explain broken:f", said="broken.py"),
]

NOTHING = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
PROBLEMS: dict[str, tuple[str | bytes | None, str]] = {
    "missing": (None, "missing.py"),
    "empty": ("", "has no function model(torch)"),
    "syntax": ("def model(torch)\n", ":1"),
    "null": ("\0", "null"),
    "raises": ("1 / 0\n", ":1"),
    "exits": ("import sys\nsys.exit(0)\n", ":2"),
    "returns": ("def model(torch):\n    return 3\n", "must return an nn.Module"),
    "epochs": (
        f"epochs = {LARGE}\ndef model(torch):\n    return torch.nn.Linear(1, 1)\n",
        f"epochs = '{LARGE}' must be from 1 to 100,000,000",
    ),
    "bytes": (b"\xff\xfe", "is no text in UTF-8"),
}
TABLES: dict[str, tuple[str | bytes, str]] = {
    "empty": ("", "empty.csv"),
    "headed": ("x,y\n", "has no samples"),
    "words": ("x,y\n1,a\n", ":2"),
    "short": ("x,y\n1\n", ":2"),
    "nan": ("x,y\n1,nan\n", ":2"),
    "twice": ("x,x\n1,2\n", "x"),
    "alone": ("y\n1\n", "alone.csv"),
    "large": ("x,y\n1,1e300\n2,3\n", "float32"),
    "bytes": (b"x,y\n\xff,1\n", "is no text in UTF-8"),
    "quoted": ('x,y\n"1,2\n', "quoted.csv"),
}
FILES = [
    *(
        Case(f"parity {command} {SMALL} --output {folder}", said=said)
        for command in ("run", "train", "bench", "sweep")
        for folder, said in (
            ("file", "file is not a folder; give another path or move that file away"),
            ("file/below", "file is not a folder"),
            ("broken", "broken is not a folder"),
            ("''", "the output folder's name is empty"),
            ("/dev/null", "/dev/null is not a folder"),
        )
    ),
    Case(f"parity train {SMALL} --output pipe", said="pipe is not a folder"),
    Case(f"parity train {SMALL} --output {'x' * 300}", said="name too long"),
    Case(f"parity train {SMALL} --output loop/x", said="loop"),
    *(
        Case(f"minigrad explain 1-2-1 --html {file}", said=said)
        for file, said in (
            ("folder", "cannot write 'folder': it is a folder; give the name of a file in it"),
            ("absent/page.html", "cannot write 'absent/page.html': No such file"),
            ("file/page.html", "cannot write 'file/page.html': Not a directory"),
            ("pipe", "cannot write 'pipe': it is a device, a pipe or a socket"),
            ("socket", "cannot write 'socket': it is a device, a pipe or a socket"),
            ("loop", "cannot write 'loop': Too many levels of symbolic links"),
            ("x" * 300, "File name too long"),
        )
    ),
    *(Case(f"minigrad explain {name}.py", said=said) for name, (_, said) in PROBLEMS.items()),
    Case("minigrad explain folder.py", said="folder.py is no file"),
    Case("minigrad explain pipe.py", said="pipe.py is no file"),
    Case("minigrad explain mine.py --samples 3", said="has its own data"),
    Case("parity run missing.py", said="missing.py"),
    Case("parity run folder.py", said="folder.py is no file"),
    Case("parity run pipe.py", said="pipe.py is no file"),
    Case("parity run package.module", said="there is no module 'package.module'"),
    Case("parity run mine.py --momentum 0.9", said="cannot be given for mine.py"),
    *(
        Case(f"parity train 1-2-1 --epochs 1 --data {name}.csv --target y", said=said)
        for name, (_, said) in TABLES.items()
    ),
    Case("parity train --data absent.csv --target y", said="there is no such file"),
    Case("parity train --data folder --target y", said="there is no such file"),
    Case("parity train --data pipe --target y", said="there is no such file"),
    Case("parity train --data words.csv", said="needs --target NAME"),
    Case("parity train --data good.csv --target z", said="z"),
    Case("parity train 2-2-1 --data good.csv --target y", said="takes 2 inputs and"),
    Case("parity train --data good.csv --target y --samples 3", said="--samples is for"),
    Case("parity train --holdout --data good.csv --target y", said="leave it out"),
    *(
        Case(f"parity replay {file}", said=said)
        for file, said in (
            ("absent.case", "cannot read absent.case: No such file"),
            ("''", "it is no regular file"),
            ("folder", "it is no regular file"),
            ("pipe", "it is no regular file"),
            ("/dev/zero", "it is no regular file"),
            ("file", "is no safetensors file"),
            ("junk", "junk"),
            ("cut.case", "is no safetensors file, is damaged or cut short"),
            ("endless.case", "more than 4,000,000 bytes"),
            ("bare.case", "no metadata named 'case'"),
            ("crowded.case", "it has 20,001 tensors"),
            ("talkative.case", "more than 20,000 values"),
            ("list.case", "is not of type 'object'"),
            ("future.case", "version 99"),
        )
    ),
]

SWEPT = f"parity sweep {SMALL} --seeds 0:2 --engine minigrad --against numpy-floor --output"
SPOILED: dict[str, Any] = {
    "seed": "x",
    "final_mse": "x",
    "state": "happy",
    "horizon_epoch": 1.5,
    "horizon_runs": -1,
    "final_spread": "x",
    "start": b"\xff",
    "time_s": -1.0,
    "host": b"\0",
}
DATABASES = [
    *(Case(f"{SWEPT} {name}", said=f"has {name} =") for name in SPOILED),
    Case(f"{SWEPT} other", said="is a database of something else"),
    Case(f"{SWEPT} junk-database", said="file is not a database"),
    Case(f"{SWEPT} without-tables", said="no such table"),
    Case(f"{SWEPT} folder-database", said="unable to open database file"),
    Case(f"{SWEPT} later", said="of another version of parity"),
]

PRINTING = (
    "minigrad explain 1-2-1",
    "minigrad explain 1-2-1 --dot",
    "minigrad explain --help",
    "minigrad --version",
    "parity engines",
    "parity --help",
    "parity run -h",
    "parity --version",
)
STREAMS = [
    case
    for line in PRINTING
    for case in (
        Case(line, 0),
        Case(line, 0, stdout="nobody"),
        Case(line, 2, "cannot write to standard output: No space left", stdout="/dev/full"),
        Case(line, 2, "cannot write to standard output", stdout="read-only"),
        Case(line, 0, stdout="closed"),
        Case(line, 0, stdout="closed", stderr="closed"),
        Case(line, 0, encoding="ascii"),
    )
] + [
    case
    for line in ("minigrad explain nofit", "parity run rightift", "parity sing", "minigrad sing")
    for case in (
        Case(line, 2, stderr="/dev/full"),
        Case(line, 2, stderr="nobody"),
        Case(line, 2, stderr="closed"),
        Case(line, 2, encoding="ascii"),
    )
]
MEMORY = [
    Case(f"minigrad explain 1-{width}-1 --samples {samples}", said="out of memory", memory=2**27)
    for width, samples in ((1_000_000, 100), ("3000-3000-3000", 100))
]

TABLE = [*NUMBERS, *WORDS, *FILES, *DATABASES, *STREAMS, *MEMORY]


def tensors(header: dict[str, Any], data: bytes = b"") -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def swept(folder: Path, **changes: Any) -> None:
    """A finished sweep, but for what is changed in the row of seed 1."""
    folder.mkdir()
    (named, task), *_ = tasks(["1-4-1"])
    task = task.__class__(**{**vars(task), "epochs": 3})
    with Database(folder) as database:
        database.settle(settings({named.name: task}, ("minigrad", "numpy-floor")))
        for seed in range(2):
            for engine in ("minigrad", "numpy-floor"):
                row = (
                    named.name,
                    seed,
                    engine,
                    "float32",
                    1.0,
                    "trained",
                    None,
                    8,
                    0.0,
                    "",
                    1.0,
                    "",
                )
                database.add([Row(*row)])
    with contextlib.closing(sqlite3.connect(folder / "sweep.sqlite")) as connection:
        for name, value in changes.items():
            connection.execute(f"UPDATE OR IGNORE results SET {name} = ? WHERE seed = 1", (value,))
        connection.commit()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is wrong with files, and some that are right."""
    folder = tmp_path_factory.mktemp("shell")
    for name in ("folder", "folder.gif", "folder.py"):
        (folder / name).mkdir()
    for name in ("pipe", "pipe.py"):
        os.mkfifo(folder / name)
    with socket.socket(socket.AF_UNIX) as made, contextlib.chdir(folder):
        made.bind("socket")  # which stands for devices, too, that no defect may replace
    (folder / "loop").symlink_to("loop")
    (folder / "broken").symlink_to("nowhere/at/all")
    files: dict[str, str | bytes | None] = {
        "file": "mine",
        "junk": os.urandom(1000),
        "list.json": "[]",
        "good.csv": "x,y\n1,2\n2,3\n",
        "mine.py": "def model(torch): return torch.nn.Linear(1, 1)\n"
        "def raises(): return {}['x']\n"
        "def exits(): raise SystemExit(0)\n"
        "def recursive(): return recursive()\n",
        "broken.py": "def f(:\n",
        "cut.case": tensors({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}, b"1"),
        "endless.case": struct.pack("<Q", 2**60) + b"{}",
        "bare.case": tensors({}),
        "crowded.case": tensors(
            {"__metadata__": {"case": "{}"}}
            | {
                str(n): {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
                for n in range(20_001)
            }
        ),
        "talkative.case": tensors({"__metadata__": {"case": json.dumps([0] * 50_000)}}),
        "list.case": tensors({"__metadata__": {"case": "[]"}}),
        "future.case": tensors({"__metadata__": {"case": '{"version": 99}'}}),
    }
    files |= {f"{name}.py": text for name, (text, _) in PROBLEMS.items()}
    files |= {f"{name}.csv": text for name, (text, _) in TABLES.items()}
    for name, content in files.items():
        if content is not None:
            data = content.encode() if isinstance(content, str) else content
            (folder / name).write_bytes(data)
    for name, value in SPOILED.items():
        swept(folder / name, **{name: value})
    for name, statements in (
        ("other", "CREATE TABLE t (x)"),
        ("without-tables", "PRAGMA user_version = 1"),
        ("later", "PRAGMA user_version = 2; CREATE TABLE t (x)"),
    ):
        (folder / name).mkdir()
        with contextlib.closing(sqlite3.connect(folder / name / "sweep.sqlite")) as connection:
            connection.executescript(statements)
    (folder / "junk-database").mkdir()
    (folder / "junk-database" / "sweep.sqlite").write_bytes(b"x" * 10_000)
    (folder / "folder-database" / "sweep.sqlite").mkdir(parents=True)
    return folder


def stream(kind: str, stack: contextlib.ExitStack) -> Any:
    """What a command writes to."""
    if kind == "closed":
        return None
    if kind == "nobody":
        reader, writer = os.pipe()
        os.close(reader)
        return stack.enter_context(os.fdopen(writer, "wb"))
    if kind == "read-only":
        return stack.enter_context(Path(os.devnull).open("rb"))
    return stack.enter_context(Path(kind).open("wb"))


def tree(folder: Path) -> set[str]:
    """The files in a folder, but for those that are there while a database is open, or by it."""
    own = ("sweep.lock", "sweep.owner", "sweep.sqlite-wal", "sweep.sqlite-shm", "__pycache__")
    return {str(path) for path in folder.rglob("*") if not set(path.parts) & set(own)}


def typed(line: str) -> list[str]:
    return [*shlex.split(line)]


@pytest.mark.parametrize("case", TABLE, ids=lambda case: " ".join(map(str, case))[:100])
def test_what_is_wrong_is_said_in_one_line(case: Case, folder: Path) -> None:
    before = tree(folder)
    with contextlib.ExitStack() as stack:
        streams = {
            name: stream(kind, stack)
            for name, kind in (("stdout", case.stdout), ("stderr", case.stderr))
            if kind != "read"
        }
        environment = {**os.environ, "PYTHONIOENCODING": case.encoding, "COLUMNS": "100"}
        began = Begun(typed(case.line), folder, environment, streams, case.memory)
        out, err = began.communicate(timeout=120)
    assert (began.returncode, err if case.status == 0 else "") == (case.status, ""), err
    said = " ".join(err.split())
    assert case.said in said or case.stderr != "read"
    assert "Traceback" not in out + err
    assert "defect" not in err
    if case.status == 0:
        assert out or case.stdout != "read"
    elif case.stderr == "read":
        assert err.count("\n") == 1, err
        assert len(err) < 1000, err
    with pytest.raises(ProcessLookupError):
        os.killpg(began.pid, 0)  # nobody is left
    for made in tree(folder) - before:
        assert Path(made).is_dir(), made
        Path(made).rmdir()


def test_a_signal_that_python_ignores_comes_again(tmp_path: Path) -> None:
    """One that comes while an object is taken away, as when a module has been loaded."""
    (tmp_path / "mine.py").write_text(
        "import os, signal, time\n"
        "class Gone:\n"
        "    def __del__(self): os.kill(os.getpid(), signal.SIGINT)\n"
        "def f():\n"
        "    Gone()\n"
        "    time.sleep(60)\n"
    )
    began = Begun(["minigrad", "explain", "mine:f"], tmp_path)
    out, err = began.communicate(timeout=50)
    assert (out, began.returncode) == ("", 130)
    assert err == "minigrad explain: interrupted: no file is half written\n"


def test_the_table_is_long_and_has_every_command() -> None:
    assert len(TABLE) >= 200
    begun = {tuple(typed(case.line)[:2]) for case in TABLE}
    commands = {("parity", command.name) for command in app.registered_commands}
    assert commands | {("minigrad", "explain")} <= begun


def test_every_number_has_limits() -> None:
    """And no other ones than those of the table."""
    for program in (app, evidence):
        assert {option for _, option in numbers(program)} <= LIMITS.keys()
        for command, parameter in options(program):
            for info in getattr(parameter.annotation, "__metadata__", ()):
                assert info.min is info.max is None, (command, parameter)


SCRIPT = """
import atexit, signal, sys
def seen():
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    return handlers, sys.unraisablehook, sys.stdout.errors, sys.stderr.errors
before = seen()
import minigrad
assert before == seen()
"""


@pytest.mark.parametrize("name", ["parity", "app/__main__.py"])
def test_a_program_of_the_users_keeps_its_signals_and_streams(name: str, tmp_path: Path) -> None:
    script = tmp_path / name
    script.parent.mkdir(exist_ok=True)
    script.write_text(SCRIPT)
    command = [sys.executable, str(script), "-m", "minigrad"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run(command, check=True, env=environment)


@pytest.mark.parametrize(
    ("orig_argv", "argv", "command"),
    [
        (["python", "-m", "parity", "run"], ["-m"], "parity"),
        (["python", "-Bmminigrad.__main__"], ["-m"], "minigrad"),
        (["python", "-X", "dev", "-W", "error", "-m", "parity"], ["-m"], "parity"),
        (["python", "BIN/parity", "run"], ["BIN/parity"], "parity"),
        (["python", "LINK/parity", "run"], ["LINK/parity"], "parity"),
        (["python", "mine/parity"], ["mine/parity"], None),
        (["python", "-c", "import minigrad", "-m", "parity"], ["-c"], None),
        (["python", "-c", "spawn_main()", "--multiprocessing-fork"], ["BIN/parity"], None),
        (["python", "-m", "pytest"], ["-m"], None),
    ],
)
def test_a_command_is_told_from_other_programs(
    orig_argv: list[str],
    argv: list[str],
    command: str | None,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    scripts = sysconfig.get_path("scripts")
    (tmp_path / "parity").symlink_to(Path(scripts) / "parity")
    for name, given in (("orig_argv", orig_argv), ("argv", argv)):
        monkeypatch.setattr(
            sys,
            name,
            [each.replace("BIN", scripts).replace("LINK", str(tmp_path)) for each in given],
        )
    assert shell._program() == command

"""Sweeps that are killed, interrupted, disturbed and short of room: nothing finished is lost."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.minigrad.operations import FUZZ
from tests.parity.commands import children, group_ends, parity, wait_until
from tests.parity.sweeping import begun, command, results, sweep

SEEDS = 80
SMALL = ("1-16-16-1", "--seeds", f"0:{SEEDS}", "--horizons", "6", "--epochs", "200")
KILLS = 20 if FUZZ else 2  # each starts a sweep anew, for seconds


class Undisturbed(NamedTuple):
    """A sweep that nothing happened to."""

    results: list[tuple[Any, ...]]
    time_s: float


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    folder = tmp_path_factory.mktemp("undisturbed")
    began_s = time.monotonic()
    finished = sweep(folder, *SMALL, "--workers", "2")
    time_s = time.monotonic() - began_s
    assert finished.returncode == 0, finished.stderr
    found = results(folder)
    assert len(found) == 2 * SEEDS
    return Undisturbed(found, time_s)


@pytest.mark.dear
def test_killed_at_random_moments_it_ends_as_undisturbed(
    tmp_path: Path, undisturbed: Undisturbed
) -> None:
    """By `kill -9`, while it starts, trains, writes or ends; its processes end with it."""
    chance = random.Random(7)
    kills, ends, found = 0, 0, set[tuple[Any, ...]]()
    while kills < KILLS or not ends:
        folder = tmp_path / str(ends)
        process = begun(folder, *SMALL, "--workers", str(1 + kills % 2))
        if kills < KILLS:
            # The last quarter is the picture's, and there is nothing left to lose.
            time.sleep(chance.uniform(0, 0.75 * undisturbed.time_s))
            process.kill()
        _, complaint = process.communicate()
        assert group_ends(process.pid)
        before, found = found, set(results(folder))
        assert before <= found, "nothing finished is lost"
        if process.returncode == -signal.SIGKILL:
            kills += 1
            continue
        assert process.returncode == 0, complaint  # it was faster: once more in another folder
        assert results(folder) == undisturbed.results
        ends, found = ends + 1, set()


@pytest.mark.dear
def test_ctrl_c_keeps_what_is_finished(tmp_path: Path, undisturbed: Undisturbed) -> None:
    process = begun(tmp_path, *SMALL, "--workers", "1")
    wait_until(lambda: results(tmp_path), process)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to every process of the group
    _, complaint = process.communicate(timeout=60)
    assert process.returncode == 130
    assert group_ends(process.pid)
    kept = results(tmp_path)
    assert complaint == (
        f"parity: interrupted: {len(kept)} of {2 * SEEDS} results are in "
        f"{tmp_path / 'sweep.sqlite'}; start it again to go on\n"
    )
    assert 0 < len(kept) < 2 * SEEDS
    assert set(kept) < set(undisturbed.results)


@pytest.mark.dear
@pytest.mark.skipif(sys.platform != "linux", reason="finds children by /proc")
def test_disturbed_it_ends_as_undisturbed(tmp_path: Path, undisturbed: Undisturbed) -> None:
    """By a second sweep on its folder, which is told who it is; and where its workers are killed,
    which are replaced.
    """
    first = begun(tmp_path, *SMALL, "--workers", "1")
    wait_until(lambda: results(tmp_path), first)
    second = parity(*command(tmp_path, *SMALL))
    assert (second.returncode, second.stdout) == (2, "")
    assert f"process {first.pid} on " in second.stderr
    assert f"is sweeping in {tmp_path}" in second.stderr
    killed = children(first.pid)
    assert killed
    for child in killed:
        os.kill(child, signal.SIGKILL)
    _, complaint = first.communicate(timeout=300)
    assert first.returncode == 0, complaint
    assert complaint == ""
    assert results(tmp_path) == undisturbed.results


@pytest.mark.dear
def test_a_seed_that_kills_its_worker_is_named_and_the_others_go_on(tmp_path: Path) -> None:
    dying = ["--engine", "tests.parity.sweeping:DyingEngine", "--against", "minigrad"]
    small = ["1-4-1", "--epochs", "20", "--seeds", "0:20", "--horizons", "0", "--workers", "1"]
    result = parity(*command(tmp_path, *small, *dying))
    assert result.returncode == 1
    dying_one = "tests.parity.sweeping:DyingEngine"
    said = f"1-4-1 on {dying_one}: seed 3 failed 3 times and has no result: {dying_one} ended with"
    assert said in result.stderr
    assert result.stderr.count("\n") == 1
    assert "19 seeds" in result.stdout
    kept = {(row[1], row[2]) for row in results(tmp_path)}
    assert len(kept) == 39
    assert (3, "minigrad") in kept


# ---- disks --------------------------------------------------------------------------------------


def mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True, capture_output=True, text=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small disk of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    try:
        mount("-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder))
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"a small file system cannot be mounted here: {error}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.dear
def test_a_full_disk(disk: Path, undisturbed: Undisturbed) -> None:
    """It is said, nothing finished is lost, and with room again the sweep goes on."""
    first = parity(*command(disk, *SMALL, "--seeds", "0:2", "--workers", "1"))
    assert first.returncode == 2, first.stderr  # two seeds are too few for a verdict
    assert "give more --seeds" in first.stderr
    before = results(disk)
    free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
    # The room that is left is SQLite's for its index of the log, and a page or two of results.
    filler = disk / "filler"
    filler.write_bytes(bytes(free - 48 * 1024))
    full = parity(*command(disk, *SMALL, "--workers", "2"))
    assert (full.returncode, full.stdout) == (2, "")
    assert "is full" in full.stderr
    assert "start the sweep again" in full.stderr
    assert "Traceback" not in full.stderr
    kept = results(disk)
    assert len(kept) < 2 * SEEDS
    assert set(before) <= set(kept) <= set(undisturbed.results)
    filler.unlink()
    again = parity(*command(disk, *SMALL, "--workers", "2"))
    assert again.returncode == 0, again.stderr
    assert results(disk) == undisturbed.results


def test_a_read_only_disk(disk: Path) -> None:
    mount("-o", "remount,ro", str(disk))
    result = parity(*command(disk, *SMALL))
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith(f"parity: cannot write to output folder '{disk}': Read-only")


@pytest.mark.skipif(os.geteuid() == 0, reason="permissions are nothing to root")
def test_a_folder_without_permission(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    result = parity(*command(tmp_path, *SMALL))
    assert (result.returncode, result.stdout) == (2, "")
    assert "Permission denied" in result.stderr

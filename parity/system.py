"""Calls that not every system has, and what is done without them.

Linux has all of them. macOS neither confines a process to cores nor has `/proc`. Windows moreover
has no load average, blocks no signals, and a process there cannot be asked where it is.
"""

import faulthandler
import os
import platform
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from pathlib import Path

PROC = Path("/proc")
"""Where the system tells of itself, on Linux."""

ANSWERS = hasattr(faulthandler, "register") and hasattr(signal, "SIGUSR1")
"""Whether a process that is silent, or that died, can say where it was."""


def not_measured() -> list[str]:
    """Return what timings lack on this system, as sentences; empty on Linux."""
    found = []
    if not hasattr(os, "getloadavg"):
        found.append("this system does not tell how busy it is: see that nothing else runs on it")
    if not hasattr(os, "sched_setaffinity"):
        found.append("engines are not kept to --threads cores on this system: some may use more")
    if memory("VmRSS") is None:
        found.append("memory is not measured on this system")
    return found


def usable_cores() -> int:
    """Return how many cores this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def confine(cores: int) -> None:
    """Keep this process, and those that it starts, to so many cores where that can be done."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-cores:])


def load_average() -> float:
    """Return how many processes wanted to compute in the last minute; 0 if that is not known."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0


def memory(kind: str) -> int | None:
    """Return the resident memory of this process in bytes, present (VmRSS) or highest (VmHWM).

    None if it is not known.
    """
    try:
        status = (PROC / "self" / "status").read_text(encoding="utf-8")
    except OSError:
        return None
    found = re.search(rf"^{kind}:\s*(\d+) kB$", status, re.MULTILINE)
    return 1024 * int(found[1]) if found else None


def forget_peak_memory() -> None:
    """Reset VmHWM, the highest memory so far; where that cannot be done it is an upper bound."""
    with suppress(OSError):
        (PROC / "self" / "clear_refs").write_text("5", encoding="utf-8")


def cpu_name() -> str:
    """Return the processor's name in the system, else its architecture, such as `x86_64`."""
    try:
        if sys.platform == "darwin":
            return _output("sysctl", "-n", "machdep.cpu.brand_string").strip()
        if sys.platform == "linux":
            # On ARM, /proc/cpuinfo has numbers in place of the name; lscpu knows what they mean.
            named = re.compile(r"^model name\s*:\s*(\S.*)$", re.IGNORECASE | re.MULTILINE)
            cpuinfo = (PROC / "cpuinfo").read_text(encoding="utf-8")
            if found := named.search(cpuinfo) or named.search(_output("lscpu")):
                return found[1].strip()
    except (OSError, subprocess.SubprocessError):
        pass
    return platform.processor() or platform.machine()


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=5).stdout


@contextmanager
def sigint_blocked() -> Iterator[None]:
    """Block SIGINT: a process started within inherits that, and ignores Ctrl-C from birth.

    Without it the process ignores Ctrl-C as soon as it has loaded this package.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    # Started here, before SIGINT is blocked: it would unblock the signal when it starts.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def signal_name(exit_code: int) -> str | None:
    """Return the signal that ended a process, such as "SIGKILL"; None if it was none."""
    with suppress(ValueError):
        return signal.Signals(-exit_code).name
    return None


def answer(words: Connection) -> None:
    """Have faulthandler write to a pipe where this process is: when it dies, and when asked."""
    if ANSWERS:
        faulthandler.enable(words.fileno())
        faulthandler.register(signal.SIGUSR1, words.fileno())


def ask(process: int) -> None:
    """Ask a process where it is."""
    if ANSWERS:
        os.kill(process, signal.SIGUSR1)


def answered(words: Connection, most: int) -> str:
    """Return what a process wrote where it is, of about so many bytes at most."""
    heard = b""
    while ANSWERS and len(heard) < most and words.poll():
        part = os.read(words.fileno(), 1 << 16)
        heard += part
        if not part:
            break
    return heard.decode(errors="backslashreplace")

"""Calls to an object in another process: results, failures, and an end under every circumstance."""

import functools
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from parity.engines.process import (
    THREAD_VARIABLES,
    ChildTraceback,
    EngineProcess,
    LocalObject,
    together,
)
from parity.engines.process import EngineProcessError as ProcessError
from tests.parity.fake_engines import Subject, TorchSubject, broken


@pytest.fixture
def subject() -> Iterator[EngineProcess[Subject]]:
    with EngineProcess(Subject, threads=1, name="subject") as process:
        yield process


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def gone_soon(pid: int) -> bool:
    """Whether the process ends within ten seconds."""
    deadline = time.monotonic() + 10
    while is_alive(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not is_alive(pid)


def test_calls_reach_one_object_in_another_process() -> None:
    with EngineProcess(functools.partial(Subject, 40)) as process:
        assert process.call(Subject.add, 1) == 41
        assert process.call(Subject.add, 1) == 42
        pid = process.call(Subject.pid)
        assert pid != os.getpid()
        large = np.random.default_rng(0).standard_normal((600, 600))
        assert np.array_equal(process.call(Subject.echo, large), large)
    assert not is_alive(pid)


def test_stream_gives_items_and_the_return_value(subject: EngineProcess[Subject]) -> None:
    def relay() -> Iterator[int]:
        assert (yield from subject.stream(Subject.countdown, 3)) == "lift-off"

    assert list(relay()) == [3, 2, 1]
    assert len(list(subject.stream(Subject.countdown, 50_000))) == 50_000  # over a pipe's size
    assert subject.call(Subject.add, 1) == 1


def test_streams_of_two_processes_run_side_by_side(subject: EngineProcess[Subject]) -> None:
    with EngineProcess(Subject) as other:
        streams = [process.stream(Subject.countdown, 4) for process in (subject, other)]
        assert list(zip(*streams, strict=True)) == [(4, 4), (3, 3), (2, 2), (1, 1)]


def test_a_call_can_be_begun_and_waited_for_later(subject: EngineProcess[Subject]) -> None:
    with EngineProcess(Subject) as other:
        answers = [process.ask(Subject.add, 3) for process in (subject, other)]
        with pytest.raises(ProcessError, match=r"'add' .* not read to its end"):
            subject.ask(Subject.add, 1)
        assert [answer() for answer in reversed(answers)] == [3, 3]
    answer = subject.ask(Subject.fail)
    with pytest.raises(KeyError, match="a key that is not there"):
        answer()
    assert subject.call(Subject.add, 1) == 4


def test_streams_are_read_together(subject: EngineProcess[Subject]) -> None:
    with EngineProcess(Subject) as other:
        seen = []
        streams = [subject.stream(Subject.countdown, 2), other.stream(Subject.countdown, 4)]
        assert together(streams, lambda *item: seen.append(item)) == ["lift-off"] * 2
        assert seen == [(0, 2), (1, 4), (0, 1), (1, 3), (1, 2), (1, 1)]
        failing = [other.stream(Subject.countdown_then_fail)]
        with pytest.raises(ZeroDivisionError):
            together(failing, lambda *item: None)
    assert together([], lambda *item: None) == []


def test_several_objects_live_in_one_process() -> None:
    with EngineProcess(functools.partial(Subject, 1), name="first") as first:
        second = first.beside(functools.partial(Subject, 10), "second")
        assert [second.call(Subject.add, 1), first.call(Subject.add, 1)] == [11, 2]
        assert [second.call(Subject.add, 1), first.call(Subject.add, 1)] == [12, 3]
        assert first.call(Subject.pid) == second.call(Subject.pid)
        wrong = first.beside(broken, "wrong")
        with pytest.raises(OSError, match="this factory is closed"):
            wrong.call(Subject.pid)
        answer = second.ask(Subject.pid)
        with pytest.raises(ProcessError, match=r"'pid' of the second process was not read"):
            first.call(Subject.pid)
        assert answer() > 0
        with pytest.raises(ProcessError, match="second process ended with exit code 3"):
            second.call(Subject.exit, 3)
        with pytest.raises(ProcessError, match="cannot call 'pid': the first process is closed"):
            first.call(Subject.pid)


def test_what_nobody_waits_for_is_settled(subject: EngineProcess[Subject]) -> None:
    subject.settle()  # nothing to do
    subject.ask(Subject.echo, 1)
    subject.settle()
    subject.stream(Subject.countdown, 3)
    subject.settle()
    for method in (Subject.fail, Subject.fail_unpicklably, Subject.unpicklable_result):
        subject.ask(method)
        subject.settle()
    assert subject.call(Subject.add, 1) == 1
    subject.ask(Subject.exit, 3)
    with pytest.raises(ProcessError, match="exit code 3"):
        subject.settle()


def test_killed_it_tells_whoever_waits() -> None:
    with EngineProcess(Subject) as process:
        answer = process.ask(Subject.hang)
        threading.Timer(0.1, process.kill).start()
        with pytest.raises(ProcessError, match="SIGKILL"):
            answer()
    EngineProcess(Subject).kill()  # which was not started


def test_an_object_in_this_process_is_called_alike() -> None:
    held = Subject(1)
    local: EngineProcess[Subject] = LocalObject(held)
    with local:
        assert local.call(Subject.add, 1) == held.value == 2
        assert list(local.stream(Subject.countdown, 2)) == [2, 1]
        sent = [1]
        assert local.call(Subject.echo, sent) is not sent
        with pytest.raises(KeyError):
            local.call(Subject.fail)
        local.settle()
        local.kill()


def test_exceptions_keep_their_type_and_bring_the_childs_traceback(
    subject: EngineProcess[Subject],
) -> None:
    with pytest.raises(KeyError, match="a key that is not there") as caught:
        subject.call(Subject.fail)
    assert isinstance(caught.value.__cause__, ChildTraceback)
    assert 'raise KeyError("a key that is not there")' in str(caught.value.__cause__)

    stream = subject.stream(Subject.countdown_then_fail)
    assert next(stream) == 1
    with pytest.raises(ZeroDivisionError, match="on the way"):
        next(stream)

    with pytest.raises(ProcessError, match=r"'fail_unpicklably'.*Unpicklable: one and two") as lost:
        subject.call(Subject.fail_unpicklably)
    assert 'raise Unpicklable("one", "two")' in str(lost.value.__cause__)

    with pytest.raises((AttributeError, pickle.PicklingError), match="lambda"):
        subject.call(Subject.unpicklable_result)
    with pytest.raises((AttributeError, pickle.PicklingError), match="lambda"):
        subject.call(Subject.echo, lambda: None)
    assert subject.call(Subject.add, 1) == 1, "a failed call leaves the process usable"


def test_a_broken_factory_is_reported_by_every_call() -> None:
    with EngineProcess(broken) as process:
        for _ in range(2):
            with pytest.raises(OSError, match="this factory is closed"):
                process.call(Subject.pid)


def test_a_dead_child_is_reported(subject: EngineProcess[Subject]) -> None:
    with pytest.raises(ProcessError, match="subject process ended with exit code 3 during 'exit'"):
        subject.call(Subject.exit, 3)
    with pytest.raises(ProcessError, match="cannot call 'pid': the subject process is closed"):
        subject.call(Subject.pid)
    killed = pytest.raises(ProcessError, match=r"exit code -9 .*SIGKILL.*out of memory.*smaller")
    with EngineProcess(Subject) as other, killed:
        other.call(Subject.kill_itself)
    with EngineProcess(Subject) as third:
        os.kill(third.call(Subject.pid), signal.SIGSEGV)
        with pytest.raises(ProcessError, match=r"exit code -11 .*SIGSEGV.*, in \w+, .*py:\d+"):
            third.call(Subject.pid)


def test_a_silent_child_is_ended_and_revived() -> None:
    with EngineProcess(Subject, timeout_s=0.5) as process:
        process.call(Subject.add, 1)
        with pytest.raises(ProcessError, match=r"no sign of life for 0.5 s.*, in hang, .*py:\d+"):
            process.call(Subject.hang)
        with pytest.raises(ProcessError, match="closed"):
            process.call(Subject.pid)
        process.revive()
        assert process.call(Subject.add, 1) == 1, "another object, made anew"
        assert process.call(Subject.wait_and_say_so, 8) == "done"
        process.ask(Subject.exit, 0)
        process.revive()
        assert process.call(Subject.add, 1) == 1


def test_what_was_killed_from_here_is_not_revived() -> None:
    with EngineProcess(Subject) as process:
        answer = process.ask(Subject.hang)
        process.kill()
        with pytest.raises(ProcessError) as killed:
            answer()
        assert killed.value.__cause__ is None, "which is no failure of the engine"
        process.revive()
        with pytest.raises(ProcessError, match="closed"):
            process.call(Subject.pid)


def test_a_stream_given_up_blocks_further_calls(subject: EngineProcess[Subject]) -> None:
    stream = subject.stream(Subject.countdown, 100_000)
    assert next(stream) == 100_000
    with pytest.raises(ProcessError, match=r"'countdown' .* not read to its end"):
        subject.call(Subject.pid)
    subject.close()
    with pytest.raises(ProcessError, match="closed"):
        subject.call(Subject.pid)


@pytest.mark.parametrize("method", [Subject.hang, Subject.ignore_sigterm_and_hang])
def test_close_ends_a_child_that_hangs(method: Callable[[Subject], None]) -> None:
    with EngineProcess(Subject) as process:
        pid = process.call(Subject.pid)
        process.ask(method)
        time.sleep(0.3)  # for the child to get there
    assert not is_alive(pid)
    process.close()


def test_a_call_outside_the_context_is_refused() -> None:
    process = EngineProcess(Subject)
    with pytest.raises(ProcessError, match="not started"):
        process.call(Subject.pid)
    process.close()
    with pytest.raises(ValueError, match="0 threads"):
        EngineProcess(Subject, threads=0)


def test_the_child_ignores_ctrl_c(subject: EngineProcess[Subject]) -> None:
    assert subject.call(Subject.interrupt_itself) == "unharmed"
    assert subject.call(Subject.interrupt_in_a_process_of_its_own) == "unharmed"
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) & {signal.SIGINT} == set()


def test_the_child_ends_when_its_parent_is_killed() -> None:
    """Even in the middle of a computation."""
    script = (
        "from tests.parity.fake_engines import Subject\n"
        "from parity.engines.process import EngineProcess\n"
        "with EngineProcess(Subject) as process:\n"
        "    print(process.call(Subject.pid), flush=True)\n"
        "    process.call(Subject.hang)\n"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=environment
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert is_alive(pid)
        parent.kill()
    assert gone_soon(pid)


def test_threads_are_set_before_the_child_loads_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    before = dict(os.environ)
    with EngineProcess(Subject, threads=1) as process:
        assert process.call(Subject.thread_variables) == dict.fromkeys(THREAD_VARIABLES, "1")
        assert set(process.call(Subject.numpy_threads)) == {1}
    with EngineProcess(TorchSubject, threads=3) as process:
        assert process.call(Subject.torch_threads) == 3
    assert dict(os.environ) == before
    with EngineProcess(Subject, variables={"OMP_NUM_THREADS": "7"}) as process:
        assert process.call(Subject.thread_variables)["OMP_NUM_THREADS"] == "7"
    with EngineProcess(Subject) as process:
        inherited = process.call(Subject.thread_variables)
        assert inherited["OMP_NUM_THREADS"] == "2"
        assert inherited["OPENBLAS_NUM_THREADS"] is None
    assert dict(os.environ) == before

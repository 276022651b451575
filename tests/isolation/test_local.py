"""What happens in a child stays there: values, errors, death, hanging and greed."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import numpy as np
import pytest

from scp.errors import BadRequest, Cancelled, DecodingFailed, MprScpError, Refused, WorkerFailed
from scp.isolation import local
from scp.isolation.local import Limits, run

GENEROUS = Limits(memory_bytes=1 << 30, deadline_s=60)


def never() -> bool:
    return False


def count(to: int) -> Iterator[bytes]:
    for number in range(to):
        yield str(number).encode()


def process_id(_: None) -> Iterator[bytes]:
    yield str(os.getpid()).encode()
    time.sleep(3600)


def fail(error: MprScpError) -> Iterator[bytes]:
    yield b"before"
    raise error


def break_down(_: None) -> Iterator[bytes]:
    raise ZeroDivisionError("a bug of ours")
    yield b""


def die(_: None) -> Iterator[bytes]:
    os.kill(os.getpid(), signal.SIGSEGV)
    yield b""


def eat(megabytes: int) -> Iterator[bytes]:
    yield bytes(np.ones(megabytes << 20, np.uint8)[:1])


def hears_sigint(pid: int) -> bool:
    status = dict(line.split(":") for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    silenced = int(status["SigBlk"], 16) | int(status["SigIgn"], 16)
    return not silenced >> (signal.SIGINT - 1) & 1


def exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_everything_that_the_function_yields_arrives_in_order() -> None:
    assert [int(item) for item in run(count, 1000, GENEROUS, never)] == list(range(1000))


@pytest.mark.parametrize(
    "error",
    [
        DecodingFailed("IM7: the stream ends early"),
        Refused("too-few-images", "9 images", "9 of 10"),
        BadRequest("ReformattingInterval", "it is nan"),
    ],
    ids=lambda e: type(e).__name__,
)
def test_an_error_of_ours_crosses_as_it_is(error: MprScpError) -> None:
    work = run(fail, error, GENEROUS, never)
    assert next(work) == b"before"
    with pytest.raises(type(error)) as caught:
        next(work)
    assert caught.value.args == error.args and str(caught.value) == str(error)


def test_a_bug_in_the_child_is_a_failed_worker_with_its_cause() -> None:
    with pytest.raises(WorkerFailed, match=r"^ZeroDivisionError in test_local\.py, line \d+$"):
        list(run(break_down, None, GENEROUS, never))


def test_a_child_that_crashes_is_reported_and_the_next_works() -> None:
    with pytest.raises(WorkerFailed, match=f"exit code -{signal.SIGSEGV.value}"):
        list(run(die, None, GENEROUS, never))
    assert list(run(count, 1, GENEROUS, never)) == [b"0"]


def test_a_greedy_child_fails_alone() -> None:
    assert list(run(eat, 16, Limits(memory_bytes=64 << 20, deadline_s=60), never))
    with pytest.raises(WorkerFailed, match="needs more memory than the 64 MiB"):
        list(run(eat, 512, Limits(memory_bytes=64 << 20, deadline_s=60), never))


def test_a_hanging_child_is_refused_by_the_deadline_and_gone() -> None:
    work = run(process_id, None, Limits(memory_bytes=1 << 30, deadline_s=3), never)
    pid = int(next(work))
    with pytest.raises(Refused) as caught:
        next(work)
    assert caught.value.code == "deadline" and not exists(pid)


def test_control_without_limits_the_greedy_child_gets_it_all_and_the_hanging_one_stays() -> None:
    assert list(run(eat, 512, Limits(memory_bytes=4 << 30, deadline_s=60), never))
    hanging = run(process_id, None, Limits(memory_bytes=1 << 30, deadline_s=3600), looks := Looks(5))
    pid = int(next(hanging))
    with pytest.raises(Cancelled):
        next(hanging)
    assert looks.left == 0 and not exists(pid)


class Looks:
    """Cancels when it has been asked so many times."""

    def __init__(self, count: int) -> None:
        self.left = count

    def __call__(self) -> bool:
        self.left -= 1
        return self.left <= 0


def hang_before_it_reads(_: bytes) -> Iterator[bytes]:
    yield b""


def test_a_child_that_hangs_before_it_reads_its_job_is_refused_by_the_deadline(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = local.ForkServerProcess.start

    def stopped(child: local.ForkServerProcess) -> None:
        real(child)
        assert child.pid is not None
        os.kill(child.pid, signal.SIGSTOP)

    monkeypatch.setattr(local.ForkServerProcess, "start", stopped)
    with pytest.raises(Refused) as caught:
        list(run(hang_before_it_reads, bytes(1 << 20), Limits(1 << 30, deadline_s=0.5), never))
    assert caught.value.code == "deadline"


def waiting_child() -> ForkServerProcess:
    local.ready()
    return local._waiting[-1].result().process


def test_a_child_that_waits_is_the_one_that_works_and_works_once() -> None:
    waits = waiting_child().pid
    pids = []
    for _ in range(2):
        with closing(run(process_id, None, GENEROUS, never)) as items:
            pids.append(int(next(items)))
    assert pids[0] == waits != pids[1]
    assert not exists(pids[0])


def test_a_child_that_died_while_it_waited_is_not_missed() -> None:
    dead = waiting_child()
    dead.kill()
    dead.join()
    assert list(run(count, 3, GENEROUS, never)) == [b"0", b"1", b"2"]


def test_a_child_that_nobody_needs_is_dismissed() -> None:
    pid = waiting_child().pid
    local.dismiss()
    assert pid is not None
    assert not exists(pid)


def test_a_child_that_waits_for_nothing_ends_with_who_made_it() -> None:
    program = "from scp.isolation import local; local.ready(); print(local._waiting[0].result().process.pid)"
    made = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert made.stderr == ""
    assert not exists(int(made.stdout))


def test_cancellation_kills_the_child() -> None:
    wanted = [True]
    work = run(process_id, None, GENEROUS, lambda: not wanted[0])
    pid = int(next(work))
    wanted[0] = False
    with pytest.raises(Cancelled):
        next(work)
    assert not exists(pid)


def test_closing_the_iterator_kills_the_child() -> None:
    work = run(process_id, None, GENEROUS, never)
    pid = int(next(work))
    work.close()  # type: ignore[attr-defined]
    assert not exists(pid)


def test_ctrl_c_of_the_terminal_reaches_neither_child_nor_fork_server_and_still_reaches_us() -> None:
    work = run(process_id, None, GENEROUS, never)
    child = int(next(work))
    server = int(Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[1])
    assert not hears_sigint(child) and not hears_sigint(server)
    assert hears_sigint(os.getpid())
    work.close()

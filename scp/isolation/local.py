"""The disposable child: one process per piece of work, killed when it is no longer wanted.

Children come from a fork server that has imported and warmed what they need, single-threaded, so that a
child is there in some tens of milliseconds and inherits no thread, lock or socket of the node. Cancel,
deadline and hang are all SIGKILL: nothing gentler ends a native decoder that loops. What the function
yields comes back over a pipe; the pipe is also the brake, since a child whose consumer is slow blocks.

A child speaks in pairs of messages: one byte that says what follows, then the thing itself.
"""

import multiprocessing
import pickle
import resource
import signal
import threading
import time
import traceback
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import TypeVar

from scp.errors import Cancelled, Code, MprScpError, Refused, WorkerFailed
from scp.model import IsCancelled

Job = TypeVar("Job")

ITEM, ERROR, END = b"i", b"e", b"."
POLL_S = (
    0.2  # how often a waiting parent looks at cancellation and deadline; well under the 1 s that is promised
)


@dataclass(frozen=True, slots=True)
class Limits:
    """What one child may use: *memory_bytes* beyond what it starts with, *deadline_s* of wall clock.

    *deadline_key* names the setting that a person would change.
    """

    memory_bytes: int
    deadline_s: float
    deadline_key: str = "reconstruction.deadline"


@dataclass(frozen=True, slots=True)
class _Child:
    """A process that waits for its work in *gives*, and says in *items* what it yields."""

    process: ForkServerProcess
    gives: Connection
    items: Connection

    def end(self) -> None:
        self.process.kill()
        self.process.join()
        self.process.close()
        self.items.close()


_waiting: list[Future[_Child]] = []
"""The children that :func:`ready` made, one for each call, and that nobody has taken yet."""


def start(preload: str) -> None:
    """Start the fork server with the module *preload* imported in it, so that the first child is soon there.

    Without it children work all the same; each then imports what it needs.
    """
    multiprocessing.get_context("forkserver").set_forkserver_preload([preload])
    _ensure_fork_server()


def ready() -> None:
    """Have a child wait for the next :func:`run`, made while the caller goes on: it works at once then."""
    made: Future[_Child] = Future()

    def make() -> None:
        try:
            made.set_result(_child())
        except Exception as error:  # whoever takes it makes another, and is told
            made.set_exception(error)

    _waiting.append(made)
    threading.Thread(target=make, name="ready", daemon=True).start()


def dismiss() -> None:
    """End the children that still wait, without waiting for those that are being made."""
    while _waiting:
        _waiting.pop().add_done_callback(_end)


def _end(made: Future[_Child]) -> None:
    if made.exception() is None:
        made.result().end()
        made.result().gives.close()


def _child() -> _Child:
    _ensure_fork_server()
    context = multiprocessing.get_context("forkserver")
    ours, theirs = context.Pipe(duplex=False)
    takes, gives = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(theirs, takes), daemon=True)
    process.start()
    theirs.close()
    takes.close()
    return _Child(process, gives, ours)


def _taken() -> _Child:
    """Return a child that waits, if there is one that lives, or a new one."""
    with suppress(IndexError):
        waiting = _waiting.pop()
        if waiting.exception() is None and waiting.result().process.is_alive():
            return waiting.result()
        _end(waiting)
    return _child()


def _ensure_fork_server() -> None:
    """Have a fork server that no SIGINT reaches, nor its children: Ctrl-C in a terminal goes to all of them.

    A signal mask is inherited; this process ends its children itself.
    """
    resource_tracker.ensure_running()  # would take the mask away, were it started by the fork server
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def run(
    function: Callable[[Job], Iterator[bytes]], job: Job, limits: Limits, cancelled: IsCancelled
) -> Generator[bytes, None, None]:
    """Yield what ``function(job)`` yields in a child of its own.

    Raises what the function raises (errors of ``scp.errors`` as they are), ``WorkerFailed`` where the child
    died or ran out of memory, ``Refused(deadline)`` and ``Cancelled``. The child is gone when this ends,
    however it ends.
    """
    child = _taken()
    work = pickle.dumps((function, job, limits))
    giving = threading.Thread(target=_give, args=(child.gives, work), name="giving", daemon=True)
    giving.start()
    try:
        yield from _receive(child.items, child.process, limits, cancelled)
    finally:
        child.end()
        giving.join()


def _give(pipe: Connection, work: bytes) -> None:
    """Hand work over; a pipe holds 64 KiB, and a child that hangs before it reads must not hold us."""
    with pipe, suppress(OSError):
        pipe.send_bytes(work)


def _receive(
    pipe: Connection, child: ForkServerProcess, limits: Limits, cancelled: IsCancelled
) -> Iterator[bytes]:
    deadline = time.monotonic() + limits.deadline_s
    while True:
        _wait_for_message(pipe, deadline, limits, cancelled)
        try:
            kind, content = pipe.recv_bytes(), pipe.recv_bytes()
        except (EOFError, OSError) as exc:
            child.join(timeout=5)
            raise WorkerFailed(
                f"the process that did the work died (exit code {child.exitcode}); the node itself goes on"
            ) from exc
        if kind == END:
            return
        if kind == ERROR:
            raise pickle.loads(content)
        yield content


def _wait_for_message(pipe: Connection, deadline: float, limits: Limits, cancelled: IsCancelled) -> None:
    """Return when the pipe has something, if only its end."""
    while True:
        if cancelled():
            raise Cancelled("cancelled while the work was running")
        left_s = deadline - time.monotonic()
        if left_s <= 0:
            raise Refused(
                Code.DEADLINE,
                f"the work was not done within {limits.deadline_s:g} s ({limits.deadline_key})",
                comment=f"{limits.deadline_s:g} s",
            )
        if wait([pipe], timeout=min(POLL_S, left_s)):
            return


def _work(pipe: Connection, takes: Connection) -> None:
    """Be the child: wait for work, do it and say how it ended."""
    try:
        work = takes.recv_bytes()
    except EOFError:
        return  # whoever made it has ended, and needed none
    try:
        function, job, limits = pickle.loads(work)
        _limit_memory(limits.memory_bytes)
        for item in function(job):
            pipe.send_bytes(ITEM)
            pipe.send_bytes(item)
        kind, content = END, b""
    except BrokenPipeError:
        return
    except MprScpError as exc:
        kind, content = ERROR, _pickled(exc)
    except MemoryError:
        failure = WorkerFailed(
            f"the work needs more memory than the {limits.memory_bytes >> 20} MiB it was given"
        )
        kind, content = ERROR, _pickled(failure)
    except Exception as exc:  # the border of the process: whatever it was, the parent is told
        kind, content = ERROR, _pickled(WorkerFailed(_where(exc)))
    pipe.send_bytes(kind)
    pipe.send_bytes(content)


def _pickled(error: MprScpError) -> bytes:
    try:
        pickle.loads(content := pickle.dumps(error))
    except Exception:  # an error whose constructor takes other arguments than its message
        content = pickle.dumps(WorkerFailed(_where(error)))
    return content


def _where(error: Exception) -> str:
    """Return what kind of error happened where; what it says may quote a file, and goes into logs."""
    *_, frame = [None, *traceback.extract_tb(error.__traceback__)]
    place = f" in {Path(frame.filename).name}, line {frame.lineno}" if frame else ""
    return f"{type(error).__name__}{place}"


def _limit_memory(extra_bytes: int) -> None:
    """Let this process allocate *extra_bytes* beyond what it has (RLIMIT_DATA counts all private maps)."""
    data_pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[5])
    limit = data_pages * resource.getpagesize() + extra_bytes
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))

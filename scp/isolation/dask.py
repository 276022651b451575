"""Work on the machines of a Dask cluster (``reconstruction.executor = "dask://host:port"``).

``Cluster.run`` keeps the contract of ``scp.isolation.local.run`` for jobs that can be divided: parts go to
whichever workers are free, what they yield comes back in order, and the parts of a worker that dies are done
again by the others. Workers run the same version of this package and see the files at the same paths; they
are started by whoever owns the cluster, with the memory that their volumes need.

Unlike the child on this machine a worker is not disposable: a cancelled part that has begun ends by itself,
and a decoder that hangs holds its worker until somebody restarts it. The request ends in time all the same.
"""

import pickle
import time
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import TYPE_CHECKING, Protocol, Self, TypeVar

from scp.errors import Cancelled, Code, ConfigurationError, MprScpError, Refused, WorkerFailed
from scp.isolation.local import POLL_S, Limits
from scp.model import IsCancelled

if TYPE_CHECKING:
    from distributed import Client

CONNECT_S = 10.0
PARTS_AHEAD = 2
"""Parts given out per thread of the cluster: one to work on, one to begin with when that is done."""


class Divisible(Protocol):
    """A job whose parts, done one after the other, are the job."""

    def parts(self) -> Sequence[Self]: ...


Job = TypeVar("Job", bound=Divisible)


def require_distributed() -> None:
    """Raise ``ConfigurationError`` where the package that talks to a cluster is not installed."""
    if find_spec("distributed") is None:
        raise ConfigurationError(
            "reconstruction.executor names a Dask cluster and the package distributed is not installed; "
            'install mpr-scp[dask], or set reconstruction.executor = "local"'
        )


@dataclass(frozen=True, slots=True)
class Cluster:
    """The cluster whose scheduler listens at *address*, ``host:port``."""

    address: str

    def run(
        self,
        function: Callable[[Job], Iterator[bytes]],
        job: Job,
        limits: Limits,
        cancelled: IsCancelled,
    ) -> Iterator[bytes]:
        """Yield what ``function(job)`` yields, made by the workers.

        Of *limits* the deadline counts; memory is the workers' own. Raises what the function raises (errors
        of ``scp.errors`` as they are), ``WorkerFailed`` where no scheduler answers or a part cannot be done,
        ``Refused(deadline)`` and ``Cancelled``.
        """
        deadline = time.monotonic() + limits.deadline_s
        waiting = deque(_Parcel.of(function, part) for part in job.parts())
        running: deque[Future[list[bytes]]] = deque()
        with _connected(self.address) as client:
            pool = client.get_executor(pure=False)
            while waiting or running:
                most = PARTS_AHEAD * max(1, sum(client.nthreads().values()))
                while waiting and len(running) < most:
                    running.append(pool.submit(_do, waiting.popleft()))
                _wait(running[0], deadline, limits, cancelled)
                yield from _result(running.popleft())


@dataclass(frozen=True, slots=True)
class _Parcel:
    """A function and its job on their way: packed, and silent, since workers log what they are given."""

    content: bytes = field(repr=False)

    @classmethod
    def of(cls, function: Callable[[Job], Iterator[bytes]], job: Job) -> Self:
        return cls(zlib.compress(pickle.dumps((function, job)), level=1))


def _do(parcel: _Parcel) -> list[bytes]:
    """Be the worker: do one part."""
    function, job = pickle.loads(zlib.decompress(parcel.content))
    return list(function(job))


@contextmanager
def _connected(address: str) -> Iterator["Client"]:
    """Give a client of the scheduler; what it still has running is cancelled with it."""
    from distributed import Client

    try:
        client = Client(f"tcp://{address}", timeout=CONNECT_S, set_as_default=False, name="mpr-scp")
    except (OSError, TimeoutError) as exc:
        raise WorkerFailed(
            f"no Dask scheduler answers at {address} (reconstruction.executor): {exc}"
        ) from exc
    with client:
        yield client


def _wait(future: "Future[list[bytes]]", deadline: float, limits: Limits, cancelled: IsCancelled) -> None:
    """Return when *future* is done, well or not."""
    while not wait([future], timeout=POLL_S).done:
        if cancelled():
            raise Cancelled("cancelled while the cluster was working")
        if time.monotonic() > deadline:
            raise Refused(
                Code.DEADLINE,
                f"the cluster was not done within {limits.deadline_s:g} s ({limits.deadline_key})",
                comment=f"{limits.deadline_s:g} s",
            )


def _result(future: "Future[list[bytes]]") -> list[bytes]:
    try:
        return future.result()
    except MprScpError:
        raise
    except Exception as exc:  # the border of the cluster: whatever it was, it is one request's failure
        # what it says may quote a file, and goes into logs
        raise WorkerFailed(
            f"the cluster did not do its part ({type(exc).__name__}); the logs of its workers say more"
        ) from exc

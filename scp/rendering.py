"""What runs in another process: pixels in, encoded objects out.

``render`` makes the volume of a job, cuts its planes and encodes each for its DICOM object; so does
``render_to_files``, which on the same machine spares the objects the way through a pipe. ``pixels_agree``
compares the decoded pixels of two copies of one image. All are called through ``scp.isolation``: here a
decoder may hang, crash or ask for all the memory, and nobody but the one request is worse off. The kernels
are loaded where they are needed: whoever only plans a job never pays for them.
"""

import os
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from scp.errors import Code, Refused, WorkerFailed
from scp.model import FileFacts, Interpolation, Missing, Policy
from scp.reconstruction.curved import CurvedPlan, render_curved
from scp.reconstruction.engines import CHUNK, ENGINE
from scp.reconstruction.pixels import PixelFormat
from scp.reconstruction.planes import PlanePlan
from scp.results import Encoder, ResultSeries
from scp.results.encode import Buffer

if TYPE_CHECKING:
    from scp.reconstruction.frames import Cells
    from scp.reconstruction.volume import Volume

VolumeKey = tuple[tuple[FileFacts, ...], tuple[Missing, ...], Policy, PixelFormat]


@dataclass(frozen=True, slots=True)
class RenderJob:
    """Everything that one reconstruction needs: it crosses processes, and machines, as a value.

    *threads* = 0 takes as many as the process that renders may use cores. *planes* (step 1) are those of the
    plan that are to be made, ``None`` all. *engine* must be the one of the process that renders, since the
    UIDs of the result promise its bytes.
    """

    stack: tuple[FileFacts, ...]
    missing: tuple[Missing, ...]
    policy: Policy
    interpolation: Interpolation
    plan: PlanePlan | CurvedPlan
    pixel_format: PixelFormat
    series: ResultSeries
    threads: int
    planes: range | None = None
    engine: str = ENGINE

    @property
    def wanted(self) -> range:
        if self.planes is not None:
            return self.planes
        return range(len(self.plan.positions) if isinstance(self.plan, PlanePlan) else 1)

    def parts(self) -> tuple["RenderJob", ...]:
        """Return jobs for several processes, which make the same, one part after the other."""
        wanted = self.wanted
        firsts = range(0, len(wanted), CHUNK)
        return tuple(replace(self, planes=wanted[first : first + CHUNK]) for first in firsts)


@dataclass(frozen=True, slots=True)
class FileJob:
    """A job whose objects become files of the existing *folder*, an absolute path."""

    job: RenderJob
    folder: Path


def render(job: RenderJob) -> Iterator[bytes]:
    """Yield for each plane of *job*, in order, its piece of a DICOM file (``results.Encoder.encode``).

    Raises ``DecodingFailed`` naming the slices that cannot be had, ``WorkerFailed`` where this process would
    render other values than were promised.
    """
    from scp.reconstruction import engine

    volume, encoder, threads = _begun(job)
    if isinstance(job.plan, CurvedPlan):
        yield encoder.encode(0, render_curved(volume, job.plan, job.interpolation))
        return
    planes = engine.render_stack(volume, job.plan, job.interpolation, threads, job.wanted)
    for index, plane in zip(job.wanted, planes, strict=True):
        yield encoder.encode(index, plane)


def render_to_files(work: FileJob) -> Iterator[bytes]:
    """Yield the names of the files of all objects, in order, as they are whole; lines of them.

    Objects of one plane each are encoded and written by the threads that render. Raises what ``render``
    raises, and ``Refused`` (``out-of-resources``) where a file cannot be written.
    """
    if isinstance(work.job.plan, CurvedPlan) or work.job.series.frames_per_object > 1:
        pieces = render(work.job)
        for path in write_pieces(pieces, work.job.series.frames_per_object, work.folder):
            yield path.name.encode()
        return
    yield from _each_to_its_file(work.job, work.job.plan, work.folder)


def _each_to_its_file(job: RenderJob, plan: PlanePlan, folder: Path) -> Iterator[bytes]:
    from scp.reconstruction import engine

    volume, encoder, threads = _begun(job)
    firsts = range(0, len(job.wanted), CHUNK)
    buffers = deque(engine.stack_buffers(volume, plan, threads, len(job.wanted)))

    def make(first: int) -> bytes:
        chunk = job.wanted[first : first + CHUNK]
        buffer = buffers.pop()
        engine.render_planes(volume, plan, chunk, job.interpolation, buffer[: len(chunk)])
        for index, plane in zip(chunk, buffer, strict=False):  # the last chunk may be shorter than a buffer
            _write(folder / _file_name(index), encoder.pieces(index, plane))
        buffers.append(buffer)
        return "\n".join(map(_file_name, chunk)).encode()

    with ThreadPoolExecutor(threads) as pool:
        yield from pool.map(make, firsts)


def write_pieces(pieces: Iterable[bytes], pieces_per_object: int, folder: Path) -> Iterator[Path]:
    """Write *pieces* to the files that they make together, and yield each file when it is whole.

    Raises ``Refused`` (``out-of-resources``) where a file cannot be written.
    """
    for index, piece in enumerate(pieces):
        number, part = divmod(index, pieces_per_object)
        path = folder / _file_name(number)
        _write(path, (piece,), "ab" if part else "wb")
        if part == pieces_per_object - 1:
            yield path


def _file_name(index: int) -> str:
    return f"{index + 1:05d}.dcm"


def _write(path: Path, parts: Iterable[Buffer], mode: Literal["wb", "ab"] = "wb") -> None:
    try:
        with path.open(mode, buffering=0) as file:
            left = [memoryview(part).cast("B") for part in parts if len(part)]
            while left:
                left = _after(os.writev(file.fileno(), left), left)
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise Refused(
            Code.OUT_OF_RESOURCES, f"a result cannot be written below the archive's .scp folder: {why}", why
        ) from error


def _after(written: int, parts: list[memoryview]) -> list[memoryview]:
    """Return what of *parts* follows its first so many bytes: the system may write less than it was given."""
    for place, part in enumerate(parts):
        if written < len(part):
            return [part[written:], *parts[place + 1 :]]
        written -= len(part)
    return []


def _begun(job: RenderJob) -> tuple["Volume", Encoder, int]:
    """Return what rendering *job* takes: its volume, what encodes its planes, and how many threads."""
    if job.engine != ENGINE:
        raise WorkerFailed(
            f'the node promises "{job.engine}", this worker renders by "{ENGINE}"; install the same '
            "version of mpr-scp on both, and numba on both or on neither"
        )
    threads = threads_of(job.threads)
    return _volume(job, threads), Encoder(job.series), threads


def threads_of(setting: int) -> int:
    """Return how many threads ``reconstruction.threads`` means: 0 is one for each core that we may use."""
    return setting or len(os.sched_getaffinity(0))


def pixels_agree(copies: tuple[FileFacts, FileFacts]) -> Iterator[bytes]:
    """Yield one item: ``b"1"`` where both copies decode to the same pixels, else ``b"0"``."""
    import numpy as np

    one, other = (_pixels(facts) for facts in copies)
    yield b"1" if np.array_equal(one, other) else b"0"


_last: list[tuple[VolumeKey, "Volume"]] = []
_reading = threading.Lock()


def _volume(job: RenderJob, threads: int) -> "Volume":
    """Return the volume of *job*; that of the last one, if it is the same: a worker makes part after part."""
    from scp.reconstruction.volume import read_volume

    key = (job.stack, job.missing, job.policy, job.pixel_format)
    with _reading:
        if not _last or _last[0][0] != key:
            _last.clear()  # before the next is read: a worker has room for one
            _last.append((key, read_volume(*key, threads)))
        return _last[0][1]


def _pixels(facts: FileFacts) -> "Cells":
    """Return the stored values of one frame, without what may lie in the bits above them (PS3.5 8.1.1)."""
    import numpy as np

    from scp.reconstruction.frames import read_frames

    header = facts.header
    memory = np.empty((header.integer("Rows") or 0, header.integer("Columns") or 0), np.int16)
    (cells,) = read_frames([facts], [memory])
    mask = (1 << (header.integer("BitsStored") or 16)) - 1
    pixels: Cells = cells & np.array(mask).astype(cells.dtype)
    return pixels

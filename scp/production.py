"""From a prospect to objects in files: rendered in a child, kept for the next who asks.

The last step of ``scp.pipeline``. ``produce`` makes the objects that ``scp.planning`` described, or finds
them made: their Series Instance UID is a digest of all that decides their bytes.
"""

from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Self

from scp import rendering
from scp.config import Config
from scp.isolation import dask, local
from scp.isolation.ahead import Ahead
from scp.isolation.budget import WORKING_BYTES, MemoryBudget
from scp.model import FileRef, Incoming, IsCancelled, Origin, Sink
from scp.part10 import file_head, file_ref
from scp.planning import CurvedProspect, Prospect
from scp.reconstruction.engines import CHUNK
from scp.reconstruction.planes import PlanePlan
from scp.results import ResultSeries

if TYPE_CHECKING:
    from scp.archive import ResultCache

LOCAL, CLUSTER = "local", "dask://"
"""What ``reconstruction.executor`` may be or begin with."""

THREAD_BYTES = 16 << 20
"""Stack and heap of one thread."""

VOXEL_TEMPORARIES = 32
"""Bytes for each voxel of the slice that a thread reads; a rescale by no whole number takes most."""

CURVED_TEMPORARIES = 512
"""Bytes for each pixel of a picture along a line, which the reference samples all at once."""

FILED_AT_ONCE = 8
"""Objects that go through the archive's door together: they share its syncs."""

FRAGMENT_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Workshop:
    """What rendering may use: the memory that all children share, and the results that are kept.

    With ``results.keep`` finished results also go through the door of *archive*, where there is one.
    Raises ``ConfigurationError`` where the configured executor cannot be had.
    """

    config: Config
    budget: MemoryBudget
    results: "ResultCache | None" = None
    archive: Sink | None = None

    def __post_init__(self) -> None:
        if self.config.reconstruction.executor != LOCAL:
            dask.require_distributed()


def produce(
    prospect: Prospect | CurvedProspect, workshop: Workshop, spool: Path, cancelled: IsCancelled
) -> Generator[FileRef, None, None]:
    """Yield the objects in the order of their Instance Numbers, each a file of its own.

    Those that are not kept already are made in the empty folder *spool*, which ceases to exist where they are
    kept from now on. Planes are rendered while earlier ones are consumed. Raises ``Refused``
    (``out-of-resources``, ``deadline``), ``Cancelled``, ``DecodingFailed``, ``WorkerFailed``; where the
    archive is to keep them and cannot, ``StoreRefused`` and ``IndexUnavailable``.
    """
    uid = prospect.series.series_instance_uid
    results = workshop.results
    with results.lease(uid) if results else nullcontext(()) as kept:
        if kept:
            yield from _whole(map(file_ref, kept), workshop)
            return

    def render(stopped: Callable[[], bool]) -> Generator[Path, None, None]:
        return _render(prospect, workshop, spool, lambda: stopped() or cancelled())

    with Ahead(render) as paths:
        yield from _whole(_refs(prospect.series, paths), workshop)
    if results:
        results.keep(uid, spool)


def _refs(series: ResultSeries, paths: Iterable[Path]) -> Iterator[FileRef]:
    """Yield the data sets of files that were just made, in the order of the objects of *series*."""
    for own, path in zip(series.objects, paths, strict=True):
        uids = series.sop_class_uid, own.sop_instance_uid, series.transfer_syntax_uid
        offset = len(file_head(*uids))
        yield FileRef(path, *uids, offset, path.stat().st_size - offset)


def _whole(refs: Iterable[FileRef], workshop: Workshop) -> Iterator[FileRef]:
    """Yield *refs*; once nobody stopped before the last, the archive keeps them if it is to."""
    if workshop.archive is None or not workshop.config.results.keep:
        yield from refs
        return
    made = []
    for ref in refs:
        yield ref
        made.append(ref)
    begin, ae_title = workshop.archive.begin, workshop.config.node.ae_title
    with ThreadPoolExecutor(FILED_AT_ONCE) as pool:
        list(pool.map(lambda ref: _store(ref, begin, ae_title), made))


def _store(ref: FileRef, begin: Callable[[Origin], Incoming], ae_title: str) -> None:
    """Let one object in by the archive's door, as if this node had sent it to itself."""
    incoming = begin(Origin(ref.sop_class_uid, ref.sop_instance_uid, ref.transfer_syntax_uid, ae_title))
    try:
        with ref.path.open("rb") as file:
            file.seek(ref.offset)
            while fragment := file.read(FRAGMENT_BYTES):
                incoming.write(fragment)
        incoming.commit()
    except BaseException:
        incoming.abandon()
        raise


def _render(
    prospect: Prospect | CurvedProspect, workshop: Workshop, spool: Path, cancelled: IsCancelled
) -> Generator[Path, None, None]:
    """Yield the files of the objects as they are made, by a child or by the configured cluster."""
    report, config = prospect.report, workshop.config.reconstruction
    job = rendering.RenderJob(
        stack=report.stack,
        missing=report.missing,
        policy=report.rules.policy,
        interpolation=config.interpolation,
        plan=prospect.plan,
        pixel_format=prospect.pixel_format,
        series=prospect.series,
        threads=config.threads,
    )
    need, budget = MemoryNeed.of(job), workshop.budget
    limits = local.Limits(need.total_bytes, config.deadline)
    if config.executor != LOCAL:
        cluster = dask.Cluster(config.executor.removeprefix(CLUSTER))
        pieces = cluster.run(rendering.render, job, limits, cancelled)
        yield from rendering.write_pieces(pieces, prospect.series.frames_per_object, spool)
        return
    work = rendering.FileJob(job, spool.absolute())
    with budget.reserve(need.total_bytes, cancelled, need.what, need.advice(budget.total_bytes)):
        for names in local.run(rendering.render_to_files, work, limits, cancelled):
            yield from map(spool.joinpath, names.decode().splitlines())


@dataclass(frozen=True, slots=True)
class MemoryNeed:
    """What a child allocates: the volume, and what each of its threads and the reader of its planes hold.

    *thread_bytes*: of one thread beside planes; *planes*: so many of *plane_bytes* are made at once by each.
    """

    volume_bytes: int
    thread_bytes: int
    plane_bytes: int
    planes: int
    threads: int

    @classmethod
    def of(cls, job: rendering.RenderJob) -> Self:
        header, plan = job.stack[0].header, job.plan
        samples = header.integer("SamplesPerPixel") or 1
        slice_voxels = (header.integer("Rows") or 0) * (header.integer("Columns") or 0) * samples
        slices = len(job.stack) + sum(one.lies_within(len(job.stack)) for one in job.missing)
        pixel_bytes = samples * (2 if isinstance(plan, PlanePlan) else CURVED_TEMPORARIES)
        return cls(
            volume_bytes=2 * slices * slice_voxels,
            thread_bytes=THREAD_BYTES + VOXEL_TEMPORARIES * slice_voxels,
            plane_bytes=pixel_bytes * plan.rows * plan.columns,
            planes=min(CHUNK, len(job.wanted)),
            threads=rendering.threads_of(job.threads),
        )

    @property
    def total_bytes(self) -> int:
        of_a_thread = self.thread_bytes + self.planes * self.plane_bytes
        return self.volume_bytes + (self.threads + 1) * of_a_thread + WORKING_BYTES

    @property
    def what(self) -> str:
        planes_bytes = (self.threads + 1) * self.planes * self.plane_bytes
        parts = {"volume": self.volume_bytes, "planes": planes_bytes}
        parts["all else"] = self.total_bytes - sum(parts.values())
        return f"the reconstruction ({', '.join(f'{part} {size >> 20} MiB' for part, size in parts.items())})"

    def advice(self, allowed_bytes: int) -> str:
        """Return what would make it fit: more memory, and fewer threads or planes where these suffice."""
        others = {
            "ask for fewer planes at once": replace(self, planes=1),
            "set reconstruction.threads to 1": replace(self, threads=1),
        }
        helps = [words for words, need in others.items() if need.total_bytes <= allowed_bytes]
        return ", or ".join(["raise it", *helps])

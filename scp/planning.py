"""From a report to what a request will yield: the planes, and the objects without their pixels.

Pure but for the digests of the sources' pixels, which the UIDs of a result depend on. ``scp.production``
makes what is planned here.
"""

from dataclasses import dataclass, replace

from pydicom.uid import UID, SecondaryCaptureImageStorage

from scp import __version__
from scp.config import Config
from scp.errors import Code, Refused
from scp.model import MPRRequest, Note, SelectionReport, Takes, Vector
from scp.pixel_digests import with_pixel_digests
from scp.reconstruction.curved import CurvedPlan, curved_plan
from scp.reconstruction.engines import ENGINE
from scp.reconstruction.geometry import volume_geometry
from scp.reconstruction.pixels import PixelFormat, pixel_format
from scp.reconstruction.planes import PlanePlan, plan
from scp.results import ResultOptions, ResultSeries, describe
from scp.results.basis import SECONDARY_CAPTURE, SOURCE
from scp.results.curved import describe_curved


@dataclass(frozen=True, slots=True)
class Prospect:
    """What a request will yield: the planes, how they are stored, and the objects without their pixels."""

    report: SelectionReport
    plan: PlanePlan
    pixel_format: PixelFormat
    series: ResultSeries


@dataclass(frozen=True, slots=True)
class CurvedRequest:
    """A picture along *line* (points, mm, patient), *height_mm* high around it, upright along *up*."""

    line: tuple[Vector, ...]
    up: Vector
    height_mm: float


@dataclass(frozen=True, slots=True)
class CurvedProspect:
    """What a picture along a line will be."""

    report: SelectionReport
    plan: CurvedPlan
    pixel_format: PixelFormat
    series: ResultSeries


def plan_results(request: MPRRequest, report: SelectionReport, config: Config) -> Prospect:
    """Return what a report that is ``ok`` leads to. Raises ``BadRequest`` for planes that miss the volume."""
    report = replace(report, stack=with_pixel_digests(report.stack))
    stored = pixel_format(report.stack)
    volume = volume_geometry(report.stack, report.missing)
    settings = config.reconstruction
    wanted = plan(volume, request.planes, settings.pixel_spacing, settings.interpolation)
    report = _with_note(report, wanted)
    options = ResultOptions(
        sop_class=request.sop_class,
        compression=config.results.compression,
        uid_root=config.results.uid_root,
        interpolation=settings.interpolation,
        engine=ENGINE,
        software_version=__version__,
    )
    return Prospect(report, wanted, stored, describe(report, wanted, stored, options))


def _with_note(report: SelectionReport, wanted: PlanePlan) -> SelectionReport:
    """Return *report* with a note where slabs leave voxels out that nobody asked to leave out."""
    if not wanted.beyond_mm or any(note.code == Code.SLABS_END_EARLY for note in report.notes):
        return report
    enough = f"an interval of at most {wanted.thickness_mm / 2:g} mm reaches them"
    last = f"the last {wanted.beyond_mm:.3g} mm lie in no slab; {enough}"
    return replace(report, notes=(*report.notes, Note(Code.SLABS_END_EARLY, last)))


def plan_curved(request: CurvedRequest, report: SelectionReport, config: Config) -> CurvedProspect:
    """Return what a report that is ``ok`` leads to along a line. Raises ``BadRequest``."""
    report = replace(report, stack=with_pixel_digests(report.stack))
    stored = pixel_format(report.stack)
    volume = volume_geometry(report.stack, report.missing)
    settings = config.reconstruction
    wanted = curved_plan(volume, request.line, request.up, request.height_mm, settings.pixel_spacing)
    options = ResultOptions(
        uid_root=config.results.uid_root,
        interpolation=settings.interpolation,
        engine=ENGINE,
        software_version=__version__,
    )
    return CurvedProspect(report, wanted, stored, describe_curved(report, wanted, stored, options))


def as_taken(prospect: Prospect, request: MPRRequest, config: Config, takes: Takes) -> Prospect:
    """Return *prospect* in the first class that the receiver takes: as it is, as a capture, as the source.

    It is compressed only for who takes it so. A result that was listed before stays as it is, and is
    converted on its way. Raises ``Refused(no-context)``.
    """
    series = prospect.series
    source = prospect.report.current.header.text("SOPClassUID")
    classes = dict.fromkeys((series.sop_class_uid, str(SecondaryCaptureImageStorage), source))
    taken = takes(tuple(classes), series.transfer_syntax_uid)
    if request.result_series_uid and series.sop_class_uid in taken:
        return prospect
    for sop_class in () if request.result_series_uid else (request.sop_class, SECONDARY_CAPTURE, SOURCE):
        wanted = replace(request, sop_class=sop_class)
        other = prospect if wanted == request else plan_results(wanted, prospect.report, config)
        if other.series.sop_class_uid in taken:
            return _readable(other, wanted, config, taken[other.series.sop_class_uid])
    raise Refused(
        Code.NO_CONTEXT,
        f"the receiver takes neither {UID(series.sop_class_uid).name} nor the class of the source; let it "
        "accept one of them",
    )


def _readable(prospect: Prospect, request: MPRRequest, config: Config, transfer_syntax_uid: str) -> Prospect:
    """Return *prospect*, uncompressed where it would not be sent in its own transfer syntax."""
    own = UID(prospect.series.transfer_syntax_uid)
    if transfer_syntax_uid == own or not own.is_compressed:
        return prospect
    plain = config.model_copy(update={"results": config.results.model_copy(update={"compression": "none"})})
    return plan_results(request, prospect.report, plain)

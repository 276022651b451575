"""From a selection and a plan of planes to the record of a result series, before any pixel is read.

The last pure step of the method: the attributes that all objects share are worked out by tables, encoded
once, and cut where planes differ; UIDs follow from everything that decides a byte of the result.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import groupby

from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless, JPEGLSLossless, RLELossless

from scp.errors import Code, Refused
from scp.model import SelectionReport
from scp.reconstruction.pixels import PixelFormat
from scp.reconstruction.planes import PlanePlan
from scp.results.attributes import Row, data_set, series_number
from scp.results.basis import Basis, ResultOptions
from scp.results.encode import cut
from scp.results.identity import digest, source_digests, uid
from scp.results.multiframe import add_dimensions, value_offset
from scp.results.provenance import (
    SourceReference,
    derivation_description,
    dry_run_description,
    result_comments,
    series_description,
)
from scp.results.series import ResultObject, ResultSeries
from scp.results.storage import StorageClass, storage_class
from scp.results.values import character_set, geometry_string, put
from scp.selection import refusal

SMALLEST_JPEG_2000 = 32
"""Rows and columns that the encoder's six resolutions need; a smaller plane is not compressed."""

LARGEST_PIXEL_DATA = 0xFFFFFFFE
"""An explicit length has 32 bits and is even (PS3.5 7.1.1)."""

TRANSFER_SYNTAXES: Mapping[str, str] = {
    "none": str(ExplicitVRLittleEndian),
    "rle": str(RLELossless),
    "jpeg_ls": str(JPEGLSLossless),
    "jpeg_2000": str(JPEG2000Lossless),
}
"""``results.compression``: lossless, all of them."""


def describe(
    report: SelectionReport, plan: PlanePlan, pixel_format: PixelFormat, options: ResultOptions
) -> ResultSeries:
    """Return what every object of the result holds but its pixels.

    The stack of *report* carries the digests of its pixels (``PixelData.sha256``), else ``ValueError``.
    Raises ``Refused`` where *report* itself is refused, where the sources name an unknown anatomical
    orientation or texts that no character set holds, or where one object would be too large.
    """
    if not report.ok:
        raise refusal(report)
    basis = Basis(report, plan, pixel_format, options)
    storage = storage_class(basis)
    if storage.multiframe:
        _refuse_too_large(basis)
    identity = _identity(basis, storage)
    signed = pixel_format.signed and not storage.unsigned
    common = shared_attributes(basis, storage.rows, storage.sop_class_uid, identity, signed=signed)
    if storage.multiframe:
        add_dimensions(common, uid(options.uid_root, "dimension", identity))
    return ResultSeries(
        sop_class_uid=storage.sop_class_uid,
        transfer_syntax_uid=_transfer_syntax(options, plan),
        study_instance_uid=str(common["StudyInstanceUID"].value),
        series_instance_uid=str(common["SeriesInstanceUID"].value),
        series_number=series_number(basis),
        series_description=series_description(basis),
        short_description=dry_run_description(basis),
        rows=plan.rows,
        columns=plan.columns,
        pixel_format=pixel_format,
        value_offset=value_offset(basis) if storage.unsigned else 0,
        objects=_objects(basis, storage, identity),
        references=tuple(SourceReference.of(facts) for facts in basis.stack),
        frames_per_object=len(plan.positions) if storage.multiframe else 1,
        runs=cut(common),
    )


def _transfer_syntax(options: ResultOptions, plan: PlanePlan) -> str:
    too_small = options.compression == "jpeg_2000" and min(plan.rows, plan.columns) < SMALLEST_JPEG_2000
    return TRANSFER_SYNTAXES["none" if too_small else options.compression]


def _refuse_too_large(basis: Basis) -> None:
    plan = basis.plan
    sample_bytes = 3 if basis.colour else 2
    length = len(plan.positions) * plan.rows * plan.columns * sample_bytes
    if length > LARGEST_PIXEL_DATA:
        raise Refused(
            Code.OUT_OF_RESOURCES,
            f"{len(plan.positions)} planes as one object take {length} bytes, Pixel Data holds at most "
            f"{LARGEST_PIXEL_DATA}: ask for fewer planes, or set results.sop_class to another class",
            comment=f"{length} bytes of Pixel Data",
        )


def _identity(basis: Basis, storage: StorageClass) -> str:
    """Return the digest of all that decides a byte of the result (sources, configuration, words)."""
    rules, missing = basis.report.rules, basis.report.missing
    return digest(
        {
            "sources": source_digests(basis.stack),
            "plan": replace(basis.plan, sources=(), filled=()),
            "touched": _runs_of_equals(zip(basis.plan.sources, basis.plan.filled, strict=True)),
            "stored": basis.pixel_format,
            "options": basis.options,
            "class": storage.sop_class_uid,
            "policy": rules.policy,
            "filled": [
                (m.instance_number, m.position_mm, m.image_position_patient, m.before) for m in missing
            ],
            "words": [series_description(basis), result_comments(basis), derivation_description(basis, ())],
        }
    )


def _runs_of_equals(values: Iterable[object]) -> list[tuple[object, int]]:
    """Return each value with how often it comes in a row: hundreds of planes may touch the same sources."""
    return [(value, len(list(group))) for value, group in groupby(values)]


def shared_attributes(
    basis: Basis, rows: Iterable[Row], sop_class_uid: str, identity: str, *, signed: bool
) -> Dataset:
    """Return what all objects of a result share: *rows*, its class, and UIDs that follow from *identity*."""
    root = basis.options.uid_root
    ds = data_set(rows, basis, signed=signed)
    for keyword, value in (
        ("SOPClassUID", sop_class_uid),
        (
            "StudyInstanceUID",
            basis.first("StudyInstanceUID") or uid(root, "study", source_digests(basis.stack)),
        ),
        ("SeriesInstanceUID", uid(root, "series", identity)),
    ):
        put(ds, keyword, value)
    terms = character_set(ds, basis.middle.texts("SpecificCharacterSet"))
    if terms:
        put(ds, "SpecificCharacterSet", terms)
    return ds


def _objects(basis: Basis, storage: StorageClass, identity: str) -> tuple[ResultObject, ...]:
    plan, root = basis.plan, basis.options.uid_root
    planes: Iterable[tuple[tuple[float, ...], Sequence[int], Sequence[int]]]
    if storage.multiframe:
        planes = [((), _union(plan.sources), _union(plan.filled))]
    else:
        planes = zip(plan.positions, plan.sources, plan.filled, strict=True)
    words = {filled: derivation_description(basis, filled) for filled in {*plan.filled, _union(plan.filled)}}
    return tuple(
        ResultObject(
            sop_instance_uid=uid(root, "instance", identity, index),
            instance_number=index + 1,
            image_position_patient=tuple(map(geometry_string, position)),
            derivation_description=words[tuple(filled)],
            sources=tuple(sources),
        )
        for index, (position, sources, filled) in enumerate(planes)
    )


def _union(indices: Sequence[Sequence[int]]) -> tuple[int, ...]:
    return tuple(sorted(set().union(*indices)))

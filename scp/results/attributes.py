"""What every result holds, as three tables: taken from the sources, taken from the options, made new.

One row is one attribute, with the section of PS3.3 that asks for it. The tables of one storage class
(``secondary_capture``, ``source_class``, ``multiframe``) are added to these; what varies from plane to plane
(UIDs, number, position, references) is no row but comes in when the planes are encoded.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from pydicom.dataset import Dataset

from scp.model import Header, Operation, Value
from scp.reconstruction.pixels import inverted, stored_range
from scp.results.acquisition import (
    lossy_image_compression,
    lossy_method,
    lossy_ratio,
    series_date,
    series_time,
    shared_frame_of_reference,
)
from scp.results.basis import Basis
from scp.results.provenance import (
    DIRECTION_WORDS,
    PRODUCT,
    contributing_equipment,
    derivation_codes,
    result_comments,
    series_description,
)
from scp.results.values import geometry_string, is_sequence, put, sequence_items

UNSTATED_METHOD = "not stated in the source images"
"""De-identification Method of sources that say nothing but that identity was removed."""


class Presence(Enum):
    """What becomes of an attribute without a value."""

    IF_KNOWN = "left out"
    ALWAYS = "written empty"
    FOR_ANIMALS = "written empty for a patient that is no human being"


@dataclass(frozen=True, slots=True)
class Row:
    """One attribute: its keyword, the section of PS3.3, where its value comes from."""

    keyword: str
    section: str
    value: Callable[[Basis], Any]
    presence: Presence = Presence.IF_KNOWN


def copied(keyword: str, section: str, presence: Presence = Presence.IF_KNOWN) -> Row:
    """Return a row for what the middle source states, else the first that states anything."""
    return Row(keyword, section, lambda basis: _source_value(keyword, basis.first(keyword)), presence)


def copied_if_unanimous(keyword: str, section: str) -> Row:
    """Return a row for what all sources state alike."""
    return Row(keyword, section, lambda basis: _source_value(keyword, basis.unanimous(keyword)))


def copied_from_middle(keyword: str, section: str) -> Row:
    """Return a row for what the middle source itself states."""
    return Row(keyword, section, lambda basis: _source_value(keyword, basis.middle.get(keyword)))


def _source_value(keyword: str, value: Value | None) -> Any:
    return sequence_items(value) if is_sequence(keyword) and isinstance(value, str) else value


def _deidentification_method(basis: Basis) -> Value | None:
    """Of type 1C: whose identity was removed had it removed by some method, stated here or in codes."""
    stated = basis.first("DeidentificationMethod") or basis.first("DeidentificationMethodCodeSequence")
    if basis.first("PatientIdentityRemoved") == "YES" and not stated:
        return UNSTATED_METHOD
    return basis.first("DeidentificationMethod")


def _rescale_type(basis: Basis) -> str | None:
    """HU is supplied for CT that states nothing, unless several energies made the values (C.11.1.1.2)."""
    stored = basis.pixel_format
    if stored.rescale_slope is None or basis.colour:
        return None
    if stored.rescale_type:
        return stored.rescale_type
    single_energy = basis.modality == "CT" and not basis.any_is("MultienergyCTAcquisition", "YES")
    return "HU" if single_energy else "US"


def _slice_thickness(basis: Basis) -> str:
    """A thin plane says its pixel size: the reach of the interpolation, and the default interval."""
    return geometry_string(basis.plan.thickness_mm or basis.plan.spacing_mm)


def series_number(basis: Basis) -> int:
    """1000 times the source's number, then direction and rendering; an IS of 31 bits (C.7.3.1)."""
    request = basis.plan.request
    kind = 1 + list(DIRECTION_WORDS).index(request.direction)
    if request.operation is Operation.SLAB:
        kind += 10 * (1 + list(type(request.method)).index(request.method))
    source = basis.middle.integer("SeriesNumber") or 0
    return 1000 * (abs(source) % 2_000_000) + kind


def _window(keyword: str) -> Callable[[Basis], Any]:
    """The window of the middle source, where Center, Width and Explanation are equally many (C.11.2)."""

    def value(basis: Basis) -> Any:
        header = basis.middle
        centers, widths = header.numbers("WindowCenter"), header.numbers("WindowWidth")
        if basis.colour or not centers or len(centers) != len(widths) or min(widths) <= 0:
            return None
        if keyword == "WindowCenter" and inverted(header):
            return tuple(_turned(header, center) for center in centers)
        several = keyword != "VOILUTFunction" and len(header.texts(keyword)) != len(centers)
        return None if several else header.get(keyword)

    return value


def _turned(header: Header, center: float) -> float:
    """Return the center under which values that were turned round look as they did before (C.11.2.1.2).

    The linear function is not symmetric: it has its middle half a value below the center.
    """
    slope, intercept = header.number("RescaleSlope") or 1.0, header.number("RescaleIntercept") or 0.0
    ends = slope * sum(stored_range(header)) + 2 * intercept
    is_linear = header.text("VOILUTFunction") in ("", "LINEAR")
    return ends - center + (1.0 if is_linear else 0.0)


TYPE_2 = Presence.ALWAYS
TYPE_2_OF_ANIMALS = Presence.FOR_ANIMALS

TAKEN_FROM_THE_SOURCE = (
    copied("PatientName", "C.7.1.1", TYPE_2),
    copied("PatientID", "C.7.1.1", TYPE_2),
    copied("IssuerOfPatientID", "C.7.1.1"),
    copied("PatientBirthDate", "C.7.1.1", TYPE_2),
    copied("PatientSex", "C.7.1.1", TYPE_2),
    copied("OtherPatientIDsSequence", "C.7.1.1"),
    copied("PatientSpeciesDescription", "C.7.1.1"),
    copied("PatientSpeciesCodeSequence", "C.7.1.1"),
    copied("PatientBreedDescription", "C.7.1.1", TYPE_2_OF_ANIMALS),
    copied("PatientBreedCodeSequence", "C.7.1.1", TYPE_2_OF_ANIMALS),
    copied("BreedRegistrationSequence", "C.7.1.1", TYPE_2_OF_ANIMALS),
    copied("ResponsiblePerson", "C.7.1.1", TYPE_2_OF_ANIMALS),
    copied("ResponsiblePersonRole", "C.7.1.1"),
    copied("ResponsibleOrganization", "C.7.1.1", TYPE_2_OF_ANIMALS),
    copied("PatientIdentityRemoved", "C.7.1.1"),
    Row("DeidentificationMethod", "C.7.1.1", _deidentification_method),
    copied("DeidentificationMethodCodeSequence", "C.7.1.1"),
    copied("StudyDate", "C.7.2.1", TYPE_2),
    copied("StudyTime", "C.7.2.1", TYPE_2),
    copied("ReferringPhysicianName", "C.7.2.1", TYPE_2),
    copied("StudyID", "C.7.2.1", TYPE_2),
    copied("AccessionNumber", "C.7.2.1", TYPE_2),
    copied("IssuerOfAccessionNumberSequence", "C.7.2.1"),
    copied("StudyDescription", "C.7.2.1"),
    copied("ProcedureCodeSequence", "C.7.2.1"),
    copied("PatientAge", "C.7.2.2"),
    copied("PatientSize", "C.7.2.2"),
    copied("PatientWeight", "C.7.2.2"),
    copied("PatientSexNeutered", "C.7.2.2", TYPE_2_OF_ANIMALS),
    copied("AnatomicalOrientationType", "C.7.3.1"),
    copied("BodyPartExamined", "C.7.3.1"),
    copied("PatientPosition", "C.7.3.1"),
    copied("ProtocolName", "C.7.3.1"),
    copied_if_unanimous("Laterality", "C.7.3.1"),
    copied_if_unanimous("ImageLaterality", "C.7.6.1"),
    copied_if_unanimous("AcquisitionDate", "C.7.10.1"),
    copied_if_unanimous("AcquisitionTime", "C.7.10.1"),
    copied_if_unanimous("AcquisitionDateTime", "C.7.10.1"),
    copied_if_unanimous("TimezoneOffsetFromUTC", "C.12.1"),
    copied("LongitudinalTemporalInformationModified", "C.12.1"),
    Row("WindowCenter", "C.11.2", _window("WindowCenter")),
    Row("WindowWidth", "C.11.2", _window("WindowWidth")),
    Row("WindowCenterWidthExplanation", "C.11.2", _window("WindowCenterWidthExplanation")),
    Row("VOILUTFunction", "C.11.2", _window("VOILUTFunction")),
    Row("LossyImageCompressionRatio", "C.7.6.1.1.5", lossy_ratio),
    Row("LossyImageCompressionMethod", "C.7.6.1.1.5", lossy_method),
)
"""Copied, verbatim where the sources agree."""

TAKEN_FROM_THE_OPTIONS = (
    Row("SeriesNumber", "C.7.3.1", series_number),
    Row("SeriesDescription", "C.7.3.1", series_description),
    Row(
        "ImageOrientationPatient",
        "C.7.6.2",
        lambda b: [geometry_string(c) for c in (*b.plan.row_cosine, *b.plan.column_cosine)],
    ),
    Row("PixelSpacing", "C.7.6.2", lambda b: [geometry_string(b.plan.spacing_mm)] * 2),
    Row("SliceThickness", "C.7.6.2", _slice_thickness),
    Row(
        "SpacingBetweenSlices",
        "C.7.6.2",
        lambda b: geometry_string(b.plan.interval_mm) if len(b.plan.positions) > 1 else None,
    ),
    Row("Rows", "C.7.6.3", lambda b: b.plan.rows),
    Row("Columns", "C.7.6.3", lambda b: b.plan.columns),
    Row("SamplesPerPixel", "C.7.6.3", lambda b: b.pixel_format.samples_per_pixel),
    Row("PhotometricInterpretation", "C.7.6.3", lambda b: b.pixel_format.photometric_interpretation),
    Row("PlanarConfiguration", "C.7.6.3", lambda b: 0 if b.colour else None),
    Row("BitsAllocated", "C.7.6.3", lambda b: 8 if b.colour else 16),
    Row("BitsStored", "C.7.6.3", lambda b: 8 if b.colour else 16),
    Row("HighBit", "C.7.6.3", lambda b: 7 if b.colour else 15),
    Row("PixelRepresentation", "C.7.6.3", lambda b: int(b.pixel_format.signed)),
    Row(
        "PixelPaddingValue",
        "C.7.5.1.1.2",
        lambda b: None if b.colour else b.pixel_format.padding_value,
    ),
    Row("RescaleIntercept", "C.11.1", lambda b: None if b.colour else b.pixel_format.rescale_intercept),
    Row("RescaleSlope", "C.11.1", lambda b: None if b.colour else b.pixel_format.rescale_slope),
    Row("RescaleType", "C.11.1", _rescale_type),
    Row("SoftwareVersions", "C.7.5.1", lambda b: b.options.software_version),
)
"""What was asked for, and how the values are stored."""

MADE_NEW = (
    Row("Modality", "C.7.3.1", lambda b: b.modality),
    Row("SeriesDate", "C.7.3.1", series_date),
    Row("SeriesTime", "C.7.3.1", series_time),
    Row("ContentDate", "C.7.6.1", series_date),
    Row("ContentTime", "C.7.6.1", series_time),
    Row("FrameOfReferenceUID", "C.7.4.1", shared_frame_of_reference),
    Row(
        "PositionReferenceIndicator",
        "C.7.4.1",
        lambda b: b.unanimous("PositionReferenceIndicator") if b.unanimous("FrameOfReferenceUID") else None,
        TYPE_2,
    ),
    Row("Manufacturer", "C.7.5.1", lambda _: PRODUCT),
    Row("ManufacturerModelName", "C.7.5.1", lambda _: PRODUCT),
    Row("BurnedInAnnotation", "C.7.6.1", lambda b: "YES" if b.any_is("BurnedInAnnotation", "YES") else "NO"),
    Row("LossyImageCompression", "C.7.6.1.1.5", lossy_image_compression),
    Row("ImageComments", "C.7.6.1", result_comments),
    Row("DerivationCodeSequence", "C.12.4", lambda b: derivation_codes(b.plan.request)),
    Row("ContributingEquipmentSequence", "C.12.1.1.5", contributing_equipment),
)
"""What only this node can say."""

COMMON = (*TAKEN_FROM_THE_SOURCE, *TAKEN_FROM_THE_OPTIONS, *MADE_NEW)


def amended(rows: Iterable[Row], *, by: Iterable[Row] = (), without: Iterable[str] = ()) -> tuple[Row, ...]:
    """Return *rows* without some keywords, each row of the same keyword replaced, others added."""
    left_out = set(without)
    by_keyword = {row.keyword: row for row in rows if row.keyword not in left_out}
    by_keyword.update({row.keyword: row for row in by})
    return tuple(by_keyword.values())


def data_set(rows: Iterable[Row], basis: Basis, *, signed: bool) -> Dataset:
    """Return the data set that *rows* make of *basis*; stored values are *signed* or not."""
    ds = Dataset()
    written_empty = {Presence.ALWAYS, Presence.FOR_ANIMALS} if basis.animal else {Presence.ALWAYS}
    for row in rows:
        value = row.value(basis)
        if value is None or value == "":
            if row.presence not in written_empty:
                continue
            value = [] if is_sequence(row.keyword) else ""
        put(ds, row.keyword, value, signed=signed)
    return ds

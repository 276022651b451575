"""The source's own class, marked derived: CT, MR or PT Image Storage (PS3.3 A.3, A.4, A.21).

For destinations and readers that take volumes from nothing else. Geometry is mandatory there; what the
sources say of the acquisition is carried over as far as it holds for planes through all of them. Frames of
enhanced images become classic single-frame images.
"""

from collections.abc import Mapping

from pydicom.uid import (
    CTImageStorage,
    EnhancedCTImageStorage,
    EnhancedMRImageStorage,
    EnhancedPETImageStorage,
    LegacyConvertedEnhancedCTImageStorage,
    LegacyConvertedEnhancedMRImageStorage,
    LegacyConvertedEnhancedPETImageStorage,
    MRImageStorage,
    PositronEmissionTomographyImageStorage,
)

from scp.model import Method, Operation
from scp.results.attributes import COMMON, TYPE_2, Row, amended, copied, copied_from_middle
from scp.results.basis import Basis

CLASSIC: Mapping[str, str] = {
    str(CTImageStorage): str(CTImageStorage),
    str(EnhancedCTImageStorage): str(CTImageStorage),
    str(LegacyConvertedEnhancedCTImageStorage): str(CTImageStorage),
    str(MRImageStorage): str(MRImageStorage),
    str(EnhancedMRImageStorage): str(MRImageStorage),
    str(LegacyConvertedEnhancedMRImageStorage): str(MRImageStorage),
    str(PositronEmissionTomographyImageStorage): str(PositronEmissionTomographyImageStorage),
    str(EnhancedPETImageStorage): str(PositronEmissionTomographyImageStorage),
    str(LegacyConvertedEnhancedPETImageStorage): str(PositronEmissionTomographyImageStorage),
}
"""The class of the result by that of its sources; a result of any other class is a Secondary Capture."""

PROJECTIONS = {Method.MAXIMUM_IP, Method.MINIMUM_IP}

MODALITY_LUT = {"RescaleIntercept", "RescaleSlope", "RescaleType"}

STILL_SERIES_TYPES = {"STATIC", "WHOLE BODY"}
"""Value 1 of Series Type that planes through one volume can keep; others are about several times."""


def _mr_technique(basis: Basis) -> str:
    """Value 3 of Image Type has terms of its own in MR (C.8.3.1.1.1)."""
    request = basis.plan.request
    projection = request.operation is Operation.SLAB and request.method in PROJECTIONS
    return "PROJECTION IMAGE" if projection else "MPR"


def _or_else(row: Row, value: object) -> Row:
    """Return a row for an attribute of type 1, with what to say where no source says anything."""

    def stated(basis: Basis) -> object:
        found = row.value(basis)
        return value if found is None else found

    return Row(row.keyword, row.section, stated, row.presence)


def _inversion_time(basis: Basis) -> object:
    """Of type 2C: it must not be there unless the sequence inverts (C.8.3.1)."""
    inverts = "IR" in basis.middle.texts("ScanningSequence")
    return basis.first("InversionTime") if inverts else None


def _unless_identity(row: Row) -> Row:
    """Return a row of the Modality LUT for MR, whose IOD has none: what changes no value is left out.

    One that changes values stays, as in the sources: their windows are in its units.
    """

    def value(basis: Basis) -> object:
        stored = basis.pixel_format
        identity = (stored.rescale_slope, stored.rescale_intercept) == (1.0, 0.0)
        return None if identity else row.value(basis)

    return Row(row.keyword, row.section, value, row.presence)


def _series_type(basis: Basis) -> list[str]:
    kind = basis.middle.texts("SeriesType")[:1]
    return [kind[0] if kind and kind[0] in STILL_SERIES_TYPES else "STATIC", "IMAGE"]


CT_ROWS = amended(
    COMMON,
    by=(
        # in CT "axial" means any plane of a volume (C.8.2.1.1.1)
        Row("ImageType", "C.8.2.1.1.1", lambda _: ["DERIVED", "SECONDARY", "AXIAL"]),
        copied("PatientPosition", "C.7.3.1", TYPE_2),
        copied("KVP", "C.8.2.1", TYPE_2),
        copied("AcquisitionNumber", "C.8.2.1", TYPE_2),
        copied("ScanOptions", "C.8.2.1"),
        copied("FilterType", "C.8.2.1"),
        copied("ConvolutionKernel", "C.8.2.1"),
        copied("ContrastBolusAgent", "C.7.6.4"),
        Row("RescaleIntercept", "C.8.2.1", lambda b: b.pixel_format.rescale_intercept or 0),
        Row("RescaleSlope", "C.8.2.1", lambda b: b.pixel_format.rescale_slope or 1),
    ),
)

MR_ROWS = amended(
    COMMON,
    by=(
        Row("ImageType", "C.8.3.1.1.1", lambda b: ["DERIVED", "SECONDARY", _mr_technique(b)]),
        copied("PatientPosition", "C.7.3.1", TYPE_2),
        _or_else(copied("ScanningSequence", "C.8.3.1"), "RM"),
        _or_else(copied("SequenceVariant", "C.8.3.1"), "NONE"),
        copied("ScanOptions", "C.8.3.1", TYPE_2),
        copied("MRAcquisitionType", "C.8.3.1", TYPE_2),
        copied("RepetitionTime", "C.8.3.1", TYPE_2),
        copied("EchoTime", "C.8.3.1", TYPE_2),
        copied("EchoTrainLength", "C.8.3.1", TYPE_2),
        Row("InversionTime", "C.8.3.1", _inversion_time),
        copied("TriggerTime", "C.8.3.1"),
        copied("EchoNumbers", "C.8.3.1"),
        copied("AcquisitionNumber", "C.7.10.1"),
        copied("ContrastBolusAgent", "C.7.6.4"),
        *(_unless_identity(row) for row in COMMON if row.keyword in MODALITY_LUT),
    ),
)

PT_ROWS = amended(
    COMMON,
    by=(
        Row("ImageType", "C.8.9.4.1.1", lambda _: ["DERIVED", "PRIMARY"]),
        # the reference of Frame Reference Time and of decay correction, not when the series was made
        copied_from_middle("SeriesDate", "C.8.9.1"),
        copied_from_middle("SeriesTime", "C.8.9.1"),
        _or_else(copied("Units", "C.8.9.1"), "NONE"),
        _or_else(copied("CountsSource", "C.8.9.1"), "EMISSION"),
        Row("SeriesType", "C.8.9.1", _series_type),
        Row("NumberOfSlices", "C.8.9.1", lambda b: len(b.plan.positions)),
        copied("CorrectedImage", "C.8.9.1", TYPE_2),
        copied("RandomsCorrectionMethod", "C.8.9.1"),
        copied("AttenuationCorrectionMethod", "C.8.9.1"),
        copied("ScatterCorrectionMethod", "C.8.9.1"),
        _or_else(copied("DecayCorrection", "C.8.9.1"), "NONE"),
        copied("ReconstructionMethod", "C.8.9.1"),
        copied("CollimatorType", "C.8.9.1", TYPE_2),
        copied("RadiopharmaceuticalInformationSequence", "C.8.9.2", TYPE_2),
        copied("PatientOrientationCodeSequence", "C.8.4.6", TYPE_2),
        copied("PatientGantryRelationshipCodeSequence", "C.8.4.6", TYPE_2),
        _or_else(copied_from_middle("FrameReferenceTime", "C.8.9.4"), 0),
        copied_from_middle("ActualFrameDuration", "C.8.9.4"),
        copied_from_middle("DecayFactor", "C.8.9.4"),
        Row("AcquisitionDate", "C.8.9.4", lambda b: b.unanimous("AcquisitionDate"), TYPE_2),
        Row("AcquisitionTime", "C.8.9.4", lambda b: b.unanimous("AcquisitionTime"), TYPE_2),
        Row("RescaleIntercept", "C.8.9.4", lambda b: b.pixel_format.rescale_intercept or 0),
        Row("RescaleSlope", "C.8.9.4", lambda b: b.pixel_format.rescale_slope or 1),
    ),
    # Units says what values are; orientation codes say how the patient lay, and exclude Patient Position
    without=("RescaleType", "PatientPosition"),
)

SOURCE_CLASS_ROWS: Mapping[str, tuple[Row, ...]] = {
    str(CTImageStorage): CT_ROWS,
    str(MRImageStorage): MR_ROWS,
    str(PositronEmissionTomographyImageStorage): PT_ROWS,
}

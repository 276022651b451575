"""Step 7: which images can be slices of one volume (group C)."""

from dataclasses import replace

import pytest
from pydicom import uid

from scp.errors import Code
from scp.model import PixelData
from scp.selection import refusal, select
from tests.selection.slices import RULES, beside, detail_of, foreign, notes_of, reason_of, series, slice_at

SQUARE_ROOT_HALF = 0.7071067811865476


@pytest.mark.parametrize(
    ("case", "changes", "reason"),
    [
        ("C1", {"Rows": None}, Code.NOT_AN_IMAGE),
        ("C1", {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.66.4"}, Code.NOT_AN_IMAGE),  # Segmentation
        ("C1", {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.481.2"}, Code.NOT_AN_IMAGE),  # RT Dose
        ("C2", {"ImageType": ("ORIGINAL", "PRIMARY", "LOCALIZER")}, Code.LOCALIZER),
        ("C3", {"SOPClassUID": str(uid.SecondaryCaptureImageStorage)}, Code.NOT_A_SOURCE_IMAGE),
        ("C3", {"ImageType": ("DERIVED", "SECONDARY", "SCREEN SAVE")}, Code.NOT_A_SOURCE_IMAGE),
        ("C3", {"ImageType": ("DERIVED", "PRIMARY", "MAX_IP")}, Code.NOT_A_SOURCE_IMAGE),
        ("C3", {"DerivationCodeSequence": '[{"00080100":{"Value":["113072"]}}]'}, Code.NOT_A_SOURCE_IMAGE),
        ("C3", {"DerivationCodeSequence": '[{"00080100":{"Value":["113079"]}}]'}, Code.NOT_A_SOURCE_IMAGE),
        ("C4", {"ImagePositionPatient": None}, Code.NO_GEOMETRY),
        ("C4", {"ImageOrientationPatient": None}, Code.NO_GEOMETRY),
        ("C4", {"ImagePositionPatient": (0.0, 0.0, float("nan"))}, Code.NO_GEOMETRY),
        ("C4", {"ImageOrientationPatient": (1.0, 0.0, 0.0, 0.0, 1.002, 0.0)}, Code.NO_GEOMETRY),
        ("C4", {"ImageOrientationPatient": (1.0, 0.0, 0.0, 0.01, 0.99995, 0.0)}, Code.NO_GEOMETRY),
        ("C4", {"PixelSpacing": (0.0, 0.5)}, Code.NO_GEOMETRY),
        ("C5", {"ImageOrientationPatient": (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)}, Code.OTHER_ORIENTATION),
        ("C5", {"ImageOrientationPatient": (1.0, 0.0, 0.0, 0.0, 0.999995, 0.003)}, Code.OTHER_ORIENTATION),
        ("C6", {"Rows": 256}, Code.OTHER_MATRIX),
        ("C6", {"Columns": 256}, Code.OTHER_MATRIX),
        ("C7", {"PixelSpacing": (0.5, 0.501)}, Code.OTHER_PIXEL_SPACING),
        ("C8", {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB"}, Code.OTHER_PIXEL_FORMAT),
        ("C8", {"PhotometricInterpretation": "MONOCHROME1"}, Code.OTHER_PIXEL_FORMAT),
        ("C10", {"FrameOfReferenceUID": "1.2.3.77"}, Code.OTHER_FRAME_OF_REFERENCE),
        ("C10", {"FrameOfReferenceUID": None}, Code.OTHER_FRAME_OF_REFERENCE),
        ("C13", {"ImageType": ("ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC")}, Code.NO_GEOMETRY),
        ("C13", {"NumberOfFrames": 30}, Code.NO_GEOMETRY),
    ],
)
def test_an_image_that_is_no_slice_of_the_volume_is_left_out(case, changes, reason):
    stranger = foreign("stranger.dcm", **changes)
    report = beside(stranger)
    assert report.ok and len(report.stack) == 12
    assert reason_of(report, stranger) == reason


@pytest.mark.parametrize("scanned", [Code.NOT_AN_IMAGE, Code.CANNOT_DECODE])
def test_c1_c12_what_the_scanner_found_stays_the_reason(scanned):
    stranger = replace(foreign("x.dcm"), reason=scanned, detail="RLE with 17 segments")
    report = beside(stranger)
    assert reason_of(report, stranger) == scanned and detail_of(report, stranger) == "RLE with 17 segments"


@pytest.mark.parametrize(
    ("syntax", "reason"), [(uid.MPEG2MPML, Code.CANNOT_DECODE), ("1.2.3.4", Code.CANNOT_DECODE)]
)
def test_c12_a_syntax_without_a_decoder_costs_the_file_and_not_the_request(syntax, reason):
    stranger = replace(foreign("x.dcm"), pixel_data=PixelData(str(syntax), 1000, 10))
    assert reason_of(beside(stranger), stranger) == reason


@pytest.mark.parametrize(
    "syntax",
    [
        uid.ImplicitVRLittleEndian,
        uid.ExplicitVRLittleEndian,
        uid.DeflatedExplicitVRLittleEndian,
        uid.ExplicitVRBigEndian,
        uid.RLELossless,
        uid.JPEGBaseline8Bit,
        uid.JPEGExtended12Bit,
        uid.JPEGLossless,
        uid.JPEGLosslessSV1,
        uid.JPEGLSLossless,
        uid.JPEG2000Lossless,
        uid.JPEG2000,
    ],
)
def test_c12_what_archives_hold_has_a_decoder(syntax):
    slices = [replace(image, pixel_data=PixelData(str(syntax), 1000, 10)) for image in series(12)]
    assert len(select(slices[0], slices, RULES).stack) == 12


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"ImageType": ("ORIGINAL", "PRIMARY", "LOCALIZER")}, "localizer"),
        ({"ImageType": ("ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC")}, "no-geometry"),
    ],
)
def test_c2_c13_the_same_on_the_current_image_is_a_refusal(changes, code):
    slices = series(12)
    current = foreign("current.dcm", **changes)
    assert select(current, [*slices, current], RULES).verdict == code


@pytest.mark.parametrize(
    "changes",
    [
        {"ImageType": ("ORIGINAL", "PRIMARY", "MPR")},
        {"ImageOrientationPatient": (1.0, 0.0, 0.0, 0.0, 0.999999, 0.0012)},
        {"PixelSpacing": (0.5, 0.5004)},
        {"KVP": 120.0001},
        {"KVP": None},
        {"SliceThickness": 3.0},
        {"AcquisitionNumber": 7},
        {"BitsStored": 12},
        {"RescaleSlope": 2.5, "RescaleIntercept": 0},
        {"PixelRepresentation": 0},
        {"WindowCenter": 40, "WindowWidth": 400},
    ],
)
def test_c9_c15_what_may_vary_inside_a_volume_costs_no_slice(changes):
    base = {"ImageType": ("ORIGINAL", "PRIMARY")} if "ImageType" in changes else {}
    slices = [*series(11, **base), slice_at(11, **changes)]
    report = select(slices[3], slices, RULES)
    assert report.ok and len(report.stack) == 12


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("ImageType", ("ORIGINAL", "SECONDARY", "AXIAL")),
        ("ConvolutionKernel", "BONE"),
        ("KVP", 80),
        ("FilterType", "B"),
        ("EchoTime", 90.0),
        ("EchoNumbers", 2),
        ("RepetitionTime", 600.0),
        ("InversionTime", 100.0),
        ("DiffusionBValue", 1000.0),
        ("TemporalPositionIdentifier", 2),
        ("ContrastBolusAgent", "AGENT"),
        ("PatientPosition", "FFS"),
        ("Units", "BQML"),
        ("RescaleType", "US"),
        ("ComplexImageComponent", "PHASE"),
    ],
)
def test_c15_another_contrast_is_another_stack_even_where_no_position_repeats(keyword, value):
    ours = {
        "FilterType": "A",
        "EchoTime": 10.0,
        "EchoNumbers": 1,
        "RepetitionTime": 500.0,
        "InversionTime": 50.0,
        "DiffusionBValue": 0.0,
        "TemporalPositionIdentifier": 1,
        "ContrastBolusAgent": "NONE",
        "PatientPosition": "HFS",
        "Units": "HU",
        "RescaleType": "HU",
        "ComplexImageComponent": "MAGNITUDE",
    }
    slices = [*series(12, **ours), slice_at(12, **(ours | {keyword: value}))]
    report = select(slices[0], slices, RULES)
    assert reason_of(report, slices[12]) == Code.OTHER_STACK
    assert detail_of(report, slices[12]).startswith(keyword)


@pytest.mark.parametrize("uid_of", ["1.2.3.9.{}".format, {}.get])
def test_c11_a_frame_of_reference_per_slice_or_none_is_used_and_mentioned(uid_of):
    slices = [slice_at(k, FrameOfReferenceUID=uid_of(k)) for k in range(12)]
    report = select(slices[0], slices, RULES)
    assert len(report.stack) == 12 and Code.FRAME_OF_REFERENCE_PER_SLICE in notes_of(report)


def test_c11_images_that_share_a_frame_of_reference_do_not_join_slices_that_have_their_own():
    slices = [slice_at(k, FrameOfReferenceUID=f"1.2.3.9.{k}") for k in range(12)]
    strangers = [foreign(f"{n}.dcm", k, FrameOfReferenceUID="9.9") for n, k in (("a", 12), ("bb", 13))]
    report = select(slices[0], [*slices, *strangers], RULES)
    assert len(report.stack) == 12
    assert {reason_of(report, s) for s in strangers} == {Code.OTHER_FRAME_OF_REFERENCE}


def test_c14_the_frames_of_one_file_are_slices():
    frames = [
        replace(slice_at(k, SOPInstanceUID="1.2.3.4.0", name="enhanced.dcm"), frame=k + 1) for k in range(12)
    ]
    report = select(frames[0], frames, RULES)
    assert report.ok and len(report.stack) == 12


def test_c16_palette_colour_and_rgb_are_brought_together():
    slices = [
        *series(11, SamplesPerPixel=3, PhotometricInterpretation="RGB"),
        slice_at(11, SamplesPerPixel=1, PhotometricInterpretation="PALETTE COLOR"),
    ]
    assert len(select(slices[0], slices, RULES).stack) == 12


def test_b15_rejected_images_are_left_out():
    slices = series(13)
    report = select(slices[0], slices, RULES, rejected={slices[12].sop_instance_uid})
    assert reason_of(report, slices[12]) == Code.REJECTED and len(report.stack) == 12


def test_b15_every_second_slice_rejected_leaves_holes_and_no_even_volume():
    slices = series(25)
    gone = {image.sop_instance_uid for image in slices[1::2]}
    report = select(slices[0], slices, RULES, rejected=gone)
    assert report.verdict == Code.MISSING_INSTANCES and len(report.missing) == 12


def test_b9_a_current_image_that_agrees_with_none_of_a_series_that_agrees_is_refused():
    slices = series(12)
    current = foreign("wrong.dcm", ImageOrientationPatient=(0.0, 1.0, 0.0, 0.0, 0.0, -1.0))
    report = select(current, [*slices, current], RULES)
    assert refusal(report).error_comment == "current-image-alone: 12 others agree with each other"


def test_b9_a_current_image_whose_rest_is_merely_not_here_is_not_called_alone():
    current = slice_at(0)
    others = [foreign("a.dcm", SeriesInstanceUID="7"), foreign("b.dcm", 4, SeriesInstanceUID="7")]
    assert select(current, [current, *others], RULES).verdict == Code.TOO_FEW_IMAGES

"""One SOP Instance UID in several files (B11, B12, B14)."""

from dataclasses import replace
from pathlib import Path

import pytest
from pydicom import uid

from scp.errors import Code
from scp.model import FileFacts, PixelData
from scp.selection import refusal, select
from tests.selection.slices import FOLDER, RULES, changed, reason_of, series, slice_at


def copy_of(facts: FileFacts, name: str, syntax: str = "", **changes) -> FileFacts:
    pixels = PixelData(syntax, 1000, 10, sha256="ab") if syntax else None
    return replace(changed(facts, **changes), path=FOLDER / name, pixel_data=pixels)


def agree(one: FileFacts, other: FileFacts) -> bool:
    return True


def differ(one: FileFacts, other: FileFacts) -> bool:
    return False


def never(one: FileFacts, other: FileFacts) -> bool:
    raise AssertionError(f"nobody needs the pixels of {one.path} and {other.path}")


def test_b11_of_two_equal_copies_one_is_used_after_a_look_at_their_pixels():
    slices = series(12)
    copy = copy_of(slices[5], "copy.dcm")
    asked = []
    report = select(slices[0], [*slices, copy], RULES, pixels_agree=lambda a, b: asked.append((a, b)) or True)
    assert report.ok and len(report.stack) == 12 and len(asked) == 1
    assert {reason_of(report, copy), reason_of(report, slices[5])} == {Code.USED, Code.DUPLICATE}


def test_b11_the_file_of_the_current_image_is_the_one_that_is_used():
    slices = series(12)
    for current, other in [(slices[5], copy_of(slices[5], "0000.dcm")), (slices[5], copy_of(slices[5], "z"))]:
        report = select(current, [*slices, other], RULES, pixels_agree=agree)
        assert reason_of(report, current) == Code.USED and reason_of(report, other) == Code.DUPLICATE


def test_b11_the_same_stored_bytes_need_no_decoder():
    slices = series(12)
    syntax = str(uid.ExplicitVRLittleEndian)
    pair = copy_of(slices[5], "0005.dcm", syntax), copy_of(slices[5], "copy.dcm", syntax)
    report = select(slices[0], [*slices[:5], *pair, *slices[6:]], RULES)
    assert report.ok and len(report.stack) == 12


@pytest.mark.parametrize(
    "changes",
    [
        {"PatientName": "Doe^John"},
        {"StudyInstanceUID": "1.2.99"},
        {"SeriesInstanceUID": "1.2.99"},
        {"ImagePositionPatient": (-128.0, -128.0, 27.5)},
        {"ImageOrientationPatient": (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)},
        {"Rows": 256},
        {"PixelSpacing": (0.6, 0.6)},
        {"RescaleSlope": 2},
        {"KVP": 80},
    ],
)
def test_b12_copies_that_contradict_each_other_are_refused_and_never_chosen_by_fit(changes):
    slices = series(12)
    rival = copy_of(slices[5], "rival.dcm", **changes)
    report = select(slices[0], [*slices, rival], RULES, pixels_agree=never)
    assert report.verdict == Code.DUPLICATE_CONFLICT
    assert "rival.dcm" in report.sentence and "0005.dcm" in report.sentence


def test_b12_equal_headers_and_other_pixels_are_refused():
    slices = series(12)
    rival = copy_of(slices[5], "rival.dcm")
    report = select(slices[0], [*slices, rival], RULES, pixels_agree=differ)
    assert refusal(report).error_comment == "duplicate-conflict: Pixel Data"


def test_b12_a_contradiction_among_images_of_another_series_is_not_ours():
    slices = series(12)
    one = slice_at(40, SeriesInstanceUID="7", SOPInstanceUID="7.1", name="a.dcm")
    other = copy_of(one, "b.dcm", Rows=256)
    assert select(slices[0], [*slices, one, other], RULES, pixels_agree=never).ok


@pytest.mark.parametrize("name", ["0004z.dcm", "0000.dcm"])
def test_b14_beside_a_lossless_copy_the_lossy_one_is_left_out(name):
    slices = series(12)
    lossless = copy_of(slices[5], "0005.dcm", str(uid.JPEGLosslessSV1))
    lossy = copy_of(slices[5], name, str(uid.JPEGBaseline8Bit), LossyImageCompression="01")
    facts = [slices[11], *slices[1:5], *slices[6:11], lossy, lossless]
    report = select(slices[11], facts, RULES, pixels_agree=never)
    assert reason_of(report, lossy) == Code.LOSSY_DIFFERS and reason_of(report, lossless) == Code.USED


def test_a_broken_copy_beside_a_whole_one_is_no_conflict():
    slices = series(12)
    cut = replace(copy_of(slices[5], "cut.dcm"), reason=Code.TRUNCATED, detail="half")
    report = select(slices[0], [*slices, cut], RULES, pixels_agree=never)
    assert report.ok and reason_of(report, cut) == Code.TRUNCATED


def test_three_copies_leave_one():
    slices = series(12)
    copies = [copy_of(slices[5], f"copy{n}.dcm") for n in range(3)]
    report = select(slices[0], [*slices, *copies], RULES, pixels_agree=agree)
    assert report.ok and len(report.stack) == 12
    assert sum(row.reason == Code.DUPLICATE for row in report.rows) == 3
    assert all(isinstance(row.path, Path) for row in report.rows)


def test_b14_two_lossy_copies_are_compared_by_their_pixels():
    slices = [changed(image, LossyImageCompression="01") for image in series(12)]
    rival = copy_of(slices[5], "rival.dcm")
    assert select(slices[0], [*slices, rival], RULES, pixels_agree=agree).ok
    report = select(slices[0], [*slices, rival], RULES, pixels_agree=differ)
    assert report.verdict == Code.DUPLICATE_CONFLICT

"""Steps 1 and 2: which files of a folder are DICOM files, and which can be read (group A)."""

from dataclasses import replace
from pathlib import Path

import pytest

from scp.errors import Code
from scp.model import Candidates, FileFacts, SelectionRules
from scp.selection import select
from tests.selection.slices import FOLDER, beside, foreign, notes_of, reason_of, series


@pytest.mark.parametrize(
    ("case", "name", "preamble", "scanned", "outcome"),
    [
        ("A1", "photo.png", False, Code.NOT_DICOM, Code.NOT_DICOM),
        ("A1", "Thumbs.db", False, Code.NOT_DICOM, Code.NOT_DICOM),
        ("A1", "empty.txt", False, Code.UNREADABLE, Code.NOT_DICOM),
        ("A2", "._0001.dcm", False, Code.NOT_DICOM, Code.UNREADABLE),
        ("A2", "empty.DCM", False, Code.UNREADABLE, Code.UNREADABLE),
        ("A2", "cut", True, Code.UNREADABLE, Code.UNREADABLE),
        ("A7", "link.dcm", False, Code.NOT_A_FILE, Code.NOT_A_FILE),
        ("A7", "fifo", False, Code.NOT_A_FILE, Code.NOT_A_FILE),
        ("A6", "DICOMDIR", True, Code.NOT_AN_IMAGE, Code.NOT_AN_IMAGE),
    ],
)
def test_what_is_no_readable_dicom_file_is_named(case, name, preamble, scanned, outcome):
    stranger = FileFacts(path=FOLDER / name, reason=scanned, detail="as scanned", preamble=preamble)
    report = beside(stranger)
    assert report.ok and reason_of(report, stranger) == outcome


@pytest.mark.parametrize("scanned", [Code.TRUNCATED, Code.NO_PIXEL_DATA])
def test_a5_a_whole_header_without_all_its_pixels_is_left_out(scanned):
    stranger = replace(foreign("cut.dcm"), reason=scanned, detail="10 of 20 bytes")
    assert reason_of(beside(stranger), stranger) == scanned


@pytest.mark.parametrize(
    ("rule", "suffix", "identifier", "used"),
    [
        (Candidates.SUFFIX, True, False, True),
        (Candidates.SUFFIX, False, True, False),
        (Candidates.IDENTIFIER, True, False, False),
        (Candidates.IDENTIFIER, False, True, True),
        (Candidates.BOTH, True, True, True),
        (Candidates.BOTH, True, False, False),
        (Candidates.BOTH, False, True, False),
        (Candidates.EITHER, True, False, True),
        (Candidates.EITHER, False, True, True),
        (Candidates.EITHER, False, False, False),
    ],
)
def test_a3_a4_suffix_and_identifier_make_candidates_as_configured(rule, suffix, identifier, used):
    slices = series(12)
    name = "last.IMA" if suffix else "last"
    slices[-1] = replace(slices[-1], path=FOLDER / name, preamble=identifier)
    report = select(slices[0], slices, SelectionRules(candidates=rule))
    assert reason_of(report, slices[-1]) == (Code.USED if used else Code.NOT_DICOM)


def test_a4_files_without_preamble_are_used_and_mentioned():
    slices = [replace(image, preamble=False) for image in series(12)]
    report = select(slices[0], slices, SelectionRules())
    assert len(report.stack) == 12 and Code.NO_PREAMBLE in notes_of(report)


def test_a_suffix_counts_in_letters_of_any_case():
    slices = [
        replace(image, path=Path(f"{image.path.with_suffix('')}.{end}"), preamble=False)
        for image, end in zip(series(12), ["DCM", "dcm", "Dicom", "IMA"] * 3, strict=True)
    ]
    assert len(select(slices[0], slices, SelectionRules()).stack) == 12


def test_a_reason_on_the_current_image_is_a_refusal_with_the_same_code():
    slices = series(12)
    broken = replace(slices[0], reason=Code.TRUNCATED, detail="10 of 20 bytes")
    assert select(broken, [broken, *slices[1:]], SelectionRules()).verdict == Code.TRUNCATED

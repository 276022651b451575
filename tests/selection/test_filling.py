"""Which found image fills which place (B6, D11, D13, D14)."""

from dataclasses import replace
from pathlib import Path

import pytest

from scp.errors import Code
from scp.model import FileFacts, KnownInstance, SelectionRules
from scp.selection import markers, select
from tests.selection.slices import (
    RULES,
    changed,
    detail_of,
    missing_of,
    notes_of,
    reason_of,
    series,
    slice_at,
)

ADOPTING = SelectionRules(adopt_unlabelled=True)


def agree(one: FileFacts, other: FileFacts) -> bool:
    return True


def differ(one: FileFacts, other: FileFacts) -> bool:
    return False


def elsewhere(facts: FileFacts, folder: str = "other", **changes) -> FileFacts:
    return replace(changed(facts, **changes), path=Path("/archive") / folder / facts.path.name)


def holed(*gone: int, count: int = 14) -> tuple[list[FileFacts], list[FileFacts]]:
    slices = series(count)
    return [s for k, s in enumerate(slices) if k not in gone], [slices[k] for k in gone]


def test_found_images_that_fit_number_and_position_complete_the_volume():
    here, gone = holed(4, 5, 9)
    found = [elsewhere(image) for image in gone]
    report = select(here[0], here, RULES, found=found)
    assert report.ok and len(report.stack) == 14 and not report.missing
    assert {reason_of(report, image) for image in found} == {Code.USED}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"PatientName": "Doe"}, Code.OTHER_PATIENT),
        ({"StudyInstanceUID": "7"}, Code.OTHER_STUDY),
        ({"SeriesInstanceUID": "7"}, Code.OTHER_SERIES),
        ({"Rows": 256}, Code.OTHER_MATRIX),
        ({"PhotometricInterpretation": "RGB", "SamplesPerPixel": 3}, Code.OTHER_PIXEL_FORMAT),
        ({"KVP": 80}, Code.OTHER_STACK),
        ({"ImagePositionPatient": (-128.0, -128.0, 22.0)}, Code.POSITION_DIFFERS),
        ({"ImagePositionPatient": (-100.0, -128.0, 20.0)}, Code.POSITION_DIFFERS),
        ({"InstanceNumber": 77}, Code.POSITION_DIFFERS),
    ],
)
def test_d13_a_found_image_that_does_not_fit_gets_its_reason_and_the_hole_stays(changes, reason):
    here, (gone,) = holed(4)
    found = elsewhere(gone, **changes)
    report = select(here[0], here, RULES, found=[found])
    assert report.verdict == Code.MISSING_INSTANCES and missing_of(report) == [(5, 20.0)]
    assert reason_of(report, found) == reason


def test_a_found_image_where_nothing_lacks_is_not_used():
    here = series(12)
    beyond = elsewhere(slice_at(12))
    report = select(here[0], here, RULES, found=[beyond])
    assert len(report.stack) == 12 and reason_of(report, beyond) == Code.POSITION_DIFFERS


def test_found_copies_of_what_is_here_are_duplicates_and_nobody_decodes_them():
    here, (gone,) = holed(4)
    found = [elsewhere(image) for image in [*here, gone]]
    report = select(here[0], here, RULES, found=found)
    assert report.ok and len(report.stack) == 14
    assert sum(row.reason == Code.DUPLICATE for row in report.rows) == 13


def test_found_images_at_ends_that_are_known_to_lack_are_used():
    slices = series(14)
    known = [KnownInstance(image.sop_instance_uid, image.instance_number, "index") for image in slices]
    found = [elsewhere(image) for image in slices[12:]]
    report = select(slices[0], slices[:12], RULES, known=known, found=found)
    assert report.ok and len(report.stack) == 14 and not report.missing
    assert Code.ENDS_MISSING not in notes_of(report)


def test_found_images_at_ends_that_only_a_count_tells_of_are_used():
    slices = [changed(image, ImagesInAcquisition=14, InstanceNumber=None) for image in series(14)]
    report = select(slices[0], slices[:12], RULES, found=[elsewhere(image) for image in slices[12:]])
    assert report.ok and len(report.stack) == 14


def test_d11_a_series_of_which_only_the_current_image_is_here_is_completed_whole():
    slices = series(12)
    report = select(slices[5], [slices[5]], RULES, found=[elsewhere(s) for s in slices if s is not slices[5]])
    assert report.ok and len(report.stack) == 12


def test_d11_what_is_known_to_exist_is_listed_while_it_is_not_here():
    known = [KnownInstance(f"1.2.3.4.{k}", k + 1, "PACS") for k in range(12)]
    report = select(slice_at(5), [slice_at(5)], RULES, known=known)
    assert report.verdict == Code.TOO_FEW_IMAGES and len(report.missing) == 11


def test_d14_of_two_images_for_one_hole_the_one_whose_header_agrees_in_most_is_used():
    here, (gone,) = holed(4)
    here = [changed(image, ProtocolName="Chest") for image in here]
    right = elsewhere(gone, "a", ProtocolName="Chest")
    wrong = elsewhere(gone, "b", ProtocolName="Head", SOPInstanceUID="9.9")
    report = select(here[0], here, RULES, found=[wrong, right])
    assert report.ok and reason_of(report, right) == Code.USED
    assert reason_of(report, wrong) == Code.POSITION_DIFFERS


def test_d14_a_tie_is_refused():
    here, (gone,) = holed(4)
    found = [elsewhere(gone, "a"), elsewhere(gone, "b", SOPInstanceUID="9.9")]
    report = select(here[0], here, RULES, found=found)
    assert report.verdict == Code.CANDIDATE_CONFLICT
    assert all(str(image.path) in report.sentence for image in found)


def test_two_found_copies_of_one_missing_image_are_compared_by_their_pixels():
    here, (gone,) = holed(4)
    found = [elsewhere(gone, "a"), elsewhere(gone, "b")]
    agreeing = select(here[0], here, RULES, found=found, pixels_agree=agree)
    assert agreeing.ok and len(agreeing.stack) == 14
    differing = select(here[0], here, RULES, found=found, pixels_agree=differ)
    assert differing.verdict == Code.DUPLICATE_CONFLICT


def test_b6_an_unlabelled_image_is_adopted_for_a_hole_it_fits_where_that_is_allowed():
    here, (gone,) = holed(4)
    unlabelled = changed(gone, SeriesInstanceUID=None)
    report = select(here[0], [*here, unlabelled], ADOPTING)
    assert report.ok and len(report.stack) == 14 and reason_of(report, unlabelled) == Code.USED
    assert Code.ADOPTED in notes_of(report) and markers(report) == ("ADOPTED",)


def test_b6_an_unlabelled_image_is_left_out_where_adoption_is_not_allowed():
    here, (gone,) = holed(4)
    unlabelled = changed(gone, SeriesInstanceUID=None)
    report = select(here[0], [*here, unlabelled], RULES)
    assert report.verdict == Code.MISSING_INSTANCES
    assert reason_of(report, unlabelled) == Code.SERIES_UID_MISSING


@pytest.mark.parametrize(
    "changes",
    [
        {"SeriesNumber": None},
        {"SeriesNumber": 9},
        {"Modality": None},
        {"PatientID": None},
        {"FrameOfReferenceUID": None},
        {"FrameOfReferenceUID": "7"},
        {"KVP": 80},
        {"PatientName": "Doe"},
        {"ImagePositionPatient": (-128.0, -128.0, 25.0)},
        {"InstanceNumber": 6},
    ],
)
def test_b6_adoption_wants_every_witness(changes):
    here, (gone,) = holed(4)
    unlabelled = changed(gone, SeriesInstanceUID=None, **changes)
    report = select(here[0], [*here, unlabelled], ADOPTING)
    assert report.verdict == Code.MISSING_INSTANCES
    assert reason_of(report, unlabelled) != Code.USED and detail_of(report, unlabelled)


def test_b6_an_unlabelled_image_where_nothing_lacks_is_left_out():
    here = series(12)
    stray = slice_at(12, SeriesInstanceUID=None)
    report = select(here[0], [*here, stray], ADOPTING)
    assert len(report.stack) == 12 and reason_of(report, stray) == Code.SERIES_UID_MISSING


def test_b6_a_labelled_image_goes_before_an_unlabelled_one():
    here, (gone,) = holed(4)
    unlabelled = changed(gone, SeriesInstanceUID=None, SOPInstanceUID="9.9")
    labelled = elsewhere(gone)
    report = select(here[0], [*here, unlabelled], ADOPTING, found=[labelled])
    assert report.ok and reason_of(report, labelled) == Code.USED
    assert Code.ADOPTED not in notes_of(report)


def test_found_images_without_numbers_go_to_their_own_holes_in_a_stack_that_is_nearly_gone():
    slices = [changed(image, InstanceNumber=None) for image in series(41)]
    here = [image for k, image in enumerate(slices) if k % 8 == 0 or k in (1, 2)]
    found = [elsewhere(image) for image in slices if image not in here]
    report = select(here[0], here, RULES, found=found)
    assert report.ok and len(report.stack) == 41


def test_a_number_between_two_holes_fills_only_its_own():
    here, gone = holed(4, 5)
    swapped = [elsewhere(gone[0], InstanceNumber=6), elsewhere(gone[1], InstanceNumber=5)]
    report = select(here[0], here, RULES, found=swapped)
    assert {reason_of(report, image) for image in swapped} == {Code.POSITION_DIFFERS}
    assert len(report.missing) == 2


def test_where_only_ends_lack_nothing_is_put_between_two_slices():
    slices = [changed(image, ImagesInAcquisition=14, InstanceNumber=None) for image in series(12)]
    between = elsewhere(slice_at(40, 27.5, ImagesInAcquisition=14, InstanceNumber=None))
    report = select(slices[0], slices, RULES, found=[between])
    assert report.ok and reason_of(report, between) == Code.POSITION_DIFFERS

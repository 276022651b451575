"""Which found image fills which place (B6, D11, D13, D14)."""

from dataclasses import replace
from pathlib import Path

import pytest

from scp.errors import Code
from scp.model import FileFacts, KnownInstance, SelectionRules
from scp.selection import as_json, markers, select
from tests.selection.slices import (
    FOLDER,
    RULES,
    at_positions,
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


# where the steps on both sides of a hole differ, where a slice lay is a guess: 4 mm below, 7 mm above

JOINED = [0.0, 4.0, 8.0, 12.0, 16.0, 17.0, 24.0, 31.0, 38.0, 45.0, 52.0]
"""With a junction of 1 mm between the images 5 and 6."""


def holed_at(*gone: int, positions_mm=JOINED) -> tuple[list[FileFacts], list[FileFacts]]:
    slices = at_positions(positions_mm)
    return [s for s in slices if s.instance_number not in gone], [slices[n - 1] for n in gone]


@pytest.mark.parametrize(
    ("gone", "neighbours_mm"), [((5,), (12, 17)), ((6,), (16, 24)), ((5, 6), (12, 24)), ((6, 7), (16, 31))]
)
def test_between_different_steps_what_lacks_is_told_by_its_neighbours_and_fits_where_it_lay(
    gone, neighbours_mm
):
    here, lost = holed_at(*gone)
    alone = select(here[0], here, RULES)
    assert alone.verdict == Code.MISSING_INSTANCES
    assert [(m.instance_number, m.between_mm) for m in alone.missing] == [(n, neighbours_mm) for n in gone]
    told = as_json(alone, FOLDER)["missing"]
    assert [(m["position_mm"], m["between_mm"]) for m in told] == [(None, [*neighbours_mm])] * len(gone)

    found = [elsewhere(image) for image in lost]
    report = select(here[0], here, RULES, found=found)
    assert report.ok and len(report.stack) == 11 and not report.missing
    first = select(here[0], here, RULES, found=found[:1])
    assert reason_of(first, found[0]) == Code.USED
    assert [m.instance_number for m in first.missing] == [*gone[1:]]


def test_beside_a_junction_that_is_here_the_steps_tell_where_a_slice_lay():
    for number in (4, 7):
        here, (gone,) = holed_at(number)
        (missing,) = select(here[0], here, RULES).missing
        assert missing.position_mm == JOINED[number - 1] and missing.between_mm is None
        moved = elsewhere(gone, ImagePositionPatient=(-128.0, -128.0, JOINED[number - 1] + 1.5))
        assert reason_of(select(here[0], here, RULES, found=[moved]), moved) == Code.POSITION_DIFFERS


@pytest.mark.parametrize(
    "changes",
    [
        {"InstanceNumber": 7},
        {"InstanceNumber": None},
        {"ImagePositionPatient": (-128.0, -128.0, 16.005)},
        {"ImagePositionPatient": (-128.0, -128.0, 24.0)},
        {"ImagePositionPatient": (-128.0, -128.0, 27.0)},
        {"ImagePositionPatient": (-127.0, -128.0, 17.0)},
        {"KVP": 80},
        {"SeriesInstanceUID": "7"},
    ],
)
def test_between_different_steps_place_alone_or_number_alone_admits_nothing(changes):
    here, (gone,) = holed_at(6)
    found = elsewhere(gone, **changes)
    report = select(here[0], here, RULES, found=[found])
    assert report.verdict == Code.MISSING_INSTANCES and len(report.stack) == 10
    assert reason_of(report, found) != Code.USED


@pytest.mark.parametrize(("mm", "fits"), [(20.0, True), (23.0, True), (21.5, False)])
def test_between_different_steps_an_image_fits_where_the_steps_it_leaves_can_be_explained(mm, fits):
    here, (gone,) = holed_at(6, positions_mm=[0, 4, 8, 12, 16, 20, 27, 34, 41, 48, 55])
    found = elsewhere(gone, ImagePositionPatient=(-128.0, -128.0, mm))
    report = select(here[0], here, RULES, found=[found])
    assert reason_of(report, found) == (Code.USED if fits else Code.POSITION_DIFFERS)
    assert report.verdict == (Code.OK if fits else Code.MISSING_INSTANCES)


def test_between_different_steps_an_image_that_is_refused_is_told_the_range():
    here, (gone,) = holed_at(6)
    found = elsewhere(gone, ImagePositionPatient=(-128.0, -128.0, 27.0))
    report = select(here[0], here, RULES, found=[found])
    assert detail_of(report, found).startswith(
        "number 6 is at 27.000 mm, expected between 16.000 and 24.000 mm"
    )


def test_images_of_one_hole_between_different_steps_stand_in_the_order_of_their_numbers():
    here, (five, six) = holed_at(5, 6)
    swapped = [elsewhere(five, InstanceNumber=6), elsewhere(six, InstanceNumber=5)]
    report = select(here[0], here, RULES, found=swapped)
    assert len(report.missing) == 2
    assert {reason_of(report, image) for image in swapped} == {Code.POSITION_DIFFERS}


def test_an_unlabelled_image_is_not_adopted_where_its_place_is_a_guess():
    here, (gone,) = holed_at(6)
    unlabelled = changed(gone, SeriesInstanceUID=None)
    report = select(here[0], [*here, unlabelled], ADOPTING)
    assert report.verdict == Code.MISSING_INSTANCES and reason_of(report, unlabelled) != Code.USED

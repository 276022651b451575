"""Step 9 and 10: what a stack lacks, by number and position (group D)."""

import pytest

from scp.errors import Code
from scp.model import KnownInstance, Policy, SelectionRules
from scp.selection import markers, refusal, select
from tests.selection.slices import (
    RULES,
    at_positions,
    changed,
    missing_of,
    notes_of,
    series,
    slice_at,
)


def without(count: int, *gone: int, **changes):
    """Return *count* slices less those of the indices *gone*; all keep their numbers."""
    return [image for k, image in enumerate(series(count, **changes)) if k not in gone]


def test_d1_a_skipped_number_where_a_position_lacks_is_missing_at_its_place():
    slices = without(12, 6)
    report = select(slices[0], slices, RULES)
    assert missing_of(report) == [(7, 30.0)]
    assert report.missing[0].image_position_patient == (-128.0, -128.0, 30.0)
    assert report.missing[0].before == 6
    assert refusal(report).error_comment == "missing-instances: 1 of 12 (7)"


def test_d1_every_second_slice_lost_is_seen_by_the_numbers_although_positions_are_even():
    slices = series(21)[::2]
    report = select(slices[0], slices, RULES)
    assert [number for number, _ in missing_of(report)] == list(range(2, 21, 2))
    assert report.verdict == Code.MISSING_INSTANCES


def test_d1_a_long_hole_is_counted_by_its_positions_although_another_image_bears_one_of_its_numbers():
    slices = without(14, *range(1, 11))
    sagittal = slice_at(
        9, name="x.dcm", SOPInstanceUID="9.1", ImageOrientationPatient=(0.0, 1.0, 0.0, 0.0, 0.0, -1.0)
    )
    report = select(slices[0], [*slices, sagittal], RULES)
    assert missing_of(report) == [(k + 1, 5.0 * k) for k in range(1, 11)]


def test_d2_numbers_that_skip_where_no_position_lacks_are_only_a_note():
    slices = at_positions([5.0 * k for k in range(12)], [1, 2, 3, 10, 11, 12, 13, 14, 20, 21, 22, 23])
    report = select(slices[0], slices, RULES)
    assert report.ok and not report.missing and Code.NUMBERING_GAP in notes_of(report)


def test_d2_a_filtered_list_of_numbers_is_only_a_note():
    slices = at_positions([5.0 * k for k in range(12)], [3, 4, 9, 11, 12, 17, 18, 25, 29, 30, 31, 40])
    report = select(slices[0], slices, RULES)
    assert report.ok and not report.missing and Code.NUMBERING_GAP in notes_of(report)


def test_d3_a_hole_in_the_positions_counts_although_numbers_go_on():
    slices = at_positions([5.0 * k for k in range(12) if k != 6])
    report = select(slices[0], slices, RULES)
    assert missing_of(report) == [(None, 30.0)]
    assert refusal(report).error_comment == "missing-instances: 1 of 12 (at 30.0 mm)"


@pytest.mark.parametrize(
    "numbers", [[None] * 12, [1] * 12, [1, 2, 3, 4, 5, 6, 6, 7, 8, 9, 10, 11], [*range(11), None]]
)
def test_d4_unusable_numbers_leave_positions_alone(numbers):
    slices = at_positions([5.0 * k for k in range(12)], numbers)
    report = select(slices[0], slices, RULES)
    assert report.ok and Code.NUMBERING_UNUSABLE in notes_of(report)
    gone = slices[:6] + slices[7:]
    assert missing_of(select(gone[0], gone, RULES)) == [(None, 30.0)]


@pytest.mark.parametrize(
    "numbers",
    [range(12, 0, -1), [1, 3, 5, 7, 9, 11, 2, 4, 6, 8, 10, 12], [7, 1, 12, 3, 2, 4, 6, 5, 11, 8, 9, 10]],
)
def test_d5_numbers_in_another_order_than_the_positions_are_used(numbers):
    slices = at_positions([5.0 * k for k in range(12)], list(numbers))
    report = select(slices[0], slices, RULES)
    assert report.ok and list(report.stack) == slices and not notes_of(report)


def test_d5_falling_numbers_name_what_lacks():
    slices = at_positions([5.0 * k for k in range(12)], list(range(12, 0, -1)))
    gone = slices[:4] + slices[6:]
    assert missing_of(select(gone[0], gone, RULES)) == [(8, 20.0), (7, 25.0)]


def test_d5_one_number_and_one_hole_belong_together_in_any_order():
    slices = at_positions([5.0 * k for k in range(12)], [1, 3, 5, 7, 9, 11, 2, 4, 6, 8, 10, 12])
    gone = slices[:4] + slices[5:]
    assert missing_of(select(gone[0], gone, RULES)) == [(9, 20.0)]


def test_d6_images_in_acquisition_tells_of_lacking_ends_and_does_not_refuse():
    slices = series(12, ImagesInAcquisition=15, AcquisitionNumber=1)
    report = select(slices[0], slices, RULES)
    assert report.ok and Code.ENDS_MISSING in notes_of(report)
    assert missing_of(report) == [(13, 60.0), (14, 65.0), (15, 70.0)]
    assert not report.holes and len(report.ends) == 3 and markers(report) == ("INCOMPLETE",)


def test_d6_number_of_slices_tells_of_lacking_ends():
    slices = [slice_at(k, NumberOfSlices=14) for k in range(2, 14)]
    report = select(slices[0], slices, RULES)
    assert missing_of(report) == [(1, 0.0), (2, 5.0)]
    assert [end.before for end in report.missing] == [0, 0]


def test_d6_what_index_and_peers_hold_tells_of_lacking_ends():
    slices = series(12)
    known = [KnownInstance(f"1.2.3.4.{k}", k + 1, "PACS") for k in range(14)]
    report = select(slices[0], slices, RULES, known=known)
    assert report.ok and missing_of(report) == [(13, 60.0), (14, 65.0)]
    assert [end.sop_instance_uid for end in report.missing] == ["1.2.3.4.12", "1.2.3.4.13"]


def test_d6_images_of_other_stacks_count_towards_images_in_acquisition():
    axial = series(12, ImagesInAcquisition=24, AcquisitionNumber=1)
    coronal = [
        changed(
            slice_at(k, name=f"c{k}", SOPInstanceUID=f"7.{k}"),
            ImagesInAcquisition=24,
            AcquisitionNumber=1,
            ImageOrientationPatient=(1.0, 0.0, 0.0, 0.0, 0.0, -1.0),
        )
        for k in range(12)
    ]
    report = select(axial[0], [*axial, *coronal], RULES)
    assert report.ok and Code.ENDS_MISSING not in notes_of(report)


def test_a_missing_number_that_somebody_holds_brings_its_sop_instance_uid():
    slices = without(12, 6)
    report = select(slices[0], slices, RULES, known=[KnownInstance("1.2.3.4.6", 7, "PACS")])
    assert [m.sop_instance_uid for m in report.missing] == ["1.2.3.4.6"]


@pytest.mark.parametrize(
    "steps",
    [[5.0] * 6 + [10.0] * 6, [4.002] * 13 + [1.081] + [6.999] * 13, [5.0] * 3 + [2.5] * 3 + [5.0] * 3],
)
def test_d7_regimes_and_their_junction_are_used_at_true_positions(steps):
    slices = at_positions([sum(steps[:k]) for k in range(len(steps) + 1)])
    report = select(slices[0], slices, RULES)
    assert report.ok and len(report.stack) == len(slices) and Code.VARIABLE_SPACING in notes_of(report)


@pytest.mark.parametrize("gone", [(), (5,), (5, 20)])
def test_d7_the_note_tells_the_shortest_and_longest_step_between_two_slices_that_follow_each_other(gone):
    steps = [4.002] * 13 + [1.081] + [6.999] * 13
    slices = at_positions([sum(steps[:k]) for k in range(len(steps) + 1)])
    left = [image for k, image in enumerate(slices) if k not in gone]
    report = select(left[0], left, RULES)
    assert len(report.missing) == len(gone)
    (detail,) = (note.detail for note in report.notes if note.code == Code.VARIABLE_SPACING)
    assert detail == "steps from 1.081 to 6.999 mm"


def test_d7_two_longer_steps_are_no_regime_but_holes():
    steps = [5.0] * 6 + [10.0] * 2 + [5.0] * 4
    slices = at_positions([sum(steps[:k]) for k in range(len(steps) + 1)])
    assert missing_of(select(slices[0], slices, RULES)) == [(None, 35.0), (None, 45.0)]


def test_d7_longer_steps_without_numbers_may_be_lost_slices_and_are_holes():
    steps = [5.0] * 6 + [10.0] * 6
    slices = at_positions([sum(steps[:k]) for k in range(len(steps) + 1)], [None] * 13)
    assert len(select(slices[0], slices, RULES).missing) == 6


def test_d7_a_slice_lost_where_one_regime_ends_is_expected_at_the_border():
    slices = at_positions([0, 4, 8, 12, 16, 20, 31, 38, 45, 52, 59], [1, 2, 3, 4, 5, 6, 8, 9, 10, 11, 12])
    (only,) = missing_of(select(slices[0], slices, RULES))
    assert only in ((7, 24.0), (7, 27.0))


def test_d8_jitter_within_a_tenth_of_the_step_is_used():
    jitter = [0.0, 0.4, -0.4, 0.2, 0.5, -0.3, 0.1, -0.5, 0.45, 0.0, -0.2, 0.3]
    slices = at_positions([5.0 * k + jitter[k] for k in range(12)])
    report = select(slices[0], slices, RULES)
    assert report.ok and not report.missing and not report.notes


@pytest.mark.parametrize(("count", "verdict"), [(9, "too-few-images"), (10, "ok"), (1, "too-few-images")])
def test_d10_fewer_than_the_minimum_is_refused_and_ten_are_enough(count, verdict):
    slices = series(count)
    report = select(slices[0], slices, RULES)
    assert report.verdict == verdict
    if not report.ok:
        assert refusal(report).error_comment == f"too-few-images: {count} of 10"


def test_d10_nine_images_and_a_hole_are_called_missing_and_the_sentence_says_both():
    slices = without(10, 4)
    report = select(slices[0], slices, RULES)
    assert report.verdict == Code.MISSING_INSTANCES
    assert "1 of 10 images is missing: 5" in report.sentence and "9 images are here" in report.sentence


def test_d10_filled_slices_do_not_count_towards_the_minimum():
    slices = without(10, 4)
    for policy in (Policy.INTERPOLATE, Policy.PAD):
        report = select(slices[0], slices, SelectionRules(policy=policy))
        assert refusal(report).error_comment == "too-few-images: 9 of 10"


def test_d12_several_holes_are_each_listed_with_number_and_position():
    slices = without(16, 3, 7, 8, 9, 13)
    report = select(slices[0], slices, RULES)
    assert missing_of(report) == [(4, 15.0), (8, 35.0), (9, 40.0), (10, 45.0), (14, 65.0)]
    assert refusal(report).error_comment == "missing-instances: 5 of 16 (4, 8, 9, 10, 14)"


@pytest.mark.parametrize(
    ("policy", "gone", "at_most", "verdict"),
    [
        (Policy.INTERPOLATE, (4,), 1, "ok"),
        (Policy.INTERPOLATE, (4, 6), 1, "ok"),
        (Policy.INTERPOLATE, (4, 5), 1, "missing-instances"),
        (Policy.INTERPOLATE, (4, 5), 2, "ok"),
        (Policy.PAD, (4, 5, 6), 1, "ok"),
        (Policy.REFUSE, (4,), 1, "missing-instances"),
    ],
)
def test_the_policy_decides_what_happens_to_what_stays_missing(policy, gone, at_most, verdict):
    slices = without(16, *gone)
    report = select(slices[0], slices, SelectionRules(policy=policy, interpolate_at_most=at_most))
    assert report.verdict == verdict and len(report.missing) == len(gone)


def test_error_comments_hold_as_many_numbers_as_fit():
    slices = [image for k, image in enumerate(series(400)) if k % 3 or not k]
    report = select(slices[0], slices, RULES)
    comment = refusal(report).error_comment
    assert comment.startswith("missing-instances: 132 of 399 (4, 7, ") and comment.endswith(", ...)")
    assert len(comment) <= 64 and comment.isascii()


def test_headers_that_promise_endless_images_cost_neither_memory_nor_time():
    slices = [changed(image, ImagesInAcquisition=2**31 - 1) for image in series(12)]
    report = select(slices[0], slices, RULES)
    assert report.ok and Code.ENDS_MISSING in notes_of(report) and len(report.missing) <= 10_000


@pytest.mark.parametrize(
    "numbers", [[*range(1, 12), 2**31 - 1], [k * 10**8 for k in range(12)], [2**31 - 1, *range(1, 12)]]
)
def test_numbers_that_leap_cost_neither_memory_nor_time(numbers):
    slices = at_positions([5.0 * k for k in range(12)], numbers)
    report = select(slices[0], slices, RULES)
    assert report.ok and not report.missing


def test_a_slice_kilometres_away_is_no_loss_of_a_million_slices():
    slices = at_positions([*(5.0 * k for k in range(12)), 900_000.0])
    report = select(slices[0], slices, RULES)
    assert report.verdict == Code.IRREGULAR_SPACING and not report.missing


def test_d6_what_is_here_under_another_number_is_not_missing():
    slices = series(12)
    known = [KnownInstance(slices[3].sop_instance_uid, 104, "PACS")]
    assert not select(slices[0], slices, RULES, known=known).missing


def test_b15_what_was_rejected_is_not_missing_although_somebody_holds_it():
    slices = series(12)
    known = [KnownInstance("1.2.3.4.12", 13, "PACS")]
    assert select(slices[0], slices, RULES, known=known).missing
    assert not select(slices[0], slices, RULES, known=known, rejected={"1.2.3.4.12"}).missing

"""Step 8: the one stack of the current image (S1 to S6)."""

import math

import pytest

from scp.errors import Code
from scp.selection import refusal, select
from tests.selection.slices import (
    RULES,
    at_positions,
    changed,
    detail_of,
    foreign,
    notes_of,
    reason_of,
    series,
    slice_at,
)


@pytest.mark.parametrize(
    ("keyword", "values"),
    [
        ("TemporalPositionIdentifier", (1, 2)),
        ("EchoTime", (10.0, 90.0)),
        ("DiffusionBValue", (0.0, 1000.0)),
        ("DiffusionBValue", (None, 1000.0)),
        ("ComplexImageComponent", ("MAGNITUDE", "PHASE")),
        ("ConvolutionKernel", ("SOFT", "LUNG")),
        ("TriggerTime", (0.0, 350.0)),
        ("TemporalPositionIndex", (1, 2)),
        ("AcquisitionNumber", (1, 2)),
        ("SeriesDescription", ("arterial", "venous")),
        ("AcquisitionTime", ("101112", "101212")),
    ],
)
def test_s1_where_positions_repeat_the_stack_of_the_current_image_stays(keyword, values):
    first, second = (
        [
            changed(image, **{keyword: value, "SOPInstanceUID": f"1.2.{n}.{k}", "InstanceNumber": 2 * k + n})
            for k, image in enumerate(series(12, name=""))
        ]
        for n, value in enumerate(values)
    )
    second = [_renamed(image, f"second{k}.dcm") for k, image in enumerate(second)]
    for current, others in ((first[3], second), (second[3], first)):
        report = select(current, [*first, *second], RULES)
        assert report.ok and len(report.stack) == 12 and current in report.stack
        assert {reason_of(report, image) for image in others} == {Code.OTHER_STACK}
        assert keyword in detail_of(report, others[0])


def _renamed(image, name):
    return type(image)(path=image.path.with_name(name), header=image.header)


def test_s1_numbers_that_another_stack_bears_are_not_missing_from_this_one():
    odd = [slice_at(k, InstanceNumber=2 * k + 1, EchoTime=10.0) for k in range(12)]
    even = [
        slice_at(k, name=f"e{k}", SOPInstanceUID=f"8.{k}", InstanceNumber=2 * k + 2, EchoTime=90.0)
        for k in range(12)
    ]
    report = select(odd[0], [*odd, *even], RULES)
    assert report.ok and not report.missing


def test_s1_a_trigger_time_of_its_own_on_every_slice_costs_no_slice():
    slices = [slice_at(k, TriggerTime=40.0 * k) for k in range(12)]
    assert len(select(slices[0], slices, RULES).stack) == 12


def test_s2_two_acquisitions_that_go_on_evenly_are_joined():
    slices = [slice_at(k, AcquisitionNumber=1 if k < 6 else 2) for k in range(12)]
    assert len(select(slices[0], slices, RULES).stack) == 12


@pytest.mark.parametrize("gap_mm", [200.0, 203.1])
def test_s2_two_acquisitions_apart_are_two_stacks(gap_mm):
    chest = [slice_at(k, AcquisitionNumber=1) for k in range(12)]
    pelvis = [slice_at(k + 12, 5.0 * (k + 11) + gap_mm, AcquisitionNumber=2) for k in range(12)]
    report = select(pelvis[2], [*chest, *pelvis], RULES)
    assert report.ok and set(map(id, report.stack)) == set(map(id, pelvis))
    assert "AcquisitionNumber" in detail_of(report, chest[0])


def test_s2_acquisitions_that_overlap_between_each_other_are_two_stacks():
    one = [slice_at(k, AcquisitionNumber=1) for k in range(20)]
    other = [slice_at(k + 20, 5.0 * k + 51.7, AcquisitionNumber=2) for k in range(20)]
    report = select(one[0], [*one, *other], RULES)
    assert report.ok and len(report.stack) == 20 and reason_of(report, other[3]) == Code.OTHER_STACK


@pytest.mark.parametrize("acquisition", [range(14), [*range(6), *[99] * 8], [*[99] * 6, *range(8)]])
def test_a_lost_slice_beside_a_rotation_of_its_own_number_is_a_hole_and_no_second_volume(acquisition):
    slices = [
        slice_at(k, AcquisitionNumber=acquisition[k], InstanceNumber=k - (k > 6)) for k in range(14) if k != 6
    ]
    for current in (slices[0], slices[-1]):
        report = select(current, slices, RULES)
        assert report.verdict == Code.MISSING_INSTANCES and len(report.stack) == 13


def test_s2_acquisitions_that_overlap_by_half_steps_are_two_stacks_and_no_change_of_spacing():
    one = [slice_at(k, AcquisitionNumber=1) for k in range(20)]
    other = [slice_at(k + 20, 5.0 * k + 52.5, AcquisitionNumber=2) for k in range(20)]
    for current, rest in ((one[3], other), (other[3], one)):
        report = select(current, [*one, *other], RULES)
        assert report.ok and len(report.stack) == 20 and reason_of(report, rest[3]) == Code.OTHER_STACK


def test_s2_a_change_of_spacing_that_the_numbers_go_through_is_one_volume_whatever_the_acquisitions():
    steps = [5.0] * 6 + [2.5] * 8 + [5.0] * 6
    slices = [slice_at(k, sum(steps[:k]), AcquisitionNumber=1 + (6 <= k < 14 and k % 2)) for k in range(21)]
    report = select(slices[0], slices, RULES)
    assert report.ok and len(report.stack) == 21


def test_s3_slabs_at_other_angles_are_left_out_by_orientation():
    tilted = (1.0, 0.0, 0.0, 0.0, math.cos(0.3), -math.sin(0.3))
    slabs = [slice_at(k, ImageOrientationPatient=tilted) for k in range(12, 24)]
    report = select(slice_at(0), [*series(12), *slabs], RULES)
    assert report.ok and {reason_of(report, image) for image in slabs} == {Code.OTHER_ORIENTATION}


def test_s4_positions_that_repeat_and_nothing_that_tells_them_apart_are_refused():
    slices = series(12)
    twin = foreign("twin.dcm", 3, InstanceNumber=99)
    report = select(slices[0], [*slices, twin], RULES)
    assert report.verdict == Code.AMBIGUOUS_STACK
    assert "twin.dcm" in report.sentence and "0003.dcm" in report.sentence


def test_b8_an_intruder_with_every_identifier_alike_is_caught_by_the_stack():
    slices = series(12, SeriesDescription="Chest")
    intruder = foreign("intruder.dcm", 3, SeriesDescription="Other")
    report = select(slices[0], [*slices, intruder], RULES)
    assert report.ok and reason_of(report, intruder) == Code.OTHER_STACK


def test_s5_slices_beside_the_line_of_the_others_are_refused():
    slices = [
        slice_at(k, ImagePositionPatient=(40 * math.cos(k), 40 * math.sin(k), 5.0 * k)) for k in range(12)
    ]
    assert select(slices[0], slices, RULES).verdict == Code.NOT_A_STACK


def test_s6_images_that_all_lie_at_one_position_are_refused():
    slices = [slice_at(k, 0.0, TemporalPositionIdentifier=k) for k in range(30)]
    report = select(slices[0], slices, RULES)
    assert refusal(report).error_comment == "no-extent: 30 images at one position"


@pytest.mark.parametrize("steps", [[5, 5, 5, 7.5, 5, 5, 5], [5, 5, 5, 2, 5, 5, 5], [5, 5, 5, 8, 5, 5, 5, 5]])
def test_d15_a_step_that_nothing_explains_is_refused_with_both_files_and_steps(steps):
    slices = at_positions([sum(steps[:k]) for k in range(len(steps) + 1)])
    report = select(slices[0], slices, RULES)
    assert report.verdict == Code.IRREGULAR_SPACING
    assert "0003.dcm to 0004.dcm" in report.sentence and f"{steps[3]:.3f} mm" in report.sentence
    assert "5.000 mm" in report.sentence
    assert refusal(report).error_comment == f"irregular-spacing: {steps[3]:.3f} mm, 5.000 mm"


@pytest.mark.parametrize(
    "orientation",
    [
        (1.0, 0.0, 0.0, 0.0, 1.0, 0.0),
        (-1.0, 0.0, 0.0, 0.0, 1.0, 0.0),
        (1.0, 0.0, 0.0, 0.0, 0.0, -1.0),
        (0.0, 1.0, 0.0, 0.0, 0.0, -1.0),
    ],
)
def test_the_stack_is_ordered_along_the_normal_of_the_current_image(orientation):
    row, column = orientation[:3], orientation[3:]
    across = (
        row[1] * column[2] - row[2] * column[1],
        row[2] * column[0] - row[0] * column[2],
        row[0] * column[1] - row[1] * column[0],
    )
    slices = [
        slice_at(
            k, ImageOrientationPatient=orientation, ImagePositionPatient=tuple(5.0 * k * c for c in across)
        )
        for k in range(12)
    ]
    report = select(slices[5], slices[::-1], RULES)
    assert list(report.stack) == slices


def test_d9_an_even_tilt_is_used_and_mentioned():
    slices = [slice_at(k, ImagePositionPatient=(0.0, 1.7 * k, 5.0 * k)) for k in range(12)]
    report = select(slices[0], slices, RULES)
    assert report.ok and len(report.stack) == 12 and Code.GANTRY_TILT in notes_of(report)


def test_a_shear_of_rounded_cosines_is_no_tilt():
    slices = [slice_at(k, ImagePositionPatient=(0.0, 0.002 * k, 5.0 * k)) for k in range(12)]
    assert Code.GANTRY_TILT not in notes_of(select(slices[0], slices, RULES))

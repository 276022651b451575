"""Which image a request stands for that names only a series (S0)."""

import dataclasses

import pytest

from scp.errors import Code, Refused
from scp.selection import current_of_series, middle
from tests.selection.slices import RULES, changed, foreign, series, slice_at


def coronal(count: int):
    return [
        slice_at(
            100 + k,
            ImageOrientationPatient=(1.0, 0.0, 0.0, 0.0, 0.0, -1.0),
            ImagePositionPatient=(0.0, 5.0 * k, 0.0),
            InstanceNumber=100 + k,
        )
        for k in range(count)
    ]


def test_s0_the_middle_image_of_the_one_stack_stands_for_the_series():
    slices = series(13)
    assert current_of_series(slices[::-1], RULES) is slices[6]


def test_s0_smaller_stacks_localizers_and_strange_files_do_not_count():
    slices = series(13)
    localizer = foreign("l.dcm", ImageType=("ORIGINAL", "PRIMARY", "LOCALIZER"))
    assert current_of_series([localizer, *coronal(9), *slices], RULES) is slices[6]


def test_s0_a_copy_of_an_image_makes_no_second_stack_and_no_conflict():
    slices = series(13)
    copy = dataclasses.replace(slices[0], path=slices[0].path.with_name("copy.dcm"))
    assert current_of_series([*slices, copy], RULES).instance_number == 7


def test_s0_two_stacks_of_the_minimum_size_are_refused_and_one_image_of_each_is_named():
    axial, others = series(12), coronal(10)
    with pytest.raises(Refused) as caught:
        current_of_series([*axial, *others], RULES)
    assert caught.value.error_comment == "which-stack: 2 stacks, name an image"
    assert axial[6].sop_instance_uid in caught.value.sentence
    assert others[5].sop_instance_uid in caught.value.sentence


def test_s0_stacks_of_two_patients_under_one_series_uid_are_told_as_such():
    theirs = [
        foreign(f"b{k}", k, PatientName="Poe^Eve", PatientID="P-2", SOPInstanceUID=f"8.{k}")
        for k in range(12)
    ]
    with pytest.raises(Refused) as caught:
        current_of_series([*series(12), *theirs], RULES)
    assert caught.value.error_comment == "which-stack: 2 stacks of 2 patients, name an image"
    assert caught.value.sentence.startswith(
        "The series holds 2 stacks of 2 patients; ask with the patient's name or ID, or with"
    )


def test_s0_time_points_are_two_stacks():
    first = [changed(image, TemporalPositionIdentifier=1) for image in series(12)]
    second = [
        slice_at(k, name=f"t{k}", SOPInstanceUID=f"8.{k}", TemporalPositionIdentifier=2) for k in range(12)
    ]
    with pytest.raises(Refused) as caught:
        current_of_series([*first, *second], RULES)
    assert caught.value.code == Code.WHICH_STACK


def test_s0_a_series_that_is_here_in_part_has_a_middle_and_is_counted_after_the_searches():
    slices = series(4)
    assert current_of_series(slices, RULES) is slices[2]


def test_s0_no_stack_large_enough_is_refused_with_the_largest():
    with pytest.raises(Refused) as caught:
        current_of_series([*series(7), *coronal(8)], RULES)
    assert caught.value.error_comment == "too-few-images: 8 of 10"


def test_s0_a_series_without_any_slice_is_refused_as_its_images_would_be():
    captures = [foreign(f"{k}", k, SOPClassUID="1.2.840.10008.5.1.4.1.1.7") for k in range(12)]
    with pytest.raises(Refused) as caught:
        current_of_series(captures, RULES)
    assert caught.value.code == Code.NOT_A_SOURCE_IMAGE


def test_s0_a_series_that_has_a_hole_still_has_a_middle():
    slices = series(14)
    assert current_of_series(slices[:4] + slices[5:], RULES) in slices


def test_s0_an_empty_folder_is_refused():
    with pytest.raises(Refused) as caught:
        current_of_series([], RULES)
    assert caught.value.error_comment == "too-few-images: 0 of 10"


def test_s0_images_that_share_a_refusal_are_selected_once(monkeypatch):
    asked = []
    selecting = middle.select
    monkeypatch.setattr(middle, "select", lambda *told, **how: asked.append(told) or selecting(*told, **how))
    twins = [slice_at(k, name=f"twin{k}", SOPInstanceUID=f"8.{k}") for k in range(12)]
    with pytest.raises(Refused) as caught:
        current_of_series([*series(12), *twins], RULES)
    assert caught.value.code == Code.AMBIGUOUS_STACK and len(asked) == 1

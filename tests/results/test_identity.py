import re
import subprocess
import sys
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from scp.model import Direction, Interpolation, Method, Missing, Note, Policy
from scp.part10 import read_facts
from scp.pixel_digests import with_pixel_digests
from scp.results import Encoder, ResultOptions, describe
from scp.results.identity import canonical, uid
from tests.builders import image, ramp, write, write_series
from tests.results.planning import CT, digested, files_of, one_stating, pixels_of, planned, selected, stating

OPTIONS = ResultOptions(engine="reference 1", software_version="1.0")


def uids(stack, plan=None, stored=CT, options=OPTIONS, **selection):
    series = describe(selected(stack, **selection), plan or planned(), stored, options)
    return {series.series_instance_uid, *series.sop_instance_uids}


def test_the_same_request_on_the_same_images_has_the_same_uids(stack):
    assert uids(stack) == uids(stack)


def test_every_object_and_the_series_has_a_uid_of_its_own(stack):
    assert len(uids(stack)) == 5


def test_uids_follow_the_rules_of_their_notation(stack):
    assert all(re.fullmatch(r"2\.25\.(0|[1-9]\d{0,38})", each) for each in uids(stack))


@pytest.mark.parametrize("root", ["1.2.826.0.1.3680043.8.498", "1." + "1" * 38])
def test_a_root_of_ones_own_leads_and_leaves_a_legal_uid(stack, root):
    for each in uids(stack, options=replace(OPTIONS, uid_root=root)):
        assert each.startswith(root + ".")
        assert len(each) <= 64


CHANGED_SOURCES = {
    "a corrected name": {"PatientName": "Doe^Jane"},
    "a corrected position": {"ImagePositionPatient": (0.0, 0.0, 6.001)},
    "another slope": {"RescaleSlope": 2.0},
    "a comment that went away": {"BodyPartExamined": None},
    "another accession number": {"AccessionNumber": "A-2"},
}


@pytest.mark.parametrize("change", CHANGED_SOURCES.values(), ids=CHANGED_SOURCES)
def test_a_changed_attribute_of_one_source_is_another_result(stack, change):
    assert not uids(stack) & uids(one_stating(stack, 3, **change))


def test_a_changed_pixel_of_one_source_is_another_result(stack):
    changed = replace(stack[3], pixel_data=replace(stack[3].pixel_data, sha256="0" * 64))
    assert not uids(stack) & uids((*stack[:3], changed, *stack[4:]))


CHANGED_OPTIONS = {
    "class": {"sop_class": "source"},
    "compression": {"compression": "rle"},
    "interpolation": {"interpolation": Interpolation.CUBIC},
    "engine": {"engine": "numba 1"},
    "software": {"software_version": "1.1"},
}


@pytest.mark.parametrize("change", CHANGED_OPTIONS.values(), ids=CHANGED_OPTIONS)
def test_a_changed_option_is_another_result(stack, change):
    assert not uids(stack) & uids(stack, options=replace(OPTIONS, **change))


CHANGED_PLANS = {
    "direction": {"direction": Direction.SAGITTAL},
    "interval": {"interval": 0.8},
    "spacing": {"spacing": 0.8},
    "slab": {"thickness": 3.0},
    "method": {"thickness": 3.0, "method": Method.MAXIMUM_IP},
    "origin": {"origin": (-12.5, 33.0, -7.0)},
}


@pytest.mark.parametrize("change", CHANGED_PLANS.values(), ids=CHANGED_PLANS)
def test_other_planes_are_another_result(stack, change):
    assert not uids(stack) & uids(stack, planned(**change))


def test_planes_that_touch_other_sources_are_another_result(stack):
    one_less = replace(planned(), sources=((0,) * 11, *planned().sources[1:]))
    assert not uids(stack) & uids(stack, one_less)
    assert not uids(stack, one_less) & uids(stack, replace(one_less, sources=one_less.sources[::-1]))


def test_another_padding_value_is_another_result(stack):
    assert not uids(stack) & uids(stack, stored=replace(CT, padding_value=-1000))


def test_a_filled_slice_its_policy_and_a_note_that_is_written_are_another_result(stack):
    gap = [Missing(7, 12.0, (0.0, 0.0, 12.0), before=6)]
    results = [
        uids(stack),
        uids(stack, missing=gap, policy=Policy.INTERPOLATE),
        uids(stack, missing=gap, policy=Policy.PAD),
        uids(stack, notes=[Note("gantry-tilt")]),
    ]
    assert len(set().union(*results)) == sum(map(len, results))


def test_another_policy_is_another_result_even_if_nothing_lacks(stack):
    assert not uids(stack, policy=Policy.PAD) & uids(stack, policy=Policy.INTERPOLATE)


def test_what_the_pixels_do_not_depend_on_leaves_the_result_alone(stack):
    elsewhere = tuple(replace(facts, path=Path("elsewhere") / facts.path.name, stamp=None) for facts in stack)
    assert uids(elsewhere, notes=[Note("no-preamble", "3 files")]) == uids(stack)
    other_current = replace(selected(stack), current=stack[9])
    assert describe(other_current, planned(), CT, OPTIONS) == describe(
        selected(stack), planned(), CT, OPTIONS
    )


def test_an_auxiliary_attribute_that_nothing_copies_leaves_the_result_alone(stack):
    assert uids(tuple(stating(facts, OperatorsName="Someone") for facts in stack)) == uids(stack)


def test_sources_without_digests_are_not_described(stack):
    bare = tuple(replace(f, pixel_data=replace(f.pixel_data, sha256="")) for f in stack)
    with pytest.raises(ValueError, match="no digest"):
        describe(selected(bare), planned(), CT, OPTIONS)


def test_digests_are_filled_in_as_the_archive_computes_them(stack):
    bare = tuple(replace(f, pixel_data=replace(f.pixel_data, sha256="")) for f in stack)
    assert with_pixel_digests(bare) == tuple(map(digested, bare)) == stack


PROGRAM = """
import hashlib, sys
from pathlib import Path
from scp.results import Encoder, ResultOptions, describe
from tests.results.planning import CT, facts_of, files_of, pixels_of, planned, selected
stack = facts_of(sorted(Path(sys.argv[1]).iterdir()))
plan = planned()
series = describe(selected(stack), plan, CT, ResultOptions(engine="reference 1", software_version="1.0"))
for data in files_of(Encoder(series), pixels_of(plan)):
    print(hashlib.sha256(data).hexdigest())
"""


def test_two_processes_make_the_same_bytes(stack):
    plan = planned()
    series = describe(selected(stack), plan, CT, OPTIONS)
    here = [sha256(data).hexdigest() for data in files_of(Encoder(series), pixels_of(plan))]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, stack[0].path.parent],
        cwd=Path(__file__).parents[2],
        env={"PYTHONHASHSEED": "77", "TZ": "Asia/Tokyo", "LC_ALL": "C"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == here


def test_canonical_json_has_one_spelling():
    assert canonical({"b": (1.0, -0.0), "a": Direction.CORONAL}) == '{"a":"CORONAL","b":[1.0,0.0]}'
    assert canonical((0.1, 1e-7)) == "[0.1,1e-07]"


def test_what_json_cannot_say_has_no_digest():
    with pytest.raises(TypeError):
        canonical({"set": {1}})


def test_parts_of_a_uid_are_not_run_together():
    assert uid("", "a", "bc") != uid("", "ab", "c")


def test_a_file_is_digested_once_until_its_stamp_changes(tmp_path):
    (path,) = write_series([image(0)], tmp_path)
    (before,) = with_pixel_digests(read_facts(path))
    write(image(0, pixels=ramp(1, 8, 10)), path)
    (after,) = with_pixel_digests(read_facts(path))
    assert after.pixel_data.sha256 != before.pixel_data.sha256
    path.unlink()
    (remembered,) = with_pixel_digests([replace(after, pixel_data=replace(after.pixel_data, sha256=""))])
    assert remembered == after

"""The views of a report: what people and machines are told."""

import json
from dataclasses import replace

from scp.config import Config
from scp.errors import Code
from scp.model import FileFacts, Policy, Search, SelectionRules
from scp.selection import as_json, counts, image_comments, markers, position_mm, select
from tests.selection.slices import FOLDER, RULES, foreign, series, slice_at


def folder_with_strangers(*gone: int, count: int = 120):
    slices = [image for k, image in enumerate(series(count)) if k not in gone]
    strangers = [foreign(f"p{k}.dcm", PatientName="Secret^Sam") for k in range(3)]
    strangers += [
        FileFacts(path=FOLDER / f"{k}.png", reason=Code.NOT_DICOM, preamble=False) for k in range(2)
    ]
    return slices, strangers


def test_a_configuration_that_says_nothing_has_the_rules_that_stand_here():
    assert Config().rules() == SelectionRules()


def test_image_comments_say_verdict_used_excluded_missing_and_found():
    slices, strangers = folder_with_strangers(6, 7)
    found = (Search("ancestors", "the batch", 3, 1), Search("index", "the index", 2, 0))
    rules = SelectionRules(policy=Policy.PAD)
    report = select(slices[0], [*slices, *strangers], rules, searches=found)
    assert image_comments(report) == (
        "ok; used 118 of 120; excluded other-patient 3, not-dicom 2; missing 7, 8; found ancestors 1"
    )


def test_image_comments_of_a_refusal_begin_with_code_and_numbers():
    slices, _ = folder_with_strangers(6, 7)
    text = image_comments(select(slices[0], slices, RULES))
    assert text == "missing-instances: 2 of 120 (7, 8); used 118 of 120; missing 7, 8"


def test_image_comments_of_a_whole_volume_are_short():
    slices = series(12)
    assert image_comments(select(slices[0], slices, RULES)) == "ok; used 12 of 12"


def test_every_file_that_was_looked_at_has_one_row():
    slices, strangers = folder_with_strangers(6)
    found = [replace(slice_at(6), path=FOLDER.parent / "elsewhere.dcm"), slices[3]]
    report = select(slices[0], [*slices, *strangers, slices[5]], RULES, found=found)
    looked_at = sorted(image.path for image in [*slices, *strangers, found[0]])
    assert sorted(row.path for row in report.rows) == looked_at
    assert sum(counts(report).values()) == len(report.rows)
    assert counts(report)[Code.USED] == len(report.stack) == 120


def test_what_a_refusal_left_undecided_is_not_told_to_be_what_was_refused():
    slices = series(12)
    twin = foreign("twin.dcm", 3)
    report = select(slices[0], [*slices, twin], RULES)
    assert report.verdict == Code.AMBIGUOUS_STACK and not report.stack
    assert {row.reason for row in report.rows} == {Code.UNDECIDED} and len(report.rows) == 13
    assert counts(report) == {}


def test_the_neighbours_of_a_localizer_are_not_counted_as_localizers():
    localizer = slice_at(3, name="scout.dcm", ImageType=("ORIGINAL", "PRIMARY", "LOCALIZER"))
    stray = foreign("stray.dcm", PatientName="Secret^Sam")
    report = select(localizer, [*series(12), localizer, stray], RULES)
    assert counts(report) == {Code.LOCALIZER: 1, Code.OTHER_PATIENT: 1}
    assert image_comments(report).endswith("excluded localizer 1, other-patient 1")


def test_json_has_the_keys_of_explain_and_paths_relative_to_the_archive():
    slices, strangers = folder_with_strangers(6, count=12)
    searches = (Search("ancestors", "batch", 1, 0, "3 folders", 0.01234),)
    report = select(slices[0], [*slices, *strangers], RULES, searches=searches)
    told = json.loads(json.dumps(as_json(report, FOLDER.parents[3])))
    assert told["verdict"] == "missing-instances" and told["used"] == 11
    assert told["counts"] == {"used": 11, "other-patient": 3, "not-dicom": 2}
    assert told["missing"] == [{"instance_number": 7, "position_mm": 30.0}]
    assert told["notes"] == [] and told["searches"][0]["name"] == "ancestors"
    (first,) = [file for file in told["files"] if file["path"].endswith("0001.dcm")]
    assert first["path"] == "batch/patient/study/series/0001.dcm"
    assert {k: first[k] for k in ("reason", "sop_instance_uid", "instance_number", "position_mm")} == {
        "reason": "used",
        "sop_instance_uid": "1.2.3.4.1",
        "instance_number": 2,
        "position_mm": 5.0,
    }


def test_json_of_a_path_outside_is_absolute():
    slices = series(12)
    told = as_json(select(slices[0], slices, RULES), FOLDER / "deeper")
    assert told["files"][0]["path"] == str(slices[0].path)


def test_no_view_holds_patient_data():
    slices, strangers = folder_with_strangers(6)
    report = select(slices[0], [*slices, *strangers], RULES)
    views = json.dumps(as_json(report, FOLDER)) + image_comments(report)
    assert "Secret" not in views and "Roe" not in views and "P-1" not in views


def test_markers_say_what_was_filled():
    slices, _ = folder_with_strangers(6, 9)
    told = {}
    for policy in (Policy.INTERPOLATE, Policy.PAD):
        told[policy] = markers(select(slices[0], slices, SelectionRules(policy=policy)))
    assert told == {Policy.INTERPOLATE: ("INTERPOLATED",), Policy.PAD: ("INCOMPLETE",)}


def test_markers_depend_on_nothing_but_what_the_pixels_depend_on():
    slices, strangers = folder_with_strangers()
    among = select(slices[0], [*slices, *strangers], RULES, searches=(Search("index", "index", 0, 0),))
    assert markers(among) == markers(select(slices[0], slices, RULES)) == ()


def test_positions_are_along_the_normal_of_the_current_image():
    assert position_mm(slice_at(4), slice_at(0)) == 20.0
    upside_down = slice_at(0, ImageOrientationPatient=(-1.0, 0.0, 0.0, 0.0, 1.0, 0.0))
    assert position_mm(slice_at(4), upside_down) == -20.0

"""What cannot be done is refused by name, in a sentence, and the node goes on."""

import json
import re

import numpy as np
import pytest

from scp.cli import main
from tests.builders import SERIES_UID, STUDY_UID, image, series, uid, write, write_series
from tests.e2e.conftest import peer, running_node
from tests.e2e.stations import Requestor

pytestmark = [pytest.mark.foreign, pytest.mark.wire, pytest.mark.xdist_group("bad input")]

SERIES = ("QueryRetrieveLevel=SERIES", f"StudyInstanceUID={STUDY_UID}", f"SeriesInstanceUID={SERIES_UID}")
ASKED = ("ReformattingOperationType=MPR",)


@pytest.fixture(scope="module")
def asking(program, workstation, tmp_path_factory):
    """Return a requestor of a node that holds the series of 12, one of 9, one of 10, one with a hole."""
    folder = tmp_path_factory.mktemp("ward")
    kept = {"nine": range(9), "ten": range(10), "hole": [k for k in range(12) if k != 6]}
    destination = peer("WORKSTATION", workstation.port, destination=True)
    with running_node(folder / "archive", destination, peer("VIEWER", rights=("find", "get"))) as node:
        asking = Requestor(program, folder / "answers", node.address[1])
        paths = write_series(series(12), folder / "modality")
        for name, numbers in kept.items():
            slices = [
                image(
                    k,
                    StudyInstanceUID=uid(name),
                    SeriesInstanceUID=uid(name, 1),
                    SOPInstanceUID=uid(name, 2, k),
                )
                for k in numbers
            ]
            paths += write_series(slices, folder / name)
        asking.store(*paths)
        yield asking


@pytest.fixture(autouse=True)
def the_node_goes_on(asking):
    yield
    assert asking.run("echoscu", "-aet", "DCMTK", "-aec", "MPRSCP", "127.0.0.1", asking.port).returncode == 0


def of(name):
    return (
        "QueryRetrieveLevel=SERIES",
        f"StudyInstanceUID={uid(name)}",
        f"SeriesInstanceUID={uid(name, 1)}",
    )


WRONG = {
    "ReformattingOperationType": ["mpr", "MIP", "S*"],
    "ReformattingOperationInitialViewDirection": ["FRONT", r"CORONAL\SAGITTAL"],
    "ReformattingInterval": ["0", "-1", "nan", "inf"],
    "ReformattingThickness": ["5"],
    "RenderingMethod": ["MAX"],
    "ImageOrientationPatient": [r"1\0\0", r"0\1\0\0\0\-1"],
    "ImagePositionPatient": [r"1\2", r"1\2\nan"],
}


@pytest.mark.parametrize(("keyword", "value"), [(k, v) for k, values in WRONG.items() for v in values])
def test_a_value_that_is_not_understood_is_refused_by_its_key(asking, keyword, value):
    """Reformatting Thickness is wrong with MPR; an orientation must be that of the direction, CORONAL."""
    trigger = () if keyword == "ReformattingOperationType" else ASKED
    answer = asking.get(*SERIES, *trigger, f"{keyword}={value}")
    assert (answer.status, answer.comment) == (0xA900, f"bad-request: {keyword}")
    assert not answer.counts
    assert not answer.objects


@pytest.mark.parametrize(
    ("keys", "comment"),
    [
        (
            (*ASKED, "ReformattingOperationInitialViewDirection=OBLIQUE"),
            "bad-request: ImageOrientationPatient",
        ),
        (("ReformattingOperationType=SLAB",), "bad-request: ReformattingThickness"),
        (
            (
                *ASKED,
                "ReformattingOperationInitialViewDirection=OBLIQUE",
                r"ImageOrientationPatient=1\0\0\1\0\0",
            ),
            "bad-request: ImageOrientationPatient",
        ),
        ((*ASKED, r"ImagePositionPatient=0\9999\0"), "bad-request: ImagePositionPatient"),
        ((*ASKED, "PatientName=Doe^John"), "header-disagrees: PatientName"),
    ],
)
def test_keys_that_do_not_go_together_are_refused(asking, keys, comment):
    answer = asking.get(*SERIES, *keys)
    assert (answer.status, answer.comment) == (0xA900, comment)


@pytest.mark.parametrize("level", ["PATIENT", "STUDY"])
def test_a_preset_at_another_level_is_refused(asking, level):
    answer = asking.get(
        f"QueryRetrieveLevel={level}", "PatientID=P-1", *SERIES[1:2], called="MPR_COR", model="-P"
    )
    assert (answer.status, answer.comment) == (0xA900, "bad-request: QueryRetrieveLevel")


def test_a_plain_retrieve_at_a_preset_is_held_to_the_patient_that_it_names(asking):
    answer = asking.get("PatientID=P-9", *SERIES, called="MPR_COR", model="-P")
    assert (answer.status, answer.comment) == (0xA900, "header-disagrees: PatientID")


@pytest.mark.parametrize("how", ["keys", "preset"])
def test_an_unknown_destination_is_told_and_nothing_is_made(asking, how):
    keys, called = (ASKED, "MPRSCP") if how == "keys" else ((), "MPR_COR")
    answer = asking.move(*SERIES, *keys, to="NOBODY", called=called)
    assert answer.status == 0xA801
    assert answer.exit_code == 69


def test_an_unknown_series_or_image_is_told(asking):
    unknown = (*SERIES[:2], "SeriesInstanceUID=1.2.3.4.5")
    answer = asking.get(*unknown, called="MPR_COR")
    assert (answer.status, answer.comment.partition(":")[0]) == (0xC001, "unknown-image")
    answer = asking.get("QueryRetrieveLevel=IMAGE", "SOPInstanceUID=1.2.3.4.5", *ASKED)
    assert (answer.status, answer.comment.partition(":")[0]) == (0xC001, "unknown-image")
    plain = asking.get(*unknown)
    assert (plain.status, plain.counts.get("Completed", 0)) == (0x0000, 0)


def test_nine_images_are_too_few_and_ten_are_enough(asking):
    answer = asking.get(*of("nine"), called="MPR_COR")
    assert (answer.status, answer.comment) == (0xC010, "too-few-images: 9 of 10")
    assert asking.get(*of("ten"), called="MPR_COR").counts["Completed"] == 8


def test_a_refusal_calls_no_destination(asking, workstation):
    answer = asking.move(*of("hole"), to=workstation, called="MPR_COR")
    assert (answer.status, answer.comment) == (0xC011, "missing-instances: 1 of 12 (7)")
    assert (answer.exit_code, answer.counts, answer.objects) == (69, {}, [])


def test_who_has_no_right_is_told_so(asking):
    viewer = Requestor(asking.programs, asking.folder.parent / "viewer", asking.port, "VIEWER")
    answer = viewer.get(*SERIES, called="MPR_COR")
    assert (answer.status, answer.comment) == (0x0124, "not-authorized: it needs the right mpr")
    assert viewer.get(*SERIES).counts["Completed"] == 12


def test_a_destination_that_is_not_there_fails_the_request_and_nothing_else(start_node, requestor, tmp_path):
    node = start_node(peer("GONE", 1, destination=True))
    asking = requestor(node)
    asking.store(*write_series(series(12), tmp_path / "modality"))
    answer = asking.move(*SERIES, to="GONE", called="MPR_COR")
    assert answer.status == 0xA702
    assert asking.get(*SERIES, called="MPR_COR").counts["Completed"] == 8


GARBAGE = {
    "noise": np.random.default_rng(0).bytes(5000),
    "nothing": b"",
    "a preamble and noise": bytes(128) + b"DICM" + np.random.default_rng(1).bytes(5000),
    "half a header": bytes(128) + b"DICM\x02\x00\x00\x00UL\x04\x00\xff\xff\xff\x7f",
}


@pytest.mark.parametrize("command", ["mpr", "explain"])
@pytest.mark.parametrize("content", GARBAGE)
def test_the_command_line_refuses_garbage_in_one_sentence(run, tmp_path, command, content):
    folder = tmp_path / "folder"
    folder.mkdir()
    for number in range(12):
        (folder / f"{number}.dcm").write_bytes(GARBAGE[content])
    out = ("--out", tmp_path / "out") if command == "mpr" else ("--json",)
    code, printed, told = run(command, folder / "3.dcm", *out)
    assert code == 1
    assert re.fullmatch(r"mpr-scp: .*3\.dcm.*\n", told), told
    assert not (tmp_path / "out").exists()
    if command == "explain":
        report = json.loads(printed)
        assert report["verdict"] != "ok"
        assert report["used"] == 0


@pytest.fixture
def run(capsys):
    """Return a function that runs a command and tells exit code, stdout and stderr."""

    def run(*words):
        with pytest.raises(SystemExit) as ended:
            main([str(word) for word in words])
        return ended.value.code or 0, *capsys.readouterr()

    return run


@pytest.mark.parametrize("command", ["mpr", "explain"])
def test_the_command_line_says_what_lacks(run, tmp_path, command):
    write_series([ds for ds in series(12) if ds.InstanceNumber != 7], tmp_path / "series")
    out = ("--out", tmp_path / "out") if command == "mpr" else ()
    code, _, told = run(command, tmp_path / "series", *out)
    assert code == 1
    assert re.fullmatch(r"mpr-scp: .*\b7\b.*\n", told), told
    code, _, told = run(command, tmp_path / "nowhere", *out)
    assert code in (1, 2)
    assert "nowhere" in told


def test_an_image_without_geometry_is_refused_for_that(run, tmp_path):
    for k in range(12):
        write(image(k, ImagePositionPatient=None), tmp_path / "series" / f"{k}.dcm")
    code, printed, _ = run("explain", tmp_path / "series" / "3.dcm", "--json")
    assert (code, json.loads(printed)["verdict"]) == (1, "no-geometry")

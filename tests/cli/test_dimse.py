"""The commands that talk to another application entity, over loopback against one of pynetdicom."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, MediaStorageDirectoryStorage, RLELossless
from pynetdicom import AE, AllStoragePresentationContexts, build_context, evt
from pynetdicom.sop_class import (
    PatientRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
    Verification,
)

from scp.cli import main
from tests.builders import image, series, write

pytestmark = pytest.mark.wire

MODELS = (
    Verification,
    StudyRootQueryRetrieveInformationModelFind,
    PatientRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelMove,
    StudyRootQueryRetrieveInformationModelGet,
)


@dataclass
class Twin:
    """An archive of a few answers; what it was asked stands in *asked*."""

    port: int = 0
    stored: list[Dataset] = field(default_factory=list)
    asked: list[evt.Event] = field(default_factory=list)
    store_status: int = 0x0000
    refuses: frozenset[str] = frozenset()
    held: list[Dataset] = field(default_factory=list)
    refusal: Dataset | None = None

    def on_store(self, event: evt.Event) -> int:
        self.stored.append(event.dataset)
        return 0xA700 if event.dataset.SOPInstanceUID in self.refuses else self.store_status

    def on_find(self, event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        self.asked.append(event)
        for ds in self.held:
            answer = Dataset()
            answer.PatientID, answer.SOPInstanceUID = ds.PatientID, ds.SOPInstanceUID
            yield 0xFF00, answer

    def on_get(self, event: evt.Event) -> Iterator[object]:
        self.asked.append(event)
        yield len(self.held)
        for ds in self.held:
            yield 0xFF00, ds

    def on_move(self, event: evt.Event) -> Iterator[object]:
        self.asked.append(event)
        yield "127.0.0.1", self.port, {"contexts": [build_context(CTImageStorage)]}
        yield max(1, len(self.held))
        if self.refusal is not None:
            yield self.refusal, None
        for ds in self.held:
            yield 0xFF00, ds


@pytest.fixture
def twin() -> Iterator[Twin]:
    twin = Twin()
    ae = AE("TWIN")
    for model in MODELS:
        ae.add_supported_context(model, ExplicitVRLittleEndian)  # not what a data set is in by default
    for context in AllStoragePresentationContexts:
        ae.add_supported_context(context.abstract_syntax, scu_role=True, scp_role=True)
    handlers = [
        (evt.EVT_C_STORE, twin.on_store),
        (evt.EVT_C_FIND, twin.on_find),
        (evt.EVT_C_GET, twin.on_get),
        (evt.EVT_C_MOVE, twin.on_move),
    ]
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    twin.port = server.server_address[1]
    yield twin
    server.shutdown()


@pytest.fixture
def run(capsys, twin):
    """Return a function that runs a command against the twin and tells exit code, stdout and stderr."""

    def run(command: str, *words: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main([command, "127.0.0.1", str(twin.port), *map(str, words), "--aec", "TWIN"])
        return (ended.value.code or 0, *capsys.readouterr())

    return run


def test_echo_says_who_answers(run, twin):
    assert run("echo") == (0, f"127.0.0.1:{twin.port} answers as TWIN\n", "")


def test_nobody_there_is_one_sentence(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["echo", "127.0.0.1", "1", "--aec", "TWIN"])
    assert ended.value.code == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_send_takes_folders_and_leaves_out_what_is_no_dicom(run, twin, tmp_path):
    for ds in series(3):
        write(ds, tmp_path / "series" / f"{ds.InstanceNumber}.dcm")
    (tmp_path / "series" / "notes.txt").write_text("no image")
    code, out, _ = run("send", tmp_path / "series")
    assert (code, out) == (0, "sent 3 of 3; not DICOM: 1 file\n")
    assert [ds.InstanceNumber for ds in twin.stored] == [1, 2, 3]


def test_send_leaves_out_the_directory_of_a_medium_by_saying_what_it_is(run, twin, tmp_path):
    write(image(), tmp_path / "cd" / "IMAGES" / "1")
    directory = image()
    del directory.SOPClassUID, directory.SOPInstanceUID
    directory.file_meta.MediaStorageSOPClassUID = MediaStorageDirectoryStorage
    directory.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    directory.save_as(tmp_path / "cd" / "DICOMDIR")
    code, out, _ = run("send", tmp_path / "cd")
    told = f"sent 1 of 1\n{tmp_path / 'cd' / 'DICOMDIR'}: left out: it is a DICOMDIR\n"
    assert (code, out, len(twin.stored)) == (0, told, 1)
    assert json.loads(run("send", tmp_path / "cd", "--json")[1])["left_out"] == [
        str(tmp_path / "cd" / "DICOMDIR")
    ]


def test_an_image_that_names_no_instance_is_not_left_out_in_silence(run, twin, tmp_path):
    nameless = image()
    del nameless.SOPInstanceUID
    nameless.save_as(tmp_path / "nameless.dcm")
    assert run("send", tmp_path / "nameless.dcm")[0] == 1


def test_what_is_not_taken_is_counted_and_fails(run, twin, tmp_path):
    twin.store_status = 0xA700
    path = write(image(), tmp_path / "one.dcm")
    code, out, err = run("send", path)
    assert (code, out) == (1, "sent 0 of 1\n")
    assert "not taken: 1 of 1; " in err
    assert "0xA700" in err


def test_a_warning_of_the_other_end_is_no_failure(run, twin, tmp_path):
    twin.store_status = 0xB007
    assert run("send", write(image(), tmp_path / "one.dcm"))[0] == 0


def test_a_warning_that_is_not_known_to_mean_stored_is_a_failure(run, twin, tmp_path):
    twin.store_status = 0xB123
    code, _, err = run("send", write(image(), tmp_path / "one.dcm"))
    assert (code, "0xB123" in err) == (1, True)


def test_where_there_is_no_dicom_to_send_that_is_said_and_fails(run, twin, tmp_path):
    (tmp_path / "empty").mkdir()
    code, _, err = run("send", tmp_path / "empty")
    assert (code, "no DICOM file to send: no file found; name an image" in err) == (1, True)
    (tmp_path / "empty" / "notes.txt").write_text("no image")
    code, _, err = run("send", tmp_path / "empty")
    assert (code, "no DICOM file to send: 1 file found, no DICOM instance; name an image" in err) == (1, True)


def test_find_prints_each_answer(run, twin):
    twin.held = series(2)
    code, out, _ = run("find", "-k", "QueryRetrieveLevel=IMAGE", "-k", "PatientID", "-k", "SOPInstanceUID")
    assert code == 0
    assert out.count("PatientID       P-1") == 2


def test_find_shows_an_answer_under_another_series_as_a_dry_run_gives_it(run, twin):
    twin.held = [image(0)]
    code, out, _ = run("find", "-k", "QueryRetrieveLevel=IMAGE", "-k", "SOPInstanceUID=1.2.3")
    assert code == 0 and twin.held[0].SOPInstanceUID in out


def test_find_as_json_is_a_list_of_answers(run, twin):
    twin.held = series(1)
    out = run("find", "-k", "QueryRetrieveLevel=IMAGE", "-k", "PatientID", "--json")[1]
    assert json.loads(out) == [{"SOPInstanceUID": twin.held[0].SOPInstanceUID, "PatientID": "P-1"}]


def test_the_calling_title_and_the_root_model_are_ours_to_choose(run, twin):
    run("find", "-k", "QueryRetrieveLevel=PATIENT", "--patient-root", "--aet", "WORKSTATION")
    (event,) = twin.asked
    assert event.assoc.requestor.ae_title.strip() == "WORKSTATION"
    assert event.request.AffectedSOPClassUID == PatientRootQueryRetrieveInformationModelFind


def test_move_tells_the_destination_and_counts_what_went_there(run, twin):
    twin.held = series(2)
    code, out, _ = run("move", "--aem", "TWIN", "-k", "QueryRetrieveLevel=IMAGE")
    assert (code, out) == (0, "2 images to TWIN\n")
    assert twin.asked[0].request.MoveDestination.strip() == "TWIN"


def test_a_service_or_a_syntax_that_is_not_taken_is_told_apart(run, twin, tmp_path):
    err = run("move", "--aem", "TWIN", "-P", "-k", "QueryRetrieveLevel=PATIENT")[2]
    assert "TWIN: does not know this service: " in err
    ds = image()
    ds.compress(RLELossless)
    err = run("send", write(ds, tmp_path / "rle.dcm"))[2]
    assert "TWIN: takes none of our transfer syntaxes: " in err


@pytest.mark.parametrize("option", ["--aem", "--aet"])
@pytest.mark.parametrize("title", ["", "A TITLE OF 17 CHR", "B\\S"])
def test_a_title_that_is_none_is_a_mistake_of_the_command_line(run, option, title):
    words = ["--aem", "TWIN", option, title, "-k", "QueryRetrieveLevel=IMAGE"]
    code, _, err = run("move", *words)
    assert (code, f"Invalid value for {option}: " in err) == (2, True)


def test_what_did_not_arrive_is_named(run, twin):
    twin.held = series(3)
    twin.refuses = frozenset({twin.held[1].SOPInstanceUID})
    code, out, err = run("move", "--aem", "TWIN", "-k", "QueryRetrieveLevel=IMAGE", "--json")
    assert json.loads(out)["failed_sop_instance_uids"] == [twin.held[1].SOPInstanceUID]
    assert (code, "1 of 3 failed" in err) == (1, True)


def test_one_image_is_one(run, twin):
    twin.held = series(1)
    assert run("move", "--aem", "TWIN", "-k", "QueryRetrieveLevel=IMAGE")[1] == "1 image to TWIN\n"


def test_a_refusal_shows_status_and_error_comment(run, twin):
    twin.refusal = Dataset()
    twin.refusal.Status, twin.refusal.ErrorComment = 0xC011, "missing-instances: 2 of 120 (7, 8)"
    code, out, err = run("move", "--aem", "TWIN", "-k", "QueryRetrieveLevel=IMAGE")
    assert (code, out) == (1, "")
    assert "missing-instances: 2 of 120 (7, 8)" in err


def test_a_retrieve_of_which_nothing_worked_is_json_too(run, twin):
    twin.held = series(2)
    twin.refuses = frozenset(ds.SOPInstanceUID for ds in twin.held)
    code, out, err = run("move", "--aem", "TWIN", "-k", "QueryRetrieveLevel=IMAGE", "--json")
    told = json.loads(out)
    assert (code, told["status"], told["completed"], told["failed"]) == (1, "0xA702", 0, 2)
    assert set(told["failed_sop_instance_uids"]) == twin.refuses
    assert err.startswith("mpr-scp: C-MOVE ended with status 0xA702")


def test_a_refused_retrieve_is_json_too(run, twin):
    twin.refusal = Dataset()
    twin.refusal.Status, twin.refusal.ErrorComment = 0xC011, "missing-instances: 2 of 120 (7, 8)"
    code, out, _ = run("move", "--aem", "TWIN", "-k", "QueryRetrieveLevel=IMAGE", "--json")
    told = json.loads(out)
    assert (code, told["status"], told["error_comment"]) == (1, "0xC011", twin.refusal.ErrorComment)


def test_get_writes_what_comes_into_a_folder(run, twin, tmp_path):
    twin.held = series(2)
    code, out, _ = run("get", "--out", tmp_path / "got", "-k", "QueryRetrieveLevel=IMAGE")
    assert (code, out) == (0, f"2 images in {tmp_path / 'got'}\n")
    got = [pydicom.dcmread(path) for path in sorted((tmp_path / "got").iterdir())]
    assert {ds.SOPInstanceUID for ds in got} == {ds.SOPInstanceUID for ds in twin.held}
    assert {ds.PixelData for ds in got} == {ds.PixelData for ds in twin.held}

"""Rejection notes over real associations: whose count, and that the order of arrival does not matter."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import KeyObjectSelectionDocumentStorage

from scp.node import Node
from tests.builders import SERIES_UID, STUDY_UID, image, uid, write
from tests.reliability.nodes import Client, caller, whole_node

pytestmark = pytest.mark.wire

TITLES = ("113001", "113037", "113038", "113039")


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    with whole_node(tmp_path / "archive", caller("READER", "store", "reject")) as running:
        yield running


def item(**attributes: object) -> Dataset:
    ds = Dataset()
    for keyword, value in attributes.items():
        setattr(ds, keyword, value)
    return ds


def note(*rejected: str, title: str = TITLES[0], scheme: str = "DCM", number: int = 0) -> Dataset:
    """Return a Key Object Selection that refers to the instances *rejected*."""
    ds = image(number, SOPClassUID=KeyObjectSelectionDocumentStorage, Modality="KO", PixelData=None)
    ds.SOPInstanceUID, ds.SeriesInstanceUID = uid("note", number), uid("notes")
    ds.ConceptNameCodeSequence = [item(CodeValue=title, CodingSchemeDesignator=scheme, CodeMeaning="why")]
    instances = [
        item(ReferencedSOPClassUID=image().SOPClassUID, ReferencedSOPInstanceUID=each) for each in rejected
    ]
    of_series = item(SeriesInstanceUID=SERIES_UID, ReferencedSOPSequence=instances)
    ds.CurrentRequestedProcedureEvidenceSequence = [
        item(StudyInstanceUID=STUDY_UID, ReferencedSeriesSequence=[of_series])
    ]
    return ds


def send(node: Node, tmp_path: Path, *datasets: Dataset, ae_title: str = "READER") -> None:
    paths = [write(ds, tmp_path / "out" / f"{ds.SOPInstanceUID}.dcm") for ds in datasets]
    assert Client(node.address[1], ae_title).store(*paths) == [0x0000] * len(paths)


@pytest.mark.parametrize("title", TITLES)
def test_a_note_with_any_of_the_four_titles_counts(node: Node, tmp_path: Path, title: str) -> None:
    send(node, tmp_path, image(), note(image().SOPInstanceUID, title=title))
    assert node._archive.rejected() == {image().SOPInstanceUID}


@pytest.mark.parametrize("note_first", [True, False])
def test_whichever_comes_first(node: Node, tmp_path: Path, note_first: bool) -> None:
    both = [note(image(3).SOPInstanceUID), image(3)]
    send(node, tmp_path, *(both if note_first else reversed(both)))
    (facts,) = node._archive.instance_files(image(3).SOPInstanceUID)
    assert facts.sop_instance_uid in node._archive.rejected()


def test_without_the_right_a_note_is_stored_and_does_nothing(node: Node, tmp_path: Path) -> None:
    send(node, tmp_path, image(), note(image().SOPInstanceUID), ae_title="CLIENT")
    assert node._archive.rejected() == frozenset()
    assert node._archive.instance_files(uid("note", 0))


def test_a_note_that_was_here_counts_once_somebody_with_the_right_sends_it(
    node: Node, tmp_path: Path
) -> None:
    send(node, tmp_path, note("1.5"), ae_title="CLIENT")
    send(node, tmp_path, note("1.5"))
    assert node._archive.rejected() == {"1.5"}


@pytest.mark.parametrize(
    ("title", "scheme"), [("113000", "DCM"), ("113001", "99LOCAL"), ("113001x", "DCM"), ("", "DCM")]
)
def test_other_key_objects_reject_nothing(node: Node, tmp_path: Path, title: str, scheme: str) -> None:
    send(node, tmp_path, note(image().SOPInstanceUID, title=title, scheme=scheme))
    assert node._archive.rejected() == frozenset()


def test_an_image_with_the_attributes_of_a_note_is_an_image(node: Node, tmp_path: Path) -> None:
    ds = note("1.5")
    ds.SOPClassUID = image().SOPClassUID
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
    send(node, tmp_path, ds)
    assert node._archive.rejected() == frozenset()


def test_a_note_of_a_whole_examination_counts_whole(node: Node, tmp_path: Path) -> None:
    every = {uid("of many", k) for k in range(3000)}
    send(node, tmp_path, note(*sorted(every)))
    assert node._archive.rejected() == every


@pytest.mark.parametrize("keyword", ["CurrentRequestedProcedureEvidenceSequence", "ConceptNameCodeSequence"])
def test_a_note_that_lacks_half_is_stored_and_rejects_nothing(
    node: Node, tmp_path: Path, keyword: str
) -> None:
    ds = note("1.5")
    delattr(ds, keyword)
    send(node, tmp_path, ds)
    assert node._archive.rejected() == frozenset()


def test_text_where_items_belong_is_nobody_s_fault_of_ours(node: Node, tmp_path: Path) -> None:
    ds = note("1.5")
    (study,) = ds.CurrentRequestedProcedureEvidenceSequence
    del study.ReferencedSeriesSequence
    study.add_new(0x00081115, "LO", "no items")
    send(node, tmp_path, ds)
    assert node._archive.rejected() == frozenset()


def test_a_note_that_could_not_be_recorded_is_not_acknowledged(
    node: Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_arguments: object) -> None:
        raise OSError(28, "No space left on device")

    path = write(note("1.5"), tmp_path / "note.dcm")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("scp.archive.rejections.sync", full)
        assert Client(node.address[1], "READER").store(path) == [0xA700]
    assert Client(node.address[1], "READER").store(path) == [0x0000]
    assert node._archive.rejected() == {"1.5"}


def test_the_titles_are_those_of_the_standard() -> None:
    from scp.services.rejection import REJECTION_TITLES

    assert {value for _, value in REJECTION_TITLES} == set(TITLES)
    assert codes.DCM.RejectedForQualityReasons.value == TITLES[0]

"""The log tells of each association and request once, and of nobody's name (PS3.15 E)."""

import logging
from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom.uid import CTImageStorage
from pynetdicom import AE, evt
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind

from scp.config import Config, Peer
from scp.net.journal import Journal, line, printable
from scp.net.requestor import Requestor
from tests.builders import image, series, write, write_series
from tests.net.nodes import RunningNode, caller, wait_until
from tests.net.test_requestor import KEYS
from tests.services.test_store import ref

StartNode = Callable[..., RunningNode]
NODE_LOGS = "scp"


def test_a_line_reads_as_key_and_value() -> None:
    assert line("C-MOVE", {"message": 7, "comment": "", "s": 0.25, "why": 'a "b" c'}) == (
        "C-MOVE message=7 s=0.250 why=\"a 'b' c\""
    )


@pytest.mark.parametrize("text", ["A\nB", "A\x1b[2J", "A\x00", "Ä", None])
def test_what_a_peer_sent_cannot_begin_a_line_of_its_own(text: str | None) -> None:
    assert printable(text).isascii() and printable(text).isprintable()


def test_each_association_has_a_number_of_its_own_and_ends_once() -> None:
    one, other = Journal(), Journal()
    assert one.number != other.number
    assert [one.end(), one.end()] == [True, False]


def lines(caplog: pytest.LogCaptureFixture, what: str) -> list[dict[str, str]]:
    """Return the fields of the lines that begin with *what*."""
    found = [record.getMessage() for record in caplog.records if record.name.startswith(NODE_LOGS)]
    return [
        dict(word.split("=", 1) for word in text.split() if "=" in word)
        for text in found
        if text.startswith(what + " ")
    ]


@pytest.mark.wire
def test_a_stored_series_is_one_line_of_its_association(
    start_node: StartNode, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    node = start_node(peers={"C": caller("CALLER")})
    caplog.set_level(logging.INFO)
    paths = write_series(series(5), tmp_path / "in")
    assert all(sent.status == 0 for sent in Requestor(Config(), "CALLER").store(node.peer, map(ref, paths)))
    wait_until(lambda: any(one["direction"] == "in" for one in lines(caplog, "association")))
    (came,) = [one for one in lines(caplog, "association") if one["direction"] == "in"]
    expected = {"peer": "CALLER", "called": "MPRSCP", "C-STORE": "5", "stored": "5", "end": "released"}
    assert expected.items() <= came.items()
    assert lines(caplog, "C-STORE") == []


@pytest.mark.wire
def test_each_instance_is_told_where_the_log_is_to_be_full(
    start_node: StartNode, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    ds = image()
    list(Requestor(Config()).store(start_node().peer, [ref(write(ds, tmp_path / "a.dcm"))]))
    wait_until(lambda: lines(caplog, "C-STORE"))
    (told,) = lines(caplog, "C-STORE")
    assert (told["instance"], told["status"], told["outcome"]) == (ds.SOPInstanceUID, "0x0000", "stored")
    assert "Roe" not in caplog.text and "P-1" not in caplog.text


@pytest.mark.wire
def test_a_retrieve_is_one_line_with_counts_and_destination(
    start_node: StartNode, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    destination = start_node(ae_title="DEST")
    dest = caller("DEST", host="127.0.0.1", port=destination.port, destination=True)
    node = start_node(ae_title="NODE", peers={"D": dest, "M": caller("MPRSCP")})
    list(Requestor(Config()).store(node.peer, map(ref, write_series(series(3), tmp_path / "in"))))
    caplog.set_level(logging.INFO)
    Requestor(Config()).move(node.peer, KEYS, "DEST")
    wait_until(lambda: lines(caplog, "C-MOVE"))
    (told,) = lines(caplog, "C-MOVE")
    expected = {"destination": "DEST", "completed": "3", "failed": "0", "status": "0x0000", "message": "1"}
    assert expected.items() <= told.items()


@pytest.mark.wire
@pytest.mark.parametrize(("status", "tallied"), [(0xB000, "sent"), (0xB007, "sent"), (0xA700, "not_taken")])
def test_an_instance_that_is_stored_with_a_warning_is_sent(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, status: int, tallied: str
) -> None:
    entity = AE("DEST")
    entity.add_supported_context(CTImageStorage)
    server = entity.start_server(
        ("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, lambda _: status)]
    )
    caplog.set_level(logging.INFO)
    peer = Peer(ae_title="DEST", host="127.0.0.1", port=server.server_address[1])
    list(Requestor(Config()).store(peer, [ref(write(image(), tmp_path / "a.dcm"))]))
    server.shutdown()
    (told,) = lines(caplog, "association")
    assert {name: told.get(name) for name in ("sent", "not_taken")} == {
        "sent": None,
        "not_taken": None,
        tallied: "1",
    }


@pytest.mark.wire
def test_a_rejected_caller_is_told_of_with_the_reason(
    start_node: StartNode, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    node = start_node(peers={"A": caller("SOMEBODY")})
    entity = AE("NOBODY")
    entity.add_requested_context(CTImageStorage)
    assert entity.associate("127.0.0.1", node.port, ae_title="MPRSCP").is_rejected
    wait_until(lambda: lines(caplog, "association"))
    assert "end=rejected reason=\"the AE title 'NOBODY' is in no [peers] table\"" in caplog.text


@pytest.mark.wire
def test_rights_that_a_caller_lacks_are_told_of_with_its_association(
    start_node: StartNode, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    node = start_node(peers={"A": caller("MODALITY", "store")})
    entity = AE("MODALITY")
    entity.add_requested_context(CTImageStorage)
    entity.add_requested_context(StudyRootQueryRetrieveInformationModelFind)
    association = entity.associate("127.0.0.1", node.port, ae_title="MPRSCP")
    association.release()
    wait_until(lambda: lines(caplog, "association"))
    assert 'reason="lacks the right find or mpr"' in caplog.text

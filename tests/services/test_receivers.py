"""Receivers that take only some classes or transfer syntaxes get what they take (PS3.4 C.4.2, C.4.3)."""

import contextlib
import logging
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    UID,
    CTImageStorage,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGLSLossless,
    MRImageStorage,
    SecondaryCaptureImageStorage,
)
from pynetdicom import AE, build_role, evt
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelGet as StudyRootGet

from scp.config import Peer
from scp.errors import PeerFailed
from scp.net import lazy_sender
from scp.results.compression import COMPRESS
from tests.builders import SERIES_UID, STUDY_UID, image, series, write, write_series
from tests.reliability.nodes import Client, caller, identifier, planes_of, whole_node

pytestmark = pytest.mark.wire

KEYS = {"StudyInstanceUID": STUDY_UID, "SeriesInstanceUID": SERIES_UID}
PLANES = planes_of(SERIES_UID)


class Destination:
    """An application entity that takes some classes in some transfer syntaxes and nothing else."""

    def __init__(self, *sop_classes: str, syntaxes: tuple[UID, ...] = (ExplicitVRLittleEndian,)) -> None:
        self.received: list[Dataset] = []
        self.associations = 0
        entity = AE("DEST")
        for sop_class in sop_classes:
            entity.add_supported_context(sop_class, list(syntaxes))
        handlers = [(evt.EVT_C_STORE, self.take), (evt.EVT_REQUESTED, self.count)]
        self.server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)

    @property
    def peer(self) -> Peer:
        return caller("DEST", host="127.0.0.1", port=self.server.server_address[1], destination=True)

    def take(self, event: Any) -> int:
        self.received.append(event.dataset)
        return 0x0000

    def count(self, event: Any) -> None:
        self.associations += 1


@contextlib.contextmanager
def destination(*sop_classes: str, **how: Any) -> Iterator[Destination]:
    found = Destination(*sop_classes, **how)
    try:
        yield found
    finally:
        found.server.shutdown()


@contextlib.contextmanager
def node_with(root: Path, dest: Destination, count: int = 12, **sections: Any) -> Iterator[Client]:
    """Run a node that holds *count* images and knows *dest*; yield its client."""
    with whole_node(root, dest.peer, **sections) as node:
        client = Client(node.address[1])
        assert not any(client.store(*write_series(series(count), root.parent / "in")))
        yield client


def test_a_destination_without_secondary_capture_gets_the_class_of_the_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lazy_sender, "UNUSED_AT_MOST_S", 1e9)
    with destination(CTImageStorage) as dest, node_with(tmp_path / "a", dest) as client:
        done = client.move("DEST", **PLANES)
    assert (done.completed, dest.associations) == (8, 1)
    assert {ds.SOPClassUID for ds in dest.received} == {CTImageStorage}


def test_the_same_planes_in_another_class_have_uids_of_their_own(tmp_path: Path) -> None:
    with (
        destination(CTImageStorage) as picky,
        node_with(tmp_path / "a", picky) as client,
    ):
        client.move("DEST", **PLANES)
        client.get([SecondaryCaptureImageStorage], **PLANES)
    captured = {uid for uid, _ in client.received.data_sets}
    assert len(captured) == len(picky.received) == 8
    assert captured.isdisjoint(ds.SOPInstanceUID for ds in picky.received)


def test_a_source_class_that_is_configured_gives_way_to_a_capture(tmp_path: Path) -> None:
    with (
        destination(SecondaryCaptureImageStorage) as dest,
        node_with(tmp_path / "a", dest, results={"sop_class": "source"}) as client,
    ):
        assert client.move("DEST", **PLANES).completed == 8
    assert {ds.SOPClassUID for ds in dest.received} == {SecondaryCaptureImageStorage}


@pytest.mark.parametrize(
    ("takes", "syntax", "said"),
    [
        (MRImageStorage, ExplicitVRLittleEndian, "class not supported: Secondary Capture, CT"),
        (CTImageStorage, JPEGLSLossless, "class not supported: Secondary Capture; transfer"),
    ],
)
def test_a_destination_that_takes_neither_is_named_with_what_it_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, takes: UID, syntax: UID, said: str
) -> None:
    caplog.set_level(logging.INFO)
    with (
        destination(takes, syntaxes=(syntax,)) as dest,
        node_with(tmp_path / "a", dest) as client,
        pytest.raises(PeerFailed, match="status 0xC020, no-context: ") as failed,
    ):
        client.move("DEST", **PLANES)
    assert dest.received == []
    assert said in str(failed.value)
    (told,) = [
        record.getMessage() for record in caplog.records if "C-MOVE association" in record.getMessage()
    ]
    assert "Secondary Capture Image Storage" in told and "CT Image Storage" in told
    assert "each was offered in Explicit VR Little Endian" in told


def test_a_refusal_still_calls_nobody(tmp_path: Path) -> None:
    with (
        destination(CTImageStorage) as dest,
        node_with(tmp_path / "a", dest, 3) as client,
        pytest.raises(PeerFailed, match="too-few-images"),
    ):
        client.move("DEST", **PLANES)
    assert dest.associations == 0


@pytest.mark.parametrize(
    ("offered", "as_scp", "status", "said"),
    [
        (CTImageStorage, True, 0x0000, "completed=8"),
        (CTImageStorage, False, 0xC020, "CT Image Storage: proposed without the role of SCP"),
        (MRImageStorage, True, 0xC020, "Secondary Capture Image Storage, CT Image Storage: not proposed"),
    ],
)
def test_a_get_that_offers_one_class_gets_that_class_or_the_log_says_why_not(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, offered: str, as_scp: bool, status: int, said: str
) -> None:
    caplog.set_level(logging.INFO)
    received: list[Dataset] = []
    with destination(CTImageStorage) as dest, node_with(tmp_path / "a", dest) as client:
        entity = AE("CLIENT")
        entity.add_requested_context(StudyRootGet)
        entity.add_requested_context(offered)
        handlers = [(evt.EVT_C_STORE, lambda event: received.append(event.dataset) or 0x0000)]
        association = entity.associate(
            "127.0.0.1",
            client.port,
            ae_title="MPRSCP",
            ext_neg=[build_role(offered, scp_role=as_scp, scu_role=True)],
            evt_handlers=handlers,
        )
        responses = list(association.send_c_get(identifier(**PLANES), StudyRootGet))
        association.release()
    assert responses[-1][0].Status == status
    assert said in caplog.text
    assert {ds.SOPClassUID for ds in received} == ({CTImageStorage} if status == 0 else set())


def test_an_association_that_waited_long_for_the_first_plane_is_begun_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lazy_sender, "UNUSED_AT_MOST_S", 0.0)
    with destination(CTImageStorage) as dest, node_with(tmp_path / "a", dest) as client:
        assert client.move("DEST", **PLANES).completed == 8
    assert dest.associations == 2


def test_what_is_compressed_reaches_who_takes_only_implicit_little_endian(tmp_path: Path) -> None:
    cells = np.arange(-2048, 2048, dtype=np.int16).reshape(64, 64)
    ds = image(rows=64, columns=64, pixels=cells)
    ds.PixelData = encapsulate([COMPRESS[JPEGLSLossless](cells)])
    ds["PixelData"].is_undefined_length = True
    ds.file_meta.TransferSyntaxUID = JPEGLSLossless
    path = write(ds, tmp_path / "packed.dcm")
    assert dcmread(path).file_meta.TransferSyntaxUID == JPEGLSLossless
    with (
        destination(CTImageStorage, syntaxes=(ImplicitVRLittleEndian,)) as dest,
        node_with(tmp_path / "a", dest, 0) as client,
    ):
        assert client.store(path) == [0x0000]
        assert client.move("DEST", **KEYS).completed == 1
    (found,) = dest.received
    assert found.PixelData == cells.tobytes()
    assert found.SOPInstanceUID == ds.SOPInstanceUID


def test_who_takes_it_as_it_is_gets_the_bytes_that_lie_there(tmp_path: Path) -> None:
    with destination(CTImageStorage) as dest, node_with(tmp_path / "a", dest, 2) as client:
        assert client.move("DEST", **KEYS).completed == 2
    assert len(dest.received) == 2


def test_a_slow_destination_gets_everything_and_the_requestor_hears_of_it(tmp_path: Path) -> None:
    with destination(CTImageStorage) as dest, node_with(tmp_path / "a", dest, 6) as client:
        taken = dest.take

        def slow(event: Any) -> int:
            time.sleep(0.15)
            return taken(event)

        dest.server.unbind(evt.EVT_C_STORE, dest.take)
        dest.server.bind(evt.EVT_C_STORE, slow)
        assert client.move("DEST", **KEYS).completed == 6


def test_a_destination_that_stops_answering_is_given_up_at_the_deadline(tmp_path: Path) -> None:
    over = threading.Event()
    limits = {"message_deadline": 0.5}
    with destination(CTImageStorage) as dest, node_with(tmp_path / "a", dest, 4, limits=limits) as client:

        def silent(event: Any) -> int:
            over.wait(20)
            return 0x0000

        dest.server.unbind(evt.EVT_C_STORE, dest.take)
        dest.server.bind(evt.EVT_C_STORE, silent)
        with pytest.raises(PeerFailed, match="status 0xA702"):
            client.move("DEST", **KEYS)
        over.set()

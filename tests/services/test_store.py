"""C-STORE: what is told, and that bytes stay bytes (PS3.4 Annex B)."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian, ImplicitVRLittleEndian, MRImageStorage
from pynetdicom import AE, build_context, build_role
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelGet as StudyRootGet
from pynetdicom.sop_class import Verification

from scp.errors import IdentityMismatch, IndexUnavailable, MprScpError, OutOfSpace, Unparseable
from scp.model import FileRef
from scp.net import command
from scp.net.deadlines import Deadline
from scp.net.outgoing import associate, end
from scp.net.requestor import Requestor
from tests.builders import image, series, write, write_series
from tests.net.archive_twin import file_head
from tests.net.nodes import RunningNode, caller

pytestmark = pytest.mark.wire

StartNode = Callable[..., RunningNode]


def ref(path: Path) -> FileRef:
    """Return where the data set of a file with a group length lies."""
    meta = dcmread(path, stop_before_pixels=True).file_meta
    offset = 144 + meta.FileMetaInformationGroupLength
    size = path.stat().st_size - offset
    return FileRef(
        path,
        str(meta.MediaStorageSOPClassUID),
        str(meta.MediaStorageSOPInstanceUID),
        str(meta.TransferSyntaxUID),
        offset,
        size,
    )


def store(node: RunningNode, *paths: Path) -> list[tuple[int, str]]:
    sent = Requestor(node.config, "SENDER").store(node.peer, [ref(path) for path in paths])
    return [(one.status, one.error_comment) for one in sent]


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_bytes_in_are_bytes_kept(start_node: StartNode, tmp_path: Path, syntax: UID) -> None:
    node = start_node()
    path = write(image(3), tmp_path / "a.dcm", transfer_syntax_uid=syntax)
    assert store(node, path) == [(0x0000, "")]
    (uid,) = node.archive.stored
    assert node.archive.data_sets[uid] == path.read_bytes()[ref(path).offset :]
    assert node.archive.origins[uid].transfer_syntax_uid == syntax


def test_the_sink_is_told_whence_an_instance_comes(start_node: StartNode, tmp_path: Path) -> None:
    node = start_node()
    store(node, write(image(), tmp_path / "a.dcm"))
    (origin,) = node.archive.origins.values()
    assert (origin.calling_ae_title, origin.address) == ("SENDER", "127.0.0.1")


def test_private_and_future_storage_classes_are_stored(start_node: StartNode, tmp_path: Path) -> None:
    node = start_node()
    for number, sop_class in enumerate(("1.3.12.2.1107.5.9.1", "1.2.840.10008.5.1.4.1.1.9999")):
        path = write(image(number, SOPClassUID=sop_class), tmp_path / f"{number}.dcm")
        assert store(node, path) == [(0x0000, "")]


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (OutOfSpace("the disk is full"), 0xA700),
        (IdentityMismatch("other UIDs"), 0xA900),
        (Unparseable("no data set"), 0xC000),
        (IndexUnavailable("locked"), 0xC001),
    ],
)
def test_what_the_archive_does_not_take_is_told_and_leaves_the_association(
    start_node: StartNode, tmp_path: Path, error: MprScpError, status: int
) -> None:
    node = start_node()
    node.archive.fails = error
    paths = write_series(series(2), tmp_path / "in")
    assert [status for status, _ in store(node, *paths)] == [status, status]
    assert len(node.archive.abandoned) == 2 and not node.archive.stored


def test_our_own_fault_is_told_without_what_it_was(start_node: StartNode, tmp_path: Path) -> None:
    node = start_node()
    node.archive.fails = ZeroDivisionError("Roe^Jane")  # type: ignore[assignment]
    ((status, comment),) = store(node, write(image(), tmp_path / "a.dcm"))
    assert status == 0xC0FF and comment.startswith("internal: see log ")


@pytest.mark.parametrize("uid", ["", "1.2..3", "../../etc", "1." * 33 + "1", "1.a"])
def test_an_illegal_uid_never_reaches_the_archive(start_node: StartNode, tmp_path: Path, uid: str) -> None:
    node = start_node()
    good = ref(write(image(), tmp_path / "a.dcm"))
    hostile = FileRef(good.path, good.sop_class_uid, uid, good.transfer_syntax_uid, good.offset, good.length)
    (sent,) = Requestor(node.config).store(node.peer, [hostile])
    assert sent.status == 0xC000
    assert node.archive.origins == {} and node.archive.abandoned == []


def test_without_the_right_no_context_is_accepted(start_node: StartNode) -> None:
    node = start_node(peers={"R": caller("READER", "echo")})
    entity = AE("READER")
    entity.requested_contexts = [
        build_context("1.2.840.10008.5.1.4.1.1.2"),
        build_context("1.2.840.10008.1.1"),
    ]
    association = entity.associate("127.0.0.1", node.port, ae_title="MPRSCP")
    assert [context.result for context in association.rejected_contexts] == [1]
    association.release()


@pytest.mark.parametrize(
    ("rights", "accepted", "sent_as", "status"),
    [
        (("echo",), Verification, CTImageStorage, 0x0124),
        (("get",), StudyRootGet, CTImageStorage, 0x0124),
        (("get",), CTImageStorage, CTImageStorage, 0x0124),
        (("store", "get"), CTImageStorage, CTImageStorage, 0x0122),
        (("store", "echo"), Verification, CTImageStorage, 0x0122),
        (("store", "echo"), Verification, Verification, 0x0122),
    ],
    ids=["echo only", "get only", "received by get", "no role to send", "another class", "no storage"],
)
def test_only_a_storage_context_of_who_may_store_takes_instances(
    start_node: StartNode, rights: tuple[str, ...], accepted: UID, sent_as: UID, status: int
) -> None:
    node = start_node(peers={"R": caller("READER", *rights)})
    contexts = [build_context(accepted, ExplicitVRLittleEndian)]
    roles = [build_role(CTImageStorage, scp_role=True)]
    association = associate(node.config, "READER", node.peer, contexts, Deadline(10.0), roles=roles)
    try:
        association.send_messages(1, [(command.store_request(sent_as, "1.2.3", 1), b"data")])
        _, response = association.next_message(10.0)
        assert response.status == status
        assert node.archive.stored == {} and node.archive.abandoned == []
    finally:
        end(association)


def test_a_sender_that_mixes_up_storage_classes_loses_nothing(start_node: StartNode) -> None:
    node = start_node()
    contexts = [build_context(CTImageStorage, ExplicitVRLittleEndian)]
    association = associate(node.config, "SENDER", node.peer, contexts, Deadline(10.0))
    try:
        association.send_messages(1, [(command.store_request(MRImageStorage, "1.2.3", 1), b"data")])
        assert association.next_message(10.0)[1].status == 0x0000
        assert node.archive.origins["1.2.3"].sop_class_uid == MRImageStorage
    finally:
        end(association)


@pytest.mark.foreign
def test_storescu_stores_compressed_files_as_they_are(
    start_node: StartNode, tmp_path: Path, dcmtk: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    node = start_node()
    plain = write(image(rows=64, columns=64), tmp_path / "plain.dcm")
    packed = tmp_path / "packed.dcm"
    assert dcmtk("dcmcjpls", plain, packed).returncode == 0
    run = dcmtk("storescu", "-xt", "-aec", "MPRSCP", "127.0.0.1", node.port, packed)
    assert run.returncode == 0, run.stderr
    (uid,) = node.archive.stored
    assert node.archive.data_sets[uid] == packed.read_bytes()[ref(packed).offset :]


def test_the_twin_writes_what_it_says() -> None:
    from scp.model import Origin

    head = file_head(Origin("1.2.840.10008.5.1.4.1.1.2", "1.2.3", "1.2.840.10008.1.2"))
    assert head[128:132] == b"DICM" and len(head) == 144 + int.from_bytes(head[140:144], "little")

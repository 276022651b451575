"""C-MOVE and C-GET: sub-operations, counts, refusals, and an end whatever happens (PS3.4 C.4.2, C.4.3)."""

import logging
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, build_context, build_role, evt
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_GET
from pynetdicom.dsutils import encode
from pynetdicom.sop_class import PatientRootQueryRetrieveInformationModelMove as PatientRootMove
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelGet as StudyRootGet
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelMove as StudyRootMove

from scp.config import Limits, Peer
from scp.errors import BadRequest, Code, DecodingFailed, MprScpError, OutOfSpace, Refused
from scp.model import Event, Failed, FileRef, Planned, Produced
from scp.net import command
from scp.net.deadlines import Deadline
from scp.net.messages import StoreRequest
from scp.net.outgoing import associate, end
from scp.net.requestor import Requestor
from tests.builders import SERIES_UID, STUDY_UID, image, series, write, write_series
from tests.net.archive_twin import ArchiveTwin
from tests.net.nodes import RunningNode, caller, wait_until
from tests.services.test_find import MprTwin, identifier
from tests.services.test_store import ref

pytestmark = pytest.mark.wire

StartNode = Callable[..., RunningNode]
KEYS = identifier("SERIES", StudyInstanceUID=STUDY_UID, SeriesInstanceUID=SERIES_UID)
del KEYS.SOPInstanceUID


def fill(node: RunningNode, datasets: list[Dataset], folder: Path) -> None:
    """Store *datasets* in *node*."""
    paths = write_series(datasets, folder)
    sent = Requestor(node.config, "CALLER").store(node.peer, [ref(path) for path in paths])
    assert all(one.status == 0 for one in sent)


class Pair:
    """A node, and a destination that it knows as ``DEST``."""

    def __init__(
        self, start_node: StartNode, mpr: Any = None, rights: tuple[str, ...] = (), **destination: Any
    ):
        self.destination = start_node(ae_title="DEST", **destination)
        self.node = start_node(ae_title="NODE", mpr=mpr, peers=self.peers(rights))

    def peers(self, rights: tuple[str, ...]) -> dict[str, Peer]:
        port = self.destination.port
        dest = Peer(ae_title="DEST", host="127.0.0.1", port=port, destination=True)
        return {"D": dest, **{name: caller(name, *rights) for name in ("MOVESCU", "GETSCU", "CALLER")}}

    def fill(self, datasets: list[Dataset], folder: Path) -> None:
        fill(self.node, datasets, folder)


def established(node: RunningNode, *sop_classes: str, roles: Any = (), handlers: Any = ()) -> Association:
    entity = AE("CALLER")
    for sop_class in sop_classes:
        entity.add_requested_context(sop_class)
    association = entity.associate(
        "127.0.0.1", node.port, ae_title="NODE", ext_neg=list(roles), evt_handlers=list(handlers)
    )
    assert association.is_established
    return association


def move(node: RunningNode, keys: Dataset = KEYS, to: str = "DEST") -> list[tuple[Dataset, Dataset | None]]:
    association = established(node, StudyRootMove)
    responses = list(association.send_c_move(keys, to, StudyRootMove, msg_id=77))
    association.release()
    return responses


def get(node: RunningNode, status: int = 0x0000) -> tuple[list[tuple[Dataset, Dataset | None]], list[bytes]]:
    received: list[bytes] = []

    def take(event: evt.Event) -> int:
        received.append(event.request.DataSet.getvalue())
        return status

    association = established(
        node,
        StudyRootGet,
        CTImageStorage,
        roles=[build_role(CTImageStorage, scp_role=True)],
        handlers=[(evt.EVT_C_STORE, take)],
    )
    responses = list(association.send_c_get(KEYS, StudyRootGet))
    association.release()
    return responses, received


def counts(status: Dataset) -> tuple[int | None, int, int, int]:
    """Return remaining, completed, failed and warning."""
    return (
        status.get("NumberOfRemainingSuboperations"),
        status.NumberOfCompletedSuboperations,
        status.NumberOfFailedSuboperations,
        status.NumberOfWarningSuboperations,
    )


def is_bare(status: Dataset, listed: Dataset | None) -> bool:
    """Tell that a response has neither counts nor an identifier."""
    return not listed and not any("Suboperations" in element.keyword for element in status)


def test_a_move_sends_what_is_stored_byte_for_byte(start_node: StartNode, tmp_path: Path) -> None:
    pair = Pair(start_node)
    pair.fill(series(7), tmp_path / "in")
    responses = move(pair.node)
    final, listed = responses[-1]
    assert (final.Status, counts(final), listed) == (0x0000, (None, 7, 0, 0), None)
    assert pair.destination.archive.data_sets == pair.node.archive.data_sets


def test_sub_operations_name_who_moved_and_call_as_the_node(start_node: StartNode, tmp_path: Path) -> None:
    seen: list[tuple[str, int, str]] = []

    def take(event: evt.Event) -> int:
        request, calling = event.request, event.assoc.requestor.ae_title
        originator = request.MoveOriginatorApplicationEntityTitle
        seen.append((originator, request.MoveOriginatorMessageID, calling))
        return 0x0000

    entity = AE("DEST")
    entity.add_supported_context(CTImageStorage)
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, take)])
    destination = Peer(ae_title="DEST", host="127.0.0.1", port=server.server_address[1], destination=True)
    node = start_node(ae_title="NODE", peers={"D": destination, "C": caller("CALLER")})
    fill(node, series(2), tmp_path / "in")
    association = AE("CALLER")
    association.add_requested_context(StudyRootMove)
    calling = association.associate("127.0.0.1", node.port, ae_title="MPR_COR")
    assert [status.Status for status, _ in calling.send_c_move(KEYS, "DEST", StudyRootMove, msg_id=77)][
        -1
    ] == 0
    calling.release()
    server.shutdown()
    assert seen == [("CALLER", 77, "NODE")] * 2


def test_a_get_sends_over_its_own_association(start_node: StartNode, tmp_path: Path) -> None:
    pair = Pair(start_node)
    pair.fill(series(5), tmp_path / "in")
    responses, received = get(pair.node)
    final, _ = responses[-1]
    assert (final.Status, counts(final)) == (0x0000, (None, 5, 0, 0))
    assert sorted(received) == sorted(pair.node.archive.data_sets.values())


def test_the_first_response_is_pending_and_has_all_counts(start_node: StartNode, tmp_path: Path) -> None:
    go_on = threading.Event()

    def events(cancelled: Any) -> Iterator[Event]:
        yield Planned(("1.2.7", "1.2.8", "1.2.9"))
        go_on.wait(10)

    pair = Pair(start_node, MprTwin(events=events))
    association = established(pair.node, StudyRootMove)
    responses = association.send_c_move(KEYS, "DEST", StudyRootMove)
    status, listed = next(responses)
    assert (status.Status, counts(status), listed) == (0xFF00, (3, 0, 0, 0), None)
    assert pair.destination.archive.stored == {}
    go_on.set()
    assert [status.Status for status, _ in responses][-1] == 0xA702
    association.release()


def test_while_an_event_takes_long_the_requestor_hears_that_it_is_alive(
    start_node: StartNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scp.services.retrieve.PENDING_EVERY_S", 0.1)
    go_on = threading.Event()

    def events(cancelled: Any) -> Iterator[Event]:
        go_on.wait(10)
        yield Planned(())

    pair = Pair(start_node, MprTwin(events=events))
    association = established(pair.node, StudyRootMove)
    responses = association.send_c_move(KEYS, "DEST", StudyRootMove)
    for _ in range(3):
        status, listed = next(responses)
        assert (status.Status, counts(status), listed) == (0xFF00, (1, 0, 0, 0), None)
    go_on.set()
    assert [status.Status for status, _ in responses][-1] == 0x0000
    association.release()


@pytest.mark.parametrize(
    ("error", "status", "comment"),
    [
        (
            Refused(Code.MISSING_INSTANCES, "7 and 8 lack", comment="2: 7, 8"),
            0xC011,
            "missing-instances: 2: 7, 8",
        ),
        (BadRequest("ReformattingInterval", "0"), 0xA900, "bad-request: ReformattingInterval"),
        (Refused(Code.NOT_AUTHORIZED, "no"), 0x0124, "not-authorized"),
        (DecodingFailed("a.dcm"), 0xC01C, "cannot-decode"),
    ],
)
def test_a_refusal_has_no_counts_no_identifier_and_never_calls_the_destination(
    start_node: StartNode, error: MprScpError, status: int, comment: str
) -> None:
    def refused(cancelled: Any) -> Iterator[Event]:
        yield from ()
        raise error

    pair = Pair(start_node, MprTwin(events=refused))
    called: list[object] = []
    pair.destination.acceptor._admit = lambda *ask: called.append(ask)  # type: ignore
    for responses in (move(pair.node), get(pair.node)[0]):
        final, listed = responses[-1]
        assert (final.Status, final.ErrorComment) == (status, comment)
        assert is_bare(final, listed)
    assert called == []


def test_our_own_fault_is_told_by_the_id_of_its_trace(
    start_node: StartNode, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(cancelled: Any) -> Iterator[Event]:
        yield from ()
        raise ZeroDivisionError("Roe^Jane")

    final, listed = move(Pair(start_node, MprTwin(events=broken)).node)[-1]
    assert final.Status == 0xC0FF and is_bare(final, listed) and "Roe" not in final.ErrorComment
    assert final.ErrorComment.removeprefix("internal: see log ") in caplog.text


def test_the_log_tells_what_was_asked_for_and_what_was_needed_but_quotes_no_text(
    start_node: StartNode, caplog: pytest.LogCaptureFixture
) -> None:
    def refused(cancelled: Any) -> Iterator[Event]:
        raise BadRequest(
            "RenderingMethod", "RenderingMethod is 'ROE'; it is none", "RenderingMethod: it is none"
        )
        yield Planned(())

    caplog.set_level(logging.INFO)
    node = Pair(start_node, MprTwin(events=refused)).node
    assert move(node)[-1][0].Status == 0xA900
    assert f"asked={SERIES_UID}" in caplog.text
    assert 'why="RenderingMethod: it is none" status=0xA900' in caplog.text
    assert "ROE" not in caplog.text


def test_a_key_that_cannot_apply_is_told_in_the_log(
    start_node: StartNode, caplog: pytest.LogCaptureFixture
) -> None:
    def nothing(cancelled: Any) -> Iterator[Event]:
        yield Planned(())

    caplog.set_level(logging.INFO)
    keys = deepcopy(KEYS)
    keys.ReformattingOperationType, keys.RenderingMethod = "MPR", "MAXIMUM_IP"
    assert move(Pair(start_node, MprTwin(events=nothing)).node, keys)[-1][0].Status == 0x0000
    assert "without_effect=RenderingMethod" in caplog.text


def test_a_destination_that_is_not_configured_is_unknown_and_the_log_says_what_lacks(
    start_node: StartNode, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    node = Pair(start_node).node
    final, listed = move(node, to="CALLER")[-1]
    assert final.Status == 0xA801 and is_bare(final, listed)
    assert 'why="its [peers] table lacks destination = true"' in caplog.text
    move(node, to="NOBODY")
    assert 'destination=NOBODY why="no [peers] table has this ae_title"' in caplog.text


def test_nothing_that_matches_is_a_success(start_node: StartNode) -> None:
    final, _ = move(Pair(start_node).node)[-1]
    assert (final.Status, counts(final)) == (0x0000, (None, 0, 0, 0))


def test_an_ordinary_retrieve_needs_its_own_right(start_node: StartNode) -> None:
    final, listed = move(Pair(start_node, rights=("mpr",)).node)[-1]
    assert final.Status == 0x0124 and is_bare(final, listed)


def test_an_identifier_without_a_level_is_refused(start_node: StartNode) -> None:
    keys = Dataset()
    keys.StudyInstanceUID = STUDY_UID
    final, _ = move(Pair(start_node).node, keys)[-1]
    assert (final.Status, final.OffendingElement) == (0xA900, 0x00080052)


def test_some_failures_are_a_warning_that_names_them(start_node: StartNode, tmp_path: Path) -> None:
    pair = Pair(start_node)
    pair.fill(series(4), tmp_path / "in")
    doomed = sorted(pair.node.archive.stored)[:2]

    def fail(origin: Any) -> None:
        if origin.sop_instance_uid in doomed:
            raise OutOfSpace("full")

    pair.destination.archive.before_commit = fail
    final, listed = move(pair.node)[-1]
    assert (final.Status, counts(final)) == (0xB000, (None, 2, 2, 0))
    assert listed is not None and sorted(listed.FailedSOPInstanceUIDList) == doomed
    assert final.ErrorComment.startswith("2 of 4 failed: 0xA700")


def test_a_truncated_image_fails_alone_and_the_others_are_sent(start_node: StartNode, tmp_path: Path) -> None:
    pair = Pair(start_node)
    pair.fill(series(4), tmp_path / "in")
    archive, cut = pair.node.archive, sorted(pair.node.archive.stored)[1]
    refs = archive.refs
    archive.refs = lambda *asked: [
        replace(ref, truncated=ref.sop_instance_uid == cut) for ref in refs(*asked)
    ]
    final, listed = move(pair.node)[-1]
    assert (final.Status, counts(final)) == (0xB000, (None, 3, 1, 0))
    assert listed is not None and listed.FailedSOPInstanceUIDList == cut
    assert final.ErrorComment.startswith("1 of 4 failed: 0x0110 truncated")


def test_warnings_of_the_receiver_are_counted_and_not_listed(start_node: StartNode, tmp_path: Path) -> None:
    pair = Pair(start_node)
    pair.fill(series(3), tmp_path / "in")
    responses, _ = get(pair.node, 0xB000)
    final, listed = responses[-1]
    assert (final.Status, counts(final)) == (0xB000, (None, 0, 0, 3))
    assert listed is None or "FailedSOPInstanceUIDList" not in listed


def test_all_failed_is_a_failure(start_node: StartNode, tmp_path: Path) -> None:
    pair = Pair(start_node)
    pair.fill(series(3), tmp_path / "in")
    pair.destination.archive.fails = OutOfSpace("full")
    final, listed = move(pair.node)[-1]
    assert (final.Status, counts(final)) == (0xA702, (None, 0, 3, 0))
    assert listed is not None and len(listed.FailedSOPInstanceUIDList) == 3


@pytest.mark.parametrize(
    ("how", "why"), [("down", "Connection refused"), ("rejects", "rejected: our AE title is not known there")]
)
def test_a_destination_that_cannot_be_had_fails_all_and_the_reason_is_told(
    start_node: StartNode, tmp_path: Path, caplog: pytest.LogCaptureFixture, how: str, why: str
) -> None:
    caplog.set_level(logging.INFO)
    pair = Pair(start_node)
    pair.fill(series(3), tmp_path / "in")
    if how == "down":
        pair.destination.acceptor.stop(0)
    else:
        pair.destination.acceptor.reload(
            pair.destination.config.model_copy(update={"peers": {"X": caller("NOBODY")}})
        )
    final, listed = move(pair.node)[-1]
    assert (final.Status, counts(final)) == (0xA702, (None, 0, 3, 0))
    assert listed is not None and len(listed.FailedSOPInstanceUIDList) == 3
    assert final.ErrorComment == f"3 of 3 failed: D: {why}"
    assert f'{why}" status=0xA702' in caplog.text


def test_planes_for_a_destination_that_is_silent_end_with_how_long_was_waited(start_node: StartNode) -> None:
    def events(cancelled: Any) -> Iterator[Event]:
        yield Planned(("1.2.3",))
        yield Produced(FileRef(Path("x"), CTImageStorage, "1.2.3", ExplicitVRLittleEndian, 0, 0))

    with socket.create_server(("127.0.0.1", 0)) as hole:
        silent = Peer(ae_title="DEST", host="127.0.0.1", port=hole.getsockname()[1], destination=True)
        node = start_node(
            ae_title="NODE",
            mpr=MprTwin(events=events),
            peers={"SILENT": silent, "C": caller("CALLER")},
            limits=Limits(negotiation_deadline=0.5),
        )
        final, _ = move(node)[-1]
    assert (final.Status, final.ErrorComment) == (0xA702, "1 of 1 failed: SILENT: no answer within 0.5 s")


def dies_after(node: RunningNode, count: int) -> Callable[[Any], None]:
    """Return what aborts the association of *node* when *count* instances are stored."""

    def die(_origin: Any) -> None:
        if len(node.archive.stored) == count:
            (association,) = node.acceptor.associations
            association.evict()
            raise OutOfSpace("full")  # an answer that overtakes the abort is no success either

    return die


def test_a_destination_that_dies_in_the_middle_fails_the_rest(start_node: StartNode, tmp_path: Path) -> None:
    pair = Pair(start_node)
    pair.fill(series(6), tmp_path / "in")

    pair.destination.archive.before_commit = dies_after(pair.destination, 2)
    final, listed = move(pair.node)[-1]
    assert final.Status == 0xB000
    assert counts(final)[1:3] == (2, 4)
    assert listed is not None and len(listed.FailedSOPInstanceUIDList) == 4


def test_one_of_several_that_fails_is_counted_and_named(start_node: StartNode, tmp_path: Path) -> None:
    made = ref(write(image(), tmp_path / "a.dcm"))

    def events(cancelled: Any) -> Iterator[Event]:
        yield Planned(("1.2.9", made.sop_instance_uid))
        yield Failed("1.2.9", Refused(Code.TOO_FEW_IMAGES, "3", comment="3 of 10"))
        yield Produced(made)

    final, listed = move(Pair(start_node, MprTwin(events=events)).node)[-1]
    assert (final.Status, counts(final)) == (0xB000, (None, 1, 1, 0))
    assert listed is not None and listed.FailedSOPInstanceUIDList == "1.2.9"
    assert "too-few-images: 3 of 10" in final.ErrorComment


def test_an_error_in_the_middle_fails_the_rest(start_node: StartNode, tmp_path: Path) -> None:
    made = ref(write(image(), tmp_path / "a.dcm"))

    def events(cancelled: Any) -> Iterator[Event]:
        yield Planned((made.sop_instance_uid, "1.2.7", "1.2.8"))
        yield Produced(made)
        raise Refused(Code.DEADLINE, "too slow")

    final, listed = move(Pair(start_node, MprTwin(events=events)).node)[-1]
    assert (final.Status, counts(final)) == (0xC022, (None, 1, 2, 0))
    assert listed is not None and listed.FailedSOPInstanceUIDList == ["1.2.7", "1.2.8"]


def test_planes_that_a_destination_died_before_are_named(start_node: StartNode, tmp_path: Path) -> None:
    planes = [ref(path) for path in write_series(series(4), tmp_path / "planes")]
    uids = [plane.sop_instance_uid for plane in planes]
    made: list[str] = []

    def events(cancelled: Any) -> Iterator[Event]:
        yield Planned(tuple(uids))
        for plane in planes:
            made.append(plane.sop_instance_uid)
            yield Produced(plane)

    pair = Pair(start_node, MprTwin(events=events))
    pair.destination.archive.before_commit = dies_after(pair.destination, 1)
    final, listed = move(pair.node)[-1]
    assert (final.Status, counts(final)) == (0xB000, (None, 1, 3, 0))
    assert listed is not None and listed.FailedSOPInstanceUIDList == uids[1:]
    assert uids[3] not in made  # nothing more is made for a destination that is gone


def test_planes_that_nobody_takes_are_refused_at_the_first(start_node: StartNode, tmp_path: Path) -> None:
    made = ref(write(image(SOPClassUID="1.2.840.10008.5.1.4.1.1.7"), tmp_path / "a.dcm"))
    asked: list[int] = []

    def events(cancelled: Any) -> Iterator[Event]:
        yield Planned(tuple(f"1.2.{number}" for number in range(100)))
        for number in range(100):
            asked.append(number)
            yield Produced(made)

    responses, _ = get(Pair(start_node, MprTwin(events=events)).node)  # offers CT Image Storage only
    final, listed = responses[-1]
    assert final.Status == 0xC020 and final.ErrorComment == "no-context" and is_bare(final, listed)
    assert asked == [0]


def test_a_get_without_the_role_for_a_class_fails_that_sub_operation(
    start_node: StartNode, tmp_path: Path
) -> None:
    pair = Pair(start_node)
    pair.fill([image(0), image(1, SOPClassUID="1.2.840.10008.5.1.4.1.1.4")], tmp_path / "in")
    responses, received = get(pair.node)
    final, _ = responses[-1]
    assert (final.Status, counts(final), len(received)) == (0xB000, (None, 1, 1, 0), 1)


class Endless:
    """Events that go on until they are closed or cancelled; *blocked* ones never come."""

    def __init__(self, made: FileRef | None) -> None:
        self.made = made
        self.started = threading.Event()
        self.closed = threading.Event()

    def __call__(self, cancelled: Callable[[], bool]) -> Iterator[Event]:
        try:
            yield Planned(("1.2.9",) * 1000)
            self.started.set()
            for _ in range(1000):
                while self.made is None and not cancelled():
                    self.closed.wait(0.02)
                if self.made is None:
                    return
                yield Produced(self.made)
        finally:
            self.closed.set()


@pytest.fixture(params=["an event is awaited", "objects are being sent"])
def endless(request: pytest.FixtureRequest, tmp_path: Path) -> Endless:
    made = None if "awaited" in request.param else ref(write(image(), tmp_path / "a.dcm"))
    return Endless(made)


def test_an_instance_that_a_peer_sends_during_its_own_get_leaves_nothing(
    start_node: StartNode, tmp_path: Path
) -> None:
    pair = Pair(start_node)
    pair.fill(series(2), tmp_path / "in")
    contexts = [build_context(uid, ExplicitVRLittleEndian) for uid in (StudyRootGet, CTImageStorage)]
    roles = [build_role(CTImageStorage, scu_role=True, scp_role=True)]
    config, own = pair.node.config, ArchiveTwin(tmp_path)
    association = associate(config, "CALLER", pair.node.peer, contexts, Deadline(10.0), sink=own, roles=roles)
    try:
        query = C_GET()
        query.MessageID, query.AffectedSOPClassUID, query.Priority = 1, StudyRootGet, 0
        query.Identifier = BytesIO(encode(KEYS, False, True))
        association.respond(query, 1)
        while not isinstance(association.next_message(10.0)[1], StoreRequest):
            pass
        association.send_messages(3, [(command.store_request(CTImageStorage, "1.2.3", 5), b"data")])
        wait_until(lambda: pair.node.archive.abandoned == ["1.2.3"])
    finally:
        end(association)


def test_a_cancel_is_seen_and_ends_the_work(start_node: StartNode, endless: Endless) -> None:
    pair = Pair(start_node, MprTwin(events=endless))
    association = established(pair.node, StudyRootMove)
    responses = association.send_c_move(KEYS, "DEST", StudyRootMove, msg_id=9)
    assert endless.started.wait(10)
    association.send_c_cancel(9, query_model=StudyRootMove)
    final = [status for status, _ in responses][-1]
    remaining, completed, failed, warning = counts(final)
    assert final.Status == 0xFE00 and remaining is not None
    assert remaining + completed + failed + warning == 1000
    assert endless.closed.wait(10)
    association.release()


def test_an_abort_is_seen_and_ends_the_work(start_node: StartNode, endless: Endless) -> None:
    pair = Pair(start_node, MprTwin(events=endless))
    association = established(pair.node, StudyRootMove)
    association.send_c_move(KEYS, "DEST", StudyRootMove)
    assert endless.started.wait(10)
    association.abort()
    assert endless.closed.wait(10)
    wait_until(lambda: not pair.node.acceptor.associations)
    wait_until(lambda: not pair.destination.acceptor.associations)


def test_a_connection_that_breaks_ends_the_work(start_node: StartNode, endless: Endless) -> None:
    pair = Pair(start_node, MprTwin(events=endless))
    association = established(pair.node, StudyRootMove)
    association.send_c_move(KEYS, "DEST", StudyRootMove)
    assert endless.started.wait(10)
    association.dul.socket._shutdown_socket()
    assert endless.closed.wait(10)
    wait_until(lambda: not pair.node.acceptor.associations)


def test_a_stuck_destination_does_not_hold_a_cancel(start_node: StartNode, tmp_path: Path) -> None:
    pair = Pair(start_node)
    pair.fill(series(3), tmp_path / "in")
    stuck, go_on = threading.Event(), threading.Event()
    pair.destination.archive.before_commit = lambda _: (stuck.set(), go_on.wait(20))
    association = established(pair.node, StudyRootMove)
    responses = association.send_c_move(KEYS, "DEST", StudyRootMove, msg_id=9)
    assert stuck.wait(10)
    association.send_c_cancel(9, query_model=StudyRootMove)
    assert [status.Status for status, _ in responses][-1] == 0xFE00
    go_on.set()
    association.release()


def test_a_destination_that_never_answers_fails_at_the_message_deadline(
    start_node: StartNode, tmp_path: Path
) -> None:
    destination = start_node(ae_title="DEST")
    dest = Peer(ae_title="DEST", host="127.0.0.1", port=destination.port, destination=True)
    node = start_node(
        ae_title="NODE", peers={"D": dest, "C": caller("CALLER")}, limits=Limits(message_deadline=0.5)
    )
    fill(node, series(3), tmp_path / "in")
    go_on = threading.Event()
    destination.archive.before_commit = lambda _: go_on.wait(20)
    final, _ = move(node)[-1]
    assert (final.Status, counts(final)) == (0xA702, (None, 0, 3, 0))
    go_on.set()


@pytest.mark.parametrize("taken", [ImplicitVRLittleEndian, ExplicitVRLittleEndian])
def test_an_uncompressed_instance_is_encoded_as_the_destination_takes_it(
    start_node: StartNode, tmp_path: Path, taken: str
) -> None:
    received: list[tuple[str, Dataset]] = []

    def take(event: evt.Event) -> int:
        received.append((event.context.transfer_syntax, event.dataset))
        return 0x0000

    entity = AE("DEST")
    entity.add_supported_context(CTImageStorage, taken)
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, take)])
    dest = Peer(ae_title="DEST", host="127.0.0.1", port=server.server_address[1])
    explicit, implicit = image(0), image(1)
    paths = [
        write(explicit, tmp_path / "e.dcm", transfer_syntax_uid=ExplicitVRLittleEndian),
        write(implicit, tmp_path / "i.dcm", transfer_syntax_uid=ImplicitVRLittleEndian),
    ]
    sent = list(Requestor(start_node().config).store(dest, [ref(path) for path in paths]))
    server.shutdown()
    assert [one.status for one in sent] == [0, 0]
    for (syntax, dataset), original in zip(received, (explicit, implicit), strict=True):
        assert syntax == taken and dataset == original


def test_patient_root_is_served(start_node: StartNode, tmp_path: Path) -> None:
    pair = Pair(start_node)
    pair.fill(series(2), tmp_path / "in")
    association = established(pair.node, PatientRootMove)
    keys = identifier("PATIENT", PatientID="P-1")
    del keys.SOPInstanceUID
    final = list(association.send_c_move(keys, "DEST", PatientRootMove))[-1][0]
    assert (final.Status, counts(final)) == (0x0000, (None, 2, 0, 0))
    association.release()


@pytest.mark.foreign
@pytest.mark.parametrize("size", [1, 40])
def test_movescu_and_getscu_retrieve_a_series(
    start_node: StartNode,
    tmp_path: Path,
    dcmtk: Callable[..., subprocess.CompletedProcess[str]],
    size: int,
) -> None:
    pair = Pair(start_node)
    pair.fill(series(size), tmp_path / "in")
    keys = ["-k", "QueryRetrieveLevel=SERIES", "-k", f"StudyInstanceUID={STUDY_UID}"]
    keys += ["-k", f"SeriesInstanceUID={SERIES_UID}"]
    moved = dcmtk("movescu", "-S", "-aec", "NODE", "-aem", "DEST", "127.0.0.1", pair.node.port, *keys)
    assert moved.returncode == 0, moved.stderr
    assert pair.destination.archive.data_sets == pair.node.archive.data_sets
    (tmp_path / "got").mkdir()
    got = dcmtk("getscu", "-S", "-aec", "NODE", "-od", tmp_path / "got", "127.0.0.1", pair.node.port, *keys)
    assert got.returncode == 0, got.stderr
    files = {dcmread(path).SOPInstanceUID for path in (tmp_path / "got").iterdir()}
    assert files == set(pair.node.archive.stored)


@pytest.mark.foreign
def test_movescu_shows_the_reason_of_a_refusal(
    start_node: StartNode, dcmtk: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    def refused(cancelled: Any) -> Iterator[Event]:
        yield from ()
        raise Refused(Code.TOO_FEW_IMAGES, "3 of 10", comment="3 of 10")

    pair = Pair(start_node, MprTwin(events=refused))
    keys = ["-k", "QueryRetrieveLevel=SERIES", "-k", "SeriesInstanceUID=1.2"]
    run = dcmtk("movescu", "-d", "-S", "-aec", "NODE", "-aem", "DEST", "127.0.0.1", pair.node.port, *keys)
    assert run.returncode == 69
    assert "too-few-images: 3 of 10" in run.stdout + run.stderr
    run = dcmtk("getscu", "-d", "-S", "-aec", "NODE", "127.0.0.1", pair.node.port, *keys)
    assert "too-few-images: 3 of 10" in run.stdout + run.stderr
    assert "Releasing Association" in run.stdout + run.stderr


def test_a_cancel_while_the_destination_is_being_called_leaves_no_association(
    start_node: StartNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calling, go_on = threading.Event(), threading.Event()
    pair = Pair(start_node)
    pair.fill(series(2), tmp_path / "in")
    admit = pair.destination.acceptor._admit

    def slow(*ask: Any) -> Any:
        calling.set()
        go_on.wait(10)
        return admit(*ask)

    monkeypatch.setattr(pair.destination.acceptor, "_admit", slow)
    association = established(pair.node, StudyRootMove)
    responses = association.send_c_move(KEYS, "DEST", StudyRootMove, msg_id=9)
    assert calling.wait(10)
    association.send_c_cancel(9, query_model=StudyRootMove)
    assert [status.Status for status, _ in responses][-1] == 0xFE00
    go_on.set()
    association.release()
    wait_until(lambda: not pair.destination.acceptor.associations)
    assert pair.destination.archive.stored == {}

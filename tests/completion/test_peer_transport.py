"""Scripted peers over real associations: every request ends in time, with the truth in the ledger."""

import logging
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import ImplicitVRLittleEndian
from pynetdicom.dimse_primitives import C_ECHO, C_FIND, C_GET

from scp import config
from scp.archive.archive import Archive
from scp.completion import PeerStates, PeerTransport, Surroundings
from scp.errors import Cancelled, Code
from scp.model import IsCancelled, SelectionReport
from scp.net.acceptor import Acceptor
from scp.net.requestor import Requestor
from scp.services.context import ServiceContext
from scp.services.dispatch import serve
from tests.builders import image, ramp, series, uid, write_series
from tests.completion import scripted
from tests.completion.scripted import PENDING, Script, dicom_peer, tcp_peer
from tests.completion.world import completed, numbers, peer

pytestmark = [
    pytest.mark.wire,
    # the thread of a scripted peer, whose connection is cut below pynetdicom
    pytest.mark.filterwarnings(r"ignore:Exception in thread Thread-\d+ \(run_reactor\)"),
]

WHOLE = list(range(1, 13))
DEADLINE_S = 0.5
RETRIEVAL_DEADLINE_S = 2.0
"""Long enough for two queries, of a peer written in Python, before what goes wrong."""
SLACK_S = 3.0


@dataclass
class Trial:
    """A node whose series lacks the images 7 and 8, and the one peer that may have them."""

    archive: Archive
    node: Acceptor
    settings: config.Config
    states: PeerStates = field(default_factory=PeerStates)
    searches: tuple[str, ...] = ("peers",)

    @property
    def address(self) -> tuple[str, int]:
        return ("127.0.0.1", self.node.address[1])

    def run(
        self, port: int, *others: int, cancelled: IsCancelled = lambda: False, **settings: Any
    ) -> SelectionReport:
        """Ask the peer PACS at *port*, and OTHER1, OTHER2 ... at the ports of *others*."""
        ports = {"PACS": port} | {f"OTHER{number}": other for number, other in enumerate(others, 1)}
        settings = {"deadline": 5.0, **settings}
        surroundings = Surroundings(
            read_folder=self.archive.read_folder,
            top=self.archive.root / "batch",
            searches=self.searches,
            archive=self.archive,
            arrivals=self.archive.arrivals,
            peers=tuple(peer(name, port=port, **settings) for name, port in ports.items()),
            peer_archives=PeerTransport(Requestor(self.settings), self.archive),
            peer_states=self.states,
        )
        current = self.archive.root / "batch/s/0001.dcm"
        return completed(current, surroundings, deadline_s=20.0, cancelled=cancelled)


@pytest.fixture
def trial(tmp_path: Path) -> Iterator[Trial]:
    write_series([ds for ds in series(12) if ds.InstanceNumber not in (7, 8)], tmp_path / "batch/s")
    settings = config.Config(
        node=config.Node(port=0),
        archive=config.Archive(root=tmp_path, minimum_free=0, durable=False),
        peers={"PACS": peer("PACS")},
    )
    with Archive.open(settings.archive) as archive:
        context = ServiceContext(settings, archive, Requestor(settings), None)
        node = Acceptor(settings, archive, partial(serve, context))
        node.start()
        try:
            yield Trial(archive, node, settings)
        finally:
            node.stop(0.0)


def detail(report: SelectionReport) -> str:
    (line,) = (line for line in report.searches if line.asked == "PACS")
    return line.detail


# peers that do what they are asked


@pytest.mark.parametrize("retrieve", ["auto", "get"])
def test_the_missing_come_by_c_get(trial: Trial, retrieve: str) -> None:
    script = Script(series(12))
    with dicom_peer(script) as port:
        report = trial.run(port, retrieve=retrieve)

    assert numbers(report) == WHOLE
    assert script.asked == ["find", "find", "get"]
    assert detail(report) == "holds 12 of the series; retrieved 2 of 2"
    assert [facts.header.text("SOPInstanceUID") for facts in report.stack[6:8]] == [
        uid("instance", 6),
        uid("instance", 7),
    ]


@pytest.mark.parametrize(("retrieve", "get"), [("move", scripted.get), ("auto", None)])
def test_the_missing_come_by_c_move_where_that_is_configured_or_c_get_is_not_spoken(
    trial: Trial, retrieve: str, get: scripted.Handler | None
) -> None:
    script = Script(series(12), get=get, move=scripted.move, destination=trial.address)
    with dicom_peer(script) as port:
        report = trial.run(port, retrieve=retrieve)

    assert numbers(report) == WHOLE
    assert script.asked == ["find", "find", "move"]


def test_a_peer_that_refuses_us_the_role_of_storage_scp_is_asked_to_move(trial: Trial) -> None:
    script = Script(series(12), gives_scp_role=False, move=scripted.move, destination=trial.address)
    with dicom_peer(script) as port:
        assert numbers(trial.run(port)) == WHOLE
    assert script.asked[-1] == "move"


def test_a_peer_that_speaks_only_implicit_little_endian_serves(trial: Trial) -> None:
    with dicom_peer(Script(series(12), transfer_syntaxes=(ImplicitVRLittleEndian,))) as port:
        report = trial.run(port)

    assert numbers(report) == WHOLE
    assert report.stack[6].pixel_data.transfer_syntax_uid == ImplicitVRLittleEndian


def test_a_peer_that_knows_the_patient_otherwise_is_reported_and_nothing_is_retrieved(trial: Trial) -> None:
    script = Script(series(12, PatientName="Smith^Jane"))
    with dicom_peer(script) as port:
        report = trial.run(port)

    assert report.verdict == Code.MISSING_INSTANCES
    assert detail(report) == "holds 12 of the series; peer differs: PatientName"
    assert "get" not in script.asked


def test_every_association_with_a_peer_that_behaves_is_released(
    trial: Trial, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "scp.net.association"), dicom_peer(Script(series(12))) as port:
        trial.run(port)

    ended = [record.getMessage() for record in caplog.records if "direction=out" in record.getMessage()]
    assert ended
    assert [line for line in ended if "end=released" not in line] == []


def test_what_comes_is_stored_for_good(trial: Trial) -> None:
    with dicom_peer(Script(series(12))) as port:
        trial.run(port)
    assert len(trial.archive.instance_files(uid("instance", 6))) == 1


# peers that cannot be had


@pytest.mark.parametrize(
    ("reject", "because"),
    [
        ((1, 1, 1), "no reason given"),
        ((1, 1, 2), "application context not supported"),
        ((1, 1, 3), "our AE title is not known there"),
        ((1, 1, 7), "the called AE title is not theirs"),
        ((1, 2, 2), "protocol version not supported"),
        ((2, 3, 1), "temporary congestion"),
        ((2, 3, 2), "too many associations"),
    ],
)
def test_a_peer_that_rejects_us_is_quoted(trial: Trial, reject: tuple[int, int, int], because: str) -> None:
    with tcp_peer(scripted.rejection(*reject)) as port:
        report = trial.run(port)

    assert report.verdict == Code.MISSING_INSTANCES
    assert detail(report) == f"PACS: the association was rejected: {because}"


def test_a_peer_that_is_down_is_named(trial: Trial) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    report = trial.run(port)
    assert f"no connection to 127.0.0.1:{port}" in detail(report)
    assert trial.states.of(peer("PACS")).failures == 1


@pytest.mark.parametrize(
    "behave",
    [
        scripted.silence,
        scripted.hang_up,
        scripted.reset_inside_a_pdu,
        scripted.drip,
        scripted.babble,
    ],
)
def test_a_peer_that_does_not_associate_ends_within_its_deadline(
    trial: Trial, behave: Callable[[socket.socket, threading.Event], None]
) -> None:
    with tcp_peer(behave) as port:
        begun = time.monotonic()
        report = trial.run(port, deadline=DEADLINE_S)
        assert time.monotonic() - begun < DEADLINE_S + SLACK_S

    assert report.verdict == Code.MISSING_INSTANCES
    assert detail(report)


def test_a_black_hole_ends_within_its_deadline(trial: Trial) -> None:
    with scripted.black_hole() as port:
        begun = time.monotonic()
        report = trial.run(port, deadline=DEADLINE_S)
        assert time.monotonic() - begun < DEADLINE_S + SLACK_S
    assert report.verdict == Code.MISSING_INSTANCES
    assert detail(report)


def test_a_peer_that_was_down_is_asked_again_when_its_rest_is_over(trial: Trial) -> None:
    passed = 0.0
    trial.states = PeerStates(lambda: time.monotonic() + passed)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    down = trial.run(port)
    with dicom_peer(Script(series(12)), port) as port:
        resting = trial.run(port)
        passed = 6.0
        back = trial.run(port)

    assert "no connection" in detail(down)
    assert detail(resting).startswith("left alone for 5 s more")
    assert numbers(back) == WHOLE
    assert trial.states.of(peer("PACS")).failures == 0


# peers that answer a question badly


def statuses(status: int) -> scripted.Handler:
    """Answer with one status and nothing else."""

    def answer(script: Script, event: Any) -> Iterator[Any]:
        yield status, None

    return answer


def silent(script: Script, event: Any) -> Iterator[Any]:
    script.over.wait(30)
    yield 0x0000, None


def reset(script: Script, event: Any) -> Iterator[Any]:
    """Answer half, and cut the connection."""
    for ds in script.holds[:3]:
        yield PENDING, scripted.answer(ds, event.identifier)
    scripted.abort(event.assoc.dul.socket.socket)
    yield 0x0000, None


def pending_for_ever(script: Script, event: Any) -> Iterator[Any]:
    while not script.over.wait(0.01):
        yield PENDING, scripted.answer(script.holds[0], event.identifier)


def wrong_message(script: Script, event: Any) -> Iterator[Any]:
    response = C_ECHO()
    response.MessageIDBeingRespondedTo = event.message_id
    response.AffectedSOPClassUID = "1.2.840.10008.1.1"
    response.Status = 0x0000
    event.assoc.dimse.send_msg(response, event.context.context_id)
    yield 0x0000, None


def unknown_status(script: Script, event: Any) -> Iterator[Any]:
    response = C_FIND()
    response.MessageIDBeingRespondedTo = event.message_id
    response.AffectedSOPClassUID = event.request.AffectedSOPClassUID
    response.Status = 0x4711
    event.assoc.dimse.send_msg(response, event.context.context_id)
    yield 0x0000, None


def everything(script: Script, event: Any) -> Iterator[Any]:
    """Answer with what was not asked for, beside the truth."""
    for ds in script.holds:
        yield PENDING, scripted.answer(ds, event.identifier)
        other = scripted.answer(ds, event.identifier)
        other.SeriesInstanceUID = "1.2.3.4"
        yield PENDING, other


def twice(script: Script, event: Any) -> Iterator[Any]:
    for ds in [*script.holds, *script.holds]:
        yield PENDING, scripted.answer(ds, event.identifier)


def capped(script: Script, event: Any) -> Iterator[Any]:
    for ds in script.holds[:7]:
        yield PENDING, scripted.answer(ds, event.identifier)
    yield 0xA700, None


@pytest.mark.parametrize(
    ("find", "said"),
    [
        (statuses(0xA700), "C-FIND ended with status 0xA700"),
        (statuses(0xA900), "C-FIND ended with status 0xA900"),
        (unknown_status, "C-FIND ended with status 0x4711"),
        (wrong_message, "C-FIND was answered by a C_ECHO message"),
        (silent, ""),
        (reset, ""),
        (pending_for_ever, ""),
    ],
)
def test_a_peer_that_answers_badly_ends_within_its_deadline(
    trial: Trial, find: scripted.Handler, said: str
) -> None:
    with dicom_peer(Script(series(12), find=find)) as port:
        begun = time.monotonic()
        report = trial.run(port, deadline=RETRIEVAL_DEADLINE_S)
        assert time.monotonic() - begun < RETRIEVAL_DEADLINE_S + SLACK_S

    assert report.verdict == Code.MISSING_INSTANCES
    assert said in detail(report)
    assert detail(report)


@pytest.mark.parametrize(
    ("find", "said"),
    [
        (everything, "answers not asked for dropped"),
        (twice, "holds 12 of the series; retrieved 2 of 2"),
    ],
)
def test_answers_too_many_do_no_harm(trial: Trial, find: scripted.Handler, said: str) -> None:
    with dicom_peer(Script(series(12), find=find)) as port:
        report = trial.run(port)
    assert numbers(report) == WHOLE
    assert said in detail(report)


def test_of_capped_answers_those_that_came_are_used(trial: Trial) -> None:
    with dicom_peer(Script(series(12), find=capped)) as port:
        report = trial.run(port)
    assert [missing.instance_number for missing in report.missing] == [8]
    assert "C-FIND ended with status 0xA700" in detail(report)


# peers that send badly


def no_retrieval(status: int) -> scripted.Handler:
    def refuse(script: Script, event: Any) -> Iterator[Any]:
        yield 0
        yield status, None

    return refuse


def sending(change: Callable[[Dataset], list[Dataset]]) -> scripted.Handler:
    """Send by C-GET what *change* makes of each data set that is asked for."""

    def get(script: Script, event: Any) -> Iterator[Any]:
        matches = [ds for asked in scripted.wanted(script, event.identifier) for ds in change(asked)]
        yield len(matches)
        for ds in matches:
            yield PENDING, ds

    return get


def moving(change: Callable[[Dataset], list[Dataset]]) -> scripted.Handler:
    """Send by C-MOVE what *change* makes of each data set that is asked for."""

    def move(script: Script, event: Any) -> Iterator[Any]:
        matches = [ds for asked in scripted.wanted(script, event.identifier) for ds in change(asked)]
        yield script.destination
        yield len(matches)
        for ds in matches:
            yield PENDING, ds

    return move


def as_in(slices: list[Dataset]) -> Callable[[Dataset], list[Dataset]]:
    return lambda ds: [slices[int(ds.InstanceNumber) - 1]]


def compressed(ds: Dataset) -> list[Dataset]:
    """Put fragments of a compressed frame where uncompressed pixels were agreed on."""
    ds = deepcopy(ds)
    ds.PixelData = encapsulate([bytes(range(64))])
    return [ds]


def silent_retrieval(script: Script, event: Any) -> Iterator[Any]:
    script.over.wait(30)
    yield 0


def cut_after_one(script: Script, event: Any) -> Iterator[Any]:
    matches = scripted.wanted(script, event.identifier)
    yield len(matches)
    yield PENDING, matches[0]
    scripted.abort(event.assoc.dul.socket.socket)
    yield PENDING, matches[1]


def cut_inside_a_data_set(script: Script, event: Any) -> Iterator[Any]:
    """Begin a C-STORE of a long data set and cut the connection within its first fragment."""
    connection = event.assoc.dul.socket.socket
    connection.sendall(struct.pack(">BxIIBB", 4, 5000, 4996, 3, 0) + bytes(100))
    scripted.abort(connection)
    yield 0


def pending_retrieval(script: Script, event: Any) -> Iterator[Any]:
    """Say for ever that there is more to come."""
    while not script.over.wait(0.01):
        response = C_GET()
        response.MessageIDBeingRespondedTo = event.message_id
        response.AffectedSOPClassUID = event.request.AffectedSOPClassUID
        response.Status = 0xFF00
        response.NumberOfRemainingSuboperations = 65535
        event.assoc.dimse.send_msg(response, event.context.context_id)
    yield 0


def endless_retrieval(script: Script, event: Any) -> Iterator[Any]:
    """Send one and the same image again and again."""
    yield 60000
    while not script.over.is_set():
        yield PENDING, script.holds[0]


def lying_counts(script: Script, event: Any) -> Iterator[Any]:
    """Say that all was sent, and send nothing."""
    response = C_GET()
    response.MessageIDBeingRespondedTo = event.message_id
    response.AffectedSOPClassUID = event.request.AffectedSOPClassUID
    response.Status = 0x0000
    response.NumberOfCompletedSuboperations = 2
    response.NumberOfFailedSuboperations = 0
    response.NumberOfWarningSuboperations = 0
    event.assoc.dimse.send_msg(response, event.context.context_id)
    yield 0


@pytest.mark.parametrize(
    ("get", "found"),
    [
        (no_retrieval(0xA702), 0),
        (no_retrieval(0xA900), 0),
        (no_retrieval(0x4711), 0),
        (silent_retrieval, 0),
        (cut_after_one, 1),
        (cut_inside_a_data_set, 0),
        (pending_retrieval, 0),
        (endless_retrieval, 0),
        (lying_counts, 0),
        (sending(as_in(series(12, PatientName="Doe^John"))), 0),
        (sending(as_in(series(12, StudyInstanceUID="1.2.3"))), 0),
        (sending(as_in(series(12, SeriesInstanceUID="1.2.3"))), 0),
        (sending(lambda ds: series(1, SOPInstanceUID=uid("stray", ds.InstanceNumber))), 0),
        (sending(compressed), 0),
        (wrong_message, 0),
        (sending(lambda ds: [ds, ds]), 2),
    ],
)
def test_a_peer_that_sends_badly_ends_within_its_deadline_and_only_what_belongs_is_used(
    trial: Trial, get: scripted.Handler, found: int
) -> None:
    with dicom_peer(Script(series(12), get=get)) as port:
        begun = time.monotonic()
        report = trial.run(port, retrieve="get", deadline=RETRIEVAL_DEADLINE_S)
        assert time.monotonic() - begun < RETRIEVAL_DEADLINE_S + SLACK_S

    assert len(report.missing) == 2 - found
    assert sum(line.found for line in report.searches) == found
    assert all(facts.header.text("PatientName") == "Roe^Jane" for facts in report.stack)
    assert detail(report).startswith("holds 12 of the series; retrieved ")


def test_instances_that_were_not_asked_for_are_not_even_stored(trial: Trial) -> None:
    stray = uid("stray")
    get = sending(lambda ds: [ds, *series(1, SOPInstanceUID=stray)])
    with dicom_peer(Script(series(12), get=get)) as port:
        report = trial.run(port, retrieve="get")

    assert numbers(report) == WHOLE
    assert trial.archive.instance_files(stray) == ()


OTHER_PIXELS = series(12, pixels=ramp(99, 8, 10))


@pytest.mark.parametrize("retrieve", ["get", "move"])
def test_other_bytes_under_a_known_uid_never_enter_the_volume(trial: Trial, retrieve: str) -> None:
    trial.archive.reindex()
    known, false = uid("instance", 2), OTHER_PIXELS[2]
    script = Script(
        series(12),
        get=sending(lambda ds: [false, ds]),
        move=moving(lambda ds: [false, ds]),
        destination=trial.address,
    )
    with dicom_peer(script) as port:
        report = trial.run(port, retrieve=retrieve)

    assert numbers(report) == WHOLE
    assert [facts.path for facts in report.stack if facts.sop_instance_uid == known] == [
        trial.archive.root / "batch/s/0003.dcm"
    ]
    # what we ask for by C-GET we choose; who may store here may store that, and a person is told of it
    assert list(trial.archive.conflicts()) == ([known] if retrieve == "move" else [])


def test_peers_that_hold_other_pixels_under_one_uid_are_not_mixed_within_an_image(trial: Trial) -> None:
    with dicom_peer(Script(series(12))) as one, dicom_peer(Script(OTHER_PIXELS)) as other:
        report = trial.run(one, other)

    assert numbers(report) == WHOLE
    assert [len(trial.archive.instance_files(uid("instance", k))) for k in (6, 7)] == [1, 1]
    assert sum(line.found for line in report.searches) == 2


def test_peers_that_hold_other_images_for_one_hole_are_refused(trial: Trial) -> None:
    whole = series(12)
    renamed = [image(k, SOPInstanceUID=uid("other", k)) for k in (6, 7)]
    lacks_one, contradicts = Script([*whole[:7], *whole[8:]]), Script([*whole[:6], *renamed, *whole[8:]])
    with dicom_peer(lacks_one) as one, dicom_peer(contradicts) as other:
        report = trial.run(one, other)

    assert report.verdict == Code.CANDIDATE_CONFLICT
    assert sorted(line.asked for line in report.searches) == ["OTHER1", "PACS"]


def test_false_pixels_that_nobody_could_tell_are_told_once_the_true_ones_arrive(trial: Trial) -> None:
    """No attribute vouches for pixels: the first copy of an image is believed until a second contradicts."""
    with dicom_peer(Script(OTHER_PIXELS)) as port:
        assert numbers(trial.run(port)) == WHOLE
    assert trial.archive.conflicts() == {}

    assert scripted.store(series(12)[6], trial.address) == 0x0000

    assert list(trial.archive.conflicts()) == [uid("instance", 6)]
    trial.searches = ("index",)
    report = trial.run(port)
    assert (report.verdict, report.numbers) == (Code.DUPLICATE_CONFLICT, "Pixel Data")


def test_a_peer_that_moves_to_somebody_else_has_given_nothing(trial: Trial) -> None:
    elsewhere = Script(series(12))
    with dicom_peer(elsewhere) as other:
        script = Script(series(12), get=None, move=scripted.move, destination=("127.0.0.1", other))
        with dicom_peer(script) as port:
            report = trial.run(port)

    assert report.verdict == Code.MISSING_INSTANCES
    assert "retrieved 0 of 2" in detail(report)


def test_a_peer_that_does_not_know_us_as_a_destination_is_quoted(trial: Trial) -> None:
    def unknown(script: Script, event: Any) -> Iterator[Any]:
        yield None, None

    script = Script(series(12), get=None, move=unknown)
    with dicom_peer(script) as port:
        report = trial.run(port)
    assert "C-MOVE ended with status 0xA801" in detail(report)


def test_what_comes_after_the_deadline_is_stored_and_serves_the_next_request(trial: Trial) -> None:
    def never(script: Script, event: Any) -> Iterator[Any]:
        script.over.wait(30)
        yield None, None

    with dicom_peer(Script(series(12), get=None, move=never)) as port:
        report = trial.run(port, deadline=RETRIEVAL_DEADLINE_S)
    for ds in series(12)[6:8]:
        assert scripted.store(ds, trial.address) == 0x0000

    assert report.verdict == Code.MISSING_INSTANCES
    trial.searches = ("index",)
    assert numbers(trial.run(port)) == WHOLE


def test_a_peer_that_is_this_node_gives_nothing_new(trial: Trial) -> None:
    report = trial.run(trial.node.address[1], ae_title=trial.settings.node.ae_title)
    assert report.verdict == Code.MISSING_INSTANCES


def test_a_cancelled_request_ends_within_a_second(trial: Trial) -> None:
    reached = threading.Event()

    def reached_and_silent(script: Script, event: Any) -> Iterator[Any]:
        reached.set()
        script.over.wait(30)
        yield 0

    with dicom_peer(Script(series(12), get=reached_and_silent)) as port:
        with pytest.raises(Cancelled):
            trial.run(port, deadline=2.0, cancelled=reached.is_set)
        begun = time.monotonic()
    assert time.monotonic() - begun < 1.0 + SLACK_S

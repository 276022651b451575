"""C-FIND: answers, how they end, and what is told when they cannot be had (PS3.4 C.4.1)."""

import subprocess
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Set
from pathlib import Path
from typing import Any

import pytest
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.dsutils import encode
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind as StudyRootFind

from scp.archive import Archive
from scp.config import Archive as Settings
from scp.config import Query
from scp.errors import BadRequest, Code, IndexUnavailable, PeerFailed, Refused
from scp.net.deadlines import Deadline
from scp.net.requestor import Requestor
from scp.part10.header import Encoding
from scp.services import date_keys
from scp.services.context import Requesting
from scp.services.find import Encodes
from tests.builders import SERIES_UID, STUDY_UID, series, write_series
from tests.net.nodes import RunningNode, caller, wait_until
from tests.services.test_store import ref

pytestmark = pytest.mark.wire

StartNode = Callable[..., RunningNode]


class MprTwin:
    """Answers queries with *answers*, retrieves with *events*; ``None`` leaves them to the archive."""

    def __init__(self, answers: Any = None, events: Any = None) -> None:
        self.answers = answers
        self.events = events
        self.asked: list[Requesting] = []

    def answers_of(
        self, identifier: Dataset, requesting: Requesting, cancelled: Any
    ) -> Generator[Dataset, None, None] | None:
        self.asked.append(requesting)
        return each(self.answers()) if self.answers else None

    def events_of(self, identifier: Dataset, requesting: Requesting, cancelled: Any) -> Any:
        self.asked.append(requesting)
        return self.events(cancelled) if self.events else None


def each(answers: Iterable[Dataset]) -> Generator[Dataset, None, None]:
    yield from answers


def identifier(level: str = "IMAGE", **keys: str) -> Dataset:
    dataset = Dataset()
    dataset.QueryRetrieveLevel = level
    for keyword, value in {"SOPInstanceUID": "", **keys}.items():
        setattr(dataset, keyword, value)
    return dataset


def fill(node: RunningNode, tmp_path: Path, count: int) -> list[Path]:
    paths = write_series(series(count), tmp_path / "in")
    sent = Requestor(node.config).store(node.peer, [ref(path) for path in paths])
    assert all(one.status == 0 for one in sent)
    return paths


def query(
    node: RunningNode, keys: Dataset, calling: str = "MPRSCP", maximum_pdu: int = 0
) -> list[tuple[int, Dataset | None]]:
    """Return every (Status, identifier) that pynetdicom's client sees; a last one with the comment."""
    entity = AE(calling)
    entity.maximum_pdu_size = maximum_pdu
    entity.add_requested_context(StudyRootFind)
    association = entity.associate("127.0.0.1", node.port, ae_title=node.config.node.ae_title)
    answers = [(status, found) for status, found in association.send_c_find(keys, StudyRootFind)]
    association.release()
    return [(status.Status, status if found is None else found) for status, found in answers]


def test_every_answer_comes_and_tells_where_it_can_be_retrieved(
    start_node: StartNode, tmp_path: Path
) -> None:
    node = start_node()
    fill(node, tmp_path, 5)
    answers = list(Requestor(node.config).find(node.peer, identifier(SeriesInstanceUID=SERIES_UID)))
    assert {answer.SOPInstanceUID for answer in answers} == set(node.archive.stored)
    assert {answer.RetrieveAETitle for answer in answers} == {"MPRSCP"}


def test_a_key_that_is_not_supported_is_said_so(start_node: StartNode, tmp_path: Path) -> None:
    node = start_node()
    fill(node, tmp_path, 1)
    supported, unsupported = query(node, identifier()), query(node, identifier(StationName=""))
    assert [status for status, _ in supported] == [0xFF00, 0x0000]
    assert [status for status, _ in unsupported] == [0xFF01, 0x0000]


def test_beyond_the_cap_the_answers_end_with_out_of_resources(start_node: StartNode, tmp_path: Path) -> None:
    node = start_node(sections={"query": Query(maximum_answers=3)})
    fill(node, tmp_path, 3)
    assert [status for status, _ in query(node, identifier())] == [0xFF00] * 3 + [0x0000]
    write_series(series(4), tmp_path / "more")
    fill(node, tmp_path / "more", 4)
    assert [status for status, _ in query(node, identifier())] == [0xFF00] * 3 + [0xA700]


def test_results_that_are_listed_count_among_the_answers(start_node: StartNode) -> None:
    listed = [identifier() for _ in range(4)]
    node = start_node(sections={"query": Query(maximum_answers=3)}, mpr=MprTwin(lambda: iter(listed)))
    assert [status for status, _ in query(node, identifier())] == [0xFF00] * 3 + [0xA700]


def test_an_identifier_without_a_level_names_the_offending_element(start_node: StartNode) -> None:
    keys = identifier()
    del keys.QueryRetrieveLevel
    ((status, told),) = query(start_node(), keys)
    assert status == 0xA900 and told is not None
    assert told.ErrorComment == "bad-request: QueryRetrieveLevel"
    assert told.OffendingElement == 0x00080052


def test_a_date_that_nothing_could_match_is_refused_by_name(
    start_node: StartNode, caplog: pytest.LogCaptureFixture
) -> None:
    node = start_node()
    with caplog.at_level("INFO"):
        ((status, told),) = query(node, raw_key("StudyDate", "yesterday"))
        wait_until(lambda: "C-FIND" in caplog.text)
    assert status == 0xA900 and told is not None
    assert told.ErrorComment == "bad-request: StudyDate"
    assert told.OffendingElement == 0x00080020
    assert 'why="StudyDate is ' in caplog.text and "yesterday" not in caplog.text


@pytest.mark.parametrize(
    ("keyword", "text"),
    [
        ("StudyDate", "2026-01-31"),
        ("StudyDate", "20261231-20260101"),
        ("StudyDate", "20260101\\soon"),
        ("StudyTime", "noon"),
        ("StudyTime", "1800-0600"),
        ("AcquisitionDateTime", "20261231-2025"),
    ],
)
def test_dates_that_are_none_and_ranges_that_end_before_they_begin_are_refused(
    keyword: str, text: str
) -> None:
    with pytest.raises(BadRequest) as refused:
        date_keys.check(raw_key(keyword, text))
    assert refused.value.keyword == keyword


@pytest.mark.parametrize(
    ("keyword", "text"),
    [
        ("StudyDate", "20260131"),
        ("StudyDate", "2026.01.31-2026.02.01"),
        ("StudyDate", "20260131 - 20260201"),
        ("StudyDate", "2026-2026"),
        ("StudyDate", "202601*"),
        ("StudyDate", "-"),
        ("StudyDate", "*"),
        ("StudyDate", "-20260131"),
        ("StudyTime", "0630-"),
        ("StudyTime", "06:30:00.5-18"),
        ("AcquisitionDateTime", "20260131120000.000000+0100-20260201120000+0100"),
        ("AcquisitionDateTime", "20260131-0500"),
    ],
)
def test_dates_and_ranges_as_clients_write_them_are_understood(keyword: str, text: str) -> None:
    date_keys.check(raw_key(keyword, text))


def raw_key(keyword: str, text: str) -> Dataset:
    """Return an identifier with a key that pydicom would not let anybody write."""
    dataset = identifier()
    tag = tag_for_keyword(keyword)
    assert tag is not None
    value = text.split("\\") if "\\" in text else text
    element = DataElement(tag, dictionary_VR(keyword), value, already_converted=True)
    dataset.add(element)
    return dataset


def test_the_log_tells_the_verdict_of_a_dry_run(
    start_node: StartNode, caplog: pytest.LogCaptureFixture
) -> None:
    answer = identifier()
    answer.ImageComments = "missing-instances: 2 of 28; used 26 of 28"
    node = start_node(mpr=MprTwin(lambda: iter([answer])))
    with caplog.at_level("INFO"):
        query(node, identifier(ReformattingOperationType="MPR"))
        wait_until(lambda: "C-FIND" in caplog.text)
    assert 'verdict="missing-instances: 2 of 28"' in caplog.text


def test_an_index_that_does_not_answer_is_said_so(
    start_node: StartNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = start_node()

    def locked(*_: object, **__: object) -> Iterator[Dataset]:
        raise IndexUnavailable("database is locked")
        yield

    monkeypatch.setattr(node.archive, "find", locked)
    ((status, _),) = query(node, identifier())
    assert status == 0xC001


def test_the_right_mpr_alone_opens_no_ordinary_query(start_node: StartNode) -> None:
    node = start_node(peers={"A": caller("PLANNER", "mpr")})
    ((status, told),) = query(node, identifier(), "PLANNER")
    assert (
        status == 0x0124
        and told is not None
        and told.ErrorComment == "not-authorized: it needs the right find"
    )


def test_a_dry_run_is_answered_by_the_reconstruction(start_node: StartNode) -> None:
    mpr = MprTwin(answers=lambda: [identifier("SERIES", SeriesDescription="COR")])
    node = start_node(mpr=mpr, peers={"A": caller("PLANNER", "mpr")})
    answers = query(node, identifier(), "PLANNER")
    assert [status for status, _ in answers] == [0xFF00, 0x0000]
    (asked,) = mpr.asked
    assert (asked.calling_ae_title, asked.called_ae_title, asked.root_model) == ("PLANNER", "MPRSCP", "STUDY")
    assert asked.may_mpr and asked.peer is not None and asked.peer.name == "A"


def test_a_dry_run_may_be_refused(start_node: StartNode) -> None:
    def refused() -> Iterator[Dataset]:
        raise Refused(Code.WHICH_STACK, "two stacks", comment="2")
        yield

    ((status, told),) = query(start_node(mpr=MprTwin(answers=refused)), identifier())
    assert status == 0xC016 and told is not None and told.ErrorComment == "which-stack: 2"


def test_an_answer_that_cannot_be_encoded_ends_the_query_as_our_own_fault(start_node: StartNode) -> None:
    answer = identifier()
    answer.add_new("WaveformData", "OB or OW", b"")
    ((status, told),) = query(start_node(mpr=MprTwin(answers=lambda: [answer])), identifier())
    assert status == 0xC0FF and told is not None and told.ErrorComment.startswith("internal: see log")


def slow_answers(started: threading.Event, closed: threading.Event) -> Callable[[], Iterator[Dataset]]:
    def answers() -> Iterator[Dataset]:
        try:
            started.set()
            yield identifier()
            while not closed.wait(0.02):
                yield identifier()
        finally:
            closed.set()

    return answers


def test_a_cancel_ends_the_answers(start_node: StartNode) -> None:
    started, closed = threading.Event(), threading.Event()
    node = start_node(mpr=MprTwin(answers=slow_answers(started, closed)))
    association = established(node)
    responses = association.send_c_find(identifier(), StudyRootFind, msg_id=7)
    assert next(responses)[0].Status == 0xFF00
    association.send_c_cancel(7, query_model=StudyRootFind)
    assert [status.Status for status, _ in responses][-1] == 0xFE00
    assert closed.wait(10)
    association.release()


def test_an_abort_ends_the_answers(start_node: StartNode) -> None:
    started, closed = threading.Event(), threading.Event()
    node = start_node(mpr=MprTwin(answers=slow_answers(started, closed)))
    association = established(node)
    next(association.send_c_find(identifier(), StudyRootFind))
    association.abort()
    assert closed.wait(10)
    wait_until(lambda: not node.acceptor.associations)


def established(node: RunningNode) -> Association:
    entity = AE("CALLER")
    entity.add_requested_context(StudyRootFind)
    association = entity.associate("127.0.0.1", node.port, ae_title="MPRSCP")
    assert association.is_established
    return association


class EncodedTwin(Iterator[Dataset]):
    """Answers that come in *batches* of identifiers; each is made when it is wanted."""

    tags: Set[int] = frozenset({0x00080018})

    def __init__(self, batches: Iterable[int], **told: Any) -> None:
        self.batches = batches
        self.told = told
        self.closed = False

    def close(self) -> None:
        self.closed = True

    def __next__(self) -> Dataset:
        raise AssertionError("who can have them encoded takes them so")

    def encoded(self, encoding: Encoding, own: Mapping[str, str]) -> Iterator[list[bytes]]:
        for count in self.batches:
            answer = identifier(SOPInstanceUID="1.2.3", **self.told, **own)
            yield [encode(answer, not encoding.explicit, encoding.little) or b""] * count


def answering(node: RunningNode, monkeypatch: pytest.MonkeyPatch, batches: Iterable[int]) -> RunningNode:
    monkeypatch.setattr(node.archive, "find", lambda *_, **__: EncodedTwin(batches))
    return node


def test_answers_that_lie_ready_arrive_as_any_other(
    start_node: StartNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = answering(start_node(), monkeypatch, [1, 0, 70])
    *answers, (status, _) = query(node, identifier())
    assert status == 0x0000
    assert [status for status, _ in answers] == [0xFF00] * 71
    assert {found.RetrieveAETitle for _, found in answers if found} == {"MPRSCP"}
    told = query(node, identifier(StationName=""))
    assert [status for status, _ in told] == [0xFF01] * 71 + [0x0000]


def test_the_answers_of_an_archive_are_taken_encoded(tmp_path: Path) -> None:
    with Archive.open(Settings(root=tmp_path, minimum_free=0)) as archive:
        assert isinstance(archive.find("STUDY", identifier("STUDY")), Encodes)


def test_answers_longer_than_a_pdu_of_the_requestor_arrive_whole(
    start_node: StartNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    comments = "".join(map(str, range(2000)))
    twin = EncodedTwin([1, 3], ImageComments=comments)
    node = start_node()
    monkeypatch.setattr(node.archive, "find", lambda *_, **__: twin)
    *answers, (status, _) = query(node, identifier(), maximum_pdu=1024)
    assert status == 0x0000
    assert [found.ImageComments for _, found in answers if found] == [comments] * 4


def test_the_cap_holds_inside_a_batch(start_node: StartNode, monkeypatch: pytest.MonkeyPatch) -> None:
    node = start_node(sections={"query": Query(maximum_answers=3)})
    cut = query(answering(node, monkeypatch, [2, 5]), identifier())
    assert [status for status, _ in cut] == [0xFF00] * 3 + [0xA700]
    whole = query(answering(node, monkeypatch, [2, 1, 0]), identifier())
    assert [status for status, _ in whole] == [0xFF00] * 3 + [0x0000]


@pytest.mark.parametrize("batches", [[1], [2, 5]], ids=["all are sent", "there are too many"])
def test_answers_are_closed_when_the_query_ends(
    start_node: StartNode, monkeypatch: pytest.MonkeyPatch, batches: list[int]
) -> None:
    """They hold a connection to the database until then."""
    twin = EncodedTwin(batches)
    node = start_node(sections={"query": Query(maximum_answers=3)})
    monkeypatch.setattr(node.archive, "find", lambda *_, **__: twin)
    query(node, identifier())
    assert twin.closed


def test_a_cancel_is_seen_between_two_batches(start_node: StartNode, monkeypatch: pytest.MonkeyPatch) -> None:
    node = start_node()

    def batches() -> Iterator[int]:
        yield 1
        wait_until(lambda: any(each.is_cancelled(7) for each in node.acceptor.associations))
        yield 0
        raise AssertionError("more is looked for after the cancel")

    association = established(answering(node, monkeypatch, batches()))
    responses = association.send_c_find(identifier(), StudyRootFind, msg_id=7)
    assert next(responses)[0].Status == 0xFF00
    association.send_c_cancel(7, query_model=StudyRootFind)
    assert [status.Status for status, _ in responses] == [0xFE00]
    association.release()


def test_the_requestor_that_wants_no_more_answers_cancels(start_node: StartNode) -> None:
    started, closed = threading.Event(), threading.Event()
    node = start_node(mpr=MprTwin(answers=slow_answers(started, closed)))
    answers = Requestor(node.config).find(node.peer, identifier())
    next(answers)
    answers.close()
    assert closed.wait(10)


def test_the_requestor_drops_answers_that_were_not_asked_for(start_node: StartNode) -> None:
    wrong = identifier("SERIES", SeriesInstanceUID="1.2.9")
    right = identifier("SERIES", SeriesInstanceUID=SERIES_UID)
    node = start_node(mpr=MprTwin(answers=lambda: [wrong, right, wrong]))
    answers = Requestor(node.config).find(node.peer, identifier("SERIES", SeriesInstanceUID=SERIES_UID))
    assert [answer.SeriesInstanceUID for answer in answers] == [SERIES_UID]
    assert answers.dropped == 2


def test_endless_answers_end_at_the_requestors_deadline(start_node: StartNode) -> None:
    started, closed = threading.Event(), threading.Event()
    node = start_node(mpr=MprTwin(answers=slow_answers(started, closed)))
    with pytest.raises(PeerFailed, match=r"node: not done within 0\.3 s"):
        list(Requestor(node.config).find(node.peer, identifier(), deadline=Deadline(0.3)))
    assert closed.wait(10)


def test_a_refusal_is_one_sentence_with_the_peers_comment(start_node: StartNode) -> None:
    def refused() -> Iterator[Dataset]:
        raise BadRequest("Rows", "no")
        yield

    node = start_node(mpr=MprTwin(answers=refused))
    with pytest.raises(PeerFailed, match="node: C-FIND ended with status 0xA900, bad-request: Rows"):
        list(Requestor(node.config).find(node.peer, identifier()))


@pytest.mark.parametrize("size", [10, 500_000, 3_000_000])
def test_a_whole_image_may_be_the_identifier(start_node: StartNode, size: int) -> None:
    seen: list[int] = []
    mpr = MprTwin()

    def answers() -> Iterable[Dataset]:
        return []

    mpr.answers = answers
    original = mpr.answers_of
    mpr.answers_of = lambda keys, *who: (seen.append(len(keys)), original(keys, *who))[1]  # type: ignore
    node = start_node(mpr=mpr)
    keys = identifier()
    keys.PixelData = bytes(size)
    keys["PixelData"].VR = "OW"
    assert [status for status, _ in query(node, keys)] == [0x0000]
    assert seen == [2]


@pytest.mark.foreign
def test_findscu_gets_every_answer(
    start_node: StartNode, tmp_path: Path, dcmtk: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    node = start_node()
    fill(node, tmp_path, 4)
    keys = ("-k", "QueryRetrieveLevel=IMAGE", "-k", f"StudyInstanceUID={STUDY_UID}", "-k", "SOPInstanceUID")
    run = dcmtk("findscu", "-S", "-aec", "MPRSCP", "127.0.0.1", node.port, *keys)
    assert run.returncode == 0, run.stderr
    found = run.stdout + run.stderr
    assert all(uid in found for uid in node.archive.stored)

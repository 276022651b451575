"""The search at peers: whatever they do, the request ends in time with the truth in the ledger."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from scp.completion import PeerStates, Surroundings
from scp.completion.peer_archives import HeldInstance
from scp.errors import Cancelled, Code, MprScpError, PeerFailed
from scp.model import IsCancelled, SelectionReport
from scp.selection import refusal
from tests.builders import ramp, series, uid, write, write_series
from tests.completion.world import (
    ArchiveTwin,
    PeerTwin,
    completed,
    held,
    lines,
    numbers,
    peer,
    surroundings_with,
    wait_for,
)

WHOLE = list(range(1, 13))
SLACK_S = 3.0


@pytest.fixture
def archive(tmp_path: Path) -> ArchiveTwin:
    """Return an archive whose folder s lacks the images 7 and 8 of the series."""
    write_series([ds for ds in series(12) if ds.InstanceNumber not in (7, 8)], tmp_path / "s")
    return ArchiveTwin(tmp_path)


@pytest.fixture
def truthful(archive: ArchiveTwin) -> PeerTwin:
    return PeerTwin(archive, series(12))


def run(archive: ArchiveTwin, twins: dict[str, PeerTwin], **settings: object) -> SelectionReport:
    return completed(archive.root / "s/0001.dcm", surroundings_with(archive, twins, **settings))


def detail(report: SelectionReport, asked: str = "PACS") -> str:
    return next(line.detail for line in report.searches if line.asked == asked)


# what a peer is asked for


def test_exactly_the_missing_is_retrieved_and_used(archive: ArchiveTwin, truthful: PeerTwin) -> None:
    report = run(archive, {"PACS": truthful})

    assert report.ok
    assert numbers(report) == WHOLE
    assert truthful.fetched == [(uid("instance", 6), uid("instance", 7))]
    assert lines(report) == [("peers", "PACS", 2, 2)]
    assert detail(report) == "holds 12 of the series; retrieved 2 of 2"


def test_a_series_of_which_one_image_is_here_is_fetched_whole(tmp_path: Path) -> None:
    write_series(series(12)[:1], tmp_path / "s")
    archive = ArchiveTwin(tmp_path)
    pacs = PeerTwin(archive, series(30))

    report = run(archive, {"PACS": pacs})

    assert numbers(report) == list(range(1, 31))
    assert len(pacs.fetched[0]) == 29


def test_ends_that_only_a_peer_knows_of_are_fetched(tmp_path: Path) -> None:
    write_series(series(12), tmp_path / "s")
    archive = ArchiveTwin(tmp_path)

    report = run(archive, {"PACS": PeerTwin(archive, series(15))})

    assert numbers(report) == list(range(1, 16))
    assert lines(report) == [("peers", "PACS", 3, 3)]


def test_ends_that_a_peer_knows_of_and_does_not_give_are_noted(tmp_path: Path) -> None:
    write_series(series(12), tmp_path / "s")
    archive = ArchiveTwin(tmp_path)

    class Keeping(PeerTwin):
        def fetch(self, uids: tuple[str, ...], cancelled: IsCancelled, within_s: float) -> None:
            raise PeerFailed("PACS refused the retrieval: 0xA702")

    report = run(archive, {"PACS": Keeping(archive, series(15))})

    assert report.ok
    assert numbers(report) == WHOLE
    assert Code.ENDS_MISSING in [note.code for note in report.notes]


def test_uids_are_asked_for_in_batches(tmp_path: Path) -> None:
    write_series(series(12)[:1], tmp_path / "s")
    archive = ArchiveTwin(tmp_path)
    pacs = PeerTwin(archive, series(24))

    report = run(archive, {"PACS": pacs}, peers=(peer("PACS", uids_per_request=10),))

    assert len(numbers(report)) == 24
    assert [len(batch) for batch in pacs.fetched] == [10, 10, 3]


def test_a_dry_run_asks_and_retrieves_nothing(archive: ArchiveTwin, truthful: PeerTwin) -> None:
    report = run(archive, {"PACS": truthful}, retrieve=False)

    assert report.verdict == Code.MISSING_INSTANCES
    assert truthful.asked == 1
    assert truthful.fetched == []
    assert "2 could be retrieved; a dry run retrieves nothing" in detail(report)


def test_what_the_archive_knows_is_not_retrieved_again(archive: ArchiveTwin, truthful: PeerTwin) -> None:
    for ds in series(12)[6:8]:
        archive.store(ds)

    report = run(archive, {"PACS": truthful})

    assert numbers(report) == WHOLE
    assert truthful.fetched == []


def test_a_peer_is_never_asked_to_replace_what_is_known_under_a_uid(archive: ArchiveTwin) -> None:
    of_another_patient = series(12, PatientName="Doe^John")[6]
    archive.store(of_another_patient)
    pacs = PeerTwin(archive, series(12))

    report = run(archive, {"PACS": pacs})

    assert pacs.fetched == [(uid("instance", 7),)]
    assert report.verdict == Code.MISSING_INSTANCES


def test_an_instance_that_a_rejection_note_names_is_not_retrieved(tmp_path: Path) -> None:
    write_series(series(12), tmp_path / "s")
    archive = ArchiveTwin(tmp_path)
    pacs = PeerTwin(archive, series(14))

    report = run(archive, {"PACS": pacs}, rejected=frozenset({uid("instance", 13)}))

    assert pacs.fetched == [(uid("instance", 12),)]
    assert numbers(report) == list(range(1, 14))


def test_a_truncated_image_is_retrieved_whole(archive: ArchiveTwin, truthful: PeerTwin) -> None:
    damaged = write(series(12)[6], archive.root / "s/damaged.dcm")
    damaged.write_bytes(damaged.read_bytes()[:-20])

    assert numbers(run(archive, {"PACS": truthful})) == WHOLE


def test_no_peer_is_asked_for_a_series_that_images_cannot_mend(
    archive: ArchiveTwin, truthful: PeerTwin
) -> None:
    ds = series(12)[0]
    ds.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    write(ds, archive.root / "s/0001.dcm")

    report = run(archive, {"PACS": truthful})

    assert report.verdict == Code.LOCALIZER
    assert truthful.asked == 0


# what a peer may answer


@dataclass
class Answering(PeerTwin):
    """A peer that lists what a test says."""

    answers: Callable[[Dataset], Iterable[HeldInstance]] = lambda ds: [held(ds)]

    def find(self, cancelled: IsCancelled, within_s: float) -> Iterator[HeldInstance]:
        self.asked += 1
        return (answer for ds in self.holds for answer in self.answers(ds))


def test_a_peer_with_a_corrected_patient_is_reported_and_not_retrieved_from(archive: ArchiveTwin) -> None:
    pacs = Answering(archive, series(12), answers=lambda ds: [held(ds, PatientName="Smith^Jane")])

    report = run(archive, {"PACS": pacs})

    assert pacs.fetched == []
    assert "peer differs: PatientName" in detail(report)
    assert "Smith" not in detail(report)


def test_answers_that_were_not_asked_for_are_dropped_and_counted(archive: ArchiveTwin) -> None:
    other = held(series(1)[0], SeriesInstanceUID="1.2.3")
    pacs = Answering(archive, series(12), answers=lambda ds: [held(ds), other])

    report = run(archive, {"PACS": pacs})

    assert numbers(report) == WHOLE
    assert "12 answers not asked for dropped" in detail(report)


def test_answers_that_come_twice_count_once(archive: ArchiveTwin) -> None:
    pacs = Answering(archive, series(12), answers=lambda ds: [held(ds), held(ds)])

    report = run(archive, {"PACS": pacs})

    assert [len(batch) for batch in pacs.fetched] == [2]
    assert detail(report).startswith("holds 12 of the series")


def test_a_peer_that_answers_without_instance_numbers_serves_too(archive: ArchiveTwin) -> None:
    pacs = Answering(archive, series(12), answers=lambda ds: [replace(held(ds), instance_number=None)])
    assert numbers(run(archive, {"PACS": pacs})) == WHOLE


class Endless(PeerTwin):
    def find(self, cancelled: IsCancelled, within_s: float) -> Iterator[HeldInstance]:
        yield from (held(ds) for ds in self.holds)
        while True:
            yield held(self.holds[0])


@dataclass
class Capped(PeerTwin):
    """A peer that answers in part, and then says that there is more."""

    most: int = 8

    def find(self, cancelled: IsCancelled, within_s: float) -> Iterator[HeldInstance]:
        self.asked += 1
        yield from (held(ds) for ds in self.holds[: self.most])
        raise PeerFailed("C-FIND ended with status 0xA700")


def test_of_a_peer_that_answers_without_end_only_so_much_is_heard(
    archive: ArchiveTwin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scp.completion.peer_archives.MOST_ANSWERS", 500)

    report = run(archive, {"PACS": Endless(archive, series(12))})

    assert numbers(report) == WHOLE
    assert "answered with more than 500 instances" in detail(report)


def test_of_a_peer_that_caps_its_answers_those_that_came_are_used_and_not_taken_for_all(
    archive: ArchiveTwin,
) -> None:
    capped, states = Capped(archive, series(12), most=7), PeerStates()

    report = run(archive, {"PACS": capped}, peer_states=states)
    capped.most = 12
    again = run(archive, {"PACS": capped}, peer_states=states)

    assert [missing.instance_number for missing in report.missing] == [8]
    assert detail(report) == ("holds 7 of the series; retrieved 1 of 1; C-FIND ended with status 0xA700")
    assert capped.asked == 2
    assert again.missing == ()


def test_a_peer_that_holds_nothing_is_not_asked_again_within_a_minute(archive: ArchiveTwin) -> None:
    empty = PeerTwin(archive)
    states = PeerStates()

    first = run(archive, {"PACS": empty}, peer_states=states)
    second = run(archive, {"PACS": empty}, peer_states=states)

    assert empty.asked == 1
    assert detail(first) == "holds 0 of the series"
    assert detail(second) == "holds 0 of the series; as it answered less than a minute ago"


def test_a_peer_that_holds_nothing_is_asked_again_after_a_minute(archive: ArchiveTwin) -> None:
    empty, passed = PeerTwin(archive), 0.0
    states = PeerStates(lambda: time.monotonic() + passed)

    run(archive, {"PACS": empty}, peer_states=states)
    passed = 61.0
    run(archive, {"PACS": empty}, peer_states=states)

    assert empty.asked == 2


# what a peer may send


@dataclass
class Sending(PeerTwin):
    """A peer that answers with the truth and sends what a test says for what is asked of it."""

    sends: Callable[[Dataset], Iterable[Dataset]] = lambda ds: [ds]

    def fetch(self, uids: tuple[str, ...], cancelled: IsCancelled, within_s: float) -> None:
        self.fetched.append(uids)
        for asked in self.holds:
            if asked.SOPInstanceUID in uids:
                for ds in self.sends(asked):
                    self.archive.store(ds)


def changed(ds: Dataset, **attributes: object) -> Dataset:
    return series(12, **attributes)[int(ds.InstanceNumber) - 1]


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"PatientName": "Doe^John"}, Code.OTHER_PATIENT),
        ({"PatientID": "P-2"}, Code.OTHER_PATIENT_ID),
        ({"StudyInstanceUID": "1.2.3"}, Code.OTHER_STUDY),
        ({"SeriesInstanceUID": "1.2.3"}, Code.OTHER_SERIES),
        ({"rows": 16}, Code.OTHER_MATRIX),
    ],
)
def test_what_comes_under_the_right_uid_and_does_not_belong_is_left_out_with_its_reason(
    archive: ArchiveTwin, wrong: dict[str, object], reason: str
) -> None:
    pacs = Sending(archive, series(12), sends=lambda ds: [changed(ds, **wrong)])

    report = run(archive, {"PACS": pacs})

    assert report.verdict == Code.MISSING_INSTANCES
    assert [row.reason for row in report.rows if row.path.parent.name == "arrived"] == [reason, reason]
    assert lines(report) == [("peers", "PACS", 2, 0)]


def test_an_image_at_another_position_than_the_hole_is_not_found(archive: ArchiveTwin) -> None:
    pacs = Sending(archive, series(12), sends=lambda ds: [changed(ds, origin=(0.0, 0.0, 300.0))])
    report = run(archive, {"PACS": pacs})
    assert not report.ok
    assert lines(report)[0][3] == 0


def test_instances_that_were_not_asked_for_never_enter_the_volume(archive: ArchiveTwin) -> None:
    stray = series(1, SOPInstanceUID="1.2.3.4", InstanceNumber=7, origin=(0.0, 0.0, 12.0))[0]
    pacs = Sending(archive, series(12), sends=lambda _: [stray])

    report = run(archive, {"PACS": pacs})

    assert report.verdict == Code.MISSING_INSTANCES
    assert "1.2.3.4" in archive.stored
    assert not [row for row in report.rows if row.sop_instance_uid == "1.2.3.4"]
    assert "retrieved 0 of 2" in detail(report)


def test_a_peer_that_says_done_and_sent_nothing_is_not_asked_for_it_again_within_a_minute(
    archive: ArchiveTwin,
) -> None:
    pacs = Sending(archive, series(12), sends=lambda _: [])
    states = PeerStates()

    report = run(archive, {"PACS": pacs}, peer_states=states)
    run(archive, {"PACS": pacs}, peer_states=states)

    assert detail(report) == "holds 12 of the series; retrieved 0 of 2"
    assert len(pacs.fetched) == 1


def test_a_peer_that_sends_everything_twice_is_used_once(archive: ArchiveTwin) -> None:
    pacs = Sending(archive, series(12), sends=lambda ds: [ds, ds])
    assert numbers(run(archive, {"PACS": pacs})) == WHOLE


def test_what_came_before_a_peer_failed_is_used(archive: ArchiveTwin) -> None:
    class Dying(PeerTwin):
        def fetch(self, uids: tuple[str, ...], cancelled: IsCancelled, within_s: float) -> None:
            super().fetch(uids[:1], cancelled, within_s)
            raise PeerFailed("PACS closed the connection")

    report = run(archive, {"PACS": Dying(archive, series(12))})

    assert [missing.instance_number for missing in report.missing] == [8]
    assert lines(report) == [("peers", "PACS", 2, 1)]
    assert detail(report).endswith("retrieved 1 of 2; PACS closed the connection")


# time


class Silent(PeerTwin):
    """A peer that accepts a question and never answers."""

    def find(self, cancelled: IsCancelled, within_s: float) -> Iterable[HeldInstance]:
        self.asked += 1
        wait_for(cancelled, within_s)
        return []


class NeverDone(PeerTwin):
    """A peer that sends what it is asked for and never says that it is done."""

    def fetch(self, uids: tuple[str, ...], cancelled: IsCancelled, within_s: float) -> None:
        super().fetch(uids, cancelled, within_s)
        wait_for(cancelled, within_s)


def within(seconds: float) -> Callable[[float], bool]:
    return lambda begun: time.monotonic() - begun < seconds


def test_a_silent_peer_ends_with_its_own_deadline_and_the_next_request_leaves_it_alone(
    archive: ArchiveTwin,
) -> None:
    silent, states = Silent(archive), PeerStates()
    settings = {"peers": (peer("PACS", deadline=0.2),), "peer_states": states}
    begun = time.monotonic()

    first = run(archive, {"PACS": silent}, **settings)
    second = run(archive, {"PACS": silent}, **settings)

    assert within(0.2 + SLACK_S)(begun)
    assert detail(first) == "silent"
    assert detail(second) == "left alone for 5 s more; it failed: silent"
    assert silent.asked == 1
    for report in (first, second):  # nor is a person left to believe that the peer lacks the images
        assert str(refusal(report)).endswith("; the search at PACS failed.")


def test_a_peer_that_lacks_the_images_too_is_not_told_to_have_failed(archive: ArchiveTwin) -> None:
    report = run(archive, {"PACS": PeerTwin(archive, series(6))})
    assert "failed" not in str(refusal(report))


def test_the_request_ends_with_its_deadline_whatever_the_peers_are_allowed(archive: ArchiveTwin) -> None:
    settings = surroundings_with(archive, {"PACS": Silent(archive)}, peers=(peer("PACS", deadline=60.0),))
    begun = time.monotonic()

    report = completed(archive.root / "s/0001.dcm", settings, deadline_s=0.3)

    assert within(0.3 + SLACK_S)(begun)
    assert report.verdict == Code.MISSING_INSTANCES
    assert report.searches


def test_nobody_waits_for_a_slow_peer_once_all_is_found(
    archive: ArchiveTwin, truthful: PeerTwin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scp.completion.peers.ENDS_PATIENCE_S", 60.0)
    twins = {"SLOW": Silent(archive), "PACS": truthful}
    peers = (peer("SLOW", deadline=60.0), peer("PACS"))
    begun = time.monotonic()

    report = completed(
        archive.root / "s/0001.dcm", surroundings_with(archive, twins, peers=peers), deadline_s=60.0
    )

    assert within(SLACK_S)(begun)
    assert numbers(report) == WHOLE
    assert detail(report, "SLOW") == "not waited for: nothing is missing"


def test_nobody_waits_for_the_end_of_a_retrieval_once_all_has_come(archive: ArchiveTwin) -> None:
    twins = {"PACS": NeverDone(archive, series(12))}
    begun = time.monotonic()

    report = completed(
        archive.root / "s/0001.dcm",
        surroundings_with(archive, twins, peers=(peer("PACS", deadline=60.0),)),
        deadline_s=60.0,
    )

    assert within(SLACK_S)(begun)
    assert numbers(report) == WHOLE


def test_a_silent_peer_delays_a_whole_series_by_a_moment_only(tmp_path: Path) -> None:
    write_series(series(12), tmp_path / "s")
    archive = ArchiveTwin(tmp_path)
    twins = {"SLOW": Silent(archive)}
    begun = time.monotonic()

    report = completed(
        tmp_path / "s/0001.dcm",
        surroundings_with(archive, twins, peers=(peer("SLOW", deadline=60.0),)),
        deadline_s=60.0,
    )

    assert within(1.0 + SLACK_S)(begun)
    assert report.ok


def test_a_cancelled_request_ends_at_once(archive: ArchiveTwin) -> None:
    gone = threading.Event()

    class Cancelling(Silent):
        def find(self, cancelled: IsCancelled, within_s: float) -> Iterable[HeldInstance]:
            gone.set()
            return super().find(cancelled, within_s)

    twins = {"PACS": Cancelling(archive)}
    begun = time.monotonic()
    with pytest.raises(Cancelled):
        completed(
            archive.root / "s/0001.dcm",
            surroundings_with(archive, twins, peers=(peer("PACS", deadline=60.0),)),
            deadline_s=60.0,
            cancelled=gone.is_set,
        )
    assert within(1.0)(begun)


@pytest.mark.parametrize("ends_with", [Cancelled, PeerFailed])
def test_a_peer_that_is_given_up_has_not_failed(archive: ArchiveTwin, ends_with: type[MprScpError]) -> None:
    states, ended = PeerStates(), threading.Event()

    class Watched(NeverDone):
        def fetch(self, uids: tuple[str, ...], cancelled: IsCancelled, within_s: float) -> None:
            try:
                super().fetch(uids, cancelled, within_s)
            except Cancelled:
                raise ends_with("cut off") from None
            finally:
                ended.set()

    run(archive, {"PACS": Watched(archive, series(12))}, peer_states=states)

    assert ended.wait(SLACK_S)
    for thread in threading.enumerate():
        if thread.name == "completion from PACS":
            thread.join(SLACK_S)
    assert states.of(peer("PACS")).failures == 0


# several peers, several requests


def test_a_second_peer_gives_what_the_first_lacks(archive: ArchiveTwin) -> None:
    one, two = PeerTwin(archive, series(12)[:7]), PeerTwin(archive, series(12)[7:])

    report = run(archive, {"ONE": one, "TWO": two})

    assert numbers(report) == WHOLE
    assert sorted((line.asked, line.found) for line in report.searches) == [("ONE", 1), ("TWO", 1)]


def test_a_second_peer_gives_what_the_first_does_not_deliver(archive: ArchiveTwin) -> None:
    lying = Sending(archive, series(12), sends=lambda _: [])
    truthful = PeerTwin(archive, series(12))

    report = run(archive, {"LIAR": lying, "PACS": truthful})

    assert numbers(report) == WHOLE


def test_an_instance_is_retrieved_from_one_peer_only(archive: ArchiveTwin) -> None:
    twins = {name: PeerTwin(archive, series(12)) for name in ("ONE", "TWO", "THREE")}

    report = run(archive, twins)

    assert numbers(report) == WHOLE
    fetched = [uid for twin in twins.values() for batch in twin.fetched for uid in batch]
    assert sorted(fetched) == sorted([uid("instance", 6), uid("instance", 7)])


def test_an_error_of_this_node_in_one_talk_leaves_the_others_alone(
    archive: ArchiveTwin, truthful: PeerTwin, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(PeerTwin):
        def find(self, cancelled: IsCancelled, within_s: float) -> Iterable[HeldInstance]:
            raise ZeroDivisionError

    report = run(archive, {"BROKEN": Broken(archive), "PACS": truthful})

    assert numbers(report) == WHOLE


class Held(PeerTwin):
    """A peer that sends only when a test lets it, and says when it was asked."""

    def __init__(self, archive: ArchiveTwin, holds: list[Dataset]) -> None:
        super().__init__(archive, holds)
        self.reached = threading.Event()
        self.released = threading.Event()

    def fetch(self, uids: tuple[str, ...], cancelled: IsCancelled, within_s: float) -> None:
        self.reached.set()
        assert self.released.wait(30)
        super().fetch(uids, cancelled, within_s)


@dataclass
class Telling:
    """States that tell when a second request waits for a retrieval."""

    states: PeerStates
    waited: threading.Event

    @classmethod
    def of(cls, states: PeerStates) -> "Telling":
        telling = cls(states, threading.Event())
        claim = states.flights.claim

        def told(*arguments: object) -> object:
            claimed = claim(*arguments)
            if claimed.others:
                telling.waited.set()
            return claimed

        states.flights.claim = told
        return telling


def test_two_requests_that_miss_the_same_instances_share_one_retrieval(archive: ArchiveTwin) -> None:
    pacs, telling = Held(archive, series(12)), Telling.of(PeerStates())
    surroundings = surroundings_with(archive, {"PACS": pacs}, peer_states=telling.states)

    with ThreadPoolExecutor(2) as pool:
        requests = [
            pool.submit(completed, archive.root / "s/0001.dcm", surroundings, deadline_s=30.0)
            for _ in range(2)
        ]
        assert pacs.reached.wait(10)
        assert telling.waited.wait(10)
        pacs.released.set()
        reports = [request.result(30) for request in requests]

    assert [numbers(report) for report in reports] == [WHOLE, WHOLE]
    assert len(pacs.fetched) == 1
    assert sorted(archive.stored) == sorted([uid("instance", 6), uid("instance", 7)])


def test_a_request_whose_companion_gives_up_retrieves_by_itself(archive: ArchiveTwin) -> None:
    gone = threading.Event()

    class Interrupted(PeerTwin):
        reached = threading.Event()

        def fetch(self, uids: tuple[str, ...], cancelled: IsCancelled, within_s: float) -> None:
            if not self.reached.is_set():
                self.reached.set()
                wait_for(cancelled, within_s)
            super().fetch(uids, cancelled, within_s)

    pacs, telling = Interrupted(archive, series(12)), Telling.of(PeerStates())
    settings: Surroundings = surroundings_with(archive, {"PACS": pacs}, peer_states=telling.states)
    current = archive.root / "s/0001.dcm"

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(completed, current, settings, deadline_s=30.0, cancelled=gone.is_set)
        assert pacs.reached.wait(10)
        second = pool.submit(completed, current, settings, deadline_s=30.0)
        assert telling.waited.wait(10)
        gone.set()
        with pytest.raises(Cancelled):
            first.result(30)
        assert numbers(second.result(30)) == WHOLE


def test_nobody_waits_for_a_retrieval_that_was_given_up_and_does_not_end(archive: ArchiveTwin) -> None:
    gone, end = threading.Event(), threading.Event()

    class Deaf(PeerTwin):
        reached = threading.Event()

        def fetch(self, uids: tuple[str, ...], cancelled: IsCancelled, within_s: float) -> None:
            if self.reached.is_set():
                super().fetch(uids, cancelled, within_s)
            else:
                self.reached.set()
                end.wait(30)

    pacs, telling = Deaf(archive, series(12)), Telling.of(PeerStates())
    settings = surroundings_with(archive, {"PACS": pacs}, peer_states=telling.states)
    current = archive.root / "s/0001.dcm"

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(completed, current, settings, deadline_s=30.0, cancelled=gone.is_set)
        assert pacs.reached.wait(10)
        second = pool.submit(completed, current, settings, deadline_s=30.0)
        assert telling.waited.wait(10)
        gone.set()
        with pytest.raises(Cancelled):
            first.result(30)
        assert numbers(second.result(30)) == WHOLE
        end.set()


def test_a_peer_that_is_busy_with_others_is_not_overrun(archive: ArchiveTwin, truthful: PeerTwin) -> None:
    states, one = PeerStates(), peer("PACS", parallel=1, deadline=0.2)

    with states.turn(one, 0):
        report = run(archive, {"PACS": truthful}, peer_states=states, peers=(one,))

    assert truthful.asked == 0
    assert detail(report) == "1 other requests kept it busy"
    assert states.of(one).failures == 0


def test_two_peers_that_contradict_each_other_cannot_both_enter(archive: ArchiveTwin) -> None:
    one = PeerTwin(archive, series(12))
    two = PeerTwin(archive, series(12, pixels=ramp(99, 8, 10)))

    report = run(archive, {"ONE": one, "TWO": two})

    arrived = [row.path for row in report.rows if row.path.parent.name == "arrived"]
    assert len(arrived) == 2

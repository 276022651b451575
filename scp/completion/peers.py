"""The search ``peers``: other archives, all at once, under one deadline.

Each peer is asked by an IMAGE level C-FIND which instances of the series it holds; what is here is
subtracted; what may be the missing is retrieved, in batches, each instance from one peer at a time and by
one request at a time. What arrives goes through the archive's one door; only then is it looked at, by its
SOP Instance UID, and the selection decides whether it belongs. So nothing that a peer sends unasked is ever
seen here, and what is known here under a UID is never replaced.

Nothing in an image vouches for its pixels. A peer's copy under the right UID, with the right header and false
pixels, is believed where it is the first that comes. It is told as soon as there is a second one, whoever
sends it and whenever: intake compares their bytes and notes a conflict, and the selection refuses two copies
whose pixels differ (``duplicate-conflict``).

One thread a peer (``scp.completion.talks``) carries out what the consultation decides; the decisions are all
made in the thread of the request. Nobody waits for a peer once nothing is missing.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from queue import Empty, SimpleQueue

from scp.completion.lacking import BROKEN
from scp.completion.ledger import Found
from scp.completion.peer_archives import PeerArchives, check
from scp.completion.peer_states import Claim
from scp.completion.pursuit import Pursuit
from scp.completion.surroundings import ArchiveIndex
from scp.completion.talks import Calls, Fetched, Landed, Talk, TalkEvent, Told
from scp.config import Peer
from scp.model import FileFacts

ENDS_PATIENCE_S = 1.0
"""How long a peer is waited for where nothing seems to lack, and it could only tell of further ends."""

TICK_S = 0.1
"""How often a waiting request looks whether it is still wanted, and proves what has arrived."""


def search(pursuit: Pursuit) -> Iterator[Found]:
    """Yield what each peer said and sent, as it comes, until nothing is missing or time is up."""
    surroundings = pursuit.surroundings
    if surroundings.archive is None or surroundings.peer_archives is None or not pursuit.lacking.curable:
        return
    consultation = _Consultation(pursuit, surroundings.archive, surroundings.peer_archives)
    try:
        yield from consultation.findings()
    finally:
        consultation.close()


class _Consultation:
    """One request's talks with all peers."""

    def __init__(self, pursuit: Pursuit, archive: ArchiveIndex, peer_archives: PeerArchives) -> None:
        self._pursuit = pursuit
        self._archive = archive
        self._retrieves = pursuit.surroundings.retrieve
        self._states = pursuit.surroundings.peer_states
        self._clock = pursuit.surroundings.clock
        self._begun = self._clock()
        self._lacked = bool(pursuit.lacking)
        self._talks: list[Talk] = []
        self._awaited: set[str] = set()
        self._events: SimpleQueue[TalkEvent] = SimpleQueue()
        self._calls = Calls(pursuit, peer_archives, self._events.put)
        self._stack = ExitStack()

    def findings(self) -> Iterator[Found]:
        for peer in self._pursuit.surroundings.peers:
            yield from self._begin(peer)
        while self._awaits_something():
            event = self._next_event()
            if event is None and self._patience_s() <= 0:
                break
            yield from self._take(event)
            yield from self._retrieve()
            self._lacked = self._lacked or bool(self._pursuit.lacking)
        yield from self._unfinished()

    def close(self) -> None:
        """Give up what is under way, so that other requests need not wait for it."""
        self._calls.give_up()
        self._stack.close()
        for talk in self._talks:
            self._states.flights.land(talk.claim)

    # what is waited for, and how long

    def _awaits_something(self) -> bool:
        if self._patience_s() <= 0:
            return False
        return any(talk.busy for talk in self._talks) or bool(self._awaited)

    def _patience_s(self) -> float:
        """Return for how long the peers are still waited for."""
        if self._pursuit.lacking:
            return self._pursuit.remaining_s
        if self._lacked:
            return 0.0
        return min(self._pursuit.remaining_s, self._begun + ENDS_PATIENCE_S - self._clock())

    def _next_event(self) -> TalkEvent | None:
        """Return the next event, ``None`` when a tick has passed without one."""
        self._pursuit.check()
        try:
            return self._events.get(timeout=max(0.0, min(TICK_S, self._patience_s())))
        except Empty:
            return None

    # asking

    def _begin(self, peer: Peer) -> Iterator[Found]:
        lacking, now = self._pursuit.lacking, self._clock()
        if rest_s := self._states.rest_s(peer):
            failure = self._states.of(peer).last_failure
            detail = f"left alone for {rest_s:.0f} s more; it failed: {failure}"
            yield Found(peer.name, detail=detail, failed=True)
            return
        talk = Talk(peer, now, min(self._pursuit.deadline, now + peer.deadline), busy=True)
        self._talks.append(talk)
        key = (peer.name, lacking.study_instance_uid, lacking.series_instance_uid)
        remembered = self._states.answers.get(key, None)
        if remembered is not None:
            talk.remarks.append("as it answered less than a minute ago")
            self._events.put(Told(talk, remembered, ""))
        else:
            self._calls.ask(talk, key)

    # taking what comes

    def _take(self, event: TalkEvent | None) -> Iterator[Found]:
        match event:
            case Told():
                yield self._answered(event)
            case Fetched():
                yield self._fetched(event)
            case Landed(uid):
                yield from self._landed(uid)
            case None:
                yield from self._arrivals()

    def _answered(self, event: Told) -> Found:
        talk, lacking = event.talk, self._pursuit.lacking
        talk.busy = False
        if event.failure:
            talk.failed = True
            talk.remarks.append(event.failure)
            return self._finding(talk)
        talk.answer = check(event.held, lacking.current, talk.peer)
        if not self._retrieves and (wanted := len(lacking.choose(talk.answer.known))):
            talk.remarks.append(f"{wanted} could be retrieved; a dry run retrieves nothing")
        return self._finding(talk)

    def _fetched(self, event: Fetched) -> Found:
        talk = event.talk
        batch = tuple(talk.claim.mine)
        talk.busy, talk.waiting, talk.claim = False, None, Claim()
        files = self._whole_files(batch)
        came = {facts.sop_instance_uid for facts in files}
        talk.came |= came
        if event.failure:
            talk.failed = True
            talk.remarks.append(event.failure)
        else:
            for uid in set(batch) - came:
                self._states.withheld.put((talk.peer.name, uid), True)
        return self._finding(talk, files)

    def _landed(self, sop_instance_uid: str) -> Iterator[Found]:
        if sop_instance_uid in self._awaited:
            self._awaited.discard(sop_instance_uid)
            files = self._whole_files((sop_instance_uid,))
            if files:
                yield Found("another request", files, detail="retrieved the same instances")

    def _arrivals(self) -> Iterator[Found]:
        """Prove what has come of retrievals that go on: their peers may never come to an end."""
        for talk in self._talks:
            fresh = talk.waiting.arrived.keys() - talk.came if talk.waiting is not None else set()
            if fresh:
                files = self._whole_files(tuple(fresh))
                talk.came |= fresh
                yield self._finding(talk, files)

    def _finding(self, talk: Talk, candidates: tuple[FileFacts, ...] = ()) -> Found:
        known = talk.answer.known if talk.answer and not talk.answer.differs else ()
        took_s = self._clock() - talk.begun
        return Found(talk.peer.name, candidates, known, talk.detail, took_s, talk.failed)

    def _unfinished(self) -> Iterator[Found]:
        """Say of every peer that is still at it that nobody waited for its end."""
        for talk in self._talks:
            if talk.busy and not talk.has_delivered:
                out_of_time = bool(self._pursuit.lacking)
                talk.failed = out_of_time
                talk.remarks.append("out of time" if out_of_time else "not waited for: nothing is missing")
                yield self._finding(talk)

    # retrieving

    def _retrieve(self) -> Iterator[Found]:
        """Give every idle peer its next batch, and yield what turns out to be here already."""
        if not self._retrieves:
            return
        for talk in self._talks:
            if talk.busy or talk.failed or talk.answer is None or talk.answer.differs:
                continue
            here = self._claim(talk)
            if talk.claim.mine:
                self._start_fetch(talk)
            if here:
                yield self._finding(talk, here)

    def _claim(self, talk: Talk) -> tuple[FileFacts, ...]:
        """Claim the next batch of *talk*; return the files of what the archive holds already instead.

        What is known here under a UID is never retrieved: nothing shall replace it.
        """
        assert talk.answer is not None
        wanted = [
            instance.sop_instance_uid
            for instance in self._pursuit.lacking.choose(talk.answer.known)
            if instance.sop_instance_uid not in talk.tried
            and not self._states.withheld.get((talk.peer.name, instance.sop_instance_uid), False)
        ]
        talk.claim = self._states.flights.claim(wanted, talk.peer.uids_per_request, self._on_landed)
        own = {uid for other in self._talks for uid in other.claim.mine}
        self._awaited |= set(talk.claim.others) - own
        here = self._whole_files(tuple(talk.claim.mine))
        if here:
            already = {facts.sop_instance_uid for facts in here}
            self._states.flights.land(Claim({uid: talk.claim.mine[uid] for uid in already}))
            talk.claim = Claim({uid: f for uid, f in talk.claim.mine.items() if uid not in already})
            talk.tried |= already
            talk.came |= already
        return here

    def _on_landed(self, sop_instance_uid: str) -> None:
        self._events.put(Landed(sop_instance_uid))

    def _start_fetch(self, talk: Talk) -> None:
        batch = tuple(talk.claim.mine)
        talk.tried |= set(batch)
        if self._pursuit.surroundings.arrivals is not None:
            talk.waiting = self._stack.enter_context(self._pursuit.surroundings.arrivals.waiting(batch))
        self._calls.fetch(talk)

    def _whole_files(self, sop_instance_uids: tuple[str, ...]) -> tuple[FileFacts, ...]:
        return tuple(
            facts
            for uid in sop_instance_uids
            for facts in self._archive.instance_files(uid)
            if facts.reason not in BROKEN
        )

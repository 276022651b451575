"""One request's talk with one peer: what was said so far, and the thread in which the peer is called.

A thread only carries out what the consultation of the request decides (``scp.completion.peers``), and tells
by an event how that ended. Whatever a peer does ends as such an event.
"""

import logging
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field

from scp.completion.peer_archives import Answer, HeldInstance, PeerArchives, bounded
from scp.completion.peer_states import Claim
from scp.completion.pursuit import Pursuit
from scp.completion.surroundings import Waiting
from scp.config import Peer
from scp.errors import Cancelled, PeerFailed
from scp.model import counted

LOGGER = logging.getLogger(__name__)

SeriesAtPeer = tuple[str, str, str]
"""Name of the peer, Study and Series Instance UID."""


@dataclass(slots=True, eq=False)
class Talk:
    """What one request and one peer have said to each other. *deadline* is on the request's clock."""

    peer: Peer
    begun: float
    deadline: float
    busy: bool = False
    answer: Answer | None = None
    claim: Claim = field(default_factory=Claim)
    waiting: Waiting | None = None
    tried: set[str] = field(default_factory=set)
    came: set[str] = field(default_factory=set)
    remarks: list[str] = field(default_factory=list)
    failed: bool = False

    @property
    def detail(self) -> str:
        """Return the story in words; never a value of the patient's."""
        parts = []
        if self.answer is not None:
            parts.append(f"holds {len(self.answer.known)} of the series")
            if self.answer.unasked:
                parts.append(f"{counted(self.answer.unasked, 'answer')} not asked for dropped")
            if self.answer.differs:
                parts.append(f"peer differs: {self.answer.differs}")
        if self.tried:
            parts.append(f"retrieved {len(self.came)} of {len(self.tried)}")
        return "; ".join(parts + self.remarks)

    @property
    def has_delivered(self) -> bool:
        """Tell whether all of the batch under way is here, though the peer has not come to its end."""
        return bool(self.claim.mine) and self.came >= self.claim.mine.keys()


@dataclass(frozen=True, slots=True)
class Told:
    talk: Talk
    held: tuple[HeldInstance, ...]
    failure: str


@dataclass(frozen=True, slots=True)
class Fetched:
    talk: Talk
    failure: str


@dataclass(frozen=True, slots=True)
class Landed:
    """Another request's retrieval of an instance that we miss too has ended."""

    sop_instance_uid: str


TalkEvent = Told | Fetched | Landed


class Calls:
    """Calls peers, each in a thread of its own; *tell* takes the events."""

    def __init__(
        self, pursuit: Pursuit, peer_archives: PeerArchives, tell: Callable[[TalkEvent], None]
    ) -> None:
        self._pursuit = pursuit
        self._peer_archives = peer_archives
        self._states = pursuit.surroundings.peer_states
        self._tell = tell
        self._over = threading.Event()

    def give_up(self) -> None:
        """Say that nobody waits for what is being retrieved."""
        self._over.set()

    def ask(self, talk: Talk, key: SeriesAtPeer) -> None:
        """Ask the peer of *talk* what it holds of the series."""
        self._start(talk, lambda: self._find(talk, key), lambda held, why: Told(talk, held, why))

    def fetch(self, talk: Talk) -> None:
        """Retrieve what *talk* has claimed."""
        batch = tuple(talk.claim.mine)
        self._start(talk, lambda: self._fetch(talk, batch), lambda _, why: Fetched(talk, why))

    def _find(self, talk: Talk, key: SeriesAtPeer) -> tuple[HeldInstance, ...]:
        """Ask (in the talk's thread). An answer that nobody waits for any more serves the next request.

        What a peer answered before it failed, or stopped at its own limit, is used and not remembered.
        """
        held: list[HeldInstance] = []
        answers = self._peer_archives.find_instances(
            talk.peer, *key[1:], within_s=self._left_s(talk), cancelled=self._pursuit.cancelled
        )
        try:
            for answer in bounded(answers, talk.peer):
                held.append(answer)  # noqa: PERF402 one by one: what came before a failure counts
        except PeerFailed as error:
            if not held:
                raise
            talk.remarks.append(str(error))
        else:
            self._states.answers.put(key, tuple(held))
        return tuple(held)

    def _fetch(self, talk: Talk, batch: tuple[str, ...]) -> tuple[HeldInstance, ...]:
        """Retrieve *batch* (in the talk's thread)."""
        lacking = self._pursuit.lacking
        try:
            self._peer_archives.fetch(
                talk.peer,
                lacking.study_instance_uid,
                lacking.series_instance_uid,
                batch,
                within_s=self._left_s(talk),
                cancelled=self._is_over,
            )
        except PeerFailed as error:
            if self._is_over():
                raise Cancelled("the retrieval was given up") from error
            raise
        return ()

    def _start(
        self,
        talk: Talk,
        work: Callable[[], tuple[HeldInstance, ...]],
        event: Callable[[tuple[HeldInstance, ...], str], Told | Fetched],
    ) -> None:
        talk.busy = True
        name = f"completion from {talk.peer.name}"
        threading.Thread(target=self._carry_out, args=(talk, work, event), name=name, daemon=True).start()

    def _carry_out(
        self,
        talk: Talk,
        work: Callable[[], tuple[HeldInstance, ...]],
        event: Callable[[tuple[HeldInstance, ...], str], Told | Fetched],
    ) -> None:
        """Run *work* in the talk's thread when the peer has a turn free, and report how it ended."""
        held: tuple[HeldInstance, ...] = ()
        failure = ""
        try:
            with self._states.turn(talk.peer, self._left_s(talk)) as free:
                if free:
                    held = work()
                    self._states.succeeded(talk.peer)
                else:
                    failure = f"{talk.peer.parallel} other requests kept it busy"
        except Cancelled:
            failure = "given up"
        except PeerFailed as error:
            failure = str(error)
            self._states.failed(talk.peer, failure)
        except Exception as error:  # its message may quote what a peer sent
            trace = "".join(traceback.format_tb(error.__traceback__))
            LOGGER.error("completion from peer %s: %s\n%s", talk.peer.name, type(error).__name__, trace)
            failure = "an error of this node, see its log"
        self._states.flights.land(talk.claim)
        self._tell(event(held, failure))

    def _left_s(self, talk: Talk) -> float:
        return max(0.0, talk.deadline - self._pursuit.surroundings.clock())

    def _is_over(self) -> bool:
        return self._over.is_set() or self._pursuit.cancelled()

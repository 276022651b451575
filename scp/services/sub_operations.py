"""The working thread of a retrieve: takes events, sends each object, counts (PS3.4 C.4.2.1.6 to 9)."""

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Protocol

from scp.errors import Cancelled, Code, PeerFailed, Refused
from scp.model import Event, Failed, FileRef, Planned, Produced
from scp.net.sending import Sent
from scp.net.statuses import SOP_CLASS_NOT_SUPPORTED, SUCCESS
from scp.services.context import Closable
from scp.services.status import outcome_of, sentence_for_log


class Sender(Protocol):
    """Sends one object after the other; see ``net.lazy_sender.LazySender``."""

    def expect(self, refs: Iterable[FileRef]) -> None: ...

    def send(self, ref: FileRef) -> Sent: ...

    def abort(self) -> None: ...


@dataclass(slots=True)
class Counts:
    """The sub-operations of one retrieve; of the first that failed why, briefly and in a sentence."""

    completed: int = 0
    failed: int = 0
    warning: int = 0
    first_failure: str = ""
    first_sentence: str = ""
    changed: bool = False
    known: bool = False
    _planned: int = 0
    _unsent: Counter[str] = field(default_factory=Counter)
    _failed_uids: list[str] = field(default_factory=list)

    @property
    def done(self) -> int:
        return self.completed + self.failed + self.warning

    @property
    def total(self) -> int:
        return max(self._planned, self.done)

    @property
    def remaining(self) -> int:
        """Number of Remaining Sub-operations: 1 while nobody knows, because 0 means that it is over."""
        return self.total - self.done if self.known else 1

    @property
    def failed_uids(self) -> tuple[str, ...]:
        return tuple(self._failed_uids)

    def plan(self, uids: Sequence[str]) -> None:
        self._planned, self.known, self.changed = len(uids), True, True
        self._unsent = Counter(uids)

    def note(self, sent: Sent) -> None:
        """Count one response."""
        uid = sent.ref.sop_instance_uid
        if sent.status == SUCCESS:
            self._settle(uid)
            self.completed += 1
        elif sent.taken:
            self._settle(uid)
            self.warning += 1
            self.first_failure = self.first_failure or f"warning 0x{sent.status:04X} {sent.error_comment}"
        else:
            self.fail(uid, f"0x{sent.status:04X} {sent.error_comment}".strip())

    def fail(self, uid: str, why: str, sentence: str = "") -> None:
        """Count one object that was not sent, or could not be made; *sentence* says more than *why*."""
        self._settle(uid)
        self.failed += 1
        if not self.first_failure:
            self.first_failure, self.first_sentence = why, sentence
        self._failed_uids.append(uid)

    def fail_the_rest(self) -> None:
        """Count what was planned and never came."""
        for uid in list(self._unsent.elements()):
            self.fail(uid, "not made")

    def _settle(self, uid: str) -> None:
        self.changed = True
        self._unsent[uid] -= 1


class SubOperations(threading.Thread):
    """Runs the events that *open_events* returns (and whether they are of a reconstruction) into *sender*.

    *announce* is called, in this thread, when it is known how many objects there will be, before the first.
    When it ``ended``, *error* says why it did so early.
    """

    def __init__(
        self,
        open_events: Callable[[], tuple[Closable[Event], bool]],
        sender: Sender,
        announce: Callable[[Counts], None],
    ) -> None:
        super().__init__(name="sub-operations", daemon=True)
        self.counts = Counts()
        self.made_here = False
        self.error: Exception | None = None
        self.ended = threading.Event()
        self._open_events = open_events
        self._sender = sender
        self._announce = announce
        self._stop = threading.Event()
        self._idle = threading.Event()
        self._idle.set()

    @property
    def complete(self) -> bool:
        """Tell whether everything that was planned was tried."""
        return self.ended.is_set() and self.error is None and self.counts.done == self.counts.total

    def run(self) -> None:
        try:
            opened, self.made_here = self._open_events()
            with closing(opened) as events:
                for event in events:
                    if self._stop.is_set():
                        raise Cancelled("the requestor cancelled")
                    self._take(event)
        except Exception as error:
            self.error = error
        finally:
            self.ended.set()

    def cancel(self, grace_s: float, *, hard: bool) -> None:
        """Stop: let the object that is under way get through, within *grace_s*; with *hard* not even that."""
        self._stop.set()
        if hard or not self._idle.wait(grace_s):
            self._sender.abort()
            self._idle.wait(grace_s)

    def _take(self, event: Event) -> None:
        if isinstance(event, Planned):
            self.counts.plan(event.uids)
            if self.counts.remaining and not self._stop.is_set():
                self._announce(self.counts)
        elif isinstance(event, Produced):
            self._send(event.ref)
        elif isinstance(event, Failed):
            why = outcome_of(event.error).error_comment
            self.counts.fail(event.uid, why, sentence_for_log(event.error))

    def _send(self, ref: FileRef) -> None:
        self._idle.clear()
        try:
            if self._stop.is_set():  # cancelled before this one began
                raise Cancelled("the requestor cancelled")
            sent = self._sender.send(ref)
        except PeerFailed as error:
            self._lost(ref, error)
            return
        finally:
            self._idle.set()
        if self.made_here and sent.status == SOP_CLASS_NOT_SUPPORTED and not self.counts.done:
            what = f"{ref.sop_class_uid} as {ref.transfer_syntax_uid}"
            raise Refused(Code.NO_CONTEXT, f"the receiver takes no {what}: {sent.error_comment}")
        self.counts.note(sent)

    def _lost(self, ref: FileRef, error: PeerFailed) -> None:
        """Count an object that found no destination; nothing more is made for one that is gone."""
        self.counts.fail(ref.sop_instance_uid, error.short, str(error))
        if self.made_here:
            raise error
        self._sender = _Nowhere(error)


class _Nowhere:
    """Stands in for a sender whose destination is gone: every object fails without being tried."""

    def __init__(self, error: PeerFailed) -> None:
        self._error = error

    def expect(self, refs: Iterable[FileRef]) -> None:
        """Nothing will be sent."""

    def send(self, ref: FileRef) -> Sent:
        raise PeerFailed(f"{ref.sop_instance_uid} was not tried: {self._error}") from self._error

    def abort(self) -> None:
        """Nothing is under way."""

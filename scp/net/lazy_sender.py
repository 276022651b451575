"""Sends objects to one peer; the association begins with the first.

A refusal of a C-MOVE therefore never calls its destination. What each object needs of the association
(``net.sending.Kind``) is proposed together where it is known beforehand; an object of another kind begins
another. ``takes`` begins it earlier, for whoever decides by its contexts what to make.
"""

import time
from collections.abc import Collection, Iterable

from scp.config import Config, Peer
from scp.errors import PeerFailed
from scp.model import FileRef
from scp.net.association import NodeAssociation
from scp.net.deadlines import Deadline
from scp.net.declined import Declined, declined_of_ours
from scp.net.encoders import Encoder
from scp.net.outgoing import NothingAccepted, associate, end, release
from scp.net.sending import Kind, Originator, Sent, StoreUser, contexts_for, takes

MAXIMUM_CONTEXTS = 128

UNUSED_AT_MOST_S = 5.0
"""An association that was asked what it takes is begun anew rather than left to the peer's idle timeout."""


class LazySender:
    """See the module. A context manager: released at the end, aborted when something is raised.

    *declined* tells what the peer said of the contexts that ``takes`` asked about and that it did not accept.
    Raises ``PeerFailed`` when the association cannot be had or is lost; a status is returned, not raised.
    """

    def __init__(
        self,
        config: Config,
        local_ae_title: str,
        peer: Peer,
        originator: Originator | None,
        deadline_s: float,
        encoder: Encoder,
    ) -> None:
        self.peer = peer
        self.declined = Declined()
        self._config = config
        self._local_ae_title = local_ae_title
        self._originator = originator
        self._deadline_s = deadline_s
        self._encoder = encoder
        self._expected: list[FileRef] = []
        self._kinds: dict[Kind, None] = {}
        self._proposed: frozenset[Kind] = frozenset()
        self._association: NodeAssociation | None = None
        self._user: StoreUser
        self._unused_since = float("inf")
        self._ended = False

    def __enter__(self) -> "LazySender":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._association is not None and kind is None:
            release(self._association, self._config.limits.negotiation_deadline)
        self._ended = True
        self._give_up()

    def expect(self, refs: Iterable[FileRef]) -> None:
        """Say what will be sent, and in which order, so that one association proposes it all."""
        self._expected = list(refs)
        self._kinds |= dict.fromkeys(map(Kind.of, self._expected))

    def takes(self, sop_class_uids: Collection[str], transfer_syntax_uid: str) -> dict[str, str]:
        """Return which of the SOP classes, stored in this transfer syntax, the peer takes, and in which."""
        kinds = [Kind(uid, transfer_syntax_uid) for uid in sop_class_uids]
        self._kinds |= dict.fromkeys(kinds)
        offered = (transfer_syntax_uid, *self._encoder.targets(transfer_syntax_uid))
        try:
            association = self._ready_for(kinds[0])
        except NothingAccepted as error:
            self.declined = declined_of_ours(error.contexts, sop_class_uids, offered)
            return {}
        except PeerFailed as error:
            raise self._named(error) from error
        self._unused_since = time.monotonic()
        self.declined = declined_of_ours(association.rejected_contexts, sop_class_uids, offered)
        return takes(association, sop_class_uids, transfer_syntax_uid, self._encoder)

    def send(self, ref: FileRef) -> Sent:
        """Send one object and return its status (0x0122 where the peer takes it in no context)."""
        try:
            self._ready_for(Kind.of(ref))
            return self._user.send(ref)
        except PeerFailed as error:
            self._give_up()
            raise self._named(error) from error

    def abort(self) -> None:
        """End at once, from any thread; an object that is being sent fails with ``PeerFailed``."""
        self._ended = True
        association = self._association
        if association is not None:
            end(association)

    def _is_ended(self) -> bool:
        return self._ended

    def _named(self, error: PeerFailed) -> PeerFailed:
        name = self.peer.name or self.peer.ae_title
        return PeerFailed(f"{name}: {error}", f"{name}: {error.short}")

    def _give_up(self) -> None:
        """End what is left of the association."""
        association, self._association = self._association, None
        if association is not None:
            end(association)

    def _ready_for(self, kind: Kind) -> NodeAssociation:
        unused_s = time.monotonic() - self._unused_since
        self._unused_since = float("inf")
        if self._association is not None and kind in self._proposed and unused_s < UNUSED_AT_MOST_S:
            return self._association
        if self._association is not None:
            release(self._association, self._config.limits.negotiation_deadline)
            self._give_up()
        self._kinds |= {kind: None}
        kinds, contexts = contexts_for([kind, *self._kinds], MAXIMUM_CONTEXTS, self._encoder)
        self._proposed = frozenset(kinds)
        deadline = Deadline(min(self._deadline_s, self._config.limits.negotiation_deadline), self._is_ended)
        association = associate(self._config, self._local_ae_title, self.peer, contexts, deadline)
        self._association = association
        if self._ended:
            raise PeerFailed("nobody wants it any more")
        self._user = StoreUser(association, self._deadline_s, self._encoder, self._is_ended, self._originator)
        self._user.expect(self._expected)
        return association

"""How the search ``peers`` sees another archive: a question, its answers, and a retrieval.

The protocol stands between the search, which decides, and the associations that carry it out. Answers are
taken as a peer gives them, and :func:`check` keeps what fits the question: a peer may answer with another
series, twice, without end, or of another patient (PS3.4 C.4.1.1.3.2: what the identifier asked for).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from scp.config import Peer
from scp.errors import PeerFailed
from scp.model import FileFacts, Header, IsCancelled, KnownInstance, is_legal_uid
from scp.selection.identity import same_name, same_value

MOST_ANSWERS = 100_000
"""Instances that one series may have at a peer; who answers with more is taken to answer without end."""


@dataclass(frozen=True, slots=True)
class HeldInstance:
    """One answer of a peer: an instance, and what else the answer said of it.

    *stated* has whatever identity came with it: Study and Series Instance UID, Patient's Name, Patient ID.
    """

    sop_instance_uid: str
    instance_number: int | None = None
    stated: Header = field(default_factory=Header)


ASKED_FOR = ("StudyInstanceUID", "SeriesInstanceUID")
"""Unique keys of the question: an answer that states another value was not asked for."""


class PeerArchives(Protocol):
    """How peers are asked and retrieved from. Both methods raise ``PeerFailed`` and ``Cancelled``.

    They return or raise within *within_s* seconds, and soon after *cancelled* is true.
    """

    def find_instances(
        self,
        peer: Peer,
        study_instance_uid: str,
        series_instance_uid: str,
        *,
        within_s: float,
        cancelled: IsCancelled,
    ) -> Iterable[HeldInstance]:
        """Yield what *peer* answers to an IMAGE level C-FIND, unchecked (PS3.4 C.4.1)."""

    def fetch(
        self,
        peer: Peer,
        study_instance_uid: str,
        series_instance_uid: str,
        sop_instance_uids: tuple[str, ...],
        *,
        within_s: float,
        cancelled: IsCancelled,
    ) -> None:
        """Have *peer* send the instances into the archive (C-GET, or C-MOVE to this node: PS3.4 C.4.2, 3).

        Returning says that the peer is done, not that anything came.
        """


@dataclass(frozen=True, slots=True)
class Answer:
    """What of a peer's answers fits the question.

    *unasked*: answers of another study or series, or without a legal SOP Instance UID. *differs*: the
    keyword of the patient's identity in which peer and current image disagree, or "".
    """

    known: tuple[KnownInstance, ...] = ()
    unasked: int = 0
    differs: str = ""


def bounded(answers: Iterable[HeldInstance], peer: Peer) -> Iterator[HeldInstance]:
    """Yield *answers*. Raises ``PeerFailed`` for a peer that does not come to an end."""
    for count, answer in enumerate(answers):
        if count == MOST_ANSWERS:
            raise PeerFailed(f"{peer.name} answered with more than {MOST_ANSWERS} instances of one series")
        yield answer


def check(held: Iterable[HeldInstance], current: FileFacts, peer: Peer) -> Answer:
    """Return what of a peer's answers belongs to the series of *current*, each instance once."""
    known: dict[str, KnownInstance] = {}
    unasked = 0
    differs = ""
    for answer in held:
        uid = answer.sop_instance_uid
        if not is_legal_uid(uid) or _states_another(answer.stated, current.header):
            unasked += 1
            continue
        differs = differs or _differing_patient(answer.stated, current.header)
        known.setdefault(uid, KnownInstance(uid, answer.instance_number, peer.name))
    return Answer(tuple(known.values()), unasked, differs)


def _states_another(stated: Header, current: Header) -> bool:
    return any(keyword in stated and stated.text(keyword) != current.text(keyword) for keyword in ASKED_FOR)


def _differing_patient(stated: Header, current: Header) -> str:
    """Return the keyword in which the patient differs; an empty value states nothing."""
    name, number = stated.text("PatientName"), stated.text("PatientID")
    if name and not same_name(name, current.text("PatientName")):
        return "PatientName"
    if number and "PatientID" in current and not same_value(number, current.text("PatientID")):
        return "PatientID"
    return ""

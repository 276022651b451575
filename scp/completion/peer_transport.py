"""Peers over DICOM associations: what ``peers`` decides, put into identifiers and carried out.

Between the search and ``scp.net.requestor``. Two queries (Study Root, PS3.4 C.6.2): at STUDY level for whom
the peer takes the patient to be, at IMAGE level for the instances, since a strict archive answers no
patient's attributes below the STUDY level. Retrieval is by C-GET where the peer does it, else by C-MOVE to
this node; lossless transfer syntaxes only. No other decision is taken here.
"""

from collections.abc import Iterator
from contextlib import closing, suppress
from itertools import islice
from typing import TYPE_CHECKING

from pydicom.dataset import Dataset

from scp.completion.peer_archives import HeldInstance
from scp.config import Peer
from scp.errors import Cancelled, PeerFailed, StoreRefused
from scp.model import Header, Incoming, IsCancelled, Origin, Sink
from scp.net.deadlines import Deadline

if TYPE_CHECKING:
    from scp.net.requestor import Requestor

PATIENT_SHARE = 0.25
"""The part of a query's time that the question for the patient may use: the selection looks at the patient
of whatever is retrieved anyway."""

REPLACEMENT = "\ufffd"
"""What pydicom puts for bytes that do not decode; a name that holds it says nothing reliable."""

DROPPED = HeldInstance("")
"""Stands for an answer of something else, which the requestor has dropped: it counts as not asked for."""


class PeerTransport:
    """A ``PeerArchives``: calls peers through *requestor*; what they send goes into *sink*.

    *requestor* calls itself by the AE title that C-MOVE names as its destination.
    """

    def __init__(self, requestor: "Requestor", sink: Sink) -> None:
        self._requestor = requestor
        self._sink = sink

    def find_instances(
        self,
        peer: Peer,
        study_instance_uid: str,
        series_instance_uid: str,
        *,
        within_s: float,
        cancelled: IsCancelled,
    ) -> Iterator[HeldInstance]:
        """Yield the peer's answers as they come. Raises ``PeerFailed``, ``Cancelled``."""
        deadline = Deadline(within_s, cancelled)
        patient = self._patient(peer, study_instance_uid, Deadline(within_s * PATIENT_SHARE, cancelled))
        identifier = _identifier("IMAGE", study_instance_uid, series_instance_uid)
        identifier.SOPInstanceUID = ""
        identifier.InstanceNumber = None
        answers = self._requestor.find(peer, identifier, deadline=deadline)
        with closing(answers):
            for answer in answers:
                yield _held(answer, patient)
        for _ in range(answers.dropped):
            yield DROPPED

    def _patient(self, peer: Peer, study_instance_uid: str, deadline: Deadline) -> dict[str, str]:
        """Return what *peer* calls the patient of a study; nothing where it does not say."""
        identifier = _identifier("STUDY", study_instance_uid)
        identifier.PatientName = ""
        identifier.PatientID = ""
        # A peer that fails here fails again at once when it is asked for the instances, and says so there.
        asked = self._requestor.find(peer, identifier, deadline=deadline)
        with suppress(PeerFailed), closing(asked) as answers:
            # one answer is due; to ask for more lets the association be released, which is aborted else
            for answer in list(islice(answers, 2)):
                stated = {keyword: _text(answer, keyword) for keyword in ("PatientName", "PatientID")}
                return {keyword: text for keyword, text in stated.items() if text}
        return {}

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
        """Retrieve by what ``retrieve`` of *peer* allows. Raises ``PeerFailed``, ``Cancelled``."""
        deadline = Deadline(within_s, cancelled)
        identifier = _identifier("IMAGE", study_instance_uid, series_instance_uid)
        identifier.SOPInstanceUID = list(sop_instance_uids)
        refusal = ""
        if peer.retrieve != "move":
            try:
                if self._get(peer, identifier, sop_instance_uids, deadline):
                    return
            except PeerFailed as error:
                if deadline.cancelled():
                    raise Cancelled("nobody waits for this peer any more") from error
                if peer.retrieve == "get" or deadline.is_over:
                    raise
                refusal = f"{error}; then "
        try:
            self._requestor.move(peer, identifier, self._requestor.local_ae_title, deadline=deadline)
        except PeerFailed as error:
            raise PeerFailed(f"{refusal}{error}") from error

    def _get(
        self,
        peer: Peer,
        identifier: Dataset,
        wanted: tuple[str, ...],
        deadline: Deadline,
    ) -> bool:
        """Retrieve by C-GET; tell whether that was all that can be done.

        A peer may accept C-GET and not that we are its storage SCP: each sub-operation fails then.
        """
        done = self._requestor.get(
            peer,
            identifier,
            _WhileWanted(self._sink, deadline.cancelled),
            wanted=wanted,
            deadline=deadline,
        )
        return not done.failed or peer.retrieve == "get"


class _WhileWanted:
    """A sink that takes nothing more once nobody wants it."""

    def __init__(self, sink: Sink, cancelled: IsCancelled) -> None:
        self._sink = sink
        self._cancelled = cancelled

    def begin(self, origin: Origin) -> Incoming:
        if self._cancelled():
            raise StoreRefused("nobody waits for this instance any more")
        return self._sink.begin(origin)


def _identifier(level: str, study_instance_uid: str, series_instance_uid: str = "") -> Dataset:
    identifier = Dataset()
    identifier.QueryRetrieveLevel = level
    identifier.StudyInstanceUID = study_instance_uid
    if series_instance_uid:
        identifier.SeriesInstanceUID = series_instance_uid
    return identifier


def _held(answer: Dataset, patient: dict[str, str]) -> HeldInstance:
    stated = {keyword: _text(answer, keyword) for keyword in ("StudyInstanceUID", "SeriesInstanceUID")}
    number = _text(answer, "InstanceNumber")
    return HeldInstance(
        sop_instance_uid=_text(answer, "SOPInstanceUID"),
        instance_number=int(number) if number.lstrip("-+").isdecimal() else None,
        stated=Header({keyword: text for keyword, text in stated.items() if text} | patient),
    )


def _text(answer: Dataset, keyword: str) -> str:
    value = answer.get(keyword)
    text = "" if value is None else str(value).strip()
    return "" if REPLACEMENT in text else text

"""C-FIND: queries, dry runs and virtual series (PS3.4 C.4.1).

Ordinary answers come from the archive; what ``Reconstructs`` recognises as its own may take minutes, so its
answers are awaited (``isolation.ahead``) while cancel and abort are watched.
"""

import threading
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import closing
from typing import Protocol, runtime_checkable

from pydicom.datadict import keyword_for_tag
from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom.dsutils import encode

from scp.errors import Cancelled, Code, MprScpError, Refused
from scp.isolation.ahead import Ahead
from scp.model import NOT_KEYS, IsCancelled
from scp.net import command
from scp.net.dialogue import Dialogue
from scp.net.journal import printable
from scp.net.messages import Request
from scp.net.statuses import CANCEL, OUT_OF_RESOURCES, PENDING, PENDING_WARNING, SUCCESS
from scp.part10.header import Encoding
from scp.services import date_keys, mpr_keys
from scp.services.context import Closable, Requesting, ServiceContext
from scp.services.identifier import decoded
from scp.services.requesting import requesting_of
from scp.services.status import Answered, Outcome, failed, sentence_for_log

LOOK_EVERY_S = 0.25
"""How soon a cancel or an abort is noticed while an answer is awaited."""

ANSWERS_AHEAD = 16
"""How many answers may wait to be sent."""

Encoded = tuple[bool, bytes]
"""An identifier to be sent, and whether it tells every key that was asked for."""


@runtime_checkable
class Encodes(Protocol):
    """Answers that can be had encoded, in batches: the archive's."""

    @property
    def tags(self) -> Set[int]:
        """The keys that every answer tells."""

    def encoded(self, encoding: Encoding, own: Mapping[str, str]) -> Iterator[Sequence[bytes]]:
        """Yield all answers; *own* are text attributes that each has besides."""


def serve(context: ServiceContext, association: Dialogue, request: Request) -> Answered:
    """Send every answer, then how it ended."""
    said: dict[str, object] = {"answers": 0}
    try:
        outcome = _answer(context, association, request, said)
    except Cancelled:
        outcome = Outcome(CANCEL)
    except Exception as error:
        said["why"] = sentence_for_log(error)
        outcome = failed(error)
    if association.gone:
        return Answered(outcome, said | {"requestor": "gone"})
    _respond(association, request, outcome)
    return Answered(outcome, said)


def _answer(
    context: ServiceContext, association: Dialogue, request: Request, said: dict[str, object]
) -> Outcome:
    identifier = decoded(request.message.Identifier, request.transfer_syntax)
    said["without_effect"] = ",".join(mpr_keys.without_effect(identifier))
    requesting = requesting_of(association, request)
    said["level"] = printable(str(identifier.get("QueryRetrieveLevel", "")))[:16]
    if not mpr_keys.has_trigger(identifier):  # with it, dates are those of an image
        date_keys.check(identifier)
    tags = identifier.keys()
    asked = {tag for tag in tags if keyword_for_tag(tag) not in NOT_KEYS}
    most = context.config.query.maximum_answers
    sent = 0
    with closing(_answers(context, association, request, identifier, requesting, said)) as answers:
        for batch in _encoded(answers, asked, requesting.called_ae_title, request.transfer_syntax):
            _send(association, request, batch[: most - sent])
            if sent + len(batch) > most:
                return Outcome(OUT_OF_RESOURCES, f"{Code.OUT_OF_RESOURCES}: more than {most} answers")
            sent += len(batch)
            said["answers"] = sent
            if association.is_left_alone(request.message.MessageID):
                raise Cancelled("the requestor cancelled the query")
    return Outcome(SUCCESS)


def _answers(
    context: ServiceContext,
    association: Dialogue,
    request: Request,
    identifier: Dataset,
    requesting: Requesting,
    said: dict[str, object],
) -> Closable[Dataset]:
    given_up = threading.Event()

    def cancelled() -> bool:  # once the request has ended, its C-CANCEL is no longer on record
        return given_up.is_set() or association.is_left_alone(request.message.MessageID)

    ours = context.mpr.answers_of(identifier, requesting, cancelled) if context.mpr else None
    if ours is not None:
        awaited = _awaited(ours, cancelled, given_up)
        return _noted(awaited, said) if mpr_keys.has_trigger(identifier) else awaited
    if not association.may("find"):
        raise Refused(
            Code.NOT_AUTHORIZED,
            f'{association.calling_ae_title} has no right to query; add "find" to its rights',
            "it needs the right find",
        )
    return context.archive.find(requesting.root_model, identifier)


def _awaited(
    answers: Generator[Dataset, None, None], cancelled: IsCancelled, given_up: threading.Event
) -> Generator[Dataset, None, None]:
    try:
        with closing(Ahead(lambda _stopped: answers, ANSWERS_AHEAD)) as waiting:
            while True:
                try:
                    yield waiting.next(LOOK_EVERY_S)
                except StopIteration:
                    return
                except TimeoutError:
                    if cancelled():
                        raise Cancelled("the requestor cancelled the query") from None
    finally:
        given_up.set()


def _noted(
    answers: Generator[Dataset, None, None], said: dict[str, object]
) -> Generator[Dataset, None, None]:
    """Yield the answers of a dry run; keep for the log the verdict, with which Image Comments begin."""
    with closing(answers):
        for answer in answers:
            said["verdict"] = str(answer.get("ImageComments", "")).partition(";")[0]
            yield answer


def _encoded(
    answers: Iterable[Dataset], asked: Set[int], called_ae_title: str, syntax: UID
) -> Iterator[Sequence[Encoded]]:
    """Yield answers as they are sent, as many at once as there are without waiting."""
    if isinstance(answers, Encodes):
        complete = asked <= answers.tags
        encoding = Encoding(not syntax.is_implicit_VR, syntax.is_little_endian)
        for batch in answers.encoded(encoding, {"RetrieveAETitle": called_ae_title}):
            yield [(complete, answer) for answer in batch]
        return
    for answer in answers:
        if not answer.get("RetrieveAETitle"):
            answer.RetrieveAETitle = called_ae_title
        encoded = encode(answer, syntax.is_implicit_VR, syntax.is_little_endian)
        if encoded is None:
            raise MprScpError("an answer cannot be encoded")
        yield [(all(tag in answer for tag in asked), encoded)]


def _send(association: Dialogue, request: Request, answers: Sequence[Encoded]) -> None:
    pending = {
        complete: _response(request, Outcome(PENDING if complete else PENDING_WARNING), has_identifier=True)
        for complete in {complete for complete, _ in answers}
    }
    association.send_messages(
        request.context_id, ((pending[complete], encoded) for complete, encoded in answers)
    )


def _respond(association: Dialogue, request: Request, outcome: Outcome) -> None:
    association.send_message(request.context_id, _response(request, outcome, has_identifier=False))


def _response(request: Request, outcome: Outcome, *, has_identifier: bool) -> bytes:
    return command.find_response(
        str(request.message.AffectedSOPClassUID),
        request.message.MessageID,
        outcome.status,
        outcome.error_comment,
        outcome.offending_element,
        has_identifier=has_identifier,
    )

"""What each error is on the wire: its status and Error Comment, as tables; and what the log tells of it.

The numbers of the standard are ``net.statuses``. An error is looked up by its class, nearest first, a refusal
by its code. 0xC010 to 0xC022 and 0xC0FF are this node's own failures within "unable to process"; an Error
Comment (0000,0902) begins with the code that ``scp.errors.Code`` has for it.
"""

import logging
import secrets
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from pydicom.datadict import tag_for_keyword

from scp.errors import (
    BadRequest,
    Cancelled,
    Code,
    ConfigurationError,
    DecodingFailed,
    IdentityMismatch,
    IndexUnavailable,
    MprScpError,
    NotDicom,
    OutOfSpace,
    PeerFailed,
    Refused,
    SOPClassNotSupported,
    StoreRefused,
    Unparseable,
    WorkerFailed,
)
from scp.net.journal import printable
from scp.net.statuses import (
    CANCEL,
    IDENTIFIER_DOES_NOT_MATCH,
    NOT_AUTHORIZED,
    OUT_OF_RESOURCES,
    SOP_CLASS_NOT_SUPPORTED,
    UNABLE_TO_PERFORM_SUB_OPERATIONS,
    UNABLE_TO_PROCESS,
)

LOGGER = logging.getLogger(__name__)

_T = TypeVar("_T")

UNAVAILABLE = 0xC001
INTERNAL = 0xC0FF

OTHER_REFUSAL = 0xC01C
"""A code that fell on the current image and has no status of its own."""

STATUS_OF_CODE: Mapping[str, int] = {
    Code.BAD_REQUEST: IDENTIFIER_DOES_NOT_MATCH,
    Code.HEADER_DISAGREES: IDENTIFIER_DOES_NOT_MATCH,
    Code.NOT_AUTHORIZED: NOT_AUTHORIZED,
    Code.UNKNOWN_IMAGE: UNAVAILABLE,
    Code.TOO_FEW_IMAGES: 0xC010,
    Code.MISSING_INSTANCES: 0xC011,
    Code.IRREGULAR_SPACING: 0xC012,
    Code.NOT_A_STACK: 0xC013,
    Code.NO_EXTENT: 0xC014,
    Code.AMBIGUOUS_STACK: 0xC015,
    Code.WHICH_STACK: 0xC016,
    Code.CURRENT_IMAGE_ALONE: 0xC017,
    Code.DUPLICATE_CONFLICT: 0xC018,
    Code.CANDIDATE_CONFLICT: 0xC019,
    Code.LOCALIZER: 0xC01A,
    Code.NO_GEOMETRY: 0xC01B,
    Code.NO_CONTEXT: 0xC020,
    Code.RESULT_STALE: 0xC021,
    Code.DEADLINE: 0xC022,
    Code.OUT_OF_RESOURCES: UNABLE_TO_PERFORM_SUB_OPERATIONS,
    Code.INTERNAL: INTERNAL,
}

STATUS_OF_ERROR: Mapping[type[MprScpError], int] = {
    MprScpError: INTERNAL,
    ConfigurationError: INTERNAL,
    WorkerFailed: INTERNAL,
    NotDicom: UNABLE_TO_PROCESS,
    StoreRefused: OUT_OF_RESOURCES,
    OutOfSpace: OUT_OF_RESOURCES,
    SOPClassNotSupported: SOP_CLASS_NOT_SUPPORTED,
    IdentityMismatch: IDENTIFIER_DOES_NOT_MATCH,
    Unparseable: UNABLE_TO_PROCESS,
    IndexUnavailable: UNAVAILABLE,
    PeerFailed: UNABLE_TO_PERFORM_SUB_OPERATIONS,
    DecodingFailed: OTHER_REFUSAL,
    Cancelled: CANCEL,
}
"""For every error but ``Refused``, whose code says more."""

CODE_OF_ERROR: Mapping[type[MprScpError], str] = {
    DecodingFailed: Code.CANNOT_DECODE,
    OutOfSpace: Code.OUT_OF_RESOURCES,
    StoreRefused: Code.OUT_OF_RESOURCES,
    IndexUnavailable: "index-unavailable",
    PeerFailed: "peer-failed",
    NotDicom: Code.NOT_DICOM,
    Unparseable: Code.NOT_DICOM,
    SOPClassNotSupported: Code.NO_CONTEXT,
    IdentityMismatch: "identity-mismatch",
    Cancelled: "cancelled",
}
"""What Error Comment says where an error carries no code; everything else is ``internal``."""

LONGEST_IN_LOG = 400

TOLD_IN_FULL = frozenset(
    {
        Code.HEADER_DISAGREES,
        Code.NOT_AUTHORIZED,
        Code.MISSING_INSTANCES,
        Code.TOO_FEW_IMAGES,
        Code.WHICH_STACK,
        Code.NO_CONTEXT,
        Code.RESULT_STALE,
        Code.DEADLINE,
        Code.OUT_OF_RESOURCES,
    }
)
"""Refusals whose sentence holds keywords, numbers, UIDs and titles only."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Status (0000,0900), Error Comment and the tag of Offending Element (0000,0901); 0 for none."""

    status: int
    error_comment: str = ""
    offending_element: int = 0


@dataclass(frozen=True, slots=True)
class Answered:
    """How a request was answered, for its line in the log: *outcome* of the final response, and what else is
    worth a word, such as counts.

    *routine*: one of thousands of its kind, told in detail only where ``node.log_level`` is ``debug``.
    """

    outcome: Outcome
    said: Mapping[str, object] = field(default_factory=dict)
    routine: bool = False


def failed(error: Exception) -> Outcome:
    """Return what a requestor is told of *error* that ended its request.

    Of our own fault the log keeps where it happened, under an id that the requestor is told.
    """
    return outcome_of(error, trace_id=_trace(error) if _is_our_fault(error) else "")


def outcome_of(error: Exception, *, trace_id: str = "") -> Outcome:
    """Return what a requestor is told of *error*; *trace_id* is where the log says more of our own fault."""
    if isinstance(error, BadRequest):
        tag = tag_for_keyword(error.keyword) or 0
        return Outcome(IDENTIFIER_DOES_NOT_MATCH, error.error_comment, tag)
    if isinstance(error, Refused):
        return Outcome(STATUS_OF_CODE.get(error.code, OTHER_REFUSAL), error.error_comment)
    status = _nearest(STATUS_OF_ERROR, type(error), INTERNAL)
    code = _nearest(CODE_OF_ERROR, type(error), Code.INTERNAL)
    comment = f"{code}: see log {trace_id}" if status == INTERNAL and trace_id else str(code)
    if isinstance(error, PeerFailed):
        comment = printable(f"{code}: {error.short}").replace("\\", "/")
    return Outcome(status, comment[:64])


def sentence_for_log(error: Exception) -> str:
    """Return what the log tells of *error* beside its Error Comment.

    Nothing where the sentence names files, and no text that was sent: either may be patient data.
    """
    if isinstance(error, BadRequest):
        return error.for_log[:LONGEST_IN_LOG]
    told = isinstance(error, PeerFailed) or (isinstance(error, Refused) and error.code in TOLD_IN_FULL)
    return str(error)[:LONGEST_IN_LOG] if told else ""


def _is_our_fault(error: Exception) -> bool:
    """Tell whether *error* belongs into the log with its trace."""
    return outcome_of(error).status == INTERNAL


def _trace(error: Exception) -> str:
    """Write where our own fault happened into the log, and return the id that the requestor is told.

    What a foreign exception says is left out: it may quote a path or a value, and those are patient data.
    """
    trace_id = secrets.token_hex(4)
    says = f": {error}" if isinstance(error, MprScpError) else ""
    where = "".join(traceback.format_tb(error.__traceback__))
    LOGGER.error("internal error %s, %s%s\n%s", trace_id, type(error).__name__, says, where)
    return trace_id


def _nearest(table: Mapping[type[MprScpError], _T], error: type[BaseException], default: _T) -> _T:
    return next((table[cls] for cls in error.__mro__ if cls in table), default)

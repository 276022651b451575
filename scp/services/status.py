"""What each outcome is on the wire: statuses of PS3.7 Annex C and PS3.4 B.2.3, C.4.1 to C.4.3, as tables.

An error is looked up by its class, nearest first, a refusal by its code. 0xC010 to 0xC022 and 0xC0FF are
this node's own failures within "unable to process"; Error Comment (0000,0902) begins with the code that
``scp.errors.Code`` has for it.
"""

import logging
import secrets
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
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
from scp.net.statuses import OUT_OF_RESOURCES as OUT_OF_RESOURCES
from scp.net.statuses import PENDING as PENDING
from scp.net.statuses import PENDING_WARNING as PENDING_WARNING
from scp.net.statuses import SOP_CLASS_NOT_SUPPORTED
from scp.net.statuses import SUCCESS as SUCCESS

LOGGER = logging.getLogger(__name__)

_T = TypeVar("_T")

CANCEL = 0xFE00
NOT_AUTHORIZED = 0x0124
SUB_OPERATIONS_FAILED_SOME = 0xB000
UNABLE_TO_PERFORM_SUB_OPERATIONS = 0xA702
MOVE_DESTINATION_UNKNOWN = 0xA801
IDENTIFIER_DOES_NOT_MATCH = 0xA900
UNABLE_TO_PROCESS = 0xC000
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


def is_our_fault(error: Exception) -> bool:
    """Tell whether *error* belongs into the log with its trace."""
    return outcome_of(error).status == INTERNAL


def trace(error: Exception) -> str:
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

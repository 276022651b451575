"""DIMSE messages as they wait to be served: those of C-STORE, and any request with its context.

C-STORE has messages of its own, whose command set is read by hand (``net.command``) and whose data set is in
the sink already; all others are pynetdicom's primitives (PS3.7 9.1).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from pydicom.uid import UID

from scp.net import command
from scp.net.reception import Reception


@dataclass(frozen=True, slots=True)
class StoreRequest:
    """A C-STORE-RQ whose data set has come; *reception* holds it."""

    message_id: int | None
    sop_class_uid: str
    sop_instance_uid: str
    reception: Reception

    @classmethod
    def of(cls, values: Mapping[int, bytes], reception: Reception) -> "StoreRequest":
        return cls(
            command.number(values, command.MESSAGE_ID),
            command.text(values, command.AFFECTED_SOP_CLASS_UID),
            command.text(values, command.AFFECTED_SOP_INSTANCE_UID),
            reception,
        )

    @property
    def is_valid_request(self) -> bool:
        return self.message_id is not None


@dataclass(frozen=True, slots=True)
class StoreResponse:
    """A C-STORE-RSP."""

    message_id: int | None
    status: int | None
    error_comment: str

    is_valid_request: ClassVar[bool] = False

    @classmethod
    def of(cls, values: Mapping[int, bytes]) -> "StoreResponse":
        return cls(
            command.number(values, command.MESSAGE_ID_BEING_RESPONDED_TO),
            command.number(values, command.STATUS),
            command.text(values, command.ERROR_COMMENT),
        )


@dataclass(frozen=True, slots=True)
class Request:
    """One DIMSE request and its context: *message* is pynetdicom's primitive, or a ``StoreRequest``."""

    message: Any
    context_id: int
    abstract_syntax: UID
    transfer_syntax: UID

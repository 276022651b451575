"""Which proposed presentation contexts are accepted, in which transfer syntax and in which role.

Pure: what a requestor proposes and the rights it holds in, one result for each context out
(PS3.8 9.3.3.2, PS3.7 D.3.3.4). Takes the place of pynetdicom's negotiation because that knows neither rights
nor private storage classes with a ranking of their transfer syntaxes.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum

from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)
from pynetdicom.sop_class import _STORAGE_CLASSES, Verification

from scp.net.query_classes import QUERY_CLASSES

DICOM_ROOT = "1.2.840.10008."
STORAGE_ROOT = "1.2.840.10008.5.1.4.1.1."

RANKING: tuple[UID, ...] = (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGLSLossless,
    JPEG2000Lossless,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    JPEGLosslessSV1,
    JPEGLossless,
    RLELossless,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
)
"""Best first: what every receiver reads, then lossless. What is not here ranks last, as proposed."""

_RANKS = {syntax: rank for rank, syntax in enumerate(RANKING)}
_NAMED_STORAGE = frozenset(_STORAGE_CLASSES.values())

RIGHTS_OF_CLASS: Mapping[UID, tuple[str, ...]] = {
    Verification: ("echo",),
    **{uid: (kind.service, "mpr") for uid, kind in QUERY_CLASSES.items()},
}
"""Which rights, any of them, open a SOP class that is not storage."""

STORE_RIGHTS = ("store",)
GET_RIGHTS = ("get", "mpr")

PLAIN_SYNTAXES = (ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian)
"""What identifiers of queries and retrieves may be encoded in."""


class Result(IntEnum):
    """Result/Reason of a presentation context (PS3.8 Table 9-18)."""

    ACCEPTANCE = 0
    USER_REJECTION = 1
    ABSTRACT_SYNTAX_NOT_SUPPORTED = 3
    TRANSFER_SYNTAXES_NOT_SUPPORTED = 4


@dataclass(frozen=True, slots=True)
class Role:
    """What the requestor is on an abstract syntax; without negotiation it is the SCU (PS3.7 D.3.3.4)."""

    scu: bool = True
    scp: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """What becomes of one proposed context; *role* is the requestor's.

    *lacks* are rights of which any would have opened one that was rejected for the lack of them.
    """

    context_id: int
    abstract_syntax: UID
    transfer_syntax: UID
    result: Result
    role: Role = Role()
    lacks: tuple[str, ...] = ()


def is_storage(sop_class_uid: str) -> bool:
    """Tell whether a SOP class is stored by C-STORE: every one of PS3.4 Annex B, unknown and private too."""
    return (
        sop_class_uid in _NAMED_STORAGE
        or sop_class_uid.startswith(STORAGE_ROOT)
        or not sop_class_uid.startswith(DICOM_ROOT)
    )


def best_transfer_syntax(proposed: Iterable[UID], allowed: tuple[UID, ...] = ()) -> UID | None:
    """Return the best of *proposed*; with *allowed* only one of these, ``None`` where there is none."""
    candidates = [syntax for syntax in proposed if not allowed or syntax in allowed]
    return min(candidates, key=lambda syntax: _RANKS.get(syntax, len(_RANKS)), default=None)


def answer(
    context_id: int,
    abstract_syntax: UID,
    transfer_syntaxes: Iterable[UID],
    role: Role | None,
    may: Callable[..., bool],
) -> Answer:
    """Return what becomes of one context; *role* is what was proposed, *may* tells of the rights held."""
    proposed = list(transfer_syntaxes) or [ImplicitVRLittleEndian]
    storage = is_storage(abstract_syntax)
    if not storage and abstract_syntax not in RIGHTS_OF_CLASS:
        return Answer(context_id, abstract_syntax, proposed[0], Result.ABSTRACT_SYNTAX_NOT_SUPPORTED)
    as_scu, as_scp = _rights(abstract_syntax, role or Role())
    granted = Role(scu=may(*as_scu), scp=may(*as_scp))
    if not granted.scu and not granted.scp:
        lacks = as_scu + as_scp
        return Answer(context_id, abstract_syntax, proposed[0], Result.USER_REJECTION, lacks=lacks)
    best = best_transfer_syntax(proposed, () if storage else PLAIN_SYNTAXES)
    if best is None:
        return Answer(context_id, abstract_syntax, proposed[0], Result.TRANSFER_SYNTAXES_NOT_SUPPORTED)
    return Answer(context_id, abstract_syntax, best, Result.ACCEPTANCE, granted)


def lacking(answers: Iterable[Answer]) -> str:
    """Return which rights would open the contexts that were rejected for the lack of them; empty for none."""
    return "; ".join(sorted({" or ".join(one.lacks) for one in answers if one.lacks}))


def _rights(abstract_syntax: UID, proposed: Role) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return which rights, any of them, make the requestor the SCU, and which the SCP; none where none do.

    Only on storage may it be the SCP.
    """
    storage = abstract_syntax not in RIGHTS_OF_CLASS
    as_scu = RIGHTS_OF_CLASS.get(abstract_syntax, STORE_RIGHTS) if proposed.scu else ()
    as_scp = GET_RIGHTS if storage and proposed.scp else ()
    return as_scu, as_scp

"""Rejection notes: a stored Key Object Selection that takes instances out of use (IHE RAD TF-3 4.66).

A note is titled by one of four codes (PS3.16 CID 7011) and names instances in its Current Requested Procedure
Evidence Sequence (PS3.3 C.17.2). It counts if a peer with the right ``reject`` sent it, whichever came first,
the note or what it names. ``services.store`` asks here after the note was stored and before it is
acknowledged, so that a note that was acknowledged has had its effect. Nothing is ever deleted.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from pydicom.datadict import tag_for_keyword
from pydicom.uid import KeyObjectSelectionDocumentStorage

from scp.model import Origin, Stored, concepts
from scp.part10 import read_facts
from scp.services.context import ArchiveService

TITLE: Final = "ConceptNameCodeSequence"
EVIDENCE: Final = "CurrentRequestedProcedureEvidenceSequence"

REJECTION_TITLES: Final = frozenset(
    (code.scheme_designator, code.value)
    for code in (
        concepts.REJECTED_FOR_QUALITY_REASONS,
        concepts.REJECTED_FOR_PATIENT_SAFETY_REASONS,
        concepts.INCORRECT_MODALITY_WORKLIST_ENTRY,
        concepts.DATA_RETENTION_POLICY_EXPIRED,
    )
)

Item = Mapping[str, Any]
"""One item of a sequence as DICOM JSON (PS3.18 F.2)."""


def obey(stored: Stored, origin: Origin, archive: ArchiveService) -> int:
    """Record what a stored note rejects; return how many instances, 0 for whatever is no rejection note.

    Raises ``IndexUnavailable``.
    """
    if origin.sop_class_uid != KeyObjectSelectionDocumentStorage:
        return 0
    header = read_facts(stored.path, extra=(TITLE, EVIDENCE))[0].header
    title, evidence = (_items(header.text(keyword)) for keyword in (TITLE, EVIDENCE))
    if not any(_code(item) in REJECTION_TITLES for item in title):
        return 0
    rejected = frozenset(_referenced(evidence))
    archive.reject(stored.sop_instance_uid, rejected)
    return len(rejected)


def _items(text: str) -> list[Any]:
    """Return the items of a sequence as the header scan keeps it; none where a sender wrote text there."""
    try:
        items = json.loads(text or "[]")
    except ValueError:
        return []
    return items if isinstance(items, list) else []


def _code(item: Item) -> tuple[str, str]:
    return _text(item, "CodingSchemeDesignator"), _text(item, "CodeValue")


def _referenced(evidence: list[Item]) -> Iterator[str]:
    """Yield the SOP Instance UIDs of a Hierarchical SOP Instance Reference (PS3.3 C.17.2.1)."""
    for study in evidence:
        for series in _values(study, "ReferencedSeriesSequence"):
            for instance in _values(series, "ReferencedSOPSequence"):
                yield _text(instance, "ReferencedSOPInstanceUID")


def _text(item: Item, keyword: str) -> str:
    return str(next(iter(_values(item, keyword)), ""))


def _values(item: Item, keyword: str) -> list[Any]:
    """Return the values of one attribute; a sender may have put text where items belong: it has none."""
    if not isinstance(item, Mapping):
        return []
    values: list[Any] = item.get(f"{tag_for_keyword(keyword):08X}", {}).get("Value", [])
    return values

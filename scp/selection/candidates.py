"""Which files of a folder are DICOM files at all, and which of these can be read (steps 1 and 2).

The scanner looked at the bytes: ``FileFacts.preamble`` tells whether ``DICM`` stands at byte 128 (PS3.10
7.1), ``FileFacts.reason`` what else it met. Here the configured rule chooses among the names and that
identifier, and the scanner's reason stands for what cannot be read. Nothing is opened here.
"""

from collections.abc import Callable

from scp.errors import Code
from scp.model import Candidates, FileFacts, SelectionRules
from scp.selection.sorting import FITS, Finding


def _identified(facts: FileFacts) -> bool:
    return facts.preamble and facts.reason != Code.NOT_DICOM


def _named(facts: FileFacts, rules: SelectionRules) -> bool:
    return facts.path.suffix.lower() in {known.lower() for known in rules.suffixes}


IS_CANDIDATE: dict[Candidates, Callable[[FileFacts, SelectionRules], bool]] = {
    Candidates.SUFFIX: _named,
    Candidates.IDENTIFIER: lambda facts, _: _identified(facts),
    Candidates.BOTH: lambda facts, rules: _identified(facts) and _named(facts, rules),
    Candidates.EITHER: lambda facts, rules: _identified(facts) or _named(facts, rules),
}

NEEDED = {
    Candidates.SUFFIX: "a DICOM suffix",
    Candidates.IDENTIFIER: "DICM at byte 128",
    Candidates.BOTH: "a DICOM suffix and DICM at byte 128",
    Candidates.EITHER: "a DICOM suffix or DICM at byte 128",
}

UNREADABLE = frozenset({Code.UNREADABLE, Code.TRUNCATED, Code.NO_PIXEL_DATA})
"""Reasons of the scanner that come before any look at whose image it is."""


def candidacy(facts: FileFacts, rules: SelectionRules) -> Finding:
    """Object to what is no regular file, and to what the rule for candidates leaves out."""
    if facts.reason == Code.NOT_A_FILE:
        return Finding(Code.NOT_A_FILE, facts.detail or "not a regular file of the archive")
    if not IS_CANDIDATE[rules.candidates](facts, rules):
        return Finding(Code.NOT_DICOM, facts.detail or f"it lacks {NEEDED[rules.candidates]}")
    return FITS


def readability(facts: FileFacts) -> Finding:
    """Object to a candidate whose header or Pixel Data the scanner could not have whole."""
    if facts.reason == Code.NOT_DICOM:
        return Finding(Code.UNREADABLE, facts.detail or "named like DICOM, but its content is not")
    if facts.reason and (facts.reason in UNREADABLE or not facts.sop_instance_uid):
        return Finding(facts.reason, facts.detail)
    return FITS

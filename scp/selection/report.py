"""Views of a selection report, and nothing else: counts, JSON, comments of DICOM, the refusal.

Every view is derived from the report alone and decides nothing. What goes into results (the words before
Series Description) tells only what their pixels depend on, so that the same sources give the same bytes. No
view holds patient data.
"""

from collections import Counter
from pathlib import Path
from typing import Any

from scp.errors import Code, Refused
from scp.model import Missing, Policy, SelectionReport, names


class MissingInstances(Refused):
    """Images are missing inside the stack; by the policies in *fillable* there would be planes."""

    def __init__(self, sentence: str, comment: str, fillable: tuple[Policy, ...]) -> None:
        super().__init__(Code.MISSING_INSTANCES, sentence, comment)
        self.args = (sentence, comment, fillable)
        self.fillable = fillable


class TooFewImages(Refused):
    """What belongs to the series is no volume: *images* are fewer than the rules need."""

    def __init__(self, sentence: str, comment: str, images: int) -> None:
        super().__init__(Code.TOO_FEW_IMAGES, sentence, comment)
        self.args = (sentence, comment, images)
        self.images = images


DECIMALS = 4
"""Of a position in JSON: a ten thousandth of a millimetre."""


def counts(report: SelectionReport) -> dict[str, int]:
    """Return how many files ended with each reason, the most frequent first.

    What a refusal left undecided ended with none.
    """
    tally = Counter(str(row.reason) for row in report.rows if row.reason != Code.UNDECIDED)
    return dict(sorted(tally.items(), key=lambda item: (-item[1], item[0])))


def as_json(report: SelectionReport, relative_to: Path) -> dict[str, Any]:
    """Return the report as ``explain --json`` prints it; paths are relative where they can be."""
    return {
        "verdict": str(report.verdict),
        "sentence": report.sentence,
        "used": len(report.stack),
        "counts": counts(report),
        "files": [
            {
                "path": relative(row.path, relative_to),
                "frame": row.frame,
                "reason": str(row.reason),
                "detail": row.detail,
                "sop_instance_uid": row.sop_instance_uid,
                "instance_number": row.instance_number,
                "position_mm": _rounded(row.position_mm),
            }
            for row in report.rows
        ],
        "missing": [_missing_as_json(missing) for missing in report.missing],
        "notes": [{"code": str(note.code), "detail": note.detail} for note in report.notes],
        "searches": [
            {
                "name": search.name,
                "asked": search.asked,
                "wanted": search.wanted,
                "found": search.found,
                "detail": search.detail,
                "seconds": round(search.seconds, 3),
            }
            for search in report.searches
        ],
    }


def _missing_as_json(missing: Missing) -> dict[str, Any]:
    """Return one missing image; where its position is a guess, the range is told in its stead."""
    number: dict[str, Any] = {"instance_number": missing.instance_number}
    if missing.between_mm:
        return number | {"position_mm": None, "between_mm": [_rounded(mm) for mm in missing.between_mm]}
    return number | {"position_mm": _rounded(missing.position_mm)}


def image_comments(report: SelectionReport) -> str:
    """Return Image Comments (0020,4000) of a dry run: verdict, used, excluded, missing, found.

    Missing images that an index or a peer is known to hold are named: a dry run fetches nothing.
    """
    used = len(report.stack)
    excluded = [f"{reason} {count}" for reason, count in counts(report).items() if reason != Code.USED]
    held = [missing for missing in report.missing if missing.sop_instance_uid]
    found = Counter[str]()
    for search in report.searches:
        found[search.name] += search.found
    parts = [
        f"{report.verdict}: {report.numbers}" if report.numbers else str(report.verdict),
        f"used {used} of {used + len(report.missing)}",
        f"excluded {', '.join(excluded)}" if excluded else "",
        f"missing {', '.join(names(report.missing))}" if report.missing else "",
        f"held elsewhere {', '.join(names(held))}" if held else "",
        f"found {', '.join(f'{n} {c}' for n, c in found.items() if c)}" if any(found.values()) else "",
    ]
    return "; ".join(part for part in parts if part)


def refusal(report: SelectionReport) -> Refused:
    """Return the refusal of a report whose verdict is not ``ok``, ready to be raised."""
    if report.verdict == Code.MISSING_INSTANCES:
        return MissingInstances(_with_failures(report), report.numbers, _fillable(report))
    if report.verdict == Code.TOO_FEW_IMAGES:
        return TooFewImages(_with_failures(report), report.numbers, len(report.stack))
    return Refused(report.verdict, report.sentence, comment=report.numbers)


def _with_failures(report: SelectionReport) -> str:
    """Return the sentence, and whose search failed: the images may be there all the same."""
    failed = [search.asked for search in report.searches if search.failed]
    if not failed:
        return report.sentence
    searches = "search" if len(failed) == 1 else "searches"
    return f"{report.sentence.rstrip('.')}; the {searches} at {', '.join(failed)} failed."


def _fillable(report: SelectionReport) -> tuple[Policy, ...]:
    """Return the policies that would fill all holes; none where true images are too few anyway."""
    if len(report.stack) < report.rules.minimum_images:
        return ()
    longest = max(Counter(hole.before for hole in report.holes).values())
    return (Policy.INTERPOLATE, Policy.PAD) if longest <= report.rules.interpolate_at_most else (Policy.PAD,)


def markers(report: SelectionReport) -> tuple[str, ...]:
    """Return the words with which the Series Description of the results begins."""
    codes = {note.code for note in report.notes}
    filled, policy = bool(report.holes), report.rules.policy
    words = {
        "INTERPOLATED": filled and policy is Policy.INTERPOLATE,
        "INCOMPLETE": (filled and policy is Policy.PAD) or Code.ENDS_MISSING in codes or bool(report.ends),
        "ADOPTED": Code.ADOPTED in codes,
    }
    return tuple(word for word, applies in words.items() if applies)


def relative(path: Path, folder: Path) -> str:
    """Return *path* as it is seen from *folder* where it lies in it, else whole."""
    return str(path.relative_to(folder)) if path.is_relative_to(folder) else str(path)


def _rounded(position: float | None) -> float | None:
    return None if position is None else round(position, DECIMALS)

"""The selection report as a person reads it: the verdict first, then what is left out, missing and found."""

from collections.abc import Iterator
from pathlib import Path

from scp.cli.output import table
from scp.errors import Code
from scp.model import Missing, Policy, SelectionReport
from scp.selection import counts
from scp.selection.report import relative


def report_text(report: SelectionReport, folder: Path) -> str:
    """Return *report* as lines of text; paths are relative to *folder* where they lie in it."""
    return "\n".join(_lines(report, folder))


def _lines(report: SelectionReport, folder: Path) -> Iterator[str]:
    yield f"current image  {relative(report.current.path, folder)}"
    verdict = f"{report.verdict}{f': {report.numbers}' if report.numbers else ''}"
    yield f"verdict        {verdict}"
    yield f"used           {len(report.stack)} of {len(report.stack) + len(report.missing)}"
    left_out = {code: number for code, number in counts(report).items() if code != Code.USED}
    if left_out:
        yield "left out       " + ", ".join(f"{code} {number}" for code, number in left_out.items())
    if undecided := sum(row.reason == Code.UNDECIDED for row in report.rows):
        yield f"undecided      {undecided}"
    filled = report.holes if report.ok else ()
    if filled:
        what = "interpolated" if report.rules.policy is Policy.INTERPOLATE else "padded"
        yield f"{what:15}" + ", ".join(map(_missing, filled))
    missing = report.missing[len(filled) :]  # holes stand first
    if missing:
        named = list(filter(None, map(_missing, missing)))
        nameless = len(missing) - len(named)
        yield "missing        " + ", ".join([*named, *([f"{nameless} unnamed"] if nameless else [])])
    for note in report.notes:
        yield f"note           {note.code}{f': {note.detail}' if note.detail else ''}"
    excluded = [row for row in report.rows if row.reason != Code.USED]
    if excluded:
        yield ""
        rows = [(relative(row.path, folder), row.reason, row.detail) for row in excluded]
        yield table(rows, ("file", "reason", "detail"))
    if report.searches:
        yield ""
        asked = [
            (
                search.name,
                search.asked,
                f"{search.found} of {search.wanted}",
                f"{search.seconds:.2f} s",
                search.detail,
            )
            for search in report.searches
        ]
        yield table(asked, ("search", "asked", "found", "took", "detail"))


def _missing(missing: Missing) -> str:
    number = "" if missing.instance_number is None else str(missing.instance_number)
    return " ".join(filter(None, (number, missing.place))) or missing.sop_instance_uid

"""The selection report as a person reads it: the verdict first, then what is left out, missing and found."""

from collections.abc import Iterator
from pathlib import Path

from scp.cli.output import table
from scp.errors import Code
from scp.model import Missing, Policy, SelectionReport, counted
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
    left_out = [_counted(report, code) for code in counts(report) if code != Code.USED]
    if left_out:
        yield "left out       " + ", ".join(left_out)
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
    if rows := list(_excluded(report, folder)):
        yield ""
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


def _counted(report: SelectionReport, code: str) -> str:
    """Return how often *code* is given; to frames, of how many files."""
    paths = [row.path for row in report.rows if row.reason == code]
    files = len(set(paths))
    return f"{code} {len(paths)}" + (f" in {counted(files, 'file')}" if files < len(paths) else "")


def _excluded(report: SelectionReport, folder: Path) -> Iterator[tuple[str, str, str]]:
    """Yield what became of each file that is left out, its frames of one fate together.

    What is undecided is only counted: all of it is for the same reason.
    """
    frames: dict[tuple[Path, str, str], list[int]] = {}
    for row in report.rows:
        if row.reason not in (Code.USED, Code.UNDECIDED):
            frames.setdefault((row.path, row.reason, row.detail), []).append(row.frame)
    for (path, reason, detail), numbers in frames.items():
        yield f"{relative(path, folder)}{_frames(numbers)}", reason, detail


def _frames(numbers: list[int]) -> str:
    """Return `` (frames 1-4)`` where it is frames that are meant, and not a file (0)."""
    if numbers == [0]:
        return ""
    if len(numbers) == 1:
        return f" (frame {numbers[0]})"
    unbroken = numbers == list(range(numbers[0], numbers[-1] + 1))
    return f" (frames {numbers[0]}-{numbers[-1]})" if unbroken else f" ({len(numbers)} frames)"


def _missing(missing: Missing) -> str:
    number = "" if missing.instance_number is None else str(missing.instance_number)
    return " ".join(filter(None, (number, missing.place))) or missing.sop_instance_uid

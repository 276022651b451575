"""The report as a person reads it: what is one file is one line, what says nothing is no line."""

from pathlib import Path

from scp.cli.report import report_text
from scp.errors import Code
from scp.model import FileFacts, ReportRow, SelectionReport, SelectionRules

FOLDER = Path("/archive/series")


def text(*rows: ReportRow, verdict: str = Code.OK) -> str:
    current = FileFacts(path=FOLDER / "1.dcm", reason="")
    return report_text(SelectionReport(current, SelectionRules(), rows, verdict=verdict), FOLDER)


def row(name: str, reason: str = Code.OTHER_PATIENT, frame: int = 0, detail: str = "") -> ReportRow:
    return ReportRow(FOLDER / name, reason, detail, frame=frame)


def cells(shown: str, name: str) -> list[list[str]]:
    """Return the cells of the lines of the table that begin with *name*."""
    return [line.split("  ")[:1] + line.split()[-1:] for line in shown.splitlines() if line.startswith(name)]


def test_frames_of_one_file_and_one_fate_are_one_line_and_counted_as_frames():
    shown = text(row("single"), *(row("many", frame=frame) for frame in range(1, 5)))
    assert "left out       other-patient 5 in 2 files\n" in shown
    assert cells(shown, "many") == [["many (frames 1-4)", "other-patient"]]
    assert cells(shown, "single") == [["single", "other-patient"]]


def test_frames_of_other_fates_have_lines_of_their_own():
    frames = {1: Code.USED, 2: Code.LOCALIZER, 3: Code.OTHER_STACK, 4: Code.USED, 5: Code.OTHER_STACK}
    shown = text(*(row("many", reason, frame) for frame, reason in frames.items()))
    assert cells(shown, "many") == [["many (frame 2)", "localizer"], ["many (2 frames)", "other-stack"]]


def test_files_that_were_not_decided_are_counted_and_not_listed():
    rows = [row(f"{number}.dcm", Code.UNDECIDED) for number in range(2, 14)]
    shown = text(*rows, verdict=Code.DUPLICATE_CONFLICT)
    assert shown.splitlines()[-1] == "undecided      12"
    beside = text(*rows, row("notes.txt", Code.NOT_DICOM), verdict=Code.DUPLICATE_CONFLICT)
    assert cells(beside, "notes.txt") == [["notes.txt", "not-dicom"]]
    assert "12.dcm" not in beside

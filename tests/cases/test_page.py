"""Each case of a real archive ends as it must here, and docs/cases.md says what everybody does with it."""

from collections.abc import Iterator

import pytest

from tests.cases.measuring import worth
from tests.cases.node import judge
from tests.cases.page import PAGE, README, readme, row, text
from tests.cases.readers import Reads
from tests.cases.registry import CASES

ANEW = "run `python -m tests.cases.page`, which writes docs/cases.md and README.md, and look at what changed"


@pytest.fixture(scope="module")
def reads() -> Iterator[Reads]:
    pytest.importorskip("SimpleITK")
    pytest.importorskip("highdicom")
    pytest.importorskip("dcm2niix")
    running = Reads()
    yield running
    running.close()


@pytest.fixture(scope="module")
def rows() -> dict[str, str]:
    """Return the rows of the page by case."""
    lines = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    return {line.split(" | ")[0].removeprefix("| "): line for line in lines}


@pytest.mark.parametrize("name", CASES)
def test_a_case_ends_as_it_must_and_the_page_says_what_was_run(name, tmp_path, reads, rows):
    case = CASES[name]
    scene = case.lay(tmp_path)
    verdict, planes = judge(scene)
    assert verdict.report["verdict"] == case.verdict, verdict.report
    assert (verdict.missing, verdict.notes) == (case.missing, case.notes)
    left_out = {reason: n for reason, n in verdict.left_out.items() if reason != case.verdict}
    assert left_out == case.left_out
    if planes is not None:
        ours = worth(planes, scene)
        assert (ours.of_another_patient, ours.of_another_image, ours.off_mm) == (0, 0, 0.0)
    assert row(case, scene, verdict, reads) == rows.get(name), ANEW


def test_the_page_holds_every_case_once_and_nothing_else(rows):
    pytest.importorskip("dcm2niix")
    assert text(rows[name] for name in CASES) == PAGE.read_text(encoding="utf-8"), ANEW


def test_the_readme_shows_rows_of_the_page_as_they_are(rows):
    assert readme(rows) == README.read_text(encoding="utf-8"), ANEW

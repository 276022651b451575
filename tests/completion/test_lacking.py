"""What a report lacks, and which of the instances held elsewhere may be it."""

from pathlib import Path

import pytest

from scp.completion.lacking import Lacking, lacking
from scp.errors import Code
from scp.model import (
    FileFacts,
    Header,
    KnownInstance,
    Missing,
    Note,
    ReportRow,
    SelectionReport,
    SelectionRules,
)

CURRENT = FileFacts(Path("/s/1.dcm"), header=Header({"SOPInstanceUID": "1.1", "InstanceNumber": 1}))


def stack(*numbers: int) -> tuple[FileFacts, ...]:
    return tuple(
        FileFacts(Path(f"/s/{n}.dcm"), header=Header({"SOPInstanceUID": f"1.{n}", "InstanceNumber": n}))
        for n in numbers
    )


def report(*numbers: int, **fields: object) -> SelectionReport:
    files = stack(*numbers)
    rows = tuple(ReportRow(f.path, Code.USED, "", f.sop_instance_uid, f.instance_number) for f in files)
    keys = {"current": CURRENT, "rules": SelectionRules(), "stack": files, "rows": rows}
    return SelectionReport(**{**keys, **fields})


def known(*numbers: int | None) -> tuple[KnownInstance, ...]:
    return tuple(KnownInstance(f"1.{place}", n, "PACS") for place, n in enumerate(numbers, 1))


def chosen(lack: Lacking, *held: KnownInstance) -> list[str]:
    return [instance.sop_instance_uid for instance in lack.choose(held)]


def test_a_whole_series_lacks_nothing() -> None:
    assert not lacking(report(*range(1, 13)), known(*range(1, 13)))


def test_holes_are_counted() -> None:
    lack = lacking(report(*range(1, 13), verdict=Code.MISSING_INSTANCES, missing=(Missing(13), Missing(14))))
    assert lack.count == 2


def test_a_filled_hole_still_lacks_its_image() -> None:
    assert lacking(report(*range(1, 13), missing=(Missing(13),))).count == 1


def test_a_stack_below_the_minimum_lacks_the_rest() -> None:
    assert lacking(report(1, 2, 3, verdict=Code.TOO_FEW_IMAGES)).count == 7


def test_skipped_numbers_are_counted_where_the_report_notes_a_gap() -> None:
    skipping = (*range(1, 7), *range(10, 16))
    assert lacking(report(*skipping, notes=(Note(Code.NUMBERING_GAP),))).count == 3
    assert not lacking(report(*skipping))


def test_ends_that_the_images_speak_of_lack() -> None:
    assert lacking(report(*range(1, 13), notes=(Note(Code.ENDS_MISSING),)))


def test_instances_that_somebody_else_holds_lack() -> None:
    assert lacking(report(*range(1, 13)), known(*range(1, 15))).count == 2


@pytest.mark.parametrize("verdict", [Code.WHICH_STACK, Code.NO_GEOMETRY, Code.HEADER_DISAGREES])
def test_a_report_that_images_cannot_mend_lacks_nothing(verdict: str) -> None:
    assert not lacking(report(1, verdict=verdict, missing=(Missing(2),)), known(1, 2))


def test_instance_numbers_choose_among_what_is_held() -> None:
    lack = lacking(report(1, 2, 3, *range(5, 13), missing=(Missing(4),)))
    assert chosen(lack, *known(*range(1, 21))) == ["1.4"]


def test_an_instance_held_without_a_number_may_be_the_missing_one() -> None:
    lack = lacking(report(1, 2, 3, *range(5, 13), missing=(Missing(4),)))
    assert chosen(lack, KnownInstance("1.77", None, "PACS"), *known(1, 2, 3)) == ["1.77"]


def test_a_holder_that_numbers_otherwise_is_not_chosen_from_by_number() -> None:
    lack = lacking(report(1, 2, 3, *range(5, 13), missing=(Missing(4),)))
    renumbered = [KnownInstance(f"1.{n}", 100 - n, "PACS") for n in range(1, 13)]
    assert chosen(lack, *renumbered) == ["1.4"]


def test_a_hole_without_a_number_is_looked_for_among_all_that_is_not_here() -> None:
    lack = lacking(report(1, 2, 3, *range(5, 13), missing=(Missing(None),)))
    assert chosen(lack, *known(*range(1, 15))) == ["1.4", "1.13", "1.14"]


def test_a_series_that_is_hardly_here_is_chosen_whole() -> None:
    lack = lacking(report(1, verdict=Code.TOO_FEW_IMAGES, missing=(Missing(2),)))
    assert chosen(lack, *known(*range(1, 21))) == [f"1.{n}" for n in range(2, 21)]


def test_an_image_that_was_looked_at_and_left_out_is_not_chosen_again() -> None:
    rows = (ReportRow(Path("/s/4.dcm"), Code.OTHER_STACK, "", "1.4", 4),)
    assert chosen(lacking(report(1, 2, 3, rows=rows, missing=(Missing(4),))), *known(1, 2, 3, 4)) == [
        "1.1",
        "1.2",
        "1.3",
    ]


def test_a_damaged_image_is_chosen_again() -> None:
    rows = (ReportRow(Path("/s/4.dcm"), Code.TRUNCATED, "", "1.4", 4),)
    assert "1.4" in chosen(lacking(report(1, 2, 3, rows=rows, missing=(Missing(4),))), *known(1, 2, 3, 4))

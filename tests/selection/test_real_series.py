"""Real series: one volume loses no slice, and mixed folders fall apart into what they hold."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from scp.errors import Code
from scp.model import FileFacts, Policy, SelectionReport, SelectionRules
from scp.part10 import read_facts
from scp.selection import counts, current_of_series, select
from tests.selection.slices import RULES, changed, missing_of, notes_of

pytestmark = pytest.mark.data

Case = Callable[[str], Path]

PHILIPS = "ct_study_philips_headphantom"


def read(folder: Path) -> list[FileFacts]:
    return [facts for path in sorted(folder.iterdir()) if path.is_file() for facts in read_facts(path)]


def images(facts: list[FileFacts]) -> list[FileFacts]:
    return [image for image in facts if not image.reason]


@pytest.mark.parametrize(
    ("name", "folder", "count", "notes"),
    [
        ("ct_chest_cmb_crc_01068", ".", 100, set()),
        ("ct_head_ge_tilt_varspacing", ".", 28, {Code.GANTRY_TILT, Code.VARIABLE_SPACING}),
        ("mr_brain_ge_axial_jitter", ".", 20, set()),
        ("mr_abdomen_siemens_coronal_tcga_lihc", ".", 30, set()),
        ("petctmr_sts_004", "CT/image", 85, set()),
        ("petctmr_sts_004", "PET/image", 85, set()),
        ("petctmr_sts_004", "MR_T1/image", 60, set()),
        ("phantom_ibsi2_digital", "checkerboard", 64, set()),
        ("phantom_ibsi2_digital", "impulse", 64, set()),
        ("phantom_ibsi2_digital", "orientation", 64, set()),
        ("phantom_ibsi2_digital", "sphere", 64, set()),
        ("mr_phantom_siemens_sag_classic_enhanced", "classic", 63, set()),
        ("mr_phantom_siemens_sag_classic_enhanced", "enhanced", 63, set()),
        (PHILIPS, "S21570/S2010", 28, set()),
        ("mr_phantom_acr", "GE_Artist_1.5T_T1", 11, set()),
        ("mr_phantom_acr", "Siemens_Sola_1.5T_T1", 11, set()),
    ],
)
def test_a_series_that_is_one_volume_loses_no_slice(case: Case, name, folder, count, notes):
    facts = read(case(name) / folder)
    current = images(facts)[-1]
    report = select(current, facts, RULES)
    assert report.ok and len(report.stack) == count and not report.missing
    assert notes_of(report) == notes
    assert current_of_series(facts, RULES) == report.stack[count // 2]


@pytest.mark.parametrize("gone", [(3,), (3, 4), (12, 13, 14), (1, 9, 20)])
def test_slices_taken_out_of_two_regimes_are_named_by_number(case: Case, gone):
    facts = read(case("ct_head_ge_tilt_varspacing"))
    whole = select(facts[0], facts, RULES).stack
    here = [image for k, image in enumerate(whole) if k not in gone]
    report = select(here[0], here, RULES)
    assert not report.ok
    if report.verdict == Code.MISSING_INSTANCES:
        assert [number for number, _ in missing_of(report)] == [whole[k].instance_number for k in gone]


def test_a_4d_series_gives_the_ten_slices_of_one_time_point(case: Case):
    facts = read(case("mr_phantom_ge_localizer_4d") / "02_Ax_fMRI_FF_I11.1_S15.9")
    for current in facts[::7]:
        report = select(current, facts, RULES)
        assert report.ok and len(report.stack) == 10 and not report.missing and not report.notes
        moments = {image.header.get("TemporalPositionIdentifier") for image in report.stack}
        assert moments == {current.header.get("TemporalPositionIdentifier")}


def test_a_three_plane_localizer_gives_the_seven_slices_of_one_orientation(case: Case):
    facts = read(case("mr_phantom_ge_localizer_4d") / "01_3_Plane_Localizer_FF")
    for current in facts[::4]:
        report = select(current, facts, RULES)
        assert report.verdict == Code.TOO_FEW_IMAGES and len(report.stack) == 7
        assert counts(report) == {Code.OTHER_ORIENTATION: 14, Code.USED: 7}
        assert select(current, facts, SelectionRules(minimum_images=7)).ok


def test_a_step_twice_as_long_is_a_hole(case: Case):
    facts = read(case("oddities_dicom2nifti") / "failing_sliceincrement_001")
    report = select(facts[0], facts, SelectionRules(minimum_images=4, policy=Policy.INTERPOLATE))
    assert report.ok and len(report.missing) == 1 and len(report.stack) == 4


def mixed_study(case: Case) -> tuple[list[FileFacts], str]:
    root = case(PHILIPS) / "S21570"
    facts = [image for name in ("S1000", "S2010", "S4010") for image in read(root / name)]
    uid = images(read(root / "S2010"))[0].header.text("SeriesInstanceUID")
    return facts, uid


def selection_of_axial(facts: list[FileFacts]) -> SelectionReport:
    axial = [image for image in images(facts) if image.path.parent.name == "S2010"]
    report = select(axial[14], facts, RULES)
    assert report.ok and set(map(str, report.stack)) == set(map(str, axial))
    return report


def test_a_whole_study_in_one_folder_gives_the_axial_series(case: Case):
    facts, _ = mixed_study(case)
    assert counts(selection_of_axial(facts)) == {
        Code.USED: 28,
        Code.OTHER_SERIES: 7,
        Code.NOT_AN_IMAGE: 3,
    }


@pytest.mark.parametrize("auxiliary", [RULES.auxiliary, ()])
def test_b7_b8_a_wrong_series_instance_uid_on_everything_costs_nothing(case: Case, auxiliary):
    facts, uid = mixed_study(case)
    facts = [image if image.reason else changed(image, SeriesInstanceUID=uid) for image in facts]
    axial = [image for image in images(facts) if image.path.parent.name == "S2010"]
    report = select(axial[14], facts, replace(RULES, auxiliary=auxiliary))
    assert report.ok and len(report.stack) == 28
    expected = (
        {Code.USED: 28, "other-series-number": 7, Code.NOT_AN_IMAGE: 3}
        if auxiliary
        else {Code.USED: 28, Code.NOT_A_SOURCE_IMAGE: 6, Code.NOT_AN_IMAGE: 3, Code.LOCALIZER: 1}
    )
    assert counts(report) == expected


def test_copies_in_five_syntaxes_are_one_stack(case: Case):
    root = case("syntaxes_mr_4slices")
    facts = [image for folder in sorted(root.iterdir()) if folder.is_dir() for image in read(folder)]
    asked = []

    def agree(one: FileFacts, other: FileFacts) -> bool:
        asked.append((one, other))
        return True

    report = select(facts[0], facts, SelectionRules(minimum_images=4), pixels_agree=agree)
    assert report.ok and len(report.stack) == 4 and len(asked) == 16
    assert counts(report) == {Code.DUPLICATE: 16, Code.USED: 4}


def test_c13_a_mosaic_is_refused(case: Case):
    facts = read(case("syntaxes_mr_mosaic"))
    assert select(facts[0], facts, RULES).verdict == Code.NO_GEOMETRY

"""Real folders, singly and all in one: every file has the reason that another program's dump leads to."""

import shutil
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from scp.model import FileFacts, SelectionRules
from scp.part10 import read_facts
from scp.rendering import pixels_agree
from scp.selection import counts, select
from tests import real_series
from tests.cases.dumped import Dump, dump, expected

pytestmark = [pytest.mark.data, pytest.mark.foreign]

Case = Callable[[str], Path]

BY_HAND: dict[str, tuple[str, str, int]] = {
    "02_Ax_fMRI_FF_I11.1_S15.9": ("used", "other-stack", 40),
}
"""By folder: so many of the files that the dump calls the one are the other.

An fMRI series is ten positions at five time points: the current image's ten are used.
"""

SYNTAXES = ("compressed", "compressed_j2k", "compressed_jpeg", "compressed_jpegls", "compressed_rle")
BY_HAND_IN_ONE = BY_HAND | dict.fromkeys(SYNTAXES, ("used", "duplicate", 16))
"""The same for all files in one folder: four slices lie there in five transfer syntaxes each, with equal
SOP Instance UIDs and pixels, and one of five is used."""

IN_ONE_FOLDER = 12
"""So many of the current images are tried in the folder that holds all files; all with ``--long``."""


def agree(one: FileFacts, other: FileFacts) -> bool:
    return next(pixels_agree((one, other))) == b"1"


def counted(current: Path, facts: list[FileFacts]) -> Counter[str]:
    image = next(image for image in facts if image.path == current)
    return Counter(counts(select(image, facts, SelectionRules(), pixels_agree=agree)))


def facts_of(folder: Path) -> list[FileFacts]:
    return [facts for path in sorted(folder.iterdir()) if path.is_file() for facts in read_facts(path)]


def corrected(derived: Counter[str], by_hand: tuple[str, str, int] | None) -> Counter[str]:
    if by_hand:
        instead, code, number = by_hand
        derived[instead] -= number
        derived[code] += number
    return derived


def current_images(dumps: Mapping[Path, Dump]) -> list[Path]:
    """Return the middle file, by name, of each series that holds images."""
    series: dict[tuple[str, ...], list[Path]] = {}
    for path, dumped in sorted(dumps.items()):
        if dumped.get("rows"):
            key = tuple(dumped.get(k, "") for k in ("name", "id", "study", "series", "series number"))
            series.setdefault(key, []).append(path)
    return [paths[len(paths) // 2] for paths in series.values()]


@pytest.mark.parametrize("name", [name for name in real_series.NAMES if name != "nonimage_private"])
def test_every_file_of_a_real_folder_has_the_reason_that_its_dump_leads_to(case: Case, program, name):
    root = case(name)
    for folder in sorted({path.parent for path in root.rglob("*") if path.is_file()}):
        dumps = dump(program("dcmdump"), sorted(path for path in folder.iterdir() if path.is_file()))
        facts = facts_of(folder)
        for current in current_images(dumps):
            derived = corrected(expected(current, dumps), BY_HAND.get(folder.name))
            assert counted(current, facts) == derived, current


@pytest.fixture(scope="module")
def everything(case: Case, tmp_path_factory) -> Path:
    """Return one folder with all real files, named by where they came from."""
    folder = tmp_path_factory.mktemp("everything")
    for root in map(case, real_series.NAMES):
        for path in sorted(root.rglob("*")):
            if path.is_file():
                shutil.copyfile(path, folder / "__".join(path.relative_to(root.parent).parts))
    return folder


def in_one_folder(everything: Path, program, images: Callable[[list[Path]], list[Path]]) -> None:
    dumps = dump(program("dcmdump"), sorted(everything.iterdir()))
    facts = facts_of(everything)
    assert len(dumps) == len(list(everything.iterdir()))
    for current in images(current_images(dumps)):
        derived = corrected(expected(current, dumps), BY_HAND_IN_ONE.get(current.name.split("__")[-2]))
        assert counted(current, facts) == derived, current


def test_all_real_files_in_one_folder_have_the_reasons_that_their_dumps_lead_to(everything, program):
    in_one_folder(everything, program, lambda images: images[:: max(1, len(images) // IN_ONE_FOLDER)])


@pytest.mark.long
def test_each_series_is_found_among_all_real_files(everything, program):
    in_one_folder(everything, program, list)

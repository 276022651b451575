"""Group D: what is missing, what only looks so, and where it is found."""

from collections.abc import Sequence
from pathlib import Path

from pydicom.dataset import Dataset

from scp.errors import Code
from tests.cases.registry import case
from tests.cases.scenes import COUNT, STEP_MM, Scene, Whose, among, lay, scan, slice_at, without

JITTER_MM = [0.0, 0.15, -0.15, 0.1, 0.2, -0.1, 0.05, -0.2, 0.2, 0.0, -0.1, 0.1]


def at(positions_mm: Sequence[float]) -> list[Dataset]:
    return [slice_at(mm / STEP_MM, InstanceNumber=n) for n, mm in enumerate(positions_mm, 1)]


def from_steps(*steps_mm: float) -> list[Dataset]:
    return at([sum(steps_mm[:k]) for k in range(len(steps_mm) + 1)])


def lacking(folder: Path, slices: Sequence[Dataset], *gone: int) -> Scene:
    """Lay a volume less the slices *gone*; the current image is the first."""
    return Scene(lay(folder, without(slices, *gone))[0], whole=len(slices), lost=len(gone))


@case("D1", "slice 7 of 12 is lost", Code.MISSING_INSTANCES, missing=(7,))
def _(folder: Path) -> Scene:
    return lacking(folder, scan(), 6)


@case(
    "D1 second",
    "every second slice is lost: positions are even, numbers skip",
    Code.MISSING_INSTANCES,
    missing=tuple(range(2, 25, 2)),
)
def _(folder: Path) -> Scene:
    return lacking(folder, scan(25), *range(1, 25, 2))


@case("D2", "numbers skip and positions do not", notes={Code.NUMBERING_GAP})
def _(folder: Path) -> Scene:
    numbers = [1, 2, 3, 10, 11, 12, 13, 14, 20, 21, 22, 23]
    return among(folder, [], [slice_at(k, InstanceNumber=n) for k, n in enumerate(numbers)])


@case("D3", "slice 7 is lost and the rest was numbered anew", Code.MISSING_INSTANCES, missing=(None,))
def _(folder: Path) -> Scene:
    slices = without(scan(), 6)
    for number, ds in enumerate(slices, 1):
        ds.InstanceNumber = number
    return Scene(lay(folder, slices)[0], lost=1)


@case("D4", "every Instance Number is 1", notes={Code.NUMBERING_UNUSABLE})
def _(folder: Path) -> Scene:
    return among(folder, [], scan(InstanceNumber=1))


@case("D5", "numbers run against the positions")
def _(folder: Path) -> Scene:
    return among(folder, [], [slice_at(k, InstanceNumber=COUNT - k) for k in range(COUNT)])


@case("D5 interleaved", "numbers as an interleaved scan gives them: 1, 3, 5 ... 2, 4, 6")
def _(folder: Path) -> Scene:
    numbers = [*range(1, 12, 2), *range(2, 13, 2)]
    return among(folder, [], [slice_at(k, InstanceNumber=n) for k, n in enumerate(numbers)])


@case(
    "D6",
    "the last 3 of 15 images are lost; Images in Acquisition says 15",
    missing=(13, 14, 15),
    notes={Code.ENDS_MISSING},
)
def _(folder: Path) -> Scene:
    return lacking(folder, scan(15, ImagesInAcquisition=15), 12, 13, 14)


@case("D7", "5 mm steps below, 10 mm above, all images here", notes={Code.VARIABLE_SPACING})
def _(folder: Path) -> Scene:
    return among(folder, [], from_steps(*[5.0] * 7, *[10.0] * 6))


@case("D8", "positions jitter by a tenth of the step")
def _(folder: Path) -> Scene:
    return among(folder, [], at([STEP_MM * k + off for k, off in enumerate(JITTER_MM)]))


TILTED = (1.0, 0.0, 0.0, 0.0, 0.96, -0.28)
"""A gantry tilt of 16.26 degrees: cosines that are exact in few digits."""


@case("D9", "gantry tilt: the table moves along z, the slices lean by 16 degrees", notes={Code.GANTRY_TILT})
def _(folder: Path) -> Scene:
    slices = scan(orientation=TILTED, direction=(0.0, 0.0, 1.0), origin=(0, 0, 5), GantryDetectorTilt="16.26")
    return Scene(lay(folder, slices)[5], normal=(0.0, 0.28, 0.96), span_mm=(4.8, 4.8 + 11 * 1.92))


@case("D10", "nine images", Code.TOO_FEW_IMAGES)
def _(folder: Path) -> Scene:
    return Scene(lay(folder, scan(9))[4], whole=9)


@case("D11", "one image here, the other eleven in a folder beside it")
def _(folder: Path) -> Scene:
    slices = scan()
    lay(folder.parent / "elsewhere", without(slices, 5), "e{:03d}.dcm")
    return Scene(lay(folder, [slices[5]])[0], lost=11)


@case(
    "D12",
    "slices 4, 8, 9, 10 and 14 of 16 are lost",
    Code.MISSING_INSTANCES,
    missing=(4, 8, 9, 10, 14),
)
def _(folder: Path) -> Scene:
    return lacking(folder, scan(16), 3, 7, 8, 9, 13)


@case("D12 found", "slices 4, 8 and 9 of 16 lie in folders beside this one")
def _(folder: Path) -> Scene:
    slices = scan(16)
    lay(folder.parent / "one", [slices[3], slices[7]])
    lay(folder.parent / "two" / "deeper", [slices[8]])
    return lacking(folder, slices, 3, 7, 8)


@case(
    "D13",
    "slice 7 is lost; a folder beside offers one with its number at another position",
    Code.MISSING_INSTANCES,
    left_out={Code.POSITION_DIFFERS: 1},
    missing=(7,),
)
def _(folder: Path) -> Scene:
    lay(folder.parent / "beside", [slice_at(6.4, Whose.ANOTHER_IMAGE, "offer", InstanceNumber=7)])
    return lacking(folder, scan(), 6)


@case("D14", "two different candidates for one hole, equal in their headers", Code.CANDIDATE_CONFLICT)
def _(folder: Path) -> Scene:
    for name in ("one", "two"):
        lay(folder.parent / name, [slice_at(6, Whose.ANOTHER_IMAGE, name)])
    return lacking(folder, scan(), 6)


@case("D15", "one step of 3 mm among steps of 2 mm", Code.IRREGULAR_SPACING)
def _(folder: Path) -> Scene:
    return among(folder, [], from_steps(*[2.0] * 5, 3.0, *[2.0] * 6))

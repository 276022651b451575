"""Group S: one series that holds several stacks, or none."""

import math
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset

from scp.errors import Code
from tests.cases.registry import case
from tests.cases.scenes import COUNT, Scene, Whose, among, lay, scan, slice_at

OTHER = Whose.ANOTHER_IMAGE


def second(count: int = COUNT, first: float = 0, **attributes: Any) -> list[Dataset]:
    """Return the slices of a second stack of the series, numbered on."""
    return [
        slice_at(first + k, OTHER, "second", InstanceNumber=COUNT + 1 + k, **attributes) for k in range(count)
    ]


@case("S0", "a request names the series, which holds two echoes", Code.WHICH_STACK)
def _(folder: Path) -> Scene:
    lay(folder, scan(EchoTime="10"))
    lay(folder, second(EchoTime="90"), "x{:03d}.dcm")
    return Scene(folder)


REPEATED: dict[str, tuple[str, Any, Any]] = {
    "echo times": ("EchoTime", "10", "90"),
    "time points": ("TemporalPositionIdentifier", 1, 2),
    "b-values": ("DiffusionBValue", 0.0, 1000.0),
    "kernels": ("ConvolutionKernel", "SOFT", "LUNG"),
    "cardiac phases": ("TriggerTime", "0", "350"),
}


def _repeated(keyword: str, ours: Any, theirs: Any) -> Any:
    def build(folder: Path) -> Scene:
        return among(folder, second(**{keyword: theirs}), scan(**{keyword: ours}))

    return build


for _what, _values in REPEATED.items():
    case(f"S1 {_what}", f"every position twice: two {_what}", left_out={Code.OTHER_STACK: 12})(
        _repeated(*_values)
    )


@case("S2", "two acquisitions of one series, 40 mm apart", left_out={Code.OTHER_STACK: 12})
def _(folder: Path) -> Scene:
    return among(folder, second(first=31, AcquisitionNumber=2), scan())


@case("S2 overlap", "two acquisitions that overlap, half a step shifted", left_out={Code.OTHER_STACK: 12})
def _(folder: Path) -> Scene:
    return among(folder, second(first=8.5, AcquisitionNumber=2), scan())


@case("S2 joined", "two acquisitions that go on evenly are one volume")
def _(folder: Path) -> Scene:
    return among(folder, [], [slice_at(k, AcquisitionNumber=1 + k // 6) for k in range(COUNT)])


@case("S3", "two slabs at an angle in one series (spine)", left_out={Code.OTHER_ORIENTATION: 12})
def _(folder: Path) -> Scene:
    turned = (1.0, 0.0, 0.0, 0.0, math.cos(0.3), -math.sin(0.3))
    return among(folder, second(orientation=turned, origin=(0, 0, 30)), scan())


@case("S4", "a position twice, and no attribute tells the two apart", Code.AMBIGUOUS_STACK)
def _(folder: Path) -> Scene:
    return among(folder, [slice_at(5, OTHER, "twin", InstanceNumber=99)])


@case("S5", "slices whose first voxels lie on a helix", Code.NOT_A_STACK)
def _(folder: Path) -> Scene:
    slices = [slice_at(k, origin=(40 + 40 * math.cos(k), 40 + 40 * math.sin(k), 0)) for k in range(COUNT)]
    return among(folder, [], slices)


@case("S6", "thirty images at one position", Code.NO_EXTENT)
def _(folder: Path) -> Scene:
    slices = [slice_at(0, name=k, InstanceNumber=k + 1, TemporalPositionIdentifier=k) for k in range(30)]
    return Scene(lay(folder, slices)[5], whole=1)

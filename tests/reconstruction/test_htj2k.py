"""High-Throughput JPEG 2000 on its whole way: decoded in the child, values are those that were drawn.

No encoder is among our dependencies, so four codestreams lie in ``htj2k``; ``ORIGIN.md`` there says who made
them.
"""

from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.encaps import encapsulate
from pydicom.uid import HTJ2K, HTJ2KLossless, HTJ2KLosslessRPCL

from scp import pipeline
from scp.isolation import local
from scp.model import Direction, PlaneRequest, never
from tests.builders import series, write_series
from tests.folder_means import asked, means_of

CODESTREAMS = Path(__file__).parent / "htj2k"
ROW, COLUMN = np.mgrid[0:48, 0:64]
DRAWN = {
    "unsigned": (16 * COLUMN + 8 * ROW + COLUMN * ROW % 7 + 100).astype(np.uint16),
    "signed": (40 * COLUMN - 60 * ROW + COLUMN * ROW % 7 - 500).astype(np.int16),
}
STORED_AS = [
    ("unsigned_lossless_lrcp", HTJ2KLossless, 0),
    ("unsigned_lossless_rpcl", HTJ2KLosslessRPCL, 0),
    ("signed_lossless_rpcl", HTJ2KLosslessRPCL, 0),
    ("unsigned_lossy_lrcp", HTJ2K, 3),
]


@pytest.fixture(scope="module", autouse=True)
def children() -> None:
    local.start("scp.preload")


@pytest.mark.parametrize(("name", "syntax", "tolerance"), STORED_AS, ids=[name for name, *_ in STORED_AS])
def test_planes_at_the_slices_have_the_values_that_were_encoded(tmp_path, name, syntax, tolerance):
    drawn = DRAWN[name.split("_")[0]]
    slices = series(10, pixels=drawn, BitsStored=16 if drawn.dtype.kind == "i" else 12)
    for ds in slices:
        ds.HighBit = ds.BitsStored - 1
        ds.PixelData = encapsulate([(CODESTREAMS / f"{name}.j2c").read_bytes()])
        ds["PixelData"].VR = "OB"
        ds.file_meta.TransferSyntaxUID = syntax
    write_series(slices, tmp_path / "tree" / "series")
    request = asked(
        tmp_path / "tree" / "series" / "0001.dcm", PlaneRequest(Direction.TRANSVERSE, interval_mm=2.0)
    )
    production = pipeline.begin(request, means_of(tmp_path / "tree"), tmp_path, never)
    planes = [pydicom.dcmread(ref.path) for ref in production.refs]
    assert len(planes) == 10
    for plane in planes:
        assert np.abs(plane.pixel_array.astype(int) - drawn.astype(int)).max() <= tolerance

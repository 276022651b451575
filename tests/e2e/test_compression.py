"""Results are compressed for who takes them so, and for nobody else; the pixels are the same."""

import pydicom
import pytest
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEGLSLossless

from scp.config import Preset, Results
from tests.builders import SERIES_UID, STUDY_UID, series, write_series
from tests.e2e.conftest import peer
from tests.e2e.stations import storescp

pytestmark = [pytest.mark.foreign, pytest.mark.wire]

SERIES = ("QueryRetrieveLevel=SERIES", f"StudyInstanceUID={STUDY_UID}", f"SeriesInstanceUID={SERIES_UID}")
PRESETS = {"MPR_COR": Preset()}


@pytest.mark.parametrize(
    ("accepts", "transfer_syntax"),
    [
        (("+xa", "-pm"), JPEGLSLossless),
        (("+x=", "-pm"), ExplicitVRLittleEndian),
        (("+xi", "-pm"), ImplicitVRLittleEndian),
    ],
)
def test_a_destination_gets_results_in_a_transfer_syntax_that_it_takes(
    start_node, requestor, program, tmp_path, accepts, transfer_syntax
):
    with storescp(program, tmp_path / "viewer", "VIEWER", accepts) as viewer:
        viewers = peer("VIEWER", viewer.port, destination=True)
        node = start_node(viewers, presets=PRESETS, results=Results(compression="jpeg_ls"))
        asking = requestor(node)
        asking.store(*write_series(series(12), tmp_path / "modality"))
        answer = asking.move(*SERIES, called="MPR_COR", to=viewer)
    assert (answer.status, answer.counts["Completed"]) == (0x0000, 8)
    assert {ds.file_meta.TransferSyntaxUID for ds in answer.objects} == {transfer_syntax}
    ramps = [int(ds.pixel_array[-1, 0]) for ds in answer.objects]
    assert ramps == [10 * j for j in range(8)]
    assert len({ds.SeriesInstanceUID for ds in map(pydicom.dcmread, answer.folder.iterdir())}) == 1

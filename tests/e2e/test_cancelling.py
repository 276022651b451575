"""A requestor of another make, pynetdicom's, cancels, aborts, or takes other objects than we send."""

from multiprocessing import forkserver
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage, SecondaryCaptureImageStorage
from pynetdicom import AE, build_role, evt
from pynetdicom.sop_class import (
    StudyRootQueryRetrieveInformationModelGet as Get,
)
from pynetdicom.sop_class import (
    StudyRootQueryRetrieveInformationModelMove as Move,
)

from tests.builders import SERIES_UID, STUDY_UID, series, write_series
from tests.e2e.conftest import peer
from tests.e2e.stations import wait_for

pytestmark = [pytest.mark.foreign, pytest.mark.wire]

MESSAGE_ID = 7


def children() -> list[Path]:
    """Return every process that the fork server has started and that still runs."""
    parent = forkserver._forkserver._forkserver_pid
    running = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, ppid = path.read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue
        if int(ppid) == parent and state != "Z":
            running.append(path)
    return running


@pytest.fixture
def node(start_node, requestor, workstation, tmp_path):
    """A node that holds 16 slices of 128 x 256; sagittal planes of a tenth of a millimetre are 2,551."""
    running = start_node(peer("WORKSTATION", workstation.port, destination=True))
    pixels = np.zeros((128, 256), np.int16)
    requestor(running).store(*write_series(series(16, pixels=pixels), tmp_path / "modality"))
    return running


def identifier(interval: float) -> Dataset:
    asked = Dataset()
    asked.QueryRetrieveLevel = "SERIES"
    asked.StudyInstanceUID, asked.SeriesInstanceUID = STUDY_UID, SERIES_UID
    asked.ReformattingOperationType = "MPR"
    asked.ReformattingOperationInitialViewDirection = "SAGITTAL"
    asked.ReformattingInterval = interval
    return asked


def take(event) -> int:
    return 0x0000


def associated(node, storage_class=SecondaryCaptureImageStorage, stored=take):
    """Return an association that takes objects of one storage class."""
    ae = AE("DCMTK")
    ae.add_requested_context(Get)
    ae.add_requested_context(Move)
    ae.add_requested_context(storage_class)
    host, port = node.address
    association = ae.associate(
        host,
        port,
        ae_title="MPRSCP",
        ext_neg=[build_role(storage_class, scp_role=True)],
        evt_handlers=[(evt.EVT_C_STORE, stored)],
    )
    assert association.is_established
    return association


def nothing_is_left_of(node) -> None:
    wait_for(lambda: not children(), "the end of the children")
    spools = node.config.archive.root / ".scp" / "results"
    wait_for(lambda: not list(spools.glob("spool-*")), "the end of the spool")


def test_a_get_that_is_cancelled_ends_as_such_and_leaves_no_process(node):
    rendering = []

    def cancel(event):
        rendering.extend(children())
        event.assoc.send_c_cancel(MESSAGE_ID, query_model=Get)
        return 0x0000

    association = associated(node, stored=cancel)
    statuses = [status for status, _ in association.send_c_get(identifier(0.1), Get, msg_id=MESSAGE_ID)]
    assert statuses[-1].Status == 0xFE00
    assert statuses[-1].NumberOfRemainingSuboperations > 0
    association.release()
    assert rendering, "the work was done before it could be cancelled"
    nothing_is_left_of(node)


def test_a_move_that_is_cancelled_ends_as_such_and_leaves_no_process(node):
    association = associated(node)
    statuses = []
    for status, _ in association.send_c_move(identifier(0.1), "WORKSTATION", Move, msg_id=MESSAGE_ID):
        statuses.append(status)
        if len(statuses) == 1:
            association.send_c_cancel(MESSAGE_ID, query_model=Move)
    assert statuses[-1].Status == 0xFE00
    assert statuses[-1].NumberOfRemainingSuboperations > 0
    association.release()
    nothing_is_left_of(node)


def test_a_requestor_that_vanishes_leaves_no_process(node, requestor):
    association = associated(node)
    next(association.send_c_get(identifier(0.1), Get, msg_id=MESSAGE_ID))
    wait_for(children, "a child that renders")
    association.abort()
    nothing_is_left_of(node)
    assert requestor(node).find("QueryRetrieveLevel=STUDY", f"StudyInstanceUID={STUDY_UID}")


def test_a_requestor_that_takes_no_such_objects_is_told(node):
    association = associated(node, storage_class="1.2.840.10008.5.1.4.1.1.88.11")
    (status, _), *rest = (
        pair for pair in association.send_c_get(identifier(8), Get) if pair[0].Status != 0xFF00
    )
    assert (status.Status, status.ErrorComment, rest) == (0xC020, "no-context", [])
    association.release()


def test_a_failing_receiver_has_every_object_that_it_refused_named(node):
    refused = []

    def refuse_odd(event):
        number = event.dataset.InstanceNumber
        if number % 2:
            refused.append(event.request.AffectedSOPInstanceUID)
        return 0xA700 if number % 2 else 0x0000

    association = associated(node, stored=refuse_odd)
    *_, (status, listed) = association.send_c_get(identifier(32), Get)
    association.release()
    assert status.Status == 0xB000
    assert status.NumberOfFailedSuboperations == len(refused) == 4
    assert list(listed.FailedSOPInstanceUIDList) == refused


def test_peers_may_be_given_the_class_of_the_source(start_node, requestor, tmp_path):
    running = start_node(peer("DCMTK", sop_class="source"))
    requestor(running).store(*write_series(series(12), tmp_path / "modality"))
    taken = []
    association = associated(
        running, CTImageStorage, lambda event: taken.append(event.dataset.SOPClassUID) or 0x0000
    )
    *_, (status, _) = association.send_c_get(identifier(2), Get)
    association.release()
    assert (status.Status, set(taken), len(taken)) == (0x0000, {CTImageStorage}, 5)

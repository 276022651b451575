"""What changes between a dry run and the retrieve counts: no result of earlier images is ever served.

A C-FIND with keys promises; the C-MOVE with the same keys looks at the images again. Results are kept on disk
under a UID that is a digest of all that decides their bytes, so that what was kept meets no other request.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from scp.archive import ResultCache
from scp.errors import Code, Refused
from scp.services.mpr import MprService
from tests.builders import image, uid, write
from tests.services.wards import Ward, identifier, objects, requesting

KEYS = {"ReformattingOperationType": "MPR", "SeriesDescription": "", "ImageComments": ""}


@pytest.fixture
def ward(ward: Ward) -> Ward:
    """Return the ward with a service that keeps its results."""
    results = ResultCache(ward.spool, 1 << 30)
    means = ward.service._means
    means = replace(means, workshop=replace(means.workshop, results=results))
    ward.service = MprService(means, ward.archive, results)
    return ward


def promised(ward: Ward) -> Dataset:
    (answer,) = ward.service.answers_of(identifier(**KEYS), requesting())
    return answer


def retrieved(ward: Ward) -> list[Dataset]:
    return objects(ward.events(identifier(**KEYS)))


def _place(ward: Ward, number: int) -> Path:
    return ward.root / "BATCH" / "one" / f"{number + 1:04d}.dcm"


def _other_pixels(ward: Ward) -> None:
    """Put other pixels under the same UID, into a file of the same size."""
    before = image(5)
    write(image(5, pixels=before.pixel_array[::-1]), _place(ward, 5))


def _corrected_patient(ward: Ward) -> None:
    for k in range(12):
        write(image(k, PatientName="Roe^Joan"), _place(ward, k))


def test_what_was_promised_is_what_comes_while_nothing_changes(ward: Ward) -> None:
    promise = promised(ward)
    assert promise.ImageComments.startswith("ok; used 12 of 12")
    for found in (retrieved(ward), retrieved(ward)):  # rendered, and kept from then on
        assert {ds.SeriesInstanceUID for ds in found} == {promise.SeriesInstanceUID}


@pytest.mark.parametrize("change", [_other_pixels, _corrected_patient])
def test_a_correction_in_between_makes_another_result(ward: Ward, change: Callable[[Ward], None]) -> None:
    promise, before = promised(ward), retrieved(ward)
    change(ward)
    after, stored = retrieved(ward), dcmread(_place(ward, 5))
    assert {ds.SeriesInstanceUID for ds in after} != {promise.SeriesInstanceUID}
    assert not {ds.SOPInstanceUID for ds in after} & {ds.SOPInstanceUID for ds in before}
    assert {str(ds.PatientName) for ds in after} == {str(stored.PatientName)}
    # planes of 1 mm, from head to foot: slice 5 lies 10 mm above the lowest row
    for k, ds in enumerate(after):
        assert np.array_equal(ds.pixel_array[-1 - 10], stored.pixel_array[k])


def _rejected(ward: Ward) -> None:
    ward.archive.reject(uid("note"), [uid("instance", 5)])


def _replaced(ward: Ward) -> None:
    write(image(5, SeriesInstanceUID=uid("another series")), _place(ward, 5))


@pytest.mark.parametrize("change", [_rejected, _replaced])
def test_an_image_that_went_in_between_is_missing_and_nothing_kept_is_served(
    ward: Ward, change: Callable[[Ward], None]
) -> None:
    assert promised(ward).ImageComments.startswith("ok")
    retrieved(ward)
    change(ward)
    with pytest.raises(Refused) as caught:
        retrieved(ward)
    assert caught.value.code == Code.MISSING_INSTANCES
    assert promised(ward).ImageComments.startswith("missing-instances")

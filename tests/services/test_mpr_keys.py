"""What an identifier asks for, from the bytes that clients really send."""

import math
from io import BytesIO
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.config import disable_value_validation
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pynetdicom.dsutils import decode, encode

from scp.errors import BadRequest
from scp.model import Direction, Method, Operation, PlaneRequest
from scp.services import mpr_keys

CORONAL = PlaneRequest()


def identifier(**keys: Any) -> Dataset:
    """Return the identifier as it arrives: encoded by the client, values still raw."""
    ds = Dataset()
    given = {"QueryRetrieveLevel": "SERIES", "SeriesInstanceUID": "1.2.3"} | keys
    with disable_value_validation():  # as clients do
        for keyword, value in given.items():
            if value is not None:
                setattr(ds, keyword, value)
    return decode(BytesIO(encode(ds, False, True) or b""), False, True)


def planes(defaults: PlaneRequest = CORONAL, **keys: Any) -> PlaneRequest:
    return mpr_keys.request_of(identifier(**keys), defaults).planes


def refused_key(**keys: Any) -> str:
    with pytest.raises(BadRequest) as caught:
        planes(**keys)
    assert caught.value.error_comment == f"bad-request: {caught.value.keyword}"
    return caught.value.keyword


def test_only_a_filled_operation_type_is_a_trigger() -> None:
    assert mpr_keys.has_trigger(identifier(ReformattingOperationType="MPR"))
    assert not mpr_keys.has_trigger(identifier(ReformattingOperationType=""))
    assert not mpr_keys.has_trigger(identifier(ReformattingInterval=2.0))


def test_the_defaults_are_thin_coronal_planes_through_the_volume() -> None:
    assert planes(ReformattingOperationType="MPR") == PlaneRequest(Direction.CORONAL, operation=Operation.MPR)


def test_every_key_is_taken() -> None:
    wanted = planes(
        ReformattingOperationType="SLAB",
        ReformattingOperationInitialViewDirection="OBLIQUE",
        ImageOrientationPatient=[0.7071, 0.7071, 0, 0, 0, -1],
        ImagePositionPatient=[1.5, -2, 3],
        ReformattingThickness=9.5,
        ReformattingInterval=2.5,
        RenderingMethod="MAXIMUM_IP",
    )
    assert (wanted.operation, wanted.direction, wanted.method) == (
        Operation.SLAB,
        Direction.OBLIQUE,
        Method.MAXIMUM_IP,
    )
    assert (wanted.thickness_mm, wanted.interval_mm, wanted.position) == (9.5, 2.5, (1.5, -2.0, 3.0))
    assert wanted.orientation is not None
    assert math.isclose(math.hypot(*wanted.orientation[:3]), 1, abs_tol=1e-12)


def test_keys_replace_those_of_a_preset_one_by_one() -> None:
    preset = PlaneRequest(Direction.SAGITTAL, operation=Operation.SLAB, thickness_mm=10, interval_mm=5)
    wanted = planes(preset, ReformattingOperationType="SLAB", ReformattingInterval=2.0)
    assert (wanted.direction, wanted.thickness_mm, wanted.interval_mm) == (Direction.SAGITTAL, 10, 2.0)


def test_thin_planes_asked_of_a_slab_preset_are_thin() -> None:
    preset = PlaneRequest(operation=Operation.SLAB, thickness_mm=10)
    assert planes(preset, ReformattingOperationType="MPR").thickness_mm == 0


def test_a_word_that_is_not_known_is_told_with_those_that_are() -> None:
    with pytest.raises(BadRequest, match="ReformattingOperationType is 'mip'; one of MPR, SLAB is needed"):
        planes(ReformattingOperationType="mip")


@pytest.mark.parametrize(
    ("keys", "key"),
    [
        ({"ReformattingOperationType": "mip"}, "ReformattingOperationType"),
        ({"ReformattingOperationType": "S*"}, "ReformattingOperationType"),
        ({"ReformattingOperationType": ["MPR", "SLAB"]}, "ReformattingOperationType"),
        (
            {"ReformattingOperationInitialViewDirection": "coronal"},
            "ReformattingOperationInitialViewDirection",
        ),
        ({"RenderingMethod": "MIP"}, "RenderingMethod"),
        ({"ReformattingInterval": math.nan}, "ReformattingInterval"),
        ({"ReformattingInterval": math.inf}, "ReformattingInterval"),
        ({"ReformattingInterval": 0.0}, "ReformattingInterval"),
        ({"ReformattingInterval": -1.0}, "ReformattingInterval"),
        ({"ReformattingInterval": [1.0, 2.0]}, "ReformattingInterval"),
        ({"ReformattingOperationType": "SLAB"}, "ReformattingThickness"),
        ({"ReformattingOperationType": "SLAB", "ReformattingThickness": 0.0}, "ReformattingThickness"),
        ({"ReformattingThickness": 5.0}, "ReformattingThickness"),
        ({"ReformattingOperationInitialViewDirection": "OBLIQUE"}, "ImageOrientationPatient"),
        ({"ImageOrientationPatient": [1, 0, 0, 0, 1, 0]}, "ImageOrientationPatient"),
        ({"ImageOrientationPatient": [1, 0, 0]}, "ImageOrientationPatient"),
        ({"ImagePositionPatient": [1, 2]}, "ImagePositionPatient"),
        ({"SeriesInstanceUID": ["1.2", "1.3"]}, "SeriesInstanceUID"),
        ({"SeriesInstanceUID": None}, "SeriesInstanceUID"),
        ({"QueryRetrieveLevel": "STUDY"}, "QueryRetrieveLevel"),
        ({"QueryRetrieveLevel": None}, "QueryRetrieveLevel"),
        ({"QueryRetrieveLevel": "IMAGE"}, "SOPInstanceUID"),
    ],
)
def test_a_value_that_is_not_understood_is_refused_by_its_name(keys: dict[str, Any], key: str) -> None:
    assert refused_key(**{"ReformattingOperationType": "MPR"} | keys) == key


def test_cosines_that_are_not_orthonormal_are_refused() -> None:
    oblique = {"ReformattingOperationType": "MPR", "ReformattingOperationInitialViewDirection": "OBLIQUE"}
    assert refused_key(**oblique, ImageOrientationPatient=[1, 0, 0, 1, 0, 0]) == "ImageOrientationPatient"
    assert refused_key(**oblique, ImageOrientationPatient=[2, 0, 0, 0, 1, 0]) == "ImageOrientationPatient"


def test_a_missing_level_means_image_when_an_image_is_named() -> None:
    ds = identifier(QueryRetrieveLevel=None, SOPInstanceUID="1.2.3.4", ReformattingOperationType="MPR")
    assert mpr_keys.request_of(ds, CORONAL).sop_instance_uid == "1.2.3.4"


@pytest.mark.parametrize(
    ("keys", "idle"),
    [
        ({"RenderingMethod": "MAXIMUM_IP"}, ("RenderingMethod",)),
        ({"RenderingMethod": None}, ()),
        ({"ReformattingInterval": 2.0}, ()),
        ({"ReformattingInterval": 2.0, "ImagePositionPatient": [0, 0, 5]}, ("ReformattingInterval",)),
        ({"ReformattingInterval": 2.0, "ImagePositionPatient": [0, 0, 5], "SOPClassUID": "1.2"}, ()),
        ({"RenderingMethod": "MAXIMUM_IP", "ReformattingOperationType": "SLAB"}, ()),
        ({"ReformattingInterval": 2.0, "ReformattingOperationType": None}, ("ReformattingInterval",)),
        ({"ImagePositionPatient": [0, 0, 5], "ReformattingOperationType": None}, ()),
    ],
)
def test_keys_that_change_nothing_are_known(keys: dict[str, Any], idle: tuple[str, ...]) -> None:
    assert mpr_keys.without_effect(identifier(**{"ReformattingOperationType": "MPR"} | keys)) == idle


def test_empty_keys_and_wild_cards_say_nothing_of_the_current_image() -> None:
    ds = identifier(
        ReformattingOperationType="MPR", PatientName="R*", PatientID="", Modality="CT", SeriesNumber="7"
    )
    stated = mpr_keys.request_of(ds, CORONAL).stated
    assert dict(stated.attributes) == {"SeriesInstanceUID": "1.2.3", "Modality": "CT", "SeriesNumber": 7}


def test_the_geometry_of_a_header_file_is_a_statement_and_never_a_request() -> None:
    ds = identifier(
        QueryRetrieveLevel="IMAGE",
        SOPClassUID="1.2.840.10008.5.1.4.1.1.2",
        SOPInstanceUID="1.2.3.4",
        ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
        ImagePositionPatient=[0, 0, 5],
        ReformattingOperationType="MPR",
    )
    wanted = mpr_keys.request_of(ds, CORONAL)
    assert (wanted.planes.orientation, wanted.planes.position) == (None, None)
    assert wanted.stated.numbers("ImagePositionPatient") == (0, 0, 5)


@given(st.text(st.characters(codec="latin-1"), max_size=20))
def test_no_text_in_a_numeric_key_does_worse_than_a_named_refusal(text: str) -> None:
    ds = identifier(ReformattingOperationType="MPR")
    value = text.encode("latin-1")
    ds[0x00200032] = RawDataElement(Tag(0x00200032), "DS", len(value), value, 0, False, True)
    try:
        position = mpr_keys.request_of(ds, CORONAL).planes.position
    except BadRequest as exc:
        assert exc.keyword == "ImagePositionPatient"
    else:
        assert position is None or all(map(math.isfinite, position))

"""Cosines are held to one tolerance, and refused in the same words, whichever way they come in."""

import math

import numpy as np
import pytest
from pydantic_core import PydanticCustomError
from pydicom.dataset import Dataset

from scp.config.values import cosines as configured
from scp.errors import BadRequest
from scp.model import Direction, Operation, PlaneRequest, is_along, is_orthonormal, orthonormal
from scp.reconstruction.planes import plan
from scp.selection import fitness
from scp.services.mpr_keys import planes_of
from tests.reconstruction.scenes import geometry
from tests.selection.slices import slice_at


def asked_by_keys(cosines):
    identifier = Dataset()
    identifier.ReformattingOperationType = "MPR"
    identifier.ReformattingOperationInitialViewDirection = "OBLIQUE"
    identifier.ImageOrientationPatient = list(cosines)
    planes_of(identifier, PlaneRequest(), geometry=True)


def planned(cosines):
    plan(geometry(), PlaneRequest(Direction.OBLIQUE, cosines))


def stored(cosines):
    if finding := fitness.geometry(slice_at(0, ImageOrientationPatient=cosines)):
        raise BadRequest("ImageOrientationPatient", finding.detail)


GATES = {"configuration": configured, "keys": asked_by_keys, "plan": planned, "images": stored}


@pytest.mark.parametrize("gate", GATES.values(), ids=GATES)
@pytest.mark.parametrize(
    ("cosines", "taken"),
    [
        ((1, 0, 0, 0, 0.866, -0.5), True),
        ((1.0009, 0, 0, 0, 1, 0), True),
        ((1.0011, 0, 0, 0, 1, 0), False),
        ((1, 0, 0, 0, 0.9989, 0), False),
        ((1, 0, 0, 0.0009, 1, 0), True),
        ((1, 0, 0, 0.0011, 1, 0), False),
    ],
)
def test_cosines_a_thousandth_off_are_taken_and_others_refused_everywhere(gate, cosines, taken):
    if taken:
        gate(cosines)
    else:
        with pytest.raises((BadRequest, PydanticCustomError)):
            gate(cosines)


@pytest.mark.parametrize(
    ("keyword", "request_", "keys"),
    [
        (
            "ImageOrientationPatient",
            PlaneRequest(Direction.OBLIQUE, (1.0, 0.0, 0.0, 1.0, 0.0, 0.0)),
            {
                "ReformattingOperationInitialViewDirection": "OBLIQUE",
                "ImageOrientationPatient": [1, 0, 0, 1, 0, 0],
            },
        ),
        (
            "ImageOrientationPatient",
            PlaneRequest(Direction.CORONAL, (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)),
            {"ImageOrientationPatient": [1, 0, 0, 0, 1, 0]},
        ),
        (
            "ImageOrientationPatient",
            PlaneRequest(Direction.OBLIQUE),
            {"ReformattingOperationInitialViewDirection": "OBLIQUE"},
        ),
        (
            "ReformattingThickness",
            PlaneRequest(operation=Operation.SLAB),
            {"ReformattingOperationType": "SLAB"},
        ),
    ],
    ids=["not orthonormal", "of another direction", "oblique without", "slab of no thickness"],
)
def test_planes_that_cannot_be_are_refused_in_the_same_words_by_keys_and_plan(keyword, request_, keys):
    identifier = Dataset()
    identifier.update({"ReformattingOperationType": "MPR"} | keys)
    with pytest.raises(BadRequest) as by_keys:
        planes_of(identifier, PlaneRequest(), geometry=True)
    with pytest.raises(BadRequest) as by_plan:
        plan(geometry(), request_)
    assert by_keys.value.keyword == keyword
    assert by_keys.value.args == by_plan.value.args


@pytest.mark.parametrize("place", range(6))
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_not_finite_is_no_orientation(place, value):
    cosines = [1.0, 0, 0, 0, 1, 0]
    cosines[place] = value
    assert not is_orthonormal(cosines)


def test_cosines_become_exact_and_the_row_keeps_its_way():
    exact = np.array(orthonormal((0.6003, 0.8, 0, -0.8, 0.6, 0.0008)))
    row, column = exact[:3], exact[3:]
    assert max(abs(row @ row - 1), abs(column @ column - 1), abs(row @ column)) < 1e-15
    assert np.allclose(np.cross(row, (0.6003, 0.8, 0)), 0, atol=1e-15)


@pytest.mark.parametrize(("degrees", "same"), [(0.09, True), (0.11, False)])
def test_a_named_direction_may_be_off_by_a_tenth_of_a_degree(degrees, same):
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    assert is_along((1, 0, 0, 0, s, -c), Direction.CORONAL) is same
    assert is_along((c, s, 0, 0, 0, -1), Direction.CORONAL) is same

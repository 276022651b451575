import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scp.errors import Refused
from scp.results.orientation import patient_orientation


@pytest.mark.parametrize(
    ("row", "column", "letters"),
    [
        ((1, 0, 0), (0, 1, 0), ("L", "P")),
        ((1, 0, 0), (0, 0, -1), ("L", "F")),
        ((0, 1, 0), (0, 0, -1), ("P", "F")),
        ((-1, 0, 0), (0, -1, 0), ("R", "A")),
        ((0, 0, 1), (1, 0, 0), ("H", "L")),
    ],
)
def test_the_letters_name_where_columns_and_rows_grow(row, column, letters):
    assert patient_orientation(row, column) == letters


def test_letters_of_an_oblique_direction_follow_their_share():
    assert patient_orientation((0.8, 0.6, 0.0), (0.36, -0.48, -0.8)) == ("LP", "FAL")


def test_a_direction_off_by_less_than_the_smallest_share_keeps_one_letter():
    tilt = 0.9e-4
    assert patient_orientation((math.sqrt(1 - tilt**2), tilt, 0), (0, 0, -1)) == ("L", "F")


def test_a_quadruped_has_letters_of_its_own():
    assert patient_orientation((1, 0, 0), (0, 0.6, -0.8), "QUADRUPED") == ("LE", "CDD")
    assert patient_orientation((-1, 0, 0), (0, -0.6, 0.8), "QUADRUPED") == ("RT", "CRV")


def test_an_unknown_anatomical_orientation_is_refused_not_guessed():
    with pytest.raises(Refused, match="HEXAPOD"):
        patient_orientation((1, 0, 0), (0, 1, 0), "HEXAPOD")


@given(st.lists(st.floats(-1, 1), min_size=3, max_size=3).filter(lambda v: np.linalg.norm(v) > 0.1))
def test_the_opposite_direction_has_the_opposite_letters(vector):
    unit = tuple(float(v) for v in np.array(vector) / np.linalg.norm(vector))
    there, back = patient_orientation(unit, tuple(-v for v in unit))
    assert back == there.translate(str.maketrans("LRPAHF", "RLAPFH"))

"""Value Representations as tables (PS3.5 6.2, 7.1.2): how each is written."""

from collections.abc import Iterable
from typing import Final

from pydicom.valuerep import (
    BYTES_VR,
    CUSTOMIZABLE_CHARSET_VR,
    EXPLICIT_VR_LENGTH_16,
    EXPLICIT_VR_LENGTH_32,
    STR_VR,
)


def _plain(vrs: Iterable[str]) -> frozenset[str]:
    """Return *vrs* as plain text: pydicom's are members of an enumeration, which hash slowly."""
    return frozenset(map(str, vrs))


TEXT_VRS: Final = _plain(STR_VR)
"""All that are written as text, numbers as text among them."""

CHARACTER_SET_VRS: Final = _plain(CUSTOMIZABLE_CHARSET_VR)
"""Those whose text is of the character sets that Specific Character Set names."""

BYTE_VRS: Final = _plain(BYTES_VR)

BINARY_NUMBERS: Final = {
    "US": "H",
    "SS": "h",
    "UL": "L",
    "SL": "l",
    "UV": "Q",
    "SV": "q",
    "FL": "f",
    "FD": "d",
}
"""Those of binary numbers, with the letter of ``struct`` behind a byte order."""

LONG_VRS: Final = frozenset(map(str.encode, _plain(EXPLICIT_VR_LENGTH_32)))
"""As a file has them, those whose length has 32 bits after two reserved bytes (PS3.5 table 7.1-1)."""

SHORT_VRS: Final = frozenset(map(str.encode, _plain(EXPLICIT_VR_LENGTH_16)))
"""As a file has them, those whose length has 16 bits (PS3.5 table 7.1-2)."""

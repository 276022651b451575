"""What a UID may look like before it names a file or asks an index (PS3.5 9.1)."""

import re
from typing import Final

LONGEST_UID: Final = 64

_UID: Final = re.compile(r"[0-9]+(?:\.[0-9]+)*", re.ASCII)


def is_legal_uid(text: str) -> bool:
    """Tell whether *text* is digits and dots, at most 64 characters, no empty component.

    A component with leading zeros is tolerated: scanners write them, and a path is as safe with them.
    """
    return len(text) <= LONGEST_UID and _UID.fullmatch(text) is not None

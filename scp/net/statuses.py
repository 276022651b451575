"""Statuses (0000,0900) that a node tells or is told (PS3.7 Annex C, PS3.4 B.2.3, C.4.1 to C.4.3).

Which of them an error of this node becomes is a table in ``scp.services.status``.
"""

from typing import Final

SUCCESS: Final = 0x0000
PENDING: Final = 0xFF00
PENDING_WARNING: Final = 0xFF01
"""Pending, and not all optional keys are supported."""

CANCEL: Final = 0xFE00
PROCESSING_FAILURE: Final = 0x0110
SOP_CLASS_NOT_SUPPORTED: Final = 0x0122
NOT_AUTHORIZED: Final = 0x0124
OUT_OF_RESOURCES: Final = 0xA700
UNABLE_TO_PERFORM_SUB_OPERATIONS: Final = 0xA702
MOVE_DESTINATION_UNKNOWN: Final = 0xA801
IDENTIFIER_DOES_NOT_MATCH: Final = 0xA900
SUB_OPERATIONS_FAILED_SOME: Final = 0xB000
UNABLE_TO_PROCESS: Final = 0xC000

STORE_WARNINGS: Final = frozenset({0xB000, 0xB006, 0xB007})
"""Statuses of C-STORE that mean stored, with a warning (PS3.4 Table B.2-1)."""

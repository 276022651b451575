"""One line in the log for each association and each request: who, what, how many, how it ended, how long.

``key=value`` after the name of what is told, so that a person reads it and a program takes it apart. UIDs may
stand there; names, dates, descriptions and file names of patients never do, nor bytes as a peer sent them.
"""

import itertools
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

_NUMBERS = itertools.count(1)


@dataclass(slots=True)
class Journal:
    """What is remembered of one association for its line; *number* is its id within this process,
    *reason* why it was rejected, or which rights one that was accepted lacks."""

    number: int = field(default_factory=lambda: next(_NUMBERS))
    tally: Counter[str] = field(default_factory=Counter)
    reason: str = ""
    ended: bool = False
    _begun: float = field(default_factory=time.monotonic)

    @property
    def duration_s(self) -> float:
        return time.monotonic() - self._begun

    def end(self) -> bool:
        """Tell whether this is the first time that it ends: the line is written once."""
        first, self.ended = not self.ended, True
        return first


def line(what: str, fields: Mapping[str, object]) -> str:
    """Return *what* and *fields* as one line; empty values are left out, those with spaces quoted."""
    return " ".join([what, *(f"{key}={_plain(value)}" for key, value in fields.items() if value != "")])


@lru_cache(maxsize=256)
def printable(text: str | None) -> str:
    """Return text of a peer as it may stand in a log."""
    return "".join(c if " " <= c <= "~" else "?" for c in text or "").strip()


def _plain(value: object) -> str:
    text = f"{value:.3f}" if isinstance(value, float) else printable(str(value))
    return '"' + text.replace('"', "'") + '"' if " " in text or not text else text

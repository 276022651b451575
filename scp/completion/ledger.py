"""The ledger: for every search, whom it asked, what it wanted, what came of it, and how long it took.

A search hands over findings; one place may yield several (a peer that answers, then sends). The ledger
keeps one line for each place, in the order in which the places were first asked.
"""

from dataclasses import dataclass

from scp.model import FileFacts, KnownInstance, Search


@dataclass(frozen=True, slots=True)
class Found:
    """What one place had: files that may belong, instances it says it holds, and the story in words.

    *detail* tells the whole story of the place so far, *seconds* all its time and *failed* that it did not do
    its part: a later finding of the same place stands for the earlier ones.
    """

    asked: str
    candidates: tuple[FileFacts, ...] = ()
    known: tuple[KnownInstance, ...] = ()
    detail: str = ""
    seconds: float = 0.0
    failed: bool = False


class Ledger:
    """The lines of one request."""

    def __init__(self) -> None:
        self._lines: dict[tuple[str, str], Search] = {}

    def enter(self, search: str, finding: Found, *, wanted: int, found: int) -> None:
        """Write down a finding; *found* of its candidates are used in the volume."""
        key = (search, finding.asked)
        earlier = self._lines.get(key)
        self._lines[key] = Search(
            name=search,
            asked=finding.asked,
            wanted=earlier.wanted if earlier and earlier.wanted else wanted,
            found=found + (earlier.found if earlier else 0),
            detail=finding.detail,
            seconds=finding.seconds,
            failed=finding.failed,
        )

    @property
    def lines(self) -> tuple[Search, ...]:
        return tuple(self._lines.values())

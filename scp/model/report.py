"""What became of the files that were looked at, and of what was not there."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from scp.errors import Code
from scp.model.images import FileFacts, Vector
from scp.model.requests import SelectionRules


@dataclass(frozen=True, slots=True)
class ReportRow:
    """One file (or frame) that was looked at, and what became of it; *position_mm* is along the normal."""

    path: Path
    reason: str
    detail: str = ""
    sop_instance_uid: str = ""
    instance_number: int | None = None
    position_mm: float | None = None
    frame: int = 0


@dataclass(frozen=True, slots=True)
class Missing:
    """One image that should be there: by number, by position along the normal, or by both.

    *image_position_patient* is where its first voxel is expected; *sop_instance_uid* is known where an
    index or a peer told it. *before* is the index in the stack before which it belongs (``len(stack)``:
    after the last). *between_mm*: where the steps on both sides differ, the position is a guess, and all that
    is known are the positions of the two neighbours along the normal.
    """

    instance_number: int | None = None
    position_mm: float | None = None
    image_position_patient: Vector | None = None
    sop_instance_uid: str = ""
    before: int = 0
    between_mm: tuple[float, float] | None = None

    def lies_within(self, slices: int) -> bool:
        """Tell whether true slices lie on both of its sides, in a stack of so many."""
        return 0 < self.before < slices

    @property
    def place(self) -> str:
        """``at 2.4 mm``, ``between 2.4 and 9.4 mm``, ``""`` where nothing is known of it."""
        if self.between_mm:
            return "between {:.1f} and {:.1f} mm".format(*self.between_mm)
        return "" if self.position_mm is None else f"at {self.position_mm:.1f} mm"

    @property
    def name(self) -> str:
        """Its Instance Number, else its place, ``""`` where neither is known."""
        return self.place if self.instance_number is None else str(self.instance_number)


def names(missing: Iterable[Missing]) -> list[str]:
    """Return the names of missing images; those that have none are counted: ``7``, ``8``, ``2 unnamed``."""
    every = [one.name for one in missing]
    nameless = every.count("")
    return [*filter(None, every), *([f"{nameless} unnamed"] if nameless else [])]


@dataclass(frozen=True, slots=True)
class KnownInstance:
    """An instance of the series that an index or a peer says it holds."""

    sop_instance_uid: str
    instance_number: int | None
    source: str


@dataclass(frozen=True, slots=True)
class Search:
    """One line of the ledger: which search asked whom, what it wanted, what came, and how long it took.

    *failed*: who was asked did not do its part, so that images may be there all the same.
    """

    name: str
    asked: str
    wanted: int
    found: int
    detail: str = ""
    seconds: float = 0.0
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Note:
    """Something that neither excludes a file nor refuses, and that the report must not keep to itself."""

    code: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class SelectionReport:
    """What belongs to the series of the current image, and why the rest does not.

    *stack* is ordered by position along the normal (row x column of the current image). *verdict* is
    ``ok`` or the code of the refusal, *numbers* what Error Comment says after it, *sentence* the refusal
    in words.
    Every file that was looked at has exactly one row.
    """

    current: FileFacts
    rules: SelectionRules
    rows: tuple[ReportRow, ...] = ()
    stack: tuple[FileFacts, ...] = ()
    missing: tuple[Missing, ...] = ()
    notes: tuple[Note, ...] = ()
    searches: tuple[Search, ...] = ()
    verdict: str = Code.OK
    numbers: str = ""
    sentence: str = ""

    @property
    def ok(self) -> bool:
        return self.verdict == Code.OK

    @property
    def holes(self) -> tuple[Missing, ...]:
        """The missing images that have slices on both sides: what a policy fills."""
        return tuple(missing for missing in self.missing if missing.lies_within(len(self.stack)))

    @property
    def ends(self) -> tuple[Missing, ...]:
        """The missing images beyond the first and the last slice."""
        return tuple(missing for missing in self.missing if not missing.lies_within(len(self.stack)))

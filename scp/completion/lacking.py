"""What the series of the current image still lacks, as a selection report and the holders tell it.

Input of every search, and the test that ends one. Evidence, strongest first: holes that the selection
lists; fewer images than a volume needs; Instance Numbers that are skipped; ends that attributes, the index
or a peer say are missing. A report that was refused for another cause (two stacks, no geometry) lacks
nothing that could be found, and nothing is searched for it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from scp.errors import Code
from scp.model import FileFacts, KnownInstance, Missing, SelectionReport, SelectionRules
from scp.selection.identity import belongs

CURABLE = frozenset({Code.OK, Code.MISSING_INSTANCES, Code.TOO_FEW_IMAGES})
"""Verdicts that more images of the series can change for the better."""

BROKEN = frozenset(
    {Code.NOT_DICOM, Code.NOT_A_FILE, Code.UNREADABLE, Code.TRUNCATED, Code.NO_PIXEL_DATA, Code.CANNOT_DECODE}
)
"""Reasons of files that leave their image missing: a whole copy elsewhere is worth having."""


@dataclass(frozen=True, slots=True)
class Lacking:
    """What is missing now; false when nothing is.

    *here*: Instance Number by SOP Instance UID of every whole image that was looked at, and of those that a
    rejection note has taken out of the series. *used*: the SOP
    Instance UIDs in the volume. *short_by*: how
    many images the stack is below the minimum. *skipped*: how many Instance Numbers the stack leaves out.
    *elsewhere*: how many more instances of the series an index or a peer says it holds. *ends*: attributes
    of the images say that the volume goes on.
    """

    current: FileFacts
    curable: bool = True
    missing: tuple[Missing, ...] = ()
    here: Mapping[str, int | None] = field(default_factory=dict)
    used: frozenset[str] = frozenset()
    short_by: int = 0
    skipped: int = 0
    elsewhere: int = 0
    ends: bool = False

    @property
    def study_instance_uid(self) -> str:
        return self.current.header.text("StudyInstanceUID")

    @property
    def series_instance_uid(self) -> str:
        return self.current.header.text("SeriesInstanceUID")

    @property
    def count(self) -> int:
        """Return how many images are known to lack, by the strongest evidence that there is."""
        if not self.curable:
            return 0
        return len(self.missing) or self.short_by or self.skipped or self.elsewhere or int(self.ends)

    def __bool__(self) -> bool:
        return self.count > 0

    def choose(self, held: Iterable[KnownInstance]) -> tuple[KnownInstance, ...]:
        """Return those of the instances *held* elsewhere that may be what lacks.

        Never one that is here. Instance Numbers narrow the choice only where every missing image has one and
        the holder's numbers agree with those here; positions are proved after retrieval, because few
        archives answer with them.
        """
        known = tuple(held)
        absent = tuple(instance for instance in known if instance.sop_instance_uid not in self.here)
        if not self.missing or self.short_by or not self._numbers_agree(known):
            return absent
        numbers = {missing.instance_number for missing in self.missing}
        if None in numbers:
            return absent
        return tuple(i for i in absent if i.instance_number is None or i.instance_number in numbers)

    def _numbers_agree(self, held: tuple[KnownInstance, ...]) -> bool:
        return all(
            self.here.get(instance.sop_instance_uid) in (None, instance.instance_number)
            for instance in held
            if instance.instance_number is not None
        )


def lacking(
    report: SelectionReport, known: Iterable[KnownInstance] = (), rejected: Iterable[str] = ()
) -> Lacking:
    """Return what *report* lacks; *known* are the instances that index and peers say they hold.

    *rejected* are the SOP Instance UIDs that rejection notes name: nobody looks for those.
    """
    here: dict[str, int | None] = dict.fromkeys(rejected)
    here |= {
        row.sop_instance_uid: row.instance_number
        for row in report.rows
        if row.sop_instance_uid and row.reason not in BROKEN
    }
    notes = {note.code for note in report.notes}
    return Lacking(
        current=report.current,
        curable=report.verdict in CURABLE,
        missing=report.missing,
        here=here,
        used=frozenset(facts.sop_instance_uid for facts in report.stack),
        short_by=max(0, report.rules.minimum_images - len(report.stack)),
        skipped=_skipped(report.stack) if Code.NUMBERING_GAP in notes else 0,
        elsewhere=len({instance.sop_instance_uid for instance in known} - here.keys()),
        ends=Code.ENDS_MISSING in notes,
    )


def known_by(
    files: Iterable[FileFacts], current: FileFacts, rules: SelectionRules, source: str
) -> tuple[KnownInstance, ...]:
    """Return what *files* say of the series of *current*: those of the same patient, study and series."""
    of_series = (facts for facts in files if not belongs(current.header, facts.header, rules))
    uids = {facts.sop_instance_uid: facts.instance_number for facts in of_series}
    return tuple(KnownInstance(uid, number, source) for uid, number in uids.items())


def _skipped(stack: tuple[FileFacts, ...]) -> int:
    numbers = {facts.instance_number for facts in stack} - {None}
    whole = [number for number in numbers if number is not None]
    return max(1, max(whole) - min(whole) + 1 - len(whole)) if whole else 1

"""One request on its way through the searches: what still lacks, who has been asked, how much time is left.

Every search takes a :class:`Pursuit` and yields findings; after each yield *lacking* tells what is missing
still. Folders are looked into here, so that whichever search comes by, each is read once in a request.
"""

import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from scp.completion.lacking import Lacking
from scp.completion.surroundings import Surroundings
from scp.errors import Cancelled
from scp.model import WORK_FOLDER, FileFacts, IsCancelled, SelectionRules

FOLDERS_SHARE = 0.5
"""The part of the deadline that reading folders may use, so that index and peers are asked whatever the
disk does."""


@dataclass(slots=True)
class Pursuit:
    """*deadline* is on the clock of *surroundings*; *looked_into* are the folders read so far."""

    surroundings: Surroundings
    lacking: Lacking
    deadline: float
    cancelled: IsCancelled
    rules: SelectionRules
    looked_into: set[Path] = field(default_factory=set)
    folders_deadline: float = field(init=False)

    def __post_init__(self) -> None:
        self.folders_deadline = self.deadline - (1 - FOLDERS_SHARE) * self.remaining_s
        self.looked_into.add(self.folder.resolve())

    @property
    def folder(self) -> Path:
        """Return the folder of the current image, which the selection has seen already."""
        return self.lacking.current.path.parent.absolute()

    @property
    def remaining_s(self) -> float:
        return max(0.0, self.deadline - self.surroundings.clock())

    def check(self) -> None:
        """Raise ``Cancelled`` once nobody wants the result."""
        if self.cancelled():
            raise Cancelled("the requestor gave up while missing images were searched for")

    def _is_the_nodes(self, place: Path) -> bool:
        """Tell whether *place* lies in the folder that a node keeps for itself, in its archive's root."""
        shared = os.path.commonpath((place, self.surroundings.top.resolve()))
        return WORK_FOLDER in place.relative_to(shared).parts

    def look_into(self, folders: Iterable[Path], within: Path | None = None) -> "Look":
        """Read *folders* that were not read yet, and return what in them may belong to the series.

        A file that leads out of *within* by a link is left.
        """
        look = Look(self.lacking, self.rules.adopt_unlabelled, within)
        for folder in folders:
            self.check()
            if self.surroundings.clock() >= self.folders_deadline:
                look.tally["not read: out of time"] += 1
                break
            place = folder.resolve()
            if place in self.looked_into or self._is_the_nodes(place):
                continue
            self.looked_into.add(place)
            look.read(folder, self.surroundings)
        return look


@dataclass(slots=True)
class Look:
    """What reading some folders gave: *candidates*, and in *tally* how many of what else."""

    lacking: Lacking
    adopt_unlabelled: bool
    within: Path | None
    candidates: list[FileFacts] = field(default_factory=list)
    tally: Counter[str] = field(default_factory=Counter)

    def read(self, folder: Path, surroundings: Surroundings) -> None:
        """Sort the files of one folder; a folder that cannot be read is counted."""
        try:
            files = surroundings.read_folder(folder)
        except OSError:
            self.tally["folders unreadable"] += 1
            return
        self.tally["folders"] += 1
        self.tally["files"] += len(files)
        for facts in files:
            kind = self._kind(facts)
            if kind == "candidates":
                self.candidates.append(facts)
            if kind:
                self.tally[kind] += 1

    def _kind(self, facts: FileFacts) -> str:
        """Return the word under which a file is counted, "" for one that nobody needs to hear of."""
        series_instance_uid = facts.header.text("SeriesInstanceUID")
        unlabelled = not series_instance_uid and not facts.reason
        if series_instance_uid != self.lacking.series_instance_uid and not unlabelled:
            return ""
        if facts.reason:
            return f"of the series but {facts.reason}"
        if unlabelled and not self.adopt_unlabelled:
            return "without Series Instance UID"
        if facts.sop_instance_uid in self.lacking.used:
            return "copies of what is used"
        if self.within is not None and not _inside(facts.path, self.within):
            return "behind links"
        return "candidates"

    @property
    def detail(self) -> str:
        """Return the tally in words: ``folders 3, files 340, candidates 2``."""
        return ", ".join(f"{word} {count}" for word, count in self.tally.items())


def _inside(path: Path, folder: Path) -> bool:
    return path.resolve().is_relative_to(folder.resolve())

"""What a folder's entries are right now, and the facts of folders that are still as they were.

Requests look at the same folders again and again. One listing shows whether anything was added, removed or
changed in place; where nothing was, the facts in memory stand, and neither a file nor the index is asked.
"""

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Final

from scp.model import FileFacts, FileStamp

MOST_REMEMBERED: Final = 4096
"""Files whose facts are remembered: some 30 MiB."""

_kind_and_stamp: Callable[[os.stat_result], object] = attrgetter(
    "st_mode", "st_dev", "st_ino", "st_size", "st_mtime_ns", "st_ctime_ns"
)
"""Returns what shows that an entry changed: mode and what ``FileStamp`` holds, faster than making one."""


@dataclass(frozen=True, slots=True)
class Listing:
    """The entries of a folder but its sub-folders, by name; *whole* if the status of each could be read."""

    entries: dict[bytes, os.stat_result]
    whole: bool

    @classmethod
    def of(cls, folder: Path) -> "Listing":
        """Return the listing of *folder*; one that is gone has no entries. Raises ``OSError``."""
        entries, whole = {}, True
        try:
            found = list(os.scandir(folder))
        except FileNotFoundError:
            return cls({}, whole=True)
        for entry in found:
            try:
                if not entry.is_dir(follow_symlinks=False):
                    entries[os.fsencode(entry.name)] = entry.stat(follow_symlinks=False)
            except OSError:
                whole = False
        return cls(entries, whole)

    def stamps(self) -> dict[bytes, object]:
        """Return what tells, entry by entry, that nothing changed."""
        return dict(zip(self.entries, map(_kind_and_stamp, self.entries.values()), strict=True))


class FoldersAsTheyWere:
    """The facts of folders as they were last read, of :data:`MOST_REMEMBERED` files at most."""

    def __init__(self) -> None:
        self._folders: dict[Path, tuple[dict[bytes, object], tuple[FileFacts, ...]]] = {}

    def recall(self, folder: Path, listing: Listing) -> tuple[FileFacts, ...] | None:
        """Return the facts of a folder whose entries are those remembered, ``None`` of any other."""
        stamps, facts = self._folders.get(folder, (None, ()))
        return facts if listing.whole and stamps == listing.stamps() else None

    def keep(self, folder: Path, listing: Listing, facts: tuple[FileFacts, ...]) -> None:
        """Remember *facts* if they are of regular files, each of them as it was listed.

        What a link leads to may change without its stamp, and so may a file that is read as it is written.
        """
        self._folders.pop(folder, None)
        regular = all(stat.S_ISREG(status.st_mode) for status in listing.entries.values())
        read = {os.fsencode(one.path.name): one.stamp for one in facts}
        listed = {name: FileStamp.of(status) for name, status in listing.entries.items()}
        if not regular or read != listed or len(facts) > MOST_REMEMBERED:
            return
        if len(facts) + sum(len(others) for _, others in list(self._folders.values())) > MOST_REMEMBERED:
            self._folders.clear()
        self._folders[folder] = listing.stamps(), facts

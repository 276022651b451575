"""The search ``ancestors``: the folders around the current image's, ever wider.

First the parent of the current image's folder with all its sub-folders, then that folder's parent, and so
on, until all of the batch folder has been traversed; never above it. Links to folders are not followed:
whatever lies inside the batch folder is reached without them.
"""

import os
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from scp.completion.ledger import Found
from scp.completion.pursuit import Pursuit
from scp.model import WORK_FOLDER


def search(pursuit: Pursuit) -> Iterator[Found]:
    """Yield one finding for each ancestor, until nothing is missing."""
    clock = pursuit.surroundings.clock
    folder, top = pursuit.folder, pursuit.surroundings.top.absolute()
    if not folder.is_relative_to(top):
        folder, top = folder.resolve(), top.resolve()
    for ancestor in _ancestors(folder, top):
        if not pursuit.lacking:
            return
        begun = clock()
        look = pursuit.look_into(_walk(ancestor), within=top)
        yield Found(
            asked=str(ancestor.relative_to(top.parent)),
            candidates=tuple(look.candidates),
            detail=look.detail,
            seconds=clock() - begun,
        )


def _ancestors(folder: Path, top: Path) -> Iterator[Path]:
    """Yield the parents of *folder* up to *top*; *top* alone where *folder* is *top*, none outside it."""
    if folder == top:
        yield top
    for parent in folder.parents:
        if parent.is_relative_to(top):
            yield parent


def _walk(top: Path) -> Iterator[Path]:
    """Yield *top* and every folder below it, nearest first, names in order."""
    waiting = deque([top])
    while waiting:
        folder = waiting.popleft()
        yield folder
        try:
            with os.scandir(folder) as entries:
                names = sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
        except OSError:
            continue  # reading it failed too, and was counted
        waiting.extend(folder / name for name in names if name != WORK_FOLDER)

"""The search ``time_radius``: folders of the archive that came into being about when the current one did.

What one export or one transfer wrote, it wrote within minutes, whatever it named the folders. The radius
grows step by step; a folder's time of creation is the index's word (birth time where the file system has
it, else when the index first saw the folder).
"""

from collections.abc import Iterator

from scp.completion.ledger import Found
from scp.completion.pursuit import Pursuit

UNITS = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))
NS_PER_S = 1_000_000_000


def search(pursuit: Pursuit) -> Iterator[Found]:
    """Yield one finding for each radius, until nothing is missing."""
    archive, clock = pursuit.surroundings.archive, pursuit.surroundings.clock
    if archive is None or not pursuit.lacking:
        return
    begun = clock()
    created_ns = {seen.path: seen.created_ns for seen in archive.folders()}
    centre_ns = created_ns.get(pursuit.folder, created_ns.get(pursuit.folder.resolve()))
    if centre_ns is None:
        yield Found("archive", detail="the index has not seen the folder", seconds=clock() - begun)
        return
    nearest = sorted(created_ns, key=lambda path: (abs(created_ns[path] - centre_ns), path))
    for radius_s in pursuit.surroundings.time_radii_s:
        if not pursuit.lacking:
            return
        within = [path for path in nearest if abs(created_ns[path] - centre_ns) <= radius_s * NS_PER_S]
        look = pursuit.look_into(within)
        yield Found(_words(radius_s), tuple(look.candidates), detail=look.detail, seconds=clock() - begun)
        begun = clock()


def _words(seconds: float) -> str:
    """Return a radius as the configuration writes it: ``10 min``."""
    for unit, size in UNITS:
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:g} s"

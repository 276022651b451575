"""The search ``index``: every instance of the series that the node knows of, whichever folder it is in.

One query, and so cheap that it is asked even where nothing seems to lack: the index may know of ends that
the folder does not show.
"""

from collections.abc import Iterator

from scp.completion.lacking import BROKEN, known_by
from scp.completion.ledger import Found
from scp.completion.pursuit import Pursuit


def search(pursuit: Pursuit) -> Iterator[Found]:
    """Yield one finding, if the index has anything to say."""
    archive, clock, lacking = pursuit.surroundings.archive, pursuit.surroundings.clock, pursuit.lacking
    if archive is None or not lacking.curable:
        return
    begun = clock()
    files = archive.series_files(lacking.study_instance_uid, lacking.series_instance_uid)
    whole = [facts for facts in files if facts.reason not in BROKEN]
    elsewhere = {
        folder for folder in {f.path.parent for f in whole} if folder.resolve() not in pursuit.looked_into
    }
    candidates = tuple(
        facts
        for facts in whole
        if facts.path.parent in elsewhere and facts.sop_instance_uid not in lacking.used
    )
    if lacking or candidates:
        yield Found(
            asked="index",
            candidates=candidates,
            known=known_by(whole, lacking.current, pursuit.rules, "index"),
            detail=f"files {len(files)}, candidates {len(candidates)}",
            seconds=clock() - begun,
        )

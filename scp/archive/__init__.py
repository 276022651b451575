"""The only code that writes the archive's folders and the index.

Files are the truth, the index is a cache of them. What arrives comes through one door:

    intake -> spool -> filing -> BATCH/PATIENT/STUDY/SERIES/INSTANCE.dcm, index row, acknowledged

* ``archive``       the object that the rest of the node holds
* ``intake``        bytes into the spool, digested and checked
* ``filing``        linked into place, synced, indexed, many at once
* ``duplicates``    whether what arrives is here already
* ``durability``    what it takes that a disk keeps a file and its name
* ``layout``        checked values -> paths
* ``series_homes``  one folder for a series among the node's own
* ``scan``, ``listing``, ``sweep``  what people keep: one folder read, all folders gone through
* ``index``, ``prepared``  the database, and its most frequent statements
* ``records``, ``entries``  facts as rows of it and back; those rows written and found
* ``question``, ``matching``, ``query``, ``answers``  C-FIND and retrieve identifiers
* ``claim``         one node alone serves an archive on SQLite
* ``promises``      what presets would yield of each series
* ``results``       finished reconstructions, kept under a budget
* ``decisions``     what a person settles: conflicts, removals
* ``alterations``   stored content that is not what it was
* ``losses``        stored files that are gone
* ``rejections``    what rejection notes refer to
* ``recover``, ``imports``, ``arrivals``, ``digests``, ``birth_time``, ``apart``
"""

from scp.archive.archive import Archive
from scp.archive.arrivals import Arrivals, Waiting
from scp.archive.claim import Claim
from scp.archive.matching import matches_key
from scp.archive.promises import Promise, VirtualSeries
from scp.archive.results import ResultCache
from scp.archive.sweep import SeenFolder

__all__ = [
    "Archive",
    "Arrivals",
    "Claim",
    "Promise",
    "ResultCache",
    "SeenFolder",
    "VirtualSeries",
    "Waiting",
    "matches_key",
]

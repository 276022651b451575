"""DICOM files by hand: the bounded header scan, and the head of a file (PS3.10, PS3.5).

One walk over the elements serves intake, the scan of folders and the sending of stored data sets.

* ``header``   bytes -> raw elements and the place of Pixel Data; bounded in time and memory
* ``values``   raw values -> numbers, text, DICOM JSON
* ``frames``   functional groups of enhanced multi-frame images -> classic attributes, frame by frame
* ``data_set`` encoding, header and extent of Pixel Data of one data set
* ``facts``    a path -> ``FileFacts``, never raising for content
* ``head``     preamble and File Meta Information

Pixels are never decoded here.
"""

from scp.part10.data_set import DataSet, HeaderRead, native_bytes, open_data_set
from scp.part10.facts import facts_of, file_ref, read_facts
from scp.part10.head import file_head

__all__ = [
    "DataSet",
    "HeaderRead",
    "facts_of",
    "file_head",
    "file_ref",
    "native_bytes",
    "open_data_set",
    "read_facts",
]

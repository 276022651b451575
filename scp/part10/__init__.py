"""DICOM files by hand: the bounded header scan, and the head of a file (PS3.10, PS3.5).

One walk over the elements serves intake, the scan of folders and the sending of stored data sets.

* ``header``   bytes -> raw elements and the place of Pixel Data; bounded in time and memory
* ``content``  what a data set says, apart from how it is written down
* ``values``   raw values -> numbers, text, DICOM JSON
* ``frames``   functional groups of enhanced multi-frame images -> classic attributes, frame by frame
* ``vrs``      tables of Value Representations
* ``data_set`` encoding, header and extent of Pixel Data of one data set
* ``facts``    a path -> ``FileFacts``, never raising for content
* ``head``     preamble and File Meta Information

Pixels are never decoded here.
"""

from scp.part10.content import content_of
from scp.part10.data_set import (
    DataSet,
    encoding_of,
    native_bytes,
    open_data_set,
    wanted_keywords,
)
from scp.part10.facts import FileRead, facts_of_data_set, file_ref, open_regular, read_facts, read_file
from scp.part10.head import file_head
from scp.part10.header import LARGEST_WINDOW_BYTES, GrowingHeader, ReadAt, Walked

__all__ = [
    "LARGEST_WINDOW_BYTES",
    "DataSet",
    "FileRead",
    "GrowingHeader",
    "ReadAt",
    "Walked",
    "content_of",
    "encoding_of",
    "facts_of_data_set",
    "file_head",
    "file_ref",
    "native_bytes",
    "open_data_set",
    "open_regular",
    "read_facts",
    "read_file",
    "wanted_keywords",
]

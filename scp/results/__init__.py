"""Planes in, DICOM objects out: attributes, provenance, identity, encoding (PS3.3, PS3.5, PS3.10).

``describe`` says what every object holds, before any pixel is read; ``Encoder`` makes files of it.

* ``basis``             all that attributes follow from
* ``attributes``        the tables: taken from the source, taken from the options, made new
* ``acquisition``       what several sources decide together: dates, Frame of Reference, lossy compression
* ``provenance``        words, codes and references that say where a result comes from
* ``orientation``       the letters of Patient Orientation
* ``secondary_capture``, ``source_class``, ``multiframe``, ``storage``  the forms a result can take
* ``curved``            the one form without geometry
* ``identity``          UIDs that depend on nothing but what decides the bytes
* ``values``            how values are written
* ``elements``, ``references``, ``compression``  what varies from plane to plane, as bytes
* ``series``, ``describe``, ``encode``  the record, how it is made, how it becomes files
"""

from scp.results.basis import ResultOptions
from scp.results.describe import describe
from scp.results.encode import Encoder
from scp.results.series import ResultObject, ResultSeries

__all__ = ["Encoder", "ResultObject", "ResultOptions", "ResultSeries", "describe"]

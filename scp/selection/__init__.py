"""Which files make the volume of the current image: headers in, one report out.

Public: :func:`select`, :func:`current_of_series`; views of the report are in :mod:`scp.selection.report`.
"""

from scp.selection.method import select

__all__ = ["select"]

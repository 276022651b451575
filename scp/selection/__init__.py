"""Which files make the volume of the current image: headers in, one report out (pure).

:func:`select` is the method, :func:`current_of_series` finds the image to start from, the others are views
of the report.
"""

from scp.selection.method import select
from scp.selection.middle import NoMiddleImage, current_of_series
from scp.selection.report import (
    MissingInstances,
    TooFewImages,
    as_json,
    counts,
    image_comments,
    markers,
    refusal,
)
from scp.selection.stack import position_mm

__all__ = [
    "MissingInstances",
    "NoMiddleImage",
    "TooFewImages",
    "as_json",
    "counts",
    "current_of_series",
    "image_comments",
    "markers",
    "position_mm",
    "refusal",
    "select",
]

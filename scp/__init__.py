"""A DICOM node that reconstructs planes from archives as people really leave them.

The folders are the stages of the method, in the order that the data takes; ``scp.pipeline`` is the
method itself, on one screen.
"""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("mpr-scp")
except PackageNotFoundError:  # a source tree that nobody installed
    __version__ = "0+unknown"

"""A DICOM node that reconstructs planes from archives as people really leave them.

The folders are the stages of the method, in the order that the data takes; ``scp.pipeline`` is the
method itself, on one screen.
"""

__version__: str


def __getattr__(name: str) -> str:
    """Look the version up when it is asked for: that takes longer than all else before a command starts."""
    if name != "__version__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("mpr-scp")
    except PackageNotFoundError:  # a source tree that nobody installed
        return "0+unknown"

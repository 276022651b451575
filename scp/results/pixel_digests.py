"""The digests of source pixels that nobody computed yet.

The archive computes them as images arrive. Images that people copied in, and those of the command line, are
digested here when a result is to be described: its UIDs depend on them.
"""

from collections.abc import Iterable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

from scp.errors import DecodingFailed
from scp.model import FileFacts, PixelData

CHUNK_BYTES = 1 << 20


def with_pixel_digests(stack: Iterable[FileFacts]) -> tuple[FileFacts, ...]:
    """Return *stack* with ``PixelData.sha256`` filled where it is empty; frames of a file share one reading.

    Raises ``DecodingFailed`` for a file that is gone or became shorter.
    """
    known: dict[Path, str] = {}
    found = []
    for facts in stack:
        pixels = facts.pixel_data
        if pixels is not None and not pixels.sha256:
            if facts.path not in known:
                known[facts.path] = _digest(facts.path, pixels)
            facts = replace(facts, pixel_data=replace(pixels, sha256=known[facts.path]))
        found.append(facts)
    return tuple(found)


def _digest(path: Path, pixels: PixelData) -> str:
    running, left = sha256(), pixels.length
    try:
        with path.open("rb") as file:
            file.seek(pixels.offset)
            while left > 0 and (chunk := file.read(min(CHUNK_BYTES, left))):
                running.update(chunk)
                left -= len(chunk)
    except OSError as error:
        raise DecodingFailed(f"{path} cannot be read: {error.strerror}", path) from error
    if left:
        raise DecodingFailed(f"{path} became shorter by {left} bytes since it was scanned", path)
    return running.hexdigest()

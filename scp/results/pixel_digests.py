"""The digests of source pixels that nobody computed yet.

The archive computes them as images arrive. Images that people copied in, and those of the command line, are
digested here when a result is to be described: its UIDs depend on them. What a file with the same stamp was
found to hold is remembered, so that a dry run, a retrieve and the next one read it once.
"""

from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

from scp.errors import DecodingFailed
from scp.model import FileFacts, FileStamp, PixelData

CHUNK_BYTES = 1 << 20
REMEMBERED = 1 << 16
"""Files whose digests are kept in memory, the latest: some 20 MB of them."""


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
                read = _digest if facts.stamp is None else _remembered
                known[facts.path] = read(facts.path, pixels, facts.stamp)
            facts = replace(facts, pixel_data=replace(pixels, sha256=known[facts.path]))
        found.append(facts)
    return tuple(found)


def _digest(path: Path, pixels: PixelData, _stamp: FileStamp | None) -> str:
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


_remembered = lru_cache(REMEMBERED)(_digest)

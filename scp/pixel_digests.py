"""The digests of source pixels that nobody computed yet.

The archive computes them as images arrive. Images that people copied in, and those of the command line, are
digested here when a result is to be described: its UIDs depend on them. What a file with the same stamp was
found to hold is remembered, so that a dry run, a retrieve and the next one read it once.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

from scp.errors import DecodingFailed
from scp.model import FileFacts, FileStamp, PixelData

CHUNK_BYTES = 1 << 20
READ_AT_ONCE = 4
"""Files that are read and digested side by side: neither holds the interpreter."""

REMEMBERED = 1 << 16
"""Files whose digests are kept in memory, the latest: some 20 MB of them."""


def with_pixel_digests(stack: Sequence[FileFacts]) -> tuple[FileFacts, ...]:
    """Return *stack* with ``PixelData.sha256`` filled where it is empty; frames of a file share one reading.

    Raises ``DecodingFailed`` for a file that is gone or became shorter.
    """
    lacking = list({facts.path: facts for facts in stack if _lacks_digest(facts)}.values())
    with ThreadPoolExecutor(READ_AT_ONCE) as pool:
        parts = pool.map(_digests, (lacking[part::READ_AT_ONCE] for part in range(READ_AT_ONCE)))
        found = {path: digest for part in parts for path, digest in part}
    return tuple(_with_digest(facts, found) for facts in stack)


def _lacks_digest(facts: FileFacts) -> bool:
    return facts.pixel_data is not None and not facts.pixel_data.sha256


def _with_digest(facts: FileFacts, found: Mapping[Path, str]) -> FileFacts:
    if facts.pixel_data is None or facts.pixel_data.sha256:
        return facts
    return replace(facts, pixel_data=replace(facts.pixel_data, sha256=found[facts.path]))


def _digests(files: Sequence[FileFacts]) -> list[tuple[Path, str]]:
    found = []
    for facts in files:
        assert facts.pixel_data is not None
        read = _digest if facts.stamp is None else _remembered
        found.append((facts.path, read(facts.path, facts.pixel_data, facts.stamp)))
    return found


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

"""Deterministic UIDs: the same images, request and software give the same objects (PS3.5 B.2).

A digest covers everything that decides a byte of the result, and nothing else: not paths, not clocks, not
which image of the stack was the current one. What a digest names cannot be found back from it.
"""

import json
from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from hashlib import sha256
from typing import Any

from scp.model import HEADER_KEYWORDS, FileFacts

UUID_ROOT = "2.25"
UID_CHARACTERS = 64
"""A UID is no longer (PS3.5 9.1)."""


def canonical(value: Any) -> str:
    """Return *value* as JSON with one spelling: sorted keys, no spaces, shortest floats, no negative zero.

    Records (dataclasses) are objects of their fields. Raises ``TypeError`` for what JSON cannot say.
    """
    text = _JSON.encode(value)
    return _JSON.encode(_without_negative_zero(value)) if "-0.0" in text else text


def digest(value: Any) -> str:
    """Return the SHA-256 of the canonical JSON of *value*, hex."""
    return sha256(canonical(value).encode()).hexdigest()


def uid(root: str, *parts: object) -> str:
    """Return the UID that *parts* decide: 128 bits of their digest under *root*, ``""`` for 2.25.

    Under a root longer than 24 characters as many digits as 64 characters leave.
    """
    root = root or UUID_ROOT
    number = int(digest(parts)[:32], 16) % 10 ** (UID_CHARACTERS - 1 - len(root))
    return f"{root}.{number}"


def source_digest(facts: FileFacts) -> tuple[str, int, str, str]:
    """Return what identifies one source: SOP Instance UID, frame, digest of pixels, digest of attributes.

    Raises ``ValueError`` where nobody computed the digest of its pixels.
    """
    if facts.pixel_data is None or not facts.pixel_data.sha256:
        raise ValueError(f"{facts.path} has no digest of its pixels: compute it before describing a result")
    stated = facts.header.attributes
    attributes = {keyword: stated[keyword] for keyword in stated.keys() & _KEYWORDS}
    return facts.sop_instance_uid, facts.frame, facts.pixel_data.sha256, digest(attributes)


def source_digests(stack: Sequence[FileFacts]) -> tuple[tuple[str, int, str, str], ...]:
    """Return :func:`source_digest` of every source, in the order of the stack."""
    return tuple(source_digest(facts) for facts in stack)


def _fields(record: Any) -> dict[str, Any]:
    if is_dataclass(record):
        return {f.name: getattr(record, f.name) for f in fields(record)}
    raise TypeError(f"{type(record).__name__} has no canonical JSON")


def _without_negative_zero(value: Any) -> Any:
    if isinstance(value, float):
        return value + 0.0
    if isinstance(value, tuple | list):
        return [_without_negative_zero(v) for v in value]
    if isinstance(value, dict):
        return {key: _without_negative_zero(v) for key, v in value.items()}
    return _without_negative_zero(_fields(value)) if is_dataclass(value) else value


_JSON = json.JSONEncoder(default=_fields, sort_keys=True, separators=(",", ":"), allow_nan=False)
_KEYWORDS = frozenset(HEADER_KEYWORDS)

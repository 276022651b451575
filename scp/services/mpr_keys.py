"""The keys of an MPR request: an identifier in, an ``MPRRequest`` out.

A reconstruction is asked for by standard attributes in the identifier of a C-FIND, C-MOVE or C-GET: those
of PS3.3 C.23.3 (how a hanging protocol asks for a reformat) and C.7.6.2 (image plane). Reformatting
Operation Type is the trigger: absent or empty, the identifier is an ordinary one. Keys arrive as clients
encode them, so values are read from their bytes and every value that is not understood is refused by name.

An identifier with a SOP Class UID is the header of the current image: its geometry is then a statement about
that image and never asks for planes.
"""

import math
import struct
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TypeVar

from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from scp.errors import BadRequest
from scp.model import (
    Direction,
    Header,
    Method,
    MPRRequest,
    Operation,
    Orientation,
    PlaneRequest,
    Value,
    Vector,
    checked_orientation,
    checked_thickness,
)
from scp.selection.identity import STATED_GEOMETRY, STATED_KEYWORDS

TRIGGER = "ReformattingOperationType"

OF_THE_TRIGGER = (
    "ReformattingOperationInitialViewDirection",
    "ReformattingThickness",
    "ReformattingInterval",
    "RenderingMethod",
)
"""Keys that say nothing without the trigger."""

LEVELS = ("SERIES", "IMAGE")

Word = TypeVar("Word", bound=StrEnum)


def has_trigger(identifier: Dataset) -> bool:
    """Tell whether the identifier asks for a reconstruction by its keys."""
    return bool(texts(identifier, TRIGGER))


def is_header(identifier: Dataset) -> bool:
    """Tell whether the identifier is the header of the current image."""
    return bool(texts(identifier, "SOPClassUID"))


def level(identifier: Dataset) -> str:
    """Return Query/Retrieve Level, IMAGE where only the current image is named.

    Raises ``BadRequest`` at any level but SERIES and IMAGE: planes are made of one series.
    """
    found = texts(identifier, "QueryRetrieveLevel") or (
        ("IMAGE",) if texts(identifier, "SOPInstanceUID") else ()
    )
    if len(found) != 1 or found[0] not in LEVELS:
        raise BadRequest(
            "QueryRetrieveLevel",
            f"Query/Retrieve Level is {'/'.join(found) or 'absent'}; a reconstruction is asked for at SERIES "
            "or IMAGE level",
        )
    return found[0]


def request_of(identifier: Dataset, defaults: PlaneRequest) -> MPRRequest:
    """Return the reconstruction that the identifier asks for; keys that it gives replace *defaults*.

    Raises ``BadRequest`` naming the first key that is not understood.
    """
    wanted_level = level(identifier)
    header = is_header(identifier)
    return MPRRequest(
        planes=planes_of(identifier, defaults, geometry=not header),
        study_instance_uid=_one_uid(identifier, "StudyInstanceUID"),
        series_instance_uid=_one_uid(identifier, "SeriesInstanceUID", needed=wanted_level == "SERIES"),
        sop_instance_uid=_one_uid(identifier, "SOPInstanceUID", needed=wanted_level == "IMAGE"),
        stated=stated_of(identifier, STATED_KEYWORDS + (tuple(STATED_GEOMETRY) if header else ())),
    )


def planes_of(identifier: Dataset, defaults: PlaneRequest, *, geometry: bool) -> PlaneRequest:
    """Return the planes asked for; *geometry* tells whether orientation and position are keys here."""
    given = _Given(identifier)
    direction = given.word("ReformattingOperationInitialViewDirection", Direction, defaults.direction)
    operation = given.word(TRIGGER, Operation, defaults.operation)
    planes = replace(
        defaults,
        direction=direction,
        operation=operation,
        method=given.word("RenderingMethod", Method, defaults.method),
        thickness_mm=given.length("ReformattingThickness", defaults.thickness_mm),
        interval_mm=given.length("ReformattingInterval", defaults.interval_mm),
        orientation=defaults.orientation if direction is defaults.direction else None,
        position=None,
    )
    if geometry:
        planes = replace(planes, orientation=given.orientation(planes), position=given.position())
    elif direction is Direction.OBLIQUE and planes.orientation is None:
        raise BadRequest(
            "ImageOrientationPatient",
            "OBLIQUE needs the cosines of a preset here, because a header file speaks of the current image",
        )
    return _with_thickness(planes, given)


def stated_of(identifier: Dataset, keywords: tuple[str, ...]) -> Header:
    """Return what the identifier says of the current image; empty values and wild cards say nothing."""
    stated: dict[str, Value] = {}
    for keyword in keywords:
        values = texts(identifier, keyword)
        if not values or any("*" in value or "?" in value for value in values):
            continue
        numeric = dictionary_VR(keyword) in ("IS", "DS")
        converted = tuple(_number(keyword, value) for value in values) if numeric else values
        stated[keyword] = converted[0] if len(converted) == 1 else converted
    return Header(stated)


def without_effect(identifier: Dataset) -> tuple[str, ...]:
    """Return the keys that are given, are understood, and change nothing of what is made."""
    if not has_trigger(identifier):
        return tuple(key for key in OF_THE_TRIGGER if texts(identifier, key))
    thin = texts(identifier, TRIGGER) == (Operation.MPR,)
    one_plane = bool(texts(identifier, "ImagePositionPatient")) and not is_header(identifier)
    cannot_apply = {"RenderingMethod": thin, "ReformattingInterval": one_plane}
    return tuple(key for key, cannot in cannot_apply.items() if cannot and texts(identifier, key))


def texts(identifier: Dataset, keyword: str) -> tuple[str, ...]:
    """Return the values of an attribute as text, without padding; none where it is absent or empty.

    Raises ``BadRequest`` where the bytes are no value of its kind.
    """
    tag = tag_for_keyword(keyword)
    item = None if tag is None else identifier.get_item(tag)
    if item is None:
        return ()
    if isinstance(item, RawDataElement) and dictionary_VR(keyword) != "PN":
        raw = item.value or b""
        if dictionary_VR(keyword) == "FD":
            return _doubles(keyword, raw, "<" if item.is_little_endian else ">")
        content: object = raw.decode("latin-1").split("\\")
    else:
        content = identifier[keyword].value
    values = content if isinstance(content, list | tuple | MultiValue) else [content]
    stripped = tuple(str(value).strip(" \0") for value in values if value is not None)
    return stripped if any(stripped) else ()


def _doubles(keyword: str, raw: bytes, order: str) -> tuple[str, ...]:
    if len(raw) % 8:
        raise BadRequest(keyword, f"{keyword} holds {len(raw)} bytes; its values have 8 bytes each (FD)")
    return tuple(repr(value) for value in struct.unpack(f"{order}{len(raw) // 8}d", raw))


def _number(keyword: str, text: str) -> float | int:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        needed = "a number is needed"
        raise BadRequest(keyword, f"{keyword} is {text!r}; {needed}", f"{keyword}: {needed}")
    return int(number) if dictionary_VR(keyword) == "IS" and number == int(number) else number


def _one_uid(identifier: Dataset, keyword: str, *, needed: bool = False) -> str:
    uids = texts(identifier, keyword)
    if len(uids) > 1 or (needed and not uids):
        found = f"has {len(uids)} values" if uids else "is absent or empty"
        raise BadRequest(keyword, f"{keyword} {found}; one UID is needed")
    return uids[0] if uids else ""


@dataclass(frozen=True, slots=True)
class _Given:
    """The keys of one identifier, each checked as it is read."""

    identifier: Dataset

    def word(self, keyword: str, words: type[Word], default: Word) -> Word:
        found = texts(self.identifier, keyword)
        if not found:
            return default
        if len(found) > 1 or found[0] not in list(words):
            needed = f"one of {', '.join(words)} is needed"
            raise BadRequest(keyword, f"{keyword} is {'/'.join(found)!r}; {needed}", f"{keyword}: {needed}")
        return words(found[0])

    def length(self, keyword: str, default: float) -> float:
        found = self._numbers(keyword, 1)
        if found and found[0] <= 0:
            raise BadRequest(keyword, f"{keyword} is {found[0]:g} mm; a length above 0 is needed")
        return found[0] if found else default

    def orientation(self, planes: PlaneRequest) -> Orientation | None:
        """Return the cosines that are given, made exactly orthonormal, or those of *planes*."""
        found = self._numbers("ImageOrientationPatient", 6) or None
        if found is None and planes.orientation is not None:
            return planes.orientation
        cosines = checked_orientation(found, planes.direction)
        return cosines if planes.direction is Direction.OBLIQUE else planes.orientation

    def position(self) -> Vector | None:
        found = self._numbers("ImagePositionPatient", 3)
        return (found[0], found[1], found[2]) if found else None

    def gives(self, keyword: str) -> bool:
        return bool(texts(self.identifier, keyword))

    def _numbers(self, keyword: str, count: int) -> tuple[float, ...]:
        found = tuple(float(_number(keyword, text)) for text in texts(self.identifier, keyword))
        if found and len(found) != count:
            raise BadRequest(keyword, f"{keyword} has {len(found)} values; {count} are needed")
        return found


def _with_thickness(planes: PlaneRequest, given: _Given) -> PlaneRequest:
    keyword = "ReformattingThickness"
    if planes.operation is not Operation.SLAB and given.gives(keyword):
        raise BadRequest(
            keyword, "Reformatting Thickness is given with MPR, whose planes are thin; ask for SLAB"
        )
    return replace(planes, thickness_mm=checked_thickness(planes))

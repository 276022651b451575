"""References to the sources of one object: Source Image Sequence and Referenced Series Sequence.

Each with its purpose (PS3.3 C.12.4.1, CID 7202), and again by series (C.12.2) for archives that look up at
series level. Three hundred references make 64 KiB an object, so the items are encoded once and joined; planes
that touch the same sources share both sequences.
"""

from collections.abc import Sequence
from functools import lru_cache

from scp.model.concepts import SOURCE_IMAGE_FOR_IMAGE_PROCESSING_OPERATION
from scp.results import elements
from scp.results.provenance import SourceReference, coded

REFERENCED_SERIES_SEQUENCE = 0x00081115
REFERENCED_INSTANCE_SEQUENCE = 0x0008114A
REFERENCED_SOP_CLASS_UID = 0x00081150
REFERENCED_SOP_INSTANCE_UID = 0x00081155
REFERENCED_FRAME_NUMBER = 0x00081160
SOURCE_IMAGE_SEQUENCE = 0x00082112
SERIES_INSTANCE_UID = 0x0020000E
PURPOSE_OF_REFERENCE_CODE_SEQUENCE = 0x0040A170


class References:
    """The references of a series, ready to be joined for any of its objects."""

    def __init__(self, references: Sequence[SourceReference]) -> None:
        self._references = references
        self._instances = [_instance(reference) for reference in references]
        purpose = elements.item(elements.data_set(coded(SOURCE_IMAGE_FOR_IMAGE_PROCESSING_OPERATION)))
        self._purpose = elements.sequence(PURPOSE_OF_REFERENCE_CODE_SEQUENCE, [purpose])
        self._images = [elements.item(instance + self._purpose) for instance in self._instances]
        self._items = [elements.item(instance) for instance in self._instances]
        self._framed = any(reference.frame for reference in references)
        self.sequences = lru_cache(maxsize=1)(self._sequences)

    def _sequences(self, sources: tuple[int, ...]) -> tuple[bytes, bytes]:
        """Return Referenced Series Sequence and Source Image Sequence for the references *sources*."""
        return self._referenced_series(sources), self._source_images(sources)

    def _source_images(self, sources: Sequence[int]) -> bytes:
        """One item an instance."""
        if not self._framed:
            return elements.sequence(SOURCE_IMAGE_SEQUENCE, [self._images[index] for index in sources])
        items = [
            elements.item(instance + self._frames(indices) + self._purpose)
            for instance, indices in self._by_instance(sources).items()
        ]
        return elements.sequence(SOURCE_IMAGE_SEQUENCE, items)

    def _referenced_series(self, sources: Sequence[int]) -> bytes:
        """An adopted image has no Series Instance UID and stands in Source Image Sequence alone."""
        by_series: dict[str, list[int]] = {}
        for index in sources:
            by_series.setdefault(self._references[index].series_instance_uid, []).append(index)
        items = [self._series(uid, indices) for uid, indices in by_series.items() if uid]
        return elements.sequence(REFERENCED_SERIES_SEQUENCE, items)

    def _series(self, series_instance_uid: str, sources: Sequence[int]) -> bytes:
        if self._framed:
            instances = [elements.item(instance) for instance in self._by_instance(sources)]
        else:
            instances = [self._items[index] for index in sources]
        return elements.item(
            elements.sequence(REFERENCED_INSTANCE_SEQUENCE, instances)
            + elements.text(SERIES_INSTANCE_UID, "UI", series_instance_uid)
        )

    def _by_instance(self, sources: Sequence[int]) -> dict[bytes, list[int]]:
        found: dict[bytes, list[int]] = {}
        for index in sources:
            found.setdefault(self._instances[index], []).append(index)
        return found

    def _frames(self, sources: Sequence[int]) -> bytes:
        """Return Referenced Frame Number; the frames of one image are its sources in ascending order."""
        numbers = sorted(self._references[index].frame for index in sources)
        joined = "\\".join(str(number) for number in numbers if number)
        return elements.text(REFERENCED_FRAME_NUMBER, "IS", joined) if joined else b""


def _instance(reference: SourceReference) -> bytes:
    return elements.text(REFERENCED_SOP_CLASS_UID, "UI", reference.sop_class_uid) + elements.text(
        REFERENCED_SOP_INSTANCE_UID, "UI", reference.sop_instance_uid
    )

"""The record of a described result: everything that its objects need but pixels.

It travels to the processes that render; ``scp.results.encode`` makes files of it. Nothing in it is a clock's,
a path's or a random number's.
"""

from dataclasses import dataclass

from scp.reconstruction.pixels import PixelFormat
from scp.results.provenance import SourceReference


@dataclass(frozen=True, slots=True)
class Plane:
    """What one plane has of its own.

    *image_position_patient* are three DS texts (mm, LPS); *sources* are indices into the references of the
    series.
    """

    sop_instance_uid: str
    instance_number: int
    image_position_patient: tuple[str, str, str]
    derivation_description: str
    sources: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ResultSeries:
    """One result series, whole but for its pixels.

    *runs*: the encoded elements (Explicit VR Little Endian) that are the same in all objects, cut where the
    elements of ``scp.results.encode.VARYING`` stand. *frames_per_object* is 1, or the number of planes where
    all of them are frames of one object; *sop_instance_uids* has one UID for each object.
    """

    sop_class_uid: str
    transfer_syntax_uid: str
    study_instance_uid: str
    series_instance_uid: str
    series_number: int
    series_description: str
    modality: str
    image_comments: str
    rows: int
    columns: int
    pixel_spacing_mm: float
    pixel_format: PixelFormat
    planes: tuple[Plane, ...]
    references: tuple[SourceReference, ...]
    frames_per_object: int
    runs: tuple[bytes, ...]

    @property
    def sop_instance_uids(self) -> tuple[str, ...]:
        """One for each object, in the order of Instance Numbers."""
        return tuple(plane.sop_instance_uid for plane in self.planes[:: self.frames_per_object])

    @property
    def is_pet(self) -> bool:
        """Tell whether the objects count themselves a second time, in Image Index (C.8.9.4)."""
        return self.modality == "PT" and self.sop_class_uid.endswith(".128")

"""The record of a described result: everything that its objects need but pixels.

It travels to the processes that render; ``scp.results.encode`` makes files of it. Nothing in it is a clock's,
a path's or a random number's.
"""

from dataclasses import dataclass

from pydicom.uid import PositronEmissionTomographyImageStorage

from scp.reconstruction.pixels import PixelFormat
from scp.results.provenance import SourceReference


@dataclass(frozen=True, slots=True)
class ResultObject:
    """What one object has of its own.

    *image_position_patient* are three DS texts (mm, LPS), none where all planes are frames of the object;
    *sources* are indices into the references of the series.
    """

    sop_instance_uid: str
    instance_number: int
    image_position_patient: tuple[str, ...]
    derivation_description: str
    sources: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ResultSeries:
    """One result series, whole but for its pixels.

    *short_description* is Series Description as a dry run says it. *pixel_format* tells how planes come;
    *value_offset* is added before they are stored, where the class knows no signed values. *objects* are in
    the order of Instance Numbers; *frames_per_object* is 1, or the number of planes where all of them are
    frames of one object. *runs*: the encoded elements (Explicit VR Little Endian) that all objects share, cut
    where the elements of ``scp.results.encode.VARYING`` stand.
    """

    sop_class_uid: str
    transfer_syntax_uid: str
    study_instance_uid: str
    series_instance_uid: str
    series_number: int
    series_description: str
    short_description: str
    rows: int
    columns: int
    pixel_format: PixelFormat
    value_offset: int
    objects: tuple[ResultObject, ...]
    references: tuple[SourceReference, ...]
    frames_per_object: int
    runs: tuple[bytes, ...]

    @property
    def sop_instance_uids(self) -> tuple[str, ...]:
        """One for each object, in the order of Instance Numbers."""
        return tuple(each.sop_instance_uid for each in self.objects)

    @property
    def has_image_index(self) -> bool:
        """Tell whether objects count themselves a second time, in Image Index (PS3.3 C.8.9.4)."""
        return self.sop_class_uid == PositronEmissionTomographyImageStorage

"""Every way to fail, as a tree, and the vocabulary of outcomes.

::

    MprScpError
    ├── ConfigurationError        the TOML file is wrong; the node does not start, a reload is refused
    ├── NotDicom                  bytes that are no DICOM data set
    ├── Refused                   one request ends here, and the requestor is told why
    │   └── BadRequest            the request itself is at fault
    ├── StoreRefused              one instance is not taken
    │   ├── OutOfSpace
    │   ├── SOPClassNotSupported  its presentation context is for something else
    │   ├── IdentityMismatch      command and data set name different instances
    │   └── Unparseable
    ├── IndexUnavailable          the index does not answer
    │   └── IndexChanged          another process changed what was relied on: try once more
    ├── PeerFailed                the other end of an association did not do its part
    ├── DecodingFailed            a frame of pixels cannot be had from its file
    ├── WorkerFailed              the disposable child died, hung or ran out of memory
    └── Cancelled                 nobody wants the result any more

A message says what was found, what was needed and what to do. What each class means on the wire is
a table in ``scp.services.status``; exit codes are a table in ``scp.cli``.
"""

from enum import StrEnum
from pathlib import Path


class Code(StrEnum):
    """What happened to a file or to a request: one vocabulary for reports, statuses and tests.

    A file reason that falls on the current image is a refusal with the same code. The codes of the
    auxiliary identifiers follow the configured keyword and come from :func:`differs_code`.
    """

    OK = "ok"
    USED = "used"

    # one file is left out
    NOT_DICOM = "not-dicom"
    NOT_A_FILE = "not-a-file"
    UNREADABLE = "unreadable"
    TRUNCATED = "truncated"
    NO_PIXEL_DATA = "no-pixel-data"
    NOT_AN_IMAGE = "not-an-image"
    OTHER_PATIENT = "other-patient"
    OTHER_PATIENT_ID = "other-patient-id"
    OTHER_STUDY = "other-study"
    OTHER_SERIES = "other-series"
    SERIES_UID_MISSING = "series-uid-missing"
    AUXILIARY_MISSING = "auxiliary-missing"
    LOCALIZER = "localizer"
    NOT_A_SOURCE_IMAGE = "not-a-source-image"
    NO_GEOMETRY = "no-geometry"
    OTHER_ORIENTATION = "other-orientation"
    OTHER_MATRIX = "other-matrix"
    OTHER_PIXEL_SPACING = "other-pixel-spacing"
    OTHER_PIXEL_FORMAT = "other-pixel-format"
    OTHER_FRAME_OF_REFERENCE = "other-frame-of-reference"
    OTHER_STACK = "other-stack"
    CANNOT_DECODE = "cannot-decode"
    DUPLICATE = "duplicate"
    LOSSY_DIFFERS = "lossy-differs"
    REJECTED = "rejected"
    POSITION_DIFFERS = "position-differs"
    UNDECIDED = "undecided"

    # the request is refused
    CURRENT_IMAGE_ALONE = "current-image-alone"
    DUPLICATE_CONFLICT = "duplicate-conflict"
    CANDIDATE_CONFLICT = "candidate-conflict"
    HEADER_DISAGREES = "header-disagrees"
    WHICH_STACK = "which-stack"
    AMBIGUOUS_STACK = "ambiguous-stack"
    NOT_A_STACK = "not-a-stack"
    NO_EXTENT = "no-extent"
    IRREGULAR_SPACING = "irregular-spacing"
    MISSING_INSTANCES = "missing-instances"
    TOO_FEW_IMAGES = "too-few-images"
    BAD_REQUEST = "bad-request"
    NOT_AUTHORIZED = "not-authorized"
    UNKNOWN_IMAGE = "unknown-image"
    NO_CONTEXT = "no-context"
    RESULT_STALE = "result-stale"
    DEADLINE = "deadline"
    OUT_OF_RESOURCES = "out-of-resources"
    INTERNAL = "internal"

    # the report mentions it
    NO_PREAMBLE = "no-preamble"
    ADOPTED = "adopted"
    FRAME_OF_REFERENCE_PER_SLICE = "frame-of-reference-per-slice"
    NUMBERING_GAP = "numbering-gap"
    NUMBERING_UNUSABLE = "numbering-unusable"
    ENDS_MISSING = "ends-missing"
    VARIABLE_SPACING = "variable-spacing"
    GANTRY_TILT = "gantry-tilt"
    SLABS_END_EARLY = "slabs-end-early"


def differs_code(keyword: str) -> str:
    """Return the reason for a file whose *keyword* differs: ``SeriesNumber`` -> ``other-series-number``."""
    words = "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in keyword)
    return f"other{words}"


class MprScpError(Exception):
    """Base of all errors that this package raises on purpose."""


class ConfigurationError(MprScpError):
    """The configuration cannot be used; the message names key, file, found and needed."""


class NotDicom(MprScpError):
    """The bytes are no DICOM data set, or its header does not parse."""


class Refused(MprScpError):
    """One request ends without a result.

    *code* is the outcome, *comment* what Error Comment says after it (numbers, keywords, never patient
    data), and *sentence* the whole truth for logs and the command line.
    """

    def __init__(self, code: str, sentence: str, comment: str = "") -> None:
        super().__init__(code, sentence, comment)  # all of it in args: a refusal crosses processes
        self.code = code
        self.comment = comment
        self.sentence = sentence

    def __str__(self) -> str:
        return self.sentence

    @property
    def error_comment(self) -> str:
        """Error Comment (0000,0902): LO, at most 64 ASCII characters, no backslash (PS3.7 Annex C)."""
        text = f"{self.code}: {self.comment}" if self.comment else self.code
        return text.encode("ascii", "replace").decode("ascii").replace("\\", "/")[:64].rstrip()


class BadRequest(Refused):
    """An attribute of the request is wrong; *keyword* names it.

    *for_log* is said in logs instead of a sentence that quotes text of the request.
    """

    def __init__(self, keyword: str, sentence: str, for_log: str = "") -> None:
        super().__init__(Code.BAD_REQUEST, sentence, keyword)
        self.args = (keyword, sentence, for_log)
        self.keyword = keyword
        self.for_log = for_log or sentence


class StoreRefused(MprScpError):
    """The archive does not take an instance; nothing of it is left behind."""


class OutOfSpace(StoreRefused):
    """The disk is full, or below ``archive.minimum_free``."""


class SOPClassNotSupported(StoreRefused):
    """The presentation context was not accepted for instances of this SOP Class."""


class IdentityMismatch(StoreRefused):
    """SOP Class or Instance UID of the command and of the data set differ."""


class Unparseable(StoreRefused):
    """The data set does not parse, or lacks a legal identity."""


class IndexUnavailable(MprScpError):
    """The index cannot be read or written."""


class IndexChanged(IndexUnavailable):
    """Another process changed rows that were remembered, or wrote the same one first."""


class PeerFailed(MprScpError):
    """The other application entity refused, failed, or stayed silent; *short* is for an Error Comment."""

    def __init__(self, sentence: str, short: str = "") -> None:
        super().__init__(sentence, short)
        self.short = short or sentence

    def __str__(self) -> str:
        return str(self.args[0])


class DecodingFailed(MprScpError):
    """Pixels cannot be read or decoded; the message names file and cause, *paths* are all such files."""

    def __init__(self, sentence: str, *paths: Path) -> None:
        super().__init__(sentence, *paths)  # all of it in args: it crosses processes
        self.paths = paths

    def __str__(self) -> str:
        return str(self.args[0])


class WorkerFailed(MprScpError):
    """The process that rendered died, hung, or exceeded its memory."""


class Cancelled(MprScpError):
    """The requestor cancelled, aborted or vanished."""

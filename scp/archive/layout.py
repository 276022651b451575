"""Where an instance lies in the archive: checked values in, path out. The only place that makes such paths.

``BATCH/PATIENT/STUDY/SERIES/INSTANCE.dcm`` below the root. A folder's name is readable where its texts
are plain letters and digits, and always ends in a digest of the whole identity: two identities never
share a folder, one identity never gets two, whatever bytes a sender put into a name. Unchecked text
never reaches a path: letters outside ASCII are written without their accents or left out, everything
that a file system, a shell or a person could misread becomes an underscore. The file's name is the SOP
Instance UID, which holds digits and dots only (PS3.5 9.1).
"""

import base64
import hashlib
import json
import re
import time
import unicodedata
from functools import lru_cache
from pathlib import PurePath
from typing import Final

from scp.model import Header, Origin, folded_name, is_legal_uid

LONGEST_WORD: Final = 32
"""Characters of one attribute in a folder's name; five levels stay far below any path limit."""

_UNSAFE: Final = re.compile(r"[^A-Za-z0-9.^-]+")


def batch_folder(template: str, origin: Origin, now_s: float) -> str:
    """Return the first-level folder for what arrives now; ``{date}`` is the local date."""
    local = time.localtime(now_s)
    filled = (
        template.replace("{date}", time.strftime("%Y-%m-%d", local))
        .replace("{hour}", time.strftime("%H", local))
        .replace("{calling_ae}", origin.calling_ae_title)
    )
    return folder_name(filled)


@lru_cache(maxsize=256)
def folder_name(text: str) -> str:
    """Return *text* as the name of one folder that is never hidden, empty or a device's."""
    word = _readable(text, longest=2 * LONGEST_WORD)
    return word if word and not _is_device(word) else f"batch_{word}".rstrip("_")


def patient_identity(header: Header) -> tuple[str, str, str]:
    """Return what tells one patient from another: Patient ID, its issuer, and the folded Patient's Name.

    Names of which one lacks a group may be of one patient, and are kept apart here: no folder may be wrong.
    """
    issuer, name = header.text("IssuerOfPatientID"), header.text("PatientName")
    return header.text("PatientID"), issuer, folded_name(name)


def patient_folder(header: Header) -> str:
    readable = header.text("PatientID") or header.text("PatientName")
    return _joined((readable,), patient_identity(header))


def study_folder(header: Header) -> str:
    return _joined(
        (header.text("StudyDate"), header.text("StudyDescription")),
        (*patient_identity(header), header.text("StudyInstanceUID")),
    )


def series_folder(header: Header) -> str:
    uids = (header.text("StudyInstanceUID"), header.text("SeriesInstanceUID"))
    return _joined(
        (header.text("SeriesNumber"), header.text("Modality"), header.text("SeriesDescription")),
        (*patient_identity(header), *uids),
    )


def instance_path(batch: str, header: Header) -> PurePath:
    """Return the path below the root of a new series' instance."""
    folders = (patient_folder(header), study_folder(header), series_folder(header))
    return PurePath(batch, *folders, instance_name(header.text("SOPInstanceUID")))


def instance_name(sop_instance_uid: str, content: str = "") -> str:
    """Return the name of an instance's file; *content* (a digest) tells a second one of the same UID apart.

    Raises ``ValueError`` for an illegal UID: who asks has checked it before.
    """
    if not is_legal_uid(sop_instance_uid):
        raise ValueError("an illegal UID must never reach a path")
    return f"{sop_instance_uid}_{content[:16]}.dcm" if content else f"{sop_instance_uid}.dcm"


def is_instance_name(name: str) -> bool:
    """Tell whether :func:`instance_name` may have made *name*, of nothing but UID and digest."""
    uid, _, content = name.removesuffix(".dcm").partition("_")
    return (
        name.endswith(".dcm") and is_legal_uid(uid) and re.fullmatch(r"([0-9a-f]{16})?", content) is not None
    )


def _joined(words: tuple[str, ...], identity: tuple[str, ...]) -> str:
    readable = "_".join(word for word in map(_readable, words) if word).replace(".", "_")
    digest = hashlib.sha256(json.dumps(identity).encode("ascii")).digest()
    suffix = base64.b32encode(digest[:10]).decode("ascii").lower()
    return f"{readable}_{suffix}" if readable else suffix


def _readable(text: str, longest: int = LONGEST_WORD) -> str:
    plain = unicodedata.normalize("NFKD", text[:1000]).encode("ascii", "ignore").decode("ascii")
    return _UNSAFE.sub("_", plain)[:longest].replace("^", "_").strip("._- ")


def _is_device(word: str) -> bool:
    """Tell whether Windows would take *word* for a device: archives are shared over SMB."""
    stem = word.split(".")[0].upper()
    return stem in {"CON", "PRN", "AUX", "NUL"} or re.fullmatch(r"(COM|LPT)[0-9]", stem) is not None

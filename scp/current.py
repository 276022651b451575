"""Which image a request means: the one that the whole selection starts from."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from scp.errors import Code, Refused
from scp.model import FileFacts, FolderReader, Header, MPRRequest, SelectionRules, counted
from scp.selection import NoMiddleImage, current_of_series, select
from scp.selection.identity import (
    OF_PATIENT,
    agree_with_request,
    by_patient_and_study,
    disagreement,
    same_patient,
)

NO_IMAGE = frozenset({Code.NOT_DICOM, Code.NOT_A_FILE, Code.NO_PIXEL_DATA, Code.NOT_AN_IMAGE})
"""What a scan says of files that are no DICOM image, whole or damaged."""

NAME_ANOTHER = "name an image or a folder of images"

SEND_IT = "send it first, or ask where it is"

LOOK_AGAIN_S = 10.0
"""How long an unknown image is looked for among what people may have copied in just now."""


class Holdings(Protocol):
    """The images that are known beyond one folder: an archive, or nothing."""

    def instance_files(self, sop_instance_uid: str) -> tuple[FileFacts, ...]: ...

    def series_files(self, study_uid: str, series_uid: str) -> tuple[FileFacts, ...]: ...

    def home_of(self, series_uid: str) -> Path | None:
        """Return the folder that the archive itself made for a series, if there is one."""

    def look_again(self, within_s: float) -> None:
        """Look for what people copied in since, for at most so long."""

    def rejected(self) -> frozenset[str]:
        """Return the SOP Instance UIDs that a rejection note names."""


class NoHoldings:
    """What the command line knows beyond the folder that it was given: nothing."""

    def instance_files(self, sop_instance_uid: str) -> tuple[FileFacts, ...]:  # noqa: ARG002 the protocol's
        return ()

    def series_files(self, study_uid: str, series_uid: str) -> tuple[FileFacts, ...]:  # noqa: ARG002 the same
        return ()

    def home_of(self, series_uid: str) -> Path | None:  # noqa: ARG002 the same
        return None

    def look_again(self, within_s: float) -> None:
        pass

    def rejected(self) -> frozenset[str]:
        return frozenset()


def current_image(
    request: MPRRequest, holdings: Holdings, read_folder: FolderReader, rules: SelectionRules
) -> FileFacts:
    """Return the facts of the image that *request* starts from.

    It is named by path or SOP Instance UID; a series that is named stands for the middle image of its one
    stack, in the node's own folder of it, else in the folder that holds most of it. Where the images of
    several patients or studies bear its UID, those of each are looked at in a folder of their own, and only
    those of the patient whom the request states. Raises ``Refused``.
    """
    if request.path is not None:
        return _current_by_path(request.path, read_folder, rules)
    files = _files_named(request, holdings)
    if not files:
        holdings.look_again(LOOK_AGAIN_S)
        files = _files_named(request, holdings)
    if not files:
        raise _unknown(request, holdings)
    if request.sop_instance_uid:
        return _best_copy(files, holdings)
    home = holdings.home_of(request.series_instance_uid)
    return current_of_series(list(_in_one_folder_each(by_patient_and_study(files), home)), rules)


def _files_named(request: MPRRequest, holdings: Holdings) -> tuple[FileFacts, ...]:
    if request.sop_instance_uid:
        return holdings.instance_files(request.sop_instance_uid)
    files = holdings.series_files(request.study_instance_uid, request.series_instance_uid)
    return tuple(facts for facts in files if _is_of_patient(request, facts.header))


def _is_of_patient(request: MPRRequest, header: Header) -> bool:
    """Tell whether an image is of the patient whom the request means, as far as it says whom."""
    listed = request.patient is None or same_patient(request.patient, header)
    return listed and not disagreement(header, request.stated, OF_PATIENT)


def _in_one_folder_each(parts: Sequence[Sequence[FileFacts]], home: Path | None) -> Iterator[FileFacts]:
    """Yield of the images of each patient and study those that lie in the folder to start from.

    *home* is the folder of whoever has most images there: others have strays in it.
    """
    at_home = [sum(facts.path.parent == home for facts in part) for part in parts]
    for part, count in zip(parts, at_home, strict=True):
        fullest, _ = Counter(facts.path.parent for facts in part).most_common(1)[0]
        chosen = home if count and count == max(at_home) else fullest
        yield from (facts for facts in part if facts.path.parent == chosen)


def _current_by_path(path: Path, read_folder: FolderReader, rules: SelectionRules) -> FileFacts:
    path = path.absolute()
    if path.is_dir():
        return _current_of_folder(path, read_folder(path), rules)
    for facts in read_folder(path.parent):
        if facts.path == path:
            return _an_image(facts, rules)
    raise Refused(Code.UNKNOWN_IMAGE, f"there is no file {path}; {NAME_ANOTHER}")


def _an_image(facts: FileFacts, rules: SelectionRules) -> FileFacts:
    """Return *facts*; of what is no DICOM image nothing is asked about its neighbours."""
    if facts.reason not in NO_IMAGE:
        return facts
    sentence = f"{facts.path} is no DICOM image: {facts.detail or facts.reason}; {NAME_ANOTHER}"
    raise NoMiddleImage(replace(select(facts, [facts], rules), sentence=sentence))


def _current_of_folder(folder: Path, files: Sequence[FileFacts], rules: SelectionRules) -> FileFacts:
    """Return the image that stands for *folder*; where there is none, say so in words of files."""
    if not files:
        raise Refused(Code.UNKNOWN_IMAGE, _nothing_in(folder))
    try:
        return current_of_series(files, rules, by_file=True)
    except NoMiddleImage as error:
        if not {facts.reason for facts in files} <= NO_IMAGE:
            raise
        sub_folders = _sub_folders(folder)
        rest = f", {sub_folders}" if sub_folders else f"; {NAME_ANOTHER}"
        sentence = f"no DICOM image in {folder}: {_told(files)}{rest}"
        raise NoMiddleImage(replace(error.report, sentence=sentence)) from None


def _told(files: Sequence[FileFacts]) -> str:
    """Return how many of *files* there are for each reason; a DICOMDIR, which lists images, by its name."""
    directories = [facts for facts in files if _is_directory(facts)]
    reasons = Counter(facts.reason for facts in files if not _is_directory(facts))
    told = ", ".join(f"{reason} {count}" for reason, count in reasons.most_common())
    return " and ".join(filter(None, (told, "a DICOMDIR" if directories else "")))


def _is_directory(facts: FileFacts) -> bool:
    """Tell whether the file is the directory of a medium, by the name reserved for it (PS3.10 8.5)."""
    return facts.reason == Code.NOT_AN_IMAGE and facts.path.name.upper() == "DICOMDIR"


def _nothing_in(folder: Path) -> str:
    sub_folders = _sub_folders(folder)
    if sub_folders:
        return f"no files directly in {folder}, {sub_folders}"
    return f"the folder {folder} is empty; {NAME_ANOTHER}"


def _sub_folders(folder: Path) -> str:
    """Return how many sub-folders there are, and to name one; nothing where there are none."""
    below = sum(entry.is_dir() for entry in folder.iterdir())
    if not below:
        return ""
    return f"{counted(below, 'sub-folder')}; name {'it' if below == 1 else 'one of them'}"


def _best_copy(copies: Sequence[FileFacts], holdings: Holdings) -> FileFacts:
    """Return the copy in the folder that holds most of its series; a flawed one only where all are."""
    header = copies[0].header
    series = holdings.series_files(header.text("StudyInstanceUID"), header.text("SeriesInstanceUID"))
    holds = Counter(facts.path.parent for facts in series)
    return max(copies, key=lambda facts: (not facts.reason, holds[facts.path.parent], str(facts.path)))


def _unknown(request: MPRRequest, holdings: Holdings) -> Refused:
    """Return the refusal of a request for what is not here; of a series, by what is here instead.

    Raises ``Refused(header-disagrees)`` where its images are of other patients than the request states.
    """
    study, series = request.study_instance_uid, request.series_instance_uid
    if uid := request.sop_instance_uid:
        return Refused(
            Code.UNKNOWN_IMAGE, f"no image with the UID {uid} is in this archive; {SEND_IT}", "image"
        )
    bearers = holdings.series_files(study, series)
    for facts in bearers:
        agree_with_request(facts.header, request.stated)
    if bearers:
        return Refused(
            Code.UNKNOWN_IMAGE,
            f"no image of the series {series} in this archive is of the patient who is meant; {SEND_IT}",
            "series of that patient",
        )
    if holdings.series_files("", series):
        return Refused(
            Code.UNKNOWN_IMAGE,
            f"the series {series} is in this archive, but not in the study {study}; ask with its own study",
            "series not in that study",
        )
    return Refused(
        Code.UNKNOWN_IMAGE, f"no series with the UID {series} is in this archive; {SEND_IT}", "series"
    )

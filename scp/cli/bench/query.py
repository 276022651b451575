"""``bench query``: C-FIND among 5,000 studies against Orthanc, and selection in a folder against GDCM.

Queries go over :mod:`wire`, so that no client's decoding is measured; one association a query. Both archives
hold the same images and must find the same studies.
"""

from functools import partial
from io import BytesIO
from pathlib import Path

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from scp.cli.bench.ground import Ground
from scp.cli.bench.material import small_instances, uid, write_series
from scp.cli.bench.measuring import (
    SPEED,
    TIME,
    Finding,
    ResultsDiffer,
    Row,
    Trial,
    in_turn,
    medians,
    seconds_of,
)
from scp.cli.bench.programs import simpleitk
from scp.cli.bench.senders import send_raw
from scp.cli.bench.servers import Server, Start, orthanc, unsynced
from scp.cli.bench.wire import Association

STUDIES = 5_000
FILES = 1_000

STUDY_ROOT_FIND = "1.2.840.10008.5.1.4.1.2.2.1"
"""Study Root Query/Retrieve Information Model - FIND (PS3.4 C.6.2)."""

RETURN_KEYS = ("PatientName", "PatientID", "StudyDate", "StudyTime", "AccessionNumber", "StudyID")


def trials(ground: Ground) -> list[Trial]:
    what = f"C-FIND among {STUDIES:,} studies"
    start = partial(orthanc, synced=False)
    return [
        Trial(Row("find-all", f"{what}: all", "Orthanc", TIME, 1.0, 0.6), partial(_find, ground, start, "")),
        Trial(
            Row("find-one", f"{what}: one UID", "Orthanc", TIME, 1.0, 0.6),
            partial(_find, ground, start, uid("study", ("fill", STUDIES // 2))),
        ),
        Trial(
            Row("select", f"selection of a folder of {FILES:,} files, warm", "GDCM", SPEED, 2, 10),
            partial(_select, ground, False),
        ),
        Trial(
            Row("select-series", "the same, its current image not named", "GDCM", SPEED),
            partial(_select, ground, True),
        ),
    ]


def _find(ground: Ground, theirs: Start, study_instance_uid: str, pairs: int) -> Finding:
    images = small_instances(STUDIES, 1)
    identifier = study_query(study_instance_uid)
    with unsynced(ground.on_disk("ours")) as us, theirs(ground.on_disk("theirs")) as them:
        for server in (us, them):
            send_raw(server, [images[first::4] for first in range(4)])
        found = [studies(find(server, identifier)) for server in (us, them)]
        if found[0] != found[1] or len(found[0]) != (1 if study_instance_uid else STUDIES):
            raise ResultsDiffer(f"{us.name} finds {len(found[0])} studies, {them.name} {len(found[1])}")
        measured = in_turn(
            lambda: seconds_of(lambda: find(us, identifier)),
            lambda: seconds_of(lambda: find(them, identifier)),
            pairs,
        )
    said = zip((us, them), medians(measured), strict=True)
    return Finding(measured, "; ".join(f"{one.name} {1000 * seconds:.1f} ms" for one, seconds in said))


def study_query(study_instance_uid: str) -> bytes:
    """Return the identifier of a STUDY level query, for one study or, with an empty UID, for all."""
    ds = Dataset()
    ds.QueryRetrieveLevel = "STUDY"
    ds.StudyInstanceUID = study_instance_uid
    for keyword in RETURN_KEYS:
        setattr(ds, keyword, "")
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, False
    write_dataset(buffer, ds)
    return buffer.getvalue()


def find(server: Server, identifier: bytes) -> list[bytes]:
    """Return the identifiers of all answers, over an association of their own."""
    with Association(server.port, server.ae_title, STUDY_ROOT_FIND) as association:
        return list(association.find(identifier))


def studies(answers: list[bytes]) -> set[tuple[str, str]]:
    """Return Study Instance UID and Patient ID of each answer."""
    read = [dcmread(BytesIO(answer), force=True) for answer in answers]
    return {(str(ds.StudyInstanceUID), str(ds.PatientID)) for ds in read}


def _select(ground: Ground, by_series: bool, pairs: int) -> Finding:
    """Select the series of a folder that is indexed, its files in the page cache.

    The current image is any of them, or, *by_series*, looked for among all.
    """
    from scp.archive import Archive
    from scp.config import Archive as Settings
    from scp.config import Config
    from scp.selection import current_of_series, select

    series_file_names = simpleitk().ImageSeriesReader.GetGDCMSeriesFileNames
    folder = ground.in_memory("archive") / "batch" / "series"
    write_series(folder, FILES, 256)
    rules = Config().rules()

    def ours() -> list[Path]:
        facts = archive.read_folder(folder)
        current = current_of_series(facts, rules) if by_series else facts[0]
        return [one.path for one in select(current, facts, rules).stack]

    def theirs() -> list[Path]:
        return [Path(name) for name in series_file_names(str(folder))]

    with Archive.open(Settings(root=folder.parents[1], minimum_free=0)) as archive:
        archive.look_again(within_s=60)  # files written a moment ago are read anew each time
        orders = ours(), theirs()
        if orders[0] not in (orders[1], orders[1][::-1]):
            raise ResultsDiffer(f"we select {len(orders[0])} files, GDCM {len(orders[1])}, not in one order")
        measured = in_turn(lambda: seconds_of(ours), lambda: seconds_of(theirs), pairs)
    said = medians(measured)
    return Finding(measured, f"mpr-scp {1000 * said[0]:.0f} ms; GDCM {1000 * said[1]:.0f} ms")

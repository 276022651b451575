"""The same folder in the hands of others: SimpleITK with GDCM, dcm2niix, highdicom.

Each is used as its own examples do, with the series of the current image, and gives volumes of values and
geometry. Each runs in a process of its own: some of these folders hang or crash a reader, and what it writes
to stderr is how it warns.
"""

import contextlib
import multiprocessing
import os
import re
import shutil
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from tests.cases.measuring import Volume, best
from tests.cases.scenes import Scene

PATIENCE_S = 5.0
"""A reader takes tens of milliseconds for these folders; what takes this long waits for ever (on a pipe)."""

START_S = 60.0

LPS_FROM_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
WARNS = re.compile(r"^warning(?!.*(protocol data block|DTI))", re.IGNORECASE | re.MULTILINE)
"""A warning, but for those of private attributes that drawn images cannot have."""


@dataclass(frozen=True)
class Reading:
    """What a reader made of a folder: volumes, or an error, and whether it warned."""

    volumes: Sequence[Volume] = ()
    error: str = ""
    said: str = ""

    def in_words(self, scene: Scene) -> str:
        """Return the measured outcome in few words."""
        warns = bool(WARNS.search(self.said))
        if self.volumes:
            words = best(self.volumes, scene).in_words(scene.lost)
            number = f"; best of {len(self.volumes)} volumes" if len(self.volumes) > 1 else ""
            return words + number + ("; warning" if warns else "")
        if self.error:
            return f"error: {self.error}"
        return "nothing" + ("; warning" if warns else "")


def simple_itk(current: Path) -> list[Volume]:
    """Read the series that GDCM finds in the folder and that holds the current image."""
    import SimpleITK as Itk

    folder = current if current.is_dir() else current.parent
    series_reader = Itk.ImageSeriesReader
    volumes = []
    for series in series_reader.GetGDCMSeriesIDs(str(folder)):
        names = series_reader.GetGDCMSeriesFileNames(str(folder), series)
        if current.is_dir() or current in map(Path, names):
            reader = series_reader()
            reader.SetFileNames(names)
            volumes.append(_of_itk(reader.Execute(), Itk))
    return volumes


def _of_itk(image, itk) -> Volume:
    if image.GetDimension() == 4:  # the frames of one file are its third axis, files its fourth
        image = image[:, :, :, 0]
    matrix = np.eye(4)
    matrix[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
    matrix[:3, 3] = image.GetOrigin()
    return Volume(itk.GetArrayFromImage(image), matrix)


def high_dicom(current: Path) -> list[Volume]:
    """Read the DICOM files of the folder that bear the Series Instance UID of the current image."""
    import highdicom
    import pydicom

    folder = current if current.is_dir() else current.parent
    datasets = []
    for path in sorted(path for path in folder.iterdir() if path.is_file()):
        with contextlib.suppress(pydicom.errors.InvalidDicomError):
            datasets.append((path, pydicom.dcmread(path)))
    wanted = {ds.get("SeriesInstanceUID") for path, ds in datasets if current.is_dir() or path == current}
    chosen = [(path, ds) for path, ds in datasets if ds.get("SeriesInstanceUID") in wanted]
    if not chosen:
        return []
    if len(chosen) == 1 and "NumberOfFrames" in chosen[0][1]:
        volume = highdicom.imread(chosen[0][0]).get_volume()
    else:
        volume = highdicom.get_volume_from_series([ds for _, ds in chosen])
    reversed_axes = volume.affine[:, [2, 1, 0, 3]]
    return [Volume(np.array(volume.array), reversed_axes)]


def dcm2niix(current: Path) -> list[Volume]:
    """Convert the folder, and read what it wrote for the series of the current image."""
    import pydicom

    folder = current if current.is_dir() else current.parent
    with tempfile.TemporaryDirectory() as out:
        words = [_dcm2niix_program(), "-b", "n", "-z", "n", "-f", "%j", "-o", out, str(folder)]
        done = subprocess.run(words, capture_output=True, text=True, errors="replace", check=False)
        sys.stderr.write("\n".join(line for line in done.stdout.splitlines() if "Warning" in line))
        series = "" if current.is_dir() else str(pydicom.dcmread(current, force=True).SeriesInstanceUID)
        written = sorted(path for path in Path(out).glob("*.nii") if path.name.startswith(series))
        return [volume for path in written for volume in _of_nifti(path.read_bytes())]


def _dcm2niix_program() -> str:
    found = shutil.which("dcm2niix", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if found is None:
        raise FileNotFoundError("dcm2niix is not installed")
    return found


NIFTI_TYPES = {2: "u1", 4: "<i2", 8: "<i4", 16: "<f4", 64: "<f8", 128: "3u1", 256: "i1", 512: "<u2"}
"""NIfTI-1 data types (field at byte 70) that dcm2niix writes."""


def _of_nifti(content: bytes) -> list[Volume]:
    """Return the volumes of an uncompressed NIfTI-1 file, with its sform in DICOM's axes."""
    shape = [max(1, n) for n in np.frombuffer(content, "<i2", 8, 40)[1:5]]
    kind = NIFTI_TYPES[int(np.frombuffer(content, "<i2", 1, 70)[0])]
    start = int(np.frombuffer(content, "<f4", 1, 108)[0])
    slope, intercept = map(float, np.frombuffer(content, "<f4", 2, 112))
    sform = np.vstack([np.frombuffer(content, "<f4", 12, 280).reshape(3, 4), [0, 0, 0, 1]])
    stored = np.frombuffer(content, np.dtype(kind), int(np.prod(shape)), start).reshape(
        *shape[::-1], *np.dtype(kind).shape
    )
    values = stored * (slope or 1.0) + intercept
    return [Volume(one, LPS_FROM_RAS @ sform) for one in values]


READERS: dict[str, Callable[[Path], list[Volume]]] = {
    "SimpleITK/GDCM": simple_itk,
    "dcm2niix": dcm2niix,
    "highdicom": high_dicom,
}


def versions() -> dict[str, str]:
    return {
        "SimpleITK/GDCM": version("simpleitk"),
        "dcm2niix": version("dcm2niix"),
        "highdicom": version("highdicom"),
    }


class Reads:
    """Runs readers in a child that has loaded them all; one that hangs or crashes costs only its child."""

    def __init__(self) -> None:
        self._child, self._line = None, None

    def __call__(self, name: str, current: Path) -> Reading:
        """Return what the reader *name* makes of the folder of the current image."""
        if self._child is None:
            self._start()
        with tempfile.NamedTemporaryFile() as said:
            self._line.send((name, current, said.name))
            volumes, error = self._answer()
            return Reading(volumes, error, Path(said.name).read_text(errors="replace"))

    def close(self) -> None:
        if self._child is not None:
            self._child.kill()
            self._child.join()
            self._line.close()
            self._child = None

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._line, theirs = context.Pipe()
        self._child = context.Process(target=_serve, args=(theirs,), daemon=True)
        self._child.start()
        theirs.close()
        assert self._line.poll(START_S), "the readers did not load"
        self._line.recv()

    def _answer(self) -> tuple[list[Volume], str]:
        try:
            if self._line.poll(PATIENCE_S):
                return self._line.recv()
            outcome = HANGS
        except EOFError:
            outcome = "crashes"
        self.close()
        return [], outcome


HANGS = "hangs"


def _serve(line: Connection) -> None:
    """Run the readers that are asked for, one after the other; answer with (volumes, error)."""
    import highdicom
    import SimpleITK

    line.send((highdicom.__version__, SimpleITK.__version__))
    while True:
        name, current, said = line.recv()
        with _into(said):
            try:
                answer = READERS[name](current), ""
            except Exception as error:  # whatever a foreign reader raises is its outcome
                answer = [], _in_short(error)
        line.send(answer)


@contextlib.contextmanager
def _into(path: str) -> Iterator[None]:
    with open(path, "w") as file:  # noqa: PTH123 the descriptor is what counts
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        yield
        sys.stderr.flush()


def _in_short(error: Exception) -> str:
    """Return the first words of an error, without paths and numbers that change from run to run."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = next((line for line in reversed(lines) if not line.startswith("sitk::")), type(error).__name__)
    told = re.sub(r"\(0x[0-9a-f]+\)", "", re.sub(r"\S*/\S+", "...", told)).removeprefix("ITK ERROR: ")
    return textwrap.shorten(told, 60, placeholder=" ...").replace("|", "/")

"""The whole way on real images, in under two minutes: everything here is a real process on a free port.

1. ARCHIVE, a second node, gets a whole series by C-STORE; NODE gets the same series but for two images.
2. What lies about in real folders is dropped into NODE's: a picture, a text file, another patient's image,
   and an image of another series that carries this series' UID.
3. A dry run by C-FIND says what a reconstruction would use, leave out, and fetch from ARCHIVE.
4. Coronal, sagittal and oblique planes are asked for by C-MOVE and come to a small receiver.
5. The selection report is printed, and contact sheets are written.

    scripts/demo                       a head, CT with a tilted gantry (examples/head_ct.tar.xz)
    scripts/demo --data phantom        a drawn body with letters on its left, anterior and head side
    scripts/demo --data DIR            the largest series of any folder of DICOM files
"""

import argparse
import contextlib
import os
import shlex
import shutil
import subprocess
import sys
import tarfile
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pydicom
from PIL import Image
from pydicom.uid import generate_uid
from pynetdicom import AE, AllStoragePresentationContexts, evt

sys.path.insert(0, str(Path(__file__).parent))
import phantom

from scp.cli import contact_sheet
from scp.reconstruction.kernels import keeping

HERE = "127.0.0.1"
FEWEST = 12  # ten are a volume, and two are withheld

ARCHIVE_TOML = """
[node]
ae_title = "ARCHIVE"
port = 0
[archive]
root = "archive-of-the-peer"
[peers.demo]
ae_title = "DEMO"
host = "127.0.0.1"
rights = ["echo", "store", "find", "get"]
[peers.node]
ae_title = "NODE"
host = "127.0.0.1"
rights = ["echo", "find", "get"]
"""

NODE_TOML = """
[node]
ae_title = "NODE"
port = 0
[archive]
root = "archive-of-the-node"
[peers.demo]
ae_title = "DEMO"
host = "127.0.0.1"
port = {receiver}
rights = ["echo", "store", "find", "move", "get", "mpr"]
destination = true
[peers.archive]
ae_title = "ARCHIVE"
host = "127.0.0.1"
port = {archive}
complete_from = true
retrieve = "get"
[presets.MPR_COR]
direction = "CORONAL"
interval = 2.0
[presets.MPR_SAG]
direction = "SAGITTAL"
interval = 2.0
"""


@dataclass(frozen=True, slots=True)
class Series:
    """One series on disk, in the order of its Instance Numbers."""

    study_uid: str
    series_uid: str
    paths: tuple[Path, ...]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", default="head", metavar="DIR", help='a folder, "phantom", or "head"')
    parser.add_argument("--out", type=Path, default=Path("demo-out"), metavar="DIR")
    given = parser.parse_args()
    begun = time.monotonic()
    out = given.out.absolute()
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    series = largest_series(source(given.data, out))
    run(series, out)
    print(f"\ndone in {time.monotonic() - begun:.0f} s; all files are in {out}")


def run(series: Series, out: Path) -> None:
    with contextlib.ExitStack() as running:
        receiver = running.enter_context(receive(out / "received"))
        (out / "archive.toml").write_text(ARCHIVE_TOML)
        archive = running.enter_context(serve(out / "archive.toml"))
        (out / "node.toml").write_text(NODE_TOML.format(receiver=receiver, archive=archive))
        node = running.enter_context(serve(out / "node.toml"))
        if not kernels_are_kept():
            print(
                "the kernels are compiled once, now: what renders first waits for it, up to a minute or two"
            )
        step("Two nodes are up; ARCHIVE gets the whole series, NODE all but two images")
        fill(series, out, archive, node)
        folder = only_folder(out / "archive-of-the-node")
        step("What lies about in real folders is dropped into NODE's")
        litter(folder, series)
        command("explain", folder, may_fail=True)
        step("A dry run: what would NODE use, leave out, and fetch?")
        keys = "QueryRetrieveLevel=SERIES", *unique_keys(series), "ReformattingOperationType=MPR"
        wanted = "SeriesDescription", "NumberOfSeriesRelatedInstances", "Rows", "Columns", "ImageComments"
        ask("find", node, "NODE", *keys, *wanted)
        step("Coronal and sagittal planes by plain C-MOVE from a preset's AE title, an oblique slab by keys")
        ask("move", node, "MPR_COR", "QueryRetrieveLevel=SERIES", *unique_keys(series))
        ask("move", node, "MPR_SAG", "QueryRetrieveLevel=SERIES", *unique_keys(series))
        slab = "ReformattingOperationType=SLAB", "ReformattingThickness=6", "RenderingMethod=AVERAGE_IP"
        oblique = "ReformattingOperationInitialViewDirection=OBLIQUE"
        cosines = "ImageOrientationPatient=" + "\\".join(map(str, (1, 0, 0, 0, 0.8660254, -0.5)))
        ask("move", node, "NODE", "QueryRetrieveLevel=SERIES", *unique_keys(series), *slab, oblique, cosines)
        step("The selection report, now that NODE has fetched what it lacked")
        command("explain", folder)
    step("Contact sheets")
    for sheet in sheets(out):
        print(sheet)


def kernels_are_kept() -> bool:
    """Tell whether an earlier run has compiled the kernels already."""
    keeping.settle()
    return any(Path(os.environ[keeping.VARIABLE]).rglob("*.nbc"))


def step(sentence: str) -> None:
    print(f"\n== {sentence}", flush=True)


def source(data: str, out: Path) -> Path:
    """Return the folder of the images that *data* names."""
    if data == "phantom":
        phantom.write(out / "data")
        return out / "data"
    if data != "head":
        return Path(data)
    with tarfile.open(Path(__file__).with_name("head_ct.tar.xz")) as packed:
        packed.extractall(out / "data", filter="data")
    return out / "data"


def largest_series(folder: Path) -> Series:
    """Return the series with the most images in *folder* and below; files that are no DICOM do not matter."""
    found: dict[tuple[str, str], list[tuple[int, Path]]] = defaultdict(list)
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        with contextlib.suppress(pydicom.errors.InvalidDicomError, AttributeError):
            ds = pydicom.dcmread(path, stop_before_pixels=True)
            if "ImagePositionPatient" in ds:
                found[ds.StudyInstanceUID, ds.SeriesInstanceUID].append((int(ds.InstanceNumber or 0), path))
    if not found or len(largest := max(found.items(), key=lambda item: len(item[1]))[1]) < FEWEST:
        sys.exit(
            f"demo: {folder} holds no series of at least {FEWEST} images with an Image Position (Patient)"
        )
    (study_uid, series_uid), _ = max(found.items(), key=lambda item: len(item[1]))
    return Series(study_uid, series_uid, tuple(path for _, path in sorted(largest)))


@contextlib.contextmanager
def serve(config: Path) -> Iterator[int]:
    """Run one node as a process of its own; yield its port."""
    program = [sys.executable, "-m", "scp", "serve", "--config", str(config)]
    log = config.with_suffix(".log")
    with (
        log.open("w") as errors,
        subprocess.Popen(program, stdout=subprocess.PIPE, stderr=errors, text=True) as node,
    ):
        try:
            assert node.stdout is not None
            line = node.stdout.readline().strip()  # "listening on HOST:PORT as AE"
            if not line.startswith("listening on "):
                sys.exit(f"demo: the node did not start; {log} says why")
            print(line)
            yield int(line.split()[2].rpartition(":")[2])
        finally:
            node.terminate()


@contextlib.contextmanager
def receive(folder: Path) -> Iterator[int]:
    """Run a small receiver that files what comes by series; yield its port."""

    def store(event: evt.Event) -> int:
        ds = event.dataset
        path = folder / ds.SeriesInstanceUID / f"{int(ds.InstanceNumber):05d}.dcm"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(event.encoded_dataset())
        return 0x0000

    ae = AE("DEMO")
    ae.supported_contexts = AllStoragePresentationContexts
    server = ae.start_server((HERE, 0), block=False, evt_handlers=[(evt.EVT_C_STORE, store)])
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()


def fill(series: Series, out: Path, archive: int, node: int) -> None:
    """Send the whole series to ARCHIVE, and all but two inner images to NODE."""
    count = len(series.paths)
    withheld = {count // 3, count * 2 // 3}
    for name, left_out in (("whole", set[int]()), ("all-but-two", withheld)):
        folder = out / name
        folder.mkdir()
        for number, path in enumerate(series.paths):
            if number not in left_out:
                shutil.copyfile(path, folder / f"{number + 1:04d}.dcm")
    ask("send", archive, "ARCHIVE", paths=(out / "whole",))
    ask("send", node, "NODE", paths=(out / "all-but-two",))


def only_folder(root: Path) -> Path:
    """Return the one folder of the archive that holds images."""
    (folder,) = {path.parent for path in root.rglob("*.dcm") if ".scp" not in path.parts}
    return folder


def litter(folder: Path, series: Series) -> None:
    """Put into *folder* what does not belong to the series."""
    Image.new("RGB", (64, 64), (200, 60, 60)).save(folder / "screenshot.png")
    (folder / "notes.txt").write_text("call back about the head CT\n")
    stray(series.paths[0], folder / "other_patient.dcm", PatientName="Doe^Another", PatientID="ANOTHER")
    stray(series.paths[1], folder / "wrong_uid.dcm", SeriesNumber=99, SeriesDescription="Another series")
    print(
        "\n".join(sorted(path.name for path in folder.iterdir() if "_" in path.name or path.suffix != ".dcm"))
    )


def stray(path: Path, copy: Path, **attributes: object) -> None:
    """Write a *copy* of an image with a UID of its own and other *attributes*."""
    ds = pydicom.dcmread(path)
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[str(copy)])
    for keyword, value in attributes.items():
        setattr(ds, keyword, value)
    ds.save_as(copy)


def unique_keys(series: Series) -> tuple[str, str]:
    return f"StudyInstanceUID={series.study_uid}", f"SeriesInstanceUID={series.series_uid}"


def ask(what: str, port: int, called: str, *keys: str, paths: tuple[Path, ...] = ()) -> None:
    """Run one of the commands that talk to a node."""
    destination = ("--aem", "DEMO") if what == "move" else ()
    given = [word for key in keys for word in ("-k", key)]
    command(what, HERE, port, *paths, "--aec", called, "--aet", "DEMO", *destination, *given)


def command(*words: object, may_fail: bool = False) -> None:
    """Run ``mpr-scp WORDS`` as a user would, showing the command line."""
    print(f"\n$ mpr-scp {shlex.join(map(str, words))}", flush=True)
    done = subprocess.run([sys.executable, "-m", "scp", *map(str, words)], check=False)
    if done.returncode and not may_fail:
        sys.exit(f"demo: the last command ended with exit code {done.returncode}")


def sheets(out: Path) -> Iterator[Path]:
    """Write one contact sheet for each series that came; yield their paths."""
    for folder in sorted((out / "received").iterdir()):
        planes = sorted(folder.iterdir())
        first = pydicom.dcmread(planes[0], stop_before_pixels=True)
        words = "".join(letter if letter.isalnum() else "_" for letter in first.SeriesDescription).strip("_")
        sheet = out / f"{words or folder.name}.png"
        contact_sheet.write(planes, len(planes), sheet)
        yield sheet


if __name__ == "__main__":
    main()

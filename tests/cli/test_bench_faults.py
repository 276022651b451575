"""What ``scripts/faults`` counts as lost."""

import os
import random
from pathlib import Path

from pydicom import dcmread
from pydicom.filebase import DicomBytesIO

from scp.cli.bench.faults import SIDE, Acknowledged, changed
from scp.cli.bench.material import study_instances
from scp.cli.bench.servers import Server
from scp.part10 import file_head

IMAGES = study_instances(0, 3, SIDE)


def server_with(folder: Path, kept: list[tuple[str, bytes]]) -> Server:
    """Return a server without C-GET, in whose folder *kept* lie."""
    folder.mkdir()
    for name, data_set in kept:
        head = file_head("1.2.840.10008.5.1.4.1.1.2", name, "1.2.840.10008.1.2.1")
        (folder / f"{name}.dcm").write_bytes(head + data_set)
    return Server("pynetdicom", "", "PYNETDICOM", 0, folder, os.getpid())


def test_what_was_acknowledged_and_is_not_there_or_not_the_same_is_lost(tmp_path: Path) -> None:
    acknowledged = Acknowledged()
    for one in IMAGES:
        acknowledged.note(0, one)
    whole, torn, _ = IMAGES
    server = server_with(tmp_path / "server", [whole, (torn[0], torn[1][:-2] + b"\x01\x7f")])
    assert acknowledged.lost(server, tmp_path / "came") == 2


def test_what_was_not_acknowledged_is_no_loss(tmp_path: Path) -> None:
    assert Acknowledged().lost(server_with(tmp_path / "server", []), tmp_path / "came") == 0


def test_changed_associations_are_not_the_whole_one() -> None:
    pdus = [bytes(range(1, 200)), b"x" * 50]
    chance = random.Random(1)
    assert all(changed(pdus, chance) != pdus for _ in range(100))


def test_images_of_a_study_are_whole_data_sets() -> None:
    name, data_set = IMAGES[0]
    ds = dcmread(DicomBytesIO(data_set), force=True)
    assert (ds.SOPInstanceUID, ds.Rows, len(ds.PixelData)) == (name, SIDE, 2 * SIDE * SIDE)

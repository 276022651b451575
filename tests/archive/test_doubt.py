"""What the person who runs the node is told of a disk that does not keep what it was given."""

import errno
import logging
import os

import pytest

from scp.archive import Archive
from scp.errors import StoreRefused
from tests.archive.conftest import store_into
from tests.builders import image, write


def test_a_failed_sync_is_an_error_in_the_log_and_what_rests_on_it_says_what_to_do(
    archive: Archive, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = write(image(0), archive.root / "Doe^Jane" / "a.dcm")
    os.utime(path, (1_700_000_000, 1_700_000_000))
    archive.sweep()

    def failing(_descriptor: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patched:
        patched.setattr("scp.archive.filing.os.fsync", failing)
        with pytest.raises(StoreRefused):
            store_into(archive, image(0))
    (told,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert "Input/output error" in told.message and "mpr-scp verify" in told.message
    assert "Doe" not in caplog.text  # a path may name a patient
    with pytest.raises(StoreRefused, match=r"failed to keep the file .* mpr-scp verify"):
        store_into(archive, image(0))

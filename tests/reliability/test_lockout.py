"""``scripts/lockout`` ends whatever it started, also when somebody ends it."""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.net.nodes import wait_until


def running_in(folder: Path) -> set[int]:
    """Return the living processes that work in *folder* or below it, of whatever session they are."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended, and a zombie works nowhere
            if (process / "cwd").readlink().is_relative_to(folder):
                found.add(int(process.name))
    return found


@pytest.mark.kill
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_who_is_ended_leaves_no_server_and_no_folder(tmp_path: Path, number: int) -> None:
    words = [sys.executable, "-m", "scp.cli.bench.lockout", "--seconds", "60"]
    with subprocess.Popen(words, cwd=tmp_path) as running:
        try:
            wait_until(
                lambda: any("listening" in log.read_text() for log in tmp_path.glob("*/server.log")), 60
            )
            os.kill(running.pid, number)
            assert running.wait(60) == 128 + number
            wait_until(lambda: not running_in(tmp_path), 30)
            assert list(tmp_path.iterdir()) == []
        finally:
            for left in running_in(tmp_path):
                os.kill(left, signal.SIGKILL)

"""``scripts/lockout`` ends whatever it started, also when somebody ends it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.net.nodes import wait_until


def of_session(session: int) -> set[int]:
    """Return the living processes of a session."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            state, _, _, owner = (process / "stat").read_text().rpartition(") ")[2].split()[:4]
        except OSError:
            continue
        if int(owner) == session and state != "Z":
            found.add(int(process.name))
    return found


@pytest.mark.kill
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_who_is_ended_leaves_no_server_and_no_folder(tmp_path: Path, number: int) -> None:
    words = [sys.executable, "-m", "scp.cli.bench.lockout", "--seconds", "60"]
    with subprocess.Popen(words, cwd=tmp_path, start_new_session=True) as running:
        try:
            wait_until(lambda: len(of_session(running.pid)) > 1, 60)
            os.kill(running.pid, number)
            assert running.wait(60) == 128 + number
            wait_until(lambda: not of_session(running.pid), 30)
            assert list(tmp_path.iterdir()) == []
        finally:
            for left in of_session(running.pid):
                os.kill(left, signal.SIGKILL)

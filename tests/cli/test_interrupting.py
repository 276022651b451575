"""Ctrl-C, as a terminal sends it: SIGINT to the command and to all that it started."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.builders import series, write


def test_ctrl_c_ends_a_command_and_its_children_without_a_word_and_leaves_no_folder(tmp_path: Path):
    for ds in series(12):
        write(ds, tmp_path / "series" / f"{ds.InstanceNumber}.dcm")
    os.mkfifo(tmp_path / "node.toml")
    options = ["--out", str(tmp_path / "out"), "--config", str(tmp_path / "node.toml")]
    program = [sys.executable, "-m", "scp", "mpr", str(tmp_path / "series"), *options]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(program, **pipes, start_new_session=True) as command:
        with (tmp_path / "node.toml").open("w"):  # once it is being read, children are on their way
            os.killpg(command.pid, signal.SIGINT)
            said = command.communicate(timeout=60)
        assert (command.returncode, *said) == (130, b"", b"")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["node.toml", "series"]

"""How often a process and its children ask the disk to sync, counted by strace where that is installed."""

import re
import shutil
import signal
import subprocess
from collections.abc import Callable

CALLS = "fsync,fdatasync,sync,syncfs,sync_file_range,msync"
COUNTED = re.compile(r"^\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?(?:total|\w*sync\w*)\s*$", re.MULTILINE)


def count_syncs(pid: int, work: Callable[[], object]) -> int | None:
    """Do *work* and return how often *pid* synced meanwhile; ``None`` where nobody can count that."""
    strace = shutil.which("strace")
    if strace is None:
        return None
    tracing = subprocess.Popen(
        [
            strace,
            "-f",
            "-c",
            "-U",
            "time,total-time,avg-time,calls,errors,name",
            "-e",
            f"trace={CALLS}",
            "-p",
            str(pid),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert tracing.stderr is not None
    attached = tracing.stderr.readline()
    if "attached" not in attached:  # not allowed to trace
        tracing.wait()
        return None
    work()
    tracing.send_signal(signal.SIGINT)
    return counted(tracing.communicate()[1])


def counted(summary: str) -> int:
    """Return the calls in a summary of strace: the total is the last line."""
    calls = COUNTED.findall(summary)
    return int(calls[-1]) if calls else 0

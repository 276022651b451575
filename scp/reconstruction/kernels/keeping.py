"""Where compiled kernels are kept between processes: a folder of their own for each state of their source.

numba knows a kept kernel by the file that it stands in and does not see that another file, of functions that
it calls, has changed. A digest of all files here names the folder, so nothing stale is ever found. It lies
in the folder that ``NUMBA_CACHE_DIR`` in the environment names, else beside the source, or where that cannot
be written in the user's cache folder, or else in a temporary one. numba reads the variable once, when it is
first imported, which is why this has to happen before.
"""

import os
import tempfile
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

VARIABLE = "NUMBA_CACHE_DIR"


def settle() -> None:
    """Tell numba where to keep kernels, unless a parent of this process has."""
    name = f"kernels-{digest()}"
    if Path(os.environ.get(VARIABLE, "")).name != name:
        os.environ[VARIABLE] = str(next(folder / name for folder in _parents() if _is_ours(folder / name)))


def digest() -> str:
    """Return a digest of the source of all kernels, and of what bounds checks turn it into."""
    running = sha256(os.environ.get("NUMBA_BOUNDSCHECK", "").encode())
    for path in sorted(Path(__file__).parent.glob("*.py")):
        running.update(path.read_bytes())
    return running.hexdigest()[:16]


def _parents() -> Iterator[Path]:
    if os.environ.get(VARIABLE):
        yield Path(os.environ[VARIABLE]).absolute()
    yield Path(__file__).parent / "__pycache__"
    yield Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "mpr-scp"
    yield Path(tempfile.mkdtemp(prefix="mpr-scp-"))


def _is_ours(folder: Path) -> bool:
    """Make *folder*; tell whether this user, and nobody else, may write there: what lies in it is run."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = folder.stat()
    except OSError:
        return False
    private = status.st_uid == os.geteuid() and not status.st_mode & 0o022
    return private and os.access(folder, os.W_OK | os.X_OK)

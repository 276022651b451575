"""The right of one node to serve an archive alone, where the index is SQLite.

Import and the other commands may write while a node runs: the index lets one process write at a time. A
second node would sweep the same folders and delete results that the first is about to send; only nodes that
share a database server are made for that. The claim is a lock on a file, held by the kernel: however the
process dies, its lock is gone.
"""

import fcntl
import logging
import os
import socket
from pathlib import Path
from typing import IO, Final

from scp import config
from scp.errors import ConfigurationError
from scp.model import WORK_FOLDER

LOGGER = logging.getLogger(__name__)

CLAIM_FILE: Final = "served-by"
"""In the node's own folder; it names the process that holds or held the lock."""


class Claim:
    """The right to serve one archive; its folder must be there when the claim is taken."""

    def __init__(self, settings: config.Archive) -> None:
        self._settings = settings
        self._file: IO[str] | None = None

    def take(self) -> None:
        """Hold the claim. Raises ``ConfigurationError`` where another node has it, ``OSError``."""
        if not self._settings.database.startswith("sqlite"):
            return
        root = Path(self._settings.root).absolute()
        file = os.fdopen(os.open(root / WORK_FOLDER / CLAIM_FILE, os.O_RDWR | os.O_CREAT, 0o640), "r+")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with file:
                raise ConfigurationError(
                    f"archive.root: another node ({file.read() or 'just starting'}) serves {root}; stop that "
                    "one, name another folder, or let both share a PostgreSQL by archive.database"
                ) from None
        except OSError as error:  # some network shares know no locks
            LOGGER.warning("whether another node serves %s cannot be told: %s", root, error.strerror)
        self._file = file
        file.truncate()
        file.write(f"process {os.getpid()} on {socket.gethostname()}")
        file.flush()

    def release(self) -> None:
        """Give up the claim, if it is held."""
        if self._file is not None:
            self._file.close()
            self._file = None

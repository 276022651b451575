"""A node that acknowledges before it has stored: what a test of durability must be able to notice."""

import threading
import time

from scp.archive.filing import Filing
from scp.archive.intake import Spooled
from scp.cli import main
from scp.model import Stored

_file = Filing.file


def _file_later(filing: Filing, spooled: Spooled) -> Stored:
    """Acknowledge now; file half a second later, when the descriptor is gone and the node perhaps, too."""

    def later() -> None:
        time.sleep(0.5)
        _file(filing, spooled)

    spooled.path.rename(spooled.path.with_suffix(".later"))
    threading.Thread(target=later, daemon=True).start()
    return Stored(spooled.origin.sop_instance_uid, spooled.path, "stored")


if __name__ == "__main__":
    Filing.file = _file_later  # type: ignore[method-assign]
    main()

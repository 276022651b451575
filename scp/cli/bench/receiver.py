"""``python -m scp.cli.bench.receiver PORT FOLDER``: the network of this node over a plain folder.

It is what ``storescp`` is to DCMTK: it writes what comes and neither syncs nor indexes, so that the two
upper layers are compared and not two disks.
"""

import logging
import signal
import sys
from pathlib import Path

from scp.cli.folder_sink import FolderSink
from scp.config import Config, Limits, Node
from scp.net.acceptor import Acceptor
from scp.net.dialogue import Dialogue
from scp.net.messages import Request, StoreRequest

SUCCESS = 0x0000


def serve(association: Dialogue, request: Request) -> None:
    """Answer a C-STORE; nothing else is asked of a receiver."""
    if isinstance(request.message, StoreRequest):
        request.message.reception.finish()
        association.respond_to_store(request.message, request.context_id, SUCCESS)


def main(port: int, folder: Path) -> None:
    logging.disable()
    config = Config(node=Node(port=port, open=True), limits=Limits(associations_per_peer=100))
    acceptor = Acceptor(config, FolderSink(folder, lambda _count: None), serve)
    acceptor.start()
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    acceptor.stop(1.0)


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    main(int(sys.argv[1]), Path(sys.argv[2]))

"""One C-STORE data set on its way into the sink, as the bytes that arrived.

``net`` writes fragments as they come, ``services.store`` finishes it when the message is complete. An error
of the sink is kept until then, and the rest of the message dropped, because a C-STORE can be answered only
when its whole data set has been read (PS3.7 9.1.1). Nothing is decoded or encoded here.
"""

from scp.errors import Unparseable
from scp.model import Incoming, Origin, Sink, Stored


class Reception:
    """Writes one instance into a sink, nothing where it is *refused*."""

    def __init__(self, sink: Sink, origin: Origin, refused: Exception | None = None) -> None:
        self.origin = origin
        self._incoming: Incoming | None = None
        self._error = refused
        if refused is not None:
            return
        try:
            self._incoming = sink.begin(origin)
        except Exception as error:
            self._error = error

    def write(self, fragment: bytes | memoryview) -> None:
        """Take the next bytes; never raises for what the sink says."""
        if self._incoming is None:
            return
        try:
            self._incoming.write(fragment)
        except Exception as error:
            self._error = error
            self.abandon()

    def finish(self) -> Stored:
        """Make the instance durable. Raises what the sink said first, ``StoreRefused`` mostly."""
        incoming, self._incoming = self._incoming, None
        if self._error is not None:
            raise self._error
        if incoming is None:
            raise Unparseable("the data set was abandoned before it was complete")
        try:
            return incoming.commit()
        except BaseException:
            incoming.abandon()
            raise

    def abandon(self) -> None:
        """Leave no trace of it; harmless when it is finished or abandoned already."""
        incoming, self._incoming = self._incoming, None
        if incoming is not None:
            incoming.abandon()

"""The byte stream: whole reads, whole writes, deadlines that are totals, and a wake-up."""

import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from scp.net.stream import BUFFER_BYTES, Stream, StreamLost, StreamTimeout
from tests.net.nodes import tcp_pair


def descriptors() -> set[str]:
    return {entry.name for entry in Path("/proc/self/fd").iterdir()}


@pytest.fixture
def ends() -> Iterator[tuple[Stream, socket.socket]]:
    ours, theirs = tcp_pair()
    stream = Stream(ours, stall_s=0.3)
    yield stream, theirs
    stream.close()
    theirs.close()


def test_what_was_sent_in_pieces_is_read_whole(ends: tuple[Stream, socket.socket]) -> None:
    stream, theirs = ends
    data = os.urandom(3 * BUFFER_BYTES + 17)
    sender = threading.Thread(target=theirs.sendall, args=(data,))
    sender.start()
    assert bytes(stream.peek(6)) == data[:6]
    assert bytes(stream.read(6)) == data[:6]
    assert b"".join(bytes(f) for f in stream.fragments(len(data) - 6)) == data[6:]
    sender.join()


def test_writes_of_several_threads_do_not_mix(ends: tuple[Stream, socket.socket]) -> None:
    stream, theirs = ends
    stream.stall_s = 10
    units = [bytes([n]) * 200_000 for n in range(8)]
    threads = [threading.Thread(target=stream.write, args=(unit[:9], unit[9:])) for unit in units]
    for thread in threads:
        thread.start()
    received = theirs.makefile("rb").read(sum(map(len, units)))
    for thread in threads:
        thread.join()
    found = [received[at : at + 200_000] for at in range(0, len(received), 200_000)]
    assert sorted(found) == units


def test_a_message_that_drips_runs_out_of_its_deadline(ends: tuple[Stream, socket.socket]) -> None:
    stream, theirs = ends
    stopped = threading.Event()

    def drip() -> None:
        while not stopped.wait(0.02):
            theirs.send(b".")

    dripping = threading.Thread(target=drip)
    dripping.start()
    stream.begin_message(0.2)
    with pytest.raises(StreamTimeout):
        stream.read(10_000)
    stopped.set()
    dripping.join()


def test_what_comes_at_a_decent_rate_earns_time() -> None:
    ours, theirs = tcp_pair()
    stream = Stream(ours)
    stream.begin_message(0.2)
    for _ in range(5):  # 32 KiB earn half a second each
        theirs.sendall(bytes(32 << 10))
        stream.read(32 << 10)
        time.sleep(0.1)
    assert not stream.wait(0.01)
    stream.close()
    theirs.close()


def test_a_peer_that_takes_nothing_ends_the_write(ends: tuple[Stream, socket.socket]) -> None:
    stream, _ = ends
    with pytest.raises(StreamTimeout):
        stream.write(bytes(50 << 20))


def test_the_kernel_gives_a_peer_as_long_as_the_limit_does() -> None:
    """It counts how long a peer takes nothing, too, and would end the connection first."""
    ours, theirs = tcp_pair()
    stream = Stream(ours, stall_s=600.0)
    assert ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) > 600_000
    stream.close()
    theirs.close()


def test_wake_ends_a_wait_and_costs_no_data(ends: tuple[Stream, socket.socket]) -> None:
    stream, theirs = ends
    stream.wake()
    assert stream.wait(5) is False
    theirs.send(b"abc")
    assert stream.wait(5) is True
    assert stream.read(3) == b"abc"


def test_interrupt_ends_a_read_that_waits(ends: tuple[Stream, socket.socket]) -> None:
    stream, theirs = ends
    theirs.send(b"half")
    threading.Timer(0.05, stream.interrupt).start()
    with pytest.raises(StreamLost):
        stream.read(8)


def test_an_end_inside_a_read_is_a_loss(ends: tuple[Stream, socket.socket]) -> None:
    stream, theirs = ends
    theirs.send(b"half")
    theirs.close()
    with pytest.raises(StreamLost):
        stream.read(8)


def test_a_closed_stream_gives_its_descriptors_back_and_stays_quiet() -> None:
    before = len(descriptors())
    ours, theirs = tcp_pair()
    stream = Stream(ours)
    stream.close()
    stream.close()
    stream.wake()
    theirs.close()
    assert len(descriptors()) <= before
    with pytest.raises(StreamLost):
        stream.write(b"x")


def test_descriptors_beyond_1024_are_no_limit() -> None:
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 1200:
        pytest.skip("this system allows fewer than 1,200 descriptors")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 1200), hard))
    held = [os.open("/dev/null", os.O_RDONLY) for _ in range(1030)]
    try:
        ours, theirs = tcp_pair()
        assert ours.fileno() > 1024
        stream = Stream(ours)
        theirs.send(b"ok")
        assert stream.wait(5) and stream.read(2) == b"ok"
        stream.close()
        theirs.close()
    finally:
        for descriptor in held:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

"""Recorded associations with bytes changed, cut, repeated, reordered, and lengths lied about."""

import random
import struct
from collections.abc import Callable, Iterator


def pdus_of(data: bytes) -> Iterator[bytes]:
    """Yield the PDUs that *data* consists of."""
    while data:
        length = 6 + struct.unpack(">L", data[2:6])[0]
        yield data[:length]
        data = data[length:]


def mutated(pdus: list[bytes], chance: random.Random) -> list[bytes]:
    """Return the PDUs with one to three changes."""
    changed = list(pdus)
    for _ in range(chance.randint(1, 3)):
        chance.choice(CHANGES)(changed, chance)
    return changed


def flip(pdus: list[bytes], chance: random.Random) -> None:
    at = chance.randrange(len(pdus))
    octets = bytearray(pdus[at])
    for _ in range(chance.randint(1, 8)):
        if octets:
            octets[chance.randrange(len(octets))] = chance.choice(
                (0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256))
            )
    pdus[at] = bytes(octets)


def cut(pdus: list[bytes], chance: random.Random) -> None:
    at = chance.randrange(len(pdus))
    begin = chance.randrange(len(pdus[at]) + 1)
    pdus[at] = pdus[at][:begin] + pdus[at][begin + chance.choice((1, 2, 7, 1 << 20)) :]


def repeat(pdus: list[bytes], chance: random.Random) -> None:
    pdus.insert(chance.randrange(len(pdus) + 1), chance.choice(pdus))


def reorder(pdus: list[bytes], chance: random.Random) -> None:
    chance.shuffle(pdus)


def lie(pdus: list[bytes], chance: random.Random) -> None:
    """Write another length: of the PDU, of an item, of a fragment, of an element."""
    at = chance.randrange(len(pdus))
    octets = bytearray(pdus[at])
    place = chance.choice((2, 6, 76, chance.randrange(max(1, len(octets) - 4))))
    length = chance.choice((0, 1, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, chance.randrange(1 << 16)))
    if place + 4 <= len(octets):
        struct.pack_into(">L", octets, place, length)
    pdus[at] = bytes(octets)


def leave_out(pdus: list[bytes], chance: random.Random) -> None:
    if len(pdus) > 1:
        del pdus[chance.randrange(len(pdus))]


Change = Callable[[list[bytes], random.Random], None]
CHANGES: tuple[Change, ...] = (flip, flip, cut, repeat, reorder, lie, leave_out)

"""One data set written by two toolkits is one instance; whatever else differs makes another."""

from collections.abc import Callable
from typing import Final

import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import DeflatedExplicitVRLittleEndian, ImplicitVRLittleEndian

from scp.archive import Archive
from scp.archive.recover import note_conflicts
from scp.model import Origin, Stored
from tests.archive.conftest import Store, sent
from tests.archive.test_intake import Listing, compressed, with_transfer_syntax
from tests.archive.test_scan import settled
from tests.builders import image, write


def code(value: str, *nested: Dataset) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodeMeaning = value, "odd"
    if nested:
        item.ContextGroupLocalVersion = "20260102"
        item.EquivalentCodeSequence = Sequence(nested)
    return item


def rich(deepest: str = "T-1") -> Dataset:
    """Return an image with sequences in sequences, private elements, and an icon with pixels of its own."""
    ds = image()
    ds.ImageComments = "none"
    ds.ProcedureCodeSequence = Sequence([code("A", code("B"), code("C", code(deepest))), code("D")])
    icon = Dataset()
    icon.Rows = icon.Columns = 2
    icon.PixelData = bytes(4)
    icon["PixelData"].VR = "OB"
    ds.IconImageSequence = Sequence([icon])
    block = ds.private_block(0x0029, "NOBODY", create=True)
    block.add_new(0x10, "UN", b"\1\2\3 ")
    block.add_new(0x11, "SQ", Sequence([code("P", code("Q"))]))
    ds.add_new(0xFFFCFFFC, "OB", bytes(4))
    return ds


def undefined_lengths(ds: Dataset) -> Dataset:
    for element in ds:
        if element.VR == "SQ":
            element.is_undefined_length = True
            for item in element.value:
                item.is_undefined_length_sequence_item = True
                undefined_lengths(item)
    return ds


def with_longer_padding(ds: Dataset) -> Dataset:
    ds.PatientName = "Roe^Jane    "
    ds.KVP = "   120"
    ds.ImageType = ["ORIGINAL ", " PRIMARY", "AXIAL"]
    ds[0xFFFCFFFC].value = bytes(40)
    return ds


RE_ENCODINGS: Final[dict[str, Callable[[Dataset], Dataset]]] = {
    "undefined lengths": undefined_lengths,
    "padding": with_longer_padding,
    "both": lambda ds: undefined_lengths(with_longer_padding(ds)),
}


def private(ds: Dataset) -> None:
    ds[0x00291010].value = b"\1\2\3\0"


def icon(ds: Dataset) -> None:
    ds.IconImageSequence[0].PixelData = b"\0\0\0\1"


def another_item(ds: Dataset) -> None:
    ds.ProcedureCodeSequence[0].EquivalentCodeSequence.append(code("E"))


def behind_the_pixels(ds: Dataset) -> None:
    ds.add_new(0xFFFAFFFA, "SQ", Sequence([code("signed")]))


CHANGES: Final[dict[str, Callable[[Dataset], object]]] = {
    "private": private,
    "icon": icon,
    "one item more": another_item,
    "behind the pixels": behind_the_pixels,
    "emptied": lambda ds: setattr(ds, "SeriesDescription", ""),
    "taken out": lambda ds: delattr(ds, "SeriesDescription"),
    "number": lambda ds: setattr(ds, "KVP", "120.0"),
    "leading space of free text": lambda ds: setattr(ds, "ImageComments", " none"),
    "pixel": lambda ds: setattr(ds, "PixelData", bytes(len(ds.PixelData))),
}


def store_bytes(archive: Archive, origin: Origin, data_set: bytes) -> Stored:
    incoming = archive.begin(origin)
    incoming.write(data_set)
    return incoming.commit()


@pytest.mark.parametrize("syntax", ["", ImplicitVRLittleEndian])
@pytest.mark.parametrize("again", RE_ENCODINGS.values(), ids=RE_ENCODINGS)
def test_a_re_encoding_of_what_is_here_is_a_duplicate(
    archive: Archive, store: Store, visible: Listing, again: Callable[[Dataset], Dataset], syntax: str
) -> None:
    one, other = rich(), again(rich())
    for ds in (one, other):
        with_transfer_syntax(ds, syntax or ds.file_meta.TransferSyntaxUID)
    assert sent(one)[1] != sent(other)[1]
    first, second = store(one), store(other)
    assert (second.outcome, second.path) == ("duplicate", first.path)
    assert (visible(), archive.conflicts()) == ([first.path], {})


def test_group_lengths_do_not_count(archive: Archive, store: Store) -> None:
    store(rich())
    origin, data_set = sent(rich())
    length = b"\x08\x00\x00\x00UL\x04\x00\x07\x00\x00\x00"
    assert store_bytes(archive, origin, length + data_set).outcome == "duplicate"


def test_a_re_encoding_of_compressed_pixels_is_a_duplicate(store: Store) -> None:
    store(compressed(rich()))
    assert store(compressed(undefined_lengths(rich()))).outcome == "duplicate"


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_re_encoding_in_which_anything_differs_is_a_conflict(
    archive: Archive, store: Store, change: Callable[[Dataset], object]
) -> None:
    store(rich())
    other = rich()
    change(other)
    assert store(undefined_lengths(other)).outcome == "conflict"
    assert list(archive.conflicts()) == [other.SOPInstanceUID]


def test_one_value_deep_in_sequences_is_a_conflict(store: Store) -> None:
    store(rich())
    assert store(undefined_lengths(rich("T-2"))).outcome == "conflict"


def test_the_order_of_elements_does_not_count_and_one_repeated_with_another_value_does(
    archive: Archive, store: Store
) -> None:
    store(image())
    origin, data_set = sent(image())
    at = data_set.index(b"\x08\x00\x60\x00CS")  # Modality, 10 bytes
    modality, rest = data_set[at : at + 10], data_set[:at] + data_set[at + 10 :]
    behind = rest.index(b"\x08\x00\x70\x00LO")
    behind += 8 + int.from_bytes(rest[behind + 6 : behind + 8], "little")
    assert store_bytes(archive, origin, rest[:behind] + modality + rest[behind:]).outcome == "duplicate"
    repeated = data_set[:at] + modality.replace(b"CT", b"MR") + data_set[at:]
    assert store_bytes(archive, origin, repeated).outcome == "conflict"


def test_a_whole_image_is_no_duplicate_of_one_that_claims_more_pixels_than_it_has(archive: Archive) -> None:
    origin, data_set = sent(image())
    at = data_set.index(b"\xe0\x7f\x10\x00OW") + 8
    claims_more = data_set[:at] + (int.from_bytes(data_set[at : at + 4], "little") + 2).to_bytes(4, "little")
    store_bytes(archive, origin, claims_more + data_set[at + 4 :])
    assert store_bytes(archive, origin, data_set).outcome == "conflict"


def test_what_is_compressed_as_a_whole_is_compared_by_its_bytes(store: Store) -> None:
    store(with_transfer_syntax(rich(), DeflatedExplicitVRLittleEndian))
    again = with_transfer_syntax(undefined_lengths(rich()), DeflatedExplicitVRLittleEndian)
    assert store(again).outcome == "conflict"


def test_a_header_too_long_to_compare_is_compared_by_its_bytes(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scp.archive.duplicates.LONGEST_HEADER_COMPARED_BYTES", 100)
    store(rich())
    assert [store(undefined_lengths(rich())).outcome for _ in range(2)] == ["conflict", "duplicate"]


def test_values_are_not_compared_where_checksums_tell(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scp.archive.duplicates.content_of", None)
    outcomes = [store(ds).outcome for ds in (rich(), rich(), image(pixels=image(1).pixel_array))]
    assert outcomes == ["stored", "duplicate", "conflict"]


def test_re_encodings_that_people_copied_in_are_no_conflict(archive: Archive) -> None:
    for name, ds in (("a.dcm", rich()), ("b.dcm", undefined_lengths(rich()))):
        settled(write(ds, archive.root / "theirs" / name))
    archive.sweep()
    assert (note_conflicts(archive._index, archive.root), archive.conflicts()) == (0, {})
    settled(write(undefined_lengths(rich("T-2")), archive.root / "theirs" / "c.dcm"))
    archive.sweep()
    assert list(archive.conflicts()) == [rich().SOPInstanceUID]

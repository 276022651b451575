"""Identifiers of queries and retrieves from ``-k KEY=VALUE``, and answers as text."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import typer
from pydicom import config as pydicom_config
from pydicom.datadict import dictionary_VR, keyword_for_tag, tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag

NUMBERS: dict[str, Callable[[str], Any]] = {
    **dict.fromkeys(("US", "SS", "UL", "SL", "UV", "SV"), int),
    **dict.fromkeys(("FL", "FD"), float),
}
"""How the values of binary VRs (PS3.5 6.2) are read from text; all others go as they were typed."""

BINARY = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN"})


def identifier(keys: Sequence[str] | None) -> Dataset:
    """Return the identifier that *keys* make; ``KEY`` alone asks for its value.

    Raises ``typer.BadParameter`` for a key that nobody knows, or a value that does not suit its VR.
    """
    ds = Dataset()
    for given in keys or ():
        name, _, value = given.partition("=")
        ds.add(_element(name.strip(), value))
    if not ds:
        raise typer.BadParameter("no key given: say at least -k QueryRetrieveLevel=STUDY", param_hint="-k")
    if any(not str(element.value).isascii() for element in ds):
        ds.SpecificCharacterSet = "ISO_IR 192"
    return ds


def answer_lines(answer: Dataset) -> Iterator[str]:
    """Yield the attributes of one answer as ``Keyword  value``."""
    values = as_mapping(answer)
    width = max(map(len, values), default=0)
    for keyword, value in values.items():
        yield f"{keyword:{width}}  {value}"


def as_mapping(answer: Dataset) -> dict[str, str]:
    """Return the attributes of one answer by keyword, or by tag where they have none."""
    return {
        element.keyword or f"{element.tag.group:04x},{element.tag.element:04x}": _text(element)
        for element in answer
    }


def _element(name: str, value: str) -> DataElement:
    tag = tag_for_keyword(name)
    if tag is None:
        tag = _tag(name)
    vr = dictionary_VR(tag).partition(" or ")[0]
    if vr == "SQ":
        return DataElement(tag, vr, [])
    if vr in BINARY and value:
        raise typer.BadParameter(f"{name} holds bytes ({vr}), which no text gives", param_hint="-k")
    read = NUMBERS.get(vr)
    try:
        typed: Any = [read(part) for part in value.split("\\")] if read and value else value
        return DataElement(tag, vr, typed, validation_mode=pydicom_config.IGNORE)
    except (ValueError, TypeError, OverflowError):
        raise typer.BadParameter(
            f"{value!r} is no value for {name}, whose VR is {vr}", param_hint="-k"
        ) from None


def _tag(name: str) -> int:
    group, _, element = name.strip("()").partition(",")
    try:
        tag = Tag(int(group, 16), int(element, 16))
    except (ValueError, OverflowError):
        tag = None
    if tag is None or not keyword_for_tag(tag):
        raise typer.BadParameter(
            f"{name!r} is neither a keyword nor a tag of PS3.6; write PatientID or 0010,0020", param_hint="-k"
        )
    return tag


def _text(element: DataElement) -> str:
    if element.VR == "SQ":
        return f"{len(element.value)} items"
    values = element.value if element.VM > 1 else [element.value]
    return "" if element.is_empty else "\\".join(map(str, values))

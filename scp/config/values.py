"""The types of single values: a text of the file in, a checked value in base units out.

Durations become seconds, sizes bytes, relative paths absolute; what does not fit is answered with what was
needed. ``mode="json"`` is how the file is read (see ``file``): there a quantity must carry its unit.
"""

import ipaddress
import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, ValidationInfo
from pydantic_core import PydanticCustomError

from scp.model import is_orthonormal

SECONDS = {"ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
BYTES: dict[str, float] = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}


def _quantity(value: object, info: ValidationInfo, units: dict[str, float], example: str) -> float:
    """Return *value*, ``30 s`` say, in the base of *units*; 0 needs no unit, nor do values from Python."""
    if (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and (info.mode == "python" or value == 0)
    ):
        return value
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", value) if isinstance(value, str) else None
    if found and float(found[1]) == 0 and not found[2]:
        return 0
    if not found or found[2] not in units:
        raise PydanticCustomError(
            "quantity", "{needed}", {"needed": f"a number and a unit, such as {example}"}
        )
    return float(found[1]) * units[found[2]]


def _written(value: float, units: dict[str, float]) -> str:
    """Return *value* with the largest unit that leaves a whole number."""
    unit = next((unit for unit in reversed(units) if value >= units[unit] and value % units[unit] == 0), "")
    return f"{value / units[unit]:.0f} {unit}" if unit else f"{value:g} {'s' if units is SECONDS else 'B'}"


def _duration(value: object, info: ValidationInfo) -> float:
    return _quantity(value, info, SECONDS, '"500 ms", "30 s", "10 min", "1 h" or "7 d"')


def _size(value: object, info: ValidationInfo) -> int:
    return int(_quantity(value, info, BYTES, '"64 KiB", "100 MiB" or "2 GiB"'))


def need(holds: object, needed: str) -> None:
    if not holds:
        raise PydanticCustomError("needed", "{needed}", {"needed": needed})


def _text(pattern: str, needed: str) -> AfterValidator:
    """Return the check that a text matches all of *pattern*, and what to say where it does not."""

    def check(value: str) -> str:
        need(re.fullmatch(pattern, value), needed)
        return value

    return AfterValidator(check)


def _ae_title(value: str) -> str:
    """Check an AE title (PS3.5 6.2, AE): spaces at both ends do not count."""
    title = value.strip(" ")
    need(
        re.fullmatch(r"[ -\[\]-~]{1,16}", title),
        "an AE title: 1 to 16 printable ASCII characters without a backslash, not all spaces",
    )
    return title


def _absolute(value: Path, info: ValidationInfo) -> Path:
    folder: Path = (info.context or {}).get("folder", Path.cwd())
    return Path(folder, value.expanduser()).absolute()


def _keyword(value: str) -> str:
    from pydicom.datadict import tag_for_keyword

    need(tag_for_keyword(value) is not None, "a keyword of PS3.6, such as SeriesNumber")
    return value


def _network(value: str) -> str:
    try:
        return str(ipaddress.ip_network(value, strict=False))
    except ValueError:
        raise PydanticCustomError(
            "network", "an address or a network, such as 10.0.0.5 or 10.0.0.0/24"
        ) from None


def _host(value: str) -> str:
    """Check a host by its form only (RFC 1123, and underscores, which people use); none is left as it is."""
    try:
        ipaddress.ip_address(value)
    except ValueError:
        label = r"[\w-]{1,63}"
        named = len(value) <= 253 and re.fullmatch(rf"({label}\.)*{label}\.?", value)
        need(named or not value, "a host name or an address, such as pacs.example.org or 10.0.0.5")
    return value


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def cosines(value: tuple[float, ...]) -> tuple[float, ...]:
    """Check row and column cosines (PS3.3 C.7.6.2.1.1): two unit vectors at right angles, to 0.001."""
    need(
        not value or is_orthonormal(value),
        "six cosines: a row and a column direction of length 1 at right angles",
    )
    return value


Duration = Annotated[
    float,
    BeforeValidator(_duration),
    PlainSerializer(lambda value: _written(value, SECONDS), when_used="json"),
    Field(gt=0),
]
Size = Annotated[
    int,
    BeforeValidator(_size),
    PlainSerializer(lambda value: _written(value, BYTES), when_used="json"),
    Field(ge=0),
]
AETitle = Annotated[str, AfterValidator(_ae_title)]
FilePath = Annotated[Path, AfterValidator(_absolute)]
Host = Annotated[str, AfterValidator(_host)]
Port = Annotated[int, Field(ge=0, le=65535)]
Keyword = Annotated[str, AfterValidator(_keyword)]
Network = Annotated[str, AfterValidator(_network)]
Millimetres = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Batch = Annotated[
    str,
    _text(
        r"(?![. ])([^/\\{}\x00-\x1f]|\{date\}|\{hour\}|\{calling_ae\})+",
        "one folder's name, of plain characters, {date}, {hour} and {calling_ae}, that begins with no dot",
    ),
]
Database = Annotated[
    str, _text(r"sqlite|\w+(\+\w+)?://.*", '"sqlite" or a URL such as "postgresql+psycopg://user@host/name"')
]
Executor = Annotated[str, _text(r"local|dask://[^/\s]+:\d+", '"local" or "dask://host:port"')]
Suffix = Annotated[str, _text(r"\.[^/\s]+", "a suffix that begins with a dot")]
UIDRoot = Annotated[
    str,
    _text(
        r"(?!.{41})(|[0-2](\.(0|[1-9]\d*))+)",
        "a UID root of at most 40 characters, such as 1.2.826.0.1.3680043.8.498",
    ),
]
Fingerprint = Annotated[str, _text("(|[0-9a-fA-F]{64})", "64 hex digits")]
ResultClass = Literal["secondary_capture", "source", "multiframe"]
Right = Literal["echo", "store", "find", "move", "get", "mpr", "reject"]
SearchName = Literal["ancestors", "time_radius", "index", "peers"]

"""The configuration: one TOML file as frozen values.

Sections and keys stand here once; ``config/node.toml`` shows the same with comments for the person who
runs a node, and a test holds the two together. Durations become seconds, sizes bytes, relative paths
absolute (relative to the file). Every key may be left out; what is written is taken strictly: an unknown key
is answered with the nearest known one, a bad value with what was found and what was needed.

Built in Python, the same models take plain numbers: ``Limits(idle_deadline=0.5)``.
"""

import difflib
import ipaddress
import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails, PydanticCustomError

from scp.errors import ConfigurationError
from scp.model import (
    Candidates,
    Direction,
    Interpolation,
    Method,
    Operation,
    Orientation,
    PlaneRequest,
    Policy,
    SelectionRules,
)

SECONDS = {"ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
BYTES = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}


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


def _duration(value: object, info: ValidationInfo) -> float:
    return _quantity(value, info, SECONDS, '"500 ms", "30 s", "10 min", "1 h" or "7 d"')


def _size(value: object, info: ValidationInfo) -> int:
    return int(_quantity(value, info, dict(BYTES), '"64 KiB", "100 MiB" or "2 GiB"'))


def _need(holds: object, needed: str) -> None:
    if not holds:
        raise PydanticCustomError("needed", "{needed}", {"needed": needed})


def _text(pattern: str, needed: str) -> AfterValidator:
    """Return the check that a text matches all of *pattern*, and what to say where it does not."""

    def check(value: str) -> str:
        _need(re.fullmatch(pattern, value), needed)
        return value

    return AfterValidator(check)


def _ae_title(value: str) -> str:
    """Check an AE title (PS3.5 6.2, AE): spaces at both ends do not count."""
    title = value.strip(" ")
    _need(
        re.fullmatch(r"[ -\[\]-~]{1,16}", title),
        "an AE title: 1 to 16 printable ASCII characters without a backslash, not all spaces",
    )
    return title


def _absolute(value: Path, info: ValidationInfo) -> Path:
    folder: Path = (info.context or {}).get("folder", Path.cwd())
    return Path(folder, value.expanduser()).absolute()


def _keyword(value: str) -> str:
    from pydicom.datadict import tag_for_keyword

    _need(tag_for_keyword(value) is not None, "a keyword of PS3.6, such as SeriesNumber")
    return value


def _network(value: str) -> str:
    try:
        return str(ipaddress.ip_network(value, strict=False))
    except ValueError:
        raise PydanticCustomError(
            "network", "an address or a network, such as 10.0.0.5 or 10.0.0.0/24"
        ) from None


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _cosines(value: tuple[float, ...]) -> tuple[float, ...]:
    """Check row and column cosines (PS3.3 C.7.6.2.1.1): two unit vectors at right angles, to 0.001."""
    row, column = value[:3], value[3:]
    products = [
        sum(a * b for a, b in zip(u, v, strict=False))
        for u, v in ((row, row), (column, column), (row, column))
    ]
    _need(
        not value
        or (len(value) == 6 and all(abs(p - n) < 1e-3 for p, n in zip(products, (1, 1, 0), strict=True))),
        "six cosines: a row and a column direction of length 1 at right angles",
    )
    return value


Duration = Annotated[float, BeforeValidator(_duration), Field(gt=0)]
Size = Annotated[int, BeforeValidator(_size), Field(ge=0)]
AETitle = Annotated[str, AfterValidator(_ae_title)]
FilePath = Annotated[Path, AfterValidator(_absolute)]
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


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Named(_Section):
    """A table whose own name means something; the name is no key inside it."""

    name: str = ""

    @field_validator("name", mode="before")
    @classmethod
    def _is_no_key(cls, value: object, info: ValidationInfo) -> object:
        if info.mode == "json":
            raise PydanticCustomError("extra_forbidden", "no known key")
        return value


class Node(_Section):
    """``[node]``: who this node is and where it listens."""

    ae_title: AETitle = "MPRSCP"
    host: str = Field("127.0.0.1", min_length=1)
    port: Port = 11112
    open: bool = False
    shutdown_deadline: Duration = 30.0
    log_level: Literal["debug", "info", "warning", "error"] = "info"


class TLS(_Section):
    """``[tls]``: a second listener, where both ends show a certificate (PS3.15 Annex B)."""

    port: Port = 2762
    certificate: FilePath
    key: FilePath
    ca: FilePath
    only: bool = False


class Limits(_Section):
    """``[limits]``: what associations may hold, and for how long."""

    associations: int = Field(100, ge=1)
    associations_per_peer: int = Field(20, ge=1)
    negotiation_deadline: Duration = 10.0
    message_deadline: Duration = 30.0
    idle_deadline: Duration = 60.0
    maximum_pdu: Size = Field(128 << 10, ge=4096, le=(1 << 32) - 1)
    maximum_instance: Size = Field(4 << 30, ge=1)
    maximum_identifier: Size = Field(1 << 20, ge=1)
    memory: Size = Field(2 << 30, ge=1)


class Archive(_Section):
    """``[archive]``: the folder of the node's own images, and its index."""

    root: FilePath = Field(default="archive", validate_default=True)
    batch: Batch = "{date}"
    database: Database = "sqlite"
    durable: bool = True
    minimum_free: Size = 1 << 30


class Selection(_Section):
    """``[selection]``: which files belong to the series of the current image."""

    candidates: Candidates = Candidates.EITHER
    suffixes: tuple[Suffix, ...] = (".dcm", ".dicom", ".ima")
    auxiliary: tuple[Keyword, ...] = ("SeriesNumber", "Modality", "BodyPartExamined")
    auxiliary_missing: Literal["note", "exclude"] = "note"
    minimum_images: int = Field(10, ge=2)


class Completion(_Section):
    """``[completion]``: where missing images are looked for, and what happens to what stays missing."""

    searches: tuple[SearchName, ...] = ("ancestors", "time_radius", "index", "peers")
    time_radius: tuple[Duration, ...] = (600.0, 3600.0, 86400.0, 604800.0)
    deadline: Duration = 60.0
    policy: Policy = Policy.REFUSE
    interpolate_at_most: int = Field(1, ge=1)
    adopt_unlabelled: bool = False

    @field_validator("time_radius")
    @classmethod
    def _grows(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        _need(list(value) == sorted(set(value)), "durations that grow")
        return value


class Reconstruction(_Section):
    """``[reconstruction]``: how planes are made, where, and within what."""

    interpolation: Interpolation = Interpolation.LINEAR
    pixel_spacing: Millimetres = 0.0
    executor: Executor = "local"
    threads: int = Field(0, ge=0)
    deadline: Duration = 600.0
    cache: Size = 2 << 30


class Results(_Section):
    """``[results]``: as what the planes are sent."""

    sop_class: ResultClass = "secondary_capture"
    compression: Literal["none", "rle", "jpeg_ls", "jpeg_2000"] = "none"
    keep: bool = False
    uid_root: UIDRoot = ""


class Query(_Section):
    """``[query]``: how much one C-FIND may answer."""

    maximum_answers: int = Field(100_000, ge=1)


class Peer(_Named):
    """``[peers.NAME]``: another application entity, and what it may do here."""

    ae_title: AETitle
    host: str = ""
    networks: tuple[Network, ...] = ()
    certificate_sha256: Fingerprint = ""
    port: int | None = Field(None, ge=1, le=65535)
    rights: tuple[Right, ...] = ()
    destination: bool = False
    complete_from: bool = False
    retrieve: Literal["auto", "get", "move"] = "auto"
    deadline: Duration = 20.0
    parallel: int = Field(2, ge=1)
    uids_per_request: int = Field(100, ge=1)
    tls: bool = False
    sop_class: Literal["", ResultClass] = ""

    @model_validator(mode="after")
    def _can_be_reached(self) -> Self:
        called = self.destination or self.complete_from
        _need(
            self.host or not called, "a host: this peer is a destination or completed from, so it is called"
        )
        _need(
            self.port or not called, "a port: this peer is a destination or completed from, so it is called"
        )
        _need(self.host or self.networks, "a host, or the networks that it calls from")
        _need(
            not self.complete_from or self.retrieve == "get" or "store" in self.rights,
            'the right "store", because C-MOVE makes the peer store to this node; or retrieve = "get"',
        )
        return self


class Preset(_Named):
    """``[presets.NAME]``: the planes that a plain retrieve from the AE title NAME yields."""

    direction: Direction = Direction.CORONAL
    orientation: Annotated[tuple[float, ...], AfterValidator(_cosines)] = ()
    operation: Operation = Operation.MPR
    thickness: Millimetres = 0.0
    interval: Millimetres = 0.0
    method: Method = Method.AVERAGE_IP
    policy: Annotated[Policy | None, BeforeValidator(lambda value: value or None)] = None
    virtual_series: bool = False

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        oblique = self.direction is Direction.OBLIQUE
        _need(oblique == bool(self.orientation), "an orientation with OBLIQUE, and with no other direction")
        _need(
            not self.virtual_series or self.thickness or self.operation is not Operation.SLAB,
            "a thickness: a SLAB that is listed as a virtual series cannot wait for one",
        )
        return self

    @property
    def planes(self) -> PlaneRequest:
        """Return the planes that are meant, as one request asks for them."""
        cosines = self.orientation
        orientation: Orientation | None = (
            (cosines[0], cosines[1], cosines[2], cosines[3], cosines[4], cosines[5]) if cosines else None
        )
        return PlaneRequest(
            direction=self.direction,
            orientation=orientation,
            operation=self.operation,
            thickness_mm=self.thickness,
            interval_mm=self.interval,
            method=self.method,
        )


OUT_OF_THE_BOX = {
    "MPR_COR": Preset(name="MPR_COR", direction=Direction.CORONAL),
    "MPR_SAG": Preset(name="MPR_SAG", direction=Direction.SAGITTAL),
    "MPR_AX": Preset(name="MPR_AX", direction=Direction.TRANSVERSE),
}
"""The presets that every node has, unless a table of the same name replaces one."""


class Config(_Section):
    """The whole file."""

    node: Node = Node()
    tls: TLS | None = None
    limits: Limits = Limits()
    archive: Archive = Field(default_factory=Archive)
    selection: Selection = Selection()
    completion: Completion = Completion()
    reconstruction: Reconstruction = Reconstruction()
    results: Results = Results()
    query: Query = Query()
    peers: dict[str, Peer] = {}
    presets: dict[AETitle, Preset] = Field(default={}, validate_default=True)

    @field_validator("peers")
    @classmethod
    def _name_peers(cls, value: dict[str, Peer]) -> dict[str, Peer]:
        return {name: peer.model_copy(update={"name": name}) for name, peer in value.items()}

    @field_validator("presets")
    @classmethod
    def _add_presets(cls, value: dict[str, Preset]) -> dict[str, Preset]:
        return OUT_OF_THE_BOX | {
            name: preset.model_copy(update={"name": name}) for name, preset in value.items()
        }

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        node = self.node
        _need(
            _loopback(node.host) or self.peers or node.open,
            f"[peers] that say who may call, because node.host = {node.host!r} is reached from other "
            "machines; or node.open = true to let anybody do anything",
        )
        _need(
            node.ae_title not in self.presets,
            f"an AE title of its own for each preset: {node.ae_title!r} is both node.ae_title and a preset",
        )
        calling = [name for name, peer in self.peers.items() if peer.tls]
        _need(self.tls or not calling, f"[tls], because peers.{''.join(calling[:1])} is called by TLS")
        titles = [peer.ae_title for peer in self.peers.values() if peer.destination]
        twice = sorted({title for title in titles if titles.count(title) > 1})
        _need(not twice, f"one destination for each AE title: {', '.join(twice)} names several peers")
        return self

    def rules(self, policy: Policy | None = None, minimum_images: int | None = None) -> SelectionRules:
        """Return what decides a selection; *policy* and *minimum_images* stand before the file's."""
        selection, completion = self.selection, self.completion
        return SelectionRules(
            candidates=selection.candidates,
            suffixes=selection.suffixes,
            auxiliary=selection.auxiliary,
            auxiliary_missing=selection.auxiliary_missing,
            minimum_images=selection.minimum_images if minimum_images is None else minimum_images,
            policy=completion.policy if policy is None else policy,
            interpolate_at_most=completion.interpolate_at_most,
            adopt_unlabelled=completion.adopt_unlabelled,
        )


def load(path: Path | None) -> Config:
    """Return the configuration in the TOML file *path*; without one, the defaults in the current folder.

    Raises ``ConfigurationError``, which names the file and, for each key that is wrong, what was found and
    what was needed.
    """
    if path is None:
        return Config()
    try:
        tables = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ConfigurationError(f"{path}: is no TOML: {error}") from error
    tables.setdefault("archive", {})  # its root is relative to the file, also where the file is silent
    # Strict JSON tells "8" from 8 and still takes words for enumerations and lists for tuples.
    text = json.dumps(tables, default=str)
    try:
        return Config.model_validate_json(text, strict=True, context={"folder": path.absolute().parent})
    except ValidationError as error:
        raise ConfigurationError("\n".join(f"{path}: {line}" for line in _sentences(error))) from error


def _sentences(error: ValidationError) -> Iterator[str]:
    for detail in error.errors():
        key = ".".join(str(part) for part in detail["loc"] if part != "[key]")
        if detail["type"] == "extra_forbidden":
            yield f"{key}: is no known key; the nearest is {_nearest(detail['loc'])}"
        elif detail["type"] == "missing":
            yield f"{key}: is not there, and is needed"
        else:
            yield f"{key + ': ' if key else ''}{_found(detail)}needed {_needed(detail)}"


def _found(detail: ErrorDetails) -> str:
    found: Any = detail["input"]
    return "" if isinstance(found, dict) else f"found {found!r}, "


def _needed(detail: ErrorDetails) -> str:
    """Return what pydantic asks for, in the words of TOML; its sentences begin with "Input should be"."""
    words = re.sub(r"^(Input|String) should (be |have )?", "", detail["msg"])
    return {"an object": "a table", "a valid array": "a list"}.get(words, words)


def _nearest(location: tuple[int | str, ...]) -> str:
    """Return the known key nearest to the unknown one at *location*, with its section."""
    *tables, wrong = map(str, location)
    known = [key for key in _model(tables).model_fields if key != "name"]
    return ".".join([*tables, *difflib.get_close_matches(wrong, known, n=1, cutoff=0.0)])


def _model(tables: list[str]) -> type[BaseModel]:
    """Return what describes the table that *tables* lead to."""
    named: dict[str, type[BaseModel]] = {"peers": Peer, "presets": Preset, "tls": TLS}
    if not tables:
        return Config
    if tables[0] in named:
        return named[tables[0]]
    section = Config.model_fields[tables[0]].get_default(call_default_factory=True)
    assert isinstance(section, BaseModel)
    return type(section)

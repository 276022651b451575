"""Every section and key of the file, with its default; the rules that hold between keys.

``config/node.toml`` shows the same with comments for the person who runs a node; a test holds the two
together.
"""

from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from scp.config.values import (
    AETitle,
    Batch,
    Database,
    Duration,
    Executor,
    FilePath,
    Fingerprint,
    Host,
    Keyword,
    Millimetres,
    Network,
    Port,
    ResultClass,
    Right,
    SearchName,
    Size,
    Suffix,
    UIDRoot,
    cosines,
    is_loopback,
    need,
)
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


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Named(_Section):
    """A table whose own name means something; the name is no key inside it."""

    name: str = Field("", exclude=True)

    @field_validator("name", mode="before")
    @classmethod
    def _is_no_key(cls, value: object, info: ValidationInfo) -> object:
        if info.mode == "json":
            raise PydanticCustomError("extra_forbidden", "no known key")
        return value


class Node(_Section):
    """``[node]``: who this node is and where it listens."""

    ae_title: AETitle = "MPRSCP"
    host: Host = Field("127.0.0.1", min_length=1)
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
        need(list(value) == sorted(set(value)), "durations that grow")
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
    host: Host = ""
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
        need(self.host or not called, "a host: this peer is a destination or completed from, so it is called")
        need(self.port or not called, "a port: this peer is a destination or completed from, so it is called")
        need(self.host or self.networks, "a host, or the networks that it calls from")
        need(
            not self.complete_from or self.retrieve == "get" or "store" in self.rights,
            'the right "store", because C-MOVE makes the peer store to this node; or retrieve = "get"',
        )
        return self


class Preset(_Named):
    """``[presets.NAME]``: the planes that a plain retrieve from the AE title NAME yields."""

    direction: Direction = Direction.CORONAL
    orientation: Annotated[tuple[float, ...], AfterValidator(cosines)] = ()
    operation: Operation = Operation.MPR
    thickness: Millimetres = 0.0
    interval: Millimetres = 0.0
    method: Method = Method.AVERAGE_IP
    policy: Annotated[Policy | None, BeforeValidator(lambda value: value or None)] = None
    virtual_series: bool = False

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        oblique = self.direction is Direction.OBLIQUE
        need(oblique == bool(self.orientation), "an orientation with OBLIQUE, and with no other direction")
        need(
            not self.virtual_series or self.thickness or self.operation is not Operation.SLAB,
            "a thickness: a SLAB that is listed as a virtual series cannot wait for one",
        )
        return self

    @property
    def planes(self) -> PlaneRequest:
        """Return the planes that are meant, as one request asks for them."""
        given = self.orientation
        orientation: Orientation | None = (
            (given[0], given[1], given[2], given[3], given[4], given[5]) if given else None
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
        need(
            is_loopback(node.host) or self.peers or node.open,
            f"[peers] that say who may call, because node.host = {node.host!r} is reached from other "
            "machines; or node.open = true to let anybody do anything",
        )
        need(
            node.ae_title not in self.presets,
            f"an AE title of its own for each preset: {node.ae_title!r} is both node.ae_title and a preset",
        )
        tls = self.tls
        need(
            tls is None or tls.only or not tls.port or tls.port != node.port,
            f"a port of its own for TLS: tls.port and node.port are both {node.port}",
        )
        calling = [name for name, peer in self.peers.items() if peer.tls]
        need(tls or not calling, f"[tls], because peers.{''.join(calling[:1])} is called by TLS")
        titles = [peer.ae_title for peer in self.peers.values() if peer.destination]
        twice = sorted({title for title in titles if titles.count(title) > 1})
        need(not twice, f"one destination for each AE title: {', '.join(twice)} names several peers")
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

"""The configuration file: defaults, units, and sentences that tell a person what to change."""

import re
import tomllib
from pathlib import Path

import pytest
from pydantic import BaseModel

from scp import config
from scp.config import Config, Limits, load
from scp.errors import ConfigurationError
from scp.model import Direction, Operation, PlaneRequest, Policy

SHOWN = Path(__file__).parents[1] / "config" / "node.toml"


@pytest.fixture
def written(tmp_path: Path):
    def write(text: str) -> Path:
        path = tmp_path / "node.toml"
        path.write_text(text, "utf-8")
        return path

    return write


@pytest.fixture
def refused(written):
    """Return the sentence with which a file is refused."""

    def refuse(text: str) -> str:
        with pytest.raises(ConfigurationError) as caught:
            load(written(text))
        return str(caught.value)

    return refuse


def uncommented() -> dict:
    """Return the tables that ``config/node.toml`` shows, those behind ``#`` included."""
    lines = SHOWN.read_text("utf-8").split("[node]", 1)[1].splitlines()
    return tomllib.loads("\n".join(["[node]", *(re.sub(r"^# (?=\[|\w+ =)", "", line) for line in lines)]))


def plain(model: BaseModel) -> dict:
    return model.model_dump(mode="json", exclude={"name"})


# --- config/node.toml and the code say the same ---


def test_the_file_that_is_shown_holds_the_defaults(tmp_path: Path):
    assert load(SHOWN) == Config(archive=config.Archive(root=SHOWN.parent / "archive"))


def test_the_file_that_is_shown_names_every_section_and_key():
    shown = uncommented()
    assert shown.keys() == Config.model_fields.keys()
    sections = {name: getattr(Config(), name) for name in shown.keys() - {"tls", "peers", "presets"}}
    keys = {name: set(type(section).model_fields) for name, section in sections.items()}
    assert {name: set(shown[name]) for name in keys} == keys
    assert set(shown["tls"]) == set(config.TLS.model_fields)
    assert set(shown["peers"]["PACS"]) == set(config.Peer.model_fields) - {"name"}
    assert set(shown["presets"]["MPR_COR"]) == set(config.Preset.model_fields) - {"name"}


def test_the_examples_behind_the_hash_sign_are_a_configuration_that_loads(written):
    text = SHOWN.read_text("utf-8")
    loaded = load(written(re.sub(r"(?m)^# (?=\[|\w+ = )", "", text)))
    assert loaded.peers["PACS"].destination
    assert loaded.presets["MPR_COR"] == Config().presets["MPR_COR"]
    assert loaded.tls is not None


def test_the_configuration_in_the_readme_loads(written):
    (example,) = re.findall(
        r"```toml\n(.*?)```", (SHOWN.parents[1] / "README.md").read_text("utf-8"), re.DOTALL
    )
    loaded = load(written(example))
    assert loaded.peers["pacs"].complete_from
    assert loaded.presets["BONE_SAG"].planes.thickness_mm == 3.0


# --- defaults ---


def test_without_a_file_the_node_is_on_loopback_and_closed():
    node = load(None).node
    assert (node.host, node.port, node.open, node.ae_title) == ("127.0.0.1", 11112, False, "MPRSCP")


def test_without_a_file_the_archive_is_in_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert load(None).archive.root == tmp_path / "archive"


def test_an_empty_file_gives_the_defaults(written, tmp_path):
    assert load(written("")) == Config(archive=config.Archive(root=tmp_path / "archive"))


def test_a_configuration_cannot_be_changed():
    with pytest.raises(ValueError, match="frozen"):
        Config().node.port = 104  # type: ignore[misc]


# --- units and paths ---


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("500 ms", 0.5),
        ("30 s", 30),
        ("10 min", 600),
        ("1 h", 3600),
        ("7 d", 604800),
        ("1.5 h", 5400),
        ("2s", 2),
    ],
)
def test_durations_become_seconds(written, text, seconds):
    assert load(written(f'[limits]\nidle_deadline = "{text}"')).limits.idle_deadline == seconds


@pytest.mark.parametrize(
    ("text", "size"), [('"64 KiB"', 65536), ('"3 MiB"', 3 << 20), ('"2 GiB"', 2 << 30), ('"0"', 0), ("0", 0)]
)
def test_sizes_become_bytes_and_zero_needs_no_unit(written, text, size):
    assert load(written(f"[reconstruction]\ncache = {text}")).reconstruction.cache == size


@pytest.mark.parametrize("wrong", ["60", '"60"', '"60 sec"', '"-1 s"', '"s"', "true", '"nan s"', '["1 s"]'])
def test_a_duration_without_a_known_unit_is_refused_with_an_example(refused, wrong):
    sentence = refused(f"[limits]\nidle_deadline = {wrong}")
    assert "limits.idle_deadline: found" in sentence
    assert 'needed a number and a unit, such as "500 ms"' in sentence


def test_a_deadline_of_zero_is_refused(refused):
    assert "limits.idle_deadline" in refused('[limits]\nidle_deadline = "0 s"')


def test_code_may_give_plain_numbers():
    assert Limits(idle_deadline=0.25, maximum_pdu=16384) == Limits(
        idle_deadline="250 ms", maximum_pdu="16 KiB"
    )


def test_paths_are_relative_to_the_file(written, tmp_path):
    text = '[archive]\nroot = "there"\n[tls]\ncertificate = "a.pem"\nkey = "/etc/a.key"\nca = "ca.pem"'
    loaded = load(written(text))
    assert loaded.archive.root == tmp_path / "there"
    assert loaded.tls is not None
    assert (loaded.tls.certificate, loaded.tls.key) == (tmp_path / "a.pem", Path("/etc/a.key"))


# --- what is wrong is said so that a person can mend it ---


@pytest.mark.parametrize(
    ("text", "unknown", "nearest"),
    [
        ("[limts]", "limts", "limits"),
        ('[node]\nae_titel = "X"', "node.ae_titel", "node.ae_title"),
        ('[tls]\ncertifcate = "x"', "tls.certifcate", "tls.certificate"),
        ('[peers.A]\nae_title = "A"\nhost = "h"\nright = []', "peers.A.right", "peers.A.rights"),
        ("[presets.A]\nintervall = 1.0", "presets.A.intervall", "presets.A.interval"),
        ('[presets.A]\nname = "B"', "presets.A.name", "presets.A."),
    ],
)
def test_an_unknown_key_is_named_with_its_file_and_the_nearest_known_one(refused, text, unknown, nearest):
    sentence = refused(text)
    assert f"node.toml: {unknown}: is no known key; the nearest is {nearest}" in sentence


def test_every_wrong_key_of_a_file_is_told_at_once(refused):
    sentence = refused('[node]\nport = "x"\n[limits]\nassociations = 0\n[results]\nsop_class = "CT"')
    assert [key in sentence for key in ("node.port", "limits.associations", "results.sop_class")] == [
        True
    ] * 3


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[node]\nport = 70000", "node.port: found 70000, needed less than or equal to 65535"),
        ('[node]\nport = "104"', "node.port: found '104', needed a valid integer"),
        ("[node]\nopen = 1", "node.open: found 1, needed a valid boolean"),
        ('[results]\ncompression = "jpeg"', "found 'jpeg', needed 'none', 'rle', 'jpeg_ls' or 'jpeg_2000'"),
        ('[selection]\nauxiliary = ["Serie"]', "found 'Serie', needed a keyword of PS3.6"),
        ('[selection]\nsuffixes = ".dcm"', "selection.suffixes: found '.dcm', needed a list"),
        ('[selection]\nsuffixes = ["dcm"]', "found 'dcm', needed a suffix that begins with a dot"),
        ('[completion]\ntime_radius = ["1 h", "1 min"]', "needed durations that grow"),
        ('[archive]\nbatch = "../x"', "archive.batch: found '../x', needed one folder's name"),
        ('[archive]\nbatch = "{day}"', "archive.batch: found '{day}', needed one folder's name"),
        ('[archive]\ndatabase = "oracle"', "archive.database: found 'oracle', needed \"sqlite\" or"),
        ('[reconstruction]\nexecutor = "dask"', 'needed "local" or "dask://host:port"'),
        ("[reconstruction]\npixel_spacing = inf", "reconstruction.pixel_spacing: found inf"),
        ('[results]\nuid_root = "1.02"', "results.uid_root: found '1.02', needed a UID root"),
        ('[peers.A]\nhost = "h"', "peers.A.ae_title: is not there, and is needed"),
        ('[peers.A]\nae_title = "A"\nnetworks = ["10.0.0"]', "needed an address or a network"),
        ("peers = 3", "peers: found 3, needed a table"),
    ],
)
def test_a_bad_value_is_answered_with_what_was_found_and_what_was_needed(refused, text, sentence):
    assert sentence in refused(text)


def test_a_file_that_is_no_toml_is_named_with_the_place(refused):
    assert re.search(r"node\.toml: is no TOML: .*line 2", refused("[node]\nport = \n"))


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ConfigurationError, match=r"absent\.toml: cannot be read: No such file"):
        load(tmp_path / "absent.toml")


def test_a_file_in_another_encoding_is_refused(tmp_path):
    path = tmp_path / "node.toml"
    path.write_bytes('[node]\nae_title = "Ä"'.encode("latin-1"))
    with pytest.raises(ConfigurationError, match="is no TOML"):
        load(path)


# --- AE titles (PS3.5 6.2) ---


@pytest.mark.parametrize("title", ["A" * 17, "", "   ", r"A\\B", "Ä", r"A\u0007"])
def test_what_is_no_ae_title_is_refused(refused, title):
    assert "needed an AE title" in refused(f'[node]\nae_title = "{title}"')


def test_spaces_around_an_ae_title_do_not_count(written):
    assert load(written('[node]\nae_title = " MY NODE "')).node.ae_title == "MY NODE"


def test_a_presets_name_must_be_an_ae_title(refused):
    assert "needed an AE title" in refused('[presets."A TITLE THAT IS TOO LONG"]')


def test_a_preset_cannot_have_the_nodes_own_ae_title(refused):
    assert "'MPR_SAG' is both node.ae_title and a preset" in refused('[node]\nae_title = "MPR_SAG"')


# --- who may call, and whom we can call ---


def test_another_address_needs_peers(refused, written):
    assert "needed [peers]" in refused('[node]\nhost = "0.0.0.0"')
    assert load(written('[node]\nhost = "0.0.0.0"\nopen = true')).node.open
    assert load(written('[node]\nhost = "::"\n[peers.A]\nae_title = "A"\nhost = "h"')).peers


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_loopback_needs_no_peers(written, host):
    assert load(written(f'[node]\nhost = "{host}"')).node.host == host


def test_a_peer_that_is_not_said_to_may_do_nothing(written):
    peer = load(written('[peers.A]\nae_title = "ALPHA"\nhost = "h"')).peers["A"]
    assert (peer.name, peer.rights, peer.destination, peer.complete_from) == ("A", (), False, False)


@pytest.mark.parametrize("called", ["destination = true", 'complete_from = true\nretrieve = "get"'])
def test_a_peer_needs_a_port_where_we_call_it(refused, written, called):
    table = f'[peers.A]\nae_title = "A"\nhost = "h"\n{called}\n'
    assert "peers.A: needed a port" in refused(table)
    assert load(written(table + "port = 104")).peers["A"].port == 104


def test_a_peer_that_moves_to_us_needs_the_right_to_store(refused, written):
    table = '[peers.A]\nae_title = "A"\nhost = "h"\nport = 104\ncomplete_from = true\n'
    assert 'needed the right "store"' in refused(table)
    assert load(written(table + 'rights = ["store"]')).peers["A"].complete_from


def test_two_destinations_cannot_share_an_ae_title(refused):
    table = '[peers.{}]\nae_title = "WS"\nhost = "h"\nport = 104\ndestination = true\n'
    assert "one destination for each AE title: WS" in refused(table.format("A") + table.format("B"))


def test_a_peer_called_by_tls_needs_our_certificate(refused):
    assert "needed [tls]" in refused('[peers.A]\nae_title = "A"\nhost = "h"\nport = 104\ntls = true')


@pytest.mark.parametrize("host", ["no such host.x", "a..b", "http://pacs", "pacs:104", "x" * 64])
def test_what_can_be_no_host_is_refused(refused, host):
    sentence = refused(f'[peers.A]\nae_title = "A"\nhost = "{host}"')
    assert f"peers.A.host: found {host!r}, needed a host name or an address" in sentence


@pytest.mark.parametrize(
    "host", ["pacs", "my_pacs.example.org.", "bücher.example", "10.0.0.5", "fe80::1%eth0"]
)
def test_names_and_addresses_are_hosts(written, host):
    table = f'[peers.A]\nae_title = "A"\nhost = "{host}"'
    assert load(written(table)).peers["A"].host == host


def test_the_two_listeners_need_two_ports(refused, written):
    tls = '[tls]\nport = 11112\ncertificate = "a.pem"\nkey = "a.key"\nca = "ca.pem"\n'
    assert "needed a port of its own for TLS: tls.port and node.port are both 11112" in refused(tls)
    assert load(written(tls + "only = true")).tls
    assert load(written(tls.replace("11112", "0") + "[node]\nport = 0")).tls


# --- presets ---


def test_three_presets_come_out_of_the_box():
    planes = {name: preset.planes.direction for name, preset in Config().presets.items()}
    assert planes == {
        "MPR_COR": Direction.CORONAL,
        "MPR_SAG": Direction.SAGITTAL,
        "MPR_AX": Direction.TRANSVERSE,
    }


def test_own_presets_are_added_and_one_of_the_same_name_replaces(written):
    text = '[presets.MPR_COR]\noperation = "SLAB"\nthickness = 5.0\n[presets.BONE]\ndirection = "SAGITTAL"\n'
    presets = load(written(text)).presets
    assert set(presets) == {"MPR_COR", "MPR_SAG", "MPR_AX", "BONE"}
    assert presets["MPR_COR"].planes == PlaneRequest(operation=Operation.SLAB, thickness_mm=5.0)
    assert presets["BONE"].name == "BONE"


def test_an_oblique_preset_carries_its_six_cosines(written):
    text = '[presets.O]\ndirection = "OBLIQUE"\norientation = [1, 0, 0, 0, 0.6, -0.8]'
    assert load(written(text)).presets["O"].planes.orientation == (1, 0, 0, 0, 0.6, -0.8)


@pytest.mark.parametrize(
    "cosines", ["[1, 0, 0]", "[1, 0, 0, 0.5, 1, 0]", "[2, 0, 0, 0, 1, 0]", "[nan,0,0,0,1,0]"]
)
def test_cosines_must_be_two_unit_vectors_at_right_angles(refused, cosines):
    assert "six cosines" in refused(f'[presets.O]\ndirection = "OBLIQUE"\norientation = {cosines}')


def test_an_orientation_goes_with_oblique_and_with_nothing_else(refused):
    assert "needed an orientation with OBLIQUE" in refused('[presets.O]\ndirection = "OBLIQUE"')
    assert "needed an orientation with OBLIQUE" in refused("[presets.O]\norientation = [1,0,0,0,0,-1]")


def test_a_virtual_slab_needs_its_thickness(refused):
    assert "needed a thickness" in refused('[presets.S]\noperation = "SLAB"\nvirtual_series = true')


def test_a_presets_empty_policy_is_that_of_completion(written):
    text = '[presets.A]\npolicy = ""\n[presets.B]\npolicy = "pad"\n'
    presets = load(written(text)).presets
    assert (presets["A"].policy, presets["B"].policy) == (None, Policy.PAD)


# --- the rules of a selection ---


def test_a_requests_own_policy_and_minimum_stand_before_the_files(written):
    loaded = load(written('[selection]\nminimum_images = 20\n[completion]\npolicy = "interpolate"'))
    assert (loaded.rules().minimum_images, loaded.rules().policy) == (20, Policy.INTERPOLATE)
    assert (loaded.rules(Policy.PAD, 3).minimum_images, loaded.rules(Policy.PAD, 3).policy) == (3, Policy.PAD)

"""``config``: what is shown is what would hold, in a form that a node takes again."""

import json
from pathlib import Path

import pytest

from scp.cli import main
from scp.config import load

FILE = """
[limits]
idle_deadline = "90 s"
maximum_pdu = "100000 B"
[archive]
root = "there"
[peers."the pacs"]
ae_title = "PACS"
host = "10.0.0.5"
port = 104
destination = true
[presets.BONE]
direction = "OBLIQUE"
orientation = [1, 0, 0, 0, 0.6, -0.8]
policy = "pad"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "node.toml"
    path.write_text(FILE)
    return path


def output(capsys, *words: object) -> str:
    with pytest.raises(SystemExit) as ended:
        main([str(word) for word in words])
    assert not ended.value.code
    return capsys.readouterr().out


def test_what_is_shown_loads_as_the_same_configuration(file, tmp_path, capsys):
    again = tmp_path / "again.toml"
    again.write_text(output(capsys, "config", "show", "--config", file))
    assert load(again) == load(file)


def test_durations_and_sizes_are_shown_with_their_units(file, capsys):
    shown = json.loads(output(capsys, "config", "show", "--config", file, "--json"))
    assert shown["limits"]["idle_deadline"] == "90 s"
    assert shown["limits"]["maximum_pdu"] == "100000 B"
    assert shown["archive"]["minimum_free"] == "1 GiB"
    assert shown["reconstruction"]["deadline"] == "10 min"


def test_a_good_file_is_said_to_be_good(file, capsys):
    assert output(capsys, "config", "check", file) == f"{file}: is good\n"


def test_a_slab_that_waits_for_its_thickness_is_told(file, capsys):
    file.write_text(f'{FILE}[presets.THICK]\noperation = "SLAB"\n')
    said = output(capsys, "config", "check", file)
    assert said.startswith(f"{file}: is good, but:\npresets.THICK: a SLAB without a thickness refuses ")
    assert said.endswith("; set presets.THICK.thickness\n")
    assert json.loads(output(capsys, "config", "check", file, "--json"))["slabs_without_thickness"] == [
        "THICK"
    ]


@pytest.mark.parametrize("command", ["check", "show"])
def test_the_file_is_named_as_an_argument_or_by_config(file, capsys, command):
    assert output(capsys, "config", command, file) == output(capsys, "config", command, "--config", file)


@pytest.mark.parametrize("words", [(), ("one.toml", "--config", "other.toml")], ids=["no file", "two files"])
def test_no_file_and_two_files_are_usage_errors(capsys, words):
    with pytest.raises(SystemExit) as ended:
        main(["config", "check", *words])
    assert ended.value.code == 2


def test_a_file_of_tls_that_is_not_there_is_named(tmp_path, capsys):
    path = tmp_path / "node.toml"
    path.write_text('[tls]\ncertificate = "node.pem"\nkey = "node.key"\nca = "peers.pem"\n')
    (tmp_path / "node.pem").write_text("")
    with pytest.raises(SystemExit) as ended:
        main(["config", "check", str(path)])
    error = capsys.readouterr().err
    assert ended.value.code == 1
    assert f"tls.key {tmp_path}/node.key: cannot be read: No such file or directory" in error
    assert f"tls.ca {tmp_path}/peers.pem: cannot be read" in error
    assert "tls.certificate" not in error

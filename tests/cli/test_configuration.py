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

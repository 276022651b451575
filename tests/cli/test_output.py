"""Progress goes to a terminal and nowhere else; JSON and tables keep what they are given."""

import io
import json
import sys

from scp.cli.output import print_json, progress, table


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_without_a_terminal_no_progress_is_written(capsys):
    with progress("working") as advance:
        advance(1, 2)
    assert capsys.readouterr() == ("", "")


def test_on_a_terminal_the_bar_counts(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with progress("working") as advance:
        advance(3, 12)
    assert "working" in terminal.getvalue()
    assert "3/12" in terminal.getvalue()


def test_json_keeps_letters_of_all_scripts(capsys):
    print_json({"name": "Müller 山田"})
    out = capsys.readouterr().out
    assert "山田" in out
    assert json.loads(out) == {"name": "Müller 山田"}


def test_columns_are_as_wide_as_their_widest_cell():
    assert table([("a", "bb"), ("cccc", "d")], ("x", "y")) == "x     y\na     bb\ncccc  d"


def test_one_long_cell_does_not_widen_the_rows_of_the_others():
    path = "/an/archive/" + "folder/" * 20
    lines = table([(path, "used"), ("a", "used")], ("file", "reason")).splitlines()
    assert lines[1] == f"{path}  used" and len(lines[2]) < 60

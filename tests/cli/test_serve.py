"""``serve`` as a service manager sees it: one line when it serves, and three signals."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from scp.cli import main
from tests.builders import image, write

pytestmark = pytest.mark.wire


class Served:
    """A node in a process of its own, with the port that it printed."""

    def __init__(self, config: Path) -> None:
        program = [sys.executable, "-m", "scp", "serve", "--config", str(config)]
        self.process = subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.line = self.process.stdout.readline().strip()
        self.port = int(self.line.split()[2].rpartition(":")[2]) if self.line else 0

    def says(self, words: str) -> str:
        """Return the next line of stderr that holds *words*; blocks until then, or until the process ends."""
        return next((line for line in self.process.stderr if words in line), "")

    def echo(self, called: str) -> int:
        with pytest.raises(SystemExit) as ended:
            main(["echo", "127.0.0.1", str(self.port), "--aec", called])
        return ended.value.code or 0


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "node.toml"
    path.write_text('[node]\nport = 0\nae_title = "NODE"\n')
    return path


@pytest.fixture
def served(config: Path) -> Iterator[Served]:
    served = Served(config)
    with served.process:
        yield served
        served.process.kill()


def test_one_line_says_where_it_listens_and_as_whom(served):
    assert served.line == f"listening on 127.0.0.1:{served.port} as NODE"
    assert served.echo("NODE") == 0
    assert served.echo("MPR_COR") == 0
    assert served.echo("SOMEBODY") == 1


def test_sigterm_and_sigint_end_it_well(config):
    for number in (signal.SIGTERM, signal.SIGINT):
        served = Served(config)
        with served.process:
            served.process.send_signal(number)
            assert served.says("stopped")
            assert served.process.wait(30) == 0


def test_sighup_reads_the_configuration_again(served, config):
    config.write_text(config.read_text() + "[presets.BONE]\n")
    served.process.send_signal(signal.SIGHUP)
    assert served.says("reloaded")
    assert served.echo("BONE") == 0


def test_sighup_names_what_waits_for_a_restart_until_it_is_as_it_was(served, config):
    text = config.read_text()
    config.write_text(text.replace("port = 0", "port = 1") + '[archive]\nroot = "there"\n')
    served.process.send_signal(signal.SIGHUP)
    assert served.says("reloaded").rstrip().endswith("reloaded; node.port, archive.root wait for a restart")
    config.write_text(text)
    served.process.send_signal(signal.SIGHUP)
    assert served.says("reloaded") == "mpr-scp: reloaded\n"
    assert served.echo("NODE") == 0


def test_a_bad_configuration_is_not_taken_and_the_old_one_stays(served, config):
    config.write_text("[nodes]\n")
    served.process.send_signal(signal.SIGHUP)
    assert "nodes: is no known key; the nearest is node" in served.says("not reloaded")
    assert served.echo("NODE") == 0


def test_a_bad_configuration_does_not_start(tmp_path):
    (tmp_path / "bad.toml").write_text("[node]\nport = 99999\n")
    served = Served(tmp_path / "bad.toml")
    out, err = served.process.communicate(timeout=30)
    assert (served.line, out, served.process.returncode) == ("", "", 1)
    assert "node.port: found 99999" in err


def test_a_port_that_is_taken_is_named(served, tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "node.toml").write_text(f"[node]\nport = {served.port}\n")
    late = Served(tmp_path / "other" / "node.toml")
    _, err = late.process.communicate(timeout=30)
    assert late.process.returncode == 1
    assert err.count("\n") == 1
    assert f"node.port: port {served.port} of 127.0.0.1 is taken by another program" in err


def test_a_second_node_on_one_archive_is_refused_and_import_goes_on(served, config, tmp_path):
    late = Served(config)
    _, err = late.process.communicate(timeout=30)
    assert (late.process.returncode, late.line, err.count("\n")) == (1, "", 1)
    assert f"another node (process {served.process.pid} on " in err
    assert f"serves {tmp_path / 'archive'}; stop that one" in err
    with pytest.raises(SystemExit) as ended:
        main(["import", str(write(image(), tmp_path / "one.dcm")), "--config", str(config)])
    assert not ended.value.code


def test_a_node_that_was_killed_leaves_no_claim_behind(served, config):
    served.process.kill()
    served.process.wait()
    again = Served(config)
    with again.process:
        assert again.echo("NODE") == 0
        again.process.kill()

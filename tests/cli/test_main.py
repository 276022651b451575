"""The frame of all commands: exit codes, one sentence, help that shows an example, and a quick start."""

import subprocess
import sys
from pathlib import Path

import pytest
import typer

from scp import __version__
from scp.cli import app, main


def commands(group=None, path=()) -> list[tuple[str, ...]]:
    found = []
    for name, command in (group or typer.main.get_command(app)).commands.items():
        found += commands(command, (*path, name)) if hasattr(command, "commands") else [(*path, name)]
    return found


@pytest.fixture
def run(capsys):
    """Return a function that runs a command line and tells exit code, stdout and stderr."""

    def run(*words: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main([str(word) for word in words])
        return (ended.value.code or 0, *capsys.readouterr())

    return run


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_the_help_of_each_command_shows_an_example_of_it(run, words):
    code, out, _ = run(*words, "--help")
    assert code == 0
    assert f"mpr-scp {' '.join(words)}" in out.split("Example", 1)[1]


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_the_readme_names_each_command(words):
    readme = Path(__file__).parents[2] / "README.md"
    assert f"`mpr-scp {' '.join(words)}`" in readme.read_text("utf-8")


def test_a_failure_is_one_sentence_on_stderr_and_exit_code_1(run, tmp_path):
    code, out, err = run("config", "check", tmp_path / "absent.toml")
    assert (code, out) == (1, "")
    assert err == f"mpr-scp: {tmp_path}/absent.toml: cannot be read: No such file or directory\n"


@pytest.mark.parametrize(
    "words",
    [
        ("nonsense",),
        ("mpr", "."),
        ("find", "localhost", "104", "-k", "NoSuchKey=1"),
        ("find", "localhost", "104"),
        ("echo", "localhost", "70000"),
        ("echo", "localhost", "104", "--aec", "A TITLE OF MANY LETTERS"),
        ("echo", "no host", "104"),
    ],
)
def test_a_wrong_command_line_is_exit_code_2_and_nothing_happens(run, words):
    code, out, err = run(*words)
    assert (code, out) == (2, "")
    assert "Error: " in err


def test_an_error_of_the_operating_system_names_the_file(run, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    code, _, err = run("config", "check", tmp_path / "file" / "node.toml")
    assert code == 1
    assert "node.toml" in err


def test_help_and_mistakes_do_not_wait_for_heavy_imports():
    program = "import sys; from scp.cli import app; print([m for m in sys.modules if '.' not in m])"
    loaded = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout
    heavy = ("pynetdicom", "pydicom", "numpy", "numba", "sqlalchemy", "pydantic", "PIL", "scipy")
    assert [name for name in heavy if f"'{name}'" in loaded] == []


def test_the_version_is_that_of_the_package(run):
    assert run("--version") == (0, f"mpr-scp {__version__}\n", "")


def test_python_dash_m_scp_is_the_same_program():
    done = subprocess.run([sys.executable, "-m", "scp", "--help"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("Usage: mpr-scp")

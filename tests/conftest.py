"""What all tests share: the real series, and which programs that are not ours are here."""

import os
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

DATA = Path(os.environ.get("MPR_SCP_DATA", Path(__file__).parents[2] / "shared" / "data"))
"""Where the real series lie, one ``CASE.tar.xz`` each; ``MPR_SCP_DATA`` names another folder."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="run the tests that take minutes, too")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--long"):
        for item in items:
            if "long" in item.keywords:
                item.add_marker(pytest.mark.skip(reason="takes minutes: run with --long"))


@pytest.fixture(scope="session")
def case(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return a function that unpacks one real series, once a session, and tells its folder."""
    root = tmp_path_factory.mktemp("data")

    def unpack(name: str) -> Path:
        packed = DATA / f"{name}.tar.xz"
        if not packed.is_file():
            pytest.skip(
                f"the real series {name} is not here: put {name}.tar.xz into {DATA}, or set MPR_SCP_DATA"
            )
        if not (root / name).is_dir():
            with tarfile.open(packed) as archive:
                archive.extractall(root, filter="data")
        return root / name

    return unpack


@pytest.fixture(scope="session")
def program() -> Callable[[str], str]:
    """Return a function that finds a program on the path, or skips the test with a plain sentence."""

    def find(name: str) -> str:
        path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
        if path is None:
            pytest.skip(f"{name} is not installed: this test compares with it")
        return path

    return find

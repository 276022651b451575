"""Fixtures of this folder."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.archive.conftest import settings

__all__ = ["settings"]


@pytest.fixture
def disk() -> Iterator[Path]:
    """A folder in memory where there is one: archives are made and thrown away by the hundred."""
    memory = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(dir=memory if os.access(memory, os.W_OK) else None))
    yield folder
    shutil.rmtree(folder)

"""Compiled kernels are kept where that is possible and safe, and never found again once stale."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from scp.reconstruction.kernels import keeping


@pytest.fixture
def unset(monkeypatch, tmp_path):
    monkeypatch.delenv(keeping.VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return monkeypatch


def test_a_folder_that_the_environment_names_holds_one_for_each_state_of_the_source(unset, tmp_path):
    unset.setenv(keeping.VARIABLE, str(tmp_path / "named"))
    keeping.settle()
    assert os.environ[keeping.VARIABLE] == str(tmp_path / "named" / f"kernels-{keeping.digest()}")


def test_a_child_process_finds_the_kernels_of_its_parent(unset):
    keeping.settle()
    settled = os.environ[keeping.VARIABLE]
    keeping.settle()
    assert os.environ[keeping.VARIABLE] == settled


def test_kernels_are_kept_beside_their_source(unset):
    keeping.settle()
    folder = Path(os.environ[keeping.VARIABLE])
    assert folder.parent.parent == Path(keeping.__file__).parent
    assert folder.name == f"kernels-{keeping.digest()}"


def test_a_package_that_cannot_be_written_keeps_them_in_the_users_cache(unset, tmp_path):
    package = tmp_path / "package"
    package.mkdir()
    (package / "__pycache__").write_text("no folder can be made here")
    unset.setattr(keeping, "__file__", str(package / "keeping.py"))
    keeping.settle()
    folder = Path(os.environ[keeping.VARIABLE])
    assert folder.parent == tmp_path / "cache" / "mpr-scp"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_folder_that_others_may_write_is_not_trusted(unset, tmp_path):
    package = tmp_path / "package"
    (package / "__pycache__").mkdir(parents=True)
    unset.setattr(keeping, "__file__", str(package / "keeping.py"))
    shared = package / "__pycache__" / f"kernels-{keeping.digest()}"
    shared.mkdir()
    shared.chmod(0o777)
    keeping.settle()
    assert Path(os.environ[keeping.VARIABLE]) != shared


def test_a_change_of_any_kernel_names_another_folder(unset, tmp_path):
    unset.setattr(keeping, "__file__", str(tmp_path / "keeping.py"))
    (tmp_path / "lines.py").write_text("one = 1")
    before = keeping.digest()
    (tmp_path / "lines.py").write_text("one = 2")
    assert keeping.digest() != before


def test_numba_is_told_before_it_is_imported(unset):
    """It reads the variable once."""
    pytest.importorskip("numba", reason="numba is not installed: nothing is compiled")
    script = (
        "from scp.reconstruction import compiled; import os; from numba import config;"
        f"assert config.CACHE_DIR == os.environ['{keeping.VARIABLE}'], config.CACHE_DIR"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", script], check=True, env=environment, timeout=100)

"""The bundle is built once per run of the suite, whichever process of it is first."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.executor.bundle.running import Bundle

ROOT = Path(__file__).parent.parent.parent.parent


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file that `make executor` makes."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base
    target = shared / "bundle" / "thermos_executor"
    target.parent.mkdir(exist_ok=True)
    with open(target.parent / "building", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.exists():
            done = subprocess.run(
                [ROOT / "scripts" / "make-executor", target], capture_output=True, text=True, timeout=500
            )
            assert done.returncode == 0, done.stderr
    return target


@pytest.fixture
def bundle(built: Path, tmp_path: Path) -> Bundle:
    """It, in an empty environment: on PATH is this suite's Python, and what a shell needs."""
    programs = tmp_path / "programs"
    programs.mkdir()
    real = os.path.realpath(sys.executable)
    (programs / "python3").symlink_to(real)
    return Bundle(built, tmp_path, programs)

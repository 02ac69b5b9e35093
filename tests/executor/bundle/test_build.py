"""What `make executor` puts into the file, and that the same goes in as the same bytes."""

from __future__ import annotations

import io
import json
import subprocess
import zipfile
from pathlib import Path

import pytest

from tests.executor.bundle.conftest import ROOT
from tests.executor.bundle.running import Bundle, may_build
from thermos.version import VERSION

pytestmark = may_build


def members(built: Path) -> dict[str, list[str]]:
    with zipfile.ZipFile(built) as outer:
        assert outer.testzip() is None
        inner = [name for name in outer.namelist() if name.endswith(".zip")]
        return {name: zipfile.ZipFile(io.BytesIO(outer.read(name))).namelist() for name in inner}


def test_it_is_small(built: Path) -> None:
    assert built.stat().st_size < 8 * 2**20


def test_it_holds_what_an_executor_needs_and_no_more(built: Path) -> None:
    found = members(built)
    tops = {name.split("/")[1] for name in found["any.zip"] if name.startswith("lib/")}
    assert tops == {"config", "executor", "h11", "kazoo", "mesos", "msgspec", "thermos"}
    assert "lib/thermos/host/thermos-coordinator" in found["any.zip"]
    assert not [name for name in found["any.zip"] if "/tests/" in name or "mesos/local" in name or name.endswith(".c")]
    assert {f"licenses/{name}/LICENSE" for name in ("aurora_thermos", "msgspec")} <= set(found["any.zip"])


@pytest.mark.parametrize("minor", [11, 12, 13])
def test_it_has_the_extension_module_for_every_python(built: Path, minor: int) -> None:
    names = members(built)[f"cp3{minor}.zip"]
    assert [name for name in names if name.startswith(f"lib/msgspec/_core.cpython-3{minor}-") and name.endswith(".so")]


def test_the_python_that_built_it_compiled_its_bytecode(built: Path, bundle: Bundle) -> None:
    facts = json.loads(bundle.run("--bundle-info").stdout)
    for tag, ready in facts["pythons"].items():
        compiled = [name for name in members(built)[f"{tag}.zip"] if name.endswith(".pyc")]
        sources = [name for name in members(built)["any.zip"] if name.startswith("lib/") and name.endswith(".py")]
        assert len(compiled) == (len(sources) if ready else 0)
    assert True in facts["pythons"].values()


def test_the_coordinator_may_be_executed(bundle: Bundle) -> None:
    assert (bundle.unpack() / "lib/thermos/host/thermos-coordinator").stat().st_mode & 0o111


def test_nothing_tells_when_or_where_it_was_built(built: Path) -> None:
    with zipfile.ZipFile(built) as outer:
        assert {member.date_time for member in outer.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        for name in outer.namelist():
            if name.endswith(".zip"):
                inner = zipfile.ZipFile(io.BytesIO(outer.read(name)))
                assert {member.date_time for member in inner.infolist()} == {(1980, 1, 1, 0, 0, 0)}
                assert inner.namelist() == sorted(inner.namelist())
                assert not [m for m in inner.namelist() if str(ROOT).encode() in inner.read(m)]


@pytest.mark.slow
def test_the_same_input_gives_the_same_bytes(built: Path, tmp_path: Path) -> None:
    again = tmp_path / "elsewhere" / "thermos_executor"
    subprocess.run([ROOT / "scripts" / "make-executor", again], check=True, capture_output=True, timeout=500)
    assert again.read_bytes() == built.read_bytes()


def test_info_names_version_wheels_and_where_it_would_unpack(bundle: Bundle) -> None:
    done = bundle.run("--bundle-info")
    facts = json.loads(done.stdout)
    assert (done.returncode, done.stderr) == (0, "")
    assert facts["version"] == VERSION
    assert {name.split("-")[0] for name in facts["wheels"]} == {"h11", "kazoo", "msgspec"}
    assert all(len(digest) == 64 for digest in facts["wheels"].values())
    assert facts["cache"] == str(bundle.cache)
    assert facts["unpacked"] is False
    assert not bundle.cache.exists()
    bundle.unpack()
    assert json.loads(bundle.run("--bundle-info").stdout)["unpacked"] is True


def test_version_unpacks_nothing(bundle: Bundle) -> None:
    done = bundle.run("--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"thermos_executor {VERSION}\n", "")
    assert not bundle.cache.exists()

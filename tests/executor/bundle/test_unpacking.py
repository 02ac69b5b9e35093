"""Unpacking once, whoever starts at the same time, whatever lies there already, whoever put it there."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.executor.bundle.running import Bundle, may_build, only_line

pytestmark = may_build

NOBODY = 65534


def snapshot(directory: Path) -> dict[str, int]:
    return {str(p.relative_to(directory)): p.lstat().st_ino for p in directory.rglob("*")}


def test_it_is_unpacked_once(bundle: Bundle) -> None:
    home = bundle.unpack()
    before = snapshot(home)
    assert bundle.unpack() == home
    assert snapshot(home) == before
    assert sorted(p.name for p in bundle.cache.iterdir()) == sorted([home.name, "lock"])


@pytest.mark.parametrize("how", ["option", "option=", "environment"])
def test_the_cache_may_be_named(bundle: Bundle, how: str) -> None:
    elsewhere = bundle.base / "var" / "cache" / "thermos"
    if how == "environment":
        bundle.environment["THERMOS_EXECUTOR_CACHE"] = str(elsewhere)
        arguments = []
    else:
        arguments = [f"--bundle-cache={elsewhere}"] if how == "option=" else ["--bundle-cache", str(elsewhere)]
    done = bundle.run("--bundle-unpack", *arguments)
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()).parent == elsewhere
    assert not bundle.cache.exists()


def test_many_that_start_at_once_share_one(bundle: Bundle) -> None:
    started = [bundle.start("--bundle-unpack") for _ in range(12)]
    said = [process.communicate(timeout=60) for process in started]
    assert {process.returncode for process in started} == {0}, said
    assert len({out for out, _ in said}) == 1
    assert [p.name for p in bundle.cache.iterdir() if p.name != "lock"] == [Path(said[0][0].strip()).name]


def test_one_that_was_killed_while_unpacking_blocks_nobody(bundle: Bundle) -> None:
    """Wherever it was: kill -9 at moments all over the time that unpacking takes."""
    fell = 0
    for number in range(12):
        process = bundle.start("--bundle-unpack")
        time.sleep(0.03 + 0.015 * number)  # that is the fault, not a wait
        process.kill()
        process.communicate()
        fell += process.returncode == -9
        if any(p.name.startswith(".new-") for p in bundle.cache.glob("*")):
            home = bundle.unpack()
            assert not [p for p in bundle.cache.iterdir() if p.name.startswith(".new-")]
            shutil.rmtree(home)
    assert fell
    assert bundle.run("--bundle-unpack").returncode == 0


@pytest.mark.parametrize("damage", ["gone", "cut", "no manifest", "half a manifest", "empty", "foreign"])
def test_what_is_torn_is_unpacked_again(bundle: Bundle, damage: str) -> None:
    home = bundle.unpack()
    victim = home / "lib" / "thermos" / "runner.py"
    whole = victim.read_bytes()
    if damage == "gone":
        victim.unlink()
    elif damage == "cut":
        victim.write_bytes(b"")
    elif damage == "no manifest":
        (home / "manifest").unlink()
    elif damage == "half a manifest":
        text = (home / "manifest").read_text()
        (home / "manifest").write_text(text[: len(text) // 2])
    elif damage == "foreign":
        if os.geteuid() != 0:
            pytest.skip("needs root")
        os.chown(victim, NOBODY, NOBODY)
    else:
        shutil.rmtree(home)
        home.mkdir()
    assert bundle.unpack() == home
    assert victim.read_bytes() == whole
    assert victim.stat().st_uid == os.geteuid()


def test_an_unpacking_that_takes_for_ever_is_not_waited_for(bundle: Bundle) -> None:
    """Its patience is 10 s, and then it unpacks itself."""
    bundle.cache.mkdir(parents=True)
    with open(bundle.cache / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        begun = time.monotonic()
        home = bundle.unpack()
        assert 8 < time.monotonic() - begun < 50
    assert (home / "manifest").exists()


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
class TestOthers:
    """What another user can change is never run."""

    def test_a_directory_of_another_user_is_refused(self, bundle: Bundle) -> None:
        home = bundle.unpack()
        os.chown(home, NOBODY, NOBODY)
        done = bundle.run("--bundle-unpack")
        assert done.returncode == 73
        assert only_line(done).startswith(f"thermos_executor: cannot trust {home}: ")

    def test_a_directory_that_others_may_write_is_refused(self, bundle: Bundle) -> None:
        home = bundle.unpack()
        home.chmod(0o777)
        assert "cannot trust" in only_line(bundle.run("--bundle-unpack"))

    def test_a_link_is_refused(self, bundle: Bundle) -> None:
        home = bundle.unpack()
        home.rename(bundle.base / "moved")
        home.symlink_to(bundle.base / "moved")
        assert "cannot trust" in only_line(bundle.run("--bundle-unpack"))

    @pytest.mark.parametrize("which", ["cache", "run"])
    def test_a_cache_in_which_another_user_may_rename_is_refused(self, bundle: Bundle, which: str) -> None:
        bundle.unpack()
        victim = bundle.cache if which == "cache" else bundle.cache.parent
        os.chown(victim, NOBODY, NOBODY)
        done = bundle.run("--bundle-unpack")
        assert done.returncode == 73
        assert only_line(done) == (
            f"thermos_executor: cannot trust {victim}: others than uid 0 and root can change it; "
            "name another directory with --bundle-cache or THERMOS_EXECUTOR_CACHE"
        )

    def test_a_sticky_directory_of_all_is_fine(self, bundle: Bundle) -> None:
        shared = bundle.base / "shared"
        shared.mkdir()
        shared.chmod(0o1777)
        assert bundle.run("--bundle-unpack", "--bundle-cache", str(shared / "cache")).returncode == 0

    def test_who_may_not_write_there_is_told_so(self, bundle: Bundle) -> None:
        for path in [bundle.base, *bundle.base.parents]:
            if not path.stat().st_mode & 0o001:
                path.chmod(path.stat().st_mode | 0o011)
        bundle.path.parent.parent.chmod(0o755)
        done = bundle.run("--bundle-unpack", user=NOBODY)
        assert done.returncode == 73
        assert only_line(done) == (
            f"thermos_executor: cannot make {bundle.cache}: Permission denied; "
            "name another directory with --bundle-cache or THERMOS_EXECUTOR_CACHE"
        )


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
class TestFileSystems:
    @pytest.fixture
    def mount(self, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
        place = tmp_path / "mounted"
        place.mkdir()
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", request.param, "tmpfs", str(place)], capture_output=True, text=True
        )
        if done.returncode != 0:
            pytest.skip(f"cannot mount a tmpfs here: {done.stderr.strip()}")
        yield place
        subprocess.run(["umount", str(place)], check=True)

    @pytest.mark.parametrize("mount", ["size=1m,mode=755"], indirect=True)
    def test_a_full_disk_is_told_in_one_line(self, bundle: Bundle, mount: Path) -> None:
        done = bundle.run("--bundle-unpack", "--bundle-cache", str(mount / "cache"))
        assert done.returncode == 73
        line = only_line(done)
        assert line.startswith(f"thermos_executor: cannot unpack into {mount}/cache: No space left on device (")
        assert not [p for p in (mount / "cache").iterdir() if p.name != "lock"]

    @pytest.mark.parametrize("mount", ["noexec,mode=755"], indirect=True)
    def test_noexec_is_told_in_one_line(self, bundle: Bundle, mount: Path) -> None:
        done = bundle.run("--bundle-unpack", "--bundle-cache", str(mount / "cache"))
        assert done.returncode == 73
        assert only_line(done) == (
            f"thermos_executor: cannot run from {mount}/cache: its file system is mounted noexec; "
            "name another directory with --bundle-cache or THERMOS_EXECUTOR_CACHE"
        )

    @pytest.mark.parametrize("mount", ["ro,mode=755"], indirect=True)
    def test_a_read_only_disk_is_told_in_one_line(self, bundle: Bundle, mount: Path) -> None:
        line = only_line(bundle.run("--bundle-unpack", "--bundle-cache", str(mount / "cache")))
        assert "Read-only file system" in line


class TestCleaning:
    @staticmethod
    def add_old(bundle: Bundle, name: str) -> Path:
        home = bundle.unpack()
        old = bundle.cache / name
        shutil.copytree(home, old)
        return old

    def test_other_versions_go_and_this_one_stays(self, bundle: Bundle) -> None:
        old = self.add_old(bundle, "0.0.1-0123456789ab-cp311")
        strange = bundle.cache / "not-ours"
        strange.mkdir()
        done = bundle.run("--bundle-clean")
        assert (done.returncode, done.stdout) == (0, f"removed {old}\n")
        assert not old.exists()
        assert strange.exists()
        assert len(list(bundle.cache.iterdir())) == 3
        assert bundle.run("--bundle-clean").stdout == ""

    def test_one_that_an_executor_runs_from_stays(self, bundle: Bundle) -> None:
        old = self.add_old(bundle, "0.0.1-0123456789ab-cp311")
        fd = os.open(old, os.O_RDONLY)
        try:
            fcntl.flock(fd, fcntl.LOCK_SH)
            assert bundle.run("--bundle-clean").stdout == ""
            assert old.exists()
        finally:
            os.close(fd)

    def test_without_a_cache_there_is_nothing_to_clean(self, bundle: Bundle) -> None:
        done = bundle.run("--bundle-clean")
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")

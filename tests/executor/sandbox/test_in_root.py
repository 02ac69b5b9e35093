"""Places in an image: whatever its links say, nobody gets out."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from executor.in_root import Make, is_executable, open_in_root

OPEN = Path("/proc/self/fd")


@pytest.fixture
def image(tmp_path: Path) -> Path:
    root = tmp_path / "image"
    (root / "usr" / "bin").mkdir(parents=True)
    (root / "usr" / "bin" / "bash").write_text("#!")
    (root / "usr" / "bin" / "bash").chmod(0o755)
    (root / "bin").symlink_to("usr/bin")
    (tmp_path / "outside").mkdir()
    return root


@pytest.fixture
def fd(image: Path) -> Iterator[int]:
    fd = os.open(image, os.O_RDONLY | os.O_DIRECTORY)
    yield fd
    assert opened_below(image.parent) == [image]  # every test closes what it got
    os.close(fd)


def opened_below(top: Path) -> list[Path]:
    """Of this process; what other tests have left open is none of ours."""
    found = []
    for link in OPEN.iterdir():
        with contextlib.suppress(FileNotFoundError):
            found.append(link.readlink())
    return [path for path in found if path.is_relative_to(top)]


def where(fd: int, path: str, make: Make = Make.NOTHING) -> Path:
    found = open_in_root(fd, path, make)
    try:
        return (OPEN / str(found)).readlink()
    finally:
        os.close(found)


@pytest.mark.parametrize(
    "path", ["/bin/bash", "bin/bash", "//bin/./bash", "/../../bin/bash", "/bin/../bin/bash", "/usr/bin/../bin/bash"]
)
def test_links_are_followed_inside(fd: int, image: Path, path: str) -> None:
    assert where(fd, path) == image / "usr" / "bin" / "bash"


@pytest.mark.parametrize("target", ["/", "/usr", "../../../../usr", "../outside/../usr"])
def test_a_link_leads_no_further_than_the_root(fd: int, image: Path, target: str) -> None:
    (image / "away").symlink_to(target)
    found = where(fd, "/away", Make.DIRECTORY)
    assert found == image or found.is_relative_to(image)


def test_an_absolute_link_means_the_image(fd: int, image: Path, tmp_path: Path) -> None:
    (image / "data").symlink_to(tmp_path / "outside")
    with pytest.raises(FileNotFoundError):
        open_in_root(fd, "/data")
    made = where(fd, "/data/x", Make.FILE)
    assert made == image / str(tmp_path).lstrip("/") / "outside" / "x" and made.is_file()
    assert not list((tmp_path / "outside").iterdir())


def test_what_is_missing_is_made(fd: int, image: Path) -> None:
    assert where(fd, "/mnt/mesos/sandbox", Make.DIRECTORY) == image / "mnt" / "mesos" / "sandbox"
    assert where(fd, "/var/data/file", Make.FILE).is_file()
    assert where(fd, "/var/data/file", Make.FILE).is_file()
    (image / "dangling").symlink_to("var/new")
    assert where(fd, "/dangling", Make.FILE) == image / "var" / "new"


def test_circles_and_files_on_the_way(fd: int, image: Path) -> None:
    (image / "a").symlink_to("b")
    (image / "b").symlink_to("/a")
    with pytest.raises(OSError) as caught:
        open_in_root(fd, "/a/x", Make.DIRECTORY)
    assert caught.value.errno == errno.ELOOP
    with pytest.raises(NotADirectoryError):
        open_in_root(fd, "/bin/bash/x", Make.DIRECTORY)


def test_programs(fd: int, image: Path) -> None:
    assert is_executable(fd, "/bin/bash")
    assert not is_executable(fd, "/bin") and not is_executable(fd, "/bin/sh")
    (image / "usr" / "bin" / "bash").chmod(0o644)
    assert not is_executable(fd, "/bin/bash")

"""Tasks in an image: a root file system that Mesos has put at <MESOS_DIRECTORY>/taskfs, without Python or us in it.

The executor stays outside. A worker makes a mount namespace of its own and puts into the image what processes expect
there: /proc, /sys, /dev, the sandbox at its mount point, the executor's volumes, who they are (/etc/passwd, /etc/group)
and where they are (/etc/resolv.conf, hosts, hostname). Threads that start processes enter that namespace; coordinators
then chroot into the image as their last step but a few. Nothing of the image is run on the way, and none of its links
leads out of it (`in_root`).

It is no jail: processes see the host's other processes and its network. Who needs one uses Docker, or `executor.oci`.

Source: spec/thermos.md §4.4.
"""

from __future__ import annotations

import contextlib
import grp
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from executor.core.sandbox_plan import IMAGE_ROOT, SandboxPlan, Volume
from executor.core.user_database import Account, Conflict, with_group, with_user
from executor.directories import (
    SANDBOX,
    SandboxFailed,
    directory,
    failing,
    make_directories,
    opened,
    owner_of,
    runs_as,
)
from executor.in_root import Make, is_executable, open_in_root
from executor.mounts import MountCalls
from thermos.errors import Bug
from thermos.host.spawn import SHELL, ImageRoot
from thermos.host.users import Identity, current_user

#: Files of the host that an image gets a copy of; what the host lacks is left out.
NETWORK_FILES = ("resolv.conf", "hosts", "hostname")

DEVICES = ("null", "zero", "full", "random", "urandom", "tty")

_DEVICE_LINKS = {
    "fd": "/proc/self/fd",
    "stdin": "/proc/self/fd/0",
    "stdout": "/proc/self/fd/1",
    "stderr": "/proc/self/fd/2",
    "ptmx": "pts/ptmx",
}

#: Files of users are small; a larger one is none.
_MOST_BYTES = 4 * 1024 * 1024


class ImageSandbox:
    """The directory sandbox, seen from inside an image. `enter` belongs into every thread that starts processes."""

    def __init__(self, plan: SandboxPlan, calls: MountCalls | None = None, etc: Path = Path("/etc")) -> None:
        self.path = Path(plan.directory) / SANDBOX
        self.image: ImageRoot | None = ImageRoot(Path(plan.directory) / IMAGE_ROOT, plan.mount_point)
        self.user = current_user()
        self.setuid = False
        self._plan = plan
        self._calls = calls or MountCalls()
        self._etc = etc  # the host's
        self._namespace: int | None = None

    def create(self) -> None:
        if os.geteuid() != 0:
            who = current_user().name
            raise SandboxFailed(f"cannot run the task in an image: only root may mount and chroot, this runs as {who}")
        owner = owner_of(self._plan)
        with failing("cannot make a mount namespace", "; images need root with CAP_SYS_ADMIN"):
            namespace = self._calls.new_namespace()
        try:
            self._furnish(owner)
        except BaseException:
            os.close(namespace)
            raise
        self._namespace = namespace
        self.user, self.setuid = runs_as(owner)

    def enter(self) -> None:
        if self._namespace is None:
            raise Bug("an image was entered that is not ready")
        with failing("cannot enter the mount namespace of the image"):
            self._calls.enter(self._namespace)

    def _furnish(self, owner: Identity | None) -> None:
        with self._open_root() as root:
            if not is_executable(root, SHELL[0]):
                raise SandboxFailed(f"cannot run the task in its image: it has no {SHELL[0]}, which runs command lines")
            with directory(root, "etc", self._image_path / "etc") as etc:
                if owner is not None and self._plan.create_user:
                    add_account(etc, owner, self._plan.mount_point)
                make_directories(self._plan, owner)
                self._mount_system(root)
                self._mount_all(root)
                copy_network_files(self._etc, etc)

    @property
    def _image_path(self) -> Path:
        return Path(self._plan.directory) / IMAGE_ROOT

    @contextlib.contextmanager
    def _open_root(self) -> Iterator[int]:
        """Opened inside the namespace: what was opened before can't be mounted on."""
        with failing(f"cannot open {self._plan.directory}"), opened(self._plan.directory) as run:
            root = self._root_in(run)
        try:
            yield root
        finally:
            os.close(root)

    def _root_in(self, run: int) -> int:
        try:
            return os.open(IMAGE_ROOT, os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=run)
        except FileNotFoundError:
            raise SandboxFailed(
                f"cannot run the task in its image: {self._image_path} is missing; "
                "does the agent provide images (--image_providers, --isolation=filesystem/linux,docker/runtime)?"
            ) from None
        except NotADirectoryError:
            raise SandboxFailed(f"cannot run the task in its image: {self._image_path} is no directory") from None

    def _mount_system(self, root: int) -> None:
        """What every program may expect: /proc, /sys (to be read only) and a /dev with nothing but harmless devices."""
        self._mount(root, Volume("/proc"), "the image's")
        self._mount(root, Volume("/sys", read_only=self._calls.can_make_all_read_only()), "the image's")
        with failing("cannot make the image's /dev"):
            with _place(root, "/dev", Make.DIRECTORY) as place:
                self._calls.tmpfs(place, "755")
            with _place(root, "/dev") as dev:
                for name in DEVICES:
                    with opened(f"/dev/{name}", os.O_PATH) as source, _place(dev, name, Make.FILE) as place:
                        self._calls.bind(source, place)
                with _place(dev, "shm", Make.DIRECTORY) as place:
                    self._calls.tmpfs(place, "1777")
                with _place(dev, "pts", Make.DIRECTORY) as place:
                    self._calls.terminals(place)
                for name, target in _DEVICE_LINKS.items():
                    os.symlink(target, name, dir_fd=dev)

    def _mount_all(self, root: int) -> None:
        """The sandbox and the volumes; what lies in another comes after it."""
        sandbox = Volume(self._plan.mount_point)
        volumes = {volume.path: volume for volume in (*self._plan.volumes, sandbox)}
        for path in sorted(volumes):
            if path == sandbox.path:
                self._mount(root, sandbox, "the sandbox at", self.path, os.O_NOFOLLOW)
            else:
                self._mount(root, volumes[path], "the volume")

    def _mount(self, root: int, volume: Volume, words: str, source: Path | None = None, flags: int = 0) -> None:
        with failing(f"cannot find {words} {volume.path} here", "; volumes need --isolation=filesystem/linux"):
            origin = os.open(source or volume.path, os.O_PATH | os.O_CLOEXEC | flags)
        try:
            make = Make.DIRECTORY if stat.S_ISDIR(os.fstat(origin).st_mode) else Make.FILE
            with failing(f"cannot mount {words} {volume.path} in the image"):
                with _place(root, volume.path, make) as place:
                    self._calls.bind(origin, place)
                if volume.read_only:
                    with _place(root, volume.path) as place:
                        self._calls.make_read_only(place)
        finally:
            os.close(origin)


@contextlib.contextmanager
def _place(root: int, path: str, make: Make = Make.NOTHING) -> Iterator[int]:
    fd = open_in_root(root, path, make)
    try:
        yield fd
    finally:
        os.close(fd)


def add_account(etc: int, user: Identity, home: str) -> None:
    """`user` and the primary group exist in the image whose /etc is open, under the same names and numbers as here.
    Raises SandboxFailed."""
    try:
        group = grp.getgrgid(user.gid).gr_name
    except KeyError:
        raise SandboxFailed(
            f"Could not create sandbox because the group of user {user.name} does not exist: {user.gid}"
        ) from None
    account = Account(user.name, user.uid, group, user.gid, home)
    try:
        for name, change in (("group", with_group), ("passwd", with_user)):
            with failing(f"cannot read /etc/{name} of the image"):
                before, like = read_file(etc, name)
            after = change(before, account)
            if after != before:
                with failing(f"cannot add user {user.name} to /etc/{name} of the image"):
                    replace_file(etc, name, after, like)
    except Conflict as conflict:
        raise SandboxFailed(f"cannot make user {user.name} in the image: {conflict}") from None


def copy_network_files(source: Path, etc: int) -> None:
    """Raises SandboxFailed."""
    for name in NETWORK_FILES:
        try:
            data = (source / name).read_bytes()
        except FileNotFoundError:
            continue
        except OSError as error:
            raise SandboxFailed(f"cannot read {source / name}: {error.strerror}") from error
        with failing(f"cannot copy {source / name} into the image"):
            replace_file(etc, name, data, None)


def read_file(parent: int, name: str) -> tuple[bytes, os.stat_result | None]:
    """A small regular file, and what it is like; nothing when it is missing. Raises OSError, SandboxFailed."""
    try:
        fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=parent)
    except FileNotFoundError:
        return b"", None
    try:
        like = os.fstat(fd)
        if not stat.S_ISREG(like.st_mode) or like.st_size > _MOST_BYTES:
            raise SandboxFailed(f"cannot use /etc/{name} of the image: it is no file of users")
        with open(fd, "rb", closefd=False) as file:
            return file.read(_MOST_BYTES), like
    finally:
        os.close(fd)


def replace_file(parent: int, name: str, data: bytes, like: os.stat_result | None) -> None:
    """A new file takes the place of whatever is there, without touching that. Raises OSError."""
    fresh = f".{name}.thermos"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(fresh, dir_fd=parent)
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644, dir_fd=parent)
    with open(fd, "wb") as file:
        if like is not None:
            os.fchown(fd, like.st_uid, like.st_gid)
        os.fchmod(fd, stat.S_IMODE(like.st_mode) if like is not None else 0o644)
        file.write(data)
    os.rename(fresh, name, src_dir_fd=parent, dst_dir_fd=parent)

"""Images: what processes find in one, what their makers may try, and that nothing of it is seen on the host."""

from __future__ import annotations

import errno
import grp
import os
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from executor.core.sandbox_plan import Volume
from executor.directories import SandboxFailed
from executor.images import ImageSandbox
from executor.mounts import MountCalls
from tests.executor.sandbox.conftest import USER, RunDirectory, in_thread, mounts, root_only
from thermos.errors import Bug
from thermos.host.spawn import ImageRoot
from thermos.host.users import resolve_user

pytestmark = root_only

NOBODY = resolve_user(USER)
NOGROUP = grp.getgrgid(NOBODY.gid).gr_name


@pytest.fixture(autouse=True)
def nothing_leaks(place: Path) -> Iterator[None]:
    """Whatever happens, nothing is mounted on the host afterwards."""
    yield
    assert not mounts(place)


@pytest.fixture
def image(run: RunDirectory) -> Path:
    return run.make_image()


def inside(sandbox: ImageSandbox, command: str) -> str:
    """What a shell prints in the image, as the sandbox's user."""

    def work() -> str:
        sandbox.enter()
        assert sandbox.image is not None
        words = ("chroot", f"--userspec={sandbox.user.uid}:{sandbox.user.gid}", "--groups=", str(sandbox.image.path))
        words = (*words, "/bin/bash", "-c", f"exec 2>&1; {command}")
        return subprocess.run(words, capture_output=True, text=True, check=False).stdout

    return in_thread(work)


def made(run: RunDirectory, etc: Path = Path("/etc"), **fields: Any) -> ImageSandbox:
    sandbox = ImageSandbox(run.plan(**({"image": True, "owner": USER} | fields)), etc=etc)
    in_thread(sandbox.create)
    return sandbox


def refused(run: RunDirectory, **fields: Any) -> str:
    with pytest.raises(SandboxFailed) as caught:
        made(run, **fields)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_process_finds_itself_and_its_sandbox(run: RunDirectory, image: Path) -> None:
    sandbox = made(run)
    assert (sandbox.path, sandbox.user, sandbox.setuid) == (run.sandbox, NOBODY, True)
    assert sandbox.image == ImageRoot(image, "/mnt/mesos/sandbox")
    (run.sandbox / "seen").write_text("from outside\n")
    assert inside(sandbox, "cd /mnt/mesos/sandbox; cat seen; echo x > written; id") == (
        f"from outside\nuid={NOBODY.uid}({USER}) gid={NOBODY.gid}({NOGROUP})\n"
    )
    assert (run.sandbox / "written").stat().st_uid == NOBODY.uid
    assert stat.S_IMODE(run.sandbox.stat().st_mode) == 0o700 and run.path.stat().st_uid == NOBODY.uid
    assert not list((image / "mnt" / "mesos" / "sandbox").iterdir())  # on the host it is an empty directory
    assert not list((image / "proc").iterdir()) and not list((image / "dev").iterdir())


def test_system_directories(run: RunDirectory, image: Path) -> None:
    sandbox = made(run)
    said = inside(
        sandbox,
        "echo x > /dev/null && cat /dev/urandom | (read -n 1 || :) && cat /proc/self/comm && ls /dev "
        "&& echo y > /dev/shm/y && cat /dev/fd/0 < /dev/shm/y; touch /sys/x; touch /dev/x; ls /dev/pts",
    )
    devices = [
        "fd",
        "full",
        "null",
        "ptmx",
        "pts",
        "random",
        "shm",
        "stderr",
        "stdin",
        "stdout",
        "tty",
        "urandom",
        "zero",
    ]
    assert said.split("\n") == [
        "cat", *devices, "y", "touch: /sys/x: Read-only file system", "touch: /dev/x: Permission denied", "ptmx", ""
    ]  # fmt: skip
    assert not Path("/dev/shm/y").exists()


def test_volumes(run: RunDirectory, image: Path, place: Path) -> None:
    data, settings = place / "data", place / "settings"
    (data / "below").mkdir(parents=True)
    data.chmod(0o777)
    settings.write_text("of the host\n")
    volumes = (
        Volume(f"{data}/below", read_only=True),
        Volume(str(data)),
        Volume(str(settings), read_only=True),
    )
    sandbox = made(run, volumes=volumes)
    said = inside(sandbox, f"echo in > {data}/new; cat {settings}; touch {data}/below/x {settings}")
    assert said == (
        f"of the host\ntouch: {data}/below/x: Read-only file system\ntouch: {settings}: Read-only file system\n"
    )
    assert (data / "new").read_text() == "in\n"
    assert (image / str(settings).lstrip("/")).read_text() == ""  # what it was mounted on


def test_a_read_only_volume_with_others_below(run: RunDirectory, image: Path, place: Path) -> None:
    """Whoever mounted something below it: it can't be written, either."""
    data = place / "data"
    (data / "below").mkdir(parents=True)

    def work() -> str:
        MountCalls().new_namespace()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=777", "tmpfs", data / "below"], check=True)
        sandbox = ImageSandbox(run.plan(image=True, owner=USER, volumes=(Volume(str(data), read_only=True),)))
        sandbox.create()
        return inside(sandbox, f"touch {data}/below/x; grep -c {data} /proc/self/mounts")

    assert in_thread(work) == f"touch: {data}/below/x: Read-only file system\n2\n"


def test_a_volume_below_the_sandbox(run: RunDirectory, image: Path, place: Path) -> None:
    mounted = place / "box"
    (mounted / "cache").mkdir(parents=True)
    (mounted / "cache" / "file").write_text("cached\n")
    sandbox = made(run, mount_point=str(mounted), volumes=(Volume(f"{mounted}/cache"),))
    assert inside(sandbox, f"cat {mounted}/cache/file; ls -a {mounted}") == "cached\n.\n..\n.logs\ncache\n"


def test_network_files_are_copies(run: RunDirectory, image: Path, place: Path) -> None:
    etc = place / "etc"
    etc.mkdir()
    for name in ("resolv.conf", "hosts"):
        (etc / name).write_text(f"{name} of the host\n")
    (image / "etc" / "hosts").write_text("of the image\n")
    sandbox = made(run, etc=etc)
    assert inside(sandbox, "cat /etc/resolv.conf /etc/hosts; ls /etc") == (
        "resolv.conf of the host\nhosts of the host\ngroup\nhosts\npasswd\nresolv.conf\n"
    )
    assert (etc / "hosts").read_text() == "hosts of the host\n"


def test_without_a_user_nothing_is_added(run: RunDirectory, image: Path) -> None:
    """--no-create-user: the process is a number. --nosetuid: it is root."""
    sandbox = made(run, create_user=False)
    assert inside(sandbox, "id") == f"uid={NOBODY.uid} gid={NOBODY.gid}\n"
    sandbox = made(run, owner=None)
    assert (sandbox.user.uid, sandbox.setuid) == (0, False)
    assert (image / "etc" / "passwd").read_text() == "root:x:0:0:root:/root:/bin/sh\n"


def test_an_image_without_files_of_users(run: RunDirectory, image: Path) -> None:
    (image / "etc" / "passwd").unlink()
    (image / "etc" / "group").unlink()
    (image / "etc").rmdir()
    sandbox = made(run)
    assert inside(sandbox, "id").startswith(f"uid={NOBODY.uid}({USER}) gid={NOBODY.gid}({NOGROUP})")
    assert stat.S_IMODE((image / "etc" / "passwd").stat().st_mode) == 0o644


def test_twice_is_once(run: RunDirectory, image: Path) -> None:
    made(run)
    before = (image / "etc" / "passwd").read_text()
    (image / "etc" / "passwd").chmod(0o600)
    made(run)
    assert (image / "etc" / "passwd").read_text() == before
    assert before.splitlines()[1:] == [f"{USER}:x:{NOBODY.uid}:{NOBODY.gid}::/mnt/mesos/sandbox:/bin/sh"]


def test_mode_and_owner_of_the_files_stay(run: RunDirectory, image: Path) -> None:
    passwd = image / "etc" / "passwd"
    passwd.chmod(0o640)
    os.chown(passwd, 0, 42)
    made(run)
    assert (stat.S_IMODE(passwd.stat().st_mode), passwd.stat().st_gid) == (0o640, 42)


@pytest.mark.parametrize(
    ("name", "line", "words"),
    [
        ("group", f"{NOGROUP}:x:7:", f"group {NOGROUP} has gid 7 in the image, {NOBODY.gid} on this host"),
        ("group", f"other:x:{NOBODY.gid}:", f"gid {NOBODY.gid} is group other in the image, {NOGROUP} on this host"),
        ("passwd", f"{USER}:x:7:{NOBODY.gid}::/:", f"user {USER} has uid 7 in the image, {NOBODY.uid} on this host"),
        (
            "passwd",
            f"{USER}:x:{NOBODY.uid}:7::/:",
            f"user {USER} has the group 7 in the image, {NOBODY.gid} on this host",
        ),
        ("passwd", f"other:x:{NOBODY.uid}:7::/:", f"uid {NOBODY.uid} is user other in the image, {USER} on this host"),
    ],
)
def test_users_who_are_others_there(run: RunDirectory, image: Path, name: str, line: str, words: str) -> None:
    with (image / "etc" / name).open("a") as file:
        file.write(line + "\n")
    before = (image / "etc" / "passwd").read_text()
    assert refused(run) == f"cannot make user {USER} in the image: {words}"
    assert (image / "etc" / "passwd").read_text() == before and not run.sandbox.exists()


@pytest.mark.parametrize("name", ["group", "passwd"])
def test_the_same_user_is_there_already(run: RunDirectory, image: Path, name: str) -> None:
    line = f"{NOGROUP}:x:{NOBODY.gid}:" if name == "group" else f"{USER}:x:{NOBODY.uid}:{NOBODY.gid}:N:/:/bin/false"
    with (image / "etc" / name).open("a") as file:
        file.write(line + "\n")
    before = (image / "etc" / name).stat().st_ino
    made(run)
    assert (image / "etc" / name).stat().st_ino == before


# --- attacks ------------------------------------------------------------------------------------------------------


def test_etc_is_a_link_to_the_hosts(run: RunDirectory, image: Path, vault: Path) -> None:
    for file in (image / "etc").iterdir():
        file.unlink()
    (image / "etc").rmdir()
    (image / "etc").symlink_to(vault)
    assert refused(run) == f"cannot use {image}/etc: it is a symbolic link, and was there before us"


@pytest.mark.parametrize("name", ["passwd", "group"])
def test_files_of_users_are_links(run: RunDirectory, image: Path, vault: Path, name: str) -> None:
    (image / "etc" / name).unlink()
    (image / "etc" / name).symlink_to(vault / name)
    assert refused(run) == f"cannot read /etc/{name} of the image: {os.strerror(errno.ELOOP)}"


def test_files_of_users_are_one_with_the_hosts(run: RunDirectory, image: Path, vault: Path) -> None:
    """Hard links: a new file takes their place."""
    for name in ("passwd", "group", "hosts"):
        (image / "etc" / name).unlink(missing_ok=True)
        (image / "etc" / name).hardlink_to(vault / name)
    made(run)


@pytest.mark.parametrize("make", [os.mkfifo, Path.mkdir])
def test_files_of_users_are_none(run: RunDirectory, image: Path, make: Callable[[Path], None]) -> None:
    (image / "etc" / "passwd").unlink()
    make(image / "etc" / "passwd")
    assert refused(run) == "cannot use /etc/passwd of the image: it is no file of users"


def test_a_file_of_users_that_never_ends(run: RunDirectory, image: Path) -> None:
    os.truncate(image / "etc" / "group", 1 << 40)
    assert refused(run) == "cannot use /etc/group of the image: it is no file of users"


def test_network_files_are_links(run: RunDirectory, image: Path, vault: Path) -> None:
    """As they are in many images (and lead to the host's in wicked ones): they are replaced, not followed."""
    (image / "etc" / "hosts").symlink_to(vault / "hosts")
    (image / "etc" / ".hosts.thermos").symlink_to(vault / "group")
    (image / "etc" / "resolv.conf").symlink_to("../run/systemd/resolve/stub-resolv.conf")
    made(run)
    assert not (image / "etc" / "hosts").is_symlink() and not (image / "etc" / "resolv.conf").is_symlink()
    assert (image / "etc" / "hosts").read_bytes() == Path("/etc/hosts").read_bytes()


@pytest.mark.parametrize("link", ["mnt", "mnt/mesos", "mnt/mesos/sandbox"])
def test_the_mount_point_is_a_link(run: RunDirectory, image: Path, vault: Path, link: str) -> None:
    """It means a place in the image, for us as for the processes."""
    (image / link).parent.mkdir(parents=True, exist_ok=True)
    (image / link).symlink_to(vault)
    sandbox = made(run)
    assert inside(sandbox, "cd /mnt/mesos/sandbox && echo x > seen && echo done") == "done\n"
    assert (run.sandbox / "seen").exists() and (image / str(vault).lstrip("/")).is_dir()


@pytest.mark.parametrize("name", ["proc", "dev", "sys"])
def test_system_directories_are_links(run: RunDirectory, image: Path, vault: Path, name: str) -> None:
    (image / name).symlink_to(vault)
    sandbox = made(run)
    assert inside(sandbox, f"ls /{name}/ > /dev/null && echo done") == "done\n"


def test_the_image_is_a_link(run: RunDirectory, vault: Path) -> None:
    run.image.symlink_to(vault)
    assert refused(run) == f"cannot run the task in its image: {run.image} is no directory"


def test_the_sandbox_is_a_link(run: RunDirectory, image: Path, vault: Path) -> None:
    run.sandbox.symlink_to(vault)
    assert refused(run) == f"cannot use {run.sandbox}: it is a symbolic link, and was there before us"


# --- what can't be ------------------------------------------------------------------------------------------------


def test_no_image(run: RunDirectory) -> None:
    assert refused(run).startswith(f"cannot run the task in its image: {run.image} is missing; does the agent")


def test_an_image_without_bash(run: RunDirectory, image: Path) -> None:
    (image / "bin" / "bash").unlink()
    assert refused(run) == "cannot run the task in its image: it has no /bin/bash, which runs command lines"


def test_no_such_user(run: RunDirectory, image: Path) -> None:
    assert refused(run, owner="no-such-user") == ("Could not create sandbox because user does not exist: no-such-user")


def test_a_volume_that_the_executor_does_not_see(run: RunDirectory, image: Path) -> None:
    assert refused(run, volumes=(Volume("/no/such/volume"),)) == (
        "cannot find the volume /no/such/volume here: No such file or directory; "
        "volumes need --isolation=filesystem/linux"
    )


def test_a_volume_that_has_no_place(run: RunDirectory, image: Path, place: Path) -> None:
    (image / "file").write_text("")
    (place / "file").mkdir()
    (image / str(place).lstrip("/")).parent.mkdir(exist_ok=True)
    (image / str(place).lstrip("/")).symlink_to("/file")
    assert refused(run, volumes=(Volume(f"{place}/file"),)) == (
        f"cannot mount the volume {place}/file in the image: Not a directory"
    )


def test_an_image_that_can_not_be_written(run: RunDirectory, image: Path) -> None:
    def work() -> str:
        calls = MountCalls()
        calls.new_namespace()
        fd = os.open(image, os.O_PATH)
        calls.bind(fd, fd)
        os.close(fd)
        fd = os.open(image, os.O_PATH)
        calls.make_read_only(fd)
        os.close(fd)
        with pytest.raises(SandboxFailed) as caught:
            ImageSandbox(run.plan(image=True, owner=USER)).create()
        return str(caught.value)

    assert in_thread(work) == f"cannot add user {USER} to /etc/group of the image: Read-only file system"


class Refusing(MountCalls):
    """Fails at the n-th call of a name."""

    def __init__(self, name: str, number: int = 1, error: int = errno.EPERM) -> None:
        super().__init__()
        self.fired = False
        self._left = number
        real = getattr(self, name)

        def call(*words: Any) -> Any:
            self._left -= 1
            if self._left == 0:
                self.fired = True
                raise OSError(error, os.strerror(error))
            return real(*words)

        setattr(self, name, call)


@pytest.mark.parametrize(
    ("name", "number", "said"),
    [
        (
            "new_namespace",
            1,
            "cannot make a mount namespace: Operation not permitted; images need root with CAP_SYS_ADMIN",
        ),
        ("bind", 1, "cannot mount the image's /proc in the image: Operation not permitted"),
        ("tmpfs", 1, "cannot make the image's /dev: Operation not permitted"),
        ("terminals", 1, "cannot make the image's /dev: Operation not permitted"),
        ("make_read_only", 1, "cannot mount the image's /sys in the image: Operation not permitted"),
        ("bind", 9, "cannot mount the sandbox at /mnt/mesos/sandbox in the image: Operation not permitted"),
    ],
)
def test_mounts_that_are_refused(run: RunDirectory, image: Path, name: str, number: int, said: str) -> None:
    calls = Refusing(name, number)
    sandbox = ImageSandbox(run.plan(image=True, owner=USER), calls)
    before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(SandboxFailed) as caught:
        in_thread(sandbox.create)
    assert calls.fired and str(caught.value) == said
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    with pytest.raises(Bug):
        sandbox.enter()


def test_an_old_kernel(run: RunDirectory, image: Path, place: Path) -> None:
    """Before Linux 5.12 a mount is made read-only by another call, which can't do it for those below."""

    class Old(MountCalls):
        fired = 0

        def _set_read_only(self, place: int) -> None:
            self.fired += 1
            raise OSError(errno.ENOSYS, "no")

    data = place / "data"
    (data / "below").mkdir(parents=True)
    data.chmod(0o777)
    calls = Old()
    sandbox = ImageSandbox(run.plan(image=True, owner=USER, volumes=(Volume(str(data), read_only=True),)), calls)
    in_thread(sandbox.create)
    assert calls.fired == 2  # asked, then tried
    assert inside(sandbox, f"touch {data}/x") == (f"touch: {data}/x: Read-only file system\n")

    def work() -> None:
        MountCalls().new_namespace()
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", data / "below"], check=True)
        ImageSandbox(run.plan(image=True, owner=USER, volumes=(Volume(str(data), read_only=True),)), Old()).create()

    with pytest.raises(SandboxFailed, match=r"file systems are mounted below it, and Linux before 5.12"):
        in_thread(work)


def test_the_working_directory_stays(run: RunDirectory, image: Path) -> None:
    sandbox = made(run)

    def work() -> tuple[Path, Path, bool]:
        here, before = Path.cwd(), mounts(run.path)
        sandbox.enter()
        sandbox.enter()
        return here, Path.cwd(), not before and len(mounts(run.path)) > 10

    here, there, more = in_thread(work)
    assert here == there and more


def test_an_executor_that_is_in_a_chroot_itself(run: RunDirectory, image: Path, place: Path) -> None:
    """A namespace has but one root: to enter it would be to leave the other."""
    first = made(run)
    other = RunDirectory(place / "runs" / "2")
    other.path.mkdir()
    other.make_image()
    second = made(other)

    def work() -> None:
        first.enter()
        os.chroot(image)
        os.chdir("/")
        second.enter()

    with pytest.raises(SandboxFailed, match="cannot enter the mount namespace of the image: the executor itself is in"):
        in_thread(work)


def test_a_user_whose_group_is_unknown(run: RunDirectory, image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(gid: int) -> Any:
        raise KeyError(gid)

    monkeypatch.setattr(grp, "getgrgid", unknown)
    assert refused(run) == (f"Could not create sandbox because the group of user {USER} does not exist: {NOBODY.gid}")


def test_network_files_that_can_not_be_read(run: RunDirectory, image: Path, place: Path) -> None:
    (place / "etc" / "hosts").mkdir(parents=True)
    assert refused(run, etc=place / "etc") == f"cannot read {place}/etc/hosts: Is a directory"

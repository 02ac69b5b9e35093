"""Who minds a task, and asking them: wishes by its FIFO, taking over from them, and what the next runner goes by."""

from __future__ import annotations

import os
import select
import stat
from dataclasses import replace
from pathlib import Path

from client.context import user_name
from client.thermos.orders import Orders, load_orders
from thermos.clock import now
from thermos.core.records import Header, Owner
from thermos.core.words import duration
from thermos.errors import HostError, NotOwner
from thermos.host.kernel import Kernel
from thermos.host.spawn import ImageRoot, Settings
from thermos.host.users import Identity, UnknownUser, resolve_user
from thermos.monitor.follow import Attendance, Follower, TaskView
from thermos.monitor.watch import Watch
from thermos.paths import TaskPaths
from thermos.recovery import load_active

#: Seconds that a runner may take to do what it was asked to.
PATIENCE = 10.0
#: Seconds that a runner that has let go may take to say so to whoever reads it.
_GOODBYE_MS = 2000


def check_ours(verb: str, view: TaskView, kernel: Kernel) -> None:
    """Who may not touch a task is told whose it is, not which file could not be opened. Raises HostError."""
    paths = view.paths
    try:
        uid = kernel.stat(paths.checkpoint).st_uid
    except OSError as error:
        raise HostError(f"cannot {verb} task {paths.task_id}: {paths.checkpoint}: {error.strerror}") from error
    if uid != kernel.geteuid():
        owner = view.task.owner
        minded = view.attendance is Attendance.ATTENDED and owner is not None
        who = f"its runner (pid {owner.pid})" if minded and owner is not None else "it"
        raise HostError(
            f"cannot {verb} task {paths.task_id}: {who} belongs to {user_name(uid)}; "
            f"run this as {user_name(uid)}{', e.g. with sudo' if not uid else ''}"
        )


def check_under_way(verb: str, view: TaskView) -> None:
    """Raises NotOwner when there is nothing left to mind."""
    if view.task.terminal:
        raise NotOwner(f"cannot {verb} task {view.paths.task_id}: it is over ({view.task.state})")


def orders_for(view: TaskView) -> Orders:
    """How the task is run: as its last runner was told, else as far as its records tell. Raises HostError."""
    known = load_orders(view.paths)
    if known is not None:
        return replace_display(known)
    spec, header = load_active(view.paths), view.task.header
    if spec is None or header is None:
        raise HostError(f"cannot take over task {view.paths.task_id}: {view.paths.active} is gone")
    return Orders(spec=spec, root=view.paths.root, task_id=view.paths.task_id, settings=settings_of(header))


def replace_display(orders: Orders) -> Orders:
    """The same task, shown as usual."""
    return Orders(
        spec=orders.spec,
        root=orders.root,
        task_id=orders.task_id,
        settings=orders.settings,
        preserve_env=orders.preserve_env,
        daemon=orders.daemon,
    )


def settings_of(header: Header) -> Settings:
    """How the task's processes are run, as far as its header tells."""
    try:
        user = resolve_user(header.user)
    except UnknownUser:
        user = Identity(header.user, header.uid, header.uid, (), header.sandbox)
    return Settings(
        sandbox=Path(header.sandbox),
        log_dir=Path(header.log_dir),
        user=user,
        hostname=header.hostname,
        ports=header.ports,
        setuid=header.uid != os.geteuid(),
        chroot=header.chroot,
        image=ImageRoot(Path(header.image), header.image_sandbox) if header.image else None,
        path=os.environ.get("PATH", os.defpath),
    )


def settings_for(view: TaskView) -> Settings | None:
    """The settings of the last runner with this PATH; None when nothing tells."""
    known = load_orders(view.paths)
    if known is not None:
        return replace(known.settings, path=os.environ.get("PATH", os.defpath))
    return settings_of(view.task.header) if view.task.header is not None else None


def environment_of(view: TaskView, orders: Orders, kernel: Kernel) -> dict[str, str]:
    """What the next runner is started with: its predecessor's environment where processes inherit it, else ours."""
    owner = view.task.owner
    if not orders.preserve_env or owner is None or view.attendance is not Attendance.ATTENDED:
        return dict(os.environ)
    pairs = [os.fsdecode(pair).partition("=") for pair in kernel.proc_environ(owner.pid).split(b"\0") if pair]
    return {name: value for name, _, value in pairs} or dict(os.environ)


def send_wishes(verb: str, paths: TaskPaths, *wishes: str) -> None:
    """Tell whoever minds the task. Raises HostError when nobody listens."""
    fifo = paths.checkpoint / "wake"
    try:
        fd = os.open(fifo, os.O_WRONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            if not stat.S_ISFIFO(os.fstat(fd).st_mode):
                raise HostError(f"cannot {verb} task {paths.task_id}: {fifo} is not a FIFO")
            for wish in wishes:
                os.write(fd, f"\n!{wish}\n".encode())
        finally:
            os.close(fd)
    except OSError as error:
        raise HostError(f"cannot {verb} task {paths.task_id}: {fifo}: {error.strerror}") from error


def take_from_runner(verb: str, view: TaskView, kernel: Kernel) -> None:
    """Ask a living runner to let go, and see it gone; nothing to do when nobody minds the task. Raises HostError."""
    owner = view.task.owner
    if view.attendance is Attendance.UNATTENDED or owner is None:
        return
    if view.attendance is Attendance.UNKNOWN:
        raise HostError(
            f"cannot {verb} task {view.paths.task_id}: cannot verify whether its runner (pid {owner.pid}) lives; "
            "--force does not ask it"
        )
    pidfd = _hold(owner, kernel)
    if pidfd is None:
        return
    try:
        send_wishes(verb, view.paths, "detach")
        _see_gone(verb, view.paths, owner, pidfd, kernel)
    finally:
        kernel.close(pidfd)


def _hold(owner: Owner, kernel: Kernel) -> int | None:
    """A pidfd of a runner that still lives."""
    try:
        pidfd = kernel.pidfd_open(owner.pid)
    except OSError:
        return None
    status = kernel.proc_stat(owner.pid)
    if status is not None and status.start == owner.start:
        return pidfd
    kernel.close(pidfd)
    return None


def _see_gone(verb: str, paths: TaskPaths, owner: Owner, pidfd: int, kernel: Kernel) -> None:
    follower, watch = Follower(paths, kernel), Watch()
    poller = select.poll()
    poller.register(pidfd, select.POLLIN)
    give_up_at = now().mono + PATIENCE
    try:
        watch.add(paths.checkpoint)
        while not poller.poll(0):
            follower.read()
            if follower.task.released:
                poller.poll(_GOODBYE_MS)
                return
            left = give_up_at - now().mono
            if left <= 0:
                raise HostError(
                    f"cannot {verb} task {paths.task_id}: its runner (pid {owner.pid}) has not let go within "
                    f"{duration(PATIENCE)}; --force does not ask it"
                )
            watch.wait(left, pidfd)
    finally:
        watch.close()
        follower.close()

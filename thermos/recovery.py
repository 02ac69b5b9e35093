"""Owning a task: a new one, or one whose runner has died. Lock, replay, compare, record, take over.

The order matters: the lock first, the FIFO before the fold (so that no poke is missed), then what stands in `runner`,
then what coordinators have added meanwhile, then who of them is alive.
"""

from __future__ import annotations

import os
import select
import signal

import msgspec

from thermos.clock import Now
from thermos.core.fold import TaskRecord
from thermos.core.graph import check_graph
from thermos.core.records import FORMAT, BadLine, Header, Owner, Request, TaskStatus
from thermos.core.states import TaskState
from thermos.errors import ConfigError, HostError, NotOwner
from thermos.host.checkpoint import TORN, Checkpoint, open_checkpoint, read_owner
from thermos.host.kernel import Kernel
from thermos.host.spawn import Settings
from thermos.host.users import check_may_become
from thermos.model import PROCESS_NAME, PROCESS_NAME_BYTES, TaskSpec, decode_task, encode_task
from thermos.paths import TaskPaths, check_task_id
from thermos.runner import OnRecord, Runner

#: Descriptors of a runner that watch no process.
SPARE_DESCRIPTORS = 40

#: Seconds to wait for the lock of a runner that was killed by --force.
_FORCE_PATIENCE_MS = 5000


def own_task(
    spec: TaskSpec,
    paths: TaskPaths,
    settings: Settings,
    kernel: Kernel,
    now: Now,
    *,
    force: bool = False,
    on_record: OnRecord | None = None,
    wanted: Request | None = None,
) -> Runner:
    """Begin or take over a task. `force` kills a live runner first; with `wanted` it is to end: nothing new starts.

    Raises ConfigError (the graph can't run, or another task has this id), NotOwner (finished, or somebody has it),
    HostError (this machine refuses).
    """
    check_task_id(paths.task_id)
    _check_spec(spec)
    if settings.setuid:
        check_may_become(settings.user)
    _check_not_finished(paths)
    if wanted is None:
        _check_descriptors(spec, paths, kernel)
    checkpoint = _open(paths, kernel, force)
    runner = Runner(spec, checkpoint, settings, kernel, on_record)
    try:
        kernel.set_subreaper()
        lines, damage = checkpoint.load()
        runner.load([line.record for line in lines if line.record is not None])
        if runner.task.header is None:
            _check_new(paths, damage)
            _begin(runner, paths, settings, kernel, now)
        else:
            _check_same(spec, runner.task.header, paths, settings)
            _announce(runner, kernel, now)
        if wanted is not None and not runner.task.terminal:
            runner.append(wanted)
        runner.take_over(now)
    except BaseException:
        runner.close()
        raise
    return runner


def _check_spec(spec: TaskSpec) -> None:
    problems = [f"task {spec.name}: {problem.text}" for problem in check_graph(spec)]
    for process in spec.processes:
        if not PROCESS_NAME.fullmatch(process.name):
            problems.append(f"Invalid process name: {process.name!r}")
        elif len(process.name.encode()) > PROCESS_NAME_BYTES:
            shown = f"{process.name[:40]}…"
            problems.append(f"Invalid process name: {shown} has more than {PROCESS_NAME_BYTES} bytes")
    if problems:
        raise ConfigError("\n".join(problems))


def _check_descriptors(spec: TaskSpec, paths: TaskPaths, kernel: Kernel) -> None:
    """A runner watches each running process by a descriptor."""
    count = len(spec.processes)
    at_once, limit = min(count, spec.max_concurrency or count), kernel.most_descriptors()
    if (needed := at_once + SPARE_DESCRIPTORS) > limit:
        raise HostError(
            f"cannot run task {paths.task_id}: {at_once} processes at once need {needed} descriptors, this "
            f"user may have {limit}; raise the limit (ulimit -n, LimitNOFILE=) or set the task's max_concurrency"
        )


def _check_not_finished(paths: TaskPaths) -> None:
    if paths.finished.exists() and not paths.active.exists():
        raise NotOwner(f"task {paths.task_id} is finished; choose another id or `thermos gc`")


def _open(paths: TaskPaths, kernel: Kernel, force: bool) -> Checkpoint:
    try:
        return open_checkpoint(paths, kernel, create=True)
    except NotOwner:
        if not force:
            raise
    _kill_owner(paths, kernel)
    return open_checkpoint(paths, kernel, create=True)


def _kill_owner(paths: TaskPaths, kernel: Kernel) -> None:
    """SIGKILL the runner that holds the lock, after making sure that the pid is still that runner."""
    fd = kernel.open(paths.runner, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        owner = read_owner(kernel, fd)
    finally:
        kernel.close(fd)
    if owner is None or owner.pid == kernel.getpid():
        raise NotOwner(f"cannot take over task {paths.task_id}: its owner is not known")
    try:
        pidfd = kernel.pidfd_open(owner.pid)
    except ProcessLookupError:
        return
    try:
        status = kernel.proc_stat(owner.pid)
        if status is None:
            return  # it has just ended
        same_world = owner.boot == kernel.boot_id() and owner.pidns in (0, kernel.pid_namespace())
        if not same_world or status.start != owner.start:
            raise NotOwner(f"cannot take over task {paths.task_id}: pid {owner.pid} is not its runner any more")
        kernel.pidfd_signal(pidfd, signal.SIGKILL)
        poller = select.poll()
        poller.register(pidfd, select.POLLIN)
        poller.poll(_FORCE_PATIENCE_MS)
    except PermissionError as error:
        raise NotOwner(f"cannot take over task {paths.task_id}: not allowed to kill pid {owner.pid}") from error
    finally:
        kernel.close(pidfd)


def _check_new(paths: TaskPaths, damage: list[BadLine]) -> None:
    """A file without a header is a task that has not begun (its first line may be torn), or not ours to write to."""
    if any(bad.reason != TORN for bad in damage):
        raise HostError(
            f"cannot read the checkpoint {paths.runner}: CORRUPT or outdated format; choose another task id"
        )


def _begin(runner: Runner, paths: TaskPaths, settings: Settings, kernel: Kernel, now: Now) -> None:
    """A new task: its JSON, then the header. A sandbox that is missing is made."""
    _make_sandbox(settings, kernel)
    _write_active(paths, runner.spec)
    runner.append(
        Header(
            at=now.wall,
            mono=now.mono,
            format=FORMAT,
            task_id=paths.task_id,
            sandbox=str(settings.sandbox),
            log_dir=str(settings.log_dir),
            hostname=settings.hostname,
            user=settings.user.name,
            uid=settings.user.uid,
            ports=dict(settings.ports),
            chroot=settings.chroot,
            image=str(settings.image.path) if settings.image is not None else "",
            image_sandbox=settings.image.sandbox if settings.image is not None else "",
        )
    )
    runner.append(_owner_record(kernel, now))


def _make_sandbox(settings: Settings, kernel: Kernel) -> None:
    for directory in (settings.sandbox, settings.log_dir):
        try:
            missing = not directory.exists()
            kernel.mkdir(directory)
            if missing and settings.setuid:
                os.chown(directory, settings.user.uid, settings.user.gid)
        except OSError as error:
            raise HostError(f"cannot make directory {directory}: {error.strerror}") from error


def _write_active(paths: TaskPaths, spec: TaskSpec) -> None:
    fresh = paths.active.with_name(f".{paths.task_id}.new"[:255])
    try:
        fresh.write_bytes(encode_task(spec))
        fresh.replace(paths.active)
    except OSError as error:
        raise HostError(f"cannot write {paths.active}: {error.strerror}") from error


def _owner_record(kernel: Kernel, now: Now) -> Owner:
    status = kernel.proc_stat(kernel.getpid())
    return Owner(
        at=now.wall,
        mono=now.mono,
        pid=kernel.getpid(),
        start=status.start if status else 0,
        uid=kernel.geteuid(),
        boot=kernel.boot_id(),
        pidns=kernel.pid_namespace(),
    )


def _check_same(spec: TaskSpec, header: Header, paths: TaskPaths, settings: Settings) -> None:
    """The same id means the same task, or an error that names the difference."""
    if header.format > FORMAT:
        raise HostError(f"cannot read the checkpoint {paths.checkpoint}: format {header.format} is newer than ours")
    on_disk = load_active(paths)
    if on_disk is not None and on_disk != spec:
        raise ConfigError(f"Task differs from on disk copy: {describe_difference(on_disk, spec)}; {_other_id(paths)}")
    pairs = {
        "sandbox": (header.sandbox, str(settings.sandbox)),
        "log_dir": (header.log_dir, str(settings.log_dir)),
        "user": (header.uid, settings.user.uid),
        "ports": (header.ports, dict(settings.ports)),
        "chroot": (header.chroot, settings.chroot),
        "image": (header.image, str(settings.image.path) if settings.image is not None else ""),
    }
    for name, (old, new) in pairs.items():
        if old != new:
            raise ConfigError(f"task {paths.task_id} was begun with {name} {old}, not {new}; {_other_id(paths)}")


def _other_id(paths: TaskPaths) -> str:
    return f"choose another id than {paths.task_id}, or end that one first"


def load_active(paths: TaskPaths) -> TaskSpec | None:
    """The task as it stands on disk, active or finished; None if it is nowhere. Raises HostError."""
    for path in (paths.active, paths.finished):
        try:
            return decode_task(path.read_bytes())
        except FileNotFoundError:
            continue
        except (msgspec.DecodeError, OSError) as error:
            raise HostError(f"cannot read {path}: {error}") from error
    return None


def describe_difference(old: TaskSpec, new: TaskSpec) -> str:
    """The first field in which two tasks differ, as `field: old vs new`."""
    for name in TaskSpec.__struct_fields__:
        before, after = getattr(old, name), getattr(new, name)
        if before == after:
            continue
        if name == "processes" and [p.name for p in before] == [p.name for p in after]:
            process, changed = next((a, b) for a, b in zip(before, after, strict=True) if a != b)
            field = next(f for f in process.__struct_fields__ if getattr(process, f) != getattr(changed, f))
            return f"process {process.name}.{field}: {getattr(process, field)!r} vs {getattr(changed, field)!r}"
        return f"{name}: {_short(before)} vs {_short(after)}"
    return "nothing"


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}…"


def _announce(runner: Runner, kernel: Kernel, now: Now) -> None:
    """A new owner says so; after a restart of the host deadlines of the old boot mean nothing and are set anew."""
    before = runner.task.owner
    runner.append(_owner_record(kernel, now))
    task: TaskRecord = runner.task
    ending = task.state in (TaskState.CLEANING, TaskState.FINALIZING)
    if before is not None and before.boot != kernel.boot_id() and ending and task.state is not None:
        deadline = now.mono + runner.spec.finalization_wait
        runner.append(
            TaskStatus(at=now.wall, mono=now.mono, state=task.state, stop_deadline=now.mono, deadline=deadline)
        )

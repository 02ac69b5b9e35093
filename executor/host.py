"""The machinery on a real host: the sandbox, the runner of the task, its checks."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct, structs

from executor.announcer import Announcer
from executor.announcer_auth import ZooKeeperOptions, parse_announcer_auth
from executor.checks import TaskChecks
from executor.core.announcement import Announcement, check_ensemble, choose_path, connect_wait_s
from executor.core.lifecycle import Waits
from executor.disk import DiskLimit
from executor.health import HealthChecker
from executor.http_lifecycle import post_endpoint
from executor.machinery import Prepared, Report
from executor.options import ExecutorFlags
from executor.payload import AssignedTask, Assignment, compile_assignment
from executor.probes import Probe, ProbeContext, check_environment, choose_probe, read_limits
from executor.sandbox import Sandbox, SandboxOptions, plan_sandbox
from executor.snooze import SNOOZE_FILE
from executor.workers import Workers
from mesos.core.messages import Opaque
from mesos.executor_environment import ExecutorEnvironment
from thermos.clock import Now
from thermos.core.fold import Run, TaskRecord
from thermos.errors import UserError
from thermos.host.kernel import Kernel
from thermos.host.limits import raise_nofile
from thermos.host.loop import PlainLoop
from thermos.host.spawn import Settings
from thermos.host.users import current_user
from thermos.monitor.last_lines import tail_lines
from thermos.paths import TaskPaths, log_dir
from thermos.recovery import own_task
from thermos.runner import Runner

#: Runs of a process before it is given up for good.
RUN_LIMIT = 100


class Place(Struct, frozen=True):
    """What was prepared on this host."""

    sandbox: Sandbox
    settings: Settings
    announcement: Announcement | None


class HostMachinery:
    """See `executor.machinery.Machinery`."""

    def __init__(
        self,
        flags: ExecutorFlags,
        environment: ExecutorEnvironment,
        loop: PlainLoop,
        say: Callable[[str, Now], None],
    ) -> None:
        """Raises UserError for flags that can't be used: better at once than with the first task."""
        self._flags = flags
        self._environment = environment
        self._loop = loop
        self._say = say  # what people should know of the checks
        self._kernel = Kernel()
        self._workers = Workers(loop)
        self._nofile = raise_nofile()
        self._zookeeper = _zookeeper(flags)

    def prepare(self, assigned: AssignedTask, container: Opaque | None) -> Prepared:
        flags = self._flags
        user = current_user().name if flags.nosetuid else flags.execute_as_user or assigned.task.job.role
        assignment = compile_assignment(assigned, user)
        announcement = self._announcement(assignment)
        options = SandboxOptions(
            nosetuid=flags.nosetuid,
            execute_as_user=flags.execute_as_user,
            no_create_user=flags.no_create_user,
            mount_point=flags.sandbox_mount_point,
        )
        sandbox = plan_sandbox(assignment.role, assignment.container, self._environment, options, container)
        sandbox.create()
        http = (assignment.job.get("lifecycle") or {}).get("http") or {}
        port = assignment.ports.get(http.get("port", ""))
        return Prepared(
            assignment=assignment,
            waits=self._waits(assignment, http, port),
            port=port,
            graceful_endpoint=http.get("graceful_shutdown_endpoint", ""),
            shutdown_endpoint=http.get("shutdown_endpoint", ""),
            place=Place(sandbox, self._settings(assignment, sandbox), announcement),
        )

    def own(self, prepared: Prepared, now: Now) -> Runner:
        place: Place = prepared.place
        place.sandbox.enter()
        paths = TaskPaths(Path(self._environment.directory) / "checkpoints", prepared.assignment.task_id)
        return own_task(prepared.assignment.spec, paths, place.settings, self._kernel, now)

    def checks(self, prepared: Prepared, report: Report) -> TaskChecks:
        assignment, place = prepared.assignment, prepared.place
        checks = TaskChecks(self._loop, report, gated=self._flags.announcer_health_gated)
        limits = read_limits(assignment.job)
        checks.health = HealthChecker(
            limits,
            self._probe(assignment, place),
            self._loop,
            self._workers,
            checks.on_health,
            snooze=place.sandbox.path / SNOOZE_FILE,
            snooze_max_s=self._flags.snooze_max_secs,
            say=self._say,
        )
        resources = assignment.spec.resources
        if resources is not None and resources.disk:
            checks.disk = DiskLimit(place.sandbox.path, resources.disk, self._loop, self._workers, checks.on_disk)
        if place.announcement is not None and self._zookeeper is not None:
            checks.announcer = Announcer(
                place.announcement,
                self._zookeeper,
                self._loop,
                checks.on_announcer,
                connect_wait_s=connect_wait_s(limits),
                paused=self._flags.announcer_health_gated,
            )
        return checks

    def post(self, port: int, endpoint: str, timeout_s: float) -> bool:
        return post_endpoint(port, endpoint, timeout_s)

    def tail(self, task: TaskRecord, run: Run) -> list[str]:
        if task.header is None:
            return []
        return tail_lines(task.header.sandbox, task.header.log_dir, run.process, run.number, "stderr", 1)

    # --- parts of a place ----------------------------------------------------------------------------------------

    def _settings(self, assignment: Assignment, sandbox: Sandbox) -> Settings:
        flags = self._flags
        return Settings(
            sandbox=sandbox.path,
            log_dir=log_dir(sandbox.path),
            user=sandbox.user,
            hostname=assignment.hostname,
            ports=assignment.ports,
            setuid=sandbox.setuid,
            image=sandbox.image,
            base_env=dict(os.environ) if flags.preserve_env else None,
            path=os.environ.get("PATH", os.defpath),
            logger=flags.logger,
            nofile=self._nofile,
            run_limit=RUN_LIMIT,
            on_owner_death="stop",  # a dead executor's task is started elsewhere
            owner_wait=flags.orphan_wait_secs,
        )

    def _announcement(self, assignment: Assignment) -> Announcement | None:
        """Raises UserError for a path that can't be."""
        wanted = assignment.job.get("announce")
        if wanted is None or self._zookeeper is None:
            return None
        flags = self._flags
        path = choose_path(
            flags.announcer_serverset_path,
            assignment.role,
            assignment.environment,
            assignment.name,
            wanted.get("zk_path"),
            allowed=flags.announcer_allow_custom_serverset_path,
        )
        return Announcement(
            path=path,
            hostname=flags.announcer_hostname or assignment.hostname,
            primary=wanted["primary_port"],
            ports=assignment.ports,
            shard=assignment.instance,
        )

    def _waits(self, assignment: Assignment, http: Mapping[str, Any], port: int | None) -> Waits:
        flags = self._flags
        waits = Waits(
            idle_s=flags.idle_timeout_secs,
            stop_s=flags.stop_timeout_in_secs,
            finalization_s=assignment.spec.finalization_wait,
        )
        if port is None:
            return waits
        return structs.replace(
            waits,
            http=True,
            graceful_s=float(http["graceful_shutdown_wait_secs"]),
            shutdown_s=float(http["shutdown_wait_secs"]),
        )

    def _probe(self, assignment: Assignment, place: Place) -> Probe | None:
        sandbox = place.sandbox
        identity = sandbox.user if sandbox.setuid and not self._flags.nosetuid_health_checks else None
        home = Path(sandbox.image.sandbox) if sandbox.image is not None else sandbox.path
        context = ProbeContext(
            cwd=home,
            env=check_environment(os.environ, identity, home),
            identity=identity,
            root=sandbox.image.path if sandbox.image is not None else None,
            nofile=self._nofile,
            label=f"health check of {assignment.task_id}",
        )
        probe = choose_probe(assignment.job, assignment.ports, context)
        return _Inside(probe, sandbox) if probe is not None and sandbox.image is not None else probe


class _Inside:
    """A probe of a task that runs in an image: the worker thread has to see what the task sees."""

    def __init__(self, probe: Probe, sandbox: Sandbox) -> None:
        self.timeout_s = probe.timeout_s
        self._probe = probe
        self._sandbox = sandbox

    def __call__(self) -> str | None:
        self._sandbox.enter()
        return self._probe()

    def cancel(self) -> None:
        self._probe.cancel()


def _zookeeper(flags: ExecutorFlags) -> ZooKeeperOptions | None:
    """Raises UserError."""
    if flags.announcer_ensemble is None:
        return None
    auth = None
    path = flags.announcer_zookeeper_auth_config
    if path is not None:
        try:
            text = path.read_bytes()
        except OSError as error:
            raise UserError(f"cannot read --announcer-zookeeper-auth-config {path}: {error.strerror}") from error
        auth = parse_announcer_auth(text, str(path))
    return ZooKeeperOptions(ensemble=check_ensemble(flags.announcer_ensemble), auth=auth)

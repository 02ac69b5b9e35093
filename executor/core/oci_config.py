"""A container as data, and what an OCI runtime wants to read about it.

Source: the OCI runtime specification 1.0 (config.md, config-linux.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

#: What a container's root may do; nobody else in it may do anything. None of it reaches out of the container.
CAPABILITIES = (
    "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_NET_BIND_SERVICE", "CAP_SETFCAP",
    "CAP_SETGID", "CAP_SETPCAP", "CAP_SETUID", "CAP_SYS_CHROOT",
)  # fmt: skip

_MASKED = (
    "/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list", "/proc/sched_debug",
    "/proc/scsi", "/sys/firmware",
)  # fmt: skip
_READ_ONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")
_CPU_PERIOD_US = 100_000


@dataclass(frozen=True, slots=True)
class HostVolume:
    """A directory or file of the host at `path` in a container."""

    host_path: str
    path: str
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class ContainerSpec:
    """One container: a root that lies ready on the host, and one command in it. `name` is one of the whole host."""

    name: str
    root: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    directory: str = "/"
    uid: int = 0
    gid: int = 0
    groups: tuple[int, ...] = ()
    volumes: tuple[HostVolume, ...] = ()
    hostname: str = "container"
    host_network: bool = True  # tasks listen on ports of their host
    memory: int | None = None  # bytes
    cpus: float | None = None
    most_processes: int | None = None
    nofile: tuple[int, int] = (1024, 1024)  # soft and hard; not above the caller's own


def render_config(spec: ContainerSpec) -> dict[str, Any]:
    """The `config.json` of a bundle."""
    capabilities = list(CAPABILITIES) if spec.uid == 0 else []
    soft, hard = spec.nofile
    return {
        "ociVersion": "1.0.2",
        "process": {
            "terminal": False,
            "user": {"uid": spec.uid, "gid": spec.gid, "additionalGids": list(spec.groups)},
            "args": list(spec.command),
            "env": [f"{name}={value}" for name, value in spec.environment.items()],
            "cwd": spec.directory,
            "capabilities": dict.fromkeys(("bounding", "effective", "permitted"), capabilities),
            "rlimits": [{"type": "RLIMIT_NOFILE", "soft": soft, "hard": hard}],
            "noNewPrivileges": True,
        },
        "root": {"path": spec.root, "readonly": False},
        "hostname": spec.hostname,
        "mounts": [*_system_mounts(), *(_bind(volume) for volume in spec.volumes)],
        "linux": {
            "namespaces": [{"type": kind} for kind in _namespaces(spec)],
            "resources": _resources(spec),
            "maskedPaths": list(_MASKED),
            "readonlyPaths": list(_READ_ONLY),
        },
    }


def _namespaces(spec: ContainerSpec) -> tuple[str, ...]:
    alone = ("pid", "ipc", "uts", "mount")
    return alone if spec.host_network else (*alone, "network")


def _resources(spec: ContainerSpec) -> dict[str, Any]:
    resources: dict[str, Any] = {"devices": [{"allow": False, "access": "rwm"}]}
    if spec.memory is not None:
        resources["memory"] = {"limit": spec.memory}
    if spec.cpus is not None:
        resources["cpu"] = {"quota": round(spec.cpus * _CPU_PERIOD_US), "period": _CPU_PERIOD_US}
    if spec.most_processes is not None:
        resources["pids"] = {"limit": spec.most_processes}
    return resources


def _system_mounts() -> list[dict[str, Any]]:
    quiet = ["nosuid", "noexec", "nodev"]
    return [
        {"destination": "/proc", "type": "proc", "source": "proc", "options": quiet},
        {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755", "size=64k"]},
        {
            "destination": "/dev/pts",
            "type": "devpts",
            "source": "devpts",
            "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"],
        },
        {"destination": "/dev/shm", "type": "tmpfs", "source": "shm", "options": [*quiet, "mode=1777"]},
        {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue", "options": quiet},
        {"destination": "/sys", "type": "none", "source": "/sys", "options": ["rbind", *quiet, "ro"]},
    ]


def _bind(volume: HostVolume) -> dict[str, Any]:
    options = ["rbind", "rprivate", "ro" if volume.read_only else "rw"]
    return {"destination": volume.path, "type": "none", "source": volume.host_path, "options": options}

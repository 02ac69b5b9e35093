"""The executors that tasks are started with: ours, as the flags say, and those of a file.

Ours is the one of this installation, so that one machine works at once; or a file that agents fetch (`make executor`
makes it). The file of others is the original's JSON:

    [{"executor": {"name": "…", "command": {"value": "…", "arguments": ["…"], "shell": false, "uris": [{"value": "…"}]},
                   "resources": [{"name": "cpus", "type": "SCALAR", "scalar": {"value": 0.1}}]},
      "task_prefix": "…", "volume_mounts": [{"container_path": "…", "host_path": "…", "mode": "RO"}]}]

Source: spec/scheduler.md §3.7, §12.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from pathlib import Path

import msgspec
from msgspec import Struct

from mesos.core.messages import CommandInfo, CommandURI, Environment, Variable
from scheduler.core.executors import THERMOS, ExecutorSettings
from scheduler.core.model import Volume
from scheduler.core.resources import MILLI, Amount
from scheduler.flags import Flags
from scheduler.setting_files import read_setting
from thermos.errors import ConfigError, UserError

#: Where our packages are, for an agent whose Python does not know it.
_HERE = Path(__file__).parent.parent


def executors_of(flags: Flags, *, nosetuid: bool) -> Mapping[str, ExecutorSettings]:
    """By name. Raises ConfigError, HostError."""
    found = {THERMOS: thermos(flags, nosetuid=nosetuid)}
    if flags.custom_executor_config is not None:
        path = Path(flags.custom_executor_config)
        for each in parse_custom(read_setting(path), str(path)):
            found[each.name] = each
    return found


def thermos(flags: Flags, *, nosetuid: bool) -> ExecutorSettings:
    """`nosetuid`: who runs it can't become another user anyway."""
    words = [flags.thermos_executor_flags] if flags.thermos_executor_flags else []
    if nosetuid and "nosetuid" not in flags.thermos_executor_flags:
        words.append("--nosetuid")
    if flags.thermos_executor_path is None:
        program, uris, environment = _installed()
    else:
        # the fetcher puts it in the sandbox, where it is executable
        program = f"${{MESOS_SANDBOX=.}}/{shlex.quote(flags.thermos_executor_path.rpartition('/')[2])}"
        uris, environment = (CommandURI(value=flags.thermos_executor_path, executable=True, extract=False),), None
    if flags.thermos_home_in_sandbox:
        program = "env HOME=${MESOS_SANDBOX=.} " + program
    more = tuple(CommandURI(value=uri, executable=True, extract=False) for uri in flags.thermos_executor_resources)
    command = CommandInfo(value=" ".join(["exec", program, *words]), uris=(*uris, *more), environment=environment)
    return ExecutorSettings(
        name=THERMOS,
        command=command,
        overhead=Amount(milli_cpus=round(flags.thermos_executor_cpu * MILLI), ram_mb=flags.thermos_executor_ram),
    )


def _installed() -> tuple[str, tuple[CommandURI, ...], Environment]:
    """The executor that came with this program, by this Python."""
    path = Environment(variables=(Variable(name="PYTHONPATH", value=str(_HERE)),))
    return f"{shlex.quote(sys.executable)} -m executor.main", (), path


# -- the file of others


class _Scalar(Struct, forbid_unknown_fields=True):
    value: float


class _Resource(Struct):
    name: str
    type: str = "SCALAR"
    scalar: _Scalar | None = None


class _Uri(Struct, forbid_unknown_fields=True):
    value: str
    executable: bool = False
    extract: bool = True
    cache: bool = False
    output_file: str = ""


class _Command(Struct, forbid_unknown_fields=True):
    value: str
    arguments: tuple[str, ...] = ()
    shell: bool = True
    user: str = ""
    uris: tuple[_Uri, ...] = ()


class _Executor(Struct):
    name: str
    command: _Command
    resources: tuple[_Resource, ...] = ()


class _Mount(Struct, forbid_unknown_fields=True):
    container_path: str
    host_path: str
    mode: str = "RO"


class _Custom(Struct, forbid_unknown_fields=True):
    executor: _Executor
    task_prefix: str = ""
    volume_mounts: tuple[_Mount, ...] = ()


def parse_custom(text: bytes, name: str) -> list[ExecutorSettings]:
    """`name`: of the file, for errors. Raises ConfigError."""
    try:
        entries = msgspec.json.decode(text, type=list[_Custom])
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ConfigError(f"cannot use the executors of {name}: {error}") from None
    names = [entry.executor.name for entry in entries]
    for each in names:
        if not each or names.count(each) > 1:
            raise ConfigError(f"cannot use the executors of {name}: {each!r} is the name of none or of several")
    return [_settings(entry, name) for entry in entries]


def _settings(entry: _Custom, name: str) -> ExecutorSettings:
    command = entry.executor.command
    return ExecutorSettings(
        name=entry.executor.name,
        command=CommandInfo(
            value=command.value,
            shell=command.shell,
            arguments=command.arguments,
            user=command.user,
            uris=tuple(msgspec.convert(msgspec.to_builtins(uri), CommandURI) for uri in command.uris),
        ),
        overhead=_overhead(entry.executor, name),
        prefix=entry.task_prefix,
        mounts=tuple(_volume(m.host_path, m.container_path, m.mode, name) for m in entry.volume_mounts),
    )


def _overhead(executor: _Executor, name: str) -> Amount:
    amounts = {"cpus": 0.0, "mem": 0.0, "disk": 0.0, "gpus": 0.0}
    for resource in executor.resources:
        if resource.name not in amounts or resource.scalar is None or not resource.scalar.value >= 0:
            known = ", ".join(amounts)
            raise ConfigError(f"cannot use the executors of {name}: {resource.name!r} is no amount of {known}")
        amounts[resource.name] += resource.scalar.value
    return Amount(
        milli_cpus=round(amounts["cpus"] * MILLI),
        ram_mb=round(amounts["mem"]),
        disk_mb=round(amounts["disk"]),
        gpus=round(amounts["gpus"]),
    )


def parse_mount(text: str) -> Volume:
    """`host_path:container_path[:mode]`. Raises UserError."""
    host, _, rest = text.partition(":")
    container, _, mode = rest.partition(":")
    return _volume(host, container, mode or "RO", f"--global_container_mounts {text}")


def _volume(host: str, container: str, mode: str, where: str) -> Volume:
    if not host or not container or mode.upper() not in ("RO", "RW"):
        raise UserError(f"cannot use {where}: a mount is host_path:container_path:mode, with a mode of RO or RW")
    return Volume(host_path=host, container_path=container, mode=mode.upper())

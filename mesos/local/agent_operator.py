"""An agent's `/api/v1`: the calls of operators, as far as tools make them of an agent without nested containers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec

from mesos.core.messages import Opaque
from mesos.local import http_words as words
from mesos.local.agent_files import FileInfo, Files
from mesos.local.core import agent_views
from mesos.local.core.agent import Agent
from thermos.clock import Now

_INVALID = "Failed to validate agent::Call: "

#: Calls of Mesos 1.11 -> the field that each has to have ("" for none).
CALLS: Mapping[str, str] = {
    "GET_HEALTH": "", "GET_FLAGS": "", "GET_VERSION": "", "GET_METRICS": "get_metrics", "GET_LOGGING_LEVEL": "",
    "SET_LOGGING_LEVEL": "set_logging_level", "LIST_FILES": "list_files", "READ_FILE": "read_file", "GET_STATE": "",
    "GET_CONTAINERS": "", "GET_FRAMEWORKS": "", "GET_EXECUTORS": "", "GET_OPERATIONS": "", "GET_TASKS": "",
    "GET_AGENT": "", "GET_RESOURCE_PROVIDERS": "", "LAUNCH_CONTAINER": "launch_container",
    "WAIT_CONTAINER": "wait_container", "KILL_CONTAINER": "kill_container", "REMOVE_CONTAINER": "remove_container",
    "LAUNCH_NESTED_CONTAINER": "launch_nested_container", "WAIT_NESTED_CONTAINER": "wait_nested_container",
    "KILL_NESTED_CONTAINER": "kill_nested_container", "REMOVE_NESTED_CONTAINER": "remove_nested_container",
    "LAUNCH_NESTED_CONTAINER_SESSION": "launch_nested_container_session",
    "ATTACH_CONTAINER_INPUT": "attach_container_input", "ATTACH_CONTAINER_OUTPUT": "attach_container_output",
    "ADD_RESOURCE_PROVIDER_CONFIG": "add_resource_provider_config",
    "UPDATE_RESOURCE_PROVIDER_CONFIG": "update_resource_provider_config",
    "REMOVE_RESOURCE_PROVIDER_CONFIG": "remove_resource_provider_config",
    "MARK_RESOURCE_PROVIDER_GONE": "mark_resource_provider_gone", "PRUNE_IMAGES": "",
}  # fmt: skip

Statistics = Callable[[], Awaitable[Mapping[str, Mapping[str, float]]]]


class _ReadFile(msgspec.Struct):
    path: str
    offset: int
    length: int | None = None


class _ListFiles(msgspec.Struct):
    path: str


class Operator:
    def __init__(self, agent: Agent, files: Files, statistics: Statistics, now: Callable[[], Now]) -> None:
        self._agent = agent
        self._files = files
        self._statistics = statistics
        self._now = now
        self._shown: dict[str, Callable[[], Opaque]] = {
            "GET_HEALTH": lambda: {"healthy": True},
            "GET_FLAGS": lambda: {"flags": _pairs(agent_views.flags_view(agent))},
            "GET_VERSION": lambda: {"version_info": agent_views.VERSION},
            "GET_METRICS": lambda: {"metrics": _pairs(agent_views.metrics_view(agent, now()))},
            "GET_LOGGING_LEVEL": lambda: {"level": 0},
            "GET_STATE": lambda: agent_views.state_view(agent),
            "GET_FRAMEWORKS": lambda: agent_views.frameworks_view(agent),
            "GET_EXECUTORS": lambda: agent_views.executors_view(agent),
            "GET_TASKS": lambda: agent_views.tasks_view(agent),
            "GET_AGENT": lambda: agent_views.agent_view(agent),
            "GET_OPERATIONS": dict,
            "GET_RESOURCE_PROVIDERS": dict,
        }

    def parse(self, body: bytes) -> Opaque:
        """A call that is valid in itself. Raises the refusal of a real agent."""
        value = words.parse_json(body, "Failed to parse body into JSON: ")
        if not isinstance(value, dict):
            raise words.Refusal(400, "Expecting a JSON object")
        kind = value.get("type")
        if not isinstance(kind, str) or kind not in CALLS:
            raise words.Refusal(400, _INVALID + "Expecting 'type' to be present")
        needed = CALLS[kind]
        if needed and needed not in value:
            raise words.Refusal(400, f"{_INVALID}Expecting '{needed}' to be present")
        return value

    async def answer(self, call: Opaque) -> bytes:
        kind = call["type"]
        if kind in self._shown:
            payload = self._shown[kind]()
        elif kind == "READ_FILE":
            payload = self._read_file(_operand(call, _ReadFile))
        elif kind == "LIST_FILES":
            path = _operand(call, _ListFiles).path
            payload = {"file_infos": [file_info(info) for info in self._files.listing(path)]}
        elif kind == "GET_CONTAINERS":
            payload = await self._containers()
        elif kind == "PRUNE_IMAGES":
            return b""  # there are none
        else:
            raise words.Refusal(501, f"The embedded Mesos has no {kind}")
        return msgspec.json.encode({"type": kind, kind.lower(): payload})

    def _read_file(self, wanted: _ReadFile) -> Opaque:
        if wanted.offset < 0 or (wanted.length or 0) < 0:
            raise words.Refusal(400, f"Negative offset provided: {wanted.offset}.\n")
        data, size = self._files.read(wanted.path, wanted.offset, wanted.length)
        return {"size": size, "data": data}

    async def _containers(self) -> Opaque:
        statistics = await self._statistics()
        views = []
        for _, executor in self._agent.disk.executors():
            used = statistics.get(executor.container_id.value)
            if used is not None:
                views.append({**agent_views.container_view(executor), "resource_statistics": used})
        return {"containers": views}


def _operand(call: Opaque, kind: type[Any]) -> Any:
    field = CALLS[call["type"]]
    try:
        return msgspec.convert(call[field], kind, strict=False)
    except msgspec.ValidationError as error:
        text = words.explain(error)
        if text.startswith("Missing required fields: "):
            text = text.replace("fields: ", f"fields: {field}.", 1)
        raise words.Refusal(400, text) from error


def _pairs(values: Mapping[str, Any]) -> list[Opaque]:
    return [{"name": name, "value": value} for name, value in values.items()]


def file_info(info: FileInfo) -> Opaque:
    return {
        "path": info.path,
        "nlink": info.nlink,
        "size": info.size,
        "mtime": {"nanoseconds": max(-(2**63), min(2**63 - 1, int(info.mtime) * 10**9))},  # some systems know more
        "mode": info.mode,
        "uid": info.uid,
        "gid": info.gid,
    }

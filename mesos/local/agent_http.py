"""An agent's HTTP: `/api/v1/executor` with the streams of executors, `/api/v1`, and the old endpoints.

The decisions are the agent's (`mesos.local.core.agent`); here bytes become calls, answers become bytes, and what is no
call is refused in Mesos' own words and order: path (404), credentials (401), method (405), type of the content (415),
the body. Paths may have the agent's name in front, `/slave(1)/state` is `/state`. Everything is bounded: bodies, the
streams and what waits in them, reads of files.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

import msgspec
from aiohttp import web

from mesos.core.executor_api import Call, CallType, Event
from mesos.core.messages import ContainerID
from mesos.core.wire import BadMessage, decode, encode
from mesos.local import http_words as words
from mesos.local.agent_files import FileInfo, Files
from mesos.local.agent_operator import Operator
from mesos.local.core import agent_old_views, agent_views
from mesos.local.core.agent import Agent
from mesos.local.core.agent_calls import authenticate
from mesos.local.core.agent_token import BadToken
from mesos.local.core.protocol import AgentEffect
from mesos.local.faults import Parcel, Way
from mesos.local.http_gate import Bodies, answer, json_answer, principal_of
from mesos.local.http_server import HttpServer
from mesos.local.link import Post
from mesos.local.master_http import admit, cutter, lose, stream
from mesos.local.process_tree import Usage
from mesos.local.streams import Outbox

#: Bytes of one body; a task's data may be large.
MAX_BODY = 16 * 1024 * 1024

#: Bytes that may wait for one executor.
MAX_WAITING = 16 * 1024 * 1024

_EXECUTOR, _READONLY, _READWRITE = "mesos-agent-executor", "mesos-agent-readonly", "mesos-agent-readwrite"


class Measures(Protocol):
    """Who knows what containers use."""

    async def usage(self) -> Mapping[str, Usage]: ...


class NoMeasures:
    async def usage(self) -> Mapping[str, Usage]:
        return {}


@dataclass(frozen=True, slots=True)
class _Route:
    handle: Callable[[web.Request], Awaitable[web.StreamResponse]]
    realm: str | None = None
    methods: tuple[str, ...] | None = None


class AgentServer:
    """Of one life of an agent. `did` performs the agent's effects (an `AgentHost` has it), and brings events for
    executors back to `tell_executor` and `close_executor`. `credentials`: principal -> secret for the operator's
    endpoints; without any, nobody is asked."""

    def __init__(
        self,
        number: int,
        agent: Agent,
        did: Callable[[Iterable[AgentEffect]], None],
        post: Post,
        *,
        measures: Measures | None = None,
        credentials: Mapping[str, str] | None = None,
        master_hostname: str = "",
    ) -> None:
        self._number = number
        self._agent = agent
        self._did = did
        self._post = post
        self._credentials = credentials
        self._master_hostname = master_hostname
        self._measures = measures or NoMeasures()
        self._files = Files(agent)
        self._operator = Operator(agent, self._files, self._statistics, post.timeline.now)
        self._bodies = Bodies(MAX_BODY)
        self._outboxes: dict[str, Outbox] = {}
        self._routes = self._make_routes()
        self._server = HttpServer(self.handle)

    async def start(self, host: str, port: int) -> None:
        await self._server.start(host, port)

    async def stop(self) -> None:
        """As a process that is killed: all connections break."""
        await self._server.stop()

    # --- for the agent's effects

    def tell_executor(self, container_id: ContainerID, event: Event) -> None:
        outbox = self._outboxes.get(container_id.value)
        executor = self._agent.executor_in(container_id)
        if outbox is None:
            return
        record = encode(event)
        if executor is None or not self._post.faults:
            outbox.put(record)
            return
        parcel = Parcel(Way.TO_EXECUTOR, event, self._number, executor.framework_id, executor.id)
        self._post.carry(parcel, outbox, lambda: outbox.put(record))

    def close_executor(self, container_id: ContainerID) -> None:
        outbox = self._outboxes.pop(container_id.value, None)
        if outbox is not None:
            outbox.finish()

    # --- requests

    async def handle(self, request: web.Request) -> web.StreamResponse:
        try:
            route = self._find(request.path)
            if route.realm is not None:
                self._check(route.realm, request.headers.get("Authorization"))
            if route.methods is not None and request.method not in route.methods:
                raise words.method_not_allowed(request.method, route.methods)
            return await route.handle(request)
        except words.Refusal as refusal:
            return answer(refusal.status, refusal.text, refusal.headers)

    def _make_routes(self) -> dict[str, _Route]:
        post = ("POST",)
        return {
            "/api/v1": _Route(self._api, _READWRITE, post),
            "/api/v1/executor": _Route(self._executor, None, post),
            "/containers": _Route(self._containers, _READONLY),
            "/files/browse": _Route(self._browse, _READONLY),
            "/files/debug": _Route(self._debug, _READONLY),
            "/files/download": _Route(self._download, _READONLY),
            "/files/read": _Route(self._read, _READONLY),
            "/flags": _Route(self._flags, _READONLY),
            "/health": _Route(self._health),
            "/metrics/snapshot": _Route(self._metrics, _READONLY),
            "/monitor/statistics": _Route(self._monitor, _READONLY),
            "/state": _Route(self._state, _READONLY),
            "/version": _Route(self._version),
        }

    def _find(self, path: str) -> _Route:
        parts = [part for part in path.split("/") if part]
        if parts[:1] in (["slave(1)"], ["slave"]):
            parts = parts[1:]
        route = self._routes.get("/" + "/".join(parts))
        if route is None:
            raise words.not_found()
        return route

    # --- executors

    async def _executor(self, request: web.Request) -> web.StreamResponse:
        token = _bearer(request.headers.get("Authorization"))
        try:
            authenticate(self._agent, token, self._post.timeline.now())
        except BadToken as bad:
            raise self._unauthorized(_EXECUTOR, str(bad)) from bad
        words.check_content_type(request.headers)
        call = parse_executor_call(await self._bodies.read(request))
        if call.type == CallType.SUBSCRIBE:
            words.check_accept(request.headers)
        parcel = Parcel(Way.FROM_EXECUTOR, call, self._number)
        pair = (call.framework_id.value, call.executor_id.value)
        times = await admit(self._post, parcel, pair)
        if times == 0:
            return lose(request)
        if call.type == CallType.SUBSCRIBE:
            return await self._subscribe(request, call, token)
        said = answer(500)
        for _ in range(times):
            given = self._agent.executor_call(call, token, self._post.timeline.now())
            self._did(given.effects)
            said = answer(given.status, given.text) if said.status == 500 else said
        return said

    async def _subscribe(self, request: web.Request, call: Call, token: str | None) -> web.StreamResponse:
        given = self._agent.executor_call(call, token, self._post.timeline.now())
        if given.status != 200 or given.container_id is None:
            self._did(given.effects)
            return answer(given.status, given.text)
        container = given.container_id
        self.close_executor(container)  # an older stream ends
        outbox = self._outboxes[container.value] = Outbox(cutter(request), MAX_WAITING)
        self._did(given.effects)
        try:
            return await stream(request, outbox, {})
        finally:
            outbox.finish()
            if self._outboxes.get(container.value) is outbox:
                del self._outboxes[container.value]
                self._did(self._agent.executor_closed(container, self._post.timeline.now()))

    # --- credentials

    def _check(self, realm: str, header: str | None) -> None:
        if self._credentials is not None and principal_of(header, self._credentials) is None:
            raise self._unauthorized(realm, "")

    def _unauthorized(self, realm: str, problem: str) -> words.Refusal:
        """Names all ways in that there are."""
        ways = ["Basic"] if self._credentials is not None else []
        ways += ["Bearer"] if self._agent.options.jwt_secret_key is not None else []
        texts, challenges = [], []
        for way in ways:
            challenge = f'{way} realm="{realm}"'
            if way == "Bearer" and problem:
                challenge += f', error="invalid_token", error_description="{problem}"'
            challenges.append(challenge)
            texts.append(f'"{way}" authenticator returned:\n401 Unauthorized.')
        text = "\n\n".join(texts) if len(ways) > 1 else "401 Unauthorized."
        return words.Refusal(401, text, {"WWW-Authenticate": ",".join(challenges)})

    # --- the operator

    async def _api(self, request: web.Request) -> web.StreamResponse:
        given = request.headers.get("Content-Type")
        if given is None:
            raise words.Refusal(400, "Expecting 'Content-Type' to be present")
        kinds = f"{words.JSON} or {words.PROTOBUF} or application/recordio"
        if given != words.JSON:
            raise words.Refusal(415, f"Expecting 'Content-Type' of {kinds}")
        body = await self._bodies.read(request)
        call = self._operator.parse(body)
        try:
            words.check_accept(request.headers)
        except words.Refusal as refusal:
            raise words.Refusal(406, f"Expecting 'Accept' to allow {kinds}") from refusal
        return json_answer(await self._operator.answer(call))

    async def _state(self, request: web.Request) -> web.StreamResponse:
        return _shown(agent_old_views.state_view(self._agent, self._master_hostname))

    async def _containers(self, request: web.Request) -> web.StreamResponse:
        return _shown(agent_old_views.containers_view(self._agent, await self._statistics()))

    async def _monitor(self, request: web.Request) -> web.StreamResponse:
        return _shown(agent_old_views.containers_view(self._agent, await self._statistics(), brief=True))

    async def _metrics(self, request: web.Request) -> web.StreamResponse:
        return _shown(agent_views.metrics_view(self._agent, self._post.timeline.now()))

    async def _flags(self, request: web.Request) -> web.StreamResponse:
        return _shown({"flags": agent_views.flags_view(self._agent)})

    async def _version(self, request: web.Request) -> web.StreamResponse:
        return _shown(agent_views.VERSION)

    async def _health(self, request: web.Request) -> web.StreamResponse:
        return answer(200)

    async def _statistics(self) -> dict[str, dict[str, float]]:
        """By container, of those that run."""
        usage = await self._measures.usage()
        now = self._post.timeline.now().wall
        found = {}
        for _, executor in self._agent.disk.executors():
            used = usage.get(executor.container_id.value)
            if used is not None:
                found[executor.container_id.value] = {
                    "cpus_system_time_secs": used.system_s,
                    "cpus_user_time_secs": used.user_s,
                    "mem_rss_bytes": used.rss_bytes,
                    "timestamp": now,
                    **agent_views.limits_view(executor),
                }
        return found

    # --- files

    async def _browse(self, request: web.Request) -> web.StreamResponse:
        return _shown([_old_info(info) for info in self._files.listing(_path(request))])

    async def _read(self, request: web.Request) -> web.StreamResponse:
        path = _path(request)
        offset, length = _number(request, "offset"), _number(request, "length")
        if offset is None:  # asks how long the file is
            _, size = self._files.read(path, 0, 0)
            return _shown({"data": "", "offset": size})
        data, _ = self._files.read(path, offset, length)
        # as they are, whether they are text or not: readers of Mesos' files expect it
        text = json.dumps({"data": data.decode("utf-8", "surrogateescape"), "offset": offset}, ensure_ascii=False)
        return json_answer(text.encode("utf-8", "surrogateescape"))

    async def _download(self, request: web.Request) -> web.StreamResponse:
        with self._files.open(_path(request)) as file:
            name = "".join(c for c in _path(request).rsplit("/", 1)[-1] if c.isprintable() and c not in '"\\')
            response = web.StreamResponse(
                headers={
                    "Content-Type": "application/octet-stream",
                    "Content-Disposition": f'attachment; filename="{name}"',
                }
            )
            await response.prepare(request)
            while piece := file.read(256 * 1024):
                await response.write(piece)
            await response.write_eof()
            return response

    async def _debug(self, request: web.Request) -> web.StreamResponse:
        return _shown(self._files.attached())


def parse_executor_call(body: bytes) -> Call:
    """Raises the refusal of a real agent."""
    value = words.parse_object(body)
    prefix = "Failed to convert JSON into Call protobuf: "
    missing = [name for name in ("executor_id", "framework_id") if name not in value]
    if missing:
        raise words.Refusal(400, f"{prefix}Missing required fields: {', '.join(missing)}")
    if "type" not in value:
        body = msgspec.json.encode({**value, "type": ""})  # is refused for that, after other things
    try:
        return decode(body, Call)
    except BadMessage as error:
        raise words.Refusal(400, prefix + words.explain(error.__cause__)) from error


def _bearer(header: str | None) -> str | None:
    kind, _, value = (header or "").partition(" ")
    return value if kind.lower() == "bearer" else None


def _path(request: web.Request) -> str:
    path = request.query.get("path", "")
    if not path:
        raise words.Refusal(400, "Expecting 'path=value' in query.\n")
    return path


def _number(request: web.Request, name: str) -> int | None:
    """None when it is not given, or -1."""
    text = request.query.get(name, "-1")
    try:
        number = int(text)
    except ValueError as error:
        problem = f"Failed to parse {name}: Failed to convert '{text}' to number.\n"
        raise words.Refusal(400, problem) from error
    if number < -1 or number >= 2**62:
        raise words.Refusal(400, f"Negative {name} provided: {number}.\n")
    return None if number == -1 else number


def _old_info(info: FileInfo) -> dict[str, object]:
    return {
        "gid": info.gid,
        "mode": info.mode_text,
        "mtime": info.mtime,
        "nlink": info.nlink,
        "path": info.path,
        "size": info.size,
        "uid": info.uid,
    }


def _shown(value: object) -> web.Response:
    return json_answer(msgspec.json.encode(value))

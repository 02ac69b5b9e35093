"""The old HTTP endpoints of the master: `GET /state` and the like, forms and JSON that are posted.

`ENDPOINTS` is the table of what there is: path -> method -> function. With or without `/master` in front, as in Mesos.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from mesos.core.messages import Opaque, OperationType, Resource
from mesos.local.core import maintenance, metrics, old_views, operator_calls, role_settings
from mesos.local.core.cluster import Answer, Cluster
from mesos.local.core.flags import flags_view
from mesos.local.core.json_words import explain
from mesos.local.core.role_settings import Refusal


class Request(msgspec.Struct, frozen=True):
    method: str
    path: str
    query: Mapping[str, str]
    body: bytes


Function = Callable[[Cluster, Request], object]


def answer(cluster: Cluster, request: Request) -> Answer:
    """404 and 405 for what there is not, 400 and 409 with Mesos' words for what can't be done."""
    path = request.path.removeprefix("/master") or "/"
    methods = ENDPOINTS.get(path) or (ENDPOINTS["/quota/…"] if re.fullmatch(r"/quota/.+", path) else None)
    if methods is None:
        return Answer(status=404, text="404 Not Found.")
    function = methods.get(request.method)
    if function is None:
        expected = ", ".join(f"'{method}'" for method in methods)
        text = f"405 Method Not Allowed. Expecting one of {{ {expected} }}, but received '{request.method}'."
        return Answer(status=405, text=text, headers={"Allow": ", ".join(methods)})
    try:
        found = function(cluster, request)
    except Refusal as refusal:
        return Answer(status=refusal.status, text=str(refusal))
    except (ValueError, TypeError, AttributeError, OverflowError) as error:  # of the body's shape
        return Answer(status=400, text=explain(error))
    if isinstance(found, Answer):
        return found
    return Answer(status=200) if found is None else Answer(status=200, body=found)


def _json(request: Request) -> Any:
    try:
        return msgspec.json.decode(request.body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refusal(f"Failed to parse body into JSON: {error}") from error


def _object(request: Request) -> Mapping[str, Any]:
    found = _json(request)
    if not isinstance(found, Mapping):
        raise Refusal("Failed to parse body into JSON: expecting an object")
    return found


def _form(request: Request) -> dict[str, str]:
    try:
        return dict(parse_qsl(request.body.decode(), keep_blank_values=True))
    except UnicodeDecodeError as error:
        raise Refusal("Unable to decode query string") from error


# --- reading ------------------------------------------------------------------------------------------------------


def _number(request: Request, name: str, default: int) -> int:
    try:
        return max(0, int(request.query.get(name, default)))
    except ValueError:
        raise Refusal(f"Failed to parse the query parameter '{name}'") from None


def _tasks(cluster: Cluster, request: Request) -> Opaque:
    return old_views.tasks_view(
        cluster,
        limit=_number(request, "limit", 100),
        offset=_number(request, "offset", 0),
        newest_first=request.query.get("order") != "asc",
        framework=request.query.get("framework_id", ""),
        task=request.query.get("task_id", ""),
    )


def _version(cluster: Cluster, _: Request) -> Opaque:
    return {"version": cluster.config.version}


def _redirect(cluster: Cluster, _: Request) -> Answer:
    location = f"//{cluster.config.hostname}:{cluster.config.port}"
    return Answer(status=307, headers={"Location": location})


# --- changing -----------------------------------------------------------------------------------------------------


def _teardown(cluster: Cluster, request: Request) -> None:
    form = _form(request)
    if "frameworkId" not in form:
        raise Refusal("Missing 'frameworkId' query parameter in the request body")
    operator_calls.teardown(cluster, form["frameworkId"])


def _resources(kind: OperationType, field: str) -> Function:
    def perform(cluster: Cluster, request: Request) -> Answer:
        form = _form(request)
        for name in ("slaveId", field):
            if name not in form:
                raise Refusal(f"Missing '{name}' query parameter in the request body")
        items = msgspec.json.decode(form[field], type=tuple[Resource, ...], strict=False)
        operator_calls.operate(cluster, form["slaveId"], operator_calls.make_operation(kind, items))
        return Answer(status=202)

    return perform


def _set_schedule(cluster: Cluster, request: Request) -> None:
    maintenance.set_schedule(cluster, maintenance.read_windows(_object(request)))


def _machine_down(cluster: Cluster, request: Request) -> None:
    maintenance.bring_down(cluster, maintenance.read_machines(_json(request)))


def _machine_up(cluster: Cluster, request: Request) -> None:
    maintenance.bring_up(cluster, maintenance.read_machines(_json(request)))


def _set_quota(cluster: Cluster, request: Request) -> None:
    given = _object(request)
    guarantee = msgspec.convert(given.get("guarantee") or [], tuple[Resource, ...], strict=False)
    if not guarantee:
        raise Refusal("Failed to validate set quota request: QuotaInfo with empty 'guarantee'")
    role_settings.set_quota(cluster, given.get("role", ""), guarantee, bool(given.get("force")))


def _remove_quota(cluster: Cluster, request: Request) -> None:
    role_settings.remove_quota(cluster, request.path.removeprefix("/master").removeprefix("/quota/"))


def _set_weights(cluster: Cluster, request: Request) -> None:
    try:
        infos = msgspec.json.decode(request.body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        shown = request.body[:80].decode(errors="replace")
        raise Refusal(f"Failed to parse update weights request JSON '{shown}': {error}") from error
    role_settings.update_weights(cluster, infos)


ENDPOINTS: Mapping[str, Mapping[str, Function]] = {
    "/state": {"GET": lambda cluster, _: old_views.state_view(cluster)},
    "/state.json": {"GET": lambda cluster, _: old_views.state_view(cluster)},
    "/state-summary": {"GET": lambda cluster, _: old_views.summary_view(cluster)},
    "/slaves": {"GET": lambda cluster, request: old_views.slaves_view(cluster, request.query.get("slave_id", ""))},
    "/frameworks": {
        "GET": lambda cluster, request: old_views.frameworks_view(cluster, request.query.get("framework_id", ""))
    },
    "/tasks": {"GET": _tasks},
    "/roles": {"GET": lambda cluster, _: role_settings.roles_view(cluster)},
    "/version": {"GET": _version},
    "/flags": {"GET": lambda cluster, _: {"flags": flags_view(cluster.config)}},
    "/health": {"GET": lambda cluster, _: None},
    "/redirect": {"GET": _redirect},
    "/metrics/snapshot": {"GET": lambda cluster, _: metrics.snapshot(cluster)},
    "/teardown": {"POST": _teardown},
    "/reserve": {"POST": _resources(OperationType.RESERVE, "resources")},
    "/unreserve": {"POST": _resources(OperationType.UNRESERVE, "resources")},
    "/create-volumes": {"POST": _resources(OperationType.CREATE, "volumes")},
    "/destroy-volumes": {"POST": _resources(OperationType.DESTROY, "volumes")},
    "/maintenance/schedule": {"GET": lambda cluster, _: maintenance.schedule_view(cluster), "POST": _set_schedule},
    "/maintenance/status": {"GET": lambda cluster, _: maintenance.status_view(cluster)},
    "/machine/down": {"POST": _machine_down},
    "/machine/up": {"POST": _machine_up},
    "/quota": {"GET": lambda cluster, _: role_settings.quotas_view(cluster), "POST": _set_quota},
    "/quota/…": {"DELETE": _remove_quota},
    "/weights": {"GET": lambda cluster, _: role_settings.weights_view(cluster), "PUT": _set_weights},
}

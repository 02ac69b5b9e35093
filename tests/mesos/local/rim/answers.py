"""What a real master (1.11.0) answered to odd requests, written down as seen; ours must say the same.

Masters were asked with nothing registered but one agent and one framework. `{stream}` and `{framework}` stand for the
framework's stream and id.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

JSON = {"Content-Type": "application/json"}
HERE = {"Mesos-Stream-Id": "{stream}"}
INFO = {"user": "root", "name": "x"}
F = {"framework_id": {"value": "{framework}"}}
SCHEDULER = "/api/v1/scheduler"
NOT_JSON = "Failed to parse body into JSON: syntax error at line 1 near: "
NOT_CALL = "Failed to convert JSON into Call protobuf: "
BAD_CALL = "Failed to validate scheduler::Call: "
BAD_MASTER_CALL = "Failed to validate master::Call: "
MACHINE = {"hostname": "agentX", "ip": "127.0.0.1"}


@dataclass(frozen=True)
class Row:
    """A request, and the answer. `text` None: a body that is not compared (JSON of a view, say)."""

    method: str
    path: str
    body: str
    status: int
    text: str | None
    headers: dict[str, str] = field(default_factory=lambda: JSON)
    answered: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.method} {self.path} {self.body[:60]}"


def call(status: int, text: str | None, more: dict[str, str] | None = None, **fields: Any) -> Row:
    """A call at the scheduler API."""
    return Row("POST", SCHEDULER, json.dumps(fields), status, text, JSON | (more or {}))


def operate(status: int, text: str | None, **fields: Any) -> Row:
    return Row("POST", "/api/v1", json.dumps(fields), status, text)


def wrong_method(method: str, path: str, *allowed: str) -> Row:
    names = ", ".join(f"'{name}'" for name in allowed)
    text = f"405 Method Not Allowed. Expecting one of {{ {names} }}, but received '{method}'."
    return Row(method, path, "", 405, text, answered={"Allow": ", ".join(allowed)})


METHODS = [
    wrong_method("GET", SCHEDULER, "POST"),
    wrong_method("PUT", SCHEDULER, "POST"),
    wrong_method("GET", "/master/api/v1/scheduler", "POST"),
    wrong_method("GET", "/api/v1/scheduler/x", "POST"),
    wrong_method("GET", "/api/v1", "POST"),
    wrong_method("GET", "/api/v1/x", "POST"),
    wrong_method("OPTIONS", "/api/v1", "POST"),
    wrong_method("POST", "/maintenance/status", "GET"),
    wrong_method("DELETE", "/maintenance/schedule", "GET", "POST"),
    wrong_method("GET", "/machine/up", "POST"),
    wrong_method("PUT", "/machine/down", "POST"),
    wrong_method("GET", "/teardown", "POST"),
    wrong_method("DELETE", "/weights", "GET", "PUT"),
    wrong_method("PUT", "/quota", "GET", "POST", "DELETE"),
    Row("GET", "/nope", "", 404, "404 Not Found."),
    Row("GET", "/", "", 404, "404 Not Found."),
    Row("GET", "/master", "", 404, "404 Not Found."),
    Row("GET", "/master/nope", "", 404, "404 Not Found."),
    Row("GET", "/state.json", "", 404, "404 Not Found."),
    Row("GET", "/health", "", 200, ""),
    Row("PUT", "/master/health", "", 200, ""),
    Row("POST", "/state", "", 200, None),
    Row("HEAD", "/state", "", 200, None),
    Row("PUT", "/roles", "", 200, None),
    Row("GET", "/state/x", "", 200, None),
]

FORMS = [
    Row("POST", SCHEDULER, "{}", 400, "Expecting 'Content-Type' to be present", {}),
    *(
        Row("POST", path, "{}", 415, "Expecting 'Content-Type' of application/json or application/x-protobuf", headers)
        for path in (SCHEDULER, "/api/v1")
        for headers in (
            {"Content-Type": "text/plain"},
            {"Content-Type": "application/json; charset=utf-8"},
            {"Content-Type": "application/recordio"},
        )
    ),
    *(
        Row("POST", path, body, 400, text)
        for path in (SCHEDULER, "/api/v1")
        for body, text in (
            ("", NOT_JSON),
            ("nonsense", NOT_JSON + "onsense"),
            ('{"type":"SUBSCRIBE"', NOT_JSON),
            ("[]", NOT_CALL + "Expecting a JSON object"),
        )
    ),
    Row("POST", SCHEDULER, "{}", 400, BAD_CALL + "Expecting 'type' to be present"),
    Row("POST", "/api/v1", "{}", 400, BAD_MASTER_CALL + "Expecting 'type' to be present"),
    call(400, BAD_CALL + "Expecting 'type' to be present", type="NOPE"),
    operate(400, BAD_MASTER_CALL + "Expecting 'type' to be present", type="NOPE"),
    operate(400, NOT_CALL + "Not expecting a JSON number for field 'type'", type=5),
    # what is wrong with the call comes before what is wrong with Accept
    call(400, BAD_CALL + "Expecting 'type' to be present", {"Accept": "text/html"}),
    call(
        406,
        "Expecting 'Accept' to allow 'application/x-protobuf' or 'application/json'",
        {"Accept": "text/html"},
        type="SUBSCRIBE",
        subscribe={"framework_info": INFO},
    ),
    Row(
        "POST",
        "/api/v1",
        '{"type":"GET_HEALTH"}',
        406,
        "Expecting 'Accept' to allow 'application/x-protobuf' or 'application/json'",
        JSON | {"Accept": "text/html"},
    ),
]

SUBSCRIPTIONS = [
    call(400, BAD_CALL + "Expecting 'subscribe' to be present", type="SUBSCRIBE"),
    call(
        400,
        NOT_CALL + "Missing required fields: subscribe.framework_info.user",
        type="SUBSCRIBE",
        subscribe={"framework_info": {"name": "x"}},
    ),
    call(
        400,
        "Subscribe calls should not include the 'Mesos-Stream-Id' header",
        {"Mesos-Stream-Id": "abc"},
        type="SUBSCRIBE",
        subscribe={"framework_info": INFO},
    ),
    call(
        400,
        BAD_CALL + "'framework_id' differs from 'subscribe.framework_info.id'",
        type="SUBSCRIBE",
        framework_id={"value": "a"},
        subscribe={"framework_info": INFO},
    ),
]

CALLS = [
    call(400, BAD_CALL + "Expecting 'framework_id' to be present", type="TEARDOWN"),
    call(400, "Framework cannot be found", type="TEARDOWN", framework_id={"value": "nope"}),
    call(400, BAD_CALL + "Expecting 'kill' to be present", HERE, type="KILL", **F),
    call(400, "All non-subscribe calls should include the 'Mesos-Stream-Id' header", type="REVIVE", **F),
    call(
        400,
        "The stream ID 'abc' included in this request didn't match the stream ID currently associated with framework "
        "ID {framework}",
        {"Mesos-Stream-Id": "abc"},
        type="REVIVE",
        **F,
    ),
    call(202, "", HERE, type="REVIVE", **F),
    call(202, "", HERE | {"Accept": "text/html"}, type="SUPPRESS", **F),
    call(400, NOT_CALL + "Missing required fields: kill.task_id", HERE, type="KILL", kill={}, **F),
    call(202, "", HERE, type="KILL", kill={"task_id": {"value": "nope"}}, **F),
    call(400, NOT_CALL + "Not expecting a JSON number for field 'kill'", HERE, type="KILL", kill=5, **F),
    call(
        400,
        NOT_CALL + "Not expecting a JSON number for field 'value'",
        HERE,
        type="KILL",
        kill={"task_id": {"value": 5}},
        **F,
    ),
    call(
        400,
        BAD_CALL + "Not a valid UUID",
        HERE,
        type="ACKNOWLEDGE",
        acknowledge={"agent_id": {"value": "a"}, "task_id": {"value": "t"}, "uuid": "YmFk"},
        **F,
    ),
    call(400, BAD_CALL + "Expecting 'acknowledge' to be present", HERE, type="ACKNOWLEDGE", **F),
    call(202, "", HERE, type="ACCEPT", accept={"offer_ids": []}, **F),
    call(202, "", HERE, type="ACCEPT", accept={"offer_ids": [{"value": "x"}]}, **F),
    call(400, BAD_CALL + "Expecting 'update_framework' to be present", HERE, type="UPDATE_FRAMEWORK", **F),
    call(
        400,
        BAD_CALL + "'framework_id' differs from 'update_framework.framework_info.id'",
        HERE,
        type="UPDATE_FRAMEWORK",
        update_framework={"framework_info": INFO},
        **F,
    ),
    call(
        400,
        "FrameworkInfo update is not valid: Updating 'FrameworkInfo.checkpoint' is unsupported; attempted to update "
        "from 'false' to 'true'",
        HERE,
        type="UPDATE_FRAMEWORK",
        update_framework={"framework_info": INFO | {"id": {"value": "{framework}"}, "checkpoint": True}},
        **F,
    ),
    call(400, BAD_CALL + "Expecting 'request' to be present", HERE, type="REQUEST", **F),
]

OPERATIONS = [
    operate(200, '{"type":"GET_HEALTH","get_health":{"healthy":true}}', type="GET_HEALTH"),
    operate(400, BAD_MASTER_CALL + "Expecting 'get_metrics' to be present", type="GET_METRICS"),
    operate(400, BAD_MASTER_CALL + "Expecting 'update_weights' to be present", type="UPDATE_WEIGHTS"),
    operate(400, BAD_MASTER_CALL + "Expecting 'mark_agent_gone' to be present", type="MARK_AGENT_GONE"),
    operate(404, "Agent 'x' not found", type="MARK_AGENT_GONE", mark_agent_gone={"agent_id": {"value": "x"}}),
    operate(400, BAD_MASTER_CALL + "Expecting 'teardown' to be present", type="TEARDOWN"),
    operate(400, "No framework found with specified ID", type="TEARDOWN", teardown={"framework_id": {"value": "nope"}}),
    operate(400, "List of machines is empty", type="START_MAINTENANCE", start_maintenance={"machines": []}),
    operate(
        200,
        '{"type":"GET_MAINTENANCE_SCHEDULE","get_maintenance_schedule":{"schedule":{}}}',
        type="GET_MAINTENANCE_SCHEDULE",
    ),
    operate(
        200, '{"type":"GET_MAINTENANCE_STATUS","get_maintenance_status":{"status":{}}}', type="GET_MAINTENANCE_STATUS"
    ),
    operate(200, '{"type":"GET_QUOTA","get_quota":{"status":{}}}', type="GET_QUOTA"),
    Row("POST", "/teardown", "frameworkId=nope", 400, "No framework found with specified ID", {}),
    Row("POST", "/teardown", "", 400, "Missing 'frameworkId' query parameter in the request body", {}),
    Row("GET", "/quota", "", 200, "{}"),
    Row("GET", "/quota/x", "", 200, "{}"),
    Row("GET", "/weights", "", 200, "[]"),
    Row("GET", "/maintenance/schedule", "", 200, "{}"),
    Row("GET", "/maintenance/status", "", 200, "{}"),
    Row("GET", "/tasks?limit=5", "", 200, '{"tasks":[]}'),
    Row("GET", "/slaves?slave_id=nope", "", 200, '{"slaves":[],"recovered_slaves":[]}'),
    Row(
        "GET",
        "/frameworks?framework_id=zz",
        "",
        200,
        '{"frameworks":[],"completed_frameworks":[],"unregistered_frameworks":[]}',
    ),
    Row("POST", "/quota", "x", 400, "Failed to parse set quota request JSON 'x': syntax error at line 1 near: x"),
    Row(
        "POST",
        "/quota",
        '{"role":"a","force":true,"guarantee":[]}',
        400,
        "Failed to validate set quota request: QuotaInfo with empty 'guarantee'",
    ),
    Row(
        "DELETE",
        "/quota/nope",
        "",
        400,
        "Failed to remove quota for path '/master/quota/nope': Role 'nope' has no quota set",
    ),
    Row(
        "DELETE",
        "/quota",
        "",
        400,
        "Failed to parse remove quota request for path '/master/quota': expected 3 tokens, found 2 tokens",
    ),
    Row("PUT", "/weights", "x", 400, "Failed to parse update weights request JSON 'x': syntax error at line 1 near: x"),
    Row(
        "PUT",
        "/weights",
        '[{"role":"a","weight":-1}]',
        400,
        "Failed to validate update weights request JSON for role 'a': Invalid weight '-1': Weights must be positive",
    ),
]

#: In this order; one leads to the next.
MAINTENANCE = [
    Row("POST", "/maintenance/schedule", "bad", 400, "syntax error at line 1 near: bad"),
    Row(
        "POST",
        "/maintenance/schedule",
        '{"windows":[{"machine_ids":[]}]}',
        400,
        "Missing required fields: windows[0].unavailability",
    ),
    Row(
        "POST",
        "/maintenance/schedule",
        '{"windows":[{"machine_ids":[],"unavailability":{"start":{"nanoseconds":1}}}]}',
        400,
        "List of machines in the maintenance window is empty",
    ),
    Row(
        "POST",
        "/maintenance/schedule",
        '{"windows":[{"machine_ids":[{}],"unavailability":{"start":{"nanoseconds":1}}}]}',
        400,
        "Both 'hostname' and 'ip' for a machine are empty",
    ),
    Row("POST", "/machine/down", "[]", 400, "List of machines is empty"),
    Row("POST", "/machine/down", "{}", 400, "Unexpected JSON type parsed"),
    Row("POST", "/machine/down", "x", 400, "syntax error at line 1 near: x"),
    Row("POST", "/machine/down", "[{}]", 400, "Both 'hostname' and 'ip' for a machine are empty"),
    *(
        Row(
            "POST",
            f"/machine/{way}",
            '[{"hostname":"agentX"}]',
            400,
            'Machine \'{"hostname":"agentX"}\' is not part of a maintenance schedule',
        )
        for way in ("down", "up")
    ),
    Row(
        "POST",
        "/maintenance/schedule",
        json.dumps({"windows": [{"machine_ids": [MACHINE], "unavailability": {"start": {"nanoseconds": 1}}}]}),
        200,
        "",
    ),
    Row(
        "GET",
        "/maintenance/schedule",
        "",
        200,
        '{"windows":[{"machine_ids":[{"hostname":"agentX","ip":"127.0.0.1"}],"unavailability":{"start":'
        '{"nanoseconds":1}}}]}',
    ),
    Row(
        "GET",
        "/maintenance/status",
        "",
        200,
        '{"draining_machines":[{"id":{"hostname":"agentX","ip":"127.0.0.1"}}]}',
    ),
    Row(
        "POST",
        "/machine/up",
        json.dumps([MACHINE]),
        400,
        'Machine \'{"hostname":"agentX","ip":"127.0.0.1"}\' is not in DOWN mode and cannot be brought up',
    ),
    Row("POST", "/machine/down", json.dumps([MACHINE]), 200, ""),
    Row(
        "POST",
        "/machine/down",
        json.dumps([MACHINE]),
        400,
        'Machine \'{"hostname":"agentX","ip":"127.0.0.1"}\' is not in DRAINING mode and cannot be brought down',
    ),
    Row("GET", "/maintenance/status", "", 200, '{"down_machines":[{"hostname":"agentX","ip":"127.0.0.1"}]}'),
    Row(
        "POST",
        "/maintenance/schedule",
        "{}",
        400,
        'Machine \'{"hostname":"agentX","ip":"127.0.0.1"}\' is deactivated and cannot be removed from the schedule',
    ),
    Row("POST", "/machine/up", json.dumps([MACHINE]), 200, ""),
    Row("GET", "/maintenance/schedule", "", 200, "{}"),
]

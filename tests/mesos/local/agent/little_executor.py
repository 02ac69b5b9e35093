"""An executor for these tests, standard library only. A task runs until it is killed; its data says otherwise:
{"finish": SECONDS}, {"fail": true}. It lives through its agent's end when it checkpoints, and ends on SHUTDOWN."""

import base64
import http.client
import json
import os
import sys
import threading
import time
import uuid

HOST, PORT = os.environ["MESOS_AGENT_ENDPOINT"].split(":")
FRAMEWORK, EXECUTOR = os.environ["MESOS_FRAMEWORK_ID"], os.environ["MESOS_EXECUTOR_ID"]
HEADERS = {"Content-Type": "application/json", "Accept": "application/json"}
if "MESOS_EXECUTOR_AUTHENTICATION_TOKEN" in os.environ:
    HEADERS["Authorization"] = "Bearer " + os.environ["MESOS_EXECUTOR_AUTHENTICATION_TOKEN"]
updates: dict = {}
tasks: dict = {}


def post(kind: str, **body: object) -> tuple:
    connection = http.client.HTTPConnection(HOST, int(PORT), timeout=30)
    call = {"type": kind, "framework_id": {"value": FRAMEWORK}, "executor_id": {"value": EXECUTOR}, **body}
    connection.request("POST", "/api/v1/executor", json.dumps(call), HEADERS)
    return connection, connection.getresponse()


def update(task: str, state: str, message: str = "") -> None:
    uid = base64.b64encode(uuid.uuid4().bytes).decode()
    status = {
        "task_id": {"value": task}, "state": state, "source": "SOURCE_EXECUTOR", "uuid": uid, "message": message,
        "timestamp": time.time(), "executor_id": {"value": EXECUTOR},
    }  # fmt: skip
    updates[uid] = {"status": status}
    try:
        post("UPDATE", update={"status": status})[0].close()
    except OSError as error:
        print("update", error, flush=True)


def hear(event: dict) -> None:
    kind = event["type"]
    print(kind, flush=True)
    if kind == "LAUNCH":
        task = event["launch"]["task"]
        name = task["task_id"]["value"]
        tasks[name] = task
        wishes = json.loads(base64.b64decode(task.get("data") or b"e30="))
        update(name, "TASK_RUNNING", f"pid {os.getpid()} {os.environ['PWD']}")
        if wishes.get("fail"):
            update(name, "TASK_FAILED")
        if "finish" in wishes:
            threading.Timer(wishes["finish"], update, (name, "TASK_FINISHED")).start()
    elif kind == "KILL":
        update(event["kill"]["task_id"]["value"], "TASK_KILLED", json.dumps(event["kill"]))
    elif kind == "ACKNOWLEDGED":
        updates.pop(event["acknowledged"]["uuid"], None)
        tasks.pop(event["acknowledged"]["task_id"]["value"], None)
    elif kind == "MESSAGE":
        post("MESSAGE", message={"data": event["message"]["data"]})[0].close()
    elif kind == "SHUTDOWN":
        sys.exit(0)


def listen() -> None:
    wanted = {"unacknowledged_tasks": list(tasks.values()), "unacknowledged_updates": list(updates.values())}
    _connection, response = post("SUBSCRIBE", subscribe=wanted)
    if response.status != 200:
        raise OSError(f"{response.status} {response.read()!r}")
    while line := response.readline():
        hear(json.loads(response.read(int(line))))


while True:
    try:
        listen()
    except (OSError, http.client.HTTPException, ValueError) as problem:
        print(problem, flush=True)
    if os.environ["MESOS_CHECKPOINT"] != "1":
        sys.exit(1)
    time.sleep(0.05)

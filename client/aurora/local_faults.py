"""The faults of `aurora local chaos`, one by one: what is done, and where to see what comes of it.

Scheduler, observer and the embedded Mesos as a whole are processes of a thermos task; agents, the master and executors
are asked for at the door of the embedded Mesos; a task is killed by killing its processes.
"""

from __future__ import annotations

from collections.abc import Callable

from client.aurora.local_ask import ask_door, ask_json, order
from client.aurora.local_monkey import Fault, Situation
from client.aurora.local_plan import CALLED, PARTS, LocalPlan
from client.aurora.local_task import kill_part, kill_run, running_tasks
from thermos.core.states import ProcessState
from thermos.errors import HostError, UserError
from thermos.host.kernel import Kernel
from thermos.monitor.detect import Found
from thermos.monitor.follow import read_task

#: What every executor id begins with, before the id of its task.
EXECUTOR_PREFIX = "thermos-"

#: verb -> what comes of it, and where to look.
OUTCOMES: dict[str, str] = {
    "kill-scheduler": "thermos starts another within a second, tasks go on: aurora local status",
    "kill-observer": "thermos starts another within a second: aurora local status",
    "kill-mesos": "thermos starts another, which ends the executors of this one; the scheduler starts all tasks anew",
    "kill-agent": "unless it is back in about 8 s its tasks are PARTITIONED, and then by their policy replaced: "
    "aurora job status, aurora local chaos start-agent",
    "start-agent": "it finds its executors again; tasks that were not replaced meanwhile go on: aurora job status",
    "partition-agent": "unless it is healed in about 8 s its tasks are PARTITIONED, and then by their policy replaced: "
    "aurora job status, aurora local chaos heal",
    "heal": "tasks that were not replaced meanwhile are RUNNING again: aurora job status",
    "kill-master": "nothing is placed or ended until it is back: aurora local chaos start-master",
    "start-master": "agents and the scheduler come back by themselves: aurora local status",
    "restart-master": "agents and the scheduler come back by themselves: aurora local status",
    "kill-executor": "its task is over, and a service gets another: aurora job status",
    "kill-task": "the executor sees its processes end; what follows is up to the task: aurora job status",
}


def perform(plan: LocalPlan, fault: Fault) -> str:
    """What was done, in a few words. Raises HostError, UserError."""
    return _PERFORMERS.get(fault.verb, _at_the_door)(plan, fault)


def _at_the_door(plan: LocalPlan, fault: Fault) -> str:
    return order(plan.control, fault.verb, **({} if fault.agent is None else {"agent": fault.agent}))


def _kill_part(plan: LocalPlan, fault: Fault) -> str:
    part = fault.verb.removeprefix("kill-")
    pid = kill_part(plan, part)
    return f"killed {CALLED[part]} (pid {pid})"


def _kill_executor(plan: LocalPlan, fault: Fault) -> str:
    return order(plan.control, "kill-executor", executor=f"{EXECUTOR_PREFIX}{fault.task}")


def _kill_task(plan: LocalPlan, fault: Fault) -> str:
    kernel = Kernel()
    task = read_task(find_task(plan, fault.task).paths, kernel).task
    runs = [task.processes[name].runs[number] for name, number in task.active.items()]
    running = [run for run in runs if run.state is ProcessState.RUNNING and run.pid]
    if not running:
        raise HostError(f"cannot kill task {fault.task}: no process of it runs")
    for run in running:
        kill_run(run, kernel)
    return f"killed {', '.join(f'{run.process} (pid {run.pid})' for run in running)} of task {fault.task}"


_PERFORMERS: dict[str, Callable[[LocalPlan, Fault], str]] = {
    "kill-task": _kill_task,
    "kill-executor": _kill_executor,
    **{f"kill-{part}": _kill_part for part in PARTS},
}


# --- what is meant


def situation(plan: LocalPlan) -> Situation | None:
    """What could be broken now; None when Mesos is not up."""
    door = ask_door(plan.control)
    if door is None:
        return None
    states = ["down" if not a["up"] else "cut off" if a["partitioned"] else "up" for a in door["agents"]]
    executors = [e["id"] for agent in door["agents"] for e in agent["executors"]]
    tasks = [name.removeprefix(EXECUTOR_PREFIX) for name in executors if name.startswith(EXECUTOR_PREFIX)]
    return Situation(states, tasks, door["master"]["up"])


def agent_number(plan: LocalPlan, text: str) -> int:
    """Of an agent by its number or its host. Raises UserError."""
    if text in plan.hosts:
        return plan.hosts.index(text)
    if text.isascii() and text.isdigit() and int(text) < len(plan.hosts):
        return int(text)
    raise UserError(f"no agent {text!r}: there are 0 to {len(plan.hosts) - 1} ({plan.hosts[0]} to {plan.hosts[-1]})")


def task_of(plan: LocalPlan, text: str) -> str:
    """The id of a task, by itself or by its instance: ROLE/ENV/NAME/INSTANCE, the cluster before it or not. Raises
    UserError, HostError."""
    if "/" not in text:
        return text.removeprefix(EXECUTOR_PREFIX)
    words = text.removeprefix(f"{plan.cluster}/").split("/")
    if len(words) != 4 or not all(words) or not words[3].isdigit():
        raise UserError(f"bad instance {text!r}: write ROLE/ENV/NAME/INSTANCE, or the id of a task")
    role, environment, name, instance = words
    query = f"role={role}&environment={environment}&name={name}&instances={instance}&active=true&configs=false"
    told = ask_json(plan.scheduler_url, f"/api/v1/tasks?{query}")
    if not isinstance(told, dict) or "tasks" not in told:
        raise HostError("cannot find the task: the scheduler does not answer; name it by its id (`thermos status`)")
    if not told["tasks"]:
        raise UserError(f"no active task is instance {instance} of {role}/{environment}/{name}")
    return task_id_of(told["tasks"][0])


def task_id_of(task: dict[str, object]) -> str:
    """Of a ScheduledTask."""
    assigned = task.get("assignedTask")
    return str(assigned["taskId"] if isinstance(assigned, dict) else task["taskId"])


def find_task(plan: LocalPlan, task_id: str) -> Found:
    """Where its records are. Raises HostError."""
    for found in running_tasks(plan):
        if found.task_id == task_id:
            return found
    raise HostError(f"cannot find task {task_id}: no executor of cluster {plan.cluster} runs it")

"""The functions that users build tasks with."""

from collections import OrderedDict
from typing import Any

import pytest

from config.builders import (
    Processes,
    SequentialTask,
    SimpleTask,
    Tasks,
    Units,
    combine_tasks,
    concat_tasks,
    java_options,
    order,
    python_options,
)
from config.schema import GB, MB, Constraint, Process, Resources, Task


def proc(name: str, **fields: Any) -> Any:
    return Process(name=name, cmdline="true", **fields)


def orders(task: Any) -> list[tuple[str, ...]]:
    return [constraint["order"] for constraint in task.constraints().get()]


def names(task: Any) -> list[str]:
    return [process["name"] for process in task.processes().get()]


def test_order_takes_processes_and_names() -> None:
    assert order(proc("a"), "b", proc("c")) == [Constraint(order=["a", "b", "c"])]
    assert Processes.order is order


def test_orders_add_up() -> None:
    task = Task(processes=[proc("a"), proc("b")], constraints=order("a", "b") + order("b", "a"))
    assert orders(task) == [("a", "b"), ("b", "a")]


@pytest.mark.parametrize("wrong", [None, ["a", "b"], 5, Task()])
def test_order_refuses_other_things(wrong: object) -> None:
    with pytest.raises(ValueError, match="Unknown value for process order"):
        order(wrong)


def test_order_fills_the_names_of_bound_processes() -> None:
    assert order(Process(name="{{n}}_x").bind(n="a"))[0].order().get() == ("a_x",)
    assert order(Process(name="{{later}}_x"))[0].order().get() == ("{{later}}_x",)


def test_sequential_task() -> None:
    task = SequentialTask(name="t", processes=[proc("a"), {"name": "b", "cmdline": "true"}], max_failures=2)
    assert orders(task) == [("a", "b")]
    assert task.max_failures().get() == 2
    assert orders(SequentialTask({"processes": [proc("x")]})) == [("x",)]
    assert orders(SequentialTask(name="empty")) == []
    assert Tasks.sequential is SequentialTask


def test_sequential_task_refuses_constraints() -> None:
    with pytest.raises(ValueError, match="Cannot turn a Task with existing constraints into a SequentialTask!"):
        SequentialTask(processes=[proc("a")], constraints=order("a"))


def test_simple_task() -> None:
    task = Tasks.simple("hello", "echo hello")
    assert SimpleTask is Tasks.simple
    assert names(task) == ["hello"]
    assert str(task.name()) == "hello"
    assert task.resources() == Resources(cpu=1.0, ram=1 * GB, disk=1 * GB)


def pair() -> tuple[Any, Any]:
    first = Task(
        name="first",
        processes=[proc("a"), proc("b")],
        constraints=order("a", "b"),
        resources=Resources(cpu=1, ram=2 * MB, disk=3 * MB, gpu=1),
        finalization_wait=10,
    )
    second = Task(
        name="second",
        processes=[proc("b"), proc("c")],
        constraints=order("b", "c"),
        resources=Resources(cpu=2, ram=1 * MB, disk=5 * MB),
        finalization_wait=20,
        max_failures=7,
    )
    return first, second


def test_combine_adds_resources_and_keeps_the_last_identity() -> None:
    task = combine_tasks(*pair(), max_concurrency=3)
    assert Tasks.combine is combine_tasks
    assert names(task) == ["a", "b", "c"]
    assert orders(task) == [("a", "b"), ("b", "c")]
    assert task.resources().get() == {"cpu": 3.0, "ram": 3 * MB, "disk": 8 * MB, "gpu": 1}
    assert [str(task.name()), task.finalization_wait().get(), task.max_failures().get()] == ["second", 20, 7]
    assert task.max_concurrency().get() == 3


def test_concat_takes_the_largest_resources_and_orders_across() -> None:
    task = concat_tasks(*pair())
    assert Tasks.concat is concat_tasks
    assert task.resources().get() == {"cpu": 2.0, "ram": 2 * MB, "disk": 5 * MB, "gpu": 1}
    assert task.finalization_wait().get() == 30
    assert orders(task) == [("a", "b"), ("b", "c"), ("a", "c")]  # a before b is there already


def test_concat_orders_only_neighbours_and_no_process_with_itself() -> None:
    one, two, three = (Task(processes=[proc(name), proc("shared")]) for name in "xyz")
    assert orders(concat_tasks(one, two, three)) == [
        ("x", "y"),
        ("x", "shared"),
        ("shared", "y"),
        ("y", "z"),
        ("y", "shared"),
        ("shared", "z"),
    ]


def test_nothing_combined_is_an_empty_task() -> None:
    assert combine_tasks() == concat_tasks() == Task()
    assert not combine_tasks(Task(processes=[proc("a")])).has_resources()


def test_many_tasks_come_out_in_the_order_they_went_in() -> None:
    tasks = [Task(processes=[proc(f"p{n}")]) for n in (5, 3, 9, 1, 7, 0, 8, 2, 6, 4)]
    assert names(combine_tasks(*tasks)) == [f"p{n}" for n in (5, 3, 9, 1, 7, 0, 8, 2, 6, 4)]


def test_units() -> None:
    first, second = pair()
    assert Units.resources_sum(first.resources(), second.resources()).cpu().get() == 3
    assert Units.resources_max([first.resources(), second.resources()]).disk().get() == 5 * MB
    assert Units.finalization_wait_sum(t.finalization_wait() for t in (first, second)) == 30
    assert Units.finalization_wait_max(t.finalization_wait() for t in (first, second)) == 20
    assert Units.safe_get(first.user()) == 0
    assert [str(p.name()) for p in Units.processes_merge([first, second])] == ["a", "b", "c"]
    assert len(list(Units.constraints_merge([first, second, first]))) == 2


def test_unbound_numbers_cannot_be_added_up() -> None:
    with pytest.raises(ValueError, match=r"cannot add up `\{\{w\}\}`"):
        combine_tasks(Task(processes=[proc("a")], finalization_wait="{{w}}"))


@pytest.mark.parametrize(
    ("options", "named", "java", "python"),
    [
        ((), {}, "", ""),
        (("server", "d"), {}, "-server -d", "--server -d"),
        (({"Xmx": "1g"}, OrderedDict(b=1, a=2)), {}, "-Xmx 1g -b 1 -a 2", "--Xmx 1g -b 1 -a 2"),
        (("x",), {"port": 80}, "-x -port 80", "-x --port 80"),
        ((), {"zero": 0, "none": None, "off": False}, "-zero 0 -none -off", "--zero 0 --none --off"),
        ((), {"empty": ""}, "-empty ''", "--empty ''"),
        ((), {"f": 0.0, "on": True}, "-f 0.0 -on True", "-f 0.0 --on True"),
    ],
)
def test_option_strings(options: tuple[Any, ...], named: dict[str, Any], java: str, python: str) -> None:
    assert java_options(*options, **named) == java
    assert python_options(*options, **named) == python

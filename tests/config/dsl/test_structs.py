"""Structs: fields, copies, accessors, inheritance, equality."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

from config.dsl import (
    Default,
    Empty,
    Enum,
    Integer,
    IsNotMappingError,
    List,
    Map,
    Ref,
    Required,
    String,
    Struct,
    TypeFactory,
    UnknownFieldError,
)


class Process(Struct):
    name = Required(String)
    cmdline = Required(String)
    max_failures = Default(Integer, 1)
    logger = String


class Task(Struct):
    name = Default(String, "{{processes[0].name}}")
    processes = List(Process)
    mode = Enum("Mode", ("RO", "RW"))


class Job(Struct):
    role = Required(String)
    task = Required(Task)


def test_a_struct_is_made_of_mappings_and_names_and_the_later_wins() -> None:
    process = Process({"name": "a", "cmdline": "x"}, {"name": "b"}, name="c")
    assert process.get() == {"name": "c", "cmdline": "x", "max_failures": 1}


@pytest.mark.parametrize("given", ["a", 1, None, ["a"], Process()])
def test_anything_else_is_refused(given: Any) -> None:
    with pytest.raises(IsNotMappingError, match=r"Process takes fields, as in Process\(name=\.\.\.\), got") as failure:
        Process(given)
    assert failure.value.arg is given
    assert isinstance(failure.value, ValueError)


def test_a_wrong_element_is_refused_with_its_path() -> None:
    with pytest.raises(ValueError, match=r"^Task\.processes\[1\]: Process takes fields"):
        Task(processes=[Process(), "a"])
    with pytest.raises(ValueError, match=r"^Job\.task\.Task\.mode: Mode only accepts the following values: RO, RW"):
        Job(task={"mode": "x"})


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Process(name="web", cmdlnie="x"), "unknown field `cmdlnie` of Process `web`; did you mean `cmdline`?"),
        (
            lambda: Process(zzz=1),
            "unknown field `zzz` of Process; its fields are name, cmdline, max_failures, logger",
        ),
        (lambda: Process(name="web")(cmdlnie="x"), "unknown field `cmdlnie` of Process `web`; did you mean `cmdline`?"),
        (
            lambda: Process({1: "web"}),
            "unknown field `1` of Process; its fields are name, cmdline, max_failures, logger",
        ),
        (lambda: Process({"Name": "web"}), "unknown field `Name` of Process; did you mean `name`?"),
        (lambda: Process(name="a").cmdlin(), "unknown field `cmdlin` of Process `a`; did you mean `cmdline`?"),
        (lambda: Process().has_nam(), "unknown field `nam` of Process; did you mean `name`?"),
    ],
)
def test_an_unknown_field_is_an_attribute_error_with_advice(make: Any, text: str) -> None:
    with pytest.raises(AttributeError) as failure:
        make()
    assert isinstance(failure.value, UnknownFieldError)
    assert str(failure.value) == text


def test_assignment_is_refused() -> None:
    process = Process(name="a", cmdline="x")
    with pytest.raises(AttributeError, match=r"a Process can't be changed; make a copy: new = old\(cmdline=\.\.\.\)"):
        process.cmdline = "y"
    with pytest.raises(AttributeError, match="unknown field `cmdlin`"):
        process.cmdlin = "y"
    with pytest.raises(AttributeError, match="can't be changed"):
        del process.cmdline
    assert str(process.cmdline()) == "x"


def test_a_call_copies_with_overrides_and_empty_clears() -> None:
    process = Process(name="a", cmdline="{{x}}").bind(x=1)
    other = process(name="b", max_failures=Empty)
    assert (str(process.name()), str(other.name()), str(other.cmdline())) == ("a", "b", "1")
    assert process.has_max_failures()
    assert not other.has_max_failures()
    assert other.max_failures() is Empty
    assert "max_failures" not in other.resolve().data


def test_accessors_read_in_the_scope_of_the_whole() -> None:
    job = Job(role="www", task=Task(processes=[Process(name="p", cmdline="{{role}} {{x}}")])).bind(x="{{y}}", y=2)
    assert str(job.task().processes()[0].cmdline()) == "www 2"
    assert [str(process.name()) for process in job.task().processes()] == ["p"]


def test_an_accessor_reads_one_field_only() -> None:
    process = Process(name="a", cmdline="{{cmdline}}", max_failures="nix")
    assert str(process.name()) == "a"


def test_missing_required_fields_have_pystachios_message() -> None:
    job = Job(role="www", task=Task(processes=[Process(name="a", cmdline="x"), Process(name="b")]))
    assert job.check().message() == (
        "Job[task] failed: Task[processes] failed: Element in ProcessList failed check: Process[cmdline] is required."
    )
    assert not job.check().ok()
    assert repr(job.check()).startswith("TypeCheck(FAILED): Job[task]")
    assert repr(Process(name="a", cmdline="b").check()) == "TypeCheck(OK)"


def test_equality_and_hash_ignore_bindings_and_see_data() -> None:
    process = Process(name="a", cmdline="{{x}}")
    assert process.bind(x=1) == Process(name="a", cmdline="1")
    assert process != Process(name="b", cmdline="{{x}}")
    assert hash(process.bind(x=1)) == hash(process)
    assert len({process, process.bind(x=1)}) <= 2
    assert process != "a"


def test_a_subclass_has_the_fields_of_its_bases() -> None:
    class Base(Struct):
        a = Required(String)
        b = Default(Integer, 1)

    class Child(Base):
        b = Default(Integer, 2)
        c = String

        def shout(self) -> str:
            return f"{self.a()}!"

    child = Child(a="x", c="{{a}}{{b}}")
    assert list(Child.TYPEMAP) == ["a", "b", "c"]
    assert child.resolve().data == {"a": "x", "b": 2, "c": "x2"}
    assert child.shout() == "x!"
    assert not Child().check().ok()
    assert Base(a="x").resolve().data == {"a": "x", "b": 1}

    class Holder(Struct):
        base = Base

    assert Holder(base=child).resolve().data["base"]["c"] == "x2"


def test_the_same_struct_defined_twice_is_the_same_type() -> None:
    def define() -> Any:
        class Twin(Struct):
            a = Default(String, "x")
            b = List(Integer)

        return Twin

    one, two = define(), define()
    assert one is not two
    assert isinstance(one(), two)
    assert List(one)([two(a="y")]).get() == ({"a": "y"},)
    assert one(a="y") == two(a="y")

    class Other(Struct):
        a = Default(String, "z")

    assert not isinstance(Other(), one)
    assert not isinstance("x", one)
    assert isinstance(one(), Struct)


def test_a_type_can_be_written_down_and_built_again() -> None:
    form = Job.serialize_type()
    again = TypeFactory.new({}, *form)
    assert isinstance(Job(role="x"), again)
    types = TypeFactory.load(form)
    assert {"Job", "Task", "Process", "ProcessList", "String", "Mode"} <= set(types)
    namespace: dict[str, Any] = {}
    assert TypeFactory.load_json(list(form), into=namespace) is namespace
    assert isinstance(Process(), namespace["Process"])
    with pytest.raises(ValueError, match="unknown type 'Nix'"):
        TypeFactory.new({}, "Nix")


def test_a_type_travels_through_a_file(tmp_path: Any) -> None:
    path = tmp_path / "type.json"
    with path.open("w") as fp:
        Task.dump(fp)
    loaded = TypeFactory.load_file(str(path))
    assert isinstance(Task(), loaded["Task"])


def local_struct() -> Any:
    class Local(Struct):
        p = Process
        m = Map(String, String)

    return Local


@pytest.mark.parametrize(
    "value", [Process(name="a", cmdline="{{x}}").bind(x=1), local_struct()(p=Process(name="{{x}}")).bind(x=2)], ids=repr
)
def test_structs_survive_pickle_and_copy(value: Any) -> None:
    for other in (pickle.loads(pickle.dumps(value)), copy.copy(value), copy.deepcopy(value)):
        assert other == value
        assert other.resolve() == value.resolve()
        assert isinstance(other, type(value))
    assert copy.deepcopy([value])[0] is value


def test_a_field_may_have_the_name_of_a_new_method() -> None:
    class Dns(Struct):
        resolve = Default(String, "8.8.8.8")
        problems = String

    assert str(Dns().resolve()) == "8.8.8.8"
    assert Dns().problems() is Empty
    assert Dns().check().ok()


def test_find_and_repr() -> None:
    task = Task(processes=[Process(name="p", cmdline="c")])
    assert str(task.find(Ref.from_address("processes[0].name"))) == "p"
    assert repr(task) == (
        "Task(name=p,\n     processes=ProcessList(Process(name=p,\n        cmdline=c,\n        max_failures=1)))"
    )


def test_declarations_are_checked_when_a_struct_is_defined() -> None:
    for wrong in (lambda: Required(str), lambda: Default("String", 1)):
        with pytest.raises(ValueError, match="a field is declared with a type"):
            wrong()
    assert Process.TYPEMAP["name"] == Required(String)
    assert Process.TYPEMAP["name"] != String
    assert "required: True" in repr(Process.TYPEMAP["name"])


def test_a_struct_made_of_nothing() -> None:
    class Nothing(Struct):
        pass

    assert Nothing().resolve() == ({}, [], [])
    assert repr(Nothing()) == "Nothing()"

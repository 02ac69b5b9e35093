"""Which of several values a reference means."""

from __future__ import annotations

import pytest

from config.dsl import Default, Environment, Integer, List, Map, Namable, Ref, Required, String, Struct


class Process(Struct):
    name = String
    cmdline = String


class Task(Struct):
    name = Default(String, "{{processes[0].name}}")
    processes = List(Process)
    user = String


class Job(Struct):
    name = Default(String, "{{task.name}}")
    role = String
    task = Required(Task)
    extra = Map(String, String)


class Profile(Struct):
    version = Default(String, "1.0")
    package = Default(String, "app-{{version}}.tgz")
    instances = Default(Integer, 2)


class Holder(Struct):
    b = Process


def cmdline(text: str, process: dict[str, object], task: dict[str, object], job: dict[str, object]) -> str:
    """The first process' command line in a job, with bindings at three levels."""
    inner = Process(name="p", cmdline=text).bind(**process)
    whole = Job(name="j", role="www", task=Task(name="t", processes=[inner], user="u").bind(**task)).bind(**job)
    return str(whole.resolve().data["task"]["processes"][0]["cmdline"])


@pytest.mark.parametrize(
    ("text", "process", "task", "job", "wanted"),
    [
        ("{{x}}", {"x": 1}, {"x": 2}, {"x": 3}, "1"),
        ("{{x}}", {}, {"x": 2}, {"x": 3}, "2"),
        ("{{x}}", {}, {}, {"x": 3}, "3"),
        ("{{name}}", {"name": "z"}, {}, {}, "p"),
        ("{{self.name}}", {}, {}, {}, "p"),
        ("{{role}} {{user}} {{task.name}}", {}, {}, {}, "www u t"),
        ("{{super.super.name}}", {}, {}, {}, "j"),
        ("{{super.user}}", {}, {}, {}, "u"),
        ("{{super.role}}", {}, {}, {}, "www"),
        ("{{super.name}}", {}, {}, {}, "j"),  # as in pystachio: the outermost `super` is asked first
        ("{{super.x}}", {"x": 1}, {}, {}, "1"),
        ("{{self.user}}", {}, {}, {}, "u"),
        ("{{super}} {{self}}", {}, {}, {}, "{{super}} {{self}}"),
        ("{{a}}", {"a": "{{b}}"}, {}, {"b": 5}, "5"),
        ("{{a}}", {}, {}, {"a": "{{name}}"}, "p"),
        ("{{role[x]}} {{role.x}}", {}, {}, {}, "{{role[x]}} {{role.x}}"),
    ],
)
def test_the_closest_value_wins(
    text: str, process: dict[str, object], task: dict[str, object], job: dict[str, object], wanted: str
) -> None:
    assert cmdline(text, process, task, job) == wanted


def test_the_first_process_names_task_and_job() -> None:
    job = Job(role="www", task=Task(processes=[Process(name="first"), Process(name="second")]))
    assert str(job.name()) == "first"
    assert job.resolve().data["task"]["name"] == "first"


def test_a_later_bind_wins_and_in_scope_comes_last() -> None:
    text = String("{{x}}")
    assert str(text.bind(x=1).bind(x=2)) == "2"
    assert str(text.bind({"x": 1}, {"x": 2}, x=3)) == "3"
    assert str(text.bind(x=1).in_scope(x=2)) == "1"
    assert str(text.in_scope(x=1).in_scope(x=2)) == "1"
    assert str(text.in_scope(x=2).bind(x=1)) == "1"
    assert str(text % {"x": 4}) == "4"


def test_a_binding_never_sets_a_field_and_does_not_travel_upward() -> None:
    assert not Process(cmdline="x").bind(name="z").has_name()
    job = Job(name="{{x}}", task=Task(processes=[Process(name="p").bind(x=1)]))
    assert job.interpolate()[1] == [Ref.from_address("x")]


def test_a_struct_bound_as_a_value_is_expanded_in_itself_first() -> None:
    text = String("get {{profile.package}} {{profile.instances}} {{version}}").bind(profile=Profile(), version="9")
    assert str(text) == "get app-1.0.tgz 2 9"


def test_a_later_binding_replaces_one_field_of_a_bound_struct() -> None:
    text = String("{{profile.instances}} {{profile.package}}").bind(profile=Profile())
    assert str(text.bind({"profile.instances": 0})) == "0 app-1.0.tgz"
    assert str(text.bind(profile={"instances": 7})) == "7 app-1.0.tgz"


def test_a_bound_dict_answers_dots_but_not_brackets() -> None:
    assert str(String("{{ports.http}} {{ports[http]}}").bind(ports={"http": 1})) == "1 {{ports[http]}}"
    assert str(String("{{ports[http]}}").bind(ports=Map(String, Integer)({"http": 1}))) == "1"
    assert str(String("{{ports[http]}}").bind({"ports[http]": 1})) == "1"
    assert str(String("{{x}}").bind({Ref.from_address("x"): 1})) == "1"


@pytest.mark.parametrize(
    ("address", "wanted"),
    [
        ("xs[0]", "a"),
        ("xs[1]", "b"),
        ("xs[-1]", "b"),
        ("xs[2]", None),
        ("xs[-3]", None),
        ("xs[a]", None),
        ("xs.a", None),
    ],
)
def test_lists_are_indexed_like_in_python(address: str, wanted: str | None) -> None:
    text = f"{{{{{address}}}}}"
    assert str(String(text).bind(xs=List(String)(["a", "b"]))) == (wanted or text)


def test_a_map_with_keys_of_another_type_is_asked_without_a_crash() -> None:
    ports = Map(Integer, String)({80: "http"})
    assert str(String("{{m[80]}} {{m[x]}}").bind(m=ports)) == "http {{m[x]}}"


def test_a_struct_can_be_substituted_as_text() -> None:
    assert str(String("{{p}}").bind(p=Process(name="x"))) == "Process(name=x)"
    assert str(String("{{l}}").bind(l=List(Integer)([1, 2]))) == "IntegerList(1, 2)"
    assert str(String("{{m}}").bind(m=Map(String, Integer)({"a": 1}))) == "StringIntegerMap(a => 1)"


def test_positional_objects_are_scopes() -> None:
    assert str(String("{{version}}").bind(Profile(version="2"))) == "2"
    assert str(String("{{version}}").bind(Environment(version="3"))) == "3"
    with pytest.raises(ValueError, match="cannot bind"):
        String("x").bind(String("y"))
    with pytest.raises(ValueError, match="Environment values must be"):
        String("x").bind(y=[1])


def test_find_gives_the_value_in_its_scope() -> None:
    job = Job(name="j", role="www", task=Task(processes=[Process(name="p", cmdline="{{role}} {{name}}")]))
    found = job.find(Ref.from_address("task.processes[0].cmdline"))
    assert str(found) == "www p"
    for address, error in [("nix", Namable.NotFound), ("[x]", Namable.NamingError), ("task.nix", Namable.NotFound)]:
        with pytest.raises(error):
            job.find(Ref.from_address(address))
    with pytest.raises(Namable.Error):
        job.find(Ref.from_address("name.x"))


def test_environments_are_tables_of_dotted_names() -> None:
    env = Environment({"a": {"b": 1}}, Environment(c="x"), d=0)
    assert env.find(Ref.from_address("a.b")) == "1"
    assert env.find(Ref.from_address("d")) == "0"
    assert env == Environment({"a.b": 1, "c": "x", "d": 0})
    assert "a.b" in repr(env)
    nested = Environment({"a": Map(String, String)({"b": "outer"}), "a[b]": Map(String, String)({"c": "inner"})})
    assert str(nested.find(Ref.from_address("a[b][c]"))) == "inner"
    longest = {"a.b": Process(name="long"), "a": Holder(b=Process(name="short"))}
    assert str(String("{{a.b.name}}").bind(longest)) == "long"
    with pytest.raises(Namable.NotFound):
        env.find(Ref.from_address("a"))
    with pytest.raises(ValueError, match="Environment expects"):
        Environment([1])


def test_scopes_of_a_parent_can_be_given_to_a_child() -> None:
    task = Task(name="t", processes=[Process(name="p", cmdline="{{user}} {{super.name}}")], user="u")
    child = Process(cmdline="{{user}}").in_scope(*task.scopes())
    assert str(child.cmdline()) == "u"


def test_a_namable_of_the_user_needs_only_find() -> None:
    class Counter(Namable):
        def find(self, ref: Ref) -> str:
            if ref.action().value != "n":
                raise Namable.NotFound(self, ref)
            return f"{ref.address()}!"

    assert str(String("{{n.x[1]}} {{z}}").bind(Counter())) == "n.x[1]! {{z}}"

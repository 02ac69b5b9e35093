"""Command hooks and plugins around a verb: their order, and which exit code wins."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from client.aurora.command_hooks import CommandCall, StoppedByPlugin, before_dispatch, run_hooked
from client.aurora.exits import Exit
from client.aurora.hook_sources import SiteHooks
from thermos.errors import UserError

CALL = CommandCall("job", "kill", ("job", "kill", "k"), {"strict": True})


class Hook:
    def __init__(self, name: str, log: list[Any], answer: object = 0) -> None:
        self.name = name
        self._log = log
        self._answer = answer

    def pre_command(self, noun: str, verb: str, context: CommandCall, commandline: tuple[str, ...]) -> object:
        self._log.append(f"pre {self.name}")
        assert (noun, verb, context, commandline) == ("job", "kill", CALL, CALL.args)
        if isinstance(self._answer, BaseException):
            raise self._answer
        return self._answer

    def post_command(self, noun: str, verb: str, context: CommandCall, line: object, result: int) -> None:
        self._log.append(f"post {self.name} {result}")


class Plugin:
    def __init__(self, log: list[Any]) -> None:
        self._log = log

    def before_execution(self, context: CommandCall) -> None:
        self._log.append("before")

    def after_execution(self, context: CommandCall, code: int) -> None:
        self._log.append(f"after {int(code)}")


class Refusal(Exception):
    def __init__(self, code: object) -> None:
        super().__init__("not today")
        self.code = code


@pytest.fixture
def log() -> list[Any]:
    return []


def verb(log: list[Any], code: object = 0) -> Callable[[], object]:
    def command() -> object:
        log.append("verb")
        if isinstance(code, BaseException):
            raise code
        return code

    return command


def test_everything_in_its_order(log: list[Any]) -> None:
    site = SiteHooks(command=(Hook("a", log), Hook("b", log)), plugins=(Plugin(log),))
    assert run_hooked(site, CALL, None, verb(log)) == 0
    assert log == ["before", "pre a", "pre b", "verb", "post a 0", "post b 0", "after 0"]


@pytest.mark.parametrize(
    ("answer", "code"),
    [(7, 7), (300, 4), (-1, 4), (True, 4), (False, 4), ("no", 4), (Refusal(9), 9), (Refusal(0), 4), (SystemExit(3), 3),
     (ValueError(), 4)],
)  # fmt: skip
def test_a_hook_stops_the_command(
    log: list[Any], answer: object, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    site = SiteHooks(command=(Hook("a", log, answer), Hook("b", log)), plugins=(Plugin(log),))
    assert run_hooked(site, CALL, None, verb(log)) == code
    assert log == ["before", "pre a", f"after {code}"]
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "command hook a" in told


def test_a_hook_that_says_nothing_has_no_objection(log: list[Any]) -> None:
    assert run_hooked(SiteHooks(command=(Hook("a", log, None),)), CALL, None, verb(log, None)) == 0
    assert log == ["pre a", "verb", "post a 0"]


def test_after_a_failure_there_are_no_post_hooks(log: list[Any]) -> None:
    site = SiteHooks(command=(Hook("a", log),), plugins=(Plugin(log),))
    assert run_hooked(site, CALL, None, verb(log, Exit.API)) == 10
    assert log == ["before", "pre a", "verb", "after 10"]


@pytest.mark.parametrize(("error", "code"), [(UserError("x"), 6), (KeyboardInterrupt(), 130), (ValueError(), 20)])
def test_plugins_hear_of_errors(log: list[Any], error: BaseException, code: int) -> None:
    with pytest.raises(type(error)):
        run_hooked(SiteHooks(plugins=(Plugin(log),)), CALL, None, verb(log, error))
    assert log == ["before", "verb", f"after {code}"]


def test_a_post_hook_that_raises_hides_nothing(log: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    class Raises(Hook):
        def post_command(self, *told: object) -> None:
            raise ValueError("oh")

    site = SiteHooks(command=(Raises("a", log), Hook("b", log)))
    assert run_hooked(site, CALL, None, verb(log)) == 0
    assert log[-1] == "post b 0"
    assert capsys.readouterr().err == "aurora: Error executing a.post_command: ValueError: oh; that changes nothing\n"


@pytest.mark.parametrize(
    ("skip", "run"), [("all", []), ("a", ["b"]), ("a, b", []), ("x,b", ["a"]), (None, ["a", "b"]), ("", ["a", "b"])]
)
def test_skipped_hooks(log: list[Any], skip: str | None, run: list[str]) -> None:
    site = SiteHooks(command=(Hook("a", log, 0), Hook("b", log, 0)))
    run_hooked(site, CALL, skip, lambda: 4)
    assert log == [f"pre {name}" for name in run]


def test_hooks_of_other_verbs_do_not_run(log: list[Any]) -> None:
    class Some(Hook):
        def get_nouns(self) -> list[str]:
            return ["job", "update"]

        def get_verbs(self, noun: str) -> list[str]:
            return {"job": ["create"], "update": ["start"]}[noun]

    site = SiteHooks(command=(Some("a", log),))
    assert run_hooked(site, CALL, None, verb(log)) == 0
    assert run_hooked(site, CommandCall("task", "run", ()), None, verb(log)) == 0
    assert log == ["verb", "verb"]


@pytest.mark.parametrize(("error", "code"), [(Refusal(9), 9), (Refusal(0), 4), (ValueError("x"), 4)])
def test_a_plugin_stops_the_command(log: list[Any], error: Exception, code: int) -> None:
    class Stops:
        def before_dispatch(self, words: list[str]) -> list[str]:
            raise error

        def before_execution(self, context: CommandCall) -> None:
            raise error

    site = SiteHooks(plugins=(Plugin(log), Stops()))
    with pytest.raises(StoppedByPlugin) as stopped:
        run_hooked(site, CALL, None, verb(log))
    assert stopped.value.code == code
    assert log == ["before", f"after {code}"]
    with pytest.raises(StoppedByPlugin, match=r"Stops\.before_dispatch: ") as stopped:
        before_dispatch(site, ["job"])
    assert stopped.value.code == code


def test_plugins_change_the_command_line() -> None:
    class Adds:
        def before_dispatch(self, words: list[str]) -> list[str]:
            return [*words, "-v"]

    assert before_dispatch(SiteHooks(plugins=(Adds(), Adds())), ["job", "list"]) == ["job", "list", "-v", "-v"]
    assert before_dispatch(SiteHooks(), ("job",)) == ["job"]


def test_a_plugin_must_return_the_words() -> None:
    class Forgets:
        def before_dispatch(self, words: list[str]) -> None:
            words.append("-v")

    with pytest.raises(StoppedByPlugin, match="must return the list of arguments"):
        before_dispatch(SiteHooks(plugins=(Forgets(),)), ["job"])


def test_the_context_prints(capsys: pytest.CaptureFixture[str]) -> None:
    class Prints:
        name = "p"

        def pre_command(self, noun: str, verb: str, context: CommandCall, line: object) -> None:
            print("by itself")
            context.print_out("one\ntwo", 2)
            context.print_err("three")

    call = CommandCall("job", "kill", ())
    assert run_hooked(SiteHooks(command=(Prints(),)), call, None, lambda: 0) == 0
    assert capsys.readouterr() == ("  one\n  two\n", "by itself\nthree\n")

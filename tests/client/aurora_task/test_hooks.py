"""API hooks around a call: who is asked, with what, and what their answers do."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest

from client.aurora.exits import CommandFailed, Exit, code_of
from client.aurora.hook_config import HookConfig
from client.aurora.hooks import ApiMethod, Hooked, PreHooksStoppedCall, hooked_job, with_hooks
from config.core.rules import check_job
from config.loader import load_jobs
from thermos.errors import ConfigError, RemoteError

KEY = "west/www/prod/web"

CONFIG = """
class Note:
    def __init__(self):
        self.told = []
    def pre_kill_job(self, job_key, instances=None):
        self.told.append((str(job_key), instances))
        return self.told
note = Note()
hooks = [note]
jobs = [Job(cluster='west', role='www', environment='prod', name='web', enable_hooks=%s, instances=3,
            task=SimpleTask('web', 'true'))]
"""

#: Everything that each method needs besides config and job_key.
GIVEN: dict[ApiMethod, dict[str, object]] = {
    ApiMethod.CREATE_JOB: {},
    ApiMethod.ADD_INSTANCES: {"count": 2},
    ApiMethod.KILL_JOB: {"instances": [0, 1]},
    ApiMethod.RESTART: {"shards": [4], "updater_config": "u", "health_check_interval_seconds": 3},
    ApiMethod.START_CRONJOB: {},
    ApiMethod.START_JOB_UPDATE: {"message": "new", "instances": None},
}


class Recorder:
    """Has every hook of every method."""

    def __init__(self, answer: object = True) -> None:
        self.told: list[tuple[Any, ...]] = []
        self._answer = answer

    def __getattr__(self, name: str) -> Callable[..., object]:
        if name.partition("_")[0] not in ("pre", "post", "err"):
            raise AttributeError(name)

        def hook(*args: object, **named: object) -> object:
            self.told.append((name, args, named))
            return self._answer

        return hook


class Generic:
    def __init__(self, answer: object = None) -> None:
        self.told: list[tuple[Any, ...]] = []
        self._answer = answer

    def generic_hook(self, *told: object) -> object:
        self.told.append(told)
        return self._answer


def around(*hooks: object) -> Hooked:
    return hooked_job(KEY, site=hooks)


def kill(hooked: Hooked, call: Callable[[], object] = lambda: "ok") -> object:
    return with_hooks(hooked, ApiMethod.KILL_JOB, call, instances=[0])


@pytest.mark.parametrize("method", list(ApiMethod))
def test_each_method_has_its_arguments(method: ApiMethod) -> None:
    hook = Recorder()
    hooked = around(hook)
    assert with_hooks(hooked, method, lambda: "answer", **GIVEN[method]) == "answer"
    (pre, before, named), (post, after, named_too) = hook.told
    assert (pre, post) == (f"pre_{method}", f"post_{method}")
    assert after == ("answer", *before)
    assert named == named_too
    by_name = {"add_instances": {"config"}, "kill_job": {"instances", "config"}, "restart": {"config"},
               "start_cronjob": {"config"}, "start_job_update": {"instances"}, "create_job": set()}  # fmt: skip
    assert set(named) == by_name[method]
    assert (hooked.job_key in before) is (method not in (ApiMethod.CREATE_JOB, ApiMethod.START_JOB_UPDATE))


def test_a_failed_call_is_told_and_raised() -> None:
    hook = Recorder()
    error = RemoteError("gone")

    def call() -> None:
        raise error

    with pytest.raises(RemoteError) as raised:
        kill(around(hook), call)
    assert raised.value is error
    assert [(name, args[0]) for name, args, _ in hook.told[1:]] == [("err_kill_job", error)]


def test_a_generic_hook_stands_in_for_what_is_missing() -> None:
    generic = Generic()
    hooked = around(generic)
    assert kill(hooked) == "ok"
    (about, event, method, outcome, args, named), after = generic.told
    assert isinstance(about, HookConfig)
    config, key = about
    assert (config, str(key)) == (None, KEY)
    assert (event, method, outcome, args) == ("pre", "kill_job", None, (key,))
    assert named == {"instances": [0], "config": None}
    assert after[1:4] == ("post", "kill_job", "ok")


def test_a_method_of_its_own_goes_before_the_generic_hook() -> None:
    class Both(Generic):
        def pre_kill_job(self, job_key: object) -> bool:
            self.told.append(("own", job_key))
            return True

    hook = Both()
    kill(around(hook))
    assert [told[0] if told[0] == "own" else told[1] for told in hook.told] == ["own", "post"]


@pytest.mark.parametrize("answer", [False, 0, "", []])
def test_an_answer_that_is_no_stops_the_call(answer: object) -> None:
    later = Recorder()
    with pytest.raises(PreHooksStoppedCall) as stopped:
        kill(around(Recorder(answer), later), lambda: pytest.fail("the call was made"))
    assert str(stopped.value) == f"Pre hooks stopped call to kill_job: Recorder.pre_kill_job returned {answer!r}"
    assert later.told == []
    assert code_of(stopped.value) is Exit.FAILED
    assert isinstance(stopped.value, CommandFailed)


@pytest.mark.parametrize("answer", [None, True, "yes"])
def test_any_other_answer_lets_it_go_on(answer: object) -> None:
    assert kill(around(Recorder(answer))) == "ok"


@pytest.mark.parametrize(
    ("error", "words"), [(ValueError("no\nway"), "ValueError: no way"), (SystemExit(), "SystemExit")]
)
def test_a_pre_hook_that_raises_stops_the_call(error: BaseException, words: str) -> None:
    class Raises:
        def pre_kill_job(self, job_key: object) -> bool:
            raise error

    with pytest.raises(PreHooksStoppedCall, match=f"Raises.pre_kill_job raised {words}$"):
        kill(around(Raises()), lambda: pytest.fail("the call was made"))


def test_later_hooks_that_raise_change_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    class Raises:
        def post_kill_job(self, result: object, job_key: object) -> None:
            raise KeyError("x")

        def err_kill_job(self, error: object, job_key: object) -> None:
            sys.exit(1)

    last = Recorder()
    hooked = around(Raises(), last)
    assert kill(hooked) == "ok"
    assert capsys.readouterr().err == "aurora: hook Raises.post_kill_job raised KeyError: 'x'; that changes nothing\n"
    with pytest.raises(ZeroDivisionError):
        kill(hooked, lambda: 1 // 0)
    assert capsys.readouterr().err == "aurora: hook Raises.err_kill_job raised SystemExit: 1; that changes nothing\n"
    assert [name for name, _, _ in last.told] == ["pre_kill_job", "post_kill_job", "pre_kill_job", "err_kill_job"]


def test_ctrl_c_is_no_failure_of_the_call() -> None:
    hook = Recorder()

    def call() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        kill(around(hook), call)
    assert [name for name, _, _ in hook.told] == ["pre_kill_job"]


def test_old_names_of_arguments() -> None:
    class Old:
        def pre_kill_job(self, job_key: object, shards: object = None) -> bool:
            return shards == [0]

    assert kill(around(Old())) == "ok"


def test_what_hooks_print_does_not_spoil_the_output(capsys: pytest.CaptureFixture[str]) -> None:
    class Prints:
        def pre_kill_job(self, job_key: object) -> None:
            print("sure?")

    kill(around(Prints()))
    assert capsys.readouterr() == ("", "sure?\n")


@pytest.mark.parametrize("enabled", [True, False])
def test_hooks_of_a_config_run_when_the_job_wants_them(enabled: bool, tmp_path: Any) -> None:
    path = tmp_path / "web.aurora"
    path.write_text(CONFIG % enabled)
    loaded = load_jobs(path)
    job = loaded.jobs[0]
    site = Recorder()
    data = check_job(job).data
    hooked = hooked_job(KEY, job=job, data=data, user="me", hooks=loaded.hooks, site=[site])
    assert kill(hooked) == "ok"
    assert loaded.hooks[0].told == ([(KEY, [0])] if enabled else [])
    config = site.told[0][2]["config"]
    assert (str(config.job_key()), config.instances(), config.raw()) == (KEY, 3, job)
    assert config.job()["instanceCount"] == 3
    assert config.job()["owner"] == {"user": "me"}
    assert (config.cluster(), config.role(), config.environment(), config.name()) == ("west", "www", "prod", "web")
    assert config.hooks == (loaded.hooks if enabled else ())


def test_a_class_stands_for_one_object_of_it() -> None:
    class Kind(Recorder):
        made: list[Recorder] = []

        def __init__(self) -> None:
            super().__init__()
            self.made.append(self)

    data = {"enable_hooks": True, "cluster": "west", "role": "www", "environment": "prod", "name": "web"}
    for _ in range(2):
        kill(hooked_job(KEY, data=data, hooks=[Kind]))
    (hook,) = Kind.made
    assert [name for name, _, _ in hook.told] == ["pre_kill_job", "post_kill_job"] * 2

    class Needs:
        def __init__(self, more: int) -> None:
            """Cannot be made without."""

    with pytest.raises(ConfigError, match=r"^hooks\[0\] cannot be made: TypeError: "):
        hooked_job(KEY, data=data, hooks=[Needs])
    assert hooked_job(KEY, data={"enable_hooks": False}, hooks=[Needs]).hooks == ()


def test_a_key_of_hooks() -> None:
    key = around().job_key
    assert (key.env, key.environment, key.to_path(), list(key)) == ("prod", "prod", KEY, KEY.split("/"))

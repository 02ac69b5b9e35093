"""Every bad input is one clear line and the documented exit code; nothing is ever a traceback."""

from __future__ import annotations

import socket

import pytest

from client import api_client
from client.api_client import Tries, Trouble
from client.aurora.exits import MEANINGS, Exit, code_of
from client.exits import guard
from tests.client.aurora.desk import Desk
from tests.client.aurora.fake_scheduler import FakeScheduler, refusal
from thermos.errors import Bug, ConfigError, HostError, RemoteError, UserError

KEY = "rz1/www/test/web"

#: Verbs that take a job key first, with what they need behind it.
JOB_VERBS: dict[str, tuple[str, ...]] = {
    "create": ("web.aurora",), "inspect": ("web.aurora",), "diff": ("web.aurora",),
    "killall": (), "restart": (), "status": (), "list": (), "open": (),
}  # fmt: skip
#: Verbs that take an instance.
INSTANCE_VERBS: dict[str, tuple[str, ...]] = {"kill": (), "add": ("1",), "why": ()}
#: Verbs that ask no scheduler.
ALONE = ("inspect",)
CONFIG_VERBS = ("create", "run", "inspect", "diff")


def one_line(err: str) -> bool:
    return err.startswith("aurora: ") and err.count("\n") == 1 and "Traceback" not in err


@pytest.mark.parametrize("verb", [*JOB_VERBS, *INSTANCE_VERBS])
@pytest.mark.parametrize("key", ["", "rz1//test/web", "rz1/a/b/c/d/e", "rz1/www/test/w b", "../../etc/passwd/x/y"])
def test_bad_keys(desk: Desk, fake: FakeScheduler, verb: str, key: str) -> None:
    more = {**JOB_VERBS, **INSTANCE_VERBS}[verb]
    done = desk.aurora("job", verb, key, *more)
    assert (done.code, done.out) == (Exit.BAD_PARAMETER, "")
    assert one_line(done.err)
    assert "bad " in done.err
    assert not fake.requests


@pytest.mark.parametrize("verb", ["kill", "restart", "add", "why"])
@pytest.mark.parametrize("instances", ["x", "-1", "3-1", "0-99999999", "0,,1", "١"])
def test_bad_instances(desk: Desk, fake: FakeScheduler, verb: str, instances: str) -> None:
    done = desk.aurora("job", verb, f"{KEY}/{instances}", *INSTANCE_VERBS.get(verb, ()))
    assert (done.code, done.out) == (Exit.BAD_PARAMETER, "")
    assert one_line(done.err)
    assert f"bad instances {instances!r}" in done.err
    assert not fake.requests


def test_kill_needs_instances(desk: Desk) -> None:
    done = desk.aurora("job", "kill", KEY)
    assert done.code == Exit.BAD_PARAMETER
    assert "`aurora job killall rz1/www/test/web` kills all of them" in done.err


ALL_WORDS = [
    *(("job", verb, "{cluster}/www/test/web", *more) for verb, more in JOB_VERBS.items() if verb not in ALONE),
    *(("job", verb, "{cluster}/www/test/web/0", *more) for verb, more in INSTANCE_VERBS.items()),
    ("job", "run", "{cluster}/www/test/once", "web.aurora"),
    ("quota", "get", "{cluster}/www"),
]


def words_for(words: tuple[str, ...], cluster: str) -> list[str]:
    return [word.format(cluster=cluster) for word in words]


@pytest.mark.parametrize("words", ALL_WORDS, ids=lambda words: words[1])
def test_a_wrong_cluster(desk: Desk, words: tuple[str, ...]) -> None:
    desk.config((desk.path / "web.aurora").read_text().replace("rz1", "rz9"))
    done = desk.aurora(*words_for(words, "rz9"))
    assert (done.code, done.out) == (Exit.BAD_PARAMETER, "")
    assert one_line(done.err)
    looked = f"{desk.path}/clusters.json and {desk.path}/home/.aurora/clusters.json"
    assert done.err == f"aurora: unknown cluster 'rz9': there are rz1 (looked into {looked})\n"


@pytest.mark.parametrize("words", ALL_WORDS, ids=lambda words: words[1])
def test_no_scheduler(desk: Desk, words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(api_client.TRIES, Trouble.CONNECT, Tries(2, 0.0, 60.0))  # type: ignore[arg-type]
    with socket.socket() as bound:  # nobody listens, and nobody else can
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        desk.clusters({"name": "rz1", "scheduler_uri": f"http://127.0.0.1:{port}"})
        done = desk.aurora(*words_for(words, "rz1"))
    if words[1] == "open":  # an address is known without asking
        assert done.code == Exit.OK
        return
    error = f"aurora: cluster rz1: cannot connect to http://127.0.0.1:{port}: Connection refused"
    assert (done.code, done.out) == (Exit.NETWORK, "")
    assert done.err == f"{error}; trying again\n{error}\n"


@pytest.mark.parametrize(
    ("reply", "code", "words"),
    [
        (refusal(400, "INVALID_REQUEST", "Bad", ("a.b", "no")), Exit.API, "Bad\n  a.b: no\n"),
        (refusal(401, "AUTH_REQUIRED", "Who?"), Exit.AUTH, "asks who you are"),
        (refusal(403, "NOT_ALLOWED", "www needs createJob"), Exit.AUTH, "www needs createJob"),
        (refusal(409, "ALREADY_EXISTS", "It is there"), Exit.API, "It is there"),
        (refusal(421, "MISDIRECTED", "Not this host"), Exit.API, "Not this host"),
        (refusal(500, "INTERNAL", "Broken"), Exit.API, "Broken"),
        ((200, []), Exit.NETWORK, "answers, but not as a scheduler does"),
    ],
)
def test_refusals(desk: Desk, fake: FakeScheduler, reply: object, code: Exit, words: str) -> None:
    fake.on["POST", "/jobs"] = lambda body: reply  # type: ignore[assignment,return-value]
    done = desk.aurora("job", "create", KEY, "web.aurora")
    assert (done.code, done.out) == (code, "")
    assert done.err.startswith("aurora: ")
    assert words in done.err


@pytest.mark.parametrize(
    "words", [("kill", f"{KEY}/0"), ("killall", KEY), ("restart", KEY), ("why", f"{KEY}/0"), ("status", KEY)]
)
def test_an_unknown_job(desk: Desk, fake: FakeScheduler, words: tuple[str, ...]) -> None:
    done = desk.aurora("job", *words)
    assert (done.code, done.out) == (Exit.BAD_PARAMETER, "")
    assert one_line(done.err)
    assert not fake.asked("POST")


def test_add_to_an_instance_that_is_not_there(desk: Desk) -> None:
    done = desk.aurora("job", "add", f"{KEY}/0", "1")
    line = "aurora: No active task found for a given instance ID: www/test/web/0\n"
    assert (done.code, done.err) == (Exit.BAD_PARAMETER, line)


BAD_CONFIGS = {
    "none": (None, "Could not load resource web.aurora: there is no such file"),
    "syntax": ("jobs = [", "web.aurora:1"),
    "raises": ("1/0", "web.aurora:1"),
    "no jobs": ("x = 1", "No job defined in this config!"),
    "another job": ("jobs = [Job(name = 'x', role = 'r', cluster = 'c', environment = 'e')]", "Could not find job"),
    "two problems": (
        """jobs = [Job(name = 'web', role = 'www', cluster = 'rz1', environment = 'test', instances = 'many',
               task = Task(name = 't', processes = [Process(name = 'p', cmdline = '{{missing}}')]))]""",
        "missing",
    ),
}


@pytest.mark.parametrize("verb", CONFIG_VERBS)
@pytest.mark.parametrize("case", BAD_CONFIGS)
def test_bad_configs(desk: Desk, fake: FakeScheduler, verb: str, case: str) -> None:
    text, words = BAD_CONFIGS[case]
    if text is None:
        (desk.path / "web.aurora").unlink()
    else:
        desk.config(text)
    done = desk.aurora("job", verb, KEY, "web.aurora")
    assert (done.code, done.out) == (Exit.BAD_CONFIG, "")
    assert done.err.startswith("aurora: ")
    assert words in done.err
    assert "Traceback" not in done.err
    assert not fake.requests


def test_all_problems_of_a_config_at_once(desk: Desk) -> None:
    desk.config(BAD_CONFIGS["two problems"][0] or "")
    err = desk.aurora("job", "create", KEY, "web.aurora").err
    assert "web.aurora:1: Job `web`.instances: " in err
    assert "web.aurora:2: Job `web`.task.processes[0].cmdline: " in err
    assert "web.aurora:2: Job `web`.task.resources: " in err


def test_bad_bindings(desk: Desk) -> None:
    done = desk.aurora("job", "create", "--bind", "nonsense", KEY, "web.aurora")
    assert (done.code, done.out) == (Exit.BAD_PARAMETER, "")
    assert one_line(done.err)


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ((), Exit.BAD_COMMAND),
        (("job",), Exit.BAD_COMMAND),
        (("jobs",), Exit.BAD_COMMAND),
        (("job", "frobnicate"), Exit.BAD_COMMAND),
        (("job", "create", KEY), Exit.BAD_COMMAND),
        (("job", "create", KEY, "a", "b"), Exit.BAD_COMMAND),
        (("job", "list", "--frobnicate", "rz1"), Exit.BAD_COMMAND),
        (("job", "list", "-o", "yaml", "rz1"), Exit.BAD_PARAMETER),
        (("job", "create", "--wait-until", "DONE", KEY, "web.aurora"), Exit.BAD_PARAMETER),
        (("job", "restart", "--batch-size", "0", KEY), Exit.BAD_PARAMETER),
        (("job", "restart", "--max-total-failures", "-1", KEY), Exit.BAD_PARAMETER),
        (("job", "restart", "--watch-secs", "soon", KEY), Exit.BAD_PARAMETER),
        (("job", "add", f"{KEY}/0", "0"), Exit.BAD_PARAMETER),
        (("quota", "get", "rz1"), Exit.BAD_PARAMETER),
        (("quota", "get", "rz1/*"), Exit.BAD_PARAMETER),
        (("quota", "get", "rz1/www/prod"), Exit.BAD_PARAMETER),
        (("completion", "tcsh"), Exit.BAD_PARAMETER),
    ],
)
def test_bad_command_lines(desk: Desk, fake: FakeScheduler, words: tuple[str, ...], code: Exit) -> None:
    done = desk.aurora(*words)
    assert (done.code, done.out) == (code, "")
    assert one_line(done.err) or "Usage:" in done.err
    assert not fake.requests


@pytest.mark.parametrize("text", ["{", '[{"name": "rz1"}, {"name": "rz1"}]', '[{"name": "rz1"}]', '[{"name": 1}]'])
def test_a_bad_clusters_json(desk: Desk, text: str) -> None:
    (desk.path / "clusters.json").write_text(text)
    done = desk.aurora("job", "list", "rz1")
    assert (done.code, done.out) == (Exit.BAD_PARAMETER, "")
    assert one_line(done.err)
    assert f"{desk.path}/clusters.json" in done.err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigError("x"), Exit.BAD_CONFIG),
        (UserError("x"), Exit.BAD_PARAMETER),
        (RemoteError("x"), Exit.NETWORK),
        (HostError("x"), Exit.FAILED),
        (OSError(13, "Permission denied"), Exit.FAILED),
        (Bug("x"), Exit.UNKNOWN),
        (ValueError("x"), Exit.UNKNOWN),
        (KeyboardInterrupt(), Exit.INTERRUPTED),
    ],
)
def test_every_error_has_a_code(capsys: pytest.CaptureFixture[str], error: BaseException, code: Exit) -> None:
    def fail() -> None:
        raise error

    assert guard("aurora", fail, code_of) == code
    assert one_line(capsys.readouterr().err)


def test_codes_are_the_original_s() -> None:
    assert [int(code) for code in MEANINGS] == [0, 3, 4, 5, 6, 7, 9, 10, 20, 30, 130]
    assert set(MEANINGS) == set(Exit)

"""`thermos run` as people and scripts meet it: exit codes, signals, adoption, ports, what is printed."""

from __future__ import annotations

import json
import os
import re
import resource
import signal
from pathlib import Path

import pytest

from tests.client.room import Room, alive

SLEEP = "Process(name = 'sleep', cmdline = 'exec sleep 1000')"


def test_success_is_0_and_says_what_happened(room: Room) -> None:
    done = room.run(room.task("Process(name = 'p', cmdline = 'echo out')"))
    assert done.code == 0
    lines = done.out.splitlines()
    assert [re.sub(r"^\d\d:\d\d:\d\d\.\d ", "", line) for line in lines[:1]] == ["task ACTIVE"]
    assert re.fullmatch(r"\d\d:\d\d:\d\d\.\d p\[0\] RUNNING pid \d+", lines[1])
    assert re.fullmatch(r"\d\d:\d\d:\d\d\.\d p\[0\] SUCCESS after [0-9.]+ s", lines[2])
    assert re.fullmatch(r"task t SUCCESS after [0-9.]+ s", lines[-3])
    assert lines[-1] == f"  logs: {room.root}/sandboxes/t/.logs/PROCESS/RUN/stdout and stderr"
    assert (room.root / "sandboxes/t/.logs/p/0/stdout").read_text() == "out\n"


def test_failure_is_1_with_code_last_words_and_where_to_read_more(room: Room) -> None:
    done = room.run(room.task("Process(name = 'p', cmdline = 'echo first >&2; echo last >&2; exit 7')"))
    assert done.code == 1
    assert "p[0] FAILED exit code 7 after" in done.out
    assert "failed for good | last\n" in done.out
    summary = done.out[done.out.index("task t FAILED") :]
    assert "1 failed process: p\n" in summary
    assert "p run 0 FAILED: exit code 7" in summary
    assert "    | first\n    | last\n" in summary
    more = re.search(r"more: (tail -n 100 .*)", summary)
    assert more is not None
    assert room.shell(more[1]).out == "first\nlast\n"


def test_a_command_that_does_not_exist_is_told_in_words(room: Room) -> None:
    done = room.run(room.task("Process(name = 'p', cmdline = 'no-such-command-here')"))
    assert done.code == 1
    assert "exit code 127 (command not found)" in done.out


def test_a_set_up_that_fails_names_its_step(room: Room) -> None:
    busy = room.path / "busy"
    busy.mkdir()
    config = room.task("Process(name = 'p', cmdline = 'true')")
    (busy / ".logs").mkdir()
    (busy / ".logs" / "p").write_text("a file where a directory should be")
    done = room.run(config, "--sandbox", str(busy))
    assert done.code == 1
    assert "could not start (log" in done.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run"], "Missing argument 'CONFIG'"),
        (["run", "--no-such-option", "x"], "No such option"),
        (["no-such-verb"], "No such command 'no-such-verb'"),
        (["run", "--task-id", "a/b", "hello.thermos"], "bad task id 'a/b'"),
        (["run", "-P", "http", "hello.thermos"], "should be of form NAME:PORT"),
        (["run", "-P", "http:x", "hello.thermos"], "Port does not appear to be an integer: x"),
        (["run", "-E", "x", "hello.thermos"], "Binding must be of the form NAME=VALUE"),
        (["run", "--user", "no-such-user-here", "hello.thermos"], "unknown user 'no-such-user-here'"),
        (["run", "--task", "a", "--job", "b", "hello.thermos"], "can't be given together"),
        (["kill"], "Must specify tasks!"),
        (["status", "("], "bad regular expression '('"),
    ],
)
def test_wrong_words_are_2_and_one_line(room: Room, arguments: list[str], message: str) -> None:
    room.config("export(Task(name = 'hello', processes = [Process(name = 'p', cmdline = 'true')]))", "hello.thermos")
    done = room.thermos(*arguments)
    assert (done.code, done.out) == (2, "")
    assert message in done.err
    assert done.err.startswith("thermos: ")
    assert len(done.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("export(Task(name = 'x'", "task.thermos:1"),
        ("x = 1", "No tasks specified!"),
        ("import no_such_module_here", "no_such_module_here"),
        ("export(Task(name = 'x', processes = [Process(name = 'p', cmdline = '{{oops}}')]))", "{{oops}}"),
        ("export(Task(name='x', processes=[Process(name='a/b', cmdline='')]))", "a/b"),
        (
            """
ps = [Process(name = n, cmdline = 'true') for n in 'ab']
export(Task(name='x', processes=ps, constraints=order(*ps) + order(ps[1], ps[0])))
""",
            "Cycles detected",
        ),
    ],
)
def test_a_bad_config_is_3_and_nothing_is_left(room: Room, text: str, message: str) -> None:
    done = room.run(room.config(text))
    assert done.code == 3, done
    assert message in done.err
    assert "Traceback" not in done.err
    assert room.status().out == "No tasks found.\n"


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGHUP])
def test_one_signal_ends_it_politely_with_finalizers_and_4(room: Room, signum: int) -> None:
    final = "Process(name = 'last', cmdline = 'touch was-here', final = True)"
    run = room.start(room.task(SLEEP, final))
    pid = run.running("sleep")["pid"]
    run.signal(signum)
    code, summary = run.end()
    assert (code, summary["state"], summary["exit_code"]) == (4, "KILLED", 4)
    assert (room.root / "sandboxes/t/was-here").exists()
    assert not alive(pid)


def test_a_second_interrupt_does_not_wait_and_is_130(room: Room) -> None:
    with room.fifo("deaf") as deaf:  # a process that runs is asked too early otherwise
        script = f'trap "" TERM; echo now > {room.path}/deaf; while :; do sleep 1000; done'
        run = room.start(room.task(f"Process(name = 'stubborn', cmdline = {script!r})"))
        assert deaf() == "now"
    run.signal(signal.SIGINT)
    run.wait_for(lambda e: e["kind"] == "task" and e["state"] == "CLEANING")
    run.signal(signal.SIGINT)
    code, summary = run.end()
    assert (code, summary["state"]) == (130, "KILLED")
    assert summary["seconds"] < 25, "finalization_wait is 30 s"


def test_sigusr2_gives_it_up_as_lost_without_finalizers_and_5(room: Room) -> None:
    run = room.start(room.task(SLEEP, "Process(name = 'last', cmdline = 'touch was-here', final = True)"))
    pid = run.running("sleep")["pid"]
    run.signal(signal.SIGUSR2)
    code, summary = run.end()
    assert (code, summary["state"]) == (5, "LOST")
    assert not (room.root / "sandboxes/t/was-here").exists()
    assert not alive(pid)


def test_a_finished_task_is_6_and_says_what_to_do(room: Room) -> None:
    config = room.task("Process(name = 'p', cmdline = 'true')")
    assert room.run(config).code == 0
    done = room.run(config)
    assert (done.code, done.out) == (6, "")
    assert done.err == "thermos: task t is finished; choose another id or `thermos gc`\n"


def test_a_task_that_somebody_minds_is_6_and_says_who(room: Room) -> None:
    config = room.task(SLEEP)
    run = room.start(config)
    run.running("sleep")
    done = room.run(config)
    assert done.code == 6
    assert f"task t is owned by runner pid {run.pid} (uid {os.geteuid()})" in done.err
    assert "--force" in done.err
    assert alive(run.pid)


def test_force_takes_it_over_from_a_living_runner(room: Room) -> None:
    config = room.task(SLEEP)
    first = room.start(config)
    pid = first.running("sleep")["pid"]
    second = room.start(config, "--force")
    second.wait_for(lambda e: e["kind"] == "note" and f"its runner (pid {first.pid}) is gone" in e["text"])
    assert first.wait() == -signal.SIGKILL
    assert alive(pid), "what runs goes on"
    second.signal(signal.SIGTERM)
    code, summary = second.end()
    assert (code, summary["processes"][0]["runs"]) == (4, 1)


def test_a_task_whose_runner_died_is_taken_over_where_it_stands(room: Room) -> None:
    with room.fifo("go") as _:
        wait = f"Process(name = 'wait', cmdline = 'read x < {room.path}/go; exit 0')"
        after = "Process(name = 'after', cmdline = 'true')"
        config = room.task(wait, after, more=", constraints = [Constraint(order = ['wait', 'after'])]")
        first = room.start(config)
        pid = first.running("wait")["pid"]
        first.kill()
        assert alive(pid)
        second = room.start(config)
        note = second.wait_for(lambda e: e["kind"] == "note")
        assert note["text"] == f"took over task t: its runner (pid {first.pid}) is gone, 1 process under way"
        with (room.path / "go").open("w") as go:
            go.write("now\n")
        code, summary = second.end()
    assert code == 0
    assert [(p["process"], p["runs"]) for p in summary["processes"]] == [("wait", 1), ("after", 1)]
    assert summary["processes"][0]["last"]["pid"] == pid


def test_another_task_under_the_same_id_is_refused(room: Room) -> None:
    run = room.start(room.task(SLEEP))
    run.running("sleep")
    run.kill()
    done = room.run(room.task("Process(name = 'sleep', cmdline = 'exec sleep 1')"))
    assert done.code == 3
    assert "Task differs from on disk copy: process sleep.cmdline" in done.err


PORTS = "Process(name = 'p', cmdline = 'echo {{thermos.ports[http]}} {{thermos.ports[admin]}}')"


def test_unbound_ports_are_named_with_what_to_type(room: Room) -> None:
    done = room.run(room.task(PORTS))
    assert done.code == 2
    assert "ERROR!  Unbound ports: admin http" in done.err
    assert "-P admin:8080 -P http:8081" in done.err
    assert "-P admin:0" in done.err


def test_given_ports_are_bound_and_0_picks_a_free_one(room: Room) -> None:
    done = room.run(room.task(PORTS), "-P", "http:8080", "-P", "admin:0", "-o", "json")
    assert done.code == 0
    ports = json.loads(done.out.splitlines()[-1])["ports"]
    assert ports["http"] == 8080
    assert ports["admin"] not in (0, 8080)
    assert (room.root / "sandboxes/t/.logs/p/0/stdout").read_text() == f"8080 {ports['admin']}\n"


def test_picked_ports_stay_the_same_when_the_task_is_taken_over(room: Room) -> None:
    config = room.task("Process(name = 'sleep', cmdline = 'exec sleep 100{{thermos.ports[http]}}')")
    first = room.start(config, "--auto-ports")
    header = first.wait_for(lambda e: e["kind"] == "header")
    first.running("sleep")
    first.kill()
    second = room.start(config, "--auto-ports")
    second.wait_for(lambda e: e["kind"] == "note")
    second.signal(signal.SIGTERM)
    code, summary = second.end()
    assert code == 4
    assert summary["ports"] == header["ports"]


JOB = """
p = Process(name = 'p', cmdline = 'echo {{role}} {{mesos.instance}} {{thermos.user}} {{thermos.task_id}} {{x}}')
task = SequentialTask(processes = [p], resources = Resources(cpu = 1, ram = 1*MB, disk = 1*MB))
jobs = [Job(cluster = 'c', role = 'www', environment = e, name = 'web', task = task) for e in ('test', 'prod')]
"""


def test_a_job_is_chosen_by_the_end_of_its_key_and_gets_its_instance(room: Room) -> None:
    config = room.config(JOB, "jobs.aurora")
    ambiguous = room.run(config)
    assert ambiguous.code == 3
    assert "c/www/prod/web" in ambiguous.err
    done = room.run(config, "--job", "test/web", "--instance", "3", "-E", "x=bound")
    assert done.code == 0, done.err
    user = Path("/proc/self").owner()
    assert (room.root / "sandboxes/t/.logs/p/0/stdout").read_text() == f"www 3 {user} t bound\n"


def test_the_id_is_made_of_name_and_time_when_none_is_given(room: Room) -> None:
    config = room.task("Process(name = 'p', cmdline = 'true')", name="my task")
    done = room.thermos("run", "--root", str(room.root), config)
    assert done.code == 0, done.err
    assert re.search(r"^task my_task-\d{8}-\d{6}\.\d{6} SUCCESS", done.out, re.MULTILINE)


def test_json_lines_are_records_and_a_summary(room: Room) -> None:
    done = room.run(room.task("Process(name = 'p', cmdline = 'exit 3')"), "-o", "json")
    events = [json.loads(line) for line in done.out.splitlines()]
    kinds = [event["kind"] for event in events]
    assert kinds == ["header", "owner", "task", "starting", "forked", "running", "exited", *["task"] * 3, "summary"]
    assert events[-1]["exit_code"] == done.code == 1
    assert events[-1]["processes"][0]["last"]["code"] == 3


def test_a_reader_that_goes_away_does_not_disturb_the_task(room: Room) -> None:
    config = room.task(*[f"Process(name = 'p{i}', cmdline = 'touch done-{i}')" for i in range(5)])
    done = room.shell(f"thermos run --root {room.root} --task-id t {config} | head -n 1; echo ${{PIPESTATUS[0]}}")
    assert done.err == ""
    assert done.out.splitlines()[-1] == "0"
    assert all((room.root / f"sandboxes/t/done-{i}").exists() for i in range(5))


def test_the_environment_is_exact_and_preserve_env_keeps_all(room: Room) -> None:
    config = room.task("Process(name = 'p', cmdline = 'env | cut -d= -f1 | sort | tr \"\\n\" \" \"')")
    room.run(config)
    names = set((room.root / "sandboxes/t/.logs/p/0/stdout").read_text().split())
    assert names - {"PWD", "SHLVL", "_"} == {"HOME", "LOGNAME", "USER", "PATH", "THERMOS_RUN"}
    done = room.thermos(
        "run", "--root", str(room.root), "--task_id", "u", "--preserve_env", config, MARK="here", LANG="C"
    )
    assert done.code == 0
    assert "MARK" in (room.root / "sandboxes/u/.logs/p/0/stdout").read_text()


def test_processes_get_the_limits_that_we_were_started_with(room: Room) -> None:
    config = room.task("Process(name = 'p', cmdline = 'ulimit -Sn; ulimit -Hn')")
    done = room.shell(f"ulimit -Sn 100; thermos run --root {room.root} --task-id t {config}")
    assert done.code == 0, done.err
    assert (room.root / "sandboxes/t/.logs/p/0/stdout").read_text().split()[0] == "100"


def test_logs_go_where_the_flags_say(room: Room) -> None:
    config = room.task("Process(name = 'p', cmdline = 'echo hello')")
    done = room.run(config, "--process_logger_destination", "both")
    assert "hello\n" in done.out
    assert (room.root / "sandboxes/t/.logs/p/0/stdout").read_text() == "hello\n"


def test_a_disk_that_is_full_is_told_and_the_task_goes_on_when_it_is_not(room: Room) -> None:
    """A file size limit on the runner stands in for the disk: its record file can't grow until the limit is lifted."""
    os.mkfifo(room.path / "go")
    run = room.start(room.task(f"Process(name = 'p', cmdline = 'read x < {room.path}/go')"))
    run.running("p")
    size = (room.root / "checkpoints/t/runner").stat().st_size
    before = resource.prlimit(run.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(run.pid, resource.RLIMIT_FSIZE, (size, before[1]))
    with (room.path / "go").open("w") as go:
        go.write("now\n")
    note = run.wait_for(lambda e: e["kind"] == "note")
    assert note["text"].startswith("cannot record")
    resource.prlimit(run.pid, resource.RLIMIT_FSIZE, before)
    assert run.wait_for(lambda e: e["kind"] == "note")["text"] == "can record again"
    code, summary = run.end()
    assert (code, summary["processes"][0]["last"]["state"]) == (0, "SUCCESS")


def test_a_root_that_can_not_be_made_is_1_and_names_it(room: Room) -> None:
    done = room.thermos("run", "--root", "/proc/no-such-place", room.task(SLEEP))
    assert done.code == 1
    assert re.fullmatch(r"thermos: cannot (make|use) the checkpoint directory /proc/no-such-place/.*: .*\n", done.err)


def test_a_config_that_changes_the_interpreter_does_not_reach_the_runner(room: Room) -> None:
    text = "import os, sys, signal\nos.chdir('/')\nsys.path.clear()\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    run = room.start(room.config(text + Path(room.task(SLEEP)).read_text(), "wild.thermos"))
    run.running("sleep")
    run.signal(signal.SIGTERM)
    assert run.end()[0] == 4


def test_a_checkpoint_of_another_format_is_left_alone(room: Room) -> None:
    runner = room.root / "checkpoints/t/runner"
    runner.parent.mkdir(parents=True)
    runner.write_bytes(b"\0\0\0\x1f\x0c\0\x01\x0b\0\x01thrift\n")
    before = runner.read_bytes()
    done = room.run(room.task("Process(name = 'p', cmdline = 'true')"))
    assert done.code == 1
    assert (
        done.err
        == f"thermos: cannot read the checkpoint {runner}: CORRUPT or outdated format; choose another task id\n"
    )
    assert runner.read_bytes() == before


def test_a_task_that_died_while_it_began_begins(room: Room) -> None:
    runner = room.root / "checkpoints/t/runner"
    runner.parent.mkdir(parents=True)
    runner.write_bytes(b'1234abcd {"kind":"hea')
    assert room.run(room.task("Process(name = 'p', cmdline = 'true')")).code == 0

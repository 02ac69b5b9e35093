"""Polite stops as applications see them: who gets SIGTERM, and what they can still finish."""

from __future__ import annotations

import os
import signal
import socket
import sys
from pathlib import Path

import pytest

from tests.e2e.harness import Host, Task
from tests.mesos.ports import held_port

both_coordinators = pytest.mark.parametrize("host", ["c", "python"], indirect=True)

PREFORK = Path(__file__).with_name("prefork.py")

#: On SIGTERM it tidies up, which takes a moment, and leaves with a code of its own.
APPLICATION = r"""
import os, signal, sys
def leave(*_):
    with open("state", "w") as file: file.write("saved\n")
    sys.exit(5)
signal.signal(signal.SIGTERM, leave)
with open("up", "w") as file: print(os.getpid(), file=file)
while True: signal.pause()
"""


def write_application(task: Task) -> None:
    task.file("app.py").write_text(APPLICATION)


def config(cmdline: str, wait: int = 20) -> str:
    return f"export(Task(processes = [Process(name = 'app', cmdline = {cmdline!r})], finalization_wait = {wait}))"


COMPOUND = {
    "simple": "python3 app.py",
    "exec": "export A=b; exec python3 app.py",
    "sequence": "echo begin; python3 app.py; echo end",
    "lines": "cd .\nexport OPTIONS=x\npython3 app.py\necho ended with $?\n",
    "and": "true && python3 app.py && echo never",
    "pipe": "python3 app.py | cat",
    "function": "serve() { python3 app.py; echo served; }; serve; echo end",
    "background": "python3 app.py & wait; echo end",
    "subshell": "(python3 app.py; true); true",
    "nested": "bash -c 'python3 app.py; true'; true",
    "substitution": "x=$(python3 app.py); echo $x",
}


@both_coordinators
@pytest.mark.parametrize("shape", COMPOUND)
def test_the_application_gets_sigterm_however_the_line_is_written(host: Host, shape: str) -> None:
    """In the original only bash got it, and the application of a compound line was killed a second later."""
    task = host.run(config(COMPOUND[shape]), before=write_application)
    task.wait_file("up")
    task.wait_running("app")
    task.signal(signal.SIGTERM)
    task.wait_end("KILLED")
    assert task.lines("state") == ["saved"], "it was killed before it could tidy up"
    receipt = task.runs("app")[0].receipt
    assert receipt is not None and receipt.killed_count == 0 and receipt.signal == signal.SIGTERM


@both_coordinators
def test_the_shell_may_die_first_the_application_still_has_its_time(host: Host) -> None:
    """bash dies of the signal at once; the application needs until the gate opens."""
    wait = 'print("x", file=open("asked", "w")); open("go").readline()'
    slow = APPLICATION.replace("def leave(*_):", f"def leave(*_):\n    {wait}")
    task = host.run(
        config("python3 app.py; true"),
        before=lambda task: (task.gate(), task.file("app.py").write_text(slow)),
    )
    task.wait_file("up")
    main = task.wait_running("app")
    task.signal(signal.SIGTERM)
    task.wait_file("asked")
    assert task.states("app") == ["RUNNING"], "the run is not over while its application works"
    task.let_go()
    task.wait_end("KILLED")
    assert task.lines("state") == ["saved"]
    assert main.pid != int(task.lines("up")[0])


@both_coordinators
def test_a_trap_of_the_shell_runs(host: Host) -> None:
    task = host.run(config('trap "echo bye > state; exit 0" TERM; echo > up; while :; do sleep 3600; done'))
    task.wait_file("up")
    task.signal(signal.SIGTERM)
    task.wait_end("KILLED")
    assert task.lines("state") == ["bye"]
    assert task.states("app") == ["SUCCESS"], "it left with 0"


@both_coordinators
def test_a_prefork_server_answers_its_last_request_in_full(host: Host) -> None:
    python, server = sys.executable, PREFORK
    with held_port() as port:  # nobody else gets it before the server listens
        task = host.run(config(f"{python} {server} {{{{thermos.ports[http]}}}}"), "-P", f"http:{port}")
        task.wait_file("serving")
    task.wait_running("app")
    with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        answer = b""
        while not answer.endswith(b"first half"):
            answer += client.recv(65536)
        task.signal(signal.SIGTERM)
        while data := client.recv(65536):
            answer += data
    assert answer.endswith(b"\r\n\r\nfirst half, the rest")
    task.wait_end("KILLED")
    assert task.lines("left") == ["0 0"], "a worker died of a signal"
    receipt = task.runs("app")[0].receipt
    assert receipt is not None and (receipt.signalled, receipt.killed_count) == (1, 0)


def test_a_stopped_application_is_continued_to_hear_the_signal(host: Host) -> None:
    task = host.run(config("exec python3 app.py"), before=write_application)
    application = int(task.wait_file("up"))
    os.kill(application, signal.SIGSTOP)
    task.signal(signal.SIGTERM)
    task.wait_end("KILLED")
    assert task.lines("state") == ["saved"]
    assert task.runs("app")[0].code == 5

"""Agents that are broken, slow, or malicious: the executor says what is wrong, waits, and can be stopped at once."""

from __future__ import annotations

import errno
import os
import socket
import threading
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from mesos.core.executor_session import Phase
from mesos.core.messages import TaskState
from mesos.core.recordio import frame
from mesos.executor_driver import ExecutorOptions
from tests.mesos.executor.agents import (
    ACCEPTED,
    HELLO,
    LEAST_PAUSE_S,
    OK,
    Script,
    Talk,
    chunk,
    good,
    reply,
    running,
    serving,
)
from tests.mesos.executor.puppets import status
from tests.mesos.ports import held_port
from thermos.clock import now

#: For agents that are silent; what others say has its time, or a busy machine would be taken for silence.
HASTY = ExecutorOptions(attempt_s=0.4, call_timeout_s=0.4)
SILENCE = "did not answer in time"


def after_request(act: Callable[[Talk], None]) -> Script:
    def script(talk: Talk) -> None:
        if talk.request() is not None:
            act(talk)

    return script


def test_nobody_listens() -> None:
    with held_port() as port, running(port) as executor:
        assert executor.until_told("problem")[0].endswith("Connection refused")
        assert executor.time_for(5, lambda: executor.driver.state()["attempts"]) > 4 * LEAST_PAUSE_S
        assert len(executor.listener.of("problem")) == 1


def test_503_while_it_recovers() -> None:
    count = 0

    def script(talk: Talk) -> None:
        nonlocal count
        count += 1
        if count <= 3:
            talk.request()
            talk.send(reply("503 Service Unavailable", "Agent has not finished recovery"))
        else:
            good(talk)

    with serving(script) as agent, running(agent.port) as executor:
        executor.until_told("subscribed")
        assert executor.listener.of("problem") == [
            "cannot subscribe: 503 Service Unavailable: Agent has not finished recovery"
        ]
        assert count == 4


@pytest.mark.parametrize("line", ["401 Unauthorized", "403 Forbidden", "400 Bad Request", "406 Not Acceptable"])
def test_a_refusal_is_told_and_never_repeated(line: str) -> None:
    refuse = after_request(lambda talk: talk.send(reply(line, "Executor cannot be found\n")))
    with serving(refuse) as agent, running(agent.port, token="wrong") as executor:
        assert executor.until_told("shutdown") == [f"cannot subscribe: {line}: Executor cannot be found"]
        end = time.monotonic() + 0.7
        executor.until(lambda: time.monotonic() > end)
        assert len(agent.talks) == 1 and executor.driver.phase is Phase.ABANDONED


@pytest.mark.parametrize(
    "line",
    [
        "404 Not Found",
        "408 Request Timeout",
        "425 Too Early",
        "429 Too Many Requests",
        "307 Temporary Redirect",
        "502 No",
    ],
)
def test_what_an_agent_that_has_just_started_says_passes(line: str) -> None:
    count = 0

    def script(talk: Talk) -> None:
        nonlocal count
        count += 1
        if count == 1:
            after_request(lambda talk: talk.send(reply(line, "not yet\n")))(talk)
        else:
            good(talk)

    with serving(script) as agent, running(agent.port) as executor:
        executor.until_told("subscribed")
        assert executor.listener.of("problem") == [f"cannot subscribe: {line}: not yet"]
        assert executor.listener.of("shutdown") == []


def half_close(talk: Talk) -> None:
    talk.sock.shutdown(socket.SHUT_WR)
    talk.until_closed()


def slowly(data: bytes) -> Callable[[Talk], None]:
    def act(talk: Talk) -> None:
        for byte in data:
            talk.send(bytes([byte]))
            time.sleep(0.02)

    return act


def endlessly(start: bytes, more: bytes) -> Callable[[Talk], None]:
    def act(talk: Talk) -> None:
        talk.send(start)
        while True:
            talk.send(more)

    return act


def saying(data: bytes) -> Callable[[Talk], None]:
    def act(talk: Talk) -> None:
        talk.send(data)
        talk.until_closed()

    return act


def saying_and_closing(data: bytes) -> Callable[[Talk], None]:
    return lambda talk: talk.send(data)


#: What an agent does after SUBSCRIBE, and what the executor says of it. All of it is no subscription, and passes.
BAD: dict[str, tuple[Callable[[Talk], None], str]] = {
    "says nothing": (Talk.until_closed, SILENCE),
    "closes": (lambda talk: None, "closed the connection"),
    "half-closes": (half_close, "closed the connection"),
    "half-closes after the headers": (lambda talk: (talk.send(OK), half_close(talk))[1], "closed the connection"),  # type: ignore[func-returns-value]
    "no HTTP": (saying(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"), "no HTTP from"),
    "slow headers": (slowly(OK), SILENCE),
    "headers without end": (endlessly(b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n"), "no HTTP from"),
    "one header without end": (endlessly(b"HTTP/1.1 200 OK\r\nX-A: ", b"b" * 1000), "no HTTP from"),
    "interim answers without end": (endlessly(b"", b"HTTP/1.1 100 Continue\r\n\r\n"), "interim"),
    "an error without end": (
        endlessly(b"HTTP/1.1 500 Oops\r\nTransfer-Encoding: chunked\r\n\r\n", chunk(b"x" * 65536)),
        "an answer of more than",
    ),
    "a redirect": (saying(b"HTTP/1.1 307 Temporary Redirect\r\nLocation: //x/\r\nContent-Length: 0\r\n\r\n"), "307"),
    "200 and nothing more": (saying(OK), SILENCE),
    "a bad chunk": (saying(OK + b"zz\r\n"), "no HTTP from"),
    "a chunk header without end": (endlessly(OK, b"1" * 1000), "no HTTP from"),
    "a bad frame": (saying(OK + chunk(b"<html>\n")), "no length of a record"),
    "a negative length": (saying(OK + chunk(b"-1\n{}")), "no length of a record"),
    "a huge length": (saying(OK + chunk(b"99999999999\n{")), "a record of 99999999999 bytes"),
    "a torn record": (saying_and_closing(OK + chunk(b"100\n{") + b"0\r\n\r\n"), "the stream ended inside a record"),
    "events before SUBSCRIBED": (saying(OK + chunk(frame(b'{"type":"MESSAGE","message":{}}'))), "when it can't"),
    "an end without SUBSCRIBED": (saying_and_closing(OK + b"0\r\n\r\n"), "closed the stream"),
}


@pytest.mark.parametrize("name", BAD)
def test_an_agent_that_makes_no_sense_is_told_and_tried_again(name: str) -> None:
    act, words = BAD[name]
    stubborn = after_request(act)
    with serving(stubborn) as agent, running(agent.port, HASTY if words is SILENCE else None) as executor:
        problems = executor.until_told("problem")
        assert words in problems[0], problems
        executor.until(lambda: len(agent.talks) >= 2)
        assert len(agent.talks) < 10
        agent.script = good  # it comes to its senses
        executor.until_told("subscribed")


@pytest.mark.parametrize("name", BAD)
def test_stop_ends_at_once_in_the_middle_of_it(name: str) -> None:
    reached = threading.Event()
    act, _ = BAD[name]

    def script(talk: Talk) -> None:
        if talk.request() is not None:
            reached.set()
            act(talk)

    with serving(script) as agent, running(agent.port) as executor:  # with patience: 10 s for everything
        executor.until(reached.is_set)


def test_stop_ends_a_connect_that_hangs() -> None:
    """A listener whose queue is full doesn't answer a SYN."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        fillers = []
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
            fillers.append(filler)
        with running(listener.getsockname()[1]) as executor:
            end = time.monotonic() + 0.3
            executor.until(lambda: time.monotonic() > end)
            assert executor.driver.phase is Phase.CONNECTING
        for filler in fillers:
            filler.close()


def test_an_agent_that_closes_after_subscribed_is_not_spun_on() -> None:
    close = after_request(saying_and_closing(OK + HELLO + b"0\r\n\r\n"))
    with serving(close) as agent, running(agent.port) as executor:
        assert executor.time_for(6, lambda: len(executor.listener.of("subscribed"))) > 5 * LEAST_PAUSE_S
        assert len(agent.talks) <= len(executor.listener.of("subscribed")) + 1


def test_events_that_can_not_be_read_are_skipped() -> None:
    bad = [
        b"{}",
        b"[]",
        b"\xff\xfe",
        b'{"type":5}',
        b'{"type":"KILL","kill":{}}',
        b"[" * 100_000,
        b'{"type":"NEW","x":1}',
    ]
    fine = frame(b'{"type":"MESSAGE","message":{"data":"aGk="}}')
    data = OK + HELLO + chunk(b"".join(map(frame, bad)) + fine)
    with serving(after_request(saying(data))) as agent, running(agent.port) as executor:
        assert executor.until_told("message") == [b"hi"]
        assert len(executor.listener.of("problem")) == len(bad) - 1
        assert executor.driver.phase is Phase.SUBSCRIBED


def test_a_record_that_is_too_large_needs_no_memory() -> None:
    """Announced and really sent: 100 MB; 16 MiB are allowed."""
    size = 100_000_000

    def script(talk: Talk) -> None:
        talk.request()
        talk.send(OK + HELLO + chunk(b"%d\n" % size))
        for _ in range(size // 1_000_000):
            talk.send(chunk(b"x" * 1_000_000))

    tracemalloc.start()
    try:
        with serving(script) as agent, running(agent.port) as executor:
            assert "a record of 100000000 bytes" in executor.until_told("disconnected")[0]
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()


def test_an_endless_record_is_held_to_its_bound() -> None:
    """Within the limit, but it never ends: not more than its length is kept, and it can be stopped."""
    limit = 3_999_999  # so that what follows is in frame again
    options = ExecutorOptions(max_record=limit)
    script = after_request(endlessly(OK + HELLO + chunk(b"%d\n" % limit), chunk(b"1\n2" * 1000)))
    tracemalloc.start()
    try:
        with serving(script) as agent, running(agent.port, options) as executor:
            executor.until_told("problem")  # the record ended as no event
        assert tracemalloc.get_traced_memory()[1] < 6 * limit
    finally:
        tracemalloc.stop()


def test_a_flood_waits_in_the_socket_while_the_loop_is_busy() -> None:
    script = after_request(endlessly(OK + HELLO, chunk(frame(b'{"type":"MESSAGE","message":{"data":"aGk="}}') * 1000)))
    with serving(script) as agent, running(agent.port) as executor:
        executor.until_told("message", 10)
        talk = agent.talks[0]
        stood_still, sent = 0, -1
        deadline = time.monotonic() + 20
        while stood_still < 20:  # nobody runs the loop: the agent can't send any more
            assert time.monotonic() < deadline
            stood_still, sent = (stood_still + 1, sent) if talk.sent == sent else (0, talk.sent)
            time.sleep(0.01)
        executor.until(lambda: talk.sent > sent)


@pytest.mark.parametrize("how", ["hangs", "closes", "nonsense", "500", "403", "endless"])
def test_an_update_gets_through_in_the_end(how: str) -> None:
    tried = threading.Event()
    arrived = threading.Event()

    def script(talk: Talk) -> None:
        while (request := talk.request()) is not None:
            if request[1]["type"] == "SUBSCRIBE":
                talk.send(OK + HELLO)
                talk.until_closed()
            elif tried.is_set():
                arrived.set()
                talk.send(ACCEPTED)
            else:
                tried.set()
                acts: dict[str, Callable[[Talk], object]] = {
                    "hangs": Talk.until_closed,
                    "closes": lambda talk: talk.sock.close(),
                    "nonsense": saying(b"what?\r\n\r\n"),
                    "500": lambda talk: talk.send(reply("500 Internal Server Error", "oops")),
                    "403": lambda talk: talk.send(reply("403 Forbidden", "Executor is not subscribed")),
                    "endless": endlessly(b"HTTP/1.1 202 Accepted\r\nContent-Length: 100000000\r\n\r\n", b"x" * 65536),
                }
                acts[how](talk)

    options = ExecutorOptions(call_timeout_s=0.4) if how == "hangs" else None
    with serving(script) as agent, running(agent.port, options) as executor:
        executor.until_told("subscribed")
        executor.driver.update(status("t", TaskState.FINISHED), now())
        executor.until(arrived.is_set)
        assert tried.is_set() and len(executor.driver.pending) == 1
        problems = executor.listener.of("problem")
        assert len(problems) == 1 and problems[0].startswith("cannot send a status update: ")


def test_stop_does_not_wait_for_a_call_that_hangs() -> None:
    reached = threading.Event()

    def script(talk: Talk) -> None:
        while (request := talk.request()) is not None:
            if request[1]["type"] == "SUBSCRIBE":
                talk.send(OK + HELLO)
            else:
                reached.set()
            talk.until_closed()

    with serving(script) as agent, running(agent.port) as executor:
        executor.until_told("subscribed")
        executor.driver.update(status("t"), now())
        executor.until(reached.is_set)


def test_calls_keep_their_connection_and_it_may_be_closed_between_two() -> None:
    got: list[str] = []

    def script(talk: Talk) -> None:
        while (request := talk.request()) is not None:
            if request[1]["type"] == "SUBSCRIBE":
                talk.send(OK + HELLO)
                talk.until_closed()
                return
            got.append(request[1]["message"]["data"])
            talk.send(ACCEPTED)
            if len(got) == 3:
                return

    with serving(script) as agent, running(agent.port) as executor:
        executor.until_told("subscribed")
        for number in range(6):
            executor.driver.message(b"%d" % number)
            executor.until(lambda number=number: len(got) == number + 1)  # type: ignore[misc]
            executor.until(lambda: not executor.driver._calls.is_busy)
            if number == 2:
                agent.talks[1].sock.close()
        assert len(got) == 6 and len(agent.talks) == 3
        assert executor.listener.of("problem") == []


def test_many_reconnects_leave_no_threads_and_no_descriptors() -> None:
    def descriptors() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    count = 0

    def script(talk: Talk) -> None:
        nonlocal count
        count += 1
        if count <= 40:
            talk.request()
            talk.send(OK + HELLO)
        else:
            good(talk)

    with serving(script) as agent, running(agent.port, subscription_backoff_max_s=0.05) as executor:
        before = descriptors()
        executor.until_told("subscribed", 41)
        assert len(executor.threads) == 2
        assert descriptors() <= before + 4


def test_when_no_descriptor_is_left_it_waits_until_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    fired = 0
    eventfd = os.eventfd

    def none_left(*args: int) -> int:
        nonlocal fired
        fired += 1
        if fired > 3:
            return eventfd(*args)
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(os, "eventfd", none_left)
    with serving(good) as agent, running(agent.port) as executor:
        executor.until_told("subscribed")
        assert executor.listener.of("problem")[0].endswith("Too many open files") and fired >= 3

"""The driver with masters that behave: subscribing, moving, calling, stopping, tearing down."""

from __future__ import annotations

import asyncio
import math
import socket
import time

import pytest

from mesos.core import scheduler_api as api
from mesos.core.messages import FrameworkID, FrameworkInfo, MasterInfo, OfferID, Operation, TaskID
from mesos.leader import Report
from mesos.scheduler_driver import CallFailed, CallRefused, DriverOptions, NotSubscribed, Refused, SchedulerDriver
from tests.mesos.ports import held_port
from tests.mesos.scheduler.masters import INFO, Exchange, Listener, driving, good, master, rescind, until
from thermos.errors import Bug


class Told:
    """Leader detection that says what a test wants."""

    def __init__(self) -> None:
        self.report: Report | None = None
        self.failures: list[str] = []
        self.stopped = False

    async def start(self, report: Report) -> None:
        self.report = report

    def say(self, url: str | None) -> None:
        assert self.report is not None
        self.report(url)

    def failed(self, url: str) -> None:
        self.failures.append(url)

    async def stop(self) -> None:
        self.stopped = True


async def test_a_subscription_and_what_it_says() -> None:
    async with master(good) as fake, driving(fake.url) as driven:
        assert driven.driver.framework_id is None and driven.driver.master_url is None
        await driven.reach("SUBSCRIBED")
        assert driven.listener.told == [("subscribed", ("framework-1", False))]
        assert driven.driver.framework_id == FrameworkID(value="framework-1")
        assert driven.driver.master_url == fake.url and driven.driver.subscribed
        subscribe = fake.exchanges[0]
        assert subscribe.path == "/api/v1/scheduler"
        assert subscribe.headers["accept"] == subscribe.headers["content-type"] == "application/json"
        assert "mesos-stream-id" not in subscribe.headers
        await driven.driver.call(api.kill(TaskID(value="t")))
        kill = fake.exchanges[1]
        assert kill.call["framework_id"] == {"value": "framework-1"}
        assert kill.headers["mesos-stream-id"] == "stream-1"
        state = driven.driver.state()
        assert state["calls"] == {"KILL": 1} and state["failed_calls"] == {} and state["subscriptions"] == 1
    assert fake.connections == 2  # one for the stream, one for calls


async def test_a_master_that_has_an_ipv6_address_only() -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("there is no IPv6 here")
    async with master(good, host="::1") as fake, driving(f"[::1]:{fake.port}") as driven:
        await driven.reach("SUBSCRIBED")
        await driven.driver.call(api.revive())
        assert fake.exchanges[0].headers["host"] == f"[::1]:{fake.port}"


async def test_a_name_that_does_not_resolve_is_said_so() -> None:
    async with driving("http://master.invalid:5050") as driven:
        await driven.reach("WAITING")
        assert driven.listener.all("problem")[0].startswith("cannot reach http://master.invalid:5050: ")


async def test_the_listener_hears_who_the_master_is() -> None:
    masters: list[MasterInfo | None] = []

    class Curious(Listener):
        async def subscribed(self, framework_id: FrameworkID, master: MasterInfo | None, again: bool) -> None:
            masters.append(master)

    async with master(good) as fake, driving(fake.url, listener=Curious()) as driven:
        await driven.reach("SUBSCRIBED")
    assert masters == [MasterInfo(id="m", ip=1, port=5050)]


async def test_a_framework_that_was_there_before_says_its_id() -> None:
    info = FrameworkInfo(user="u", name="n", id=FrameworkID(value="framework-7"))
    async with master(good) as fake, driving(fake.url, info=info) as driven:
        await driven.reach("SUBSCRIBED")
        call = fake.exchanges[0].call
        assert call["framework_id"] == call["subscribe"]["framework_info"]["id"] == {"value": "framework-7"}
        assert driven.listener.all("subscribed") == [("framework-7", False)]


async def test_calls_of_many_tasks_are_sent_whole() -> None:
    operations = [Operation(type="LAUNCH" + "x" * 1000) for _ in range(3000)]
    async with master(good) as fake, driving(fake.url) as driven:
        await driven.reach("SUBSCRIBED")
        await driven.driver.call(api.accept([OfferID(value="o")], operations))
        assert len(fake.exchanges[1].call["accept"]["operations"]) == 3000


async def test_many_calls_at_once_share_a_few_connections() -> None:
    async with master(good) as fake, driving(fake.url, call_concurrency=8) as driven:
        await driven.reach("SUBSCRIBED")
        await asyncio.gather(*(driven.driver.call(api.revive()) for _ in range(300)))
        assert len(fake.all("REVIVE")) == 300
        assert fake.connections <= 1 + 8


async def test_calls_without_a_subscription_are_loud() -> None:
    async with driving(Told()) as driven:
        with pytest.raises(NotSubscribed, match="LEADERLESS"):
            await driven.driver.call(api.revive())
        assert driven.driver.state()["failed_calls"] == {"REVIVE": 1}


@pytest.mark.parametrize("call", [api.teardown(), api.subscribe(INFO)])
async def test_calls_that_are_none(call: api.Call) -> None:
    async with master(good) as fake, driving(fake.url) as driven:
        await driven.reach("SUBSCRIBED")
        with pytest.raises(Bug):
            await driven.driver.call(call)
        assert fake.kinds() == ["SUBSCRIBE"]


async def test_a_number_that_is_none_is_not_sent() -> None:
    async with master(good) as fake, driving(fake.url) as driven:
        await driven.reach("SUBSCRIBED")
        with pytest.raises(ValueError, match="NaN"):
            await driven.driver.call(api.decline([OfferID(value="o")], math.nan))


#: Status of an answer to a call -> what is raised.
REFUSALS = {400: CallRefused, 401: CallRefused, 403: CallRefused, 404: CallRefused}
FAILURES = {307: CallFailed, 408: CallFailed, 429: CallFailed, 500: CallFailed, 503: CallFailed}


@pytest.mark.parametrize("status", [*REFUSALS, *FAILURES])
async def test_answers_to_a_call(status: int) -> None:
    async def answer(exchange: Exchange) -> None:
        await exchange.answer(status, "master's  own\nwords", {"Location": "//127.0.0.1:1/"})

    async with master(good, answer) as fake, driving(fake.url) as driven:
        await driven.reach("SUBSCRIBED")
        with pytest.raises((CallRefused, CallFailed), match=f"{status}: master's own words") as caught:
            await driven.driver.call(api.revive())
        assert type(caught.value) is {**REFUSALS, **FAILURES}[status]
        if isinstance(caught.value, CallRefused):
            assert (caught.value.status, caught.value.text) == (status, "master's own words")
        assert driven.driver.subscribed and len(fake.exchanges) == 2  # a call is not redirected, nor repeated


async def test_a_refusal_that_comes_after_the_subscription_ended_refuses_nothing() -> None:
    """A master answers 400 to the stream id of a subscription that is over; the call may well be right."""
    streams: list[Exchange] = []
    gate = asyncio.Event()

    async def subscribe(exchange: Exchange) -> None:
        streams.append(exchange)
        await exchange.subscribed()
        await exchange.until_left()

    async def answer_late(exchange: Exchange) -> None:
        await gate.wait()
        await exchange.answer(400, "stream id")

    async with master(subscribe, answer_late) as fake, driving(fake.url) as driven:
        await driven.reach("SUBSCRIBED")
        call = asyncio.create_task(driven.driver.call(api.revive()))
        await until(lambda: "REVIVE" in fake.kinds())
        streams[0].cut()
        await driven.reach("WAITING")
        driven.timers.advance(1)
        await driven.reach("SUBSCRIBED")
        gate.set()
        with pytest.raises(CallFailed, match="the subscription ended meanwhile"):
            await call


async def test_news_of_another_leader_moves_the_driver_at_once() -> None:
    leader = Told()
    async with master(good) as a, master(good) as b, driving(leader) as driven:
        await until(lambda: leader.report is not None)
        leader.say(a.url)
        await driven.reach("SUBSCRIBED")
        leader.say(None)
        assert driven.driver.subscribed
        leader.say(a.url)
        leader.say(b.url)
        await until(lambda: len(driven.listener.all("subscribed")) == 2)
        assert driven.driver.master_url == b.url
        assert driven.listener.told == [
            ("subscribed", ("framework-1", False)),
            ("disconnected", f"the leading master is {b.url} now"),
            ("subscribed", ("framework-1", True)),
        ]
        await driven.driver.call(api.revive())
        assert (a.kinds(), b.kinds()) == (["SUBSCRIBE"], ["SUBSCRIBE", "REVIVE"])
        assert not leader.failures
    assert leader.stopped


async def test_a_leader_that_does_not_serve_is_told_to_the_detection() -> None:
    leader = Told()

    async def refuse(exchange: Exchange) -> None:
        await exchange.answer(503)

    async with master(refuse) as a, driving(leader) as driven:
        await until(lambda: leader.report is not None)
        leader.say(a.url)
        await driven.reach("WAITING")
        assert leader.failures == [a.url]
        leader.say(None)
        driven.timers.advance(100)
        await driven.reach("LEADERLESS")


async def test_a_list_of_masters_is_tried_in_turn() -> None:
    async with master(good) as there:
        with held_port() as port:
            async with driving(f"http://127.0.0.1:{port},{there.url}") as driven:
                await driven.reach("WAITING")
                assert not there.exchanges  # the next one, but not before the delay is over
                driven.timers.advance(1)
                await driven.reach("SUBSCRIBED")
                assert driven.driver.master_url == there.url


async def test_what_an_older_connection_had_to_say_is_not_told() -> None:
    """The listener is busy with the first of three events when another leader is found."""
    leader = Told()
    gate = asyncio.Event()

    async def burst(exchange: Exchange) -> None:
        await exchange.subscribed()
        await exchange.send(rescind(1), rescind(2), rescind(3))
        await exchange.until_left()

    async def wait(event: api.Event) -> None:
        await gate.wait()

    async with master(burst) as a, master(good) as b, driving(leader, listener=Listener(wait)) as driven:
        await until(lambda: leader.report is not None)
        leader.say(a.url)
        await until(lambda: driven.listener.events)
        leader.say(b.url)
        gate.set()
        await until(lambda: len(driven.listener.all("subscribed")) == 2)
        assert [name for name, _ in driven.listener.told] == ["subscribed", "event", "disconnected", "subscribed"]


async def test_a_connection_that_was_not_begun_yet_is_not_begun_any_more() -> None:
    """Two leaders are found while the listener is busy; only the last one is called."""
    leader = Told()
    gate = asyncio.Event()

    async def burst(exchange: Exchange) -> None:
        await exchange.subscribed()
        await exchange.send(rescind(1))
        await exchange.until_left()

    async def wait(event: api.Event) -> None:
        await gate.wait()

    masters = master(burst), master(good), master(good)
    async with masters[0] as a, masters[1] as b, masters[2] as c, driving(leader, listener=Listener(wait)) as driven:
        await until(lambda: leader.report is not None)
        leader.say(a.url)
        await until(lambda: driven.listener.events)
        leader.say(b.url)
        leader.say(c.url)
        gate.set()
        await until(lambda: len(driven.listener.all("subscribed")) == 2)
        assert driven.driver.master_url == c.url and not b.exchanges
        assert len(driven.listener.all("disconnected")) == 1


async def test_an_update_of_the_framework_is_not_undone_by_the_next_subscription() -> None:
    streams: list[Exchange] = []

    async def subscribe(exchange: Exchange) -> None:
        streams.append(exchange)
        await good(exchange)

    async def answer(exchange: Exchange) -> None:
        await exchange.answer(200)

    async with master(subscribe, answer) as fake, driving(fake.url, suppressed_roles=("a",)) as driven:
        await driven.reach("SUBSCRIBED")
        assert streams[0].call["subscribe"]["suppressed_roles"] == ["a"]
        new = FrameworkInfo(user="u", name="n", id=driven.driver.framework_id, webui_url="http://x")
        await driven.driver.call(api.update_framework(new, ["b"]))
        streams[0].cut()
        await driven.reach("WAITING")
        driven.timers.advance(1)
        await driven.reach("SUBSCRIBED")
        again = streams[1].call["subscribe"]
        assert again["framework_info"]["webui_url"] == "http://x" and again["suppressed_roles"] == ["b"]


async def test_a_teardown_is_sent_when_it_is_asked_for_and_ends_the_driver() -> None:
    async with master(good) as fake, driving(fake.url) as driven:
        await driven.reach("SUBSCRIBED")
        await driven.driver.teardown()
        await asyncio.wait_for(driven.task, 20)
        assert fake.exchanges[1].call == {"type": "TEARDOWN", "framework_id": {"value": "framework-1"}}


async def test_a_teardown_that_was_refused_ends_nothing() -> None:
    async def refuse(exchange: Exchange) -> None:
        await exchange.answer(403, "not you")

    async with master(good, refuse) as fake, driving(fake.url) as driven:
        await driven.reach("SUBSCRIBED")
        with pytest.raises(CallRefused, match="cannot TEARDOWN: the master refuses: 403: not you"):
            await driven.driver.teardown()
        assert driven.driver.subscribed and not driven.task.done()


async def hang(exchange: Exchange) -> None:
    await exchange.until_left()


async def begin_only(exchange: Exchange) -> None:
    await exchange.begin_stream()
    await exchange.until_left()


async def refuse_for_now(exchange: Exchange) -> None:
    await exchange.answer(503)


SCRIPTS = {"CONNECTING": hang, "SUBSCRIBING": begin_only, "SUBSCRIBED": good, "WAITING": refuse_for_now}


@pytest.mark.parametrize("phase", SCRIPTS)
async def test_stop_is_quick_in_each_phase(phase: str) -> None:
    async with master(SCRIPTS[phase]) as fake, driving(fake.url) as driven:
        await until(lambda: fake.exchanges)
        await driven.reach(phase)
        began = time.monotonic()
        await driven.driver.stop()
        await asyncio.shield(driven.task)
        assert time.monotonic() - began < 10
        assert driven.phase == "ENDED" and not driven.driver.subscribed
        assert driven.listener.all("disconnected") == (["stopped"] if phase == "SUBSCRIBED" else [])
        assert fake.kinds() == ["SUBSCRIBE"]


@pytest.mark.parametrize("phase", SCRIPTS)
async def test_cancelling_run_is_clean_in_each_phase(phase: str) -> None:
    async with master(SCRIPTS[phase]) as fake, driving(fake.url) as driven:
        await until(lambda: fake.exchanges)
        await driven.reach(phase)
        driven.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.shield(driven.task)
        assert driven.task.cancelled() and driven.phase == "ENDED"
        assert fake.kinds() == ["SUBSCRIBE"]


async def test_stop_without_a_leader() -> None:
    leader = Told()
    async with driving(leader) as driven:
        await until(lambda: leader.report is not None)
        await driven.driver.stop()
        await asyncio.wait_for(driven.task, 10)
    assert leader.stopped


async def test_stop_before_run_and_run_twice() -> None:
    driver = SchedulerDriver(INFO, Told(), Listener())
    await driver.stop()
    await asyncio.wait_for(driver.run(), 20)
    with pytest.raises(Bug, match="once"):
        await driver.run()


async def test_the_listener_may_stop_the_driver_and_call() -> None:
    async def send(exchange: Exchange) -> None:
        await exchange.subscribed()
        await exchange.send(rescind(1), rescind(2))
        await exchange.until_left()

    async def call_and_stop(event: api.Event) -> None:
        await driven.driver.call(api.revive())
        await driven.driver.stop()

    async with master(send) as fake, driving(fake.url, listener=Listener(call_and_stop)) as driven:
        await asyncio.wait_for(asyncio.shield(driven.task), 20)
        assert fake.kinds() == ["SUBSCRIBE", "REVIVE"]
        assert driven.listener.all("event") == ["RESCIND"]
        assert driven.listener.told[-1] == ("disconnected", "stopped")


async def test_a_detection_that_can_not_start_ends_run() -> None:
    class Broken(Told):
        async def start(self, report: Report) -> None:
            raise OSError("no threads left")

    driver = SchedulerDriver(INFO, Broken(), Listener())
    with pytest.raises(OSError, match="no threads"):
        await driver.run()


async def test_real_time_is_the_default() -> None:
    listener = Listener()
    async with master(good) as fake:
        leader = Told()
        driver = SchedulerDriver(INFO, leader, listener, options=DriverOptions(backoff_cap_s=0.2))
        task = asyncio.create_task(driver.run())
        await until(lambda: leader.report is not None)
        leader.say("http://127.0.0.1:9")  # nobody is there
        await until(lambda: len(listener.all("problem")) >= 3)
        leader.say(fake.url)
        await until(lambda: driver.subscribed)
        await driver.stop()
        await task


#: Status of an answer to SUBSCRIBE -> the words at the end.
NO_ENTRY = {
    400: "no user",
    401: "no user; check the credentials",
    403: "no user; check the principal and what it may do",
}


@pytest.mark.parametrize("status", NO_ENTRY)
async def test_a_refusal_is_told_in_the_masters_words_and_not_tried_again(status: int) -> None:
    async def refuse(exchange: Exchange) -> None:
        await exchange.answer(status, "no user")

    async with master(refuse) as fake, driving(fake.url) as driven:
        with pytest.raises(Refused) as caught:
            await asyncio.shield(driven.task)
        assert str(caught.value) == f"cannot subscribe at {fake.url}: {status}: {NO_ENTRY[status]}"
        assert len(fake.exchanges) == 1


async def test_an_error_event_ends_the_driver_with_the_masters_words() -> None:
    async def send(exchange: Exchange) -> None:
        await exchange.subscribed()
        await exchange.send({"type": "ERROR", "error": {"message": "Framework failed over"}}, rescind(1))
        await exchange.until_left()

    async with master(send) as fake, driving(fake.url) as driven:
        with pytest.raises(Refused, match="Framework failed over"):
            await asyncio.shield(driven.task)
        assert [name for name, _ in driven.listener.told] == ["subscribed", "disconnected"]
        assert len(fake.exchanges) == 1

"""The small loop: signals, timers and posts become calls; it ends with its runner and leaves everything as it was."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from tests.thermos.host.conftest import MakeStage
from tests.thermos.host.faults import disk_full
from tests.thermos.host.puppets import Stage, process
from thermos.clock import Now
from thermos.core.states import TaskState
from thermos.host.loop import Loop
from thermos.runner import Runner


class Clock:
    """Time jumps to whatever the loop would wait for."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage

    def __call__(self) -> Now:
        return self.stage.kernel.now


@pytest.fixture
def stage(make_stage: MakeStage) -> Stage:
    stage = make_stage(process("a"))
    stage.own()
    stage.puppet("a").come_up()
    return stage


def runner_of(stage: Stage) -> Runner:
    assert stage.runner is not None
    return stage.runner


def test_a_record_wakes_it_and_the_end_of_the_task_ends_it(stage: Stage) -> None:
    loop = Loop(runner_of(stage), Clock(stage))
    stage.puppet("a").exited(0)
    loop.run()
    loop.close()
    assert runner_of(stage).done and runner_of(stage).state is TaskState.SUCCESS


def test_a_runner_that_is_done_on_arrival_needs_no_turn(stage: Stage) -> None:
    stage.puppet("a").exited(0)
    runner = stage.look()
    loop = Loop(runner, Clock(stage))
    loop.run()
    loop.close()


def test_calls_of_another_thread_run_in_the_loop(stage: Stage) -> None:
    runner, seen = runner_of(stage), []
    loop = Loop(runner, Clock(stage))

    def stop(now: Now) -> None:
        seen.append(threading.get_ident())
        runner.kill(now)
        stage.puppet("a").exited(None, 15)

    thread = threading.Thread(target=lambda: loop.post(stop))
    thread.start()
    thread.join()
    loop.run()
    loop.close()
    assert seen == [threading.get_ident()] and runner.state is TaskState.KILLED


def test_many_posts_are_all_heard_once(stage: Stage) -> None:
    """More than fit into the pipe that wakes the loop."""
    runner, heard = runner_of(stage), []
    loop = Loop(runner, Clock(stage))
    for number in range(100_000):
        loop.post(lambda now, number=number: heard.append(number))  # type: ignore[misc]
    loop.post(lambda now: stage.puppet("a").exited(0))  # type: ignore[misc]
    loop.run()
    loop.close()
    assert heard == list(range(100_000))


def test_timers_run_in_their_order_and_not_before_their_time(stage: Stage) -> None:
    runner, heard = runner_of(stage), []
    loop = Loop(runner, Clock(stage))
    start = stage.kernel.now.mono
    for delay in (3, 1, 2, 1):
        loop.call_at(start + delay, lambda now, delay=delay: heard.append((delay, now.mono - start)))  # type: ignore[misc]
    loop.call_at(start + 4, lambda now: stage.puppet("a").exited(0))  # type: ignore[misc]
    loop.on_turn = lambda now: stage.wait(1)
    loop.post(lambda now: None)
    stage.kernel.poke(b"0\n")
    loop.run()
    loop.close()
    assert heard == [(1, 1), (1, 1), (2, 2), (3, 3)]


def test_signals_are_calls_while_it_listens_and_nothing_is_left_of_it(stage: Stage) -> None:
    runner, heard = runner_of(stage), []
    loop = Loop(runner, Clock(stage))
    before = signal.getsignal(signal.SIGUSR2), signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(before[1])

    def on_signal(now: Now) -> None:
        heard.append(now)
        stage.puppet("a").exited(0)

    with loop.signals({signal.SIGUSR2: on_signal}):
        os.kill(os.getpid(), signal.SIGUSR2)
        loop.run()
    loop.close()
    assert len(heard) == 1
    after = signal.getsignal(signal.SIGUSR2), signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(after[1])
    assert after == before


def test_other_descriptors_are_read_until_they_are_removed(stage: Stage) -> None:
    runner, heard = runner_of(stage), []
    loop = Loop(runner, Clock(stage))
    reader, writer = os.pipe()

    def read(now: Now) -> None:
        heard.append(os.read(reader, 10))
        loop.remove_reader(reader)
        os.write(writer, b"unheard")
        stage.puppet("a").exited(0)

    loop.add_reader(reader, read)
    os.write(writer, b"hello")
    loop.run()
    loop.close()
    os.close(reader)
    os.close(writer)
    assert heard == [b"hello"]


def test_trouble_is_tried_again_by_the_loops_own_timer(stage: Stage) -> None:
    fault = disk_full(times=3)
    stage.kernel.faults.append(fault)
    runner = runner_of(stage)
    stage.puppet("a").exited(0)
    loop = Loop(runner, Clock(stage))
    loop.on_turn = lambda now: stage.wait(10)
    loop.run()
    loop.close()
    assert fault.fired == 3 and runner.state is TaskState.SUCCESS and not runner.trouble

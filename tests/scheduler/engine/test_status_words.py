"""What a status means, and that none is too strange to be dealt with."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesos.core.messages import AgentID, Reason, TaskID, TaskState, TaskStatus
from scheduler.core.effects import AcknowledgeStatus, TaskChanged
from scheduler.core.states import ScheduleStatus
from scheduler.core.status_words import MOST_WORDS, read_status
from tests.scheduler.engine.making import hear, messages, service, status, world

S = ScheduleStatus


@pytest.mark.parametrize(
    ("reason", "said", "words"),
    [
        ("", "exit code 3", "exit code 3"),
        (Reason.CONTAINER_LIMITATION_MEMORY, "", "Task used more memory than requested."),
        (Reason.CONTAINER_LIMITATION_MEMORY, "512 MB", "512 MB"),
        (Reason.CONTAINER_LIMITATION_DISK, "", "Task used more disk than requested."),
        (Reason.EXECUTOR_UNREGISTERED, "Unregistered executor", ""),
        ("REASON_OF_ITS_OWN", "mine", "mine"),
        ("", "x" * 100_000, "x" * (MOST_WORDS - 1) + "…"),
    ],
)
def test_the_words_that_people_read(reason: str, said: str, words: str) -> None:
    made = world()
    (task,) = made.running(service())
    hear(made, status(task.id, TaskState.FAILED, said, reason))
    assert messages(made.task(task.id))[-1] == ("FAILED", words)


def test_results_are_counted_by_reason() -> None:
    made = world()
    (task,) = made.running(service())
    made.engine.stats.status_updates.clear()
    hear(
        made,
        status(task.id, TaskState.RUNNING, reason=Reason.RECONCILIATION),
        status(task.id, "TASK_FROM_THE_FUTURE"),
        status(task.id, TaskState.STARTING),
        status(task.id, TaskState.FAILED, reason="made up"),
        status(task.id, TaskState.RUNNING),
    )
    assert made.engine.stats.status_updates == {
        ("RECONCILIATION", "NOOP"): 1,
        ("NONE", "UNKNOWN_STATE"): 1,
        ("NONE", "ILLEGAL"): 1,
        ("OTHER", "SUCCESS"): 1,
        ("NONE", "ILLEGAL_WITH_SIDE_EFFECTS"): 1,
    }
    assert made.engine.stats.illegal_transitions == 2


def test_each_is_acknowledged_behind_what_it_changed() -> None:
    made = world()
    (task,) = made.running(service())
    made.performed.clear()
    hear(
        made,
        status(task.id, TaskState.RUNNING, uuid=b"1"),
        status(task.id, TaskState.FAILED, uuid=b"2"),
        status(task.id, TaskState.FAILED, uuid=b"2"),
        status("stranger", "nonsense", uuid=b"3"),
        status("stranger", TaskState.LOST, uuid=b""),
    )
    told = [
        effect.status.uuid if isinstance(effect, AcknowledgeStatus) else effect.task.status
        for effect in made.performed
        if isinstance(effect, AcknowledgeStatus | TaskChanged)
    ]
    assert told == [b"1", S.FAILED, S.THROTTLED, b"2", b"2", b"3"]


def test_a_batch_of_nothing_is_nothing() -> None:
    made = world()
    made.performed.clear()
    hear(made)
    assert made.performed == []


texts = st.text(max_size=20)
strange = st.builds(
    TaskStatus,
    task_id=st.builds(TaskID, value=texts),
    state=texts | st.sampled_from([state.value for state in TaskState]),
    message=texts,
    source=texts,
    reason=texts | st.sampled_from([reason.value for reason in Reason]),
    agent_id=st.none() | st.builds(AgentID, value=texts),
    timestamp=st.none() | st.floats(),
    uuid=st.binary(max_size=3),
)


@given(strange)
def test_nothing_raises(said: TaskStatus) -> None:
    report = read_status(said)
    assert len(report.message) <= MOST_WORDS
    assert report.reason in {"NONE", "OTHER"} | {reason.value.removeprefix("REASON_") for reason in Reason}
    made = world(agents=0)
    hear(made, said)
    assert len(made.tables.tasks) == 0
    assert len(made.told(AcknowledgeStatus)) == bool(said.uuid)

"""Operations as bytes and back."""

from __future__ import annotations

import typing
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given, settings

from scheduler.store import codec
from scheduler.store.codec import OpReader, encode_ops
from scheduler.store.ops import Op, SaveTasks
from scheduler.store.snapshot import Frozen, read_chunk
from scheduler.store.tables import replay
from tests.scheduler.store.test_tables import fold
from tests.scheduler.store.worlds import any_ops, task_of


@settings(max_examples=200, deadline=None)
@given(any_ops)
def test_any_operations_come_back_as_they_were(operations: list[Op]) -> None:
    """But for savings of tasks that stand side by side: they have become one."""
    read = OpReader().read_ops(encode_ops(operations))
    assert read == joined(operations)
    assert all(not (isinstance(a, SaveTasks) and isinstance(b, SaveTasks)) for a, b in pairwise(read))


def joined(operations: list[Op]) -> list[Op]:
    found: list[Op] = []
    for op in operations:
        if isinstance(op, SaveTasks) and found and isinstance(found[-1], SaveTasks):
            found[-1] = SaveTasks(tasks=(*found[-1].tasks, *op.tasks))
        else:
            found.append(op)
    return found


@settings(max_examples=100, deadline=None)
@given(any_ops)
def test_what_was_read_leads_to_the_same_tables(operations: list[Op]) -> None:
    tables, applied = fold(operations)
    assert replay(OpReader().read_ops(encode_ops(applied))) == tables


@settings(max_examples=100, deadline=None)
@given(any_ops)
def test_a_snapshot_comes_back_from_its_chunks(operations: list[Op]) -> None:
    tables, _ = fold(operations)
    reader = OpReader()
    assert replay(op for chunk in Frozen(tables).chunks() for op in read_chunk(reader, chunk)) == tables


def test_every_operation_has_a_stored_form() -> None:
    stored = {t.__struct_config__.tag for t in typing.get_args(codec._Stored)}
    assert stored == {t.__struct_config__.tag for t in typing.get_args(Op)}


def test_a_batch_holds_its_config_once() -> None:
    one = task_of("t0")
    config = one.config
    many = tuple(
        msgspec.structs.replace(one, assigned_task=msgspec.structs.replace(one.assigned_task, instance_id=n))
        for n in range(100)
    )
    payload = encode_ops([SaveTasks(tasks=many[:50]), *(SaveTasks(tasks=(task,)) for task in many[50:])])
    assert payload.count(config.executor_config.data.encode() if config.executor_config else b"?") == 1
    [op] = OpReader().read_ops(payload)
    assert isinstance(op, SaveTasks) and len({id(task.config) for task in op.tasks}) == 1


def test_what_is_no_list_of_operations_is_refused() -> None:
    for payload in (b"", b"\xc1", msgspec.msgpack.encode([{"op": "Unknown"}])):
        with pytest.raises(msgspec.MsgspecError):
            OpReader().read_ops(payload)

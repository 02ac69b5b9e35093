"""A target for atheris: bytes from anywhere into every parser of `mesos/core`. Run as a program by test_fuzz.py.

    python tests/mesos/core/fuzz.py -runs=100000 [corpus]

Anything but the parser's own refusal ends it with a crash and the bytes that caused it. libFuzzer watches the time of a
single input, too (`-timeout`), so that a parser that hangs is found like one that breaks.
"""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["mesos"]):
    from mesos.core import executor_api, scheduler_api, wire
    from mesos.core.recordio import BadFraming, RecordReader
    from mesos.executor_environment import ExecutorEnvironment
    from mesos.leader import leader_detector
    from mesos.local.core import resource_text
    from thermos.errors import UserError


def fuzz_framing(data: bytes) -> None:
    """In two pieces, cut where the first byte says; records go on to the events they should be."""
    reader = RecordReader(max_record=4096)
    cut = data[0] if data else 0
    try:
        records = reader.feed(data[1:cut]) + reader.feed(data[max(cut, 1) :])
        assert reader.pending <= 4096 + 21
    except BadFraming:
        return
    for record in records:
        fuzz_messages(record)


def fuzz_messages(data: bytes) -> None:
    for kind in (scheduler_api.Event, scheduler_api.Call, executor_api.Event, executor_api.Call):
        try:
            message = wire.decode(data, kind)
        except wire.BadMessage:
            continue
        try:
            assert wire.decode(wire.encode(message), kind) == message
        except ValueError as refusal:  # a NaN, which nobody may send
            assert "NaN" in str(refusal)


def fuzz_texts(data: bytes) -> None:
    """What people and agents write: addresses of masters, environments of executors, resources of agents."""
    text = data.decode("utf-8", "surrogateescape")
    for parse in PARSERS:
        try:
            parse(text)
        except UserError as refusal:
            assert "\n" not in str(refusal)


def _environment(text: str) -> None:
    ExecutorEnvironment.read(
        {
            "MESOS_AGENT_ENDPOINT": text,
            "MESOS_FRAMEWORK_ID": "f",
            "MESOS_EXECUTOR_ID": "e",
            "MESOS_DIRECTORY": "/d",
            "MESOS_RECOVERY_TIMEOUT": text,
            "MESOS_CHECKPOINT": text,
        }
    )


PARSERS = [leader_detector, _environment, resource_text.parse_resources, resource_text.parse_attributes]


def one_input(data: bytes) -> None:
    fuzz_framing(data)
    fuzz_messages(data)
    fuzz_texts(data)


if __name__ == "__main__":
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()

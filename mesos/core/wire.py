"""Messages as JSON bytes and back. Nothing else in the project knows how they look on the wire.

msgspec decodes straight into the structs. Two things need care: a double may be the string `"Infinity"` (decoding is
lax about numbers in strings for its sake, and for 64-bit numbers that JSON writers put in quotes), and msgspec writes
an infinite double as `null`, which Mesos would refuse.
"""

from __future__ import annotations

import math
from typing import Any, TypeVar

import msgspec

from mesos.core import executor_api, scheduler_api
from mesos.core.messages import Message
from thermos.errors import RemoteError

M = TypeVar("M", bound=Message)

_encoder = msgspec.json.Encoder()
_decoders: dict[type[Message], msgspec.json.Decoder[Any]] = {}


class BadMessage(RemoteError):
    """Bytes that are not the message they should be; the text says where and what is wrong."""


def encode(message: Message) -> bytes:
    """As JSON; infinite doubles as `"Infinity"`. Raises ValueError for a NaN, which means nothing in any message."""
    data = _encoder.encode(message)
    if b"null" in data:  # absent fields are not written, so it may be an infinite double (or a text that says so)
        data = _encoder.encode(_spell_infinities(msgspec.to_builtins(message)))
    return data


def decode(data: bytes | bytearray | memoryview, kind: type[M]) -> M:
    """Raises BadMessage, with the field's path, for anything that is not a message of this kind.

    Texts of executors and operators pass through Mesos unchecked: bytes that are no UTF-8 are replaced, so that nobody
    can keep a status from being read by the words in it.
    """
    decoder = _decoders.get(kind)
    if decoder is None:
        decoder = _decoders[kind] = msgspec.json.Decoder(kind, strict=False)
    try:
        message: M = decoder.decode(data)
    except msgspec.MsgspecError as error:  # of both kinds: no JSON, other fields
        raise BadMessage(f"cannot read a {_name(kind)}: {error}") from error
    except UnicodeDecodeError as error:
        text = bytes(data).decode("utf-8", "replace").encode()
        if text == data:
            raise BadMessage(f"cannot read a {_name(kind)}: {error}") from error
        return decode(text, kind)
    except RecursionError as error:
        raise BadMessage(f"cannot read a {_name(kind)}: {type(error).__name__}") from error
    return message


def _name(kind: type[Message]) -> str:
    """As people call it: "scheduler event"."""
    words = {scheduler_api.__name__: "scheduler ", executor_api.__name__: "executor "}
    return words.get(kind.__module__, "") + (kind.__name__.lower() if kind.__module__ in words else kind.__name__)


def _spell_infinities(value: Any) -> Any:
    if isinstance(value, float):
        if math.isnan(value):
            raise ValueError("a message holds a number that is no number (NaN)")
        if math.isinf(value):
            return "Infinity" if value > 0 else "-Infinity"
        return value
    if isinstance(value, dict):
        return {key: _spell_infinities(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_spell_infinities(item) for item in value]
    return value

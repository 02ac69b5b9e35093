"""Bytes over a socket, without any HTTP client in between: what a test sends and gets is what it says."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

from mesos.core.recordio import RecordReader

JSON = {"Content-Type": "application/json"}


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Open:
    """A response whose body is still coming, chunk by chunk."""

    status: int
    headers: dict[str, str]
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    records: RecordReader = field(default_factory=RecordReader)
    events: list[dict[str, Any]] = field(default_factory=list)

    async def next(self, kind: str, patience_s: float = 40.0) -> dict[str, Any]:
        """The next event of this kind; others are kept in `events`."""
        at = 0
        async with asyncio.timeout(patience_s):
            while True:
                for event in self.events[at:]:
                    if event["type"] == kind:
                        self.events.remove(event)
                        return event
                at = len(self.events)
                if not await self.read():
                    raise EOFError(f"the stream ended before {kind}; saw {[e['type'] for e in self.events]}")

    async def read(self) -> bool:
        """One chunk; False at the end of the stream."""
        try:
            size = int(await self.reader.readline() or b"0", 16)
            if size == 0:
                return False
            data = await self.reader.readexactly(size)
            await self.reader.readline()
        except (ConnectionError, asyncio.IncompleteReadError):
            return False
        self.events += [json.loads(record) for record in self.records.feed(data)]
        return True

    async def end(self, patience_s: float = 40.0) -> None:
        """Wait until the other end closes."""
        async with asyncio.timeout(patience_s):
            while await self.read():
                pass

    def close(self) -> None:
        self.writer.close()


async def open_request(
    port: int, method: str, path: str, body: bytes | str = b"", headers: dict[str, str] | None = None
) -> Open:
    data = body.encode() if isinstance(body, str) else body
    fields = {"Host": f"127.0.0.1:{port}", "Content-Length": str(len(data)), **(headers or {})}
    head = f"{method} {path} HTTP/1.1\r\n" + "".join(f"{key}: {value}\r\n" for key, value in fields.items())
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**26)
    try:
        writer.write(head.encode() + b"\r\n" + data)
        await writer.drain()
        line = await reader.readline()
        if not line:
            raise ConnectionResetError("no answer")
        got = {}
        while (text := (await reader.readline()).decode().strip()) != "":
            key, _, value = text.partition(":")
            got[key.strip()] = value.strip()
    except BaseException:
        writer.close()
        raise
    return Open(int(line.split()[1]), got, reader, writer)


async def ask(
    port: int, method: str, path: str, body: bytes | str | dict[str, Any] | list[Any] = b"",
    headers: dict[str, str] | None = None,
) -> Answer:  # fmt: skip
    """A whole answer. Bodies that are no text are sent as JSON."""
    if isinstance(body, dict | list):
        body = json.dumps(body)
        headers = JSON | (headers or {})
    opened = await open_request(port, method, path, body, {"Connection": "close", **(headers or {})})
    try:
        size = opened.headers.get("Content-Length")
        data = b"" if method == "HEAD" else await opened.reader.readexactly(int(size or 0))
    finally:
        opened.close()
    return Answer(opened.status, opened.headers, data)


async def until(condition: Any, patience_s: float = 40.0, what: str = "condition") -> Any:
    """Whatever true thing `condition` gives, asked again and again; it may be a coroutine function."""
    try:
        async with asyncio.timeout(patience_s):
            while True:
                value = condition()
                if asyncio.iscoroutine(value):
                    value = await value
                if value:
                    return value
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"no {what} in {patience_s} s") from None

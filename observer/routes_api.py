"""`/api/v1/…`: the views as JSON, whole downloads of logs, and the event streams. One handler a noun; `observer.table`
says where each stands and what it takes."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from aiohttp import web

from observer.asking import host_of, part, path_number, rest, task_of
from observer.core.build import process_view, task_view
from observer.core.listing import DEFAULT_ROWS, MAX_ROWS
from observer.core.sandbox_path import Refused
from observer.core.travel import record_words
from observer.core.views import IndexView, Kind, LogView, ProcessView, Sort, TaskView
from observer.download import Attachment
from observer.events import Subscription, TooManyReaders
from observer.files import MAX_CHUNK, NoSuchFile, OpenFile, opened
from observer.logs import PAGE, Followed, follow_from
from observer.places import (
    LogQuestion,
    check_process,
    directory_view,
    file_view,
    log_of,
    log_view,
    sandbox_notes,
    sandbox_of,
    stderr_tail,
)
from observer.task import read_records
from web.answers import answer
from web.asking import Problem, flag, integer, optional, text
from web.streams import HEARTBEAT, STILL_HERE, open_stream, send, welcome

#: Records of one answer.
MAX_RECORDS = 1000

_EVENT_ID = re.compile(r"[0-9a-f]{8}-[0-9]{1,18}")


def index_words(request: web.Request, kind: Kind) -> dict[str, object]:
    """How a list is asked for. Raises Problem."""
    word = text(request, "sort") or Sort.CHANGED
    if word not in list(Sort):
        raise Problem(400, f"sort has to be one of {', '.join(Sort)}")
    return {
        "kind": kind,
        "query": text(request, "query") or text(request, "q"),
        "sort": Sort(word),
        "reverse": flag(request, "reverse"),
        "offset": integer(request, "offset", 0, low=-(2**53)),
        "num": integer(request, "num", DEFAULT_ROWS, low=0, high=MAX_ROWS),
    }


async def index_view(request: web.Request, kind: Kind) -> IndexView:
    words = index_words(request, kind)
    return await host_of(request).index(**words)  # type: ignore[arg-type]


async def tasks(request: web.Request) -> web.Response:
    word = text(request, "kind") or Kind.ALL
    if word not in list(Kind):
        raise Problem(400, f"kind has to be one of {', '.join(Kind)}")
    return answer(await index_view(request, Kind(word)))


async def view_of_task(request: web.Request) -> TaskView:
    """The task page's view, at the moment that is asked for."""
    one, host = task_of(request), host_of(request)
    host.somebody_watches()
    source, moment = await host.travel(one, optional(request, "at", high=2**31))
    view = task_view(source, moment)
    notes = await host.blocking(sandbox_notes, source, one)
    return replace(view, notes=(*view.notes, *notes))


async def view_of_process(request: web.Request) -> ProcessView:
    one, host = task_of(request), host_of(request)
    host.somebody_watches()
    source = await host.source(one)
    name = part(request, "process")
    check_process(source, name)
    view = process_view(source, name)
    if view is None:
        raise Problem(404, "Invalid task/process combination")
    tail = await host.blocking(stderr_tail, source, one, name)
    return replace(view, stderr_tail=tail)


async def task(request: web.Request) -> web.Response:
    return answer(await view_of_task(request))


async def config(request: web.Request) -> web.Response:
    source = await host_of(request).source(task_of(request))
    if source.spec is None:
        raise Problem(404, "its configuration can't be read")
    return answer(source.spec)


async def records(request: web.Request) -> web.Response:
    """The story of a task: its records, with what each says in words."""
    one, host = task_of(request), host_of(request)
    begin = integer(request, "from", 0, high=2**31)
    num = integer(request, "num", 100, low=1, high=MAX_RECORDS)
    known = await host.blocking(read_records, one.paths, host.kernel)
    shown = [
        {"position": begin + i + 1, "words": record_words(record), "record": record}
        for i, record in enumerate(known[begin : begin + num])
    ]
    return answer({"total": len(known), "records": shown})


async def process(request: web.Request) -> web.Response:
    return answer(await view_of_process(request))


def log_question(request: web.Request, most: int = MAX_CHUNK) -> LogQuestion:
    """Which part of which log, `most` bytes of it. Raises Problem."""
    return LogQuestion(
        process=part(request, "process"),
        run=path_number(request, "run"),
        stream=part(request, "stream"),
        part=optional(request, "part", high=10_000),
        offset=optional(request, "offset"),
        before=flag(request, "before"),
        query=text(request, "q"),
        search_part=integer(request, "search_part", 0, high=10_000),
        search_offset=optional(request, "search_offset"),
        time=text(request, "time"),
        length=min(most, integer(request, "length", PAGE, low=1, high=MAX_CHUNK)),
    )


async def view_of_log(request: web.Request, most: int = MAX_CHUNK) -> LogView:
    one = task_of(request)
    source = await host_of(request).source(one)
    return await host_of(request).blocking(log_view, source, one, log_question(request, most))


async def log(request: web.Request) -> web.Response:
    return answer(await view_of_log(request))


async def log_follow(request: web.Request) -> web.Response:
    """What came after (inode, offset), across rotations."""
    one = task_of(request)
    source = await host_of(request).source(one)
    asked = log_question(request)
    inode, offset = integer(request, "inode", 0), integer(request, "offset", 0)

    def read() -> Followed:
        where = log_of(source, one, asked.process, asked.run, asked.stream)
        return follow_from(where, inode, offset, asked.length)

    return answer(await host_of(request).blocking(read))


async def log_download(request: web.Request) -> web.StreamResponse:
    one = task_of(request)
    source = await host_of(request).source(one)
    asked = log_question(request)

    def open_it() -> Attachment:
        where = log_of(source, one, asked.process, asked.run, asked.stream)
        with _opened(where.base, where.part(asked.part or 0)) as file:
            suffix = f".{asked.part}" if asked.part else ""
            name = f"{source.task_id}-{asked.process}-{asked.run}.{asked.stream}{suffix}"
            return Attachment(file, name)

    return await host_of(request).blocking(open_it)


@contextmanager
def _opened(base: Path, names: tuple[str, ...]) -> Iterator[OpenFile]:
    try:
        with opened(base, names) as file:
            yield file
    except NoSuchFile as error:
        raise Problem(404, str(error)) from error
    except Refused as error:
        raise Problem(403, f"cannot show this: {error}") from error


async def download(request: web.Request) -> web.StreamResponse:
    """`/download/<id>/<path>`."""
    one, names = task_of(request), rest(request)
    source = await host_of(request).source(one)

    def open_it() -> Attachment:
        with _opened(sandbox_of(source, one), names) as file:
            return Attachment(file, file.name)

    return await host_of(request).blocking(open_it)


async def files(request: web.Request) -> web.Response:
    """A directory's entries, or a page of a file."""
    one, names = task_of(request), rest(request)
    source = await host_of(request).source(one)
    offset, before = optional(request, "offset"), flag(request, "before")
    length = integer(request, "length", PAGE, low=1, high=MAX_CHUNK)

    def look() -> object:
        base = sandbox_of(source, one)
        try:
            if base.joinpath(*names).is_dir():
                return directory_view(source, one, names)
        except (OSError, ValueError) as error:
            raise Problem(404, "there is no such file") from error
        return file_view(source, one, names, offset, before=before, length=length)

    return answer(await host_of(request).blocking(look))


# --- event streams ---------------------------------------------------------------------------------------------------


async def events(request: web.Request) -> web.StreamResponse:
    """News of all tasks, or of one; resumed by `Last-Event-ID` (or `since`)."""
    host = host_of(request)
    ref = text(request, "task")
    key = task_of(request, ref).key if ref else ""
    last_id = request.headers.get("Last-Event-ID", "") or text(request, "since")
    if request.method == "HEAD":
        return web.Response(content_type="text/event-stream")
    try:
        subscription = host.broker.subscribe(key, last_id[:100])
    except TooManyReaders as error:
        raise Problem(503, str(error)) from error
    host.somebody_watches()
    try:
        response = await open_stream(request)
        begun = last_id if _EVENT_ID.fullmatch(last_id) else host.broker.position
        await send(response, welcome(begun))
        await _pump(response, subscription, host.broker.epoch)
    except (ConnectionError, TimeoutError):
        pass  # it comes back with the id of what it has seen
    finally:
        host.broker.unsubscribe(subscription)
    return response


async def _pump(response: web.StreamResponse, subscription: Subscription, epoch: str) -> None:
    while True:
        try:
            async with asyncio.timeout(HEARTBEAT):
                item = await subscription.queue.get()
        except TimeoutError:
            await send(response, STILL_HERE)
            continue
        if item is None:
            return
        await send(response, item.render(epoch))

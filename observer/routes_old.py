"""The original's machine-readable URLs, shape by shape (spec/thermos.md §5.3), mended where they were broken: unknown
tasks are 404, reads are bounded, a task id that several roots have means its newest task and names the others.
"""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web

from observer.asking import host_of, part, path_number, rest, task_of
from observer.core.old_json import data_json, process_json, processes_json, task_ids_json, task_json
from observer.core.sandbox_path import Refused
from observer.core.source import Source
from observer.core.views import Chunk, Kind
from observer.files import NoSuchFile, OpenFile, opened, read_chunk
from observer.places import log_of, sandbox_of
from observer.task import Task
from web.answers import answer
from web.asking import Problem, integer, parse_int, shorten, text

#: Tasks of one `task_id=a,b,…`.
MAX_IDS = 100


async def task_ids(request: web.Request) -> web.Response:
    kind, offset, num = listing_words(request)
    return answer(task_ids_json(await host_of(request).index(kind, offset=offset, num=num)))


def listing_words(request: web.Request) -> tuple[Kind, int, int]:
    """`/type/offset/num` of a path, each optional. Raises Problem."""
    word = part(request, "type") or "all"
    if word not in list(Kind):
        raise Problem(404, f"Invalid task type: {shorten(word)}")
    offset, num = (parse_int(part(request, name) or default) for name, default in (("offset", "0"), ("num", "20")))
    if offset is None or num is None or num < 0:
        raise Problem(404, "offset and num have to be numbers")
    return Kind(word), offset, num


async def task_id_count(request: web.Request) -> web.Response:
    tasks = host_of(request).inventory.tasks.values()
    active = sum(task.active for task in tasks)
    return answer({"active": active, "finished": len(tasks) - active, "all": len(tasks)})


async def task(request: web.Request) -> web.Response:
    """`/j/task/<id>` and `/j/task?task_id=a,b`."""
    found = {}
    for ref, one in _asked(request).items():
        others = [other.key for other in host_of(request).inventory.others(one)]
        found[ref] = task_json(await host_of(request).source(one), others)
    return answer(found)


def _asked(request: web.Request) -> dict[str, Task]:
    """The tasks that were asked for and exist. Raises Problem when none does."""
    named = part(request, "ref")
    words = [named] if named else [w for w in request.query.get("task_id", "").split(",") if w]
    if not words:
        raise Problem(400, "say which: task_id=ID,ID")
    if len(words) > MAX_IDS:
        raise Problem(400, f"at most {MAX_IDS} task ids at once")
    inventory = host_of(request).inventory
    found = {ref: one for ref in words if (one := inventory.find(ref)) is not None}
    if not found:
        raise Problem(404, f"Unknown task_id: {', '.join(shorten(w, 60) for w in words[:3])}")
    return found


async def process(request: web.Request) -> web.Response:
    """`/j/process/<id>[/<process>[/<run>]]`; {} for a process or run that the task has not, as ever."""
    source = await host_of(request).source(task_of(request))
    name, run = part(request, "process"), part(request, "run")
    number = parse_int(run) if run else None
    if not name or (run and number is None):
        return answer({})
    return answer(process_json(source, name, number))


async def processes(request: web.Request) -> web.Response:
    sources = {ref: await host_of(request).source(one) for ref, one in _asked(request).items()}
    return answer({ref: {"process": processes_json(source)} for ref, source in sources.items()})


async def log_data(request: web.Request) -> web.Response:
    """`/logdata/<id>/<process>/<run>/<stream>?offset&length`."""
    one = task_of(request)
    source = await host_of(request).source(one)
    where = (part(request, "process"), path_number(request, "run"), part(request, "stream"))

    def read(source: Source, one: Task, look: Callable[[OpenFile], Chunk]) -> Chunk | None:
        log = log_of(source, one, *where)
        try:
            with opened(log.base, log.names) as file:
                return look(file)
        except (NoSuchFile, Refused):
            return None

    return answer(data_json(await host_of(request).blocking(read, source, one, _look(request))))


async def file_data(request: web.Request) -> web.Response:
    """`/filedata/<id>/<path>?offset&length`."""
    one, names = task_of(request), rest(request)
    source = await host_of(request).source(one)

    def read(source: Source, one: Task, look: Callable[[OpenFile], Chunk]) -> Chunk | None:
        try:
            with opened(sandbox_of(source, one), names) as file:
                return look(file)
        except NoSuchFile:
            return None
        except Refused as error:
            raise Problem(403, f"cannot show this: {error}") from error

    return answer(data_json(await host_of(request).blocking(read, source, one, _look(request))))


def _look(request: web.Request) -> Callable[[OpenFile], Chunk]:
    """`offset` and `length` as the original means them: -1 is the end of the file, and all there is (bounded)."""
    has_offset = text(request, "offset") != ""
    offset = integer(request, "offset", -1, low=-1)
    length = integer(request, "length", -1, low=-1)
    return lambda file: read_chunk(file, offset if has_offset else -1, length)

"""From a task to its directories on disk: where its sandbox is, where a log lies. Blocks; called in a worker thread."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from observer.core.build import head_of
from observer.core.sandbox_path import Refused, encode_path, is_inside, shown
from observer.core.source import Source
from observer.core.views import (
    Chunk,
    DirectoryView,
    FileView,
    LogPart,
    LogView,
    Note,
    SearchView,
)
from observer.files import (
    NoSuchFile,
    directory_bytes,
    list_directory,
    opened,
    read_lines,
    read_page_before,
    trusted_base,
)
from observer.logs import (
    PAGE,
    STREAMS,
    Log,
    list_parts,
    newer_of,
    offset_at_time,
    older_of,
    page_at,
    search,
    tail_page,
)
from observer.task import Task
from thermos.core.records import Header
from web.asking import Problem, shorten


def sandbox_of(source: Source, task: Task) -> Path:
    """The sandbox, resolved. Raises Problem."""
    header = source.record.header
    if header is None:
        raise Problem(404, "Sandbox does not exist.")
    return _base(header.sandbox, task, "Sandbox does not exist.")


def _base(directory: str, task: Task, missing: str) -> Path:
    try:
        return trusted_base(directory, task.paths.runner, task.run_dir)
    except NoSuchFile as error:
        raise Problem(404, missing) from error
    except Refused as error:
        raise Problem(403, f"cannot show this: {error}") from error


def log_of(source: Source, task: Task, process: str, run: int, stream: str) -> Log:
    """Where a log lies, or would. Raises Problem."""
    if stream not in STREAMS:
        raise Problem(404, f"No such log type: {shorten(stream)}")
    check_process(source, process)
    header = source.record.header
    if header is None:
        raise Problem(404, "its checkpoint does not say where its logs are")
    try:
        base = log_base(header, task)
    except NoSuchFile as error:
        raise Problem(404, "the log directory is gone") from error
    except Refused as error:
        raise Problem(403, f"cannot show this: {error}") from error
    return Log(base, (process, str(run), stream))


def log_base(header: Header, task: Task) -> Path:
    """The log directory, resolved. One inside of the sandbox can be moved away by the task's user: what has taken its
    place has to be in there, too. Raises NoSuchFile, Refused."""
    base = trusted_base(header.log_dir, task.paths.runner, task.run_dir)
    if is_inside(os.path.normpath(header.log_dir), os.path.normpath(header.sandbox)):
        sandbox = trusted_base(header.sandbox, task.paths.runner, task.run_dir)
        if not is_inside(str(base), str(sandbox)):
            raise Refused("the log directory leads out of the sandbox")
    return base


def check_process(source: Source, process: str) -> None:
    """Raises Problem when the task has no such process."""
    named = source.spec is not None and any(p.name == process for p in source.spec.processes)
    if not named and process not in source.record.processes:
        where = f"{shorten(source.task_id)}/{shorten(process)}"
        raise Problem(404, f"Invalid task/process combination: {where}")


def sandbox_notes(source: Source, task: Task) -> tuple[Note, ...]:
    """Is the sandbox there? If not, that is worth a line."""
    if source.record.header is None:
        return ()
    try:
        sandbox_of(source, task)
    except Problem as problem:
        gone = "its sandbox is gone: there are no files and no logs to show"
        return (Note(gone if problem.status == 404 else problem.detail, serious=True),)
    return ()


def stderr_tail(source: Source, task: Task, process: str, lines: int = 20) -> tuple[str, ...]:
    """The last lines that the newest run wrote to stderr."""
    record = source.record.processes.get(process)
    if record is None or not record.total:
        return ()
    try:
        page = tail_page(log_of(source, task, process, record.total - 1, "stderr"), 8 * 1024)
    except (Problem, NoSuchFile, Refused):
        return ()
    return tuple(page[1].text.splitlines()[-lines:]) if page is not None else ()


def log_bytes(source: Source, task: Task) -> dict[str, int]:
    """What the logs of each process's newest run hold on disk, rotated files included; {} when they can't be seen."""
    header = source.record.header
    if header is None:
        return {}
    try:
        base = log_base(header, task)
    except (NoSuchFile, Refused):
        return {}
    newest = {name: record.total - 1 for name, record in source.record.processes.items() if record.total}
    return {name: directory_bytes(base, (name, str(run)), STREAMS) for name, run in newest.items()}


# --- pages -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LogQuestion:
    """What of a log is to be shown: the newest page, the one at (or before) a place, or at a time; and a search."""

    process: str
    run: int
    stream: str
    part: int | None = None
    offset: int | None = None
    before: bool = False
    query: str = ""
    search_part: int = 0
    search_offset: int | None = None
    time: str = ""
    length: int = PAGE


def log_view(source: Source, task: Task, asked: LogQuestion) -> LogView:
    """A page of a log. Raises Problem."""
    log = log_of(source, task, asked.process, asked.run, asked.stream)
    parts = list_parts(log)
    notes: list[Note] = []
    part, chunk = _page(log, parts, _place(log, parts, asked, notes), asked, notes)
    record = source.record.processes.get(asked.process)
    known = source.record.run(asked.process, asked.run)
    return LogView(
        head=head_of(source),
        process=asked.process,
        run=asked.run,
        runs=tuple(sorted(record.runs, reverse=True)[:100]) if record else (),
        stream=asked.stream,
        parts=parts,
        part=part,
        chunk=chunk,
        live=known is not None and not known.terminal and source.active,
        older=older_of(log, parts, part, chunk.offset, asked.length) if chunk else None,
        newer=newer_of(parts, part, chunk.end) if chunk else None,
        search=_search(log, asked),
        notes=tuple(notes),
    )


def _search(log: Log, asked: LogQuestion) -> SearchView | None:
    if not asked.query:
        return None
    found = search(log, asked.query, asked.search_part, asked.search_offset)
    return SearchView(asked.query, tuple(found.hits), found.searched, found.part, found.offset)


def _place(log: Log, parts: tuple[LogPart, ...], asked: LogQuestion, notes: list[Note]) -> tuple[int, int, bool] | None:
    """(part, offset, before) of the page; None for the newest one."""
    if asked.time:
        found = offset_at_time(log, asked.time)
        if found is not None:
            return (*found, False)
        notes.append(Note(f"no line begins with a time at or after {shorten(asked.time, 40)}"))
        return None
    if asked.part is None and asked.offset is None:
        return None
    part = asked.part or 0
    if asked.offset is not None:
        return part, asked.offset, asked.before
    return part, next((p.size for p in parts if p.part == part), 0), True


def _page(
    log: Log, parts: tuple[LogPart, ...], place: tuple[int, int, bool] | None, asked: LogQuestion, notes: list[Note]
) -> tuple[int, Chunk | None]:
    try:
        if place is not None:
            part, offset, before = place
            return part, page_at(log, part, offset, asked.length, before=before)
        page = tail_page(log, asked.length)
    except NoSuchFile as error:
        notes.append(Note(str(error)))
        return place[0] if place else 0, None
    except Refused as error:
        raise Problem(403, f"cannot show this: {error}") from error
    if page is None:
        notes.append(Note("there is no such log: nothing was written, or it was removed"))
        return 0, None
    return page


def directory_view(source: Source, task: Task, names: tuple[str, ...]) -> DirectoryView:
    """A listing. Raises Problem."""
    base = sandbox_of(source, task)
    try:
        entries, left_out = list_directory(base, names)
    except NoSuchFile as error:
        raise Problem(404, str(error)) from error
    except Refused as error:
        raise Problem(403, f"cannot show this: {error}") from error
    return DirectoryView(
        head=head_of(source),
        path=shown("/".join(names)),
        href=encode_path(names),
        entries=tuple(entries),
        left_out=left_out,
        notes=source.notes,
    )


def file_view(
    source: Source, task: Task, names: Sequence[str], offset: int | None, *, before: bool = False, length: int = PAGE
) -> FileView:
    """A page of a file, from its beginning if nothing else is asked for. Raises Problem."""
    base = sandbox_of(source, task)
    path = tuple(names)
    try:
        with opened(base, path) as file:
            if before:
                chunk = read_page_before(file, file.size if offset is None else offset, length)
            else:
                chunk = read_lines(file, offset or 0, length)
            older = read_page_before(file, chunk.offset, length).offset if chunk.offset else None
            modified_at = max(0.0, file.modified_at)
    except NoSuchFile as error:
        raise Problem(404, str(error)) from error
    except Refused as error:
        raise Problem(403, f"cannot show this: {error}") from error
    return FileView(
        head=head_of(source),
        path=shown("/".join(path)),
        href=encode_path(path),
        chunk=chunk,
        older=older,
        newer=chunk.end if chunk.end < chunk.size else None,
        modified_at=modified_at,
    )

"""`thermos gc`: remove what finished tasks have left: checkpoint, sandbox, and the file that says that they were.

An active task is never touched. What is removed is found through directories that are not links and opened without
following any. A sandbox goes only if it lies below the root: one that somebody chose elsewhere is theirs.
"""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from client.context import default_root, search_roots, user_name
from client.exits import complain, echo_lines
from client.render import date_time, size_words
from client.thermos.options import inherited, output_option, search_options
from client.thermos.tasks import matcher
from thermos.clock import now
from thermos.core.gc import Finished, Policy, Removal, choose_removals
from thermos.core.words import plural
from thermos.errors import Exit, HostError, NotOwner
from thermos.host.checkpoint import open_checkpoint
from thermos.host.kernel import Kernel
from thermos.monitor.detect import Found, find_tasks
from thermos.monitor.follow import read_task
from thermos.monitor.sample import DiskWalk
from thermos.paths import TaskPaths

EPILOG = """
\b
Examples:
  thermos gc                          what ended more than 14 days ago
  thermos gc --dry-run --keep-last 20 only say what would go
  thermos gc --max-size 2G            oldest first, until the rest takes at most so much
  thermos gc --keep-days 0 'test-.*'  everything that is over and fits

\b
A task goes when one of the given rules says so; without any rule it is --keep-days 14.
Removed are tasks/finished/ID, checkpoints/ID, and the sandbox if it lies below the root.

\b
Exit codes: 0 (also when there was nothing to do), 1 something could not be removed.
"""

_DEFAULT_DAYS = 14.0
_UNITS = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3, "T": 1024**4}


@dataclass(frozen=True, slots=True)
class Remains:
    """What there is of a finished task."""

    found: Found
    sandbox: Path | None  # None: it is not ours to remove


def parse_size(text: str) -> int:
    """`500M`, `2G`, `1048576`, units of 1024. Raises click.BadParameter."""
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?) ?([KMGT]?)i?B?", text.strip(), re.IGNORECASE)
    if match is None:
        raise click.BadParameter(f"{text!r} is no size; write 500M or 2G")
    return int(float(match[1]) * _UNITS[match[2].upper()])


@click.command("gc", epilog=EPILOG)
@click.argument("patterns", metavar="[REGEX]...", nargs=-1)
@click.option("--keep-days", metavar="DAYS", type=click.FloatRange(0), help="Remove what ended longer ago.")
@click.option("--keep-last", metavar="N", type=click.IntRange(0), help="Remove all but the N that ended last.")
@click.option(
    "--max-size",
    metavar="SIZE",
    callback=lambda _c, _p, text: None if text is None else parse_size(text),
    help="Remove the oldest until the rest takes at most this, e.g. 2G.",
)
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
@search_options
@output_option
@click.pass_context
def command(ctx: click.Context, /, **given: Any) -> int:
    """Remove finished tasks.

    A REGEX is matched at the beginning of task ids. Active tasks are never touched, nor what belongs to Mesos, unless
    --mesos-root is given.
    """  # fmt: skip
    policy = Policy(given["keep_days"], given["keep_last"], given["max_size"])
    if policy == Policy():
        policy = Policy(keep_days=_DEFAULT_DAYS)
    kernel = Kernel()
    remains = _remains(ctx, given, kernel)
    tasks = {_key(each.found): each for each in remains}
    finished = [_measured(each) for each in remains]
    removals = choose_removals(finished, policy, now().wall)
    failed = [] if given["dry_run"] else _remove_all(removals, tasks, kernel)
    if given["output"] == "json":
        echo_lines([json.dumps([_json(removal, failed, given["dry_run"]) for removal in removals], ensure_ascii=False)])
    else:
        echo_lines(_words(removals, failed, len(finished), dry_run=given["dry_run"]))
    return Exit.FAILED if failed else Exit.OK


def _key(found: Found) -> tuple[str, str]:
    return str(found.root), found.task_id


def _remains(ctx: click.Context, given: dict[str, Any], kernel: Kernel) -> list[Remains]:
    root, mesos_root = (inherited(ctx, name, given[name]) for name in ("root", "mesos_root"))
    roots = [default_root()] if root is None and mesos_root is None else search_roots(root, mesos_root)
    matches = matcher(given["patterns"])
    return [
        Remains(task, _sandbox_of(task, kernel))
        for task in find_tasks(roots)
        if not task.active and matches(task.task_id)
    ]


def _sandbox_of(found: Found, kernel: Kernel) -> Path | None:
    """The sandbox that its header names, or the usual place when nothing does; None when that is not below the root."""
    sandbox = found.root / "sandboxes" / found.task_id
    try:
        header = read_task(found.paths, kernel).task.header
        sandbox = Path(header.sandbox) if header is not None else sandbox
    except HostError:
        pass  # the usual place
    below = found.root.resolve() / "sandboxes"
    try:
        place = sandbox.resolve(strict=True)
    except OSError:
        return None  # it has gone
    return place if place != below and place.is_relative_to(below) and not sandbox.is_symlink() else None


def _measured(remains: Remains) -> Finished:
    found = remains.found
    try:
        ended = found.paths.finished.stat().st_mtime
    except OSError:
        ended = 0.0  # somebody else has just removed it
    size = sum(_size_of(path) for path in (found.paths.checkpoint, remains.sandbox) if path is not None)
    return Finished(found.task_id, str(found.root), ended, size)


def _size_of(path: Path) -> int:
    walk = DiskWalk(path)
    while not walk.step():
        pass
    return walk.total or 0


def _remove_all(removals: list[Removal], tasks: dict[tuple[str, str], Remains], kernel: Kernel) -> list[Finished]:
    """Those that could not be removed; each is complained of."""
    failed = []
    for removal in removals:
        remains = tasks[removal.task.root, removal.task.task_id]
        try:
            remove(remains, kernel)
        except (OSError, HostError) as error:
            why = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) else str(error)
            complain("thermos", f"cannot remove task {removal.task.task_id}: {why}")
            failed.append(removal.task)
    return failed


def remove(remains: Remains, kernel: Kernel) -> None:
    """The finished file last, so that what was interrupted is found again. Raises OSError, HostError."""
    paths = remains.found.paths
    _check_over(paths, kernel)
    if remains.sandbox is not None:
        shutil.rmtree(remains.sandbox)
    if paths.checkpoint.is_dir():
        shutil.rmtree(paths.checkpoint)
    paths.finished.unlink(missing_ok=True)


def _check_over(paths: TaskPaths, kernel: Kernel) -> None:
    """Nobody may be at work on it, and it must be ours. Raises NotOwner, HostError."""
    if paths.active.exists():
        raise NotOwner("it is active")
    uid = kernel.stat(paths.finished).st_uid
    if uid != kernel.geteuid():
        raise HostError(f"it belongs to {user_name(uid)}; run this as {user_name(uid)}")
    if paths.runner.exists():
        open_checkpoint(paths, kernel, create=False).close()


def _words(removals: list[Removal], failed: list[Finished], total: int, *, dry_run: bool) -> list[str]:
    done = [removal for removal in removals if removal.task not in failed]
    lines = [
        f"{'would remove' if dry_run else 'removed'} {r.task.task_id} (ended {date_time(r.task.ended_at)}, "
        f"{size_words(r.task.size)}): {r.reason}"
        for r in done
    ]
    freed = size_words(sum(removal.task.size for removal in done))
    verb = "would be removed" if dry_run else "removed"
    return [*lines, f"{len(done)} of {plural(total, 'finished task')} {verb}, {freed}"]


def _json(removal: Removal, failed: list[Finished], dry_run: bool) -> dict[str, Any]:
    return {
        "task_id": removal.task.task_id,
        "root": removal.task.root,
        "ended_at": removal.task.ended_at,
        "size": removal.task.size,
        "reason": removal.reason,
        "removed": not dry_run and removal.task not in failed,
    }

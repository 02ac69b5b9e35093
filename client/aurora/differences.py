"""What a config would change of a job, as the scheduler says, and how that is shown."""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from client.api_client import ApiClient, job_path
from client.aurora.context import Context
from client.aurora.core.answers import JobDiff, Populated, parse
from client.aurora.core.config_diff import config_lines, diff_lines, ranges_text, styled
from client.aurora.creating import configuration_for
from client.aurora.exits import CommandFailed
from client.aurora.jobfile import JobOfFile
from client.terminal import paint_line
from thermos.errors import UserError

#: A line of a diff may be as long as it is.
_ANY_WIDTH = 1_000_000


def tell_diff(context: Context, diff: JobDiff, new: Mapping[str, Any]) -> None:
    """`new`: the populated TaskConfig."""
    context.echo("This job update will:")
    for title, groups in (("add instances", diff.add), ("remove instances", diff.remove)):
        if groups:
            context.echo(f"{title}: {ranges_text(groups)}")
    for group in diff.update:
        context.echo(f"update instances: {ranges_text([group])}", "with diff:", "")
        show_configs(context, group.config, new)
        context.echo("")
    if diff.unchanged:
        context.echo(f"not change instances: {ranges_text(diff.unchanged)}")


def populated(api: ApiClient, job: JobOfFile) -> dict[str, Any]:
    """The TaskConfig with the scheduler's defaults. Raises ApiError with all that is wrong with it."""
    return parse(api.post("/config/populate", configuration_for(api, job)), Populated).job.task_config


def ask_diff(api: ApiClient, job: JobOfFile, new: Mapping[str, Any], only: Sequence[int] | None) -> dict[str, Any]:
    """The scheduler's answer, a `JobDiff`. Raises ApiError."""
    body = {
        "taskConfig": new,
        "instanceCount": job.data["instances"],
        "onlyInstances": list(only) if only is not None else None,
    }
    return api.post(job_path(job.key, "diff"), body)


def show_configs(context: Context, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    """What differs between two TaskConfigs. Raises CommandFailed, UserError."""
    before, after = config_lines(old), config_lines(new)
    viewer = os.environ.get("DIFF_VIEWER")
    if viewer:
        _view(viewer, before, after)
        return
    lines = diff_lines(before, after, "now", "new") or ["(no difference that is shown)"]
    context.echo(*_painted(lines, context.colours))


def _painted(lines: Sequence[str], colours: bool) -> Iterator[str]:
    return (paint_line(styled(line), _ANY_WIDTH, colours=colours) for line in lines)


def _view(viewer: str, before: Sequence[str], after: Sequence[str]) -> None:
    """Raises CommandFailed: the program could not do it (1 is: there are differences)."""
    try:
        words = shlex.split(viewer)
    except ValueError as error:
        raise UserError(f"DIFF_VIEWER is no command: {viewer!r}: {error}") from error
    with tempfile.TemporaryDirectory(prefix="aurora-diff-") as place:
        files = [Path(place) / "now", Path(place) / "new"]
        for file, lines in zip(files, (before, after), strict=True):
            file.write_text("".join(f"{line}\n" for line in lines), "utf-8")
        try:
            code = subprocess.run([*words, *map(str, files)], check=False).returncode
        except OSError as error:
            raise CommandFailed(f"cannot run DIFF_VIEWER {viewer!r}: {error.strerror}") from error
    if code not in (0, 1):
        raise CommandFailed(f"DIFF_VIEWER {viewer!r} failed with exit code {code}")

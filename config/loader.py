"""A config file becomes jobs or tasks.

    load_jobs("web.aurora", binds=["profile.instances=3"]).pick(name="web")
    load_tasks("hello.thermos").pick()

`.aurora` files leave their jobs in `jobs` (and API hooks in `hooks`); `.thermos` files hand over tasks with
`export(task)`. JSON gives the same objects without Python. What is wrong with what a file defines is collected:
constructors refuse nothing while it is loaded (`refused` has what they would have), `config.check` tells all. A
ConfigError here is about what keeps the file from being read at all, after a line for each refusal that was met before.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from config.binds import apply_binds, parse_binds
from config.check import raise_refusals
from config.core.problem import Place, Problem, render_problem
from config.dsl.places import tracking
from config.dsl.refusals import recording
from config.namespace import NAMES
from config.schema import Job, Task
from config.selection import Wanted, pick_job, pick_task
from config.sources import ConfigSource, Sources, parse_json
from config.userfile import UserFile
from thermos.errors import ConfigError


@dataclass(frozen=True)
class LoadedJobs:
    """The jobs of a config with their bindings; `loadables` are all texts it was made of, fit for JSON."""

    source: str
    jobs: tuple[Any, ...]
    hooks: tuple[Any, ...] = ()
    loadables: Mapping[str, str] = field(default_factory=dict)
    refused: tuple[Problem, ...] = ()

    @property
    def objects(self) -> tuple[Any, ...]:
        return self.jobs

    def pick(
        self,
        name: str | None = None,
        *,
        cluster: str | None = None,
        role: str | None = None,
        environment: str | None = None,
    ) -> Any:
        """The one job that is meant. Raises ConfigError with the candidates, or with all that is wrong."""
        raise_refusals(self)
        return pick_job(self.jobs, Wanted(name, cluster, role, environment))


@dataclass(frozen=True)
class LoadedTasks:
    """The tasks that a config exports (or the jobs of an `.aurora` file), with their bindings."""

    source: str
    tasks: tuple[Any, ...]
    loadables: Mapping[str, str] = field(default_factory=dict)
    refused: tuple[Problem, ...] = ()

    @property
    def objects(self) -> tuple[Any, ...]:
        return self.tasks

    def pick(self, name: str | None = None) -> Any:
        """The one task that is meant. Raises ConfigError, if anything was refused with all that is wrong."""
        raise_refusals(self)
        return pick_task(self.tasks, name)


def load_jobs(path_or_source: ConfigSource, *, binds: Sequence[str] = (), json: bool = False) -> LoadedJobs:
    """Load a config and bind `NAME=VALUE`s to all its jobs. Raises ConfigError (UserError for a bad binding)."""
    environments = parse_binds(binds)
    sources = Sources(path_or_source)
    with _collecting() as refused:
        if json:
            text = sources.first()
            jobs, hooks, name = _json_jobs(text.name, parse_json(text.name, text.text)), (), text.name
        else:
            file = UserFile(sources, dict(NAMES))
            file.run()
            name = file.name
            jobs, hooks = _jobs(name, file.env), _listed(name, file.env.get("hooks", ()), "hooks")
    bound = tuple(apply_binds(job, environments) for job in jobs)
    return LoadedJobs(name, bound, hooks, sources.loadables, tuple(dict.fromkeys(refused)))


def load_tasks(path_or_source: ConfigSource, *, json: bool = False, binds: Sequence[str] = ()) -> LoadedTasks:
    """Load what a config exports and bind `NAME=VALUE`s to it. Raises ConfigError (UserError for a bad binding)."""
    environments = parse_binds(binds)
    sources = Sources(path_or_source)
    with _collecting() as refused:
        if json:
            text = sources.first()
            tasks = _json_tasks(text.name, parse_json(text.name, text.text))
            name = text.name
        else:
            exported: list[Any] = []
            file = UserFile(sources, {**NAMES, "export": lambda task: exported.append(_exported(task))})
            file.run()
            name = file.name
            tasks = tuple(exported) or _jobs(name, {"jobs": [], **file.env})
    bound = tuple(apply_binds(task, environments) for task in tasks)
    return LoadedTasks(name, bound, sources.loadables, tuple(dict.fromkeys(refused)))


@contextmanager
def _collecting() -> Iterator[list[Problem]]:
    """The refusals of a load; if it ends with a ConfigError, that tells them, too."""
    with recording() as refused:
        try:
            yield refused
        except ConfigError as error:
            if not refused:
                raise
            raise ConfigError("\n".join([*dict.fromkeys(map(render_problem, refused)), str(error)])) from None


def _exported(task: Any) -> Any:
    if isinstance(task, Mapping):
        return Task(task)
    if isinstance(task, Task | Job):
        return task
    raise ConfigError(f"export() takes a Task or a dict of its fields, got {type(task).__name__}")


def _jobs(name: str, env: Mapping[str, Any]) -> tuple[Any, ...]:
    """What the file left in `jobs`."""
    if "jobs" not in env:
        raise ConfigError(f"{name}: No job defined in this config! Put them in a list: jobs = [Job(…)]")
    return tuple(_job(name, index, job) for index, job in enumerate(_listed(name, env["jobs"], "jobs")))


def _listed(name: str, value: Any, what: str) -> tuple[Any, ...]:
    if isinstance(value, Job) or not isinstance(value, list | tuple):
        hint = f"; write {what} = [{what.removesuffix('s')}]" if isinstance(value, Job) else ""
        raise ConfigError(f"{name}: `{what}` must be a list, got {type(value).__name__}{hint}")
    return tuple(value)


def _job(name: str, index: int, job: Any) -> Any:
    if isinstance(job, Job):
        return job
    if isinstance(job, Mapping):
        return _from_json(name, Job, job, f"jobs[{index}]: ")
    hint = "; put it in a Job(task=…)" if isinstance(job, Task) else ""
    raise ConfigError(f"{name}: jobs[{index}] must be a Job, got {type(job).__name__}{hint}")


def _json_jobs(name: str, document: object) -> tuple[Any, ...]:
    """`{"jobs": [{…}, …]}` or a single bare job."""
    if isinstance(document, dict) and "jobs" in document:
        jobs = document["jobs"]
        if not isinstance(jobs, list):
            raise ConfigError(f"{name}: `jobs` must be a list, got {type(jobs).__name__}")
        return tuple(_from_json(name, Job, job, f"jobs[{index}]: ") for index, job in enumerate(jobs))
    return (_from_json(name, Job, document, ""),)


def _json_tasks(name: str, document: object) -> tuple[Any, ...]:
    """A task, or jobs (only they have a `task`)."""
    if isinstance(document, dict) and ("jobs" in document or "task" in document):
        return _json_jobs(name, document)
    return (_from_json(name, Task, document, ""),)


def _from_json(name: str, kind: Any, value: object, where: str) -> Any:
    """An object of plain data, all of it at home in the file. Raises ConfigError for what is no object."""
    if not isinstance(value, Mapping):
        raise ConfigError(f"{name}: {where}a {kind.__name__} is an object with fields, got {type(value).__name__}")
    with tracking(Place(name)), recording(where):
        return kind(value)

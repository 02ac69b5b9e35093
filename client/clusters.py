"""The clusters that commands know: `clusters.json` of the site, then that of the user, whose entries win.

A file is a list of objects, each with a `name`, or a map of names to objects. Fields that nobody here knows are kept.

Source: spec/scheduler.md §11.3.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from thermos.errors import UserError
from thermos.words import printable

FILE_NAME = "clusters.json"
SITE = Path("/etc/aurora")
DEFAULT_REGISTRY = "https://registry-1.docker.io"


@dataclass(frozen=True)
class Cluster:
    """One entry; `fields` is all that was written, `file` where."""

    name: str
    zk: str | None = None
    zk_port: int = 2181
    scheduler_zk_path: str | None = None
    scheduler_uri: str | None = None
    proxy_url: str | None = None
    auth_mechanism: str = "UNAUTHENTICATED"
    slave_root: str | None = None
    slave_run_directory: str = "latest"
    docker_registry: str = DEFAULT_REGISTRY
    fields: Mapping[str, Any] = field(default_factory=dict)
    file: str = ""


@dataclass(frozen=True)
class Clusters:
    """What was found, and in which files was looked."""

    known: Mapping[str, Cluster]
    files: tuple[Path, ...]

    def get(self, name: str) -> Cluster:
        """Raises UserError: there is none of this name."""
        found = self.known.get(name)
        if found is None:
            known = ", ".join(map(printable, sorted(self.known)))
            names = f"there are {known}" if known else "no cluster is known"
            raise UserError(f"unknown cluster {name!r}: {names} (looked into {' and '.join(map(str, self.files))})")
        return found


def cluster_files(environment: Mapping[str, str]) -> tuple[Path, ...]:
    """Where clusters are written; later files win."""
    site = Path(environment.get("AURORA_CONFIG_ROOT") or SITE)
    home = Path(environment["HOME"]) if environment.get("HOME") else Path(os.path.expanduser("~"))  # noqa: PTH111
    return tuple(dict.fromkeys((site / FILE_NAME, home / ".aurora" / FILE_NAME)))


def load_clusters(files: Iterable[Path]) -> Clusters:
    """Raises UserError for a file that can't be used."""
    files, known = tuple(files), {}
    for file in files:
        text = read_if_there(file)
        if text is not None:
            known.update(parse_clusters(file, text))
    return Clusters(known, files)


def read_if_there(file: Path) -> str | None:
    """Raises UserError: it is there and can't be read."""
    try:
        return file.read_text("utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise UserError(f"cannot read {file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{file}: not UTF-8 text") from error


def parse_clusters(file: Path, text: str) -> dict[str, Cluster]:
    """Raises UserError."""
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise UserError(f"{file}:{error.lineno}: not JSON: {error.msg}") from error
    except RecursionError as error:
        raise UserError(f"{file}: not JSON that anybody could mean: nested too deeply") from error
    found: dict[str, Cluster] = {}
    for entry in _entries(file, document):
        cluster = _cluster(file, entry)
        if cluster.name in found:
            raise UserError(f"{file}: cluster {cluster.name!r} is there more than once; keep one")
        found[cluster.name] = cluster
    return found


def _entries(file: Path, document: object) -> list[Mapping[str, Any]]:
    if isinstance(document, dict):
        entries: list[Any] = [
            {"name": name, **entry} if isinstance(entry, dict) else entry for name, entry in document.items()
        ]
    elif isinstance(document, list):
        entries = document
    else:
        raise UserError(f'{file}: write a list of clusters, [{{"name": …}}, …]')
    for number, entry in enumerate(entries):
        if not isinstance(entry, dict):
            raise UserError(f'{file}: entry {number} is no object; write {{"name": …, "scheduler_uri": …}}')
        if not isinstance(entry.get("name"), str) or not entry["name"]:
            raise UserError(f"{file}: entry {number} has no name")
    return entries


_TEXTS = ("zk", "scheduler_zk_path", "scheduler_uri", "proxy_url", "auth_mechanism", "slave_root",
          "slave_run_directory", "docker_registry")  # fmt: skip


def _cluster(file: Path, entry: Mapping[str, Any]) -> Cluster:
    where = f"{file}: cluster {entry['name']!r}"
    given: dict[str, Any] = {}
    for name in _TEXTS:
        value = entry.get(name)
        if value is not None:
            if not isinstance(value, str):
                raise UserError(f"{where}: {name} must be text, it is {json.dumps(value)[:60]}")
            given[name] = value
    port = entry.get("zk_port")
    if port is not None:
        given["zk_port"] = _port(where, port)
    return Cluster(entry["name"], **given, fields=dict(entry), file=str(file))


def _port(where: str, value: object) -> int:
    try:
        port = int(value) if isinstance(value, int | str) and not isinstance(value, bool) else 0
    except ValueError:
        port = 0
    if not 0 < port < 65536:
        raise UserError(f"{where}: zk_port must be a port number, it is {json.dumps(value)[:60]}")
    return port

"""The entry of a local cluster in `~/.aurora/clusters.json`. Everything else in that file stays as it is: other
clusters, unknown keys, their order, list or map, its mode, and where it really lies if it is a link.

What can't be read or understood is not written to.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from client.aurora.local_plan import is_local
from client.clusters import parse_clusters, read_if_there
from thermos.errors import HostError, UserError


def check_free(files: tuple[Path, ...], cluster: str) -> None:
    """Nobody else may have defined a cluster of this name. Raises UserError."""
    for file in files:
        text = read_if_there(file)
        known = parse_clusters(file, text) if text is not None else {}
        if cluster in known and not is_local(known[cluster].fields):
            raise UserError(
                f"cluster {cluster!r} is defined in {file}, and not by `aurora local`; choose another name: --cluster"
            )


def register(file: Path, entry: Mapping[str, Any]) -> None:
    """Put it there, in the place of ours from before. Raises UserError, HostError."""
    text = read_if_there(file)
    document = _document(file, text)
    _write(file, with_entry(document, entry))


def unregister(file: Path, cluster: str) -> bool:
    """Take it away if it is ours. Whether it was there. Raises UserError, HostError."""
    text = read_if_there(file)
    if text is None:
        return False
    document = _document(file, text)
    left = without_entry(document, cluster)
    if left == document:
        return False
    _write(file, left)
    return True


def with_entry(document: Any, entry: Mapping[str, Any]) -> Any:
    """Pure."""
    name = entry["name"]
    if isinstance(document, dict):
        keys = {key for key, value in document.items() if value.get("name", key) == name} or {name}
        return {**document, next(iter(keys)): dict(entry)}
    if any(each["name"] == name for each in document):
        return [dict(entry) if each["name"] == name else each for each in document]
    return [*document, dict(entry)]


def without_entry(document: Any, cluster: str) -> Any:
    """Pure."""
    if isinstance(document, dict):
        return {
            key: value for key, value in document.items() if value.get("name", key) != cluster or not is_local(value)
        }
    return [each for each in document if each["name"] != cluster or not is_local(each)]


def _document(file: Path, text: str | None) -> Any:
    if text is None:
        return []
    parse_clusters(file, text)  # raises UserError for what is no list or map of clusters
    return json.loads(text)


def _write(file: Path, document: Any) -> None:
    """All of it or nothing. Raises HostError."""
    place = Path(os.path.realpath(file))
    data = (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode()
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        before = place.stat() if place.exists() else None
        descriptor, fresh = tempfile.mkstemp(prefix=".clusters-", dir=place.parent)
        try:
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(data)
                os.fchmod(stream.fileno(), 0o644 if before is None else before.st_mode & 0o777)
                if before is not None and os.geteuid() == 0:
                    os.fchown(stream.fileno(), before.st_uid, before.st_gid)
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(fresh, place)  # noqa: PTH105 - both are text
        except BaseException:
            Path(fresh).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise HostError(f"cannot write {place}: {error.strerror}") from error

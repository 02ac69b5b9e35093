"""Questions to the parts of a local cluster, answered at once or not at all; and orders at the door for faults."""

from __future__ import annotations

import http.client
import json
import os
import socket
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from thermos.errors import HostError

#: Seconds for an answer; for what is done to the cluster.
ASK_S = 3.0
_ORDER_S = 70.0


class _Door(http.client.HTTPConnection):
    """HTTP over a Unix socket. Its name may be longer than the kernel takes, so the way to it is its folder."""

    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        folder = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.sock.settimeout(self.timeout)
            self.sock.connect(f"/proc/self/fd/{folder}/{self._path.name}")
        finally:
            os.close(folder)


def ask_json(url: str, path: str) -> Any:
    """The answer of one of our servers; None when there is none that can be used."""
    place = urlsplit(url)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=ASK_S)
    try:
        return _answer(connection, "GET", path)[1]
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()


def ask_text(url: str, path: str) -> str | None:
    """The same, of one that answers with text."""
    place = urlsplit(url)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=ASK_S)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        text = answer.read().decode("utf-8", "replace")
        return text if answer.status == 200 else None
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def ask_door(control: str) -> Any:
    """What the embedded Mesos says of itself; None when it is not up."""
    door = _Door(Path(control), ASK_S)
    try:
        return _answer(door, "GET", "/")[1]
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        door.close()


def order(control: str, verb: str, **words: Any) -> str:
    """Do this to the embedded Mesos; what it says that it did. Raises HostError."""
    door = _Door(Path(control), _ORDER_S)
    try:
        status, told = _answer(door, "POST", f"/{verb}", json.dumps(words))
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise HostError(
            f"cannot {verb}: the embedded Mesos does not answer ({error}); see `aurora local status`"
        ) from None
    finally:
        door.close()
    if status != 200:
        raise HostError(str(told.get("error", told)))
    return str(told["text"])


def _answer(connection: http.client.HTTPConnection, method: str, path: str, body: str = "") -> tuple[int, Any]:
    connection.request(method, path, body or None, {"Accept": "application/json"})
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read())

"""The scheduler's HTTP/JSON API for commands: finds the leader, asks, tries again where that is safe, and explains.

Every mutation has an Idempotency-Key, so that it may be sent again when the connection broke and nobody knows whether
it was received. What is tried again how often stands in `TRIES`.

Source: spec/scheduler.md §11.3.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import quote, urlencode, urljoin, urlsplit

from client.api_errors import ApiError, AuthError, NetworkError, TimedOut
from client.clusters import Cluster
from client.connection import (
    Answer,
    Broken,
    Failed,
    NotConnected,
    Origin,
    TooLate,
    credentials,
    exchange,
    parse_origin,
)
from client.job_keys import ClusterJobKey
from client.leader import find_scheduler
from thermos.errors import RemoteError
from thermos.version import VERSION
from thermos.words import printable

API = "/api/v1"
_MOST_REDIRECTS = 5
#: Most that the API gives at once.
PAGE = 10_000
#: No list is longer.
MOST_ITEMS = 10_000_000

Exchange = Callable[[Origin, str, str, Mapping[str, str], bytes | None], Answer]


class Trouble(StrEnum):
    CONNECT = "connect"  # nothing was sent
    BROKEN = "broken"  # it may have been received
    TRANSIENT = "transient"  # the scheduler is not ready


@dataclass(frozen=True)
class Tries:
    """`most` tries, `every_s` apart, the last begun within `within_s`."""

    most: int
    every_s: float
    within_s: float


TRIES: Mapping[Trouble, Tries] = {
    Trouble.CONNECT: Tries(5, 1.0, 60.0),
    Trouble.BROKEN: Tries(5, 1.0, 180.0),
    Trouble.TRANSIENT: Tries(120, 5.0, 600.0),
}


class NotReady(Exception):
    """It answered that it can't answer yet."""

    def __init__(self, text: str, after_s: float) -> None:
        super().__init__(text)
        self.after_s = after_s


class ApiClient:
    """One cluster's scheduler. Errors are those of `client.api_errors`, and UserError for a bad cluster entry."""

    def __init__(
        self,
        cluster: Cluster,
        *,
        say: Callable[[str], None],
        verbose: bool = False,
        send: Exchange = exchange,
        locate: Callable[[Cluster], Origin] = find_scheduler,
        pause: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
        unique: Callable[[], str] = lambda: str(uuid.uuid4()),
    ) -> None:
        self.cluster = cluster
        self._say = say
        self._verbose = verbose
        self._send = send
        self._locate = locate
        self._pause = pause
        self._clock = clock
        self._unique = unique
        self._origin: Origin | None = None
        self._warned = False
        self.waited_s = 0.0  #: in all, between tries

    def get(self, path: str, query: Mapping[str, str | int | None] | None = None) -> dict[str, Any]:
        """The answer of `GET /api/v1PATH`."""
        given = {name: str(value) for name, value in (query or {}).items() if value is not None}
        return self._ask("GET", f"{API}{path}{'?' + urlencode(given) if given else ''}", None)

    def post(self, path: str, body: Any) -> dict[str, Any]:
        """The answer of `POST /api/v1PATH`; it is done once, however often it has to be sent."""
        return self._ask("POST", f"{API}{path}", json.dumps(body).encode())

    def pages(self, path: str, items: str, query: Mapping[str, str | int | None]) -> list[dict[str, Any]]:
        """All items of a list."""
        return [item for page in self.each_page(path, items, query) for item in page[items]]

    def each_page(self, path: str, items: str, query: Mapping[str, str | int | None]) -> Iterable[dict[str, Any]]:
        """Answer after answer, until there is no more. Raises NetworkError for one that has no such list of objects."""
        offset = 0
        while True:
            page = self.get(path, {**query, "limit": PAGE, "offset": offset})
            found, total = page.setdefault(items, []), page.get("total", 0)
            if not (
                isinstance(found, list)
                and all(isinstance(each, dict) for each in found)
                and type(total) is int
                and total <= MOST_ITEMS
            ):
                raise NetworkError(f"{self._name}: the scheduler's list of {items} is not understood")
            yield page
            offset += len(found)
            if not found or offset >= total:
                return

    def origin(self) -> Origin:
        """Where the scheduler is, as far as is known now."""
        if self._origin is None:
            self._origin = self._locate(self.cluster)
        return self._origin

    def forget(self) -> None:
        """Look for the leader anew with the next request."""
        self._origin = None

    def headers(self, origin: Origin) -> dict[str, str]:
        found = {"Accept": "application/json", "User-Agent": f"aurora/{VERSION}", "Connection": "close"}
        authorization = credentials(origin)
        return {**found, "Authorization": authorization} if authorization is not None else found

    # --- one question ------------------------------------------------------------------------------------------------

    def _ask(self, method: str, target: str, body: bytes | None) -> dict[str, Any]:
        more = {"Content-Type": "application/json", "Idempotency-Key": self._unique()} if method == "POST" else {}
        begun = self._clock()
        counts = dict.fromkeys(Trouble, 0)
        while True:
            try:
                return self._understand(self._follow(method, target, more, body))
            except NotReady as error:
                self._try_again(Trouble.TRANSIENT, counts, begun, str(error), error, error.after_s)
            except NotConnected as error:
                self._try_again(Trouble.CONNECT, counts, begun, str(error), error)
            except Broken as error:
                self._try_again(Trouble.BROKEN, counts, begun, str(error), error)
            except Failed as error:
                raise NetworkError(f"{self._name}: {error}") from error

    def _try_again(
        self,
        trouble: Trouble,
        counts: dict[Trouble, int],
        begun: float,
        text: str,
        error: Exception,
        after_s: float = 0,
    ) -> None:
        """Waits; raises when it was tried often enough."""
        tries = TRIES[trouble]
        counts[trouble] += 1
        wait = max(tries.every_s, after_s)
        self.forget()
        if counts[trouble] >= tries.most or self._clock() + wait - begun > tries.within_s:
            too_late = isinstance(error, TooLate) or trouble is Trouble.TRANSIENT
            raise (TimedOut if too_late else NetworkError)(f"{self._name}: {text}") from error
        if not self._warned or self._verbose:
            self._warned = True
            self._say(f"{self._name}: {text}; trying again")
        self._pause(wait)
        self.waited_s += wait

    @property
    def _name(self) -> str:
        return f"cluster {self.cluster.name}"

    def _follow(self, method: str, target: str, more: Mapping[str, str], body: bytes | None) -> Answer:
        """The answer of whoever leads. Raises Failed, NetworkError."""
        for _ in range(_MOST_REDIRECTS + 1):
            origin = self.origin()
            begun = self._clock()
            answer = self._send(origin, method, target, {**self.headers(origin), **more}, body)
            if self._verbose:
                self._say(f"{method} {origin}{target}: {answer.status} after {self._clock() - begun:.3f} s")
            if answer.status not in (301, 302, 307, 308):
                return answer
            origin, target = self._leader(origin, target, answer)
            self._origin = origin
        raise NetworkError(f"{self._name}: schedulers send from one to the other; no one leads now")

    def _leader(self, origin: Origin, target: str, answer: Answer) -> tuple[Origin, str]:
        location = urljoin(f"{origin}{target}", answer.headers.get("location", ""))
        found = parse_origin(location, f"what {origin} says of the leader")
        if origin.scheme == "https" and found.scheme == "http":
            raise NetworkError(f"{self._name}: {origin} sends to {found}, which is not encrypted; refused")
        parts = urlsplit(location)
        return found, parts.path + (f"?{parts.query}" if parts.query else "")

    def _understand(self, answer: Answer) -> dict[str, Any]:
        """Raises ApiError, NotReady, NetworkError."""
        try:
            document = json.loads(answer.body)
        except (ValueError, RecursionError):
            document = None
        if 200 <= answer.status < 300 and isinstance(document, dict):
            return document
        error = document.get("error") if isinstance(document, dict) else None
        if isinstance(error, dict):
            raise self._refusal(answer, error)
        if answer.status in (502, 503, 504):
            raise NotReady(f"the scheduler is not ready (HTTP status {answer.status})", _retry_after(answer))
        raise NetworkError(
            f"{self._name}: {self.origin()} answers, but not as a scheduler does (HTTP status {answer.status})"
        )

    def _refusal(self, answer: Answer, error: Mapping[str, Any]) -> Exception:
        code = str(error.get("code", ""))
        text = _harmless(error.get("detail") or error.get("title") or f"HTTP status {answer.status}")
        listed = error.get("problems")
        problems = [_problem(each) for each in (listed if isinstance(listed, list) else ()) if isinstance(each, dict)]
        if answer.status == 503 or code == "TRANSIENT":
            return NotReady(f"the scheduler is not ready: {text}", _retry_after(answer))
        if answer.status == 401:
            has = (
                "does not accept the user and password of ~/.netrc"
                if credentials(self.origin())
                else "asks who you are"
            )
            hint = f"put `machine {self.origin().host} login USER password PASSWORD` into ~/.netrc"
            return AuthError(401, code, f"the scheduler of {self.cluster.name} {has}: {hint}", problems)
        if answer.status == 403:
            return AuthError(403, code, text, problems)
        if code == "JOB_UPDATING":
            text += (
                "\nError: job is locked by an active update. Run 'aurora update abort' or wait for the active update to"
                " finish."
            )
        return ApiError(answer.status, code, text, problems)


def _problem(problem: Mapping[str, Any]) -> str:
    field, text = problem.get("field"), problem.get("text", "")
    return _harmless(f"{field}: {text}" if field else text)


def _harmless(text: object) -> str:
    """What the scheduler wrote, line by line fit for a terminal."""
    return "\n".join(map(printable, str(text).splitlines()))


def _retry_after(answer: Answer) -> float:
    value = answer.headers.get("retry-after", "")
    return min(float(value), 60.0) if value.isdecimal() else 0.0


def job_path(job: ClusterJobKey, *more: str | int) -> str:
    """`/jobs/ROLE/ENV/NAME/…`."""
    return "/jobs/" + "/".join(quote(str(part), safe="") for part in (job.role, job.environment, job.name, *more))


def is_missing(error: RemoteError) -> bool:
    """Did the scheduler say that there is no such thing?"""
    return isinstance(error, ApiError) and error.status == 404

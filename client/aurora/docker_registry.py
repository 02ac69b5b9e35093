"""What a tag of a Docker image names now: its digest, asked of a registry (API v2).

    registry = Registry("https://registry-1.docker.io")
    registry.digest("library/nginx", "1.27")    # "sha256:…"

One HEAD of the manifest, with at most one solved `Bearer` challenge; a registry that sends no digest along is asked for
the manifest itself. Nobody's password is sent. Answers are bounded, every request has a time-out, addresses that an
answer names have to be http(s), and a token goes to the registry alone, not to where it redirects.

Source: spec/scheduler.md §11.4, spec/thermos.md §1.5.
"""

from __future__ import annotations

import hashlib
import json
import re
import urllib.request
from email.message import Message
from http.client import HTTPException
from typing import Any, NamedTuple
from urllib.error import HTTPError
from urllib.parse import urlencode, urlsplit

from thermos.errors import ConfigError, RemoteError, UserError

DOCKER_HUB = "https://registry-1.docker.io"

#: The kinds of manifests, those that are for several platforms first.
ACCEPT = ", ".join(
    (
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    )
)

_TIMEOUT_S = 10.0
_LARGEST = 4 * 1024 * 1024  # what registries take as a manifest
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")
_NAME = re.compile(r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_PARAMETER = re.compile(r'([A-Za-z_]+)=(?:"([^"]*)"|([^",\s]+))')


class _Answer(NamedTuple):
    status: int
    headers: Message
    body: bytes


class Registry:
    """One registry. Raises UserError for an address that is none."""

    def __init__(self, url: str, *, timeout_s: float = _TIMEOUT_S) -> None:
        parts = _web_address(url)
        if parts is None:
            raise UserError(f"docker_registry {url!r} is no address of a registry; write https://HOST[:PORT]")
        self.url = url.rstrip("/")
        self.is_docker_hub = self.url == DOCKER_HUB
        self.host = parts.netloc.rpartition("@")[2]
        self._timeout_s = timeout_s

    def digest(self, name: str, tag: str) -> str:
        """The digest of `name:tag`. Raises ConfigError: there is no such image; RemoteError: it can't be found out."""
        if not _NAME.fullmatch(name) or not _TAG.fullmatch(tag):
            raise ConfigError(f"docker image {name}:{tag} cannot exist; write {{{{docker.image[NAME][TAG]}}}}")
        repository = f"library/{name}" if self.is_docker_hub and "/" not in name else name
        url = f"{self.url}/v2/{repository}/manifests/{tag}"
        what = f"cannot resolve docker image {name}:{tag} at {self.url}"
        token = ""
        found = self._ask(what, "HEAD", url, token)
        if found.status == 401:
            token = self._token(what, found.headers)
            found = self._ask(what, "HEAD", url, token)
        self._check(what, name, tag, found.status)
        digest = found.headers.get("Docker-Content-Digest") or self._computed(what, url, token)
        if not _DIGEST.fullmatch(digest):
            raise RemoteError(f"{what}: it says that the digest is {digest[:80]!r}, which is none")
        return digest

    def _check(self, what: str, name: str, tag: str, status: int) -> None:
        if status in (401, 403):
            raise RemoteError(f"{what}: Private Docker repository - {name}:{tag}")
        if status == 404:
            if self._ask(what, "HEAD", f"{self.url}/v2/", "").status not in (200, 401, 403):
                raise RemoteError(f"{what}: it is not a registry v2; see docker_registry in clusters.json")
            raise ConfigError(f"docker image {name}:{tag} does not exist at {self.url}")
        if status != 200:
            raise RemoteError(f"{what}: it answered {status}; try again")

    def _computed(self, what: str, url: str, token: str) -> str:
        """The digest of the manifest that the registry has."""
        found = self._ask(what, "GET", url, token)
        if found.status != 200:
            raise RemoteError(f"{what}: it answered {found.status}; try again")
        return f"sha256:{hashlib.sha256(found.body).hexdigest()}"

    def _token(self, what: str, headers: Message) -> str:
        """What a challenge asks for."""
        kind, _, rest = headers.get("Www-Authenticate", "").partition(" ")
        if kind.lower() != "bearer":
            raise RemoteError(f"{what}: it wants {kind or 'unknown'} authentication, and only Bearer is known")
        asked = {name.lower(): quoted or plain for name, quoted, plain in _PARAMETER.findall(rest)}
        realm = asked.get("realm", "")
        if _web_address(realm) is None:
            raise RemoteError(f"{what}: it wants a token from {realm[:80]!r}, which is no address")
        wanted = {name: asked[name] for name in ("service", "scope") if name in asked}
        found = self._ask(what, "GET", f"{realm}{'&' if '?' in realm else '?'}{urlencode(wanted)}", "")
        if found.status != 200:
            raise RemoteError(f"{what}: {realm} gives no token, it answered {found.status}")
        token = _token_of(found.body)
        if token is None:
            raise RemoteError(f"{what}: what {realm} answered is no token")
        return token

    def _ask(self, what: str, method: str, url: str, token: str) -> _Answer:
        """One request; any status is an answer."""
        request = urllib.request.Request(url, headers={"Accept": ACCEPT}, method=method)
        if token:
            request.add_unredirected_header("Authorization", f"Bearer {token}")
        try:
            with _opener(url).open(request, timeout=self._timeout_s) as answer:
                return _read(what, answer.status, answer)
        except HTTPError as error:
            with error:
                return _Answer(error.code, error.headers, b"")
        except (OSError, HTTPException, ValueError) as error:  # UnicodeError of a strange host is a ValueError
            reason = getattr(error, "reason", None) or error
            text = getattr(reason, "strerror", None) or str(reason) or type(reason).__name__
            raise RemoteError(f"{what}: {text}") from error


def _read(what: str, status: int, answer: Any) -> _Answer:
    body = answer.read(_LARGEST + 1)
    if len(body) > _LARGEST:
        raise RemoteError(f"{what}: an answer is longer than {_LARGEST} bytes")
    return _Answer(status, answer.headers, body)


def _web_address(url: str) -> Any:
    """The parts of an http(s) address; None if it is none."""
    try:
        parts = urlsplit(url)
        is_web = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return None
    return parts if is_web and not re.search(r"[\s\x00-\x1f\x7f]", url) else None


def _opener(url: str) -> urllib.request.OpenerDirector:
    """Knows http and https, nothing else; no proxy for this machine."""
    opener = urllib.request.OpenerDirector()
    host = urlsplit(url).hostname or ""
    is_here = host in ("localhost", "::1") or host.startswith("127.")
    for handler in (
        urllib.request.ProxyHandler({} if is_here else None),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPRedirectHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.UnknownHandler(),
    ):
        opener.add_handler(handler)
    return opener


def _token_of(body: bytes) -> str | None:
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return None
    token = (answer.get("token") or answer.get("access_token")) if isinstance(answer, dict) else None
    return token if isinstance(token, str) and re.fullmatch(r"[\x21-\x7e]+", token) else None

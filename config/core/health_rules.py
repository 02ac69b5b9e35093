"""What makes a health check and a life cycle usable by an executor."""

from __future__ import annotations

from collections.abc import Iterator

from config.core.finding import Finding, Plain, mapping_at, number_at, text_at

#: Numbers of a health check that count or wait: below zero they mean nothing.
_NOT_NEGATIVE = (
    "initial_interval_secs",
    "interval_secs",
    "max_consecutive_failures",
    "min_consecutive_successes",
    "timeout_secs",
)


#: The kinds of checks, the one that is used first.
KINDS = ("shell", "tcp", "http")


def health_findings(health: Plain) -> Iterator[Finding]:
    """All that is wrong with a `health_check_config`; paths are relative to it."""
    for field in _NOT_NEGATIVE:
        value = number_at(health, field)
        if value is not None and value < 0:
            text = f"Invalid value ({value:g}) specified for {field}. Value cannot be less than 0."
            yield Finding(text, (field,))
    if number_at(health, "timeout_secs") == 0:
        yield Finding("timeout_secs is 0: every check would fail; give it a second", ("timeout_secs",))
    checker = mapping_at(health, "health_checker")
    if health and "health_checker" in health and not checker:
        text = "names no check; give http=HttpHealthChecker(…), shell=ShellHealthChecker(…) or tcp=TcpHealthChecker(…)"
        yield Finding(text, ("health_checker",))
    yield from _http_findings(mapping_at(checker, "http"))
    given = [kind for kind in KINDS if kind in checker]
    if len(given) > 1:
        first, *others = [f"{'an' if kind == 'http' else 'a'} {kind}" for kind in given]
        text = f"has {', '.join(reversed(others))} and {first} check; only the {given[0]} check is used"
        yield Finding(text, ("health_checker",), warning=True)
    command = text_at(mapping_at(checker, "shell"), "shell_command")
    if command is not None and not command.strip():
        yield Finding("shell_command is empty", ("health_checker", "shell", "shell_command"))


def _http_findings(http: Plain) -> Iterator[Finding]:
    path = ("health_checker", "http")
    endpoint = text_at(http, "endpoint")
    if endpoint is not None and not endpoint.startswith("/"):
        yield Finding(f"endpoint `{endpoint}` must start with a slash", (*path, "endpoint"))
    code = number_at(http, "expected_response_code")
    if code is not None and code != 0 and not 100 <= code <= 599:
        text = f"{code} is no HTTP status; write one from 100 to 599, or 0 for any"
        yield Finding(text, (*path, "expected_response_code"))


def lifecycle_findings(lifecycle: Plain) -> Iterator[Finding]:
    """All that is wrong with a `lifecycle`; paths are relative to it."""
    http = mapping_at(lifecycle, "http")
    for field in ("graceful_shutdown_endpoint", "shutdown_endpoint"):
        endpoint = text_at(http, field)
        if endpoint is not None and not endpoint.startswith("/"):
            yield Finding(f"{field} `{endpoint}` must start with a slash", ("http", field))

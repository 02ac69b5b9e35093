"""What makes the ports of a job usable: its announcer's portmap, and the ports its checks and processes mention."""

from __future__ import annotations

from collections.abc import Iterator

from config.core.binding import is_host_ref
from config.core.finding import Finding, Plain, mapping_at, text_at
from config.core.ports import port_name_refusal, requested_ports, resolve_portmap
from config.core.refs import addresses, referenced_ports


def job_ports(job: Plain) -> list[str]:
    """Names of the ports an instance needs. Raises ValueError (PortmapCycle) for an unusable portmap."""
    referenced = referenced_ports(mapping_at(job, "task").get("processes"))
    return requested_ports(referenced, _portmap(job))


def _portmap(job: Plain) -> Plain:
    return mapping_at(mapping_at(job, "announce"), "portmap")


def announce_findings(job: Plain, *, dedicated: bool) -> Iterator[Finding]:
    """All that is wrong with the ports of a job."""
    portmap = _portmap(job)
    path = ("announce", "portmap")
    open_names = [name for name, target in portmap.items() if "{{" in f"{name}{target}"]
    for name in open_names:
        if "{{" in name or any(map(is_host_ref, addresses(portmap[name]))):
            text = "ports are allocated before the host is known, so it can't be asked here"
            yield Finding(text, (*path, f"[{name}]"))
    if open_names:
        return
    try:
        resolved = resolve_portmap(portmap)
    except ValueError as error:
        yield Finding(str(error), path)
        return
    for name, target in portmap.items():
        for word in (name, str(target).strip()):
            refusal = port_name_refusal(word)
            if refusal is not None:
                yield Finding(refusal, (*path, f"[{name}]"))
    static = [name for name, port in resolved.items() if isinstance(port, int)]
    if static and not dedicated:
        text = f"Job must be dedicated in order to specify static ports! `{static[0]}` is {resolved[static[0]]}"
        yield Finding(text, (*path, f"[{static[0]}]"))
    for name in static:
        if not 1 <= int(resolved[name]) <= 65535:
            yield Finding(f"`{name}` is port {resolved[name]}; ports go from 1 to 65535", (*path, f"[{name}]"))
    yield from _primary_findings(job, resolved)
    yield from _health_port_findings(job, resolved)


def _primary_findings(job: Plain, resolved: Plain) -> Iterator[Finding]:
    announce = job.get("announce")
    primary = text_at(announce, "primary_port") if isinstance(announce, dict) else None
    if primary is None or primary in resolved:
        return
    used = referenced_ports(mapping_at(job, "task").get("processes"))
    if primary not in {resolved.get(name, name) for name in used}:
        text = f"primary port `{primary}` is neither in the portmap nor used by a process, so nobody can connect to it"
        yield Finding(text, ("announce", "primary_port"), warning=True)


def _health_port_findings(job: Plain, resolved: Plain) -> Iterator[Finding]:
    """A port that only a check mentions is never allocated."""
    path = ("health_check_config", "health_checker")
    checker = mapping_at(mapping_at(job, path[0]), path[1])
    command = mapping_at(checker, "shell").get("shell_command")
    asked = [
        (port, ("shell", "shell_command")) for port in referenced_ports(command if isinstance(command, str) else "")
    ]
    named = text_at(mapping_at(checker, "tcp"), "port")
    if named is not None:
        asked.append((named, ("tcp", "port")))
    allocated = {*job_ports(job), *resolved} if asked else set()
    for port, field in asked:
        if port not in allocated:
            text = f"port `{port}` is not allocated: no process mentions {{{{thermos.ports[{port}]}}}}"
            yield Finding(text, (*path, *field))

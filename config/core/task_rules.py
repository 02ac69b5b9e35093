"""What makes a task runnable: the names of its processes, their order, where their output goes.

Types, ranges and missing fields are the schema's business; here is what only the whole can show.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from config.core.finding import Finding, Plain, below, mapping_at, number_at, objects_at, text_at
from config.core.graph import order_findings
from thermos.model import PROCESS_NAME, PROCESS_NAME_BYTES


def task_findings(task: Plain) -> Iterator[Finding]:
    """All that is wrong with a resolved task; paths are relative to it."""
    named: dict[str, int] = {}
    processes: list[Plain] = []
    for index, process in objects_at(task, "processes"):
        yield from below(("processes", index), _process_findings(process))
        name = text_at(process, "name")
        if name is None:
            continue
        if name in named:
            text = f"Process `{name}` is defined twice in this task (also as processes[{named[name]}]); rename one"
            yield Finding(text, ("processes", index, "name"))
            continue
        named[name] = index
        processes.append(process)
    if _all_names_known(task):
        yield from order_findings(processes, _orders(task))


def idle_findings(task: Plain) -> Iterator[Finding]:
    """A task without processes is no error on a host, but hardly meant."""
    if not task.get("processes"):
        yield Finding("has no processes; it will succeed at once", ("processes",), warning=True)


def _process_findings(process: Plain) -> Iterator[Finding]:
    name = text_at(process, "name")
    refusal = None if name is None else name_refusal(name)
    if name is not None and refusal is not None:
        shown = repr(name if len(name) <= 60 else f"{name[:57]}...")
        yield Finding(f"Task has invalid process: Invalid process name: {shown}; {refusal}", ("name",))
    cmdline = process.get("cmdline")
    if isinstance(cmdline, str) and not cmdline.strip():
        yield Finding("cmdline is empty; the process would end at once", ("cmdline",), warning=True)
    if isinstance(cmdline, str) and "\0" in cmdline:
        yield Finding("cmdline contains a NUL character, which no command line can", ("cmdline",), certain=True)
    if isinstance(cmdline, str) and not _is_unicode(cmdline):
        yield Finding("cmdline is not valid Unicode text", ("cmdline",), certain=True)
    logger = mapping_at(process, "logger")
    if logger.get("mode") == "rotate" and logger.get("destination") in ("console", "none"):
        text = f"log files are rotated, but with destination `{logger['destination']}` there are none"
        yield Finding(text, ("logger", "mode"), warning=True)
    if logger.get("rotate") is not None and logger.get("mode") == "standard":
        yield Finding("rotate has no effect unless mode is 'rotate'", ("logger", "rotate"), warning=True)


def name_refusal(name: str) -> str | None:
    """Why a process can't have this name, or None."""
    if not PROCESS_NAME.fullmatch(name):
        return "it must not be empty, start with a dot, or contain a slash or control character"
    if len(name.encode("utf-8", "surrogatepass")) > PROCESS_NAME_BYTES:
        return f"it is longer than {PROCESS_NAME_BYTES} bytes"
    if not _is_unicode(name):
        return "it is not valid Unicode text"
    return None


def _is_unicode(text: str) -> bool:
    """Whether the text can be written as UTF-8 (a lone surrogate can't)."""
    return text.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in text)


def _all_names_known(task: Plain) -> bool:
    """False while a name is missing or unbound, or all are lost: then every order constraint would look wrong."""
    processes = task.get("processes", ())
    return processes is not None and all(isinstance(p, dict) and text_at(p, "name") is not None for p in processes)


def _orders(task: Plain) -> list[tuple[int, Sequence[str]]]:
    """The order constraints with their index; one that isn't a list of bound names has been reported already."""
    orders = []
    for index, constraint in objects_at(task, "constraints"):
        order = constraint.get("order")
        if order is not None and all(isinstance(name, str) and "{{" not in name for name in order):
            orders.append((index, order))
    return orders


def resource_findings(task: Plain) -> Iterator[Finding]:
    """What a cluster needs to place a task: cpu, and whole megabytes of ram and disk."""
    resources = task.get("resources")
    if resources is None:
        yield Finding("Task must specify resources!", ("resources",))
        return
    if not isinstance(resources, dict):
        return
    cpu, ram, disk = (number_at(resources, field) for field in ("cpu", "ram", "disk"))
    if ram == 0 or disk == 0:
        field = "ram" if ram == 0 else "disk"
        text = f"Must specify ram and disk resources, got ram:{_size(ram)} disk:{_size(disk)}"
        yield Finding(text, ("resources", field))
        return
    if cpu is not None and ram is not None and disk is not None:
        ram_mb, disk_mb = to_mb(ram), to_mb(disk)
        if cpu <= 0 or ram_mb <= 0 or disk_mb <= 0:
            text = (
                "Task has invalid resources.  cpu/ramMb/diskMb must all be positive: "
                f"cpu:{cpu:g} ramMb:{ram_mb} diskMb:{disk_mb}"
            )
            if cpu > 0:
                text += "; sizes are bytes, write e.g. 64*MB"
            yield Finding(text, ("resources",))


def to_mb(size: float) -> int:
    """Bytes to whole megabytes, rounded down as the cluster counts them."""
    return int(size) // 2**20


def _size(value: float | None) -> str:
    return "nothing" if value is None else f"{value:.0f}"
